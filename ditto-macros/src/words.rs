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
    "len", "is_empty", "iter", "into_iter", "enumerate", "zip", "rev", "skip", "take", "step_by",
    "chunks", "windows", "chain", "first", "last", "get", "push", "contains", "sum", "count",
    // options
    "as_ref", "as_deref", "as_slice", "as_str", "is_some", "is_none", "unwrap_or",
    "unwrap_or_default", "ok_or",
    // numbers
    "min", "max", "abs", "pow", "powi", "sqrt", "recip", "div_ceil", "next_power_of_two",
    "is_power_of_two", "ilog2", "saturating_sub", "checked_sub", "rem_euclid", "is_multiple_of",
];

/// Of [`PUBLIC_METHODS`], those whose result is public whatever the receiver is.
pub(crate) const PUBLIC_RESULTS: &[&str] =
    &["shape", "dims", "rank", "rows", "exponent", "len", "is_empty", "is_some", "is_none"];

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
    "LinearShape",
    "Fx",
    "Z",
    "PhantomData",
];

/// Types whose arguments are looked at, and which have no engine themselves.
pub(crate) const CONTAINERS: &[&str] = &["Option", "Vec", "Box", "Arc", "Rc", "Range", "RangeInclusive"];

/// Types whose values are secret.
pub(crate) const SECRET_TYPES: &[&str] = &["Tensor", "Product"];

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
    "concat",
    "stringify",
];

/// Where a path of plain Rust may start in lower case.
pub(crate) const PUBLIC_ROOTS: &[&str] = &["std", "core", "alloc"];

/// Whether `list` has `word`.
pub(crate) fn has(list: &[&str], word: &impl ToString) -> bool {
    list.contains(&word.to_string().as_str())
}
