//! Procedural macros of Ditto: model code in plain Rust, expanded to protocol calls.
//!
//! A model is written once, over secret tensors. [`macro@secure_model`] makes it generic over the engine that reads it
//! (three parties, a simulation, floats, a meter), gives every protocol call a context of its own, and converts
//! formats where they are written down. [`macro@Weights`] loads a model's weights by their names in a checkpoint.
//!
//! # The language
//!
//! | Written | Means |
//! |---|---|
//! | `fn f<P: Plan>(x: &Tensor<P::Act>) -> Tensor<P::Act>` | `fn f<E: Engine, P: Plan>(ctx: &Ctx<'_, E>, x: &Tensor<E, P::Act>) -> Result<Tensor<E, P::Act>>` |
//! | `Attention<P>` in signatures, `let` and turbofish | `Attention<E, P>`; numbers, `Shape`, generic parameters, associated types and `Self` stay; `Vec`, `Option`, tuples, slices are looked into |
//! | `#[public] config: &Config` on a parameter or a `let`, `#[secure_model(public(Config))]` | a type without an engine |
//! | `f(x, w)`: a function named by a path in lower case | `f(&ctx.step("f")?, x, w)?`; the step is called `y.f` in `let y = ..` and numbered where it repeats |
//! | `f::<P::Act>(x)` | `f::<E, P::Act>(..)` |
//! | `Shape::new(..)`, `Some(..)`, `P::heads()`, `usize::max(..)`, `std::..` | plain Rust |
//! | `x.reshape(..)`, `permute`, `slice`, `split_heads`, `merge_heads` | the same and `?`: local methods of tensors |
//! | `x.shape()`, `iter`, `len`, `clone`, `push`, .. | plain Rust: methods of public values and containers |
//! | `x + y`, `x - y`, `x * y`, `x += y` | `Plus`, `Minus`, `Times` of `ditto_core::nn`; plain Rust where both sides are seen to be public |
//! | `let y: Tensor<F> = value;`, the result, `return value` | `Rescale`: products are rescaled, what has the type stays |
//! | `x = value;` | the same, to the type of `x` |
//! | `let (a, b): (Tensor<F>, Tensor<G>) = join!(f(x), g(x));` | both side by side, conversions included: hops are shared |
//! | `for layer in &w.layers { .. }` | every pass has steps of its own: `layer.0/..`, `layer.1/..` |
//! | `if`, `if let`, `match`, `let .. else`, `break`, `continue` on public values | plain Rust; the branches' values are converted |
//! | `assert!(..)`, `panic!(..)`, `format!(..)`, .. and items | plain Rust, as written |
//! | methods of one `impl` block under the attribute, as `self.f(x)` | calls in steps of their own |
//!
//! A function that needs to name its engine declares it: with a parameter bound by `Engine`, that one is used.
//!
//! # What is rejected
//!
//! | Construct | Remedy |
//! |---|---|
//! | `if`, `match`, `for` on what a model function or a tensor's method gives; `<`, `==`, `!` on secrets | compute both sides and `select` in `protocol!(..)`; a public result of a model function goes through `let n: usize = f(..);` |
//! | `while`, `loop` | `for` over a public range |
//! | `x[i]` of a tensor, `v[secret]` | `slice`; a one-hot product |
//! | `x / y`, `-x`, `x * 0.5` | `normalize` and the like; fold factors into the weights (`LinearShape::scaled`) |
//! | an unknown method | a function, or `public!(..)` |
//! | `?`, `unsafe`, `async`, closures, calls of expressions, `break` with a value | as each message says |
//! | macros that may hide calls (`vec!`, ..) | `public!(vec!(..))`, or plain code |
//! | `return` in a branch of `join!` | return after the join |
//! | a `Result` or `ctx` in the signature, `impl Trait`, `const fn`, `extern` | the macro adds the first two; name concrete types |
//!
//! Scales and rings are the type checker's: formats that do not add, products where tensors are wanted, and casts in
//! the wrong direction do not compile.
//!
//! # Ways out
//!
//! * `public!(expression)` is plain Rust, left exactly as it is. It cannot name the context.
//! * `protocol!(|ctx| expression)` calls protocols by hand: `ctx` is a context of its own, the expression a `Result`.

mod errors;
mod generate;
mod lower;
mod messages;
mod model;
mod names;
mod salvage;

#[cfg(test)]
mod tests;
mod tree;
mod types;
mod weights;
mod words;

use proc_macro::TokenStream;

/// Turns a function over secret tensors, or the methods of an `impl` block, into code that runs under every engine.
///
/// ```ignore
/// #[secure_model]
/// pub fn attention<P: Plan>(w: &Attention<P>, x: &Tensor<P::Act>) -> Product<P::Act, P::Weight> {
///     let (q, k, v): (Tensor<P::Act>, Tensor<P::Act>, Tensor<P::Value>) =
///         join!(linear(x, &w.query), linear(x, &w.key), linear(x, &w.value));
///     let scores = matmul_t(&q.split_heads(w.heads), &k.split_heads(w.heads));
///     let context: Tensor<P::Act> = softmax_attend(Softmax::Exact, &scores, &v.split_heads(w.heads));
///     linear(&context.merge_heads(), &w.output)
/// }
/// ```
///
/// is called as `attention(ctx, &w, &x)` and gives a `Result`. The [crate's page](crate) lists what may be written.
///
/// Options: `public(Type, ..)` names types without an engine; `crate = path` is where `ditto_core` is.
///
/// # Errors
/// All errors of a function are reported at once; its interface stays, so that its callers keep their types.
#[proc_macro_attribute]
pub fn secure_model(options: TokenStream, item: TokenStream) -> TokenStream {
    model::expand(options.into(), item.into()).into()
}

/// Implements `ditto_core::nn::Weights` for a struct with named fields, generic over its engine.
///
/// ```ignore
/// #[derive(Weights)]
/// #[weights(config = BertConfig)]
/// pub struct Encoder<E: Engine, P: Plan> {
///     /// `layer.0`, `layer.1`, .., each loaded with the same configuration.
///     #[weights(name = "layer", count = config.num_hidden_layers)]
///     layers: Vec<Layer<E, P>>,
///     /// `pooler.dense`, if the configuration asks for it.
///     #[weights(name = "pooler.dense", when = config.pooled,
///         with = LinearShape::new(config.hidden_size, config.hidden_size))]
///     pooler: Option<Linear<E, P::Weight, P::Bias>>,
///     /// Public, not in the checkpoint.
///     #[weights(value = config.num_attention_heads)]
///     heads: usize,
/// }
/// ```
///
/// | Key | On | Means |
/// |---|---|---|
/// | `config = Type` | the struct | what shapes depend on; expressions below call it `config` |
/// | `crate = path` | the struct | where `ditto_core` is |
/// | `name = ".."` | a field | its place in the checkpoint, below the struct's; the field's name if left out |
/// | `with = expression` | a field | the configuration of the field's type; `config` itself if left out |
/// | `count = expression` | a `Vec` | so many, at `name.0`, `name.1`, ..; `with` may mention `index` |
/// | `when = condition` | an `Option` | loaded if the condition holds |
/// | `value = expression` | a field | a public value, not in the checkpoint |
#[proc_macro_derive(Weights, attributes(weights))]
pub fn derive_weights(item: TokenStream) -> TokenStream {
    weights::expand(item.into()).into()
}
