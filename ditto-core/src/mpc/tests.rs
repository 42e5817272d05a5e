//! Each protocol with three parties against plain numbers, its exact cost, and what each party sees.

mod arithmetic;
mod attention;
mod baselines;
mod bits;
mod choice;
mod embedding;
mod freshness;
mod headings;
mod inverse;
mod norm;
mod pages;
mod pointwise;
mod simulation;
mod truncation;
mod views;

use crate::testing::{Input, Outcome, Weighted, run_weighted, simulate_weighted};

/// Defines a case: a struct of parameters, and its code for every engine `P`. Words `[W, ..]` are type parameters.
macro_rules! case {
    ($name:ident[$($w:ident),*] { $($field:ident: $type:ty),* }: $in:ty => $out:ty,
     |$case:ident, $ctx:ident, $x:ident| $body:expr) => {
        #[derive(Clone)]
        struct $name<$($w),*> { $($field: $type,)* words: std::marker::PhantomData<fn() -> ($($w,)*)> }
        impl<$($w: crate::primitives::RingWord),*> $name<$($w),*> {
            fn new($($field: $type),*) -> Self {
                Self { $($field,)* words: std::marker::PhantomData }
            }
        }
        impl<$($w: crate::primitives::RingWord),*> crate::testing::Case for $name<$($w),*> {
            type In = $in;
            type Out = $out;
            fn run<P: crate::primitives::Primitives>(
                &self,
                $ctx: &crate::ctx::Ctx<'_, P>,
                $x: &[P::Masked<$in>],
            ) -> crate::error::Result<P::Masked<$out>> {
                let $case = self;
                let _ = $case;
                $body
            }
        }
    };
}

/// Runs code with `$w` standing for the smallest word that holds `$k` bits, up to 64.
macro_rules! with_word {
    ($k:expr, $w:ident => $body:expr) => {{
        let k = $k;
        with_word!(@each [k <= 8] u8, [k <= 16] u16, [k <= 32] u32, [k <= 64] u64; $w => $body)
    }};
    (@each $([$fits:expr] $t:ty),*; $w:ident => $body:expr) => {
        $(if $fits {
            type $w = $t;
            $body
        } else)* { panic!("no word is so wide") }
    };
}

/// The same for two words, from a list of pairs: every combination would take too long to compile.
macro_rules! with_words {
    ($k:expr, $w:ident, $k2:expr, $v:ident => $body:expr) => {{
        let (k, k2) = ($k, $k2);
        with_words!(@each k, k2, (u8, u8), (u8, u64), (u16, u32), (u32, u8), (u32, u32), (u32, u64), (u64, u64), (u64, u128);
            $w, $v => $body)
    }};
    (@each $k:ident, $k2:ident, $(($t:ty, $u:ty)),*; $w:ident, $v:ident => $body:expr) => {
        $(if $k <= <$t>::BITS && $k2 <= <$u>::BITS {
            type $w = $t;
            type $v = $u;
            $body
        } else)* { panic!("no words are so wide") }
    };
}
use {case, with_word, with_words};

/// The difference of two integers modulo 2^k, as a signed number.
fn apart(a: i64, b: i64, k: u32) -> i64 {
    if k >= 64 { a.wrapping_sub(b) } else { (a.wrapping_sub(b) << (64 - k)) >> (64 - k) }
}

/// The integer that a sharing in Z_{2^k} stands for.
fn wrap(v: i64, k: u32) -> i64 {
    apart(v, 0, k)
}

/// Runs a case; checks that the channels counted what the meter said, and that the helper was told nothing.
fn counted<C: Weighted>(case: &C, inputs: &[Input], weights: &[Input], seed: u64) -> Outcome {
    let outcome = run_weighted(case, inputs, weights, seed).expect("runs");
    let parts = |c: &crate::cost::Cost| (c.online, c.offline, c.hops);
    assert_eq!(parts(&outcome.counted), parts(&outcome.metered), "counted and metered");
    assert_eq!(outcome.to_helper, 0);
    outcome
}

/// The same, and checks that simulation agrees within `ulp`.
fn check_weighted<C: Weighted>(case: &C, inputs: &[Input], weights: &[Input], ulp: i64) -> Outcome {
    let outcome = counted(case, inputs, weights, 7);
    let simulated = simulate_weighted(case, inputs, weights, 3).expect("simulates");
    assert_eq!(outcome.values.len(), simulated.len());
    for (i, (&a, &b)) in outcome.values.iter().zip(&simulated).enumerate() {
        assert!(apart(a, b, outcome.k.min(64)).abs() <= ulp, "element {i}: {a} against {b} in simulation");
    }
    outcome
}

fn check<C: Weighted>(case: &C, inputs: &[Input], ulp: i64) -> Outcome {
    check_weighted(case, inputs, &[], ulp)
}

/// Uniform integers in [-bound, bound].
fn random(n: usize, bound: i64, seed: u64) -> Vec<i64> {
    let prg = crate::prg::Prg::new(&crate::prg::Seed::new([seed as u8; 16]));
    let words: Vec<u64> = prg.words(0, 0, n, 63);
    let span = 2 * i128::from(bound) + 1;
    words.iter().map(|&w| (i128::from(w) % span) as i64 - bound).collect()
}

/// Numbers at and around the ends of Z_{2^k}, and 0.
fn edges(k: u32) -> Vec<i64> {
    let top = 1i128 << (k.min(64) - 1);
    let all = [0, 1, -1, 2, -2, top - 1, top - 2, -top, 1 - top, top / 2, -top / 2, top / 2 - 1, top / 2 + 1];
    all.iter().filter(|v| (-top..top).contains(*v)).map(|&v| v as i64).collect()
}

/// Edges and random elements of Z_{2^k}.
fn ring_elements(n: usize, k: u32, seed: u64) -> Vec<i64> {
    let mut v = edges(k);
    v.extend(random(n, i64::MAX, seed).iter().map(|&v| wrap(v, k.min(64))));
    v
}
