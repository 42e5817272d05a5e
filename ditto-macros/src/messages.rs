//! What the macros say, in one place: every text is shown by a compile-fail test, see `tests/tests/ui`.

use std::fmt;

use quote::ToTokens;

/// A text for the author; it ends in a remedy. Only this file makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message(&'static str);

/// A text with its gaps filled.
pub(crate) struct Filled(String);

impl Message {
    /// Fills the first gap, `{}`, wherever it occurs.
    pub(crate) fn with(self, word: impl fmt::Display) -> Filled {
        Filled(self.0.replace("{}", &word.to_string()))
    }

    /// As an error on the author's tokens.
    pub(crate) fn at(self, tokens: impl ToTokens) -> syn::Error {
        syn::Error::new_spanned(tokens, self)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for Filled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an error may say.
pub(crate) trait Says: fmt::Display {}
impl Says for Message {}
impl Says for Filled {}

macro_rules! messages {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) const $name: Message = Message($text);)*

        /// All of them, with their names.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $text)),*];
    };
}

messages! {
    // The attribute and the interface.
    UNKNOWN_OPTION = "unknown option `{}`; there are `crate = path` and `public(Type, ..)`";
    WRONG_ITEM = "`#[secure_model]` stands on functions and on `impl` blocks; put it on each of them";
    TRAIT_IMPL = "methods of a trait keep the trait's signature; put `#[secure_model]` on an inherent `impl`";
    CTX_PARAMETER = "the macro adds the context itself; remove this parameter or rename it";
    ASYNC_FN = "`async` is not part of model code; protocol calls block, and `join!` runs them side by side; remove it";
    UNSAFE_FN = "`unsafe` is not part of model code; call a function of plain Rust in `public!(..)`";
    CONST_FN = "model code is not `const`: every operation may talk; remove it";
    EXTERN_FN = "model code has no foreign interface; remove `extern`";
    RESULT_TYPE = "the macro makes the result a `Result` itself; write the type inside it";
    OTHER_TYPE = "this kind of type is not part of model code; name a concrete type, or mark the parameter `#[public]`";
    BROKEN_STATEMENT = "this statement cannot be read; the rest of the function is kept meanwhile; finish it";

    // Control flow.
    SECRET_CONDITION = "control flow cannot depend on a secret; compute both sides and choose with `select(&greater(&x, &y), &a, &b)`, or give a public result of a function a type first: `let n: usize = f(..);`";
    SECRET_ITEMS = "a tensor is no list; loop over its public extents and take a `slice(axis, i, i + 1)`";
    SECRET_RESULT_IN_CONDITION = "control flow cannot depend on a secret, and `{}` gives one; compute both sides and choose with `select(&greater(&x, &y), &a, &b)`, or give a public result a type first: `let n: usize = {}(..);`";
    SECRET_COMPARISON = "secrets are not compared by operators: control flow cannot depend on them; `greater(&x, &y)` gives secret bits, `select`, `maximum` and `relu` choose";
    SECRET_TRUTH = "a secret has no truth value; swap the sides of `select` instead";
    UNBOUNDED_LOOP = "`while` and `loop` are not part of model code; use `for` over a public range, so that every pass has steps of its own";
    BREAK_VALUE = "`break` with a value is not part of model code; assign to a variable first";

    // Side by side.
    JOIN_FORM = "write `join!(f(x), g(x), ..)` with expressions, or `join!(for x in xs { .. })`";
    JOIN_ONE = "`join!` runs at least two operations side by side; write one without it";
    JOIN_MANY = "`join!` takes up to six operations; join two groups, or write `join!(for x in xs { .. })`";
    JOIN_RETURN = "a branch of `join!` cannot return; return after the join";
    JOIN_LEAVES = "a branch of `join!` runs to its end; choose with `if`, or leave the loop after the join";
    JOIN_ASSIGNS = "passes of `join!` run side by side and cannot assign to `{}`; give the value back and use it after the join";
    JOIN_NO_VALUE = "each pass of `join!` gives one value; end the body with an expression";

    // Operators.
    NUMBER_WITH_SECRET = "numbers and secret tensors do not mix; fold the number into the weights (`LinearShape::scaled`)";
    NEGATION = "a tensor has no unary `-`; subtract it, or fold the sign into the weights (`LinearShape::scaled`)";
    DIVISION = "tensors are not divided; use `normalize`, `layer_norm` or `softmax_attend`, or fold a public factor into the weights";
    OTHER_OPERATOR = "secret tensors have `+`, `-` and `*` only; write a function, or `protocol!(|ctx| ..)`";
    TENSOR_INDEX = "tensors are not indexed; use `slice(axis, start, end)`";
    SECRET_INDEX = "an index cannot depend on a secret; use a one-hot product with `matmul`";

    // Calls.
    CALLED_EXPRESSION = "only functions named by a path are called in model code; name it, or write `public!(..)`";
    UNKNOWN_OPERATION = "unknown operation `{}`: secret tensors have `reshape`, `permute`, `slice`, `split_heads`, `merge_heads`, and functions such as `linear`, `mul` and `relu`; call a function";
    HIDING_MACRO = "`{}!` may hide protocol calls from this macro; write `public!({}!(..))` if nothing in it is secret, or plain functions";
    PUBLIC_FORM = "write `public!(expression)` around plain Rust";
    VEC_FORM = "write `vec![a, b, ..]` or `vec![a; n]`";
    PROTOCOL_FORM = "write `protocol!(|ctx| expression)`; the expression gives a `Result`";
    CLOSURE = "closures are not part of model code; write a `for` loop, a function under `#[secure_model]`, or `public!(..)` if nothing in it is secret";
    QUESTION_MARK = "the macro inserts `?` itself; remove it, or write `public!(..)` around plain Rust";
    UNSAFE_BLOCK = "`unsafe` is not part of model code; move it into a function of plain Rust and call that in `public!(..)`";
    ASYNC_BLOCK = "`async` is not part of model code; protocol calls block, and `join!` runs independent ones side by side";
    OTHER_EXPRESSION = "this is not part of model code; write `public!(..)` around plain Rust, or `protocol!(|ctx| ..)`";

    // `#[derive(Weights)]`.
    STRUCT_KEY = "unknown key; a struct of weights has `config = Type` and `crate = path`";
    FIELD_KEY = "unknown key; a field has `name = \"..\"`, `with = config`, `count = number`, `when = condition` or `value = expression`";
    KEY_TWICE = "this key is given twice; keep one";
    NO_ENGINE = "weights belong to an engine; declare it as the first type parameter: `struct Name<E: Engine, ..>`";
    NO_CONFIG = "say what the shapes depend on: `#[weights(config = Type)]` on the struct";
    UNNAMED_FIELDS = "a checkpoint goes by names; give the fields names";
    UNIT_STRUCT = "a struct of weights has fields; nothing is to be loaded here: add them, or remove the derive";
    ENUM = "weights are structs; hold the alternatives as `Option` fields with `#[weights(when = ..)]`";
    UNION = "weights are structs; make this a struct";
    VALUE_WITH_KEY = "a `value` is not in the checkpoint; remove this key, or `value`";
    COUNT_AND_WHEN = "a field is a `Vec` with `count` or an `Option` with `when`; nest one in a struct";
    WHEN_TO_LOAD = "say when to load this: `#[weights({})]`";
    WANTS_VEC = "`count` loads a `Vec<..>`; write that type, or remove `count`";
    WANTS_OPTION = "`when` loads an `Option<..>`; write that type, or remove `when`";
}
