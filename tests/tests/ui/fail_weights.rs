use ditto_core::Engine;
use ditto_core::nn::Linear;
use ditto_macros::Weights;

struct Config;

#[derive(Weights)]
#[weights(config = Config, size = 3)]
struct Keys<E: Engine, F: ditto_core::Fixed> {
    #[weights(nmae = "query")]
    query: Linear<E, F, F>,
    #[weights(name = "a", name = "b")]
    key: Linear<E, F, F>,
    #[weights(value = 3, name = "heads")]
    heads: usize,
    layers: Vec<Linear<E, F, F>>,
    #[weights(count = 3)]
    layer: Linear<E, F, F>,
    head: Option<Linear<E, F, F>>,
    #[weights(when = true)]
    tail: Linear<E, F, F>,
    #[weights(count = 3, when = true)]
    both: Vec<Linear<E, F, F>>,
}

#[derive(Weights)]
struct Missing {
    heads: usize,
}

#[derive(Weights)]
#[weights(config = Config)]
struct Positions<E: Engine>(E);

#[derive(Weights)]
#[weights(config = Config)]
enum Either<E: Engine> {
    A(E),
}

#[derive(Weights)]
#[weights(config = Config)]
struct Nothing;

#[derive(Weights)]
#[weights(config = Config)]
union Bytes<E: Engine> {
    a: std::mem::ManuallyDrop<E>,
}

fn main() {}
