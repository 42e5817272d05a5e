//! Calls of functions and methods.

use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Expr as Rust, Path, Type};

use super::Lower;
use crate::messages;
use crate::tree::{Expr, Node};
use crate::types::Secrecy::{self, Given, Public, Secret, Unknown};
use crate::types::{is_type_name, item_of};
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
            return !self.own.model.contains(&last.ident.to_string());
        }
        let first = segments.first().filter(|_| segments.len() > 1);
        first.is_some_and(|s| words::has(words::PUBLIC_ROOTS, &s.ident))
            || segments.iter().rev().nth(1).is_some_and(|owner| {
                is_type_name(&owner.ident) || words::has(words::PUBLIC_TYPES, &owner.ident)
            })
    }

    pub(super) fn call(&mut self, call: &syn::ExprCall) -> Expr {
        let Rust::Path(function) = &*call.func else {
            return self.reject(&call.func, messages::CALLED_EXPRESSION);
        };
        let mut function = function.clone();
        if self.is_plain(&function) {
            let rewritten = self.types.rewrite_expr_path(&mut function.path);
            self.take(rewritten);
            let args = self.args(&call.args);
            let secrecy = args.iter().map(|a| a.secrecy).fold(Public, super::expr::either);
            let node = Node::PlainCall { function: function.to_token_stream(), args };
            return Expr::new(node, if secrecy == Public { Public } else { Unknown }, call.span());
        }
        let name = function.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        self.types.rewrite_turbofish(&mut function.path);
        let step = self.name(name.trim_start_matches("r#"));
        let args = self.args(&call.args);
        let value = Node::Call { function: function.to_token_stream(), step, args };
        self.not_in_a_condition(&call.func, &name, Expr::new(value, Given, call.span()))
    }

    /// What a model function gives does not decide.
    fn not_in_a_condition(&mut self, tokens: impl ToTokens, name: &str, value: Expr) -> Expr {
        if self.condition {
            return self.reject_keeping(tokens, messages::SECRET_RESULT_IN_CONDITION.with(name), vec![value]);
        }
        value
    }

    pub(super) fn method(&mut self, call: &syn::ExprMethodCall) -> Expr {
        let (ident, turbofish) = (&call.method, &call.turbofish);
        let name = ident.to_string();
        let method = quote!(#ident #turbofish);
        if self.own.model.contains(&name) {
            return self.model_method(call, None);
        }
        if words::has(words::TENSOR_METHODS, ident) {
            let receiver = Box::new(self.expr(&call.receiver));
            let args = self.args(&call.args);
            let value = Expr::new(Node::TensorMethod { receiver, method, args }, Secret, call.span());
            return self.not_in_a_condition(ident, &name, value);
        }
        let receiver = self.expr(&call.receiver);
        let public = words::has(words::PUBLIC_METHODS, ident);
        match receiver.secrecy {
            Secret if !public || !on_secrets(&name) => {
                return self.reject_keeping(ident, messages::UNKNOWN_OPERATION.with(&name), vec![receiver]);
            }
            // A method of the author's own, on a struct of weights or state. Those that take closures are the library's.
            Unknown | Given
                if !public
                    && !self.own.plain.contains(&name)
                    && !call.args.iter().any(|arg| matches!(arg, Rust::Closure(_))) =>
            {
                return self.model_method(call, Some(receiver));
            }
            _ => {}
        }
        let mut args = self.args(&call.args);
        if let (Some(item), [value]) = (self.pushed(call), &mut args[..]) {
            self.convert(value, Some(&item), None);
        }
        let secrecy = method_secrecy(&name, receiver.secrecy);
        Expr::new(Node::PlainMethod { receiver: Box::new(receiver), method, args }, secrecy, call.span())
    }

    /// A method under `#[secure_model]`, in a step of its own.
    fn model_method(&mut self, call: &syn::ExprMethodCall, receiver: Option<Expr>) -> Expr {
        let (ident, mut turbofish) = (&call.method, call.turbofish.clone());
        let name = ident.to_string();
        if let Some(turbofish) = &mut turbofish {
            let rewritten = self.types.rewrite_method_turbofish(turbofish);
            self.take(rewritten);
        }
        let step = self.name(name.trim_start_matches("r#"));
        let receiver = Box::new(receiver.unwrap_or_else(|| self.expr(&call.receiver)));
        let (method, args) = (quote!(#ident #turbofish), self.args(&call.args));
        let value = Expr::new(Node::OwnMethod { receiver, method, step, args }, Given, call.span());
        self.not_in_a_condition(ident, &name, value)
    }

    /// `T` in `v.push(..)` for a variable declared as `Vec<T>`.
    fn pushed(&self, call: &syn::ExprMethodCall) -> Option<Type> {
        let Rust::Path(p) = &*call.receiver else { return None };
        let var = self.lookup(&p.path.get_ident()?.to_string())?;
        let item = item_of(var.ty.as_ref()?, "Vec")?;
        (call.method == "push" && self.types.converts(item)).then(|| item.clone())
    }
}

/// Whether secret tensors have this method of public values.
fn on_secrets(name: &str) -> bool {
    words::has(words::PUBLIC_RESULTS, &name) || words::has(words::COPIES, &name)
}

fn method_secrecy(name: &str, receiver: Secrecy) -> Secrecy {
    match (words::has(words::PUBLIC_RESULTS, &name), receiver) {
        (true, _) => Public,
        (false, secrecy) => secrecy,
    }
}
