//! PUMA's GeLU (Dong et al., arXiv 2307.12533, section 3): polynomials between -4 and 3, as published.

/// Below the first threshold the function is 0, then `LOW`, then `HIGH`, and from the last on x.
pub(crate) const THRESHOLDS: [f64; 3] = [-4.0, -1.95, 3.0];
/// Coefficients of 1, x, x^2, x^3.
pub(crate) const LOW: [f64; 4] = [
    -0.505_403_119_970_817_4,
    -0.422_265_811_519_838_66,
    -0.118_076_127_509_518_2,
    -0.011_034_134_030_615_728,
];
/// Coefficients of 1, x, x^2, x^4, x^6.
pub(crate) const HIGH: [f64; 5] = [
    0.008_526_321_541_038_084,
    0.5,
    0.360_329_269_278_962_9,
    -0.037_688_200_365_904_236,
    0.001_806_746_260_614_118_7,
];

/// The function in floats.
pub(crate) fn value(x: f64) -> f64 {
    let [zero, low, high] = THRESHOLDS;
    if x < zero {
        0.0
    } else if x < low {
        LOW[0] + x * (LOW[1] + x * (LOW[2] + x * LOW[3]))
    } else if x < high {
        let xx = x * x;
        HIGH[0] + HIGH[1] * x + xx * (HIGH[2] + xx * (HIGH[3] + xx * HIGH[4]))
    } else {
        x
    }
}
