//! Reads the struct and its `#[weights(..)]`.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, LitStr, Path, Type, parse_quote};

use crate::errors::Errors;
use crate::types::declared_engine;

/// A struct of weights.
pub(super) struct Struct {
    pub(super) root: Path,
    pub(super) engine: Ident,
    pub(super) config: Type,
    pub(super) fields: Vec<Field>,
}

/// A field, and where it comes from.
pub(super) struct Field {
    pub(super) name: Ident,
    /// Its place in the checkpoint.
    pub(super) key: String,
    /// What is loaded: the field's type, or what its `Vec` or `Option` holds.
    pub(super) inner: Type,
    pub(super) with: Option<Expr>,
    pub(super) source: Source,
}

pub(super) enum Source {
    /// One struct of weights.
    One,
    /// So many, at `name.0`, `name.1`, ..
    Many(Expr),
    /// One if the condition holds.
    When(Expr),
    /// A public value, not in the checkpoint.
    Value(Expr),
}

/// The keys of one item, each at most once.
#[derive(Default)]
struct Keys {
    root: Option<Path>,
    config: Option<Type>,
    name: Option<LitStr>,
    with: Option<Expr>,
    count: Option<Expr>,
    when: Option<Expr>,
    value: Option<Expr>,
}

fn set<T>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, value: T) -> syn::Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("this key is given twice; keep one")),
    }
}

impl Keys {
    fn parse(attrs: &[Attribute], on_struct: bool, errors: &mut Errors) -> Self {
        let mut keys = Self::default();
        for attr in attrs.iter().filter(|a| a.path().is_ident("weights")) {
            let parsed = attr.parse_nested_meta(|meta| keys.key(&meta, on_struct));
            errors.take(parsed);
        }
        keys
    }

    fn key(&mut self, meta: &ParseNestedMeta<'_>, on_struct: bool) -> syn::Result<()> {
        let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match (key.as_str(), on_struct) {
            ("crate", true) => {
                let path = Path::parse_mod_style(meta.value()?)?;
                set(&mut self.root, meta, parse_quote!(#path::__macro))
            }
            ("config", true) => set(&mut self.config, meta, meta.value()?.parse()?),
            ("name", false) => set(&mut self.name, meta, meta.value()?.parse()?),
            ("with", false) => set(&mut self.with, meta, meta.value()?.parse()?),
            ("count", false) => set(&mut self.count, meta, meta.value()?.parse()?),
            ("when", false) => set(&mut self.when, meta, meta.value()?.parse()?),
            ("value", false) => set(&mut self.value, meta, meta.value()?.parse()?),
            (_, true) => Err(meta.error("unknown key; a struct of weights has `config = Type` and `crate = path`")),
            (_, false) => Err(meta.error(
                "unknown key; a field has `name = \"..\"`, `with = config`, `count = number`, `when = condition` or \
                 `value = expression`",
            )),
        }
    }
}

impl Struct {
    /// Reads the item; all its errors at once.
    pub(super) fn parse(input: &DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let keys = Keys::parse(&input.attrs, true, &mut errors);
        let engine = declared_engine(&input.generics).unwrap_or_else(|| {
            errors.at(
                &input.ident,
                "weights belong to an engine; declare it as the first type parameter: `struct Name<E: Engine, ..>`",
            );
            input.ident.clone()
        });
        let config = keys.config.unwrap_or_else(|| {
            errors
                .at(&input.ident, "say what the shapes depend on: `#[weights(config = Type)]` on the struct");
            parse_quote!(())
        });
        let mut fields = Vec::new();
        match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(named) => {
                    fields.extend(named.named.iter().filter_map(|f| Field::parse(f, &mut errors)));
                }
                Fields::Unnamed(unnamed) => {
                    errors.at(unnamed, "a checkpoint goes by names; give the fields names");
                }
                Fields::Unit => {
                    errors.at(&input.ident, "a struct of weights has fields; nothing is to be loaded here")
                }
            },
            Data::Enum(data) => errors.at(
                data.enum_token,
                "weights are structs; hold the alternatives as `Option` fields with `#[weights(when = ..)]`",
            ),
            Data::Union(data) => errors.at(data.union_token, "weights are structs; make this a struct"),
        }
        let root = keys.root.unwrap_or_else(|| parse_quote!(::ditto_core::__macro));
        errors.finish(Self { root, engine, config, fields })
    }
}

impl Field {
    fn parse(field: &syn::Field, errors: &mut Errors) -> Option<Self> {
        let name = field.ident.clone()?;
        let keys = Keys::parse(&field.attrs, false, errors);
        if keys.value.is_some() {
            let from_checkpoint = [
                keys.name.as_ref().map(Spanned::span),
                keys.with.as_ref().map(Spanned::span),
                keys.count.as_ref().map(Spanned::span),
                keys.when.as_ref().map(Spanned::span),
            ];
            for span in from_checkpoint.into_iter().flatten() {
                errors.on(span, "a `value` is not in the checkpoint; remove this key, or `value`");
            }
        }
        if let (Some(_), Some(when)) = (&keys.count, &keys.when) {
            errors
                .at(when, "a field is a `Vec` with `count` or an `Option` with `when`; nest one in a struct");
        }
        let (inner, source) = match (keys.value, keys.count, keys.when) {
            (Some(value), ..) => (field.ty.clone(), Source::Value(value)),
            (_, Some(count), _) => (inner(field, "Vec", "count", errors), Source::Many(count)),
            (_, _, Some(when)) => (inner(field, "Option", "when", errors), Source::When(when)),
            (None, None, None) => {
                for (container, key) in [("Vec", "count = number"), ("Option", "when = condition")] {
                    if argument(&field.ty, container).is_some() {
                        errors.at(&field.ty, format!("say when to load this: `#[weights({key})]`"));
                    }
                }
                (field.ty.clone(), Source::One)
            }
        };
        let key =
            keys.name.map_or_else(|| name.to_string().trim_start_matches("r#").to_owned(), |n| n.value());
        Some(Self { name, key, inner, with: keys.with, source })
    }
}

fn inner(field: &syn::Field, container: &str, key: &str, errors: &mut Errors) -> Type {
    argument(&field.ty, container).cloned().unwrap_or_else(|| {
        errors
            .at(&field.ty, format!("`{key}` loads a `{container}<..>`; write that type, or remove `{key}`"));
        field.ty.clone()
    })
}

/// `T` of `container<T>`.
fn argument<'t>(ty: &'t Type, container: &str) -> Option<&'t Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|s| s.ident == container)?;
    match &last.arguments {
        syn::PathArguments::AngleBracketed(args) => args.args.iter().find_map(|a| match a {
            syn::GenericArgument::Type(t) => Some(t),
            _ => None,
        }),
        _ => None,
    }
}
