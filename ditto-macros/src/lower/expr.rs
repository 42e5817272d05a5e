//! Expressions.

use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{BinOp, Expr as Rust, Lit, UnOp};

use super::{Branch, Lower};
use crate::messages;
use crate::tree::{Expr, Node, Operator};
use crate::types::Secrecy::{self, Given, Public, Secret, Unknown};

impl Lower<'_> {
    pub(super) fn expr(&mut self, expr: &Rust) -> Expr {
        let span = expr.span();
        let (node, secrecy) = match expr {
            Rust::Lit(_) | Rust::Infer(_) => (Node::Rust(expr.to_token_stream()), Public),
            Rust::Path(p) => return self.path(p),
            Rust::Call(call) => return self.call(call),
            Rust::MethodCall(call) => return self.method(call),
            Rust::Macro(m) => return self.macro_call(&m.mac, span),
            Rust::Binary(b) => return self.binary(b),
            Rust::Unary(u) => return self.unary(u),
            Rust::Index(i) => return self.index(i),
            Rust::Assign(a) => return self.assign(a),
            Rust::If(i) => return self.if_(i),
            Rust::Match(m) => return self.match_(m),
            Rust::ForLoop(f) => return self.for_(f),
            Rust::Let(l) => return self.let_(l),
            Rust::Return(r) => return self.return_(r),
            Rust::Paren(p) => {
                let value = self.expr(&p.expr);
                let secrecy = value.secrecy;
                (Node::Paren(Box::new(value)), secrecy)
            }
            Rust::Group(g) => return self.expr(&g.expr),
            Rust::Continue(c) => return self.leave(expr, c.label.as_ref()),
            Rust::Break(b) if b.expr.is_none() => return self.leave(expr, b.label.as_ref()),
            Rust::Reference(r) => {
                let (value, and, mutability) = (self.expr(&r.expr), &r.and_token, &r.mutability);
                let secrecy = value.secrecy;
                (around(quote!(#and #mutability), value, quote!()), secrecy)
            }
            Rust::Field(f) => {
                let (value, dot, member) = (self.expr(&f.base), &f.dot_token, &f.member);
                let secrecy = if value.secrecy == Public { Public } else { Unknown };
                (around(quote!(), value, quote!(#dot #member)), secrecy)
            }
            Rust::Cast(c) => {
                let (value, ty) = (self.expr(&c.expr), &c.ty);
                (around(quote!(), value, quote!(as #ty)), Public)
            }
            Rust::Range(r) => {
                let limits = r.limits.to_token_stream();
                let mut end = |e: &Option<Box<Rust>>| e.as_ref().map(|e| Box::new(self.expr(e)));
                (Node::Range { start: end(&r.start), limits, end: end(&r.end) }, Public)
            }
            Rust::Tuple(t) => (Node::Tuple(t.elems.iter().map(|e| self.expr(e)).collect()), Unknown),
            Rust::Array(a) => (Node::Array(a.elems.iter().map(|e| self.expr(e)).collect()), Unknown),
            Rust::Repeat(r) => {
                let (value, len) = (self.expr(&r.expr), &r.len);
                (
                    Node::Array(vec![Expr::new(around(quote!(), value, quote!(; #len)), Unknown, span)]),
                    Unknown,
                )
            }
            Rust::Struct(s) => (self.struct_(s), Unknown),
            Rust::Block(b) => {
                let label = b.label.to_token_stream();
                let block = match &b.label {
                    Some(l) => self.in_loop(Some(l), |lower| lower.block(&b.block)),
                    None => self.block(&b.block),
                };
                (Node::Block { label, block }, Unknown)
            }
            other => return self.outside_the_language(other),
        };
        Expr::new(node, secrecy, span)
    }

    /// A struct; secret values take the formats of its fields.
    fn struct_(&mut self, s: &syn::ExprStruct) -> Node {
        let mut path = s.path.clone();
        let rewritten = self.types.rewrite_expr_path(&mut path);
        self.take(rewritten);
        let fields = s.fields.iter().map(|f| {
            let mut value = self.expr(&f.expr);
            if matches!(value.secrecy, Secret | Given) && !matches!(f.expr, Rust::Reference(_)) {
                self.convert(&mut value, None, None);
            }
            (f.member.to_token_stream(), value)
        });
        let fields = fields.collect();
        let rest = s.rest.as_ref().map(|e| Box::new(self.expr(e)));
        Node::Struct { path: path.to_token_stream(), fields, rest }
    }

    fn outside_the_language(&mut self, expr: &Rust) -> Expr {
        // One token, not a page.
        match expr {
            Rust::While(w) => self.reject(w.while_token, messages::UNBOUNDED_LOOP),
            Rust::Loop(l) => self.reject(l.loop_token, messages::UNBOUNDED_LOOP),
            Rust::Unsafe(u) => self.reject(u.unsafe_token, messages::UNSAFE_BLOCK),
            Rust::Async(a) => self.reject(a.async_token, messages::ASYNC_BLOCK),
            Rust::Await(a) => self.reject(a.await_token, messages::ASYNC_BLOCK),
            Rust::Closure(c) => self.reject(c, messages::CLOSURE),
            Rust::Break(b) => self.reject(b, messages::BREAK_VALUE),
            Rust::Try(t) => {
                self.note(t.question_token, messages::QUESTION_MARK);
                self.expr(&t.expr)
            }
            other => self.reject(other, messages::OTHER_EXPRESSION),
        }
    }

    fn path(&mut self, p: &syn::ExprPath) -> Expr {
        let span = p.span();
        let secrecy = match p.path.get_ident() {
            Some(ident) => match self.lookup(&ident.to_string()) {
                Some(var) => var.secrecy,
                // A constant.
                None if is_constant(&ident.to_string()) => Public,
                None => Unknown,
            },
            None => Public,
        };
        let mut p = p.clone();
        let rewritten = self.types.rewrite_expr_path(&mut p.path);
        self.take(rewritten);
        Expr::new(Node::Rust(p.to_token_stream()), secrecy, span)
    }

    fn unary(&mut self, u: &syn::ExprUnary) -> Expr {
        let value = self.expr(&u.expr);
        if value.secrecy == Secret && !matches!(u.op, UnOp::Deref(_)) {
            let message = match u.op {
                UnOp::Not(_) => messages::SECRET_TRUTH,
                _ => messages::NEGATION,
            };
            return self.reject_keeping(u, message, vec![value]);
        }
        let secrecy = value.secrecy;
        Expr::new(around(u.op.to_token_stream(), value, quote!()), secrecy, u.span())
    }

    fn binary(&mut self, b: &syn::ExprBinary) -> Expr {
        let (op, assigns) = match b.op {
            BinOp::Add(_) => (Operator::Plus, false),
            BinOp::Sub(_) => (Operator::Minus, false),
            BinOp::Mul(_) => (Operator::Times, false),
            BinOp::AddAssign(_) => (Operator::Plus, true),
            BinOp::SubAssign(_) => (Operator::Minus, true),
            BinOp::MulAssign(_) => (Operator::Times, true),
            _ => return self.plain_binary(b),
        };
        if assigns {
            return self.compound(b, op);
        }
        let (lhs, rhs) = (self.expr(&b.left), self.expr(&b.right));
        if lhs.secrecy == Public && rhs.secrecy == Public {
            let op = b.op.to_token_stream();
            let node = Node::Binary { lhs: Box::new(lhs), op, rhs: Box::new(rhs) };
            return Expr::new(node, Public, b.span());
        }
        let (left, right) = (lhs.secrecy, rhs.secrecy);
        for (side, other) in [(&b.left, right), (&b.right, left)] {
            if other == Secret && is_number(side) {
                return self.reject_keeping(&**side, messages::NUMBER_WITH_SECRET, vec![lhs, rhs]);
            }
        }
        let step = (op == Operator::Times).then(|| self.name("mul"));
        let secrecy = either(left, right);
        let node = Node::Operator { op, lhs: Box::new(lhs), rhs: Box::new(rhs), step };
        Expr::new(node, secrecy, b.op.span())
    }

    /// Operators that secrets do not have.
    fn plain_binary(&mut self, b: &syn::ExprBinary) -> Expr {
        let (lhs, rhs) = (self.expr(&b.left), self.expr(&b.right));
        if lhs.secrecy == Secret || rhs.secrecy == Secret {
            let message = match b.op {
                BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_) | BinOp::Eq(_) | BinOp::Ne(_) => {
                    messages::SECRET_COMPARISON
                }
                BinOp::Div(_) | BinOp::DivAssign(_) => messages::DIVISION,
                _ => messages::OTHER_OPERATOR,
            };
            return self.reject_keeping(b, message, vec![lhs, rhs]);
        }
        let op = b.op.to_token_stream();
        let secrecy = match b.op {
            BinOp::Div(_) | BinOp::Rem(_) if lhs.secrecy != Public || rhs.secrecy != Public => Unknown,
            _ => Public,
        };
        Expr::new(Node::Binary { lhs: Box::new(lhs), op, rhs: Box::new(rhs) }, secrecy, b.span())
    }

    /// `x += y` is `x = &x + y`.
    fn compound(&mut self, b: &syn::ExprBinary, op: Operator) -> Expr {
        let place = self.expr(&b.left);
        let value = self.with_target_of(&b.left, |lower| {
            let (lhs, rhs) = (lower.expr(&b.left), lower.expr(&b.right));
            if lhs.secrecy == Public && rhs.secrecy == Public {
                return None;
            }
            let secrecy = either(lhs.secrecy, rhs.secrecy);
            let span = lhs.span;
            let lhs = Expr::new(around(quote!(&), lhs, quote!()), secrecy, span);
            let step = (op == Operator::Times).then(|| lower.name("mul"));
            let node = Node::Operator { op, lhs: Box::new(lhs), rhs: Box::new(rhs), step };
            let mut value = Expr::new(node, secrecy, b.span());
            lower.convert(&mut value, None, None);
            Some(value)
        });
        match value {
            Some(value) => {
                Expr::new(Node::Assign { place: Box::new(place), value: Box::new(value) }, Public, b.span())
            }
            None => self.plain_binary(b),
        }
    }

    fn assign(&mut self, a: &syn::ExprAssign) -> Expr {
        let place = self.expr(&a.left);
        let ty = match &*a.left {
            Rust::Path(p) => p.path.get_ident().and_then(|i| self.lookup(&i.to_string())?.ty.clone()),
            _ => None,
        };
        let value = self.with_target_of(&a.left, |lower| {
            let mut value = lower.expr(&a.right);
            let plain = value.secrecy == Public || matches!(&*a.right, Rust::Reference(_));
            let converts = ty.as_ref().is_none_or(|ty| lower.types.converts(ty));
            if !plain && converts && !matches!(&*a.left, Rust::Infer(_)) {
                lower.convert(&mut value, ty.as_ref(), None);
            }
            value
        });
        Expr::new(Node::Assign { place: Box::new(place), value: Box::new(value) }, Public, a.span())
    }

    /// Reads with steps named after the variable assigned to.
    fn with_target_of<T>(&mut self, place: &Rust, read: impl FnOnce(&mut Self) -> T) -> T {
        self.assigned(place);
        let target = match place {
            Rust::Path(p) => p.path.get_ident().map(ToString::to_string),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.target, target);
        let out = read(self);
        self.target = outer;
        out
    }

    /// Passes of `join!` cannot assign to what is defined outside of them.
    fn assigned(&mut self, place: &Rust) {
        let Some(Branch { vars: Some(from), .. }) = self.branch else { return };
        let root = root_of(place).map(ToString::to_string);
        let outer = root
            .is_some_and(|name| self.vars.iter().rposition(|v| v.name == name).is_some_and(|at| at < from));
        if outer {
            self.note(place, messages::JOIN_ASSIGNS.with(place.to_token_stream()));
        }
    }

    fn index(&mut self, i: &syn::ExprIndex) -> Expr {
        let (value, index) = (self.expr(&i.expr), self.expr(&i.index));
        if value.secrecy == Secret {
            return self.reject_keeping(i, messages::TENSOR_INDEX, vec![value, index]);
        }
        if index.secrecy == Secret {
            return self.reject_keeping(&*i.index, messages::SECRET_INDEX, vec![value, index]);
        }
        let secrecy = if value.secrecy == Public { Public } else { Unknown };
        Expr::new(Node::Index { value: Box::new(value), index: Box::new(index) }, secrecy, i.span())
    }
}

pub(super) fn around(before: proc_macro2::TokenStream, value: Expr, after: proc_macro2::TokenStream) -> Node {
    Node::Around { before, value: Box::new(value), after }
}

/// The variable that a place is in.
fn root_of(place: &Rust) -> Option<&syn::Ident> {
    match place {
        Rust::Path(p) => p.path.get_ident(),
        Rust::Field(f) => root_of(&f.base),
        Rust::Index(i) => root_of(&i.expr),
        Rust::Paren(p) => root_of(&p.expr),
        Rust::Unary(u) => root_of(&u.expr),
        _ => None,
    }
}

fn is_constant(name: &str) -> bool {
    name.len() > 1 && name.chars().all(|c| c.is_uppercase() || c.is_ascii_digit() || c == '_')
}

fn is_number(expr: &Rust) -> bool {
    match expr {
        Rust::Lit(l) => matches!(l.lit, Lit::Int(_) | Lit::Float(_)),
        Rust::Paren(p) => is_number(&p.expr),
        Rust::Unary(u) => is_number(&u.expr),
        _ => false,
    }
}

/// The secrecy of either of two values.
pub(super) fn either(a: Secrecy, b: Secrecy) -> Secrecy {
    match (a, b) {
        (Secret, _) | (_, Secret) => Secret,
        (Given, _) | (_, Given) => Given,
        (Public, Public) => Public,
        _ => Unknown,
    }
}
