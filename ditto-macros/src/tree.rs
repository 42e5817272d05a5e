//! Model code after reading: what is plain Rust, what talks, and where formats are converted.

use proc_macro2::{Span, TokenStream};
use syn::{Pat, Type};

use crate::names::Names;
use crate::types::Secrecy;

/// A block of statements.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) stmts: Vec<Stmt>,
}

/// A statement.
pub(crate) enum Stmt {
    /// Plain Rust: an item, an assertion.
    Rust(TokenStream),
    /// `let pat: ty = init else { diverge };`
    Let { attrs: TokenStream, pat: Pat, ty: Option<Type>, init: Option<Box<Expr>>, diverge: Option<Block> },
    /// An expression, with its semicolon if it has one.
    Expr { value: Expr, semi: bool },
}

/// An expression, and what is known of its value.
pub(crate) struct Expr {
    pub(crate) node: Node,
    pub(crate) secrecy: Secrecy,
    /// The author's token that errors of the type checker should point at.
    pub(crate) span: Span,
}

/// Operators between secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Plus,
    Minus,
    Times,
}

/// One branch of `join!`.
pub(crate) struct Branch {
    pub(crate) name: String,
    /// The names used in the branch's context.
    pub(crate) names: Names,
    pub(crate) value: Expr,
}

/// An arm of a `match`.
pub(crate) struct Arm {
    pub(crate) pat: Pat,
    pub(crate) guard: Option<Expr>,
    pub(crate) body: Expr,
}

/// What an expression is.
pub(crate) enum Node {
    /// Plain Rust, as written.
    Rust(TokenStream),
    /// An error in the place of an expression.
    Failed(TokenStream),
    /// A call of a model function, in a step of its own.
    Call {
        function: TokenStream,
        step: String,
        args: Vec<Expr>,
    },
    /// A method of the same `impl`, in a step of its own.
    OwnMethod {
        receiver: Box<Expr>,
        method: TokenStream,
        step: String,
        args: Vec<Expr>,
    },
    /// A tensor's local method, which may fail.
    TensorMethod {
        receiver: Box<Expr>,
        method: TokenStream,
        args: Vec<Expr>,
    },
    /// A method or function of plain Rust around parts that may not be.
    PlainCall {
        function: TokenStream,
        args: Vec<Expr>,
    },
    PlainMethod {
        receiver: Box<Expr>,
        method: TokenStream,
        args: Vec<Expr>,
    },
    /// `+`, `-` or `*`; `step` is used by `*`.
    Operator {
        op: Operator,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
        step: Option<String>,
    },
    /// A binary operator of plain Rust.
    Binary {
        lhs: Box<Expr>,
        op: TokenStream,
        rhs: Box<Expr>,
    },
    /// Tokens before or after an expression: `&x`, `x.field`, `x as T`.
    Around {
        before: TokenStream,
        value: Box<Expr>,
        after: TokenStream,
    },
    Index {
        value: Box<Expr>,
        index: Box<Expr>,
    },
    Range {
        start: Option<Box<Expr>>,
        limits: TokenStream,
        end: Option<Box<Expr>>,
    },
    Paren(Box<Expr>),
    Tuple(Vec<Expr>),
    Array(Vec<Expr>),
    /// `vec!` of values.
    Vec(Vec<Expr>),
    Struct {
        path: TokenStream,
        fields: Vec<(TokenStream, Expr)>,
        rest: Option<Box<Expr>>,
    },
    Block {
        label: TokenStream,
        block: Block,
    },
    If {
        condition: Box<Expr>,
        then: Block,
        otherwise: Option<Box<Expr>>,
    },
    /// `let pat = value` in a condition.
    Let {
        pat: Pat,
        value: Box<Expr>,
    },
    Match {
        value: Box<Expr>,
        arms: Vec<Arm>,
    },
    /// A loop over public values; every pass has steps of its own under `name`.
    For {
        label: TokenStream,
        pat: Pat,
        over: Box<Expr>,
        name: String,
        body: Block,
    },
    Assign {
        place: Box<Expr>,
        value: Box<Expr>,
    },
    Return(Option<Box<Expr>>),
    /// Independent operations side by side.
    Join {
        branches: Vec<Branch>,
    },
    /// One operation on each item, side by side, in passes under `name`.
    JoinEach {
        pat: Pat,
        over: Box<Expr>,
        name: String,
        /// The names used in a pass's context.
        names: Names,
        body: Block,
    },
    /// Protocol calls by hand.
    Protocol {
        ctx: Pat,
        step: String,
        body: TokenStream,
    },
    /// The value in the format written down (`None`: the type of the place it goes to).
    Convert {
        value: Box<Expr>,
        target: Option<Type>,
        step: String,
    },
}

impl Expr {
    pub(crate) fn new(node: Node, secrecy: Secrecy, span: Span) -> Self {
        Self { node, secrecy, span }
    }
}
