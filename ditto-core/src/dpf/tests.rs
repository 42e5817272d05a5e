//! Both keys together are a unit vector, one alone tells nothing, and what is no key is refused.

use proptest::prelude::*;

use super::*;
use crate::error::{Error, Result};
use crate::prg::{Prg, Seed};
use crate::ring::Word;

/// The `i`-th pair of roots.
fn roots(i: u32) -> [Seed; 2] {
    let prg = Prg::new(&Seed::new([41; 16]));
    [0, 1].map(|half| {
        let mut bytes = [0; 16];
        prg.fill(i, half, &mut bytes);
        Seed::new(bytes)
    })
}

fn vector<W: Word>(domain: Domain<W>, width: u32, key: &Key<W>) -> Vec<W> {
    let mut out = vec![W::default(); domain.positions()];
    evaluate_all(domain, width, std::slice::from_ref(key), &mut out).expect("fits");
    out
}

/// Sends both keys over the wire and demands the unit vector.
fn check<W: Word>(positions: usize, width: u32, position: usize, i: u32) {
    let domain = Domain::<W>::new(positions).expect("a domain");
    let keys = generate(domain, position, roots(i)).expect("generates");
    let keys = [(Half::First, &keys[0]), (Half::Second, &keys[1])].map(|(half, key)| {
        let bytes = key.encode();
        assert_eq!(bytes.len(), domain.key_bytes());
        let read = Key::decode(domain, half, &bytes).expect("reads");
        assert_eq!(&read, key);
        read
    });
    let [a, b] = keys.map(|key| vector(domain, width, &key));
    for (j, (a, b)) in a.iter().zip(&b).enumerate() {
        assert!(*a <= W::mask(width) && *b <= W::mask(width));
        let sum = a.wrapping_add(b).low(width);
        assert_eq!(sum, W::from_u64(u64::from(j == position)), "{j} of {positions}, {position}");
    }
}

fn check_rings(positions: usize, position: usize, i: u32) {
    check::<u8>(positions, 8, position, i);
    check::<u16>(positions, 16, position, i);
    check::<u32>(positions, 32, position, i);
    check::<u64>(positions, 48, position, i);
    check::<u64>(positions, 64, position, i);
    check::<u128>(positions, 128, position, i);
}

#[test]
fn all_positions_of_small_domains() {
    for positions in (1..=40).chain([63, 64, 65, 127, 129, 257]) {
        (0..positions).for_each(|position| check_rings(positions, position, position as u32));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn some_positions_of_large_domains(
        positions in prop_oneof![Just(30522usize), Just(50257), Just(512), 1000usize..70_000],
        at in any::<prop::sample::Index>(),
        i in any::<u32>(),
    ) {
        check_rings(positions, at.index(positions), i);
        check::<u32>(positions, 32, positions - 1, i);
    }
}

#[test]
fn lengths_are_those_of_the_paper() {
    let bytes = |positions| Domain::<u32>::new(positions).expect("a domain").key_bytes();
    // 128 bits for the root and the last word, 129 per level, whole bytes.
    assert_eq!([1, 4, 5, 30522, 50257].map(bytes), [32, 32, 49, 32 + 13 * 16 + 2, 32 + 14 * 16 + 2]);
    let domain = Domain::<u64>::new(30522).expect("a domain");
    assert_eq!((domain.depth(), domain.aes_blocks()), (14, 15261 + 2 * 15265));
}

/// What a key and its vector look like: each bit of the encoding, and each low bit of the vector, as 0 or 1.
fn appearance(domain: Domain<u32>, half: usize, position: usize, i: u32) -> Vec<bool> {
    let key = &generate(domain, position, roots(i)).expect("generates")[half];
    let bits = |byte: u8| (0..8).map(move |b| byte >> b & 1 == 1);
    let vector = vector(domain, 32, key);
    key.encode()
        .into_iter()
        .flat_map(bits)
        .chain(vector.iter().flat_map(|v| (0..3).map(move |b| v >> b & 1 == 1)))
        .collect()
}

#[test]
fn one_key_looks_the_same_for_all_positions() {
    const KEYS: u32 = 4096;
    let domain = Domain::<u32>::new(19).expect("a domain");
    for half in [0, 1] {
        for position in [0, 1, 3, 4, 10, 16, 18] {
            // How often each bit is set, and each bit together with the one before it.
            let mut ones = Vec::new();
            let mut pairs = Vec::new();
            for i in 0..KEYS {
                let seen = appearance(domain, half, position, i);
                ones.resize(seen.len(), 0u32);
                pairs.resize(seen.len(), 0u32);
                for (j, &bit) in seen.iter().enumerate() {
                    ones[j] += u32::from(bit);
                    pairs[j] += u32::from(j > 0 && bit != seen[j - 1]);
                }
            }
            let encoding = 8 * domain.key_bytes();
            // The root's lowest bit, and the padding behind the control bits of three levels, are 0.
            let padding = 8 * 16 * (1 + domain.depth()) + domain.depth()..encoding - 128;
            let zero = |j: usize| j == 0 || padding.contains(&j);
            // Six standard deviations of a fair coin.
            let fair = |n: u32| n.abs_diff(KEYS / 2) < 192;
            for (j, (&ones, &pairs)) in ones.iter().zip(&pairs).enumerate() {
                if zero(j) {
                    assert_eq!(ones, 0, "bit {j}");
                    continue;
                }
                assert!(fair(ones), "bit {j} for position {position}: {ones}");
                assert!(j == 0 || zero(j - 1) || fair(pairs), "bits {j} for position {position}: {pairs}");
            }
        }
    }
}

#[test]
fn a_vector_alone_is_uniform_at_every_position() {
    // Chi-square over 16 values with 15 degrees of freedom: 60 is exceeded with probability 2e-7.
    const KEYS: u32 = 8192;
    let domain = Domain::<u8>::new(20).expect("a domain");
    for position in [0, 7, 16, 19] {
        let mut counts = [[0u32; 16]; 20];
        for i in 0..KEYS {
            let keys = generate(domain, position, roots(i)).expect("generates");
            for (counts, value) in counts.iter_mut().zip(vector(domain, 4, &keys[i as usize % 2])) {
                counts[value as usize] += 1;
            }
        }
        for (j, counts) in counts.iter().enumerate() {
            let expected = f64::from(KEYS) / 16.0;
            let chi: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
            assert!(chi < 60.0, "place {j} for position {position}: {chi}");
        }
    }
}

#[test]
fn what_is_no_key_is_refused() {
    assert!(Domain::<u32>::new(0).is_err() && Domain::<u32>::new(MAX_POSITIONS + 1).is_err());
    let domain = Domain::<u32>::new(1000).expect("a domain");
    assert!(generate(domain, 1000, roots(1)).is_err());
    let [key, _] = generate(domain, 999, roots(1)).expect("generates");
    let bytes = key.encode();
    let read = |bytes: &[u8]| -> Result<Key<u32>> { Key::decode(domain, Half::First, bytes) };
    for length in [0, 1, bytes.len() - 1] {
        assert!(matches!(read(&bytes[..length]), Err(Error::PointFunction(_))));
    }
    assert!(read(&[&bytes[..], &[0]].concat()).is_err());
    let with_bit = |bit: usize| {
        let mut bytes = bytes.clone();
        bytes[bit / 8] |= 1 << (bit % 8);
        read(&bytes)
    };
    assert!(with_bit(0).is_err(), "the root's control bit");
    // Eight levels fill their byte of control bits.
    assert_eq!(domain.depth(), 8);
    let smaller = Domain::<u32>::new(500).expect("a domain");
    let mut padded = generate(smaller, 0, roots(2)).expect("generates")[0].encode();
    padded[16 * 8] |= 0x80;
    assert!(Key::decode(smaller, Half::First, &padded).is_err(), "a padding bit");
    // A key of another domain is not evaluated.
    assert!(evaluate_all(smaller, 32, &[key], &mut vec![0; 500]).is_err());
}

#[test]
fn text_tells_no_secrets() {
    let domain = Domain::<u32>::new(1000).expect("a domain");
    let [key, _] = generate(domain, 5, roots(1)).expect("generates");
    assert_eq!(format!("{key:?} {domain:?}"), "Key(First, 8 levels) Domain(1000)");
}
