//! Inputs that are rows of shared tables.

use super::SecureModel;
use crate::ctx::Ctx;
use crate::dpf::Domain;
use crate::engine::Meter;
use crate::error::{Error, Result};
use crate::fixed::{Fixed, WordOf};
use crate::keys::reserved;
use crate::mpc::embedding::{self, Keys, deal_keys};
use crate::mpc::{Dealt, Role};
use crate::net::{Address, Channel};
use crate::prg::{Prg, Seed};
use crate::ring::Word;
use crate::tensor::Shape;

/// The step of the program in which rows are looked up.
pub(super) const STEP: &str = "lookup";

/// Where a model's input comes from. Part of the program digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// The client has it, and sends it masked.
    #[default]
    Values,
    /// Each row is the sum of one row of every table, which the owner shares. The client sends keys that tell no server
    /// which, and never learns the tables.
    Lookup(Vec<Table>),
}

/// A table in the owner's checkpoint whose rows are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name in the checkpoint.
    pub name: String,
    /// Its rows: ids are below.
    pub rows: usize,
    /// Its columns: those of the input.
    pub columns: usize,
}

impl Table {
    /// [rows, columns].
    pub fn shape(&self) -> Shape {
        Shape::new(&[self.rows, self.columns])
    }

    fn domain<W: Word>(&self) -> Result<Domain<W>> {
        Domain::new(self.rows).map_err(|e| self.error(&e.to_string()))
    }

    fn error(&self, what: &str) -> Error {
        Error::Weight { name: self.name.clone(), what: what.to_owned() }
    }
}

impl Input {
    /// The tables; none where the client sends values.
    pub fn tables(&self) -> &[Table] {
        match self {
            Self::Values => &[],
            Self::Lookup(tables) => tables,
        }
    }
}

/// Rows that a request looks up.
fn ids<M: SecureModel>(model: &M, request: &M::Request) -> usize {
    model.input_shape(request).rows()
}

/// Bytes of the keys that each server is sent.
pub(super) fn key_bytes<M: SecureModel>(model: &M, tables: &[Table], request: &M::Request) -> Result<usize> {
    let ids = ids(model, request);
    tables.iter().map(|t| Ok(Keys::<WordOf<M::Input>>::bytes(t.domain()?, ids))).sum()
}

/// A request's input as the program's first step.
pub(super) fn metered<M: SecureModel>(
    ctx: &Ctx<'_, Meter>,
    model: &M,
    request: &M::Request,
) -> Result<Dealt<WordOf<M::Input>>> {
    let (shape, k) = (model.input_shape(request), M::Input::K);
    if let Input::Lookup(tables) = model.input() {
        let shapes: Vec<_> = tables.iter().map(Table::shape).collect();
        let rows = embedding::shape(&shapes, shape.rows())?;
        if rows.last() != shape.last() {
            return Err(Error::shape("a lookup of the input", &shape, &rows));
        }
        let work = embedding::work::<WordOf<M::Input>>(&shapes, shape.rows(), k)?;
        ctx.step(STEP)?.charge(embedding::cost(&shapes, shape.rows(), k)?, work);
    }
    Ok(Dealt::new(shape, k))
}

/// The keys of a request for P0, P1 and P2: those of its first table, of the next, and so on. `ids` has a list per table.
pub(super) fn make_keys<M: SecureModel>(
    model: &M,
    request: &M::Request,
    ids: &[Vec<usize>],
    seed: &Seed,
) -> Result<[Vec<u8>; 3]> {
    let (input, prg) = (model.input(), Prg::new(seed));
    let (tables, rows) = (input.tables(), self::ids(model, request));
    if ids.len() != tables.len() || ids.iter().any(|ids| ids.len() != rows) {
        return Err(Error::Unsupported("a lookup with another number of ids than tables and rows"));
    }
    let mut keys = [const { Vec::new() }; 3];
    for (i, (table, ids)) in tables.iter().zip(ids).enumerate() {
        if ids.iter().any(|&id| id >= table.rows) {
            return Err(table.error("an id is not below its number of rows"));
        }
        let of_table = deal_keys::<WordOf<M::Input>>(table.domain()?, ids, &prg, i as u32)?;
        keys.iter_mut().zip(of_table).for_each(|(all, more)| all.extend(more));
    }
    Ok(keys)
}

/// The keys that the client sends this server for a request, of each table.
pub(super) fn receive_keys<M: SecureModel>(
    role: Role,
    client: &dyn Channel,
    batch: u64,
    model: &M,
    tables: &[Table],
    request: &M::Request,
) -> Result<Vec<Keys<WordOf<M::Input>>>> {
    let address = Address::new(batch, reserved::INPUT, 1);
    let payload = client.recv(address, key_bytes(model, tables, request)?)?.payload;
    let (ids, mut rest) = (ids(model, request), &payload[..]);
    let read = |table: &Table| {
        let domain = table.domain()?;
        let keys;
        (keys, rest) = rest.split_at(Keys::bytes(domain, ids));
        Keys::decode(role, domain, ids, keys).map_err(|e| table.error(&e.to_string()))
    };
    tables.iter().map(read).collect()
}
