use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use super::manifest::{Entry, Manifest, Use};
use crate::error::{Error, Result};
use crate::fixed::{Fixed, WordOf};
use crate::kernel::{PackedB, packed_len, unpack};
use crate::keys::reserved;
use crate::mpc::{Evaluator, Mask, Masked, Preprocess, Role, Table, Weight};
use crate::net::{Address, Channel};
use crate::nn::{Tensor, WeightSource};
use crate::prg::{Prg, Seed};
use crate::primitives::RingWord;
use crate::tensor::{Array, Shape};

/// One party's shares of a model's weights, ready for its engines.
///
/// Matrices are packed as the kernels want them: at an evaluator once for preprocessing and once for the online phase.
pub struct Received {
    role: Role,
    tensors: HashMap<String, Held>,
    /// The tables of the input, in order: one may also be a tensor of the model.
    tables: Vec<Box<dyn Any + Send + Sync>>,
}

/// A tensor as its reader wants it; the word is known from the manifest, so it is kept behind `Any`.
struct Held {
    exponent: i32,
    preprocess: Box<dyn Any + Send + Sync>,
    online: Option<Box<dyn Any + Send + Sync>>,
}

impl Received {
    /// Receives the tensors of `manifest` from the owner.
    pub fn receive(role: Role, owner: &dyn Channel, manifest: &Manifest) -> Result<Self> {
        let address = Address::new(reserved::SETUP, reserved::WEIGHT_SEEDS, 0);
        let bytes = owner.recv(address, if role == Role::P2 { 32 } else { 16 })?.payload;
        let prgs = bytes.chunks_exact(16).map(|seed| {
            let mut key = [0; 16];
            key.copy_from_slice(seed);
            Prg::new(&Seed::new(key))
        });
        let prgs: Vec<Prg> = prgs.collect();
        let (mut tensors, mut tables) = (HashMap::new(), Vec::new());
        for (i, entry) in manifest.0.iter().enumerate() {
            if entry.r#use == Use::Table {
                tables.push(match entry.width {
                    8 => receive_table::<u8>(role, owner, entry, i as u32, &prgs),
                    16 => receive_table::<u16>(role, owner, entry, i as u32, &prgs),
                    32 => receive_table::<u32>(role, owner, entry, i as u32, &prgs),
                    _ => receive_table::<u64>(role, owner, entry, i as u32, &prgs),
                }?);
                continue;
            }
            let held = match entry.width {
                8 => receive::<u8>(role, owner, entry, i as u32, &prgs),
                16 => receive::<u16>(role, owner, entry, i as u32, &prgs),
                32 => receive::<u32>(role, owner, entry, i as u32, &prgs),
                _ => receive::<u64>(role, owner, entry, i as u32, &prgs),
            }?;
            tensors.insert(entry.name.clone(), held);
        }
        Ok(Self { role, tensors, tables })
    }

    /// The tables of the input.
    pub(super) fn tables<W: RingWord>(&self) -> Result<Vec<Table<W>>> {
        let table = |held: &Box<dyn Any + Send + Sync>| held.downcast_ref::<Table<W>>().cloned();
        self.tables.iter().map(table).collect::<Option<_>>().ok_or(Error::Internal("a table in another ring"))
    }

    /// A tensor and its exponent.
    fn get<T: Clone + 'static>(&self, name: &str, online: bool) -> Result<(T, i32)> {
        let missing = |what: &str| Error::Weight { name: name.to_owned(), what: what.to_owned() };
        let held = self.tensors.get(name).ok_or_else(|| missing("was not shared"))?;
        let any = if online { held.online.as_ref() } else { Some(&held.preprocess) };
        any.and_then(|a| a.downcast_ref::<T>())
            .map(|tensor| (tensor.clone(), held.exponent))
            .ok_or_else(|| missing("was shared in another format"))
    }
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Received({}, {} tensors)", self.role, self.tensors.len())
    }
}

/// A party's components of one tensor: its masks, and the masked words at the evaluators.
type Components<W> = (Vec<Vec<W>>, Option<Vec<W>>);

fn components<W: RingWord>(
    role: Role,
    owner: &dyn Channel,
    entry: &Entry,
    index: u32,
    prgs: &[Prg],
) -> Result<Components<W>> {
    let (n, k) = (entry.shape.len(), entry.width);
    let masks = prgs.iter().map(|p| p.words(index, 0, n, k)).collect();
    if role == Role::P2 {
        return Ok((masks, None));
    }
    let got = owner.recv(Address::new(reserved::SETUP, index, 0), packed_len(n, k))?;
    let m = unpack(&got.payload, n, k).ok_or_else(|| Error::Weight {
        name: entry.name.clone(),
        what: "its shares have set padding bits".to_owned(),
    })?;
    Ok((masks, Some(m)))
}

fn wrong_seeds() -> Error {
    Error::Internal("seeds of weights do not fit the role")
}

fn receive_table<W: RingWord>(
    role: Role,
    owner: &dyn Channel,
    entry: &Entry,
    index: u32,
    prgs: &[Prg],
) -> Result<Box<dyn Any + Send + Sync>> {
    let (masks, m) = components::<W>(role, owner, entry, index, prgs)?;
    let both: [&[W]; 2] = match (&m, &masks[..]) {
        (Some(m), [l]) => [m, l],
        (None, [l0, l1]) => [l0, l1],
        _ => return Err(wrong_seeds()),
    };
    Ok(Box::new(Table::new(entry.width, &entry.shape, both)?))
}

fn receive<W: RingWord>(
    role: Role,
    owner: &dyn Channel,
    entry: &Entry,
    index: u32,
    prgs: &[Prg],
) -> Result<Held> {
    let k = entry.width;
    let (masks, m) = components::<W>(role, owner, entry, index, prgs)?;
    let [l, rest @ ..] = &masks[..] else { return Err(wrong_seeds()) };
    if entry.r#use == Use::Matrix {
        let &[rows, columns] = entry.shape.dims() else { return Err(wrong_seeds()) };
        let packed = |w: &[W]| {
            Box::new(Weight::new(Arc::new(PackedB::new(k, w, rows, columns)))) as Box<dyn Any + Send + Sync>
        };
        return Ok(match (role, m, rest) {
            (Role::P0, Some(m), []) => {
                let unmasked: Vec<W> = m.iter().zip(l).map(|(m, l)| m.wrapping_sub(l).low(k)).collect();
                Held { exponent: entry.exponent, preprocess: packed(&m), online: Some(packed(&unmasked)) }
            }
            (Role::P1, Some(m), []) => {
                Held { exponent: entry.exponent, preprocess: packed(&m), online: Some(packed(l)) }
            }
            (Role::P2, None, [l1]) => {
                let lambda: Vec<W> = l.iter().zip(l1).map(|(a, b)| a.wrapping_add(b).low(k)).collect();
                Held { exponent: entry.exponent, preprocess: packed(&lambda), online: None }
            }
            _ => return Err(wrong_seeds()),
        });
    }
    let array = |v: &[W]| Array::new(entry.shape.clone(), v.to_vec());
    let masks: Mask<W> = match rest {
        [] => Mask::own_part(role, k, array(l)?),
        [l1, ..] => Mask::both(k, array(l)?, array(l1)?),
    };
    let online = match m {
        Some(m) => Some(Box::new(Masked::new(k, array(&m)?, array(l)?)) as Box<dyn Any + Send + Sync>),
        None => None,
    };
    Ok(Held { exponent: entry.exponent, preprocess: Box::new(masks), online })
}

impl WeightSource<Preprocess> for Received {
    fn matrix<T: Fixed>(&self, name: &str, _: usize, _: usize, _: f64) -> Result<(Weight<WordOf<T>>, i32)> {
        self.get(name, false)
    }
    fn tensor<T: Fixed>(&self, name: &str, _: &Shape, _: f64) -> Result<Tensor<Preprocess, T>> {
        self.get(name, false).map(|(v, exponent)| Tensor::with_exponent(v, exponent))
    }
}

impl WeightSource<Evaluator> for Received {
    fn matrix<T: Fixed>(&self, name: &str, _: usize, _: usize, _: f64) -> Result<(Weight<WordOf<T>>, i32)> {
        self.get(name, true)
    }
    fn tensor<T: Fixed>(&self, name: &str, _: &Shape, _: f64) -> Result<Tensor<Evaluator, T>> {
        self.get(name, true).map(|(v, exponent)| Tensor::with_exponent(v, exponent))
    }
}

/// The masks of an input, expanded from its one-time seeds.
pub(super) fn input_masks<W: RingWord>(role: Role, k: u32, shape: &Shape, seeds: &[Seed]) -> Result<Mask<W>> {
    let expand = |s: &Seed| Array::new(shape.clone(), Prg::new(s).words(reserved::INPUT, 0, shape.len(), k));
    match seeds {
        [own] => Ok(Mask::own_part(role, k, expand(own)?)),
        [s0, s1] => Ok(Mask::both(k, expand(s0)?, expand(s1)?)),
        _ => Err(Error::Internal("seeds of an input do not fit the role")),
    }
}
