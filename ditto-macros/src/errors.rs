//! All errors of an item at once.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;

use crate::messages::Says;

/// Errors found so far.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// An error on the author's tokens.
    pub(crate) fn at(&mut self, tokens: impl ToTokens, message: impl Says) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// An error on one token.
    pub(crate) fn on(&mut self, span: Span, message: impl Says) {
        self.push(syn::Error::new(span, message));
    }

    /// The value, or the error noted down.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|e| self.push(e)).ok()
    }

    /// `value` if there was no error.
    pub(crate) fn finish<T>(self, value: T) -> syn::Result<T> {
        self.0.map_or(Ok(value), Err)
    }

    /// As statements or items that make the compiler say them.
    pub(crate) fn report(self) -> TokenStream {
        self.0.map(|e| e.to_compile_error()).unwrap_or_default()
    }
}

/// An error in the place of the expression that has it. The compiler knows no type for it and so says nothing more
/// about what it is used for.
pub(crate) fn in_place(error: &syn::Error) -> TokenStream {
    // With braces it would end a statement.
    let parentheses = |token| match token {
        TokenTree::Group(g) if g.delimiter() == Delimiter::Brace => {
            let mut group = Group::new(Delimiter::Parenthesis, g.stream());
            group.set_span(g.span());
            group.into()
        }
        other => other,
    };
    error.to_compile_error().into_iter().map(parentheses).collect()
}
