use std::sync::Arc;

use super::manifest::{Entry, Manifest, Use};
use super::plain::{Floats, matrix, tensor, words};
use crate::error::Result;
use crate::kernel::pack;
use crate::keys::reserved;
use crate::net::{Address, Channel, Message};
use crate::prg::{Prg, Randomness};
use crate::primitives::RingWord;

/// Shares a checkpoint's weights with the three parties: the owner's part.
///
/// Draws two one-time seeds, sends seed 0 to P0 and P2, seed 1 to P1 and P2, and for every tensor `m = w + l0 + l1` to
/// P0 and P1. P2 receives seeds only. `progress` is told the number of tensors sent.
pub fn share_weights(
    links: &[Arc<dyn Channel>; 3],
    manifest: &Manifest,
    floats: &dyn Floats,
    randomness: &Randomness,
    progress: &dyn Fn(usize),
) -> Result<()> {
    // No batch has this number.
    let seeds = randomness.seeds(u64::MAX);
    let address = Address::new(reserved::SETUP, reserved::WEIGHT_SEEDS, 0);
    let both = [seeds[0].bytes(), seeds[1].bytes()].concat();
    links[0].send(Message::new(address, 0, seeds[0].bytes().to_vec()))?;
    links[1].send(Message::new(address, 0, seeds[1].bytes().to_vec()))?;
    links[2].send(Message::new(address, 0, both))?;
    let masks = seeds.map(|s| Prg::new(&s));
    for (i, entry) in manifest.0.iter().enumerate() {
        let payload = match entry.width {
            8 => masked::<u8>(entry, i, floats, &masks),
            16 => masked::<u16>(entry, i, floats, &masks),
            32 => masked::<u32>(entry, i, floats, &masks),
            _ => masked::<u64>(entry, i, floats, &masks),
        }?;
        let address = Address::new(reserved::SETUP, i as u32, 0);
        links[0].send_credited(Message::new(address, 0, payload.clone()))?;
        links[1].send_credited(Message::new(address, 0, payload))?;
        progress(i + 1);
    }
    Ok(())
}

/// The packed masked words of one tensor.
fn masked<W: RingWord>(
    entry: &Entry,
    index: usize,
    floats: &dyn Floats,
    masks: &[Prg; 2],
) -> Result<Vec<u8>> {
    let values = match (entry.r#use, entry.shape.dims()) {
        (Use::Matrix, &[inputs, outputs]) => matrix(floats, &entry.name, inputs, outputs, entry.scale)?,
        _ => tensor(floats, &entry.name, &entry.shape, entry.scale)?,
    };
    let fraction = entry.fraction as i32 - entry.exponent;
    let mut m = words::<W>(&entry.name, &values, entry.width, fraction)?.into_vec();
    for prg in masks {
        let mask: Vec<W> = prg.words(index as u32, 0, m.len(), entry.width);
        m.iter_mut().zip(mask).for_each(|(m, l)| *m = m.wrapping_add(&l).low(entry.width));
    }
    Ok(pack(&m, entry.width))
}
