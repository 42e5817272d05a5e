//! Reads the author's Rust into the [`tree`](crate::tree), naming every step.

mod call;
mod control;
mod convert;
mod expr;
mod macros;

use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{Pat, Type};

use crate::errors::{Errors, in_place};
use crate::messages::Says;
use crate::names::Names;
use crate::tree::{Block, Expr, Node, Stmt};
use crate::types::{Secrecy, Types};

/// A variable in scope.
struct Var {
    name: String,
    secrecy: Secrecy,
    /// The type written down, under the engine.
    ty: Option<Type>,
}

/// Reads one function.
pub(crate) struct Lower<'a> {
    types: &'a Types,
    own: &'a OwnMethods,
    /// The result's type under the engine, if results are converted.
    result: Option<Type>,
    /// Names of the contexts entered, innermost last.
    names: Vec<Names>,
    vars: Vec<Var>,
    /// The variable that the current statement defines.
    target: Option<String>,
    /// Inside a condition, where nothing may be secret.
    condition: bool,
    /// The innermost branch of `join!` that is being read.
    branch: Option<Branch>,
    /// Labels of the loops and blocks entered, innermost last; loops without one have an empty name.
    loops: Vec<String>,
    /// Errors that have no place of their own in the body.
    pub(crate) errors: Errors,
    /// How many errors there are.
    found: usize,
}

/// Methods of the same `impl`.
#[derive(Default)]
pub(crate) struct OwnMethods {
    /// Those that take a context.
    pub(crate) model: Vec<String>,
    /// Those marked `#[public]`.
    pub(crate) plain: Vec<String>,
}

/// What a branch of `join!` cannot do.
#[derive(Clone, Copy)]
struct Branch {
    /// It cannot leave loops that were entered before.
    loops: usize,
    /// It cannot assign to variables that were defined before, if there are several passes.
    vars: Option<usize>,
}

impl<'a> Lower<'a> {
    pub(crate) fn new(types: &'a Types, own: &'a OwnMethods, result: Option<Type>) -> Self {
        Self {
            types,
            own,
            result,
            names: vec![Names::default()],
            vars: Vec::new(),
            target: None,
            condition: false,
            branch: None,
            loops: Vec::new(),
            errors: Errors::default(),
            found: 0,
        }
    }

    /// A parameter comes into scope.
    pub(crate) fn parameter(&mut self, pat: &Pat, ty: Option<Type>, secrecy: Secrecy) {
        self.bind(pat, ty.as_ref(), secrecy);
    }

    /// The function's body; its value is converted to the result's type.
    pub(crate) fn body(&mut self, block: &syn::Block) -> Block {
        let mut block = self.block(block);
        if let Some(result) = self.result.clone() {
            self.convert_block(&mut block, Some(&result), None);
        }
        block
    }

    fn name(&mut self, base: &str) -> String {
        let name = match &self.target {
            Some(target) => format!("{target}.{base}"),
            None => base.to_owned(),
        };
        self.names.last_mut().map(|names| names.step(&name)).unwrap_or(name)
    }

    /// Reads under a context of its own, whose `names` are used so far.
    fn in_context<T>(&mut self, names: Names, read: impl FnOnce(&mut Self) -> T) -> (T, Names) {
        let target = self.target.take();
        self.names.push(names);
        let out = read(self);
        self.target = target;
        (out, self.names.pop().unwrap_or_default())
    }

    /// Reads a branch of `join!` under a context of its own; `each` if it is one of several passes.
    fn in_branch<T>(&mut self, each: bool, read: impl FnOnce(&mut Self) -> T) -> (T, Names) {
        let branch = Branch { loops: self.loops.len(), vars: each.then_some(self.vars.len()) };
        let outer = self.branch.replace(branch);
        let out = self.in_context(Names::default(), read);
        self.branch = outer;
        out
    }

    /// Reads the body of a loop, or of a block with a label.
    fn in_loop<T>(&mut self, label: Option<&syn::Label>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.loops.push(label.map(|l| l.name.ident.to_string()).unwrap_or_default());
        let out = read(self);
        self.loops.pop();
        out
    }

    fn lookup(&self, name: &str) -> Option<&Var> {
        self.vars.iter().rev().find(|v| v.name == name)
    }

    fn bind(&mut self, pat: &Pat, ty: Option<&Type>, secrecy: Secrecy) {
        // Parts of a public value are public; of others nothing is known.
        let part = if secrecy == Secrecy::Public { secrecy } else { Secrecy::Unknown };
        match (pat, ty) {
            (Pat::Ident(p), _) => {
                self.vars.push(Var { name: p.ident.to_string(), secrecy, ty: ty.cloned() });
                if let Some((_, sub)) = &p.subpat {
                    self.bind(sub, None, secrecy);
                }
            }
            (Pat::Type(p), _) => self.bind(&p.pat, Some(&p.ty), secrecy),
            (Pat::Paren(p), ty) => self.bind(&p.pat, ty, secrecy),
            (Pat::Reference(p), _) => self.bind(&p.pat, None, secrecy),
            (Pat::Tuple(p), Some(Type::Tuple(t))) if p.elems.len() == t.elems.len() => {
                for (pat, ty) in p.elems.iter().zip(&t.elems) {
                    self.bind(pat, Some(ty), self.types.secrecy(ty));
                }
            }
            (Pat::Tuple(p), _) => p.elems.iter().for_each(|p| self.bind(p, None, part)),
            (Pat::TupleStruct(p), _) => p.elems.iter().for_each(|p| self.bind(p, None, part)),
            (Pat::Struct(p), _) => p.fields.iter().for_each(|f| self.bind(&f.pat, None, part)),
            (Pat::Slice(p), _) => p.elems.iter().for_each(|p| self.bind(p, None, part)),
            (Pat::Or(p), _) => p.cases.iter().for_each(|p| self.bind(p, None, part)),
            _ => {}
        }
    }

    fn block(&mut self, block: &syn::Block) -> Block {
        let scope = self.vars.len();
        let stmts = block.stmts.iter().map(|stmt| self.stmt(stmt)).collect();
        self.vars.truncate(scope);
        Block { stmts }
    }

    fn stmt(&mut self, stmt: &syn::Stmt) -> Stmt {
        match stmt {
            syn::Stmt::Local(local) => self.local(local),
            syn::Stmt::Item(item) => Stmt::Rust(item.to_token_stream()),
            syn::Stmt::Expr(value, semi) => Stmt::Expr { value: self.expr(value), semi: semi.is_some() },
            syn::Stmt::Macro(m) => {
                let value = self.macro_call(&m.mac, m.mac.span());
                Stmt::Expr { value, semi: m.semi_token.is_some() }
            }
        }
    }

    fn local(&mut self, local: &syn::Local) -> Stmt {
        let (pat, written) = match &local.pat {
            Pat::Type(p) => ((*p.pat).clone(), Some((*p.ty).clone())),
            pat => (pat.clone(), None),
        };
        let public = local.attrs.iter().any(|a| a.path().is_ident("public"));
        let ty = written
            .as_ref()
            .and_then(|ty| if public { Some(ty.clone()) } else { self.take(self.types.rewrite(ty)) });
        let names = pattern_names(&pat);
        let outer = std::mem::replace(&mut self.target, (names.len() == 1).then(|| names[0].clone()));

        let mut diverge = None;
        let mut init = local.init.as_ref().map(|init| {
            if let Some((_, otherwise)) = &init.diverge {
                diverge = Some(otherwise);
            }
            match join_of(&init.expr) {
                Some(mac) => Box::new(self.join(mac, &names)),
                None => Box::new(self.expr(&init.expr)),
            }
        });
        if let (Some(ty), Some(written), false) = (&ty, &written, public)
            && self.types.may_convert(written)
            && let Some(value) = &mut init
        {
            self.convert(value, Some(ty), Some(written));
        }
        self.target = outer;
        let diverge = diverge.map(|e| self.diverging(e));

        let secrecy = match (&written, &init) {
            _ if public => Secrecy::Public,
            (Some(ty), Some(value)) => either_known(self.types.secrecy(ty), value.secrecy),
            (Some(ty), None) => self.types.secrecy(ty),
            (None, Some(value)) => value.secrecy,
            (None, None) => Secrecy::Unknown,
        };
        self.bind(&pat, ty.as_ref(), secrecy);
        let attrs = local.attrs.iter().filter(|a| !a.path().is_ident("public"));
        Stmt::Let { attrs: quote!(#(#attrs)*), pat, ty, init, diverge }
    }

    /// The block after `else` of a `let`.
    fn diverging(&mut self, otherwise: &syn::Expr) -> Block {
        match otherwise {
            syn::Expr::Block(b) => self.block(&b.block),
            other => Block { stmts: vec![Stmt::Expr { value: self.expr(other), semi: false }] },
        }
    }

    /// An error in the place of an expression: the rest of the body stays.
    fn failed(&mut self, error: &syn::Error) -> Expr {
        self.found += 1;
        Expr::new(Node::Failed(in_place(error)), Secrecy::Unknown, error.span())
    }

    /// An error on the author's tokens, in the place of their expression.
    fn reject(&mut self, tokens: impl ToTokens, message: impl Says) -> Expr {
        self.failed(&syn::Error::new_spanned(tokens, message))
    }

    /// An error on the author's tokens, in the place of their expression, whose `parts` are kept for editors.
    fn reject_keeping(&mut self, tokens: impl ToTokens, message: impl Says, parts: Vec<Expr>) -> Expr {
        let failed = self.reject(tokens, message);
        let (span, secrecy) = (failed.span, failed.secrecy);
        let keep = |part| Stmt::Let {
            attrs: quote!(),
            pat: Pat::Wild(syn::PatWild { attrs: Vec::new(), underscore_token: Default::default() }),
            ty: None,
            init: Some(Box::new(part)),
            diverge: None,
        };
        let mut stmts: Vec<Stmt> = parts.into_iter().map(keep).collect();
        stmts.push(Stmt::Expr { value: failed, semi: false });
        // In parentheses, so that it may stand where a statement begins.
        let block = Expr::new(Node::Block { label: quote!(), block: Block { stmts } }, secrecy, span);
        Expr::new(Node::Paren(Box::new(block)), secrecy, span)
    }

    /// An error on the author's tokens, whose expression stays.
    fn note(&mut self, tokens: impl ToTokens, message: impl Says) {
        self.found += 1;
        self.errors.at(tokens, message);
    }

    /// The value, or the error noted.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        self.found += usize::from(result.is_err());
        self.errors.take(result)
    }
}

/// What a value is, from the type written down if that says it.
fn either_known(written: Secrecy, value: Secrecy) -> Secrecy {
    // A type that is not known to hold secrets: the value says whether it came from public ones.
    match (written, value) {
        (Secrecy::Unknown, Secrecy::Public) => Secrecy::Public,
        (written, _) => written,
    }
}

/// The `join!(..)` that an expression is.
fn join_of(expr: &syn::Expr) -> Option<&syn::Macro> {
    match expr {
        syn::Expr::Macro(m) if m.mac.path.is_ident("join") => Some(&m.mac),
        syn::Expr::Paren(p) => join_of(&p.expr),
        _ => None,
    }
}

/// The variables that a pattern defines, in order; `_` counts as one.
fn pattern_names(pat: &Pat) -> Vec<String> {
    match pat {
        Pat::Ident(p) => vec![p.ident.to_string()],
        Pat::Wild(_) => vec!["unused".to_owned()],
        Pat::Type(p) => pattern_names(&p.pat),
        Pat::Paren(p) => pattern_names(&p.pat),
        Pat::Reference(p) => pattern_names(&p.pat),
        Pat::Tuple(p) => p.elems.iter().flat_map(pattern_names).collect(),
        Pat::TupleStruct(p) => p.elems.iter().flat_map(pattern_names).collect(),
        _ => Vec::new(),
    }
}
