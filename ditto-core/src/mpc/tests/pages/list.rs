//! The pages, and what each one's table of costs shows.
//!
//! A page more is its file in docs/protocols and an entry in [`PAGES`].

use std::marker::PhantomData;
use std::sync::Arc;

use crate::cost::Cost;
use crate::ctx::Ctx;
use crate::engine::Meter;
use crate::error::Result;
use crate::fixed::{Fixed, Fx, WordOf};
use crate::mpc::{Bilinear, Dealt, ExpSpec, Lookup, Segments, SeriesSpec, Signs, Wave, embedding};
use crate::net::Link;
use crate::nn::compose::inverse::{Inverse, InverseSpec, inverse};
use crate::nn::compose::maximum::row_max;
use crate::nn::compose::{Format, argmax, greater, relu, select as choose, truncate};
use crate::nn::{self, Activation, LayerNorm, Tensor};
use crate::primitives::Primitives;
use crate::session::{SecureModel, request_cost};
use crate::settings::Settings;
use crate::tensor::{Rows, Shape};

/// A page of docs/protocols.
pub(super) struct Page {
    /// Its file, without the ending.
    pub(super) name: &'static str,
    /// What its table shows; exactly one row is typical.
    pub(super) rows: fn() -> Vec<Row>,
}

/// A protocol under some parameters.
pub(super) struct Row {
    pub(super) parameters: String,
    /// What `cost` is divided by, and its name.
    pub(super) units: usize,
    pub(super) per: &'static str,
    pub(super) cost: Cost,
    /// Whether this row stands for the protocol in the table of all protocols.
    pub(super) typical: bool,
}

/// All pages, in the order of the table of contents.
pub(super) const PAGES: &[Page] = &[
    Page { name: "sharing", rows: sharing },
    Page { name: "local", rows: local },
    Page { name: "remask", rows: remask },
    Page { name: "product", rows: product },
    Page { name: "linear", rows: linear },
    Page { name: "embedding", rows: lookups },
    Page { name: "upcast", rows: upcast },
    Page { name: "msb", rows: msb },
    Page { name: "open_bits", rows: open_bits },
    Page { name: "select", rows: select },
    Page { name: "bits_to_arithmetic", rows: bits_to_arithmetic },
    Page { name: "lookup", rows: lookup },
    Page { name: "exp", rows: exp },
    Page { name: "series", rows: series },
    Page { name: "segments", rows: segments },
    Page { name: "newton", rows: newton },
    Page { name: "polynomial", rows: polynomial },
    Page { name: "truncate", rows: truncation },
    Page { name: "maximum", rows: maximum },
    Page { name: "argmax", rows: argmaxima },
    Page { name: "choice", rows: choice },
    Page { name: "inverse", rows: inverses },
    Page { name: "softmax_attend", rows: softmax_attend },
    Page { name: "softmax_clipped", rows: softmax_clipped },
    Page { name: "softmax_two_quad", rows: softmax_two_quad },
    Page { name: "layer_norm", rows: layer_norm },
    Page { name: "mean_rows", rows: mean_rows },
    Page { name: "normalize", rows: normalize },
    Page { name: "pointwise", rows: pointwise },
    Page { name: "quad", rows: quad },
    Page { name: "puma_gelu", rows: puma_gelu },
];

/// Elements of a row of a table: bits per element come out whole.
const N: usize = 64;
const ELEMENT: (usize, &str) = (N, "element");

impl Row {
    fn typical(self) -> Self {
        Self { typical: true, ..self }
    }
}

/// What the meter reads of `code`, per unit.
fn row<T>(
    parameters: impl Into<String>,
    unit: (usize, &'static str),
    code: impl FnOnce(&Ctx<'_, Meter>) -> Result<T>,
) -> Row {
    row_on(Link::NONE, parameters, unit, code)
}

/// The same where variants are chosen for a link.
fn row_on<T>(
    link: Link,
    parameters: impl Into<String>,
    (units, per): (usize, &'static str),
    code: impl FnOnce(&Ctx<'_, Meter>) -> Result<T>,
) -> Row {
    let settings = Arc::new(Settings { link, ..Settings::default() });
    let program = Meter::read(settings, |ctx| code(&ctx.step("page")?)).expect("meters");
    Row { parameters: parameters.into(), units, per, cost: program.total, typical: false }
}

/// `code` on elements of each ring.
fn rings<T>(code: impl Fn(&Ctx<'_, Meter>, &Dealt<u64>) -> Result<T>) -> Vec<Row> {
    let of = |k| Row { typical: k == 32, ..row(ring(k), ELEMENT, |ctx| code(ctx, &secret(&[N], k))) };
    [16, 32, 48, 64].map(of).into()
}

fn ring(k: u32) -> String {
    format!("Z_{{2^{k}}}")
}

fn number_of(bits: u32) -> String {
    if bits == 1 { "1 bit".to_owned() } else { format!("{bits} bits") }
}

/// What is secret, to the meter.
fn secret<W>(dims: &[usize], k: u32) -> Dealt<W> {
    Dealt::new(Shape::new(dims), k)
}

fn tensor<T: Fixed>(dims: &[usize]) -> Tensor<Meter, T> {
    Tensor::new(secret::<WordOf<T>>(dims, T::K))
}

/// A model that gives its input back.
struct Echo<T>(PhantomData<T>);

impl<T: Fixed> SecureModel for Echo<T> {
    type Weights<E: nn::Engine> = ();
    type State<E: nn::Engine> = ();
    type Input = T;
    type Output = T;
    type Request = ();
    fn description(&self) -> Vec<u8> {
        Vec::new()
    }
    fn input_shape(&self, _: &()) -> Shape {
        Shape::new(&[N])
    }
    fn load<E: nn::Engine, S: nn::WeightSource<E>>(&self, _: &S) -> Result<()> {
        Ok(())
    }
    fn forward<E: nn::Engine>(
        &self,
        _: &Ctx<'_, E>,
        _: &(),
        (): &mut (),
        x: &Tensor<E, T>,
        _: &(),
    ) -> Result<Tensor<E, T>> {
        Ok(x.clone())
    }
}

fn sharing() -> Vec<Row> {
    fn both<T: Fixed>() -> Row {
        let cost = request_cost(&Echo::<T>(PhantomData), &()).expect("meters");
        let (units, per) = ELEMENT;
        Row { parameters: format!("{}, in and out", ring(T::K)), units, per, cost, typical: T::K == 32 }
    }
    vec![both::<Fx<16, 8>>(), both::<Fx<32, 8>>(), both::<Fx<48, 8>>(), both::<Fx<64, 8>>()]
}

fn local() -> Vec<Row> {
    let x = secret::<u64>(&[N], 32);
    vec![
        row("reduce, Z_{2^32} to Z_{2^16}", ELEMENT, |_| Meter::reduce::<u64, u64>(&x, 16)),
        row("shift up, Z_{2^32} to Z_{2^48}", ELEMENT, |_| Meter::shift_up::<u64, u64>(&x, 16)),
        row("shrink, Z_{2^32} by 10 bits", ELEMENT, |ctx| Meter::shrink(ctx, &x, 10)).typical(),
        row("DownCast, Z_{2^32} to Z_{2^16} by 8 bits", ELEMENT, |_| {
            Meter::floor_shift::<u64, u64>(&x, 8, 16, true)
        }),
    ]
}

fn remask() -> Vec<Row> {
    rings(Meter::remask)
}

fn product() -> Vec<Row> {
    let mut rows = rings(|ctx, x| Meter::product(ctx, Bilinear::Elementwise, x, x));
    rows.push(row("rows of 768 with themselves, Z_{2^56}", (N, "row"), |ctx| {
        let x = secret::<u64>(&[N, 768], 56);
        Meter::product(ctx, Bilinear::RowDot, &x, &x)
    }));
    rows.push(row("[128, 64] times [64, 128], Z_{2^32}", (128 * 128, "output"), |ctx| {
        Meter::product::<u32>(ctx, Bilinear::MatMul, &secret(&[128, 64], 32), &secret(&[64, 128], 32))
    }));
    rows
}

fn linear() -> Vec<Row> {
    let of = |k| {
        let parameters = format!("[128, 768] times [768, 768], {}", ring(k));
        row(parameters, (128 * 768, "output"), |ctx| {
            Meter::linear::<u64>(ctx, &secret(&[128, 768], k), &Shape::new(&[768, 768]))
        })
    };
    vec![of(16), of(32).typical(), of(48), of(64)]
}

fn lookups() -> Vec<Row> {
    let of = |(ids, [rows, columns]): (usize, [usize; 2]), k| {
        let parameters = format!("{ids} ids, table of {rows} x {columns}, {}", ring(k));
        row(parameters, (ids * columns, "number"), |ctx| {
            let table = [Shape::new(&[rows, columns])];
            ctx.charge(embedding::cost(&table, ids, k)?, embedding::work::<u64>(&table, ids, k)?);
            Ok(())
        })
    };
    let (bert, gpt) = ((128, [30522, 768]), (32, [50257, 768]));
    vec![of(bert, 32).typical(), of(bert, 48), of(bert, 64), of(gpt, 32)]
}

fn upcast() -> Vec<Row> {
    let of = |(k, k2)| {
        row(format!("{} to {}", ring(k), ring(k2)), ELEMENT, |ctx| {
            Meter::upcast::<u64, u64>(ctx, &secret(&[N], k), k2)
        })
    };
    vec![of((16, 32)), of((17, 39)), of((32, 48)).typical(), of((32, 64)), of((48, 64))]
}

fn msb() -> Vec<Row> {
    let mut rows = vec![row("Z_{2^10}", ELEMENT, |ctx| Meter::msb(ctx, &secret::<u64>(&[N], 10)))];
    rows.extend(rings(Meter::msb));
    let three = Signs { drop: 0, bits: 64, add: vec![0; 3] };
    rows.push(row("three signs of one number, Z_{2^64}", ELEMENT, |ctx| {
        Meter::signs(ctx, &three, &secret::<u64>(&[N], 64))
    }));
    rows
}

fn open_bits() -> Vec<Row> {
    let of = |bits: u32| {
        row(number_of(bits), (N, "word"), |ctx| Meter::open_bits(ctx, &secret::<u64>(&[N], bits)))
    };
    vec![of(1).typical(), of(8), of(32), of(64)]
}

fn select() -> Vec<Row> {
    let by = |bits: usize| {
        row(format!("by {bits} bits, Z_{{2^32}}"), ELEMENT, |ctx| {
            let bit = secret::<u8>(&[N], 1);
            Meter::select_all(ctx, &vec![&bit; bits], &secret::<u64>(&[N], 32))
        })
    };
    let mut rows = rings(|ctx, x| Meter::select(ctx, &secret::<u8>(&[N], 1), x));
    rows.extend([by(2), by(3), by(4)]);
    rows
}

fn bits_to_arithmetic() -> Vec<Row> {
    let of = |(bits, k)| {
        row(format!("{} to {}", number_of(bits), ring(k)), (N, "word"), |ctx| {
            Meter::bits_to_arithmetic::<u64, u64>(ctx, &secret(&[N], bits), k)
        })
    };
    vec![of((1, 32)), of((8, 16)), of((16, 32)).typical(), of((32, 48)), of((32, 64))]
}

fn lookup() -> Vec<Row> {
    let of = |bits: u32| {
        row(format!("{} entries", 1 << bits), ELEMENT, |ctx| {
            let table = Lookup::new(0, 32, vec![0; 1 << bits])?;
            Meter::lookup(ctx, &secret::<u64>(&[N], 32), &table)
        })
    };
    let rest = row("64 entries with the rest of 8 bits in Z_{2^20}", ELEMENT, |ctx| {
        let table = Lookup::new(8, 32, vec![0; 64])?;
        Meter::lookup_with_rest::<u64, u64>(ctx, &secret(&[N], 32), &table, 20)
    });
    vec![of(4), of(6), of(8).typical(), of(11), of(13), rest]
}

fn exp() -> Vec<Row> {
    let of = |log_range: u32, out_fraction: u32, out_width: u32, by_bit: bool| {
        let spec = ExpSpec { fraction: 12, log_range, out_fraction, out_width };
        let bit = if by_bit { ", times a bit" } else { "" };
        let name = format!("f = 12, R = {}, p = {out_fraction}, w = {out_width}{bit}", 1 << log_range);
        row(name, ELEMENT, |ctx| {
            let (x, zero) = (secret::<u32>(&[N], spec.argument()), secret(&[N], 1));
            Meter::exp(ctx, &spec, &x, by_bit.then_some(&zero))
        })
    };
    vec![
        of(4, 14, 17, true),
        of(4, 14, 39, true),
        of(5, 14, 37, false),
        of(6, 16, 39, false).typical(),
        of(7, 21, 44, false),
    ]
}

fn series() -> Vec<Row> {
    let of = |waves: usize, fraction: u32| {
        let wave = Wave { frequency: 1, cos: 1.0, sin: 1.0, dealt: 8, public: 8 };
        let spec = SeriesSpec::new(fraction + 4, fraction, fraction + 9, 0.0, vec![wave; waves]);
        let width = spec.out_width;
        row(format!("W = {waves}, f = {fraction}, w = {width}, D = P = 8"), ELEMENT, |ctx| {
            Meter::series(ctx, &spec, &secret::<u32>(&[N], fraction + 10))
        })
    };
    vec![of(6, 8), of(6, 10).typical(), of(10, 10)]
}

fn segments() -> Vec<Row> {
    let of = |mantissa, width| {
        row(format!("M = {mantissa}, {}", ring(width)), (N, "word"), |ctx| {
            let spec = Segments { mantissa, shifts: [0; 3], width };
            Meter::segments(ctx, &spec, &secret(&[N], spec.word_bits()))
        })
    };
    vec![of(10, 64), of(10, 81).typical(), of(10, 105)]
}

fn newton() -> Vec<Row> {
    let of = |power, k| {
        row(format!("p = {power}, {}", ring(k)), ELEMENT, |ctx| {
            Meter::newton(ctx, &secret(&[N], k), &secret(&[N], k), power, 0)
        })
    };
    vec![of(2, 64), of(2, 81).typical(), of(3, 105)]
}

fn polynomial() -> Vec<Row> {
    let of = |(h, k)| {
        row(format!("{} to {}", ring(h), ring(k)), ELEMENT, |ctx| {
            Meter::quadratic(ctx, &secret::<u64>(&[N], h), 0, k)
        })
    };
    vec![of((21, 45)), of((24, 43)).typical(), of((32, 64))]
}

fn truncation() -> Vec<Row> {
    let of = |(k, drop, k2)| {
        row(format!("{} by {drop} bits to {}", ring(k), ring(k2)), ELEMENT, |ctx| {
            truncate::<Meter, u64, u64>(ctx, &secret(&[N], k), drop, k2)
        })
    };
    vec![
        of((16, 4, 16)),
        of((32, 8, 32)).typical(),
        of((32, 11, 32)),
        of((32, 11, 48)),
        of((48, 12, 48)),
        of((48, 12, 32)),
        of((64, 18, 64)),
    ]
}

/// Rows of attention over 128 tokens with 12 heads.
const ROWS: usize = 12 * 128;

fn maximum() -> Vec<Row> {
    let of = |(name, link), n, k| {
        row_on(link, format!("{n} numbers in {}, {name}", ring(k)), (ROWS, "row"), |ctx| {
            row_max::<Meter, u64>(ctx, &secret(&[ROWS, n], k), &Rows::whole(n))
        })
    };
    let links = [("no network", Link::NONE), ("LAN", Link::LAN), ("WAN", Link::WAN)];
    let mut rows: Vec<Row> = links.into_iter().map(|link| of(link, 128, 10)).collect();
    rows.extend([of(links[0], 512, 10), of(links[2], 512, 10), of(links[0], 128, 32), of(links[2], 128, 32)]);
    rows.into_iter().enumerate().map(|(i, row)| Row { typical: i == 0, ..row }).collect()
}

fn argmaxima() -> Vec<Row> {
    let of = |(name, link), k, drop| {
        row_on(
            link,
            format!("{VOCABULARY} numbers in {} without {drop} bits, {name}", ring(k)),
            (1, "row"),
            |ctx| {
                let out = Format { fraction: 16, width: 48 };
                argmax::<Meter, u64, u64>(ctx, &secret(&[1, VOCABULARY], k), drop, out)
            },
        )
    };
    let links = [("no network", Link::NONE), ("WAN", Link::WAN)];
    vec![of(links[0], 32, 11).typical(), of(links[1], 32, 11), of(links[0], 64, 26)]
}

/// Tokens that GPT-2 knows.
const VOCABULARY: usize = 50_257;

fn choice() -> Vec<Row> {
    let x = |k| secret::<u64>(&[N], k);
    let relu_of = |(k, drop, k2)| {
        row(format!("relu, {} by {drop} bits to {}", ring(k), ring(k2)), ELEMENT, |ctx| {
            relu::<Meter, u64, u64>(ctx, &x(k), drop, k2)
        })
    };
    vec![
        row("greater, Z_{2^16}", ELEMENT, |ctx| greater::<Meter, u64>(ctx, &x(16), &x(16))),
        row("greater, Z_{2^32}", ELEMENT, |ctx| greater::<Meter, u64>(ctx, &x(32), &x(32))),
        row("select, Z_{2^32}", ELEMENT, |ctx| choose::<Meter, u64>(ctx, &secret(&[N], 1), &x(32), &x(32))),
        relu_of((32, 10, 32)).typical(),
        relu_of((64, 18, 64)),
    ]
}

fn inverses() -> Vec<Row> {
    let of = |name: &str, width: u32, spec: InverseSpec| {
        row(name, ELEMENT, |ctx| inverse::<Meter>(ctx, &secret(&[N], width), &spec))
    };
    let reciprocal = InverseSpec {
        kind: Inverse::Reciprocal,
        fraction: 14,
        low: -3,
        high: 8,
        out_fraction: 19,
        out_width: 48,
        index: 11,
        mantissa: 10,
        steps: 1,
    };
    let root = InverseSpec {
        kind: Inverse::Rsqrt,
        fraction: 22,
        low: -12,
        high: 10,
        out_fraction: 17,
        out_width: 48,
        index: 13,
        mantissa: 10,
        steps: 1,
    };
    vec![
        of("1/x of the softmax over 128 keys", 24, reciprocal).typical(),
        of("1/sqrt(x) of layer normalisation", 34, root),
    ]
}

fn softmax_attend() -> Vec<Row> {
    let of = |kind: nn::Softmax, n: usize| {
        let log_spread = if let nn::Softmax::ExactWithin(log) = kind { log } else { 8 };
        let parameters = format!("{n} keys within {}, 64 values each", 1 << log_spread);
        row(parameters, (ROWS, "row"), |ctx| {
            let scores = tensor::<Fx<32, 20>>(&[12, 128, n]);
            let values = tensor::<Fx<48, 10>>(&[12, n, 64]);
            let out: Result<Tensor<Meter, Fx<32, 10>>> = nn::softmax_attend(ctx, kind, &scores, &values);
            out
        })
    };
    let within = nn::Softmax::ExactWithin;
    let kinds = [128].map(|n| [(within(5), n), (within(6), n), (within(7), n), (nn::Softmax::Exact, n)]);
    let lengths = [32, 512].map(|n| [(within(7), n), (nn::Softmax::Exact, n)]);
    let rows = kinds.concat().into_iter().chain(lengths.concat()).map(|(kind, n)| of(kind, n));
    rows.enumerate().map(|(i, row)| Row { typical: i == 2, ..row }).collect()
}

/// A softmax in the one ring of scores and values with twice `F` and `F` fractional bits.
fn in_one_ring<S: Fixed, V: Fixed>(kind: nn::Softmax) -> Vec<Row> {
    let of = |n: usize| {
        row(format!("{n} keys, 64 values each, Z_{{2^{}}} at 2^-{}", V::K, V::F), (ROWS, "row"), |ctx| {
            let (scores, values) = (tensor::<S>(&[12, 128, n]), tensor::<V>(&[12, n, 64]));
            let out: Result<Tensor<Meter, V>> = nn::softmax_attend(ctx, kind, &scores, &values);
            out
        })
    };
    vec![of(32), of(128).typical()]
}

fn softmax_clipped() -> Vec<Row> {
    in_one_ring::<Fx<64, 36>, Fx<64, 18>>(nn::Softmax::Clipped)
}

fn softmax_two_quad() -> Vec<Row> {
    in_one_ring::<Fx<64, 32>, Fx<64, 16>>(nn::Softmax::TwoQuad)
}

fn layer_norm() -> Vec<Row> {
    let of = |d: usize| {
        row(format!("width {d}"), (N, "row"), |ctx| {
            let weights = LayerNorm { gain: tensor::<Fx<32, 10>>(&[d]), bias: tensor(&[d]), epsilon: 1e-12 };
            let weights: LayerNorm<Meter, _, Fx<32, 16>> = weights;
            let out: Result<Tensor<Meter, Fx<32, 10>>> =
                nn::layer_norm(ctx, &tensor::<Fx<32, 16>>(&[N, d]), &weights);
            out
        })
    };
    vec![of(384), of(768).typical(), of(1024)]
}

fn mean_rows() -> Vec<Row> {
    let of = |n: usize| {
        row(format!("{n} rows"), (768, "column"), |ctx| {
            let out: Result<Tensor<Meter, Fx<32, 12>>> = nn::mean_rows(ctx, &tensor::<Fx<32, 10>>(&[n, 768]));
            out
        })
    };
    vec![of(16), of(128).typical()]
}

fn normalize() -> Vec<Row> {
    let of = |d: usize| {
        row(format!("width {d}"), (N, "row"), |ctx| {
            let out: Result<Tensor<Meter, Fx<32, 16>>> = nn::normalize(ctx, &tensor::<Fx<32, 12>>(&[N, d]));
            out
        })
    };
    vec![of(384), of(768).typical()]
}

/// A function of sums at `X`, as elements at `T`.
fn activation<X: Fixed, T: Fixed>(name: &str, function: Activation) -> Row {
    let parameters = format!("{name}, {} bits at 2^-{} to {} at 2^-{}", X::K, X::F, T::K, T::F);
    row(parameters, ELEMENT, |ctx| {
        let out: Result<Tensor<Meter, T>> = nn::activation(ctx, function, &tensor::<X>(&[N]));
        out
    })
}

fn pointwise() -> Vec<Row> {
    vec![
        activation::<Fx<32, 16>, Fx<32, 8>>("GeLU", Activation::Gelu),
        activation::<Fx<32, 21>, Fx<32, 10>>("GeLU", Activation::Gelu).typical(),
        activation::<Fx<32, 16>, Fx<32, 8>>("tanh", Activation::Tanh),
        activation::<Fx<32, 21>, Fx<32, 10>>("tanh", Activation::Tanh),
        activation::<Fx<32, 21>, Fx<32, 10>>("SiLU", Activation::Silu),
        activation::<Fx<32, 21>, Fx<32, 10>>("sigmoid", Activation::Sigmoid),
    ]
}

fn quad() -> Vec<Row> {
    vec![
        activation::<Fx<32, 16>, Fx<32, 8>>("Quad", Activation::Quad).typical(),
        activation::<Fx<32, 8>, Fx<32, 8>>("Quad", Activation::Quad),
        activation::<Fx<64, 36>, Fx<64, 18>>("Quad", Activation::Quad),
    ]
}

fn puma_gelu() -> Vec<Row> {
    vec![activation::<Fx<64, 36>, Fx<64, 18>>("PUMA's GeLU", Activation::PumaGelu).typical()]
}
