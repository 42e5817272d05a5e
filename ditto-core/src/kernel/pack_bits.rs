//! Wire format of ring elements: exactly k bits each, least significant bit first, back to back, with zero bits up to
//! the next byte.

use crate::ring::Word;

/// Bytes of `n` elements of `k` bits, rounded up.
pub fn packed_len(n: usize, k: u32) -> usize {
    // Eight elements are k bytes, so the bit count, which could overflow, is not needed.
    (n / 8).saturating_mul(k as usize).saturating_add((n % 8 * k as usize).div_ceil(8))
}

/// Packs elements below 2^k, for k from 1 to the bits of the word. Higher bits, if any, are dropped.
pub fn pack<W: Word>(words: &[W], k: u32) -> Vec<u8> {
    assert!((1..=W::BITS).contains(&k), "a {}-bit word does not hold {k} bits", W::BITS);
    let len = packed_len(words.len(), k);
    if k == W::BITS && cfg!(target_endian = "little") {
        return bytemuck::cast_slice(words).to_vec();
    }
    // Room for the whole words that the fast loops store before they advance by fewer bytes.
    let mut out = vec![0; len + 16];
    match k {
        8 => pack_bytes::<W, 1>(words, &mut out),
        16 => pack_bytes::<W, 2>(words, &mut out),
        24 => pack_bytes::<W, 3>(words, &mut out),
        32 => pack_bytes::<W, 4>(words, &mut out),
        40 => pack_bytes::<W, 5>(words, &mut out),
        48 => pack_bytes::<W, 6>(words, &mut out),
        56 => pack_bytes::<W, 7>(words, &mut out),
        64 => pack_bytes::<W, 8>(words, &mut out),
        1 => pack_flags(words, &mut out),
        2..=3 => pack_groups::<W, 16>(words, k, &mut out),
        4..=7 => pack_groups::<W, 8>(words, k, &mut out),
        9..=14 => pack_groups::<W, 4>(words, k, &mut out),
        15..=28 => pack_groups::<W, 2>(words, k, &mut out),
        29..=55 => pack_groups::<W, 1>(words, k, &mut out),
        _ => pack_wide(words, k, &mut out),
    }
    out.truncate(len);
    out
}

/// Unpacks `n` elements of `k` bits, for k from 1 to the bits of the word. `None` if the length is not
/// [`packed_len`] or a padding bit of the last byte is set.
pub fn unpack<W: Word>(bytes: &[u8], n: usize, k: u32) -> Option<Vec<W>> {
    assert!((1..=W::BITS).contains(&k), "a {}-bit word does not hold {k} bits", W::BITS);
    if bytes.len() != packed_len(n, k) {
        return None;
    }
    let used = (n % 8 * k as usize % 8) as u32;
    if used != 0 && bytes.last().is_some_and(|last| last >> used != 0) {
        return None;
    }
    let mut out = vec![W::zero(); n];
    if k == W::BITS && cfg!(target_endian = "little") {
        bytemuck::cast_slice_mut(&mut out).copy_from_slice(bytes);
        return Some(out);
    }
    match k {
        8 => unpack_bytes::<W, 1>(bytes, &mut out),
        16 => unpack_bytes::<W, 2>(bytes, &mut out),
        24 => unpack_bytes::<W, 3>(bytes, &mut out),
        32 => unpack_bytes::<W, 4>(bytes, &mut out),
        40 => unpack_bytes::<W, 5>(bytes, &mut out),
        48 => unpack_bytes::<W, 6>(bytes, &mut out),
        56 => unpack_bytes::<W, 7>(bytes, &mut out),
        64 => unpack_bytes::<W, 8>(bytes, &mut out),
        1 => unpack_flags(bytes, &mut out),
        2..=56 => unpack_bits(bytes, k, &mut out),
        _ => unpack_wide(bytes, k, &mut out),
    }
    Some(out)
}

/// Elements of `B <= 8` whole bytes: each stored as eight bytes, the rest overwritten by the next.
fn pack_bytes<W: Word, const B: usize>(words: &[W], out: &mut [u8]) {
    if B.is_power_of_two() {
        for (to, w) in out.as_chunks_mut::<B>().0.iter_mut().zip(words) {
            to.copy_from_slice(&w.to_u64().to_le_bytes()[..B]);
        }
        return;
    }
    for (i, w) in words.iter().enumerate() {
        out[i * B..][..8].copy_from_slice(&w.to_u64().to_le_bytes());
    }
    // The last store may have left bits of its element above k.
    out[words.len() * B..][..8].fill(0);
}

fn unpack_bytes<W: Word, const B: usize>(bytes: &[u8], out: &mut [W]) {
    let element = |from: &[u8]| {
        let mut word = [0; 8];
        word[..B].copy_from_slice(&from[..B]);
        W::from_u64(u64::from_le_bytes(word))
    };
    if B.is_power_of_two() {
        for (to, from) in out.iter_mut().zip(bytes.as_chunks::<B>().0) {
            *to = element(from);
        }
        return;
    }
    // An eight-byte load reads past the element; near the end there may be nothing to read.
    let fast = bytes.len().saturating_sub(8 - B) / B;
    let (head, tail) = out.split_at_mut(fast.min(out.len()));
    let mask = (1 << (8 * B)) - 1;
    for (i, to) in head.iter_mut().enumerate() {
        *to = W::from_u64(load(bytes, i * B) & mask);
    }
    for (to, from) in tail.iter_mut().zip(bytes[head.len() * B..].as_chunks::<B>().0) {
        *to = element(from);
    }
}

/// The eight bytes at `at`.
#[inline(always)]
fn load(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// Bits, eight to a byte.
fn pack_flags<W: Word>(words: &[W], out: &mut [u8]) {
    let chunks = words.as_chunks::<8>();
    for (to, w) in out.iter_mut().zip(chunks.0) {
        let mut flags = [0u8; 8];
        for (flag, w) in flags.iter_mut().zip(w) {
            *flag = w.to_u64() as u8 & 1;
        }
        // The multiplication moves bit 8i to bit 56 + i without carries: every partial product lands elsewhere.
        *to = (u64::from_le_bytes(flags).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    for (i, w) in chunks.1.iter().enumerate() {
        out[chunks.0.len()] |= (w.to_u64() as u8 & 1) << i;
    }
}

fn unpack_flags<W: Word>(bytes: &[u8], out: &mut [W]) {
    for (to, &byte) in out.chunks_mut(8).zip(bytes) {
        for (i, to) in to.iter_mut().enumerate() {
            *to = W::from_u64(u64::from(byte >> i & 1));
        }
    }
}

/// Bits not yet stored, fewer than eight between two calls of `push`.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
    bits: u64,
    fill: u32,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0, bits: 0, fill: 0 }
    }

    /// Appends `count <= 56` bits; the others of `bits` are zero.
    #[inline(always)]
    fn push(&mut self, bits: u64, count: u32) {
        self.bits |= bits << self.fill;
        self.fill += count;
        self.out[self.at..self.at + 8].copy_from_slice(&self.bits.to_le_bytes());
        self.at += (self.fill / 8) as usize;
        self.bits >>= self.fill & !7;
        self.fill %= 8;
    }
}

/// Elements of k bits, `G * k <= 56`, pushed `G` at a time, because each push waits for the one before.
fn pack_groups<W: Word, const G: usize>(words: &[W], k: u32, out: &mut [u8]) {
    let mask = u64::MAX >> (64 - k);
    let mut writer = Writer::new(out);
    let groups = words.as_chunks::<G>();
    for group in groups.0 {
        let mut bits = 0;
        for (i, w) in group.iter().enumerate() {
            bits |= (w.to_u64() & mask) << (i as u32 * k);
        }
        writer.push(bits, G as u32 * k);
    }
    for w in groups.1 {
        writer.push(w.to_u64() & mask, k);
    }
}

/// Elements of more than 56 bits, pushed in pieces.
fn pack_wide<W: Word>(words: &[W], k: u32, out: &mut [u8]) {
    let mut writer = Writer::new(out);
    for w in words {
        let mut rest = w.low(k).to_u128();
        let mut left = k;
        while left > 0 {
            let count = left.min(56);
            writer.push(rest as u64 & ((1 << 56) - 1), count);
            rest >>= count;
            left -= count;
        }
    }
}

/// `count <= 56` bits from bit `at`; bits past the end read as zero.
fn read_near_end(bytes: &[u8], at: usize, count: u32) -> u64 {
    let rest = bytes.get(at / 8..).unwrap_or_default();
    let mut word = [0; 8];
    let len = rest.len().min(8);
    word[..len].copy_from_slice(&rest[..len]);
    u64::from_le_bytes(word) >> (at % 8) & (u64::MAX >> (64 - count))
}

/// Elements of 2 to 56 bits, each from one unaligned load of eight bytes.
fn unpack_bits<W: Word>(bytes: &[u8], k: u32, out: &mut [W]) {
    let mask = u64::MAX >> (64 - k);
    // Eight elements take k bytes and their last load ends at most 8 bytes after the last one's first byte.
    let mut groups = out.as_chunks_mut::<8>().0.iter_mut();
    let mut done = 0;
    let mut rest = bytes;
    while rest.len() >= k as usize + 8 {
        let Some(group) = groups.next() else { break };
        let window = &rest[..k as usize + 8];
        for (i, to) in group.iter_mut().enumerate() {
            let bit = i * k as usize;
            *to = W::from_u64(load(window, bit / 8) >> (bit % 8) & mask);
        }
        rest = &rest[k as usize..];
        done += 8;
    }
    for (i, to) in out.iter_mut().enumerate().skip(done) {
        *to = W::from_u64(read_near_end(bytes, i * k as usize, k));
    }
}

/// Elements of more than 56 bits, read in pieces.
fn unpack_wide<W: Word>(bytes: &[u8], k: u32, out: &mut [W]) {
    for (i, to) in out.iter_mut().enumerate() {
        let start = i * k as usize;
        let mut value = 0;
        let mut done = 0;
        while done < k {
            let count = (k - done).min(56);
            let at = start + done as usize;
            let piece = if at / 8 + 8 <= bytes.len() {
                load(bytes, at / 8) >> (at % 8) & (u64::MAX >> (64 - count))
            } else {
                read_near_end(bytes, at, count)
            };
            value |= u128::from(piece) << done;
            done += count;
        }
        *to = W::from_u128(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bit_by_bit<W: Word>(words: &[W], k: u32) -> Vec<u8> {
        let mut out = vec![0; (words.len() * k as usize).div_ceil(8)];
        for (i, w) in words.iter().enumerate() {
            for b in 0..k {
                let at = i * k as usize + b as usize;
                out[at / 8] |= w.bit(b) << (at % 8);
            }
        }
        out
    }

    fn check<W: Word>(raw: &[u128], k: u32) {
        let words: Vec<W> = raw.iter().map(|&w| W::from_u128(w).low(k)).collect();
        let bytes = pack(&words, k);
        assert_eq!(bytes.len(), packed_len(words.len(), k));
        assert_eq!(bytes, bit_by_bit(&words, k), "{} words of {k} bits", words.len());
        assert_eq!(unpack(&bytes, words.len(), k), Some(words.clone()));
        let dirty: Vec<W> = raw.iter().map(|&w| W::from_u128(w)).collect();
        assert_eq!(pack(&dirty, k), bytes, "bits above the width are dropped");
        assert_eq!(unpack::<W>(&[&bytes[..], &[0]].concat(), words.len(), k), None, "a byte too many");
        if let Some((last, rest)) = bytes.split_last() {
            assert_eq!(unpack::<W>(rest, words.len(), k), None, "a byte too few");
            let used = words.len() * k as usize % 8;
            for bit in used..if used == 0 { 0 } else { 8 } {
                let dirty = [rest, &[last | 1 << bit]].concat();
                assert_eq!(unpack::<W>(&dirty, words.len(), k), None, "a padding bit");
            }
        }
    }

    fn check_words(raw: &[u128], k: u32) {
        if k <= 8 {
            check::<u8>(raw, k);
        }
        if k <= 16 {
            check::<u16>(raw, k);
        }
        if k <= 32 {
            check::<u32>(raw, k);
        }
        if k <= 64 {
            check::<u64>(raw, k);
        }
        check::<u128>(raw, k);
    }

    #[test]
    fn every_width_and_short_lengths() {
        let raw: Vec<u128> =
            (1..70u128).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect();
        for k in 1..=128 {
            for n in (0..20).chain([63, 64, 65]) {
                check_words(&raw[..n], k);
            }
            check_words(&[u128::MAX; 19], k);
        }
    }

    #[test]
    fn the_format_is_fixed() {
        assert_eq!(pack(&[0x1u32, 0x7ff, 0x400], 11), [0x01, 0xf8, 0x3f, 0x00, 0x01]);
        assert_eq!(pack(&[1u8, 0, 0, 1, 1, 0, 0, 1, 1], 1), [0b1001_1001, 1]);
        assert_eq!(pack(&[0x0012_3456u32, 0x0078_9abc], 24), [0x56, 0x34, 0x12, 0xbc, 0x9a, 0x78]);
    }

    #[test]
    fn absurd_counts_are_rejected() {
        assert_eq!(unpack::<u32>(&[0; 4], usize::MAX, 23), None);
        assert_eq!(unpack::<u128>(&[], usize::MAX, 127), None);
    }

    proptest! {
        #[test]
        fn any_elements(raw in prop::collection::vec(any::<u128>(), 0..200), k in 1u32..=128) {
            check_words(&raw, k);
        }
    }
}
