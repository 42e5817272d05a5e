//! Every construct of the language, run in the clear against plain numbers, and in simulation beside it.

use ditto_core::engine::{Clear, Simulate};
use ditto_core::nn::{
    Bits, WeightSource, concat, downcast, greater, matmul, max_last, max_rows, maximum, mul, relu, select,
    upcast,
};
use ditto_core::session::{SecureModel, program};
use ditto_core::tensor::Shape;
use ditto_core::{Ctx, Engine, Error, Fixed, Fx, Product, Result, Tensor, Z};
use ditto_macros::{Weights, secure_model};
use ditto_tests::weights::{Floats, Plain};

type A = Fx<32, 10>;
type Wide = Fx<64, 20>;

/// Formats, constants and public functions of a model.
trait Plan: Copy + Send + Sync + 'static {
    type Act: Fixed<Ring = Z<32>>;
    const LAYERS: usize;
    fn width(layer: usize) -> usize {
        layer + 1
    }
}

#[derive(Clone, Copy)]
struct Two;

impl Plan for Two {
    type Act = A;
    const LAYERS: usize = 2;
}

/// What a test function is called with: x = [[1, -2], [3, 0.5]].
fn x<E: Plain>() -> Result<Tensor<E, A>> {
    E::secret(&[2, 2], &[1.0, -2.0, 3.0, 0.5])
}

/// Runs model code in the clear, where it gives exactly `want`, and in simulation, where rounding is allowed for.
macro_rules! gives {
    ($want:expr, |$ctx:ident, $x:ident| $body:expr) => {{
        fn run<E: Plain>($ctx: &Ctx<'_, E>) -> Result<Vec<f64>> {
            #[allow(unused_mut)]
            let mut $x = x::<E>()?;
            let y: Tensor<E, A> = $body?;
            Ok(E::reveal(&y))
        }
        let want: Vec<f64> = Vec::from($want);
        assert_eq!(Clear::run(run).expect("runs in the clear"), want);
        let fixed = Simulate::run(std::sync::Arc::default(), [3; 16], run).expect("runs in simulation");
        assert_eq!(fixed.len(), want.len());
        for (got, want) in fixed.iter().zip(&want) {
            assert!((got - want).abs() < 0.02, "{fixed:?}");
        }
    }};
}

// Control flow on public values.

#[derive(Clone, Copy)]
enum Mode {
    Once,
    Times(usize),
}

#[secure_model(public(Mode))]
fn branches(x: &Tensor<A>, mode: Mode, bias: Option<&Tensor<A>>, deep: bool) -> Tensor<A> {
    let mut y: Tensor<A> = match mode {
        Mode::Once => x.clone(),
        Mode::Times(n) if n > 3 => x * x,
        Mode::Times(n) => {
            let mut y = x.clone();
            for _ in 1..n {
                y += x;
            }
            y
        }
    };
    if let Some(bias) = bias
        && deep
    {
        y += bias;
    } else if deep {
        y = y - x;
    }
    let Some(bias) = bias else { return y };
    if bias.shape().rows() == 2 { y * bias } else { y }
}

#[test]
fn if_match_let_else_and_early_return() {
    gives!([1.0, -2.0, 3.0, 0.5], |ctx, x| branches(ctx, &x, Mode::Once, None, false));
    gives!([1.0, 4.0, 9.0, 0.25], |ctx, x| branches(ctx, &x, Mode::Times(4), None, false));
    gives!([2.0, -4.0, 6.0, 1.0], |ctx, x| branches(ctx, &x, Mode::Times(3), None, true));
    gives!([3.0, 12.0, 27.0, 0.75], |ctx, x| branches(ctx, &x, Mode::Times(2), Some(&x), true));
    gives!([1.0, 4.0, 9.0, 0.25], |ctx, x| branches(ctx, &x, Mode::Once, Some(&x), false));
}

#[secure_model]
fn loops(xs: &[Tensor<A>], #[public] skip: &[usize]) -> Tensor<A> {
    let mut sum = xs[0].clone();
    'outer: for (i, x) in xs.iter().enumerate() {
        for j in (0..=1).rev().step_by(1) {
            if skip.contains(&i) {
                continue 'outer;
            }
            if i + j > 3 {
                break 'outer;
            }
            sum = &sum + x * x;
        }
    }
    'block: {
        if sum.shape().len() == 4 {
            break 'block;
        }
        sum = xs[1].clone();
    }
    sum
}

#[test]
fn loops_with_labels_breaks_and_continues() {
    // i = 0: skipped; i = 1: twice; i = 2: twice.
    gives!([5.0, 14.0, 39.0, 1.5], |ctx, x| loops(ctx, &[x.clone(), x.clone(), x.clone(), x], &[0, 3]));
}

// State.

struct Cache<E: Engine, P: Plan> {
    keys: Option<Tensor<E, P::Act>>,
    rows: Vec<Tensor<E, P::Act>>,
    calls: usize,
}

#[secure_model]
fn remember<P: Plan>(cache: &mut Cache<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
    let keys = match cache.keys.take() {
        Some(past) => concat(&[&past, x], 0),
        None => x.clone(),
    };
    cache.rows.push(x.slice(0, 0, 1));
    cache.calls += 1;
    cache.keys = Some(keys.clone());
    for row in cache.rows.iter_mut() {
        *row += &x.slice(0, 1, 2);
    }
    let last = cache.rows.len() - 1;
    cache.rows[last] = &cache.rows[last] - x.slice(0, 1, 2);
    keys
}

#[secure_model]
fn stateful<P: Plan>(x: &Tensor<P::Act>) -> Tensor<P::Act> {
    let mut cache = Cache::<P> { keys: None, rows: Vec::with_capacity(P::LAYERS), calls: 0 };
    let mut seen: Vec<Tensor<P::Act>> = vec![];
    for _ in 0..P::LAYERS {
        let keys = remember(&mut cache, x);
        // A product becomes what the list holds.
        seen.push(&keys * &keys);
    }
    assert_eq!(cache.calls, 2);
    concat(&[&cache.rows[0], &cache.rows[1], &seen[1].slice(0, 2, 3)], 0)
}

#[test]
fn state_is_assigned_pushed_and_read_back() {
    gives!([4.0, -1.5, 1.0, -2.0, 1.0, 4.0], |ctx, x| stateful::<_, Two>(ctx, &x));
}

// Structs, tuples, lists.

struct Pair<E: Engine> {
    a: Tensor<E, A>,
    b: Tensor<E, A>,
}

#[secure_model]
fn pair(x: &Tensor<A>) -> Pair {
    // The product takes the field's format.
    Pair { a: x * x, b: x.clone() }
}

#[secure_model]
fn parts(x: &Tensor<A>) -> (Tensor<A>, Vec<Tensor<A>>, usize) {
    let Pair { a, b } = pair(x);
    let list: Vec<Tensor<A>> = vec![b; 3];
    let [first, ..] = &list[..] else { return (a, list, 0) };
    (first * &a, vec![list[1].clone(), list[2].clone()], list.len())
}

#[secure_model]
fn together(x: &Tensor<A>) -> Tensor<A> {
    let y;
    let (cubes, list, n) = parts(x);
    #[public]
    let n: usize = n;
    let sizes = [n, 2 * n, n * n];
    let zeros = [0usize; 2];
    if sizes[1..].iter().sum::<usize>() as f64 / 3.0 > 4.9 && zeros[0] == 0 {
        y = &list[0] + cubes;
    } else {
        y = cubes;
    }
    y
}

#[test]
fn structs_tuples_and_lists() {
    gives!([2.0, -10.0, 30.0, 0.625], |ctx, x| together(ctx, &x));
}

// Side by side.

#[secure_model]
fn beside(x: &Tensor<A>, y: &Tensor<A>) -> Tensor<A> {
    let (a, b): (Tensor<A>, Tensor<A>) = join!(x * y, {
        let z: Tensor<A> = y * y;
        z * x
    });
    let (c, d, e): (Tensor<A>, Product<A, A>, Tensor<A>) = join!(a + b, x * x, join_inside(x));
    let (f, g, h, i): (Tensor<A>, Tensor<A>, Tensor<A>, Tensor<A>) = join!(x * x, x * x, x * x, x * x);
    let (_, _, k, _, _) = join!(x * x, x * x, x.clone(), x * x, x * x);
    let (l, _, _, _, _, m) = join!(x.clone(), x * x, x * x, x * x, x * x, x.clone());
    let sum: Tensor<A> = d + c;
    sum - e + (f - g) + (h - i) + (k - l) + (m - x)
}

#[secure_model]
fn join_inside(x: &Tensor<A>) -> Tensor<A> {
    let (a, (b, c)): (Tensor<A>, (Tensor<A>, Tensor<A>)) = join!(x * x, join!(x * x, x * x));
    a + b - c
}

#[test]
fn up_to_six_operations_side_by_side() {
    gives!([2.0, -4.0, 36.0, 0.375], |ctx, x| {
        let y = x.clone();
        let sum = beside(&ctx.step("beside")?, &x, &y)?;
        // (x y + y y x + x x) - x x = x^2 + x^3
        assert_eq!(sum.shape(), x.shape());
        Ok::<_, Error>(sum)
    });
}

#[secure_model]
fn heads(xs: &[Tensor<A>], offset: &Tensor<A>) -> Vec<Tensor<A>> {
    join!(for x in xs {
        let (a, b): (Tensor<A>, Tensor<A>) = join!(x * x, x * offset);
        let mut sum = a;
        for _ in 0..2 {
            sum += &b;
        }
        sum * x
    })
}

#[secure_model]
fn each(x: &Tensor<A>) -> Tensor<A> {
    let rows: Vec<Tensor<A>> = join!(for i in 0..x.shape().rows() {
        x.slice(0, i, i + 1)
    });
    let mut states = vec![x.clone(), x.clone()];
    let heads = heads(&rows, &rows[0]);
    // Every pass has its own state.
    let _: Vec<()> = join!(for (head, state) in heads.iter().zip(states.iter_mut()) {
        fill(state, head)
    });
    concat(&[&states[0], &states[1]], 0)
}

#[secure_model]
fn fill(state: &mut Tensor<A>, head: &Tensor<A>) {
    *state = head.clone();
}

#[test]
fn passes_side_by_side() {
    // x^3 + 2 x^2 o with o the first row.
    gives!([3.0, -24.0, 45.0, -0.875], |ctx, x| each(ctx, &x));
    let hops = |rows| program(&Heads, &rows).expect("meters").0.total.hops;
    assert_eq!((hops(1), hops(5), hops(64)), (hops(2), hops(2), hops(2)));
    assert_eq!(hops(65), 2 * hops(1));
}

/// Each row of the input by itself, as a model whose hops are counted.
struct Heads;

impl SecureModel for Heads {
    type Weights<E: Engine> = ();
    type State<E: Engine> = ();
    type Input = A;
    type Output = A;
    type Request = usize;
    fn description(&self) -> Vec<u8> {
        b"heads".to_vec()
    }
    fn input_shape(&self, &rows: &usize) -> Shape {
        Shape::new(&[rows, 2])
    }
    fn load<E: Engine, S: WeightSource<E>>(&self, _: &S) -> Result<()> {
        Ok(())
    }
    fn forward<E: Engine>(
        &self,
        ctx: &Ctx<'_, E>,
        (): &(),
        (): &mut (),
        x: &Tensor<E, A>,
        _: &usize,
    ) -> Result<Tensor<E, A>> {
        let rows = (0..x.shape().rows()).map(|i| x.slice(0, i, i + 1)).collect::<Result<Vec<_>>>()?;
        concat(ctx, &heads(ctx, &rows, &rows[0])?, 0)
    }
}

// Functions, methods, generics.

#[secure_model]
fn twice<P: Plan, F>(f: F, x: &Tensor<P::Act>) -> Tensor<P::Act>
where
    F: Fn(&Tensor<P::Act>) -> Tensor<P::Act>,
    Tensor<P::Act>: Clone,
{
    f(&f(x))
}

#[secure_model]
fn double<P: Plan>(x: &Tensor<P::Act>) -> Tensor<P::Act> {
    x + x
}

#[secure_model]
fn generic<P: Plan, const N: usize>(x: &Tensor<P::Act>) -> Tensor<P::Act> {
    /// An item inside.
    const ONE: usize = 1;
    let mut y = twice::<P, _>(double::<P>, x);
    for layer in 0..P::LAYERS {
        // A public function of the plan.
        if P::width(layer) + ONE > N {
            y = y - x;
        }
    }
    y
}

struct Block<E: Engine, P: Plan> {
    gain: Tensor<E, P::Act>,
}

struct Stack<E: Engine, P: Plan> {
    blocks: Vec<Block<E, P>>,
}

#[secure_model]
impl<P: Plan> Block<P> {
    fn forward(&self, x: &Tensor<P::Act>) -> Tensor<P::Act> {
        let y = self.scaled(x);
        Self::add(&y, x)
    }
    fn scaled(&self, x: &Tensor<P::Act>) -> Product<P::Act, P::Act> {
        if self.width() > 0 { x * &self.gain } else { x * x }
    }
    fn add(y: &Product<P::Act, P::Act>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
        y + x
    }
    #[public]
    fn width(&self) -> usize {
        self.gain.shape().last()
    }
}

#[secure_model]
impl<P> Stack<P>
where
    P: Plan,
    Block<P>: Sized,
{
    fn forward(&self, x: &Tensor<P::Act>) -> Tensor<P::Act> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = block.forward(&x);
        }
        x
    }
}

#[secure_model]
fn nested<P: Plan>(stack: &Stack<P>, x: &Tensor<P::Act>) -> Tensor<P::Act> {
    stack.forward(x)
}

#[test]
fn helpers_generics_and_nested_blocks() {
    gives!([3.0, -6.0, 9.0, 1.5], |ctx, x| generic::<_, Two, 2>(ctx, &x));
    gives!([4.0, -2.0, 12.0, 0.5], |ctx, x| {
        let gain = || E::secret(&[2], &[1.0, 0.0]);
        let blocks = vec![Block::<E, Two> { gain: gain()? }, Block { gain: gain()? }];
        nested(ctx, &Stack { blocks }, &x)
    });
}

// Ways out.

#[secure_model]
fn by_hand(x: &Tensor<A>, #[public] sizes: &[(usize, &str)]) -> Tensor<A> {
    let most = public!(sizes.iter().map(|s| s.0).max().unwrap_or(0));
    println!("{most} {}", format!("{:?}", x.shape()));
    if most > 8 {
        protocol!(|_| Err::<(), _>(Error::Unsupported("so much")));
    }
    let y = protocol!(|ctx| mul(ctx, x, x));
    let wide: Tensor<Wide> = protocol!(|ctx| upcast(ctx, x));
    let narrow: Tensor<A> = downcast(&wide);
    y + narrow
}

#[test]
fn escape_hatches() {
    gives!([2.0, 2.0, 12.0, 0.75], |ctx, x| by_hand(ctx, &x, &[(1, "a"), (7, "b")]));
    let refused = Clear::run(|ctx| by_hand(ctx, &x()?, &[(9, "c")]));
    assert!(matches!(refused, Err(Error::Unsupported("so much"))));
}

// Secret choices.

#[secure_model]
fn choices(x: &Tensor<A>) -> Tensor<A> {
    let row = x.slice(0, 0, 1);
    // One comparison chooses twice; its bits may be returned and kept.
    let larger: Bits = greater(x, &row);
    let (a, b) = (select(&larger, x, &row), select(&larger, &row, x));
    let tops = max_last(x);
    let (positive, squares): (Tensor<A>, Tensor<A>) = join!(relu(x), relu(&(x * x)));
    concat(&[&a, &b, &positive, &(squares + &tops), &max_rows(x), &maximum(&row, &x.slice(0, 1, 2))], 0)
}

#[test]
fn comparisons_choose_between_secrets() {
    gives!(
        [
            1.0, -2.0, 3.0, 0.5, // maximum
            1.0, -2.0, 1.0, -2.0, // minimum
            1.0, 0.0, 3.0, 0.5, // relu
            2.0, 5.0, 12.0, 3.25, // squares and the rows' maximum
            3.0, 0.5, 3.0, 0.5 // columns
        ],
        |ctx, x| choices(ctx, &x)
    );
    let shapes = Clear::run(|ctx| {
        assert!(concat::<Clear, A, Tensor<Clear, A>>(ctx, &[], 0).is_err());
        assert!(
            concat(ctx, &[&x::<Clear>()?, &Tensor::with_exponent(x::<Clear>()?.repr().clone(), 1)], 0)
                .is_err()
        );
        assert!(max_rows(ctx, &x::<Clear>()?.reshape(&[4])?).is_err());
        assert!(max_last(ctx, &x::<Clear>()?.slice(1, 0, 0)?).is_err());
        Ok(())
    });
    shapes.expect("errors are values");
}

// Weights.

#[derive(Weights)]
#[weights(config = usize)]
struct Parameters<E: Engine> {
    #[weights(with = Shape::new(&[1, *config]))]
    class_token: Tensor<E, A>,
    #[weights(name = "embeddings.position", with = Shape::new(&[3, *config]))]
    positions: Tensor<E, A>,
    #[weights(name = "gain", count = 2, with = Shape::new(&[index + 1, 1]))]
    gains: Vec<Tensor<E, A>>,
    #[weights(when = *config > 5, with = Shape::new(&[]))]
    scale: Option<Tensor<E, A>>,
}

#[secure_model]
fn embed(w: &Parameters, x: &Tensor<A>) -> Tensor<A> {
    let mut y = concat(&[&w.class_token, x], 0) + &w.positions;
    for gain in &w.gains[..1] {
        y *= gain;
    }
    if let Some(scale) = &w.scale { y * scale } else { y }
}

#[test]
fn bare_parameters_of_any_rank() {
    gives!([6.0, 4.0, 8.0, 0.0, 16.0, 11.0], |ctx, x| {
        let mut floats = Floats::default();
        floats.insert("class_token", vec![2.0, 0.0]);
        floats.insert("embeddings.position", vec![1.0, 2.0, 3.0, 2.0, 5.0, 5.0]);
        floats.insert("gain.0", vec![2.0]);
        floats.insert("gain.1", vec![2.0, 2.0]);
        load(ctx, &floats, &x)
    });
}

fn load<E: Plain>(ctx: &Ctx<'_, E>, floats: &Floats, x: &Tensor<E, A>) -> Result<Tensor<E, A>> {
    embed(ctx, &E::load::<Parameters<E>>(floats, &2)?, x)
}

#[secure_model]
fn public_arithmetic(x: &Tensor<A>, n: usize, scale: f64) -> Tensor<A> {
    let dims = x.shape().dims();
    let flat = dims.iter().product::<usize>();
    let half = (scale * 2.0 - 1.0) as usize;
    let mut rows = n * dims[0] - flat / 2 + 1;
    rows -= half;
    rows *= 1;
    assert!(rows == dims[0] && -scale < 0.0 && !x.shape().is_empty(), "rows {rows}");
    matmul(&x.reshape(&[rows, flat / rows]), &x.permute(&[1, 0]))
}

#[test]
fn arithmetic_of_public_numbers() {
    gives!([5.0, 2.0, 2.0, 9.25], |ctx, x| public_arithmetic(ctx, &x, 2, 1.0));
}

// Formats and engines.

#[secure_model]
fn formats<P: Fixed<Ring = Z<32>>>(x: &Tensor<P>, y: &Tensor<P>) -> (Tensor<Wide>, Product<P, P>) {
    let product = x * y + x;
    let mut z: Tensor<P> = product.clone() + (x - y);
    z = &z * y;
    z *= y;
    let wide: Tensor<Wide> = upcast(&z);
    let back: Tensor<A> = downcast(&(&wide + &upcast::<_, Wide>(&z)));
    let _: Tensor<Wide> = upcast(&back);
    (wide, product)
}

/// An engine that the author names.
#[secure_model]
fn named<E>(x: &Tensor<A>) -> Tensor<E, A>
where
    E: Engine,
{
    protocol!(|ctx| helper::<E>(ctx, x))
}

fn helper<E: Engine>(ctx: &Ctx<'_, E>, x: &Tensor<E, A>) -> Result<Tensor<E, A>> {
    if ctx.path().is_empty() { Err(Error::Unsupported("the root")) } else { Ok(x.clone()) }
}

/// Without a value.
#[secure_model]
fn checks(x: &Tensor<A>) {
    assert_eq!(x.shape().rank(), 2);
}

#[secure_model]
fn conversions(x: &Tensor<A>) -> Tensor<A> {
    checks(x);
    let (wide, product) = formats(x, &named(x));
    let narrow: Tensor<A> = downcast(&wide);
    let product: Tensor<A> = product;
    narrow - product
}

#[test]
fn formats_follow_what_is_written() {
    // x^2 (x^2 + x) less x^2 + x.
    gives!([0.0, 6.0, 96.0, -0.5625], |ctx, x| conversions(ctx, &x));
}
