//! The words the macros know: one place for every list that decides what an expression means.

/// Methods of secret tensors that move elements. They are local and fallible: the macro adds `?`.
pub(crate) const TENSOR_METHODS: &[&str] = &["reshape", "permute", "slice", "split_heads", "merge_heads"];

/// Methods of public values, and of containers of secrets. They are left as they are.
#[rustfmt::skip]
pub(crate) const PUBLIC_METHODS: &[&str] = &[
    // what a tensor tells
    "shape", "dims", "rank", "rows", "exponent",
    // copies
    "clone", "cloned", "copied", "to_owned", "to_vec", "to_string", "into",
    // containers and iterators
    "len", "is_empty", "iter", "iter_mut", "into_iter", "enumerate", "zip", "rev", "skip", "take",
    "step_by", "chunks", "chunks_exact", "windows", "chain", "peekable", "next", "nth", "first", "last",
    "first_mut", "last_mut", "get", "get_mut", "push", "pop", "insert", "remove", "swap_remove",
    "truncate", "clear", "extend", "reverse", "split_at", "split_first", "split_last", "contains",
    "contains_key", "keys", "values", "position", "sum", "product", "count",
    // options
    "as_ref", "as_mut", "as_deref", "as_slice", "as_mut_slice", "as_str", "is_some", "is_none",
    "replace", "unwrap_or", "unwrap_or_default", "ok_or", "get_or_insert", "then_some",
    // numbers
    "min", "max", "clamp", "abs", "abs_diff", "signum", "pow", "powi", "powf", "sqrt", "isqrt", "recip",
    "exp", "ln", "log2", "floor", "ceil", "round", "div_ceil", "div_euclid", "rem_euclid",
    "next_power_of_two", "is_power_of_two", "is_multiple_of", "ilog2", "trailing_zeros", "count_ones",
    "saturating_sub", "saturating_add", "checked_sub", "checked_add",
];

/// Of [`PUBLIC_METHODS`], those whose result is public whatever the receiver is.
pub(crate) const PUBLIC_RESULTS: &[&str] =
    &["shape", "dims", "rank", "rows", "exponent", "len", "is_empty", "is_some", "is_none"];

/// Of [`PUBLIC_METHODS`], those that give what they are called on.
pub(crate) const COPIES: &[&str] = &["clone", "to_owned"];

/// Types without an engine.
pub(crate) const PUBLIC_TYPES: &[&str] = &[
    "bool",
    "char",
    "str",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "String",
    "Shape",
    "Activation",
    "Pointwise",
    "LinearShape",
    "Fx",
    "Z",
    "PhantomData",
];

/// Types whose arguments are looked at, and which have no engine themselves.
pub(crate) const CONTAINERS: &[&str] = &["Option", "Vec", "Box", "Arc", "Rc", "Range", "RangeInclusive"];

/// Types whose values are secret.
pub(crate) const SECRET_TYPES: &[&str] = &["Tensor", "Product", "Bits"];

/// Macros whose arguments are plain Rust.
pub(crate) const PLAIN_MACROS: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "panic",
    "unreachable",
    "unimplemented",
    "todo",
    "matches",
    "format",
    "println",
    "eprintln",
    "concat",
    "stringify",
];

/// Where a path of plain Rust may start in lower case.
pub(crate) const PUBLIC_ROOTS: &[&str] = &["std", "core", "alloc"];

/// Whether `list` has `word`.
pub(crate) fn has(list: &[&str], word: &impl ToString) -> bool {
    list.contains(&word.to_string().as_str())
}
