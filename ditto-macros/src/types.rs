//! Where the engine goes in types.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{
    AngleBracketedGenericArguments, GenericArgument, GenericParam, Generics, Path, PathArguments,
    PathSegment, ReturnType, Type, TypeParamBound, WherePredicate, parse_quote,
};

use crate::messages;
use crate::words;

/// What a name says about the values it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Secrecy {
    /// A secret tensor or product.
    Secret,
    /// What a model function gives: a secret, or something that holds secrets.
    Given,
    /// A public value.
    Public,
    /// Not known from the source alone (a struct of weights, a field).
    Unknown,
}

/// How types of the model's source become types under the engine.
#[derive(Clone, Debug)]
pub(crate) struct Types {
    engine: Ident,
    /// Names that the author declared public.
    public: Vec<String>,
    /// Generic parameters in scope.
    generics: Vec<String>,
}

impl Types {
    pub(crate) fn new(engine: Ident, public: Vec<String>) -> Self {
        Self { engine, public, generics: Vec::new() }
    }

    pub(crate) fn engine(&self) -> &Ident {
        &self.engine
    }

    /// The same with generic parameters in scope.
    pub(crate) fn with_generics(&self, generics: &Generics) -> Self {
        let mut types = self.clone();
        types.generics.extend(generics.params.iter().filter_map(|p| match p {
            GenericParam::Type(t) => Some(t.ident.to_string()),
            GenericParam::Const(c) => Some(c.ident.to_string()),
            GenericParam::Lifetime(_) => None,
        }));
        types
    }

    fn is_public(&self, path: &Path) -> bool {
        let Some(last) = path.segments.last() else { return true };
        let generic = path.segments.first().is_some_and(|s| self.generics.contains(&s.ident.to_string()));
        // `P::Act`, `Self::Out`: an associated type.
        let associated = path.segments.iter().rev().nth(1).is_some_and(|s| is_type_name(&s.ident));
        generic
            || associated
            || last.ident == "Self"
            || words::has(words::PUBLIC_TYPES, &last.ident)
            || self.public.contains(&last.ident.to_string())
    }

    /// The type under the engine. Errors name the types that model code cannot mention.
    pub(crate) fn rewrite(&self, ty: &Type) -> syn::Result<Type> {
        let mut ty = ty.clone();
        self.rewrite_in(&mut ty)?;
        Ok(ty)
    }

    fn rewrite_in(&self, ty: &mut Type) -> syn::Result<()> {
        match ty {
            Type::Path(p) if p.qself.is_some() => Ok(()),
            Type::Path(p) => self.rewrite_path(&mut p.path),
            Type::Reference(r) => self.rewrite_in(&mut r.elem),
            Type::Slice(s) => self.rewrite_in(&mut s.elem),
            Type::Array(a) => self.rewrite_in(&mut a.elem),
            Type::Paren(p) => self.rewrite_in(&mut p.elem),
            Type::Group(g) => self.rewrite_in(&mut g.elem),
            Type::Tuple(t) => t.elems.iter_mut().try_for_each(|t| self.rewrite_in(t)),
            Type::Infer(_) | Type::Never(_) => Ok(()),
            other => Err(messages::OTHER_TYPE.at(other)),
        }
    }

    fn rewrite_path(&self, path: &mut Path) -> syn::Result<()> {
        if self.is_public(path) {
            return Ok(());
        }
        let Some(last) = path.segments.last_mut() else { return Ok(()) };
        if words::has(words::CONTAINERS, &last.ident) {
            return self.rewrite_arguments(last);
        }
        if last.ident == "Result" {
            return Err(messages::RESULT_TYPE.at(last));
        }
        if is_type_name(&last.ident) {
            // The arguments of an engine's type are formats and plans: they stay.
            self.insert_engine(&mut last.arguments);
        }
        Ok(())
    }

    /// Puts the engine first among the arguments.
    fn insert_engine(&self, arguments: &mut PathArguments) {
        let engine = &self.engine;
        match arguments {
            PathArguments::AngleBracketed(args) => {
                let at = args.args.iter().take_while(|a| matches!(a, GenericArgument::Lifetime(_))).count();
                if !matches!(args.args.get(at), Some(GenericArgument::Type(Type::Path(t))) if t.path.is_ident(engine))
                {
                    args.args.insert(at, parse_quote!(#engine));
                }
            }
            _ => *arguments = PathArguments::AngleBracketed(parse_quote!(<#engine>)),
        }
    }

    fn rewrite_arguments(&self, segment: &mut PathSegment) -> syn::Result<()> {
        if let PathArguments::AngleBracketed(args) = &mut segment.arguments {
            for arg in &mut args.args {
                if let GenericArgument::Type(ty) = arg {
                    self.rewrite_in(ty)?;
                }
            }
        }
        Ok(())
    }

    /// The types written down in an expression's path: `Vec::<Tensor<T>>::new`, `Cache::<P> { .. }`, `relu::<T>`.
    pub(crate) fn rewrite_expr_path(&self, path: &mut Path) -> syn::Result<()> {
        let last = path.segments.len().saturating_sub(1);
        for (i, segment) in path.segments.iter_mut().enumerate() {
            let name = &segment.ident;
            if words::has(words::CONTAINERS, name) {
                self.rewrite_arguments(segment)?;
            } else if !segment.arguments.is_none()
                && !words::has(words::PUBLIC_TYPES, name)
                && !self.public.contains(&name.to_string())
                && !self.generics.contains(&name.to_string())
                && (is_type_name(name) || (last == 0 && i == last))
            {
                self.insert_engine(&mut segment.arguments);
            }
        }
        Ok(())
    }

    /// The turbofish of a called model function.
    pub(crate) fn rewrite_turbofish(&self, path: &mut Path) {
        if let Some(last) = path.segments.last_mut()
            && !last.arguments.is_none()
        {
            self.insert_engine(&mut last.arguments);
        }
    }

    /// The types in the turbofish of a method, whose engine is its receiver's.
    pub(crate) fn rewrite_method_turbofish(
        &self,
        args: &mut AngleBracketedGenericArguments,
    ) -> syn::Result<()> {
        args.args.iter_mut().try_for_each(|arg| match arg {
            GenericArgument::Type(ty) => self.rewrite_in(ty),
            _ => Ok(()),
        })
    }

    /// The types in bounds and `where` clauses. `Fn(&Tensor<T>) -> Tensor<T>` is a model function's interface: it takes a
    /// context and gives a `Result`.
    pub(crate) fn rewrite_generics(&self, generics: &mut Generics, root: &Path) -> syn::Result<()> {
        for parameter in generics.type_params_mut() {
            parameter.bounds.iter_mut().try_for_each(|b| self.rewrite_bound(b, root))?;
        }
        for predicate in generics.where_clause.iter_mut().flat_map(|w| &mut w.predicates) {
            if let WherePredicate::Type(p) = predicate {
                self.rewrite_in(&mut p.bounded_ty)?;
                p.bounds.iter_mut().try_for_each(|b| self.rewrite_bound(b, root))?;
            }
        }
        Ok(())
    }

    fn rewrite_bound(&self, bound: &mut TypeParamBound, root: &Path) -> syn::Result<()> {
        let TypeParamBound::Trait(bound) = bound else { return Ok(()) };
        for segment in &mut bound.path.segments {
            match &mut segment.arguments {
                PathArguments::None => {}
                PathArguments::AngleBracketed(args) => {
                    for arg in &mut args.args {
                        match arg {
                            GenericArgument::Type(ty) => self.rewrite_in(ty)?,
                            GenericArgument::AssocType(assoc) => self.rewrite_in(&mut assoc.ty)?,
                            _ => {}
                        }
                    }
                }
                PathArguments::Parenthesized(args) => {
                    args.inputs.iter_mut().try_for_each(|ty| self.rewrite_in(ty))?;
                    let engine = &self.engine;
                    args.inputs.insert(0, parse_quote!(&#root::Ctx<'_, #engine>));
                    let out = match &args.output {
                        ReturnType::Default => parse_quote!(()),
                        ReturnType::Type(_, ty) => self.rewrite(ty)?,
                    };
                    args.output = parse_quote!(-> #root::Result<#out>);
                }
            }
        }
        Ok(())
    }

    /// What a declared type says about its values.
    pub(crate) fn secrecy(&self, ty: &Type) -> Secrecy {
        match ty {
            Type::Reference(r) => self.secrecy(&r.elem),
            Type::Paren(p) => self.secrecy(&p.elem),
            Type::Group(g) => self.secrecy(&g.elem),
            Type::Path(p) => match p.path.segments.last() {
                Some(last) if words::has(words::SECRET_TYPES, &last.ident) => Secrecy::Secret,
                Some(last)
                    if p.qself.is_none()
                        && (words::has(words::PUBLIC_TYPES, &last.ident)
                            || self.public.contains(&last.ident.to_string())) =>
                {
                    Secrecy::Public
                }
                _ => Secrecy::Unknown,
            },
            _ => Secrecy::Unknown,
        }
    }

    /// Whether a value of this type, or a part of it that can be written by itself, is converted.
    pub(crate) fn may_convert(&self, ty: &Type) -> bool {
        item_of(ty, "Vec").is_some_and(|item| self.converts(item))
            || match ty {
                Type::Tuple(t) => t.elems.iter().any(|t| self.may_convert(t)),
                Type::Paren(p) => self.may_convert(&p.elem),
                _ => self.converts(ty),
            }
    }

    /// Whether a value written down with this type is converted to it: an engine's type, by value. Nothing but a
    /// product becomes a product.
    pub(crate) fn converts(&self, ty: &Type) -> bool {
        match ty {
            Type::Path(p) => {
                let last = p.path.segments.last();
                p.qself.is_none()
                    && !self.is_public(&p.path)
                    && last.is_some_and(|s| s.ident != "Product" && !words::has(words::CONTAINERS, &s.ident))
            }
            Type::Paren(p) => self.converts(&p.elem),
            Type::Group(g) => self.converts(&g.elem),
            Type::Tuple(t) => t.elems.iter().any(|t| self.converts(t)),
            _ => false,
        }
    }
}

/// `T` of `container<T>`, also behind references.
pub(crate) fn item_of<'t>(ty: &'t Type, container: &str) -> Option<&'t Type> {
    let path = match ty {
        Type::Reference(r) => return item_of(&r.elem, container),
        Type::Paren(p) => return item_of(&p.elem, container),
        Type::Path(path) => path,
        _ => return None,
    };
    let last = path.path.segments.last().filter(|s| s.ident == container)?;
    match &last.arguments {
        PathArguments::AngleBracketed(args) => args.args.iter().find_map(|a| match a {
            GenericArgument::Type(t) => Some(t),
            _ => None,
        }),
        _ => None,
    }
}

/// Whether an identifier is written like a type.
pub(crate) fn is_type_name(ident: &Ident) -> bool {
    ident.to_string().trim_start_matches("r#").trim_start_matches('_').starts_with(char::is_uppercase)
}

/// The parameter bound by `Engine` (or `Primitives`), if one is declared.
pub(crate) fn declared_engine(generics: &Generics) -> Option<Ident> {
    let is_engine = |bound: &syn::TypeParamBound| match bound {
        syn::TypeParamBound::Trait(t) => {
            t.path.segments.last().is_some_and(|s| s.ident == "Engine" || s.ident == "Primitives")
        }
        _ => false,
    };
    let in_where = |ident: &Ident| {
        generics.where_clause.iter().flat_map(|w| &w.predicates).any(|p| match p {
            syn::WherePredicate::Type(p) => {
                matches!(&p.bounded_ty, Type::Path(t) if t.path.is_ident(ident))
                    && p.bounds.iter().any(is_engine)
            }
            _ => false,
        })
    };
    generics
        .type_params()
        .find(|p| p.bounds.iter().any(is_engine) || in_where(&p.ident))
        .map(|p| p.ident.clone())
}

/// `base`, or `base2`, .. when the item already mentions it.
pub(crate) fn fresh(base: &str, item: &impl ToTokens) -> Ident {
    fn mentions(tokens: proc_macro2::TokenStream, word: &str) -> bool {
        tokens.into_iter().any(|t| match t {
            proc_macro2::TokenTree::Ident(i) => i == word,
            proc_macro2::TokenTree::Group(g) => mentions(g.stream(), word),
            _ => false,
        })
    }
    let tokens = item.to_token_stream();
    let mut name = base.to_owned();
    let mut n = 1;
    while mentions(tokens.clone(), &name) {
        n += 1;
        name = format!("{base}{n}");
    }
    Ident::new(&name, proc_macro2::Span::mixed_site())
}
