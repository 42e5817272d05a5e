//! Whole models in the language that are neither BERT nor GPT-2: read in the clear, in simulation and by three parties.

mod models {
    pub(crate) mod gpt;
    pub(crate) mod text_cnn;
    pub(crate) mod vit;
}

use ditto_core::nn::Activation;
use ditto_core::session::{
    ClearModel, SecureModel, SimulatedModel, clear, next_program, private, program, simulate,
};
use ditto_core::tensor::Array;
use ditto_core::{Fixed, Fx, Z};
use ditto_tests::formula::Formula;

/// The formats of all three models.
pub(crate) trait Plan: Copy + std::fmt::Debug + Send + Sync + 'static {
    type Act: Fixed<Ring = Z<32>>;
    type Weight: Fixed<Ring = Z<32>>;
    type Value: Fixed;
    const ACTIVATION: Activation;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Small;

impl Plan for Small {
    type Act = Fx<32, 10>;
    type Weight = Fx<32, 10>;
    type Value = Fx<64, 12>;
    const ACTIVATION: Activation = Activation::Gelu;
}

const WEIGHTS: Formula = Formula { scale: 0.4 };

fn input(dims: &[usize]) -> Array<f32> {
    let numbers = Formula { scale: 1.5 }.numbers("input", dims.iter().product());
    Array::new(ditto_core::tensor::Shape::new(dims), numbers).expect("fills the shape")
}

/// The readings of a model agree within `apart`; gives the float one.
#[track_caller]
fn agree<M: SecureModel<Request = usize>>(model: &M, x: &Array<f32>, apart: f32) -> Array<f32> {
    let rows = x.shape().dims()[0];
    let float = clear(model, &WEIGHTS).expect("loads")(&rows, x.clone()).expect("runs in the clear");
    let fixed = simulate(model, &WEIGHTS).expect("loads")([5; 16], &rows, x).expect("runs in simulation");
    let shared = private(model, &WEIGHTS, &[(rows, x.clone())]).expect("runs with three parties");
    assert!(float.data().iter().any(|v| v.abs() > 0.05), "{float:?}");
    for reading in [&fixed, &shared[0]] {
        assert_eq!(reading.shape(), float.shape());
        let worst = reading.data().iter().zip(float.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < apart, "{worst}");
    }
    float
}

#[test]
fn a_text_cnn() {
    use models::text_cnn::TextCnn;
    let model = TextCnn { width: 6, filters: 5, widths: vec![2, 3, 4], classes: 3 };
    let x = input(&[9, 6]);
    let float = agree(&model, &x, 0.03);
    // The same by hand.
    let mut pooled = Vec::new();
    for (i, &width) in model.widths.iter().enumerate() {
        let weight =
            WEIGHTS.numbers(&format!("convolutions.{i}.weight"), model.filters * width * model.width);
        let bias = WEIGHTS.numbers(&format!("convolutions.{i}.bias"), model.filters);
        for f in 0..model.filters {
            let taps = &weight[f * width * model.width..(f + 1) * width * model.width];
            let at = |start: usize| {
                let window = &x.data()[start * model.width..(start + width) * model.width];
                (taps.iter().zip(window).map(|(w, x)| w * x).sum::<f32>() + bias[f]).max(0.0)
            };
            pooled.push((0..=9 - width).map(at).fold(0.0, f32::max));
        }
    }
    let weight = WEIGHTS.numbers("classifier.weight", model.classes * pooled.len());
    let bias = WEIGHTS.numbers("classifier.bias", model.classes);
    for (c, row) in weight.chunks(pooled.len()).enumerate() {
        let logit = row.iter().zip(&pooled).map(|(w, x)| w * x).sum::<f32>() + bias[c];
        assert!((logit - float.data()[c]).abs() < 1e-4, "{logit} {float:?}");
    }
    // Convolutions share their hops: a second of the same width costs none.
    let hops = |widths: &[usize]| {
        let model = TextCnn { widths: widths.to_vec(), ..model.clone() };
        program(&model, &9).expect("meters").0.total.hops
    };
    assert_eq!(hops(&[2]), hops(&[2, 2]));
}

#[test]
fn a_vision_transformer() {
    use models::vit::VisionTransformer;
    let model = VisionTransformer { patch: 6, width: 8, heads: 2, layers: 2, patches: 4, classes: 3 };
    agree(&model, &input(&[4, 6]), 0.05);
}

#[test]
fn a_decoder_with_a_cache() {
    use models::gpt::{Decoder, Keeping};
    let model = |keeping| Decoder { width: 8, heads: 2, layers: 2, keeping };
    let x = input(&[4, 8]);
    let joined = agree(&model(Keeping::Joined), &x, 0.06);
    let listed = agree(&model(Keeping::Listed), &x, 0.06);
    assert_eq!(joined.data(), listed.data());
    // Causal: what comes later changes nothing before.
    let prefix = Array::new([3, 8], x.data()[..24].to_vec()).expect("fits");
    let prefix = clear(&model(Keeping::Joined), &WEIGHTS).expect("loads")(&3, prefix).expect("runs");
    assert_eq!(prefix.data(), &joined.data()[..24]);
}

#[test]
fn a_decoder_goes_on_where_the_request_before_has_ended() {
    use models::gpt::{Decoder, Keeping};
    let model = Decoder { width: 8, heads: 2, layers: 2, keeping: Keeping::Joined };
    let x = input(&[4, 8]);
    let whole = agree(&model, &x, 0.06);
    let rows = |from: usize, to: usize| {
        (to - from, Array::new([to - from, 8], x.data()[from * 8..to * 8].to_vec()).expect("fits"))
    };
    let parts = [rows(0, 2), rows(2, 3), rows(3, 4)];
    let float = ClearModel::new(&model, &WEIGHTS).expect("loads");
    let fixed = SimulatedModel::new(&model, &WEIGHTS).expect("loads");
    let (mut float_state, mut fixed_state) = Default::default();
    let (mut floats, mut fixeds) = (Vec::new(), Vec::new());
    for (rows, x) in &parts {
        floats.extend(float.read(&mut float_state, rows, x.clone()).expect("runs").into_vec());
        fixeds.extend(fixed.read([1; 16], &mut fixed_state, rows, x).expect("runs").into_vec());
    }
    let shared = private(&model, &WEIGHTS, &parts).expect("runs with three parties");
    let shared: Vec<f32> = shared.into_iter().flat_map(Array::into_vec).collect();
    let apart = |a: &[f32]| a.iter().zip(whole.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert_eq!(floats.len(), whole.len());
    assert!(apart(&floats) < 1e-6 && apart(&fixeds) < 0.06 && apart(&shared) < 0.06);
    // A request costs as many hops whatever came before it, but for the maximum over more keys.
    let mut state = Default::default();
    let mut hops = |rows| next_program(&model, &mut state, &rows).expect("meters").0.total.hops;
    assert!((hops(1), hops(1)).0 < hops(1));
}
