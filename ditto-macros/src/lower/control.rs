//! Control flow, all of it public.

use proc_macro2::Span;
use quote::ToTokens;
use syn::spanned::Spanned;

use super::{Lower, pattern_names};
use crate::messages;
use crate::names::Names;
use crate::tree::{Arm, Expr, Node, Stmt};
use crate::types::Secrecy::{Given, Public, Secret, Unknown};

impl Lower<'_> {
    fn condition(&mut self, expr: &syn::Expr) -> Expr {
        let outer = std::mem::replace(&mut self.condition, true);
        let found = self.found;
        let value = self.expr(expr);
        self.condition = outer;
        if matches!(value.secrecy, Secret | Given) && self.found == found {
            return self.reject_keeping(expr, messages::SECRET_CONDITION, vec![value]);
        }
        value
    }

    /// What a loop goes over: a list of secrets may be, a secret not.
    fn items(&mut self, expr: &syn::Expr) -> Expr {
        let value = self.expr(expr);
        if value.secrecy == Secret {
            self.reject_keeping(expr, messages::SECRET_ITEMS, vec![value])
        } else {
            value
        }
    }

    /// Reads what a condition guards: no condition itself.
    fn guarded<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.condition, false);
        let out = read(self);
        self.condition = outer;
        out
    }

    pub(super) fn if_(&mut self, i: &syn::ExprIf) -> Expr {
        let scope = self.vars.len();
        let condition = Box::new(self.condition(&i.cond));
        let then = self.guarded(|lower| lower.block(&i.then_branch));
        self.vars.truncate(scope);
        let otherwise = i.else_branch.as_ref().map(|(_, e)| Box::new(self.guarded(|lower| lower.expr(e))));
        Expr::new(Node::If { condition, then, otherwise }, Unknown, i.span())
    }

    pub(super) fn let_(&mut self, l: &syn::ExprLet) -> Expr {
        let value = self.expr(&l.expr);
        self.bind(&l.pat, None, value.secrecy);
        Expr::new(Node::Let { pat: (*l.pat).clone(), value: Box::new(value) }, Public, l.span())
    }

    pub(super) fn match_(&mut self, m: &syn::ExprMatch) -> Expr {
        let value = Box::new(self.condition(&m.expr));
        let arms = m
            .arms
            .iter()
            .map(|arm| {
                let scope = self.vars.len();
                self.bind(&arm.pat, None, value.secrecy);
                let guard = arm.guard.as_ref().map(|(_, guard)| self.condition(guard));
                let body = self.guarded(|lower| lower.expr(&arm.body));
                self.vars.truncate(scope);
                Arm { pat: arm.pat.clone(), guard, body }
            })
            .collect();
        Expr::new(Node::Match { value, arms }, Unknown, m.span())
    }

    pub(super) fn for_(&mut self, f: &syn::ExprForLoop) -> Expr {
        let over = Box::new(self.items(&f.expr));
        let name = self.passes(f);
        let scope = self.vars.len();
        self.bind(&f.pat, None, over.secrecy);
        let read = |lower: &mut Self| lower.guarded(|lower| lower.block(&f.body));
        let body = self.in_loop(f.label.as_ref(), |lower| lower.in_context(Names::default(), read).0);
        self.vars.truncate(scope);
        let label = f.label.to_token_stream();
        Expr::new(Node::For { label, pat: (*f.pat).clone(), over, name, body }, Public, f.span())
    }

    /// The name of a loop's passes: what the loop calls an item.
    fn passes(&mut self, f: &syn::ExprForLoop) -> String {
        let names = pattern_names(&f.pat);
        // In `(i, layer)` of `enumerate()`, the number says nothing.
        let numbered = matches!(&*f.expr, syn::Expr::MethodCall(call) if call.method == "enumerate");
        let item = if numbered { names.get(1).or(names.first()) } else { names.first() };
        let base = item.map_or("pass", |n| n.trim_start_matches("r#").trim_start_matches('_'));
        let base = if base.is_empty() || item.is_some_and(|n| n == "unused") { "pass" } else { base };
        self.names.last_mut().map(|n| n.passes(base)).unwrap_or_default()
    }

    /// `join!(for item in items { .. })`.
    pub(super) fn join_each(&mut self, f: &syn::ExprForLoop, span: Span) -> Expr {
        let over = Box::new(self.items(&f.expr));
        let name = self.passes(f);
        let scope = self.vars.len();
        let (body, names) = self.in_branch(true, |lower| {
            lower.bind(&f.pat, None, over.secrecy);
            lower.guarded(|lower| lower.block(&f.body))
        });
        self.vars.truncate(scope);
        if !matches!(body.stmts.last(), Some(Stmt::Expr { semi: false, .. })) {
            return self.reject(f.for_token, messages::JOIN_NO_VALUE);
        }
        Expr::new(Node::JoinEach { pat: (*f.pat).clone(), over, name, names, body }, Unknown, span)
    }

    /// `break` and `continue`, which stay within a branch of `join!`.
    pub(super) fn leave(&mut self, expr: &syn::Expr, label: Option<&syn::Lifetime>) -> Expr {
        let inside = self.branch.is_none_or(|branch| {
            let loops = &self.loops[branch.loops..];
            label.map_or(!loops.is_empty(), |label| loops.contains(&label.ident.to_string()))
        });
        if !inside {
            return self.reject(expr, messages::JOIN_LEAVES);
        }
        Expr::new(Node::Rust(expr.to_token_stream()), Public, expr.span())
    }

    pub(super) fn return_(&mut self, r: &syn::ExprReturn) -> Expr {
        if self.branch.is_some() {
            return self.reject(r, messages::JOIN_RETURN);
        }
        let value = r.expr.as_ref().map(|e| {
            let mut value = self.expr(e);
            if let Some(result) = self.result.clone() {
                self.convert(&mut value, Some(&result), None);
            }
            Box::new(value)
        });
        Expr::new(Node::Return(value), Public, r.span())
    }
}
