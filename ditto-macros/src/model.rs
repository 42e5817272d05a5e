//! `#[secure_model]`.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, FnArg, Generics, Item, Pat, Path, ReturnType, Signature, Token, Type, parse_quote};

use crate::errors::Errors;
use crate::generate::{Generate, ctx};
use crate::lower::{Lower, OwnMethods};
use crate::messages;
use crate::salvage;
use crate::types::{Secrecy, Types, declared_engine, fresh, item_of};

/// `crate = path, public(A, B)`.
pub(crate) struct Options {
    root: Path,
    public: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { root: parse_quote!(::ditto_core::__macro), public: Vec::new() }
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            if input.peek(Token![crate]) {
                input.parse::<Token![crate]>()?;
                input.parse::<Token![=]>()?;
                let path = Path::parse_mod_style(input)?;
                options.root = parse_quote!(#path::__macro);
            } else {
                let key: Ident = input.parse()?;
                if key != "public" {
                    return Err(syn::Error::new(key.span(), messages::UNKNOWN_OPTION.with(&key)));
                }
                let inner;
                syn::parenthesized!(inner in input);
                let names = Punctuated::<Ident, Token![,]>::parse_terminated(&inner)?;
                options.public.extend(names.iter().map(ToString::to_string));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// What the attribute stands on, expanded; errors stand next to an item of the same interface.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let options = errors.take(syn::parse2::<Options>(options)).unwrap_or_default();
    let expanded = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Fn(function)) => expand_fn(&options, function),
        Ok(Item::Impl(block)) => expand_impl(&options, block),
        Ok(other) => {
            errors.at(other, messages::WRONG_ITEM);
            item
        }
        Err(e) => match salvage::function(item.clone(), &mut errors) {
            Some(function) => expand_fn(&options, function),
            None => {
                errors.push(e);
                item
            }
        },
    };
    let errors = errors.report();
    quote!(#errors #expanded)
}

/// The engine's name, and whether the macro must declare it.
fn engine_of(generics: &Generics, item: &impl ToTokens) -> (Ident, bool) {
    match declared_engine(generics) {
        Some(engine) => (engine, false),
        None => (fresh("E", item), true),
    }
}

fn declare(engine: &Ident, generics: &mut Generics, root: &Path) {
    let at = generics.lifetimes().count();
    generics.params.insert(at, parse_quote!(#engine: #root::Engine));
    generics.lt_token.get_or_insert_with(Default::default);
    generics.gt_token.get_or_insert_with(Default::default);
}

fn expand_fn(options: &Options, mut function: syn::ItemFn) -> TokenStream {
    let (engine, declares) = engine_of(&function.sig.generics, &function);
    let types = Types::new(engine.clone(), options.public.clone()).with_generics(&function.sig.generics);
    if declares {
        declare(&engine, &mut function.sig.generics, &options.root);
    }
    let mut errors = Errors::default();
    let own = OwnMethods::default();
    let body = model_fn(options, &types, &own, &mut function.sig, &function.block, &mut errors);
    let syn::ItemFn { attrs, vis, sig, .. } = &function;
    finish(errors, quote!(#(#attrs)* #vis #sig), body)
}

/// A function with its body; errors that have no place in it stand before it, so that editors keep all the rest.
fn finish(errors: Errors, head: TokenStream, body: TokenStream) -> TokenStream {
    let errors = errors.report();
    // Formats make types long; tuples of them are what `join!` gives.
    quote!(#[allow(clippy::type_complexity)] #head { #errors #body })
}

fn expand_impl(options: &Options, mut block: syn::ItemImpl) -> TokenStream {
    let mut errors = Errors::default();
    if let Some((_, path, _)) = &block.trait_ {
        errors.at(path, messages::TRAIT_IMPL);
        let errors = errors.report();
        return quote!(#errors #block);
    }
    let (engine, declares) = engine_of(&block.generics, &block);
    let types = Types::new(engine.clone(), options.public.clone()).with_generics(&block.generics);
    if let Some(ty) = errors.take(types.rewrite(&block.self_ty)) {
        *block.self_ty = ty;
    }
    errors.take(types.rewrite_generics(&mut block.generics, &options.root));
    if declares {
        declare(&engine, &mut block.generics, &options.root);
    }
    let mut own = OwnMethods::default();
    let mut plain = Vec::new();
    for item in &mut block.items {
        if let syn::ImplItem::Fn(f) = item {
            let public = take_public(&mut f.attrs);
            plain.push(public);
            if public { &mut own.plain } else { &mut own.model }.push(f.sig.ident.to_string());
        }
    }
    let mut plain = plain.into_iter();
    let items: Vec<TokenStream> = std::mem::take(&mut block.items)
        .into_iter()
        .map(|item| match item {
            syn::ImplItem::Fn(mut f) if plain.next() == Some(false) => {
                let mut errors = Errors::default();
                let types = types.with_generics(&f.sig.generics);
                let body = model_fn(options, &types, &own, &mut f.sig, &f.block, &mut errors);
                let syn::ImplItemFn { attrs, vis, sig, .. } = &f;
                finish(errors, quote!(#(#attrs)* #vis #sig), body)
            }
            other => other.to_token_stream(),
        })
        .collect();
    let errors = errors.report();
    let syn::ItemImpl { attrs, generics, self_ty, .. } = &block;
    let (generics, _, where_clause) = generics.split_for_impl();
    quote!(#errors #(#attrs)* impl #generics #self_ty #where_clause { #(#items)* })
}

/// Puts the engine and the context into a signature, and gives the body's statements.
fn model_fn(
    options: &Options,
    types: &Types,
    own: &OwnMethods,
    sig: &mut Signature,
    block: &syn::Block,
    errors: &mut Errors,
) -> TokenStream {
    check_signature(sig, errors);
    errors.take(types.rewrite_generics(&mut sig.generics, &options.root));
    let mut result: Type = match &sig.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    if let Some(inner) = item_of(&result, "Result").cloned() {
        errors.at(&result, messages::RESULT_TYPE);
        result = inner;
    }
    let under_engine = errors.take(types.rewrite(&result)).unwrap_or_else(|| parse_quote!(()));
    let converted = types.may_convert(&result).then(|| under_engine.clone());
    let mut lower = Lower::new(types, own, converted);
    for input in &mut sig.inputs {
        match input {
            FnArg::Receiver(_) => {}
            FnArg::Typed(arg) => {
                let public = take_public(&mut arg.attrs);
                let secrecy = if public { Secrecy::Public } else { types.secrecy(&arg.ty) };
                let rewritten = if public { Ok((*arg.ty).clone()) } else { types.rewrite(&arg.ty) };
                let ty = lower.take(rewritten);
                if let Pat::Ident(p) = &*arg.pat
                    && p.ident == "ctx"
                {
                    lower.errors.at(p, messages::CTX_PARAMETER);
                }
                lower.parameter(&arg.pat, ty.clone(), secrecy);
                if let Some(ty) = ty {
                    *arg.ty = ty;
                }
            }
        }
    }
    let body = lower.body(block);
    if let Err(e) = std::mem::take(&mut lower.errors).finish(()) {
        errors.push(e);
    }

    let root = &options.root;
    let (engine, ctx) = (types.engine(), ctx());
    let at = usize::from(sig.receiver().is_some());
    sig.inputs.insert(at, parse_quote!(#ctx: &#root::Ctx<'_, #engine>));
    sig.output = parse_quote!(-> #root::Result<#under_engine>);

    let generate = Generate::new(root, engine);
    let unit = matches!(&result, Type::Tuple(t) if t.elems.is_empty());
    generate.function(&body, unit)
}

/// What a signature cannot have is taken off it.
fn check_signature(sig: &mut Signature, errors: &mut Errors) {
    if let Some(token) = sig.asyncness.take() {
        errors.at(token, messages::ASYNC_FN);
    }
    if let Some(token) = sig.unsafety.take() {
        errors.at(token, messages::UNSAFE_FN);
    }
    if let Some(token) = sig.constness.take() {
        errors.at(token, messages::CONST_FN);
    }
    if let Some(token) = sig.abi.take() {
        errors.at(token, messages::EXTERN_FN);
    }
}

fn take_public(attrs: &mut Vec<Attribute>) -> bool {
    let before = attrs.len();
    attrs.retain(|a| !a.path().is_ident("public"));
    attrs.len() < before
}
