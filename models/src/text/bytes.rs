//! Bytes in the disguise that GPT-2's vocabulary has them in.
//!
//! A byte that prints is the character of its number, in Latin-1. The others, in order, are the characters
//! from U+0100 on: a space is `Ġ`. So every token of a `tokenizer.json` is a text that one can see.

/// Characters that stand for bytes lie below this: 68 bytes do not print.
const END: usize = 0x100 + 68;

/// The character of each byte.
pub(crate) const SYMBOLS: [char; 256] = symbols();

/// The byte of each character below [`END`].
const BYTES: [Option<u8>; END] = bytes();

const fn symbols() -> [char; 256] {
    let mut symbols = ['\0'; 256];
    let (mut byte, mut next) = (0, 0x100_u16);
    while byte < 256 {
        let code = if matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) {
            byte as u16
        } else {
            next += 1;
            next - 1
        };
        if let Some(symbol) = char::from_u32(code as u32) {
            symbols[byte] = symbol;
        }
        byte += 1;
    }
    symbols
}

const fn bytes() -> [Option<u8>; END] {
    let mut bytes = [None; END];
    let mut byte = 0;
    while byte < 256 {
        bytes[SYMBOLS[byte] as usize] = Some(byte as u8);
        byte += 1;
    }
    bytes
}

/// The bytes that a token stands for. One with any other character is no bytes in disguise, but a special
/// token: it stands for itself.
pub(super) fn of_token(token: &str) -> Vec<u8> {
    let byte = |symbol: char| BYTES.get(symbol as usize).copied().flatten();
    token.chars().map(byte).collect::<Option<_>>().unwrap_or_else(|| token.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    use super::*;

    #[test]
    fn the_alphabet_is_that_of_the_library() {
        let own: BTreeSet<char> = SYMBOLS.into_iter().collect();
        assert_eq!(own, ByteLevel::alphabet().into_iter().collect());
        for byte in 0..=255_u8 {
            assert_eq!(of_token(&SYMBOLS[usize::from(byte)].to_string()), [byte]);
        }
        assert_eq!((SYMBOLS[0x20], SYMBOLS[0x0a], SYMBOLS[0xad]), ('Ġ', 'Ċ', 'Ń'));
    }

    #[test]
    fn other_characters_stand_for_themselves() {
        assert_eq!(of_token("Ġthe"), b" the");
        assert_eq!(of_token("Ã©"), "é".as_bytes());
        for special in ["a b", "日Ġ", "\u{144}"] {
            assert_eq!(of_token(special), special.as_bytes());
        }
    }
}
