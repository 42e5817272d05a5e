//! Reads the struct and its `#[weights(..)]`.

use proc_macro2::Ident;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Expr, Fields, LitStr, Path, Type, parse_quote};

use crate::errors::Errors;
use crate::messages::{self, Message};
use crate::types::{declared_engine, item_of};

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
        Some(_) => Err(meta.error(messages::KEY_TWICE)),
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
            (_, true) => Err(meta.error(messages::STRUCT_KEY)),
            (_, false) => Err(meta.error(messages::FIELD_KEY)),
        }
    }
}

impl Struct {
    /// Reads the item; all its errors at once.
    pub(super) fn parse(input: &DeriveInput) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let keys = Keys::parse(&input.attrs, true, &mut errors);
        let engine = declared_engine(&input.generics).unwrap_or_else(|| {
            errors.at(&input.ident, messages::NO_ENGINE);
            input.ident.clone()
        });
        let config = keys.config.unwrap_or_else(|| {
            errors.at(&input.ident, messages::NO_CONFIG);
            parse_quote!(())
        });
        let mut fields = Vec::new();
        match &input.data {
            Data::Struct(data) => match &data.fields {
                Fields::Named(named) => {
                    fields.extend(named.named.iter().filter_map(|f| Field::parse(f, &mut errors)));
                }
                Fields::Unnamed(unnamed) => {
                    errors.at(unnamed, messages::UNNAMED_FIELDS);
                }
                Fields::Unit => errors.at(&input.ident, messages::UNIT_STRUCT),
            },
            Data::Enum(data) => errors.at(data.enum_token, messages::ENUM),
            Data::Union(data) => errors.at(data.union_token, messages::UNION),
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
                errors.on(span, messages::VALUE_WITH_KEY);
            }
        }
        if let (Some(_), Some(when)) = (&keys.count, &keys.when) {
            errors.at(when, messages::COUNT_AND_WHEN);
        }
        let (inner, source) = match (keys.value, keys.count, keys.when) {
            (Some(value), ..) => (field.ty.clone(), Source::Value(value)),
            (_, Some(count), _) => (inner(field, "Vec", messages::WANTS_VEC, errors), Source::Many(count)),
            (_, _, Some(when)) => {
                (inner(field, "Option", messages::WANTS_OPTION, errors), Source::When(when))
            }
            (None, None, None) => {
                for (container, key) in [("Vec", "count = number"), ("Option", "when = condition")] {
                    if item_of(&field.ty, container).is_some() {
                        errors.at(&field.ty, messages::WHEN_TO_LOAD.with(key));
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

fn inner(field: &syn::Field, container: &str, otherwise: Message, errors: &mut Errors) -> Type {
    item_of(&field.ty, container).cloned().unwrap_or_else(|| {
        errors.at(&field.ty, otherwise);
        field.ty.clone()
    })
}
