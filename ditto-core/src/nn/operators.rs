//! `+`, `-` and `*` of model code. `#[secure_model]` turns the operators into calls of these traits.
//!
//! Operands may be values or references, as in plain Rust. Numbers keep their usual arithmetic.

use super::{Engine, Product, Tensor, add, mul, sub};
use crate::ctx::Ctx;
use crate::error::Result;
use crate::fixed::Fixed;

/// `x + y` in model code. Local.
#[diagnostic::on_unimplemented(
    message = "cannot add `{Rhs}` to `{Self}`",
    label = "two scales do not add",
    note = "rescale, `upcast` or `downcast` one of them, so that both have one format; a product takes any tensor of its ring"
)]
pub trait Plus<E: Engine, Rhs> {
    /// The sum's type.
    type Output;
    /// The sum.
    fn plus(self, rhs: Rhs, ctx: &Ctx<'_, E>) -> Result<Self::Output>;
}

/// `x - y` in model code. Local.
#[diagnostic::on_unimplemented(
    message = "cannot subtract `{Rhs}` from `{Self}`",
    label = "two scales do not subtract",
    note = "rescale, `upcast` or `downcast` one of them; products are rescaled before they are subtracted"
)]
pub trait Minus<E: Engine, Rhs> {
    /// The difference's type.
    type Output;
    /// The difference.
    fn minus(self, rhs: Rhs, ctx: &Ctx<'_, E>) -> Result<Self::Output>;
}

/// `x * y` in model code, elementwise. Of two tensors it talks, in a step called `name`.
#[diagnostic::on_unimplemented(
    message = "cannot multiply `{Self}` by `{Rhs}`",
    label = "these do not multiply",
    note = "factors are tensors in one ring: rescale products first, and fold public factors into the weights"
)]
pub trait Times<E: Engine, Rhs> {
    /// The product's type.
    type Output;
    /// The product.
    fn times(self, rhs: Rhs, ctx: &Ctx<'_, E>, name: &str) -> Result<Self::Output>;
}

/// An operator for values and references on either side, from a function of two references.
macro_rules! operator {
    ($trait:ident::$method:ident [$($generics:tt)*] $lhs:ty, $rhs:ty => $out:ty, |$x:ident, $y:ident, $ctx:ident $(, $name:ident)?| $body:expr) => {
        operator!(@impl $trait $method [$($generics)*] ($lhs) ($rhs) [] [] $out, [$x, $y, $ctx $(, $name)?] $body);
        operator!(@impl $trait $method [$($generics)*] ($lhs) ($rhs) [&] [] $out, [$x, $y, $ctx $(, $name)?] $body);
        operator!(@impl $trait $method [$($generics)*] ($lhs) ($rhs) [] [&] $out, [$x, $y, $ctx $(, $name)?] $body);
        operator!(@impl $trait $method [$($generics)*] ($lhs) ($rhs) [&] [&] $out, [$x, $y, $ctx $(, $name)?] $body);
    };
    (@impl $trait:ident $method:ident [$($generics:tt)*] ($lhs:ty) ($rhs:ty) [$($l:tt)*] [$($r:tt)*] $out:ty,
        [$x:ident, $y:ident, $ctx:ident $(, $name:ident)?] $body:expr) => {
        impl<E: Engine, $($generics)*> $trait<E, $($r)* $rhs> for $($l)* $lhs {
            type Output = $out;
            fn $method(self, $y: $($r)* $rhs, $ctx: &Ctx<'_, E> $(, $name: &str)?) -> Result<$out> {
                let ($x, $y) = (&self, &$y);
                $body
            }
        }
    };
}

operator!(Plus::plus [T: Fixed] Tensor<E, T>, Tensor<E, T> => Tensor<E, T>, |x, y, ctx| add(ctx, x, y));
operator!(Minus::minus [T: Fixed] Tensor<E, T>, Tensor<E, T> => Tensor<E, T>, |x, y, ctx| sub(ctx, x, y));
operator!(Times::times [A: Fixed, B: Fixed<Ring = A::Ring>] Tensor<E, A>, Tensor<E, B> => Product<E, A, B>,
    |x, y, ctx, name| mul(&ctx.step(name)?, x, y));
operator!(Plus::plus [A: Fixed, B: Fixed<Ring = A::Ring>] Product<E, A, B>, Product<E, A, B> => Product<E, A, B>,
    |x, y, _ctx| x.plus(y));
operator!(Plus::plus [A: Fixed, B: Fixed<Ring = A::Ring>, T: Fixed<Ring = A::Ring>]
    Product<E, A, B>, Tensor<E, T> => Product<E, A, B>, |x, y, ctx| x.plus_tensor(ctx, y));
operator!(Plus::plus [A: Fixed, B: Fixed<Ring = A::Ring>, T: Fixed<Ring = A::Ring>]
    Tensor<E, T>, Product<E, A, B> => Product<E, A, B>, |x, y, ctx| y.plus_tensor(ctx, x));

macro_rules! numbers {
    ($($n:ty)*) => {$(
        operator!(Plus::plus [] $n, $n => $n, |x, y, _ctx| Ok(*x + *y));
        operator!(Minus::minus [] $n, $n => $n, |x, y, _ctx| Ok(*x - *y));
        operator!(Times::times [] $n, $n => $n, |x, y, _ctx, _name| Ok(*x * *y));
    )*};
}
numbers!(usize u8 u32 u64 i32 i64 f32 f64);
