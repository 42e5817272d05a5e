//! Calls of functions and methods.

use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Expr as Rust, Path};

use super::Lower;
use crate::tree::{Expr, Node};
use crate::types::Secrecy::{self, Public, Secret, Unknown};
use crate::types::is_type_name;
use crate::words;

impl Lower<'_> {
    fn args(&mut self, args: &syn::punctuated::Punctuated<Rust, syn::Token![,]>) -> Vec<Expr> {
        args.iter().map(|a| self.expr(a)).collect()
    }

    /// Whether a path names plain Rust: a constructor, a type's function, the standard library.
    fn is_plain(&self, p: &syn::ExprPath) -> bool {
        let Path { segments, .. } = &p.path;
        let Some(last) = segments.last() else { return true };
        if p.qself.is_some() || is_type_name(&last.ident) {
            return true;
        }
        if segments.first().is_some_and(|s| s.ident == "Self") {
            return !self.own_methods.contains(&last.ident.to_string());
        }
        let first = segments.first().filter(|_| segments.len() > 1);
        first.is_some_and(|s| words::has(words::PUBLIC_ROOTS, &s.ident))
            || segments.iter().rev().nth(1).is_some_and(|owner| {
                is_type_name(&owner.ident) || words::has(words::PUBLIC_TYPES, &owner.ident)
            })
    }

    pub(super) fn call(&mut self, call: &syn::ExprCall) -> Expr {
        let Rust::Path(function) = &*call.func else {
            return self.reject(
                &call.func,
                "only functions named by a path are called in model code; name it, or write `public!(..)`",
            );
        };
        let mut function = function.clone();
        if self.is_plain(&function) {
            let rewritten = self.types.rewrite_expr_path(&mut function.path);
            self.errors.take(rewritten);
            let args = self.args(&call.args);
            let secrecy = args.iter().map(|a| a.secrecy).fold(Public, super::expr::either);
            let node = Node::PlainCall { function: function.to_token_stream(), args };
            return Expr::new(node, if secrecy == Public { Public } else { Unknown }, call.span());
        }
        let name = function.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        self.not_in_a_condition(&function, &name);
        self.types.rewrite_turbofish(&mut function.path);
        let step = self.name(name.trim_start_matches("r#"));
        let args = self.args(&call.args);
        Expr::new(Node::Call { function: function.to_token_stream(), step, args }, Secret, call.span())
    }

    fn not_in_a_condition(&mut self, tokens: &impl ToTokens, name: &str) {
        if self.condition {
            self.errors.at(
                tokens,
                format!(
                    "control flow cannot depend on a secret, and `{name}` gives one; compute both sides and `select` \
                     between them in `protocol!(|ctx| ..)`"
                ),
            );
        }
    }

    pub(super) fn method(&mut self, call: &syn::ExprMethodCall) -> Expr {
        let (ident, turbofish) = (&call.method, &call.turbofish);
        let name = ident.to_string();
        let method = quote!(#ident #turbofish);
        if self.own_methods.contains(&name) {
            self.not_in_a_condition(ident, &name);
            let step = self.name(&name);
            let receiver = Box::new(self.expr(&call.receiver));
            let args = self.args(&call.args);
            return Expr::new(Node::OwnMethod { receiver, method, step, args }, Secret, call.span());
        }
        if words::has(words::TENSOR_METHODS, ident) {
            self.not_in_a_condition(ident, &name);
            let receiver = Box::new(self.expr(&call.receiver));
            let args = self.args(&call.args);
            return Expr::new(Node::TensorMethod { receiver, method, args }, Secret, call.span());
        }
        if !words::has(words::PUBLIC_METHODS, ident) {
            return self.reject(
                ident,
                format!(
                    "unknown operation `{name}`: secret tensors have {}, and functions such as `linear` and `mul`; for \
                     public values write `public!(..)`",
                    list(words::TENSOR_METHODS)
                ),
            );
        }
        let receiver = self.expr(&call.receiver);
        let args = self.args(&call.args);
        let secrecy = method_secrecy(&name, receiver.secrecy);
        Expr::new(Node::PlainMethod { receiver: Box::new(receiver), method, args }, secrecy, call.span())
    }
}

fn method_secrecy(name: &str, receiver: Secrecy) -> Secrecy {
    match (words::has(words::PUBLIC_RESULTS, &name), receiver) {
        (true, _) => Public,
        (false, Secret) if name == "clone" => Secret,
        (false, Secret) => Unknown,
        (false, other) => other,
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ")
}
