//! No randomness is used twice.

use super::*;
use crate::error::Error;
use crate::nn::compose::truncate;
use crate::testing::{Generators, run_with};

case!(Wide[] {}: u32 => u32, |c, ctx, x| {
    let y: P::Masked<u32> = truncate(&ctx.step("truncate")?, &P::additive(ctx, &x[0])?, 4, 32)?;
    let s = P::open_bits(&ctx.step("open")?, &P::msb(&ctx.step("msb")?, &y)?)?;
    P::remask(&ctx.step("remask")?, &P::select(&ctx.step("select")?, &s, &y)?)
});

#[test]
fn masks_are_fresh() {
    let inputs = [Input::new(32, random(64, 1 << 20, 1))];
    let told = |seed| run_with(&Wide::new(), &inputs, &[], &Generators::seeded(seed)).expect("runs").1;
    let (a, b, again) = (told(1), told(2), told(1));
    assert_eq!(a, again, "a run is determined by its generators");
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(a.0.len(), b.0.len());
        assert!(a.0.iter().zip(&b.0).all(|(a, b)| a != b), "another seed changes every payload");
    }
    // Within a run, too, no payload comes twice.
    for view in &a {
        let mut all: Vec<_> = view.0.clone();
        all.sort();
        assert!(all.windows(2).all(|w| w[0] != w[1]));
    }
}

#[test]
fn batches_draw_different_words() {
    let key = crate::keys::PairKey::fixed([7; 32]);
    let words = |batch, program: u8| {
        let prg = crate::prg::Prg::new(&key.seed("masks", batch, &[program; 32]));
        prg.words::<u64>(5, 0, 8, 64)
    };
    assert_eq!(words(1, 1), words(1, 1));
    assert_ne!(words(1, 1), words(2, 1));
    assert_ne!(words(1, 1), words(1, 2));
}

case!(Twice[] {}: u32 => u32, |c, ctx, x| {
    let a = P::remask(&ctx.step("remask")?, &P::additive(ctx, &x[0])?)?;
    P::remask(&ctx.step("remask")?, &P::additive(ctx, &a)?)
});

#[test]
fn a_step_named_twice_is_refused() {
    let inputs = [Input::new(8, vec![1])];
    assert!(
        matches!(crate::testing::run(&Twice::new(), &inputs, 1), Err(Error::StepReused(s)) if s == "remask")
    );
    assert!(matches!(crate::testing::simulate(&Twice::new(), &inputs, 1), Err(Error::StepReused(_))));
}
