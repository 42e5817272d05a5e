//! What is local on shares: sums, public factors, changes of ring that need no message.

use super::share::{Additive, Dealt, Mask, Masked, OpenedBits, OpenedMask, Xor};
use crate::error::Result;
use crate::ring::{Word, cast};
use crate::tensor::{Array, Elem, broadcast_zip};

impl<W: Word + Elem> Masked<W> {
    pub(crate) fn plus(&self, other: &Self) -> Result<Self> {
        let add =
            |a: &Array<W>, b: &Array<W>| broadcast_zip(a, b, "add", |a, b| a.wrapping_add(&b).low(self.k));
        Ok(Self { k: self.k, m: add(&self.m, &other.m)?, own: add(&self.own, &other.own)? })
    }

    pub(crate) fn minus(&self, other: &Self) -> Result<Self> {
        let sub = |a: &Array<W>, b: &Array<W>| {
            broadcast_zip(a, b, "subtract", |a, b| a.wrapping_sub(&b).low(self.k))
        };
        Ok(Self { k: self.k, m: sub(&self.m, &other.m)?, own: sub(&self.own, &other.own)? })
    }

    pub(crate) fn plus_public(&self, c: &Array<i64>) -> Result<Self> {
        let m = broadcast_zip(&self.m, c, "add", |a, c| a.wrapping_add(&W::from_i64(c)).low(self.k))?;
        let own = if m.shape() == self.own.shape() {
            self.own.clone()
        } else {
            broadcast_zip(&self.own, c, "add", |l, _| l)?
        };
        Ok(Self { k: self.k, m, own })
    }

    pub(crate) fn times_public(&self, c: i64) -> Self {
        let mul = |a: &Array<W>| a.map(|a| a.wrapping_mul(&W::from_i64(c)).low(self.k));
        Self { k: self.k, m: mul(&self.m), own: mul(&self.own) }
    }

    pub(crate) fn reduce<V: Word + Elem>(&self, k: u32) -> Masked<V> {
        let low = |a: &Array<W>| a.map(|a| cast::<W, V>(a).low(k));
        Masked { k, m: low(&self.m), own: low(&self.own) }
    }

    pub(crate) fn shift_up<V: Word + Elem>(&self, up: u32) -> Masked<V> {
        let k = self.k + up;
        let shift = |a: &Array<W>| a.map(|a| (cast::<W, V>(a) << up).low(k));
        Masked { k, m: shift(&self.m), own: shift(&self.own) }
    }

    /// Floors every component; `half` is added to m first to centre the three floors.
    pub(crate) fn floor_shift<V: Word + Elem>(&self, drop: u32, k: u32, centred: bool) -> Masked<V> {
        let half = if centred { W::one() << (drop - 1) } else { W::default() };
        let m = self.m.map(|m| cast::<W, V>(m.wrapping_sub(&half).low(self.k) >> drop).low(k));
        Masked { k, m, own: self.own.map(|l| cast::<W, V>(l >> drop).low(k)) }
    }

    pub(crate) fn additive(&self, first: bool) -> Result<Additive<W>> {
        let a = if first {
            self.m.zip(&self.own, "share", |m, l| m.wrapping_sub(&l).low(self.k))?
        } else {
            self.own.map(|l| l.wrapping_neg().low(self.k))
        };
        Ok(Additive { k: self.k, a })
    }
}

impl<W: Word + Elem> Mask<W> {
    pub(crate) fn plus(&self, other: &Self) -> Result<Self> {
        self.pair(other, |a, b| broadcast_zip(a, b, "add", |a, b| a.wrapping_add(&b).low(self.k)))
    }

    pub(crate) fn minus(&self, other: &Self) -> Result<Self> {
        self.pair(other, |a, b| broadcast_zip(a, b, "subtract", |a, b| a.wrapping_sub(&b).low(self.k)))
    }

    pub(crate) fn plus_public(&self, c: &Array<i64>) -> Result<Self> {
        self.each(self.k, |l| broadcast_zip(l, c, "add", |l, _| l))
    }

    pub(crate) fn times_public(&self, c: i64) -> Result<Self> {
        self.each(self.k, |l| Ok(l.map(|l| l.wrapping_mul(&W::from_i64(c)).low(self.k))))
    }

    pub(crate) fn reduce<V: Word + Elem>(&self, k: u32) -> Result<Mask<V>> {
        self.each(k, |l| Ok(l.map(|l| cast::<W, V>(l).low(k))))
    }

    pub(crate) fn shift_up<V: Word + Elem>(&self, up: u32) -> Result<Mask<V>> {
        let k = self.k + up;
        self.each(k, |l| Ok(l.map(|l| (cast::<W, V>(l) << up).low(k))))
    }

    pub(crate) fn floor_shift<V: Word + Elem>(&self, drop: u32, k: u32) -> Result<Mask<V>> {
        self.each(k, |l| Ok(l.map(|l| cast::<W, V>(l >> drop).low(k))))
    }

    pub(crate) fn dealt(&self) -> Dealt<W> {
        Dealt::new(self.shape.clone(), self.k)
    }
}

impl<W: Word + Elem> Additive<W> {
    pub(crate) fn plus(&self, other: &Self) -> Result<Self> {
        let k = self.k;
        Ok(Self { k, a: broadcast_zip(&self.a, &other.a, "add", |a, b| a.wrapping_add(&b).low(k))? })
    }

    pub(crate) fn plus_public(&self, c: i64, first: bool) -> Self {
        let c = if first { W::from_i64(c) } else { W::default() };
        Self { k: self.k, a: self.a.map(|a| a.wrapping_add(&c).low(self.k)) }
    }

    pub(crate) fn times_public(&self, c: i64) -> Self {
        Self { k: self.k, a: self.a.map(|a| a.wrapping_mul(&W::from_i64(c)).low(self.k)) }
    }

    pub(crate) fn reduce<V: Word + Elem>(&self, k: u32) -> Additive<V> {
        Additive { k, a: self.a.map(|a| cast::<W, V>(a).low(k)) }
    }

    /// `2^up a` in Z_{2^(k+up)}.
    pub(crate) fn shift_up(&self, up: u32) -> Self {
        let k = self.k + up;
        Self { k, a: self.a.map(|a| (a << up).low(k)) }
    }

    /// Shares of z / 2^drop in Z_{2^(k-drop)}: P0 rounds up and P1 down, so the sum errs by less than an ulp and is
    /// unbiased; the carry lost from 2^k is a multiple of the new modulus.
    pub(crate) fn shrink(&self, drop: u32, first: bool) -> Self {
        let up = if first { W::mask(drop) } else { W::default() };
        let k = self.k - drop;
        Self { k, a: self.a.map(|a| a.wrapping_add(&up).low(self.k) >> drop) }
    }
}

impl<W: Word + Elem> Xor<W> {
    pub(crate) fn xor(&self, other: &Self) -> Result<Self> {
        Ok(Self { bits: self.bits, x: self.x.zip(&other.x, "xor", |a, b| a ^ b)? })
    }
}

impl<W: Word + Elem> OpenedBits<W> {
    /// `bits` bits of each word, from bit `from` on.
    pub(crate) fn part(&self, from: u32, bits: u32) -> Self {
        Self { bits, u: self.u.map(|u| (u >> from).low(bits)) }
    }
}

impl<W: Word + Elem> OpenedMask<W> {
    pub(crate) fn part(&self, from: u32, bits: u32) -> Self {
        let t = self.t.as_ref().map(|t| t.map(|t| (t >> from).low(bits)));
        Self { bits, shape: self.shape.clone(), t }
    }
}

impl<W: Word + Elem> Dealt<W> {
    pub(crate) fn plus(&self, other: &Self) -> Result<Self> {
        Ok(Self::new(self.shape.broadcast(&other.shape, "add")?, self.k))
    }

    pub(crate) fn to_ring<V: Word>(&self, k: u32) -> Dealt<V> {
        Dealt::new(self.shape.clone(), k)
    }
}
