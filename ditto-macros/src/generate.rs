//! Writes the [`tree`](crate::tree) as Rust.

use std::cell::Cell;

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Path;

use crate::tree::{Block, Branch, Expr, Node, Operator, Stmt};

/// What the generated code mentions.
pub(crate) struct Generate<'a> {
    /// Path of the crate's export module.
    pub(crate) root: &'a Path,
    pub(crate) engine: &'a Ident,
    /// Whether the context in scope is used.
    used: Cell<bool>,
}

/// The context: a name that the author's code cannot see.
pub(crate) fn ctx() -> Ident {
    Ident::new("ctx", Span::mixed_site())
}

impl<'a> Generate<'a> {
    pub(crate) fn new(root: &'a Path, engine: &'a Ident) -> Self {
        Self { root, engine, used: Cell::new(false) }
    }

    /// The statements of a function's body; its value becomes a `Result`.
    pub(crate) fn function(&self, body: &Block, unit: bool) -> TokenStream {
        let (out, used) = self.scope(|| {
            let (tail, stmts) = match body.stmts.split_last() {
                Some((Stmt::Expr { value, semi: false }, stmts)) => (Some(value), stmts),
                _ => (None, &body.stmts[..]),
            };
            let stmts: TokenStream = stmts.iter().map(|s| self.ended(s)).collect();
            let tail = tail.map(|value| self.expr(value));
            match (tail, unit) {
                (Some(tail), false) => quote!(#stmts ::core::result::Result::Ok(#tail)),
                (Some(tail), true) => quote!(#stmts #tail; ::core::result::Result::Ok(())),
                (None, true) => quote!(#stmts ::core::result::Result::Ok(())),
                // Without a value: it ends in `return`.
                (None, false) => stmts,
            }
        });
        let ctx = ctx();
        let unused = (!used).then(|| quote!(let _ = #ctx;));
        quote!(#unused #out)
    }

    /// Writes under a context of its own; says whether it is used.
    fn scope<T>(&self, write: impl FnOnce() -> T) -> (T, bool) {
        let outer = self.used.replace(false);
        let out = write();
        (out, self.used.replace(outer))
    }

    fn ctx(&self) -> Ident {
        self.used.set(true);
        ctx()
    }

    /// The context narrowed by `name`, for one call.
    fn narrowed(&self, name: &str) -> TokenStream {
        let ctx = self.ctx();
        quote!(&#ctx.step(#name)?)
    }

    /// The export module's path, so that errors about what is called point at the author's expression.
    fn root_at(&self, span: Span) -> TokenStream {
        let respan = |mut token: TokenTree| {
            token.set_span(span);
            token
        };
        self.root.to_token_stream().into_iter().map(respan).collect()
    }

    fn stmts(&self, block: &Block) -> TokenStream {
        let Some((last, others)) = block.stmts.split_last() else { return TokenStream::new() };
        let others: TokenStream = others.iter().map(|s| self.ended(s)).collect();
        let last = self.stmt(last);
        quote!(#others #last)
    }

    /// A statement with others after it.
    fn ended(&self, stmt: &Stmt) -> TokenStream {
        match stmt {
            // In the place of what needs no semicolon, such as a loop.
            Stmt::Expr { value: Expr { node: Node::Failed(error), .. }, semi: false } => quote!(#error;),
            stmt => self.stmt(stmt),
        }
    }

    fn block(&self, block: &Block) -> TokenStream {
        let stmts = self.stmts(block);
        quote!({ #stmts })
    }

    fn stmt(&self, stmt: &Stmt) -> TokenStream {
        match stmt {
            Stmt::Rust(tokens) => tokens.clone(),
            Stmt::Let { attrs, pat, ty, init, diverge } => {
                let ty = ty.as_ref().map(|ty| quote!(: #ty));
                let init = init.as_ref().map(|init| {
                    let init = self.expr(init);
                    quote!(= #init)
                });
                let diverge = diverge.as_ref().map(|block| {
                    let block = self.block(block);
                    quote!(else #block)
                });
                quote!(#attrs let #pat #ty #init #diverge;)
            }
            Stmt::Expr { value, semi } => {
                let value = self.expr(value);
                if *semi { quote!(#value;) } else { value }
            }
        }
    }

    fn list(&self, values: &[Expr]) -> Vec<TokenStream> {
        values.iter().map(|v| self.expr(v)).collect()
    }

    fn expr(&self, expr: &Expr) -> TokenStream {
        // Generated tokens resolve as the macro's, and errors about them point at the author's expression.
        let span = Span::mixed_site().located_at(expr.span);
        let engine = self.engine;
        match &expr.node {
            Node::Rust(tokens) | Node::Failed(tokens) => tokens.clone(),
            Node::Call { function, step, args } => {
                let (ctx, args) = (self.narrowed(step), self.list(args));
                quote_spanned!(span=> #function(#ctx #(, #args)*)?)
            }
            Node::OwnMethod { receiver, method, step, args } => {
                let receiver = self.expr(receiver);
                let (ctx, args) = (self.narrowed(step), self.list(args));
                quote_spanned!(span=> #receiver.#method(#ctx #(, #args)*)?)
            }
            Node::TensorMethod { receiver, method, args } => {
                let (receiver, args) = (self.expr(receiver), self.list(args));
                quote_spanned!(span=> #receiver.#method(#(#args),*)?)
            }
            Node::PlainCall { function, args } => {
                let args = self.list(args);
                quote_spanned!(span=> #function(#(#args),*))
            }
            Node::PlainMethod { receiver, method, args } => {
                let (receiver, args) = (self.expr(receiver), self.list(args));
                quote_spanned!(span=> #receiver.#method(#(#args),*))
            }
            Node::Operator { op, lhs, rhs, step } => {
                let (lhs, rhs) = (self.expr(lhs), self.expr(rhs));
                let (name, method) = match op {
                    Operator::Plus => ("Plus", "plus"),
                    Operator::Minus => ("Minus", "minus"),
                    Operator::Times => ("Times", "times"),
                };
                let (name, method) = (Ident::new(name, span), Ident::new(method, span));
                let (ctx, root) = (self.ctx(), self.root_at(span));
                let step = step.as_ref().map(|step| quote!(, #step));
                quote_spanned!(span=> #root::#name::<#engine, _>::#method(#lhs, #rhs, #ctx #step)?)
            }
            Node::Binary { lhs, op, rhs } => {
                let (lhs, rhs) = (self.expr(lhs), self.expr(rhs));
                quote!(#lhs #op #rhs)
            }
            Node::Around { before, value, after } => {
                let value = self.expr(value);
                quote!(#before #value #after)
            }
            Node::Index { value, index } => {
                let (value, index) = (self.expr(value), self.expr(index));
                quote_spanned!(span=> #value[#index])
            }
            Node::Range { start, limits, end } => {
                let start = start.as_ref().map(|e| self.expr(e));
                let end = end.as_ref().map(|e| self.expr(e));
                quote!(#start #limits #end)
            }
            Node::Paren(value) => {
                let value = self.expr(value);
                quote!((#value))
            }
            Node::Tuple(values) => {
                let values = self.list(values);
                match &values[..] {
                    [one] => quote!((#one,)),
                    _ => quote!((#(#values),*)),
                }
            }
            Node::Array(values) => {
                let values = self.list(values);
                quote!([#(#values),*])
            }
            Node::Vec(values) => {
                let values = self.list(values);
                quote_spanned!(span=> ::std::vec![#(#values),*])
            }
            Node::Struct { path, fields, rest } => {
                let fields = fields.iter().map(|(name, value)| {
                    let value = self.expr(value);
                    quote!(#name: #value)
                });
                let rest = rest.as_ref().map(|rest| {
                    let rest = self.expr(rest);
                    quote!(..#rest)
                });
                quote!(#path { #(#fields,)* #rest })
            }
            Node::Block { label, block } => {
                let block = self.block(block);
                quote!(#label #block)
            }
            Node::If { condition, then, otherwise } => {
                let (condition, then) = (self.expr(condition), self.block(then));
                let otherwise = otherwise.as_ref().map(|e| {
                    let e = self.expr(e);
                    quote!(else #e)
                });
                quote!(if #condition #then #otherwise)
            }
            Node::Let { pat, value } => {
                let value = self.expr(value);
                quote!(let #pat = #value)
            }
            Node::Match { value, arms } => {
                let value = self.expr(value);
                let arms = arms.iter().map(|arm| {
                    let pat = &arm.pat;
                    let guard = arm.guard.as_ref().map(|guard| {
                        let guard = self.expr(guard);
                        quote!(if #guard)
                    });
                    let body = self.expr(&arm.body);
                    quote!(#pat #guard => #body,)
                });
                let arms: TokenStream = arms.collect();
                quote!(match #value { #arms })
            }
            Node::For { label, pat, over, name, body } => self.passes(label, pat, over, name, body),
            Node::Assign { place, value } => {
                let (place, value) = (self.expr(place), self.expr(value));
                quote!(#place = #value)
            }
            Node::Return(value) => {
                let value = value.as_ref().map_or_else(|| quote!(()), |v| self.expr(v));
                quote!(return ::core::result::Result::Ok(#value))
            }
            Node::Join { branches } => self.join(branches, span),
            Node::JoinEach { pat, over, name, body, .. } => {
                let over = self.expr(over);
                let ctx = self.ctx();
                let (body, used) = self.scope(|| self.value(body));
                let parameter = if used { ctx.to_token_stream() } else { quote!(_) };
                quote_spanned!(span=> #ctx.join_items(#name, #over, |#pat, #parameter| { #body })?)
            }
            Node::Protocol { ctx: name, step, body } => {
                let ctx = self.narrowed(step);
                let root = self.root_at(span);
                quote_spanned!(span=> #root::by_hand(#ctx, |#name| #body)?)
            }
            Node::Convert { value, target, step } => {
                let value = self.expr(value);
                let target = target.as_ref().map_or_else(|| quote!(_), ToTokens::to_token_stream);
                let (ctx, root) = (self.ctx(), self.root_at(span));
                quote_spanned!(span=> #root::Rescale::<#engine, #target>::rescale(#value, #ctx, #step)?)
            }
        }
    }

    fn passes(
        &self,
        label: &TokenStream,
        pat: &syn::Pat,
        over: &Expr,
        name: &str,
        body: &Block,
    ) -> TokenStream {
        let over = self.expr(over);
        let (stmts, used) = self.scope(|| self.stmts(body));
        if !used {
            return quote!(#label for #pat in #over { #stmts });
        }
        let ctx = self.ctx();
        let pass = Ident::new("pass", Span::mixed_site());
        quote! {
            #label for (#pass, #pat) in ::core::iter::Iterator::enumerate(::core::iter::IntoIterator::into_iter(#over)) {
                let #ctx = &#ctx.index(#name, #pass)?;
                #stmts
            }
        }
    }

    /// The statements of a block whose value becomes a `Result`.
    fn value(&self, block: &Block) -> TokenStream {
        match block.stmts.split_last() {
            Some((Stmt::Expr { value, semi: false }, stmts)) => {
                let stmts: TokenStream = stmts.iter().map(|s| self.ended(s)).collect();
                let value = self.expr(value);
                quote!(#stmts ::core::result::Result::Ok(#value))
            }
            _ => self.stmts(block),
        }
    }

    fn join(&self, branches: &[Branch], span: Span) -> TokenStream {
        let ctx = self.ctx();
        let method = if branches.len() == 2 { "join".to_owned() } else { format!("join{}", branches.len()) };
        let method = Ident::new(&method, span);
        let branches = branches.iter().map(|branch| {
            let (value, used) = self.scope(|| self.expr(&branch.value));
            let (name, parameter) = (&branch.name, if used { ctx.to_token_stream() } else { quote!(_) });
            quote!((#name, |#parameter| ::core::result::Result::Ok(#value)))
        });
        quote_spanned!(span=> #ctx.#method(#(#branches),*)?)
    }
}
