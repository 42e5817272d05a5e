//! `#[derive(Weights)]`.

mod parse;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::types::fresh;
use parse::{Field, Source, Struct};

/// The implementation of `Weights`, or every error of the struct.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    syn::parse2::<syn::DeriveInput>(item)
        .and_then(|input| Ok(implement(&input, &Struct::parse(&input)?)))
        .unwrap_or_else(|e| e.to_compile_error())
}

fn implement(input: &syn::DeriveInput, weights: &Struct) -> TokenStream {
    let Struct { root, engine, config, fields } = weights;
    let (generics, args, where_clause) = input.generics.split_for_impl();
    let name = &input.ident;
    let source = fresh("S", input);
    let scope = Ident::new("scope", Span::mixed_site());
    // `config` is the author's to use in expressions.
    let shared = Ident::new("config", Span::call_site());
    let loads = fields.iter().map(|field| {
        let (name, value) = (&field.name, load(field, weights, &scope, &shared));
        quote!(#name: #value,)
    });
    quote! {
        #[automatically_derived]
        impl #generics #root::Weights<#engine> for #name #args #where_clause {
            type Config = #config;
            fn load<#source: #root::WeightSource<#engine>>(
                #scope: &#root::Scope<'_, #source>,
                #shared: &Self::Config,
            ) -> #root::Result<Self> {
                let _ = (#scope, #shared);
                ::core::result::Result::Ok(Self { #(#loads)* })
            }
        }
    }
}

fn load(field: &Field, weights: &Struct, scope: &Ident, shared: &Ident) -> TokenStream {
    let Struct { root, engine, .. } = weights;
    let (ty, name) = (&field.inner, &field.key);
    let config = match &field.with {
        Some(with) => quote!(&(#with)),
        None => quote!(#shared),
    };
    let span = Span::mixed_site().located_at(ty.span());
    let at =
        |place: TokenStream| quote_spanned!(span=> <#ty as #root::Weights<#engine>>::load(&#place, #config));
    match &field.source {
        Source::Value(value) => quote!(#value),
        Source::One => {
            let load = at(quote!(#scope.pp(#name)));
            quote!(#load?)
        }
        Source::Many(count) => {
            let index = Ident::new("index", Span::call_site());
            let load = at(quote!(#scope.pp(#name).pp(&::std::string::ToString::to_string(&#index))));
            quote! {
                ::core::iter::Iterator::collect::<#root::Result<_>>(
                    ::core::iter::Iterator::map(0..(#count), |#index: usize| #load),
                )?
            }
        }
        Source::When(when) => {
            let load = at(quote!(#scope.pp(#name)));
            quote!(if #when { ::core::option::Option::Some(#load?) } else { ::core::option::Option::None })
        }
    }
}
