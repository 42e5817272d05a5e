//! Images: digits drawn at random places, in random shades, under noise.

use ditto_core::tensor::Array;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Rows of 5 pixels, 7 a digit.
const FONT: [[u8; 7]; 10] = [
    [0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110],
    [0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110],
    [0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111],
    [0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110],
    [0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010],
    [0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110],
    [0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110],
    [0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000],
    [0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110],
    [0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100],
];

/// Pixels of a side.
pub const SIDE: usize = 16;
/// Pixels of a patch's side.
pub const PATCH: usize = 4;

/// An image with values from 0 to 255, and the digit that it shows.
#[derive(Clone)]
pub struct Image {
    pub pixels: Vec<u8>,
    pub digit: usize,
}

/// `n` images.
pub fn images(n: usize, seed: u64) -> Vec<Image> {
    let mut rng = StdRng::seed_from_u64(seed);
    (0..n).map(|i| draw(i % FONT.len(), &mut rng)).collect()
}

fn draw(digit: usize, rng: &mut StdRng) -> Image {
    let (left, top) = (rng.random_range(2..=4), rng.random_range(0..=2));
    let ink = rng.random_range(140..=215u8);
    let mut pixels: Vec<u8> = (0..SIDE * SIDE).map(|_| rng.random_range(0..40)).collect();
    for (row, bits) in FONT[digit].iter().enumerate() {
        for column in (0..5).filter(|c| bits >> (4 - c) & 1 == 1) {
            for (y, x) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                pixels[(top + 2 * row + y) * SIDE + left + 2 * column + x] += ink;
            }
        }
    }
    Image { pixels, digit }
}

/// What the client shares: an image as patches [16, 16], each pixel times `scale`.
pub fn patches(image: &Image, scale: f32) -> ditto_core::Result<Array<f32>> {
    let across = SIDE / PATCH;
    let pixel = |i: usize| {
        let (patch, inside) = (i / (PATCH * PATCH), i % (PATCH * PATCH));
        let (y, x) = (patch / across * PATCH + inside / PATCH, patch % across * PATCH + inside % PATCH);
        f32::from(image.pixels[y * SIDE + x]) * scale
    };
    Array::new([across * across, PATCH * PATCH], (0..SIDE * SIDE).map(pixel).collect())
}
