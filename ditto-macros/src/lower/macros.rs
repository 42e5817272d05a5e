//! `join!`, and the escape hatches `public!` and `protocol!`.

use proc_macro2::Span;
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Ident, Token};

use super::Lower;
use crate::names::Names;
use crate::tree::{Branch, Expr, Node};
use crate::types::Secrecy::{Public, Unknown};
use crate::words;

/// `|ctx| body`.
struct ByHand {
    ctx: Ident,
    body: syn::Expr,
}

impl Parse for ByHand {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse::<Token![|]>()?;
        let ctx = input.parse()?;
        input.parse::<Token![|]>()?;
        Ok(Self { ctx, body: input.parse()? })
    }
}

impl Lower<'_> {
    pub(super) fn macro_call(&mut self, mac: &syn::Macro, span: Span) -> Expr {
        let name = mac.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        match name.as_str() {
            "join" => self.join(mac, &[]),
            "public" => match mac.parse_body::<syn::Expr>() {
                Ok(body) => {
                    let node = Node::Paren(Box::new(Expr::new(Node::Rust(body.to_token_stream()), Public, body.span())));
                    Expr::new(node, Public, span)
                }
                Err(e) => {
                    self.errors.push(e);
                    self.failed(span)
                }
            },
            "protocol" => match mac.parse_body::<ByHand>() {
                Ok(ByHand { ctx, body }) => {
                    let step = self.name("protocol");
                    Expr::new(Node::Protocol { ctx, step, body: body.to_token_stream() }, Unknown, span)
                }
                Err(_) => {
                    self.errors.on(span, "write `protocol!(|ctx| expression)`; the expression gives a `Result`");
                    self.failed(span)
                }
            },
            _ if words::has(words::PLAIN_MACROS, &name) => {
                Expr::new(Node::Rust(mac.to_token_stream()), Public, span)
            }
            _ => self.reject(
                &mac.path,
                format!(
                    "`{name}!` may hide protocol calls from this macro; write `public!({name}!(..))` if nothing in it is \
                     secret, or plain functions"
                ),
            ),
        }
    }

    /// `join!(a, b, ..)`; `names` are the variables that take the results.
    pub(super) fn join(&mut self, mac: &syn::Macro, names: &[String]) -> Expr {
        let span = mac.span();
        let values = match mac.parse_body_with(Punctuated::<syn::Expr, Token![,]>::parse_terminated) {
            Ok(values) => values,
            Err(e) => {
                self.errors.push(e);
                return self.failed(span);
            }
        };
        if values.len() < 2 {
            return self
                .reject(mac, "`join!` runs at least two operations side by side; write one without it");
        }
        let given = names.len() == values.len();
        let branches = values
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let base =
                    if given { names[i].clone() } else { called(value).unwrap_or("branch".to_owned()) };
                let target = self.target.take();
                let name = self.name(&base);
                self.target = target;
                let outer = std::mem::replace(&mut self.branch, true);
                let (value, names) = self.in_context(Names::default(), |lower| lower.expr(value));
                self.branch = outer;
                Branch { name, names, value }
            })
            .collect();
        Expr::new(Node::Join { branches }, Unknown, span)
    }
}

/// The function that an expression calls.
fn called(expr: &syn::Expr) -> Option<String> {
    match expr {
        syn::Expr::Call(c) => match &*c.func {
            syn::Expr::Path(p) => p.path.segments.last().map(|s| s.ident.to_string()),
            _ => None,
        },
        syn::Expr::Paren(p) => called(&p.expr),
        _ => None,
    }
}
