//! What is left of a function while its author is typing.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Block, Signature, Stmt, Token, Visibility};

use crate::errors::Errors;
use crate::messages;

/// A function whose body may not be Rust.
struct Function {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (attrs, vis, sig) = (input.call(Attribute::parse_outer)?, input.parse()?, input.parse()?);
        let body;
        syn::braced!(body in input);
        Ok(Self { attrs, vis, sig, body: body.parse()? })
    }
}

/// The function with the statements that can be read; each that cannot is an error.
pub(crate) fn function(item: TokenStream, errors: &mut Errors) -> Option<syn::ItemFn> {
    let Function { attrs, vis, sig, body } = syn::parse2(item).ok()?;
    let mut stmts = Vec::new();
    for tokens in split(body, |token| matches!(token, TokenTree::Punct(p) if p.as_char() == ';')) {
        if let Ok(read) = read(&tokens) {
            stmts.extend(read);
            continue;
        }
        // Loops and the like end in a block without a semicolon.
        let ends =
            |token: &TokenTree| matches!(token, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        for tokens in split(tokens, ends) {
            match read(&tokens) {
                Ok(read) => stmts.extend(read),
                Err(_) => errors.at(&tokens, messages::BROKEN_STATEMENT),
            }
        }
    }
    // A statement in the middle that had no semicolon.
    let last = stmts.len().saturating_sub(1);
    for stmt in &mut stmts[..last] {
        if let Stmt::Expr(_, semicolon @ None) = stmt {
            *semicolon = Some(<Token![;]>::default());
        }
    }
    let block = Block { brace_token: syn::token::Brace::default(), stmts };
    Some(syn::ItemFn { attrs, vis, sig, block: Box::new(block) })
}

fn read(tokens: &TokenStream) -> syn::Result<Vec<Stmt>> {
    Block::parse_within.parse2(tokens.clone())
}

/// Pieces up to each token that `ends` one.
fn split(body: TokenStream, ends: impl Fn(&TokenTree) -> bool) -> Vec<TokenStream> {
    let mut all = vec![TokenStream::new()];
    for token in body {
        let ends = ends(&token);
        if let Some(last) = all.last_mut() {
            last.extend([token]);
        }
        if ends {
            all.push(TokenStream::new());
        }
    }
    all.retain(|tokens| !tokens.is_empty());
    all
}
