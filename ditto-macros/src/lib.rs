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
//! | `Attention<P>` in signatures, bounds, `where`, `let`, turbofish and struct expressions | `Attention<E, P>`; numbers, `Shape`, generic parameters, associated types and `Self` stay; `Vec`, `Option`, tuples, slices are looked into |
//! | `F: Fn(&Tensor<T>) -> Tensor<T>` | a model function as an argument: `F: Fn(&Ctx<'_, E>, &Tensor<E, T>) -> Result<Tensor<E, T>>` |
//! | `#[public] config: &Config` on a parameter or a `let`, `#[secure_model(public(Config))]` | a type without an engine; the value, its fields and its methods are plain Rust |
//! | `f(x, w)`: a function named by a path in lower case | `f(&ctx.step("f")?, x, w)?`; the step is called `y.f` in `let y = ..` and numbered where it repeats |
//! | `f::<P::Act>(x)` | `f::<E, P::Act>(..)` |
//! | `Shape::new(..)`, `Some(..)`, `P::heads()`, `usize::max(..)`, `std::..` | plain Rust |
//! | `x.reshape(..)`, `permute`, `slice`, `split_heads`, `merge_heads` | the same and `?`: local methods of tensors |
//! | `x.shape()`, `iter`, `len`, `clone`, `push`, `take`, `insert`, .. | plain Rust: methods of public values, containers and options |
//! | `w.block.forward(x)`: any other method | a method under `#[secure_model]`, of this or another `impl` block, in a step of its own |
//! | `#[public] fn width(&self) -> usize` in an `impl` block under the attribute | plain Rust, and so are its calls on `self` |
//! | `x + y`, `x - y`, `x * y`, `x += y` | `Plus`, `Minus`, `Times` of `ditto_core::nn`; plain Rust where both sides are seen to be public |
//! | `let y: Tensor<F> = value;`, the result, `return value` | `Rescale`: products are rescaled, what has the type stays |
//! | `x = value;`, `cache.keys = value;`, `Pair { a: value }`, `v.push(value)` for a `v` declared as `Vec<Tensor<F>>` | the same, to the type of the place |
//! | `vec![a, b]`, `vec![a; n]`, arrays, tuples, structs | the same, of values of the language |
//! | `let (a, b): (Tensor<F>, Tensor<G>) = join!(f(x), g(x));` | up to six side by side, conversions included: hops are shared |
//! | `let ys: Vec<Tensor<F>> = join!(for x in &xs { f(x) });` | one for each item, side by side, in passes `x.0`, `x.1`, .. |
//! | `for layer in &w.layers { .. }` | every pass has steps of its own: `layer.0/..`, `layer.1/..` |
//! | `if`, `if let`, `match`, `let .. else`, `break`, `continue`, labels on public values | plain Rust; the branches' values are converted |
//! | `cache: &mut Cache<P>` | state: its fields are assigned, pushed to and read back by later calls of the same program |
//! | `assert!(..)`, `panic!(..)`, `format!(..)`, `println!(..)`, .. and items | plain Rust, as written |
//!
//! A function that needs to name its engine declares it: with a parameter bound by `Engine`, that one is used.
//!
//! # What is rejected
//!
//! | Construct | Remedy |
//! |---|---|
//! | `if`, `match` on a secret or on what a model function gives; `<`, `==`, `!` on secrets | `select(&greater(&x, &y), &a, &b)`, `maximum`, `relu`; a public result of a model function goes through `let n: usize = f(..);` |
//! | `for` over a tensor | `slice` in a loop over its public extents |
//! | `while`, `loop` | `for` over a public range |
//! | `x[i]` of a tensor, `v[secret]` | `slice`; a one-hot product |
//! | `x / y`, `-x`, `x * 0.5` | `normalize` and the like; fold factors into the weights (`LinearShape::scaled`) |
//! | a method that tensors do not have | a function |
//! | `?`, `unsafe`, `async`, closures, calls of expressions, `break` with a value | as each message says |
//! | macros that may hide calls (`dbg!`, ..) | `public!(..)`, or plain code |
//! | `return`, `break` out of a branch of `join!`; assignments in the passes of `join!(for ..)` to what is outside | after the join |
//! | a `Result` or `ctx` in the signature, `impl Trait`, `async`, `unsafe`, `const fn`, `extern`, `impl` of a trait | the macro adds the first two; name concrete types |
//!
//! An error stands in the place of the expression that has it. The rest of the function stays, so that the compiler
//! says everything that is wrong at once, and editors go on completing.
//!
//! Scales and rings are the type checker's: formats that do not add, products where tensors are wanted, and casts in
//! the wrong direction do not compile.
//!
//! # Ways out
//!
//! * `public!(expression)` is plain Rust, left exactly as it is. It cannot name the context.
//! * `protocol!(|ctx| expression)` calls protocols by hand: `ctx` is a context of its own, the expression a `Result`.
//!   `protocol!(|_| Err::<(), _>(error));` ends the function with an error.

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
/// All errors of a function are reported at once; its interface and all of its body that can be read stay.
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
/// A field may be any type that implements `Weights`; a bare `Tensor` is stored under the field's own name, and `with` is
/// its `Shape`.
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
