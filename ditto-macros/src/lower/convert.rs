//! Where values take the format written down.

use quote::ToTokens;
use syn::Type;

use super::Lower;
use crate::tree::{Block, Expr, Node, Stmt};
use crate::types::item_of;

impl Lower<'_> {
    /// Converts `value` to `target` (`None`: what the place it goes to has), inside branches and joins, so that
    /// rescalings of a join run side by side. `written` is the target before the engine went in, where known.
    pub(super) fn convert(&mut self, value: &mut Expr, target: Option<&Type>, written: Option<&Type>) {
        match (&mut value.node, target) {
            (Node::Join { branches }, target) => {
                let parts = tuple_of(target, branches.len());
                let sources = tuple_of(written, branches.len());
                if target.is_some() && parts.is_none() {
                    return; // Not a tuple of this length: the type checker says so.
                }
                for (i, branch) in branches.iter_mut().enumerate() {
                    let (part, source) = (pick(&parts, i), pick(&sources, i));
                    let names = std::mem::take(&mut branch.names);
                    let convert = |lower: &mut Self| lower.convert(&mut branch.value, part, source);
                    branch.names = self.in_context(names, convert).1;
                }
            }
            (Node::JoinEach { names, body, .. }, target) => {
                let (part, source) = (target.and_then(vec_item), written.and_then(vec_item));
                if part.is_some() {
                    let used = std::mem::take(names);
                    *names = self.in_context(used, |lower| lower.convert_block(body, part, source)).1;
                }
            }
            (Node::Tuple(values), target) => {
                let parts = tuple_of(target, values.len());
                let sources = tuple_of(written, values.len());
                if target.is_some() && parts.is_none() {
                    return;
                }
                for (i, value) in values.iter_mut().enumerate() {
                    self.convert(value, pick(&parts, i), pick(&sources, i));
                }
            }
            (Node::If { then, otherwise, .. }, _) => {
                if let Some(otherwise) = otherwise {
                    self.convert_block(then, target, written);
                    self.convert(otherwise, target, written);
                }
            }
            (Node::Match { arms, .. }, _) => {
                for arm in arms {
                    self.convert(&mut arm.body, target, written);
                }
            }
            (Node::Block { block, .. }, _) => self.convert_block(block, target, written),
            // Nothing to convert: control leaves, or the author said that the value is plain Rust.
            (Node::Return(_) | Node::For { .. } | Node::Assign { .. } | Node::Convert { .. }, _) => {}
            (Node::Failed(_), _) => {}
            (Node::Rust(tokens), _) if leaves(tokens) => {}
            _ => {
                if let Some(ty) = written.or(target)
                    && !self.types.converts(ty)
                {
                    return;
                }
                let step = self.name("rescale");
                let (secrecy, span) = (value.secrecy, value.span);
                let nothing = Expr::new(Node::Tuple(Vec::new()), secrecy, span);
                let inner = std::mem::replace(value, nothing);
                let node = Node::Convert { value: Box::new(inner), target: target.cloned(), step };
                *value = Expr::new(node, secrecy, span);
            }
        }
    }

    /// Converts the value of a block.
    pub(super) fn convert_block(&mut self, block: &mut Block, target: Option<&Type>, written: Option<&Type>) {
        if let Some(Stmt::Expr { value, semi: false }) = block.stmts.last_mut() {
            self.convert(value, target, written);
        }
    }
}

/// `T` of `Vec<T>`.
fn vec_item(ty: &Type) -> Option<&Type> {
    if matches!(ty, Type::Reference(_)) { None } else { item_of(ty, "Vec") }
}

fn tuple_of(ty: Option<&Type>, n: usize) -> Option<Vec<&Type>> {
    match ty? {
        Type::Tuple(t) if t.elems.len() == n => Some(t.elems.iter().collect()),
        Type::Paren(p) => tuple_of(Some(&p.elem), n),
        _ => None,
    }
}

fn pick<'t>(parts: &Option<Vec<&'t Type>>, i: usize) -> Option<&'t Type> {
    parts.as_ref().and_then(|p| p.get(i).copied())
}

/// Whether plain Rust ends in `break`, `continue` or a macro that does not return.
fn leaves(tokens: &impl ToTokens) -> bool {
    let first = tokens.to_token_stream().into_iter().next().map(|t| t.to_string());
    first.is_some_and(|t| {
        ["break", "continue", "panic", "unreachable", "todo", "unimplemented"].contains(&t.as_str())
    })
}
