//! `join!`, and the escape hatches `public!` and `protocol!`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Pat, Token};

use super::Lower;
use crate::messages;
use crate::tree::{Branch, Expr, Node};
use crate::types::Secrecy::{Public, Unknown};
use crate::words;

/// `|ctx| body`.
struct ByHand {
    ctx: Pat,
    body: syn::Expr,
}

impl Parse for ByHand {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        input.parse::<Token![|]>()?;
        let ctx = Pat::parse_single(input)?;
        input.parse::<Token![|]>()?;
        Ok(Self { ctx, body: input.parse()? })
    }
}

impl Lower<'_> {
    pub(super) fn macro_call(&mut self, mac: &syn::Macro, span: Span) -> Expr {
        let name = mac.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        match name.as_str() {
            "join" => self.join(mac, &[]),
            "vec" => self.vec(mac, span),
            "public" => match mac.parse_body::<syn::Expr>() {
                Ok(body) => {
                    let node = Node::Paren(Box::new(Expr::new(
                        Node::Rust(body.to_token_stream()),
                        Public,
                        body.span(),
                    )));
                    Expr::new(node, Public, span)
                }
                Err(_) => self.failed(&syn::Error::new(span, messages::PUBLIC_FORM)),
            },
            "protocol" => match mac.parse_body::<ByHand>() {
                Ok(ByHand { ctx, body }) => {
                    let step = self.name("protocol");
                    Expr::new(Node::Protocol { ctx, step, body: body.to_token_stream() }, Unknown, span)
                }
                Err(_) => self.failed(&syn::Error::new(span, messages::PROTOCOL_FORM)),
            },
            _ if words::has(words::PLAIN_MACROS, &name) => {
                Expr::new(Node::Rust(mac.to_token_stream()), Public, span)
            }
            _ => self.reject(&mac.path, messages::HIDING_MACRO.with(name)),
        }
    }

    /// `vec![a, b]` and `vec![a; n]`.
    fn vec(&mut self, mac: &syn::Macro, span: Span) -> Expr {
        if let Ok(values) = mac.parse_body_with(Punctuated::<syn::Expr, Token![,]>::parse_terminated) {
            let values = values.iter().map(|v| self.expr(v)).collect();
            return Expr::new(Node::Vec(values), Unknown, span);
        }
        let repeated = |input: ParseStream<'_>| {
            let value: syn::Expr = input.parse()?;
            let semicolon: Token![;] = input.parse()?;
            Ok((value, semicolon, input.parse::<syn::Expr>()?))
        };
        match mac.parse_body_with(repeated) {
            Ok((value, semicolon, len)) => {
                let (value, len) = (self.expr(&value), len.to_token_stream());
                let value = super::expr::around(quote!(), value, quote!(#semicolon #len));
                Expr::new(Node::Vec(vec![Expr::new(value, Unknown, span)]), Unknown, span)
            }
            Err(_) => self.failed(&syn::Error::new(span, messages::VEC_FORM)),
        }
    }

    /// `join!(a, b, ..)`; `names` are the variables that take the results.
    pub(super) fn join(&mut self, mac: &syn::Macro, names: &[String]) -> Expr {
        let span = mac.span();
        if let Ok(each) = mac.parse_body::<syn::ExprForLoop>() {
            return self.join_each(&each, span);
        }
        let values: Vec<syn::Result<syn::Expr>> =
            match mac.parse_body_with(Punctuated::<syn::Expr, Token![,]>::parse_terminated) {
                Ok(values) => values.into_iter().map(Ok).collect(),
                // One that is being typed leaves the others.
                Err(_) => split(mac.tokens.clone()).into_iter().map(one).collect(),
            };
        if values.len() < 2 {
            return self.reject(mac, messages::JOIN_ONE);
        }
        if values.len() > 6 {
            return self.reject(&mac.path, messages::JOIN_MANY);
        }
        let given = names.len() == values.len();
        let branches = values
            .iter()
            .enumerate()
            .map(|(i, value)| {
                let called = || value.as_ref().ok().and_then(called).unwrap_or("branch".to_owned());
                let base = if given { names[i].clone() } else { called() };
                let target = self.target.take();
                let name = self.name(&base);
                self.target = target;
                let read = |lower: &mut Self| match value {
                    Ok(value) => lower.expr(value),
                    Err(error) => lower.failed(error),
                };
                let (value, names) = self.in_branch(false, read);
                Branch { name, names, value }
            })
            .collect();
        Expr::new(Node::Join { branches }, Unknown, span)
    }
}

/// One branch of `join!`, or the error that stands in its place.
fn one(tokens: TokenStream) -> syn::Result<syn::Expr> {
    syn::parse2(tokens.clone()).map_err(|_| messages::JOIN_FORM.at(tokens))
}

/// The tokens between commas.
fn split(tokens: TokenStream) -> Vec<TokenStream> {
    let mut parts = vec![TokenStream::new()];
    for token in tokens {
        match (&token, parts.last_mut()) {
            (TokenTree::Punct(p), _) if p.as_char() == ',' => parts.push(TokenStream::new()),
            (_, Some(part)) => part.extend([token]),
            _ => {}
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
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
