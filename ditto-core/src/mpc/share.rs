//! What the parties hold. Fields are visible to the protocols only.

use std::sync::Arc;

use super::role::Role;
use crate::error::Result;
use crate::kernel::PackedB;
use crate::ring::Word;
use crate::tensor::{Array, Concat, Elem, Shape, Structure};

/// What every reading of a secret tensor can do without talking.
pub trait Share: Clone + Send + Sync {
    /// The shape.
    fn shape(&self) -> &Shape;
    /// Width of the ring in bits.
    fn width(&self) -> u32;
    /// Moves or sums elements.
    fn restructure(&self, by: &impl Structure) -> Result<Self>;
    /// Joins along an axis; at least one part.
    fn concat(parts: &[&Self], axis: usize) -> Result<Self>;
}

/// An evaluator's part of a masked sharing: the masked value `m` and its own mask.
#[derive(Clone)]
pub struct Masked<W> {
    pub(in crate::mpc) k: u32,
    pub(in crate::mpc) m: Array<W>,
    pub(in crate::mpc) own: Array<W>,
}

/// A sharing while only its masks exist: P0 knows `l0`, P1 knows `l1`, P2 both.
#[derive(Clone)]
pub struct Mask<W> {
    pub(in crate::mpc) k: u32,
    pub(in crate::mpc) shape: Shape,
    pub(in crate::mpc) l0: Option<Array<W>>,
    pub(in crate::mpc) l1: Option<Array<W>>,
}

/// An evaluator's additive share: `x = a0 + a1 mod 2^k`. Nothing about it is known to P2.
#[derive(Clone)]
#[must_use = "an additive share is of no use until it is remasked or rescaled"]
pub struct Additive<W> {
    pub(in crate::mpc) k: u32,
    pub(in crate::mpc) a: Array<W>,
}

/// An evaluator's XOR share of words of `bits` bits. A type of its own: Boolean and arithmetic shares do not mix.
#[derive(Clone)]
pub struct Xor<W> {
    pub(in crate::mpc) bits: u32,
    pub(in crate::mpc) x: Array<W>,
}

/// Secret words opened under mask bits: the evaluators know `u = s xor t`.
#[derive(Clone)]
pub struct OpenedBits<W> {
    pub(in crate::mpc) bits: u32,
    pub(in crate::mpc) u: Array<W>,
}

impl OpenedBits<u8> {
    /// The complement of single bits.
    pub(crate) fn not(&self) -> Self {
        Self { bits: self.bits, u: self.u.map(|u| u ^ 1) }
    }
}

/// The mask bits `t` of opened words, known to P2 only.
#[derive(Clone)]
pub struct OpenedMask<W> {
    pub(in crate::mpc) bits: u32,
    pub(in crate::mpc) shape: Shape,
    pub(in crate::mpc) t: Option<Array<W>>,
}

/// Shape and width of something that depends on inputs, while only masks exist.
#[derive(Clone)]
pub struct Dealt<W> {
    pub(in crate::mpc) k: u32,
    pub(in crate::mpc) shape: Shape,
    pub(in crate::mpc) word: std::marker::PhantomData<W>,
}

impl<W> Dealt<W> {
    pub(crate) fn new(shape: Shape, k: u32) -> Self {
        Self { k, shape, word: std::marker::PhantomData }
    }
}

/// A secret matrix [k x n] that is multiplied from the right, packed for the kernels once.
///
/// Before the request P0 and P1 need `m_W` and P2 the whole mask; online P0 needs `m_W - l0_W` and P1 `l1_W`.
#[derive(Clone)]
pub struct Weight<W> {
    pub(in crate::mpc) shape: Shape,
    pub(in crate::mpc) packed: Arc<PackedB<W>>,
}

impl<W> Weight<W> {
    /// A weight for one side of the protocol; see the type.
    pub(crate) fn new(packed: Arc<PackedB<W>>) -> Self
    where
        W: Word,
    {
        Self { shape: Shape::new(&[packed.k(), packed.n()]), packed }
    }

    /// [inputs, outputs].
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
}

/// Implements [`Share`] for a struct whose arrays are transformed alike.
macro_rules! share {
    ($name:ident, $width:ident, $first:ident $(, $rest:ident)*) => {
        impl<W: Word + Elem> Share for $name<W> {
            fn shape(&self) -> &Shape { self.$first.shape() }
            fn width(&self) -> u32 { self.$width }
            fn restructure(&self, by: &impl Structure) -> Result<Self> {
                Ok(Self {
                    $width: self.$width,
                    $first: by.apply_to(&self.$first)?.low(self.$width),
                    $($rest: by.apply_to(&self.$rest)?.low(self.$width),)*
                })
            }
            fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
                let by = Concat { axis };
                let $first: Vec<_> = parts.iter().map(|p| &p.$first).collect();
                $(let $rest: Vec<_> = parts.iter().map(|p| &p.$rest).collect();)*
                Ok(Self { $width: parts[0].$width, $first: by.join(&$first)?, $($rest: by.join(&$rest)?,)* })
            }
        }
        share!(@debug $name $width);
    };
    (@optional $name:ident, $width:ident $(, $field:ident)*) => {
        impl<W: Word + Elem> Share for $name<W> {
            fn shape(&self) -> &Shape { &self.shape }
            fn width(&self) -> u32 { self.$width }
            #[allow(clippy::needless_update)]
            fn restructure(&self, by: &impl Structure) -> Result<Self> {
                let mut out = self.clone();
                out.shape = by.apply_to(&Array::<()>::zeros(self.shape.clone()))?.shape().clone();
                $(if let Some(v) = &self.$field { out.$field = Some(by.apply_to(v)?.low(self.$width)); })*
                Ok(out)
            }
            fn concat(parts: &[&Self], axis: usize) -> Result<Self> {
                let by = Concat { axis };
                let mut out = parts[0].clone();
                let shapes: Vec<_> = parts.iter().map(|p| Array::<()>::zeros(p.shape.clone())).collect();
                out.shape = by.join(&shapes.iter().collect::<Vec<_>>())?.shape().clone();
                $(if out.$field.is_some() {
                    let all: Vec<_> = parts.iter().filter_map(|p| p.$field.as_ref()).collect();
                    out.$field = Some(by.join(&all)?);
                })*
                Ok(out)
            }
        }
        share!(@debug $name $width);
    };
    (@debug $name:ident $width:ident) => {
        impl<W: Word + Elem> std::fmt::Debug for $name<W> {
            // Type and shape only: the contents are secret.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}<{}>{}", stringify!($name), self.$width, Share::shape(self))
            }
        }
    };
}
share!(Masked, k, m, own);
share!(Additive, k, a);
share!(Xor, bits, x);
share!(OpenedBits, bits, u);
share!(@optional Mask, k, l0, l1);
share!(@optional OpenedMask, bits, t);
share!(@optional Dealt, k);

impl<W: Word + Elem> Mask<W> {
    /// The whole mask `l0 + l1 mod 2^k`, where it is known: at P2.
    pub(in crate::mpc) fn lambda(&self) -> Option<Array<W>> {
        let (l0, l1) = (self.l0.as_ref()?, self.l1.as_ref()?);
        let k = self.k;
        l0.zip(l1, "mask", |a, b| a.wrapping_add(&b).low(k)).ok()
    }

    /// An evaluator's own mask; `None` at P2.
    pub(in crate::mpc) fn own(&self) -> Option<&Array<W>> {
        match (&self.l0, &self.l1) {
            (Some(l), None) | (None, Some(l)) => Some(l),
            _ => None,
        }
    }

    /// Applies `f` to each component that this party holds.
    pub(in crate::mpc) fn each<V: Word + Elem>(
        &self,
        k: u32,
        f: impl Fn(&Array<W>) -> Result<Array<V>>,
    ) -> Result<Mask<V>> {
        let l0 = self.l0.as_ref().map(&f).transpose()?;
        let l1 = self.l1.as_ref().map(&f).transpose()?;
        let shape = l0.as_ref().or(l1.as_ref()).map_or_else(|| self.shape.clone(), |a| a.shape().clone());
        Ok(Mask { k, shape, l0, l1 })
    }

    /// Applies `f` to each pair of components that this party holds.
    pub(in crate::mpc) fn pair(
        &self,
        other: &Self,
        f: impl Fn(&Array<W>, &Array<W>) -> Result<Array<W>>,
    ) -> Result<Self> {
        let both = |a: &Option<Array<W>>, b: &Option<Array<W>>| match (a, b) {
            (Some(a), Some(b)) => f(a, b).map(Some),
            _ => Ok(None),
        };
        let (l0, l1) = (both(&self.l0, &other.l0)?, both(&self.l1, &other.l1)?);
        let shape = l0.as_ref().or(l1.as_ref()).map_or_else(|| self.shape.clone(), |a| a.shape().clone());
        Ok(Self { k: self.k, shape, l0, l1 })
    }
}

impl<W: Word + Elem> Mask<W> {
    /// An evaluator's mask of a value shared from outside (an input, a weight).
    pub(crate) fn own_part(role: Role, k: u32, own: Array<W>) -> Self {
        let shape = own.shape().clone();
        let (l0, l1) = if role == Role::P0 { (Some(own), None) } else { (None, Some(own)) };
        Self { k, shape, l0, l1 }
    }

    /// P2's masks of such a value.
    pub(crate) fn both(k: u32, l0: Array<W>, l1: Array<W>) -> Self {
        Self { k, shape: l0.shape().clone(), l0: Some(l0), l1: Some(l1) }
    }
}

impl<W: Word + Elem> Masked<W> {
    /// An evaluator's part of a value shared from outside.
    pub(crate) fn new(k: u32, m: Array<W>, own: Array<W>) -> Self {
        Self { k, m, own }
    }

    /// An evaluator's part of an input whose mask it has expanded, once the masked value has come.
    pub(crate) fn from_mask(mask: &Mask<W>, m: Array<W>) -> Result<Self> {
        let own =
            mask.own().ok_or(crate::error::Error::Internal("the helper receives no masked value"))?.clone();
        Ok(Self { k: mask.k, m, own })
    }

    /// What this evaluator sends to the receiver of an output: P0 `m - l0`, P1 `l1`.
    pub(crate) fn output_part(&self, role: Role) -> Result<Vec<W>> {
        if role == Role::P0 {
            Ok(self.m.zip(&self.own, "open", |m, l| m.wrapping_sub(&l).low(self.k))?.into_vec())
        } else {
            Ok(self.own.data().to_vec())
        }
    }
}
