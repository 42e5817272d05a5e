use std::fmt;

use crate::dpf::{Domain, Half, Key, generate};
use crate::error::{Error, Result};
use crate::mpc::role::Role;
use crate::prg::{Prg, Seed};
use crate::ring::Word;

/// Which half of the pair of a component's keys a party holds: of its two holders the first in order has the first.
fn half(role: Role, component: usize) -> Half {
    match (role, component) {
        (Role::P0, _) | (Role::P1, 1) => Half::First,
        _ => Half::Second,
    }
}

/// One party's keys for one table: for each of its two components a key per id.
pub(crate) struct Keys<W> {
    keys: [Vec<Key<W>>; 2],
}

impl<W: Word> Keys<W> {
    /// Bytes of a party's keys for `ids` ids.
    pub(crate) fn bytes(domain: Domain<W>, ids: usize) -> usize {
        2 * ids * domain.key_bytes()
    }

    /// Reads what [`deal_keys`] has made for `role`.
    pub(crate) fn decode(role: Role, domain: Domain<W>, ids: usize, bytes: &[u8]) -> Result<Self> {
        if bytes.len() != Self::bytes(domain, ids) {
            return Err(Error::PointFunction("the keys of a table have another length"));
        }
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let read = |component: usize, bytes: &[u8]| {
            let keys = bytes.chunks_exact(domain.key_bytes());
            keys.map(|key| Key::decode(domain, half(role, component), key)).collect::<Result<_>>()
        };
        Ok(Self { keys: [read(0, first)?, read(1, second)?] })
    }

    /// Ids that there are keys for.
    pub(crate) fn ids(&self) -> usize {
        self.keys[0].len()
    }

    /// The keys of a component.
    pub(crate) fn of(&self, component: usize) -> &[Key<W>] {
        &self.keys[component]
    }
}

impl<W> fmt::Debug for Keys<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} ids)", self.keys[0].len())
    }
}

/// Keys of the `table`-th table for P0, P1 and P2: the client's part. The generator serves nothing but the keys of one
/// request.
pub(crate) fn deal_keys<W: Word>(
    domain: Domain<W>,
    ids: &[usize],
    prg: &Prg,
    table: u32,
) -> Result<[Vec<u8>; 3]> {
    // The holders of each component, and its place at each of them: m, l0, l1.
    const HOLDERS: [[(Role, usize); 2]; 3] =
        [[(Role::P0, 0), (Role::P1, 0)], [(Role::P0, 1), (Role::P2, 0)], [(Role::P1, 1), (Role::P2, 1)]];
    let mut bytes = Role::ALL.map(|_| vec![0; Keys::bytes(domain, ids.len())]);
    for (component, holders) in HOLDERS.into_iter().enumerate() {
        for (i, &id) in ids.iter().enumerate() {
            let mut roots = [[0; 16]; 2];
            prg.fill(3 * table + component as u32, 2 * i as u64, roots.as_flattened_mut());
            let pair = generate::<W>(domain, id, roots.map(Seed::new))?;
            for ((role, place), key) in holders.into_iter().zip(pair) {
                let start = (place * ids.len() + i) * domain.key_bytes();
                bytes[role.index()][start..][..domain.key_bytes()].copy_from_slice(&key.encode());
            }
        }
    }
    Ok(bytes)
}
