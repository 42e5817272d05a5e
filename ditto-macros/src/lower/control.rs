//! Control flow, all of it public.

use quote::ToTokens;
use syn::spanned::Spanned;

use super::{Lower, pattern_names};
use crate::names::Names;
use crate::tree::{Arm, Expr, Node};
use crate::types::Secrecy::{Public, Secret, Unknown};

const ON_A_SECRET: &str = "control flow cannot depend on a secret; compute both sides and `select` between them in \
                           `protocol!(|ctx| ..)`";

impl Lower<'_> {
    fn condition(&mut self, expr: &syn::Expr) -> Expr {
        let outer = std::mem::replace(&mut self.condition, true);
        let errors = self.errors.count();
        let value = self.expr(expr);
        self.condition = outer;
        if value.secrecy == Secret && self.errors.count() == errors {
            return self.reject(expr, ON_A_SECRET);
        }
        value
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
        self.bind(&l.pat, None, Unknown);
        Expr::new(Node::Let { pat: (*l.pat).clone(), value: Box::new(value) }, Public, l.span())
    }

    pub(super) fn match_(&mut self, m: &syn::ExprMatch) -> Expr {
        let value = Box::new(self.condition(&m.expr));
        let arms = m
            .arms
            .iter()
            .map(|arm| {
                let scope = self.vars.len();
                self.bind(&arm.pat, None, Unknown);
                let guard = arm.guard.as_ref().map(|(_, guard)| self.condition(guard));
                let body = self.guarded(|lower| lower.expr(&arm.body));
                self.vars.truncate(scope);
                Arm { pat: arm.pat.clone(), guard, body }
            })
            .collect();
        Expr::new(Node::Match { value, arms }, Unknown, m.span())
    }

    pub(super) fn for_(&mut self, f: &syn::ExprForLoop) -> Expr {
        let over = Box::new(self.condition(&f.expr));
        let names = pattern_names(&f.pat);
        let base = names.first().map_or("pass", |n| n.trim_start_matches('_'));
        let base = if base.is_empty() { "pass" } else { base };
        let name = self.names.last_mut().map(|n| n.passes(base)).unwrap_or_default();
        let scope = self.vars.len();
        self.bind(&f.pat, None, if matches!(&*f.expr, syn::Expr::Range(_)) { Public } else { Unknown });
        let body = self.in_context(Names::default(), |lower| lower.guarded(|lower| lower.block(&f.body))).0;
        self.vars.truncate(scope);
        let label = f.label.to_token_stream();
        Expr::new(Node::For { label, pat: (*f.pat).clone(), over, name, body }, Public, f.span())
    }

    pub(super) fn return_(&mut self, r: &syn::ExprReturn) -> Expr {
        if self.branch {
            return self.reject(r, "a branch of `join!` cannot return; return after the join");
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
