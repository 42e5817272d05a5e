use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Var};
use tempfile::TempDir;

use super::data::{Data, Reader};
use super::engine::Numbers;
use super::learner::Learner;
use super::loss;
use super::*;
use crate::answer::Answer;
use crate::calibrate::{Accuracy, Trial};
use crate::config::{BertConfig, Gpt2Config};
use crate::plan::Plan;
use crate::run::Task;
use crate::synthetic::{Synthetic, SyntheticGpt2, SyntheticHead};

const TEXTS: [&str; 3] = ["the cat sat on the mat", "a dog", "what is this and that"];

fn bert(dir: &Path) {
    Synthetic::new(BertConfig::tiny(), SyntheticHead::Embedding, 3).write(dir).unwrap();
}

fn gpt2(dir: &Path) {
    SyntheticGpt2::new(Gpt2Config::tiny(), 3).write(dir).unwrap();
}

fn data(learner: &Learner, dir: &Path, lines: &[&str], longest: usize) -> Data {
    let file = dir.join("lines.txt");
    std::fs::write(&file, lines.join("\n")).unwrap();
    Reader::new(dir, &learner.config, &learner.head, longest).unwrap().read(&file).unwrap()
}

fn outputs(learner: &Learner, data: &Data) -> Vec<Vec<f32>> {
    let mut all = vec![Vec::new(); data.examples.len()];
    for texts in data.batches(64, 1) {
        let batch = data.batch(&texts, &Device::Cpu).unwrap();
        let output = learner.read(&batch).unwrap().output;
        for (&text, row) in texts.iter().zip(output.flatten_from(1).unwrap().to_vec2::<f32>().unwrap()) {
            all[text] = row;
        }
    }
    all
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn floats_are_those_of_the_clear_engine() {
    let dir = TempDir::new().unwrap();
    bert(dir.path());
    let learner = Learner::teacher(dir.path(), &Device::Cpu).unwrap();
    let own = outputs(&learner, &data(&learner, dir.path(), &TEXTS, 64));
    let clear = Task::open(dir.path(), Plan::Accurate, TEXTS).unwrap().reference().unwrap();
    for (own, clear) in own.iter().zip(&clear) {
        assert!(farthest(own, clear.values()) < 1e-5, "{own:?} {:?}", clear.values());
    }
}

#[test]
fn a_gpt2_predicts_what_the_clear_engine_does() {
    let dir = TempDir::new().unwrap();
    gpt2(dir.path());
    let learner = Learner::teacher(dir.path(), &Device::Cpu).unwrap();
    let data = data(&learner, dir.path(), &["the cat sat on the mat and looked at the dog"], 6);
    let own = outputs(&learner, &data);
    let (example, vocabulary) = (&data.examples[0], 320);
    let text =
        crate::text::Tokenizer::open(dir.path()).unwrap().for_generation().unwrap().decode(&example.ids[0]);
    let task = Task::open(dir.path(), Plan::Accurate, [text.as_str()]).unwrap();
    assert_eq!(task.texts[0].encoded.ids, example.ids[0]);
    let clear = task.reference().unwrap();
    assert!(farthest(&own[0][5 * vocabulary..], clear[0].values()) < 1e-4);
}

#[test]
fn served_numbers_are_those_of_the_simulation() {
    let dir = TempDir::new().unwrap();
    bert(dir.path());
    for plan in [Plan::Ditto, Plan::DittoGelu, Plan::Puma, Plan::MpcFormer] {
        let learner =
            Learner::student(dir.path(), plan, Arc::default(), Numbers::Served, &Device::Cpu).unwrap();
        let own = outputs(&learner, &data(&learner, dir.path(), &TEXTS, 64));
        let answers: Vec<Answer> =
            own.into_iter().map(|embedding| Answer::Embedding { text: String::new(), embedding }).collect();
        let task = Task::open(dir.path(), plan, TEXTS).unwrap();
        let Accuracy::Cosine { cosine_min, .. } = Trial::run(&task, &answers).unwrap().accuracy else {
            panic!("embeddings are compared by cosines")
        };
        assert!(cosine_min > 0.9995, "{plan}: {cosine_min}");
    }
}

#[test]
fn gradients_are_those_of_differences() {
    let dir = TempDir::new().unwrap();
    for (write, longest, name) in [
        (bert as fn(&Path), 64, "encoder.layer.1.intermediate.dense.weight"),
        (bert, 64, "encoder.layer.0.attention.self.query.weight"),
        (bert, 64, "embeddings.LayerNorm.weight"),
        (gpt2, 8, "h.0.attn.c_attn.key.weight"),
        (gpt2, 8, "h.1.mlp.c_proj.weight"),
    ] {
        write(dir.path());
        let plan = Plan::Ditto;
        let learner =
            Learner::student(dir.path(), plan, Arc::default(), Numbers::Floats, &Device::Cpu).unwrap();
        let data =
            data(&learner, dir.path(), &["the cat sat on the mat and", "a dog sat on the mat and"], longest);
        let batch = data.batch(&data.batches(64, 1)[0], &Device::Cpu).unwrap();
        let value = || {
            let output = learner.read(&batch).unwrap().output;
            // Some numbers of the output, with signs of their own.
            let signs: Vec<f32> =
                (0..output.elem_count()).map(|i| ((i * 37 % 11) as f32 - 5.0) / 5.0).collect();
            let signs = candle_core::Tensor::from_vec(signs, output.shape(), &Device::Cpu).unwrap();
            (output * signs).unwrap().sum_all().unwrap()
        };
        let var: &Var = &learner.variables.all()[&learner.variables.stored_name(name)];
        let gradient = value().backward().unwrap().get(var).unwrap().clone();
        let before = var.as_tensor().copy().unwrap();
        // Along the gradient itself, differences are largest.
        let norm = f64::from(gradient.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt();
        let step = 1e-2 / norm;
        let at = |sign: f64| {
            var.set(&(&before + (&gradient * (sign * step)).unwrap()).unwrap()).unwrap();
            f64::from(value().to_scalar::<f32>().unwrap())
        };
        let slope = (at(1.0) - at(-1.0)) / (2.0 * step);
        assert!((slope / norm.powi(2) - 1.0).abs() < 0.03, "{name}: {slope} {}", norm.powi(2));
    }
}

#[test]
fn the_teacher_and_itself_agree_layer_by_layer() {
    let dir = TempDir::new().unwrap();
    gpt2(dir.path());
    let learner = Learner::teacher(dir.path(), &Device::Cpu).unwrap();
    let data = data(&learner, dir.path(), &["the cat sat on the mat and looked"], 5);
    let batch = data.batch(&[0], &Device::Cpu).unwrap();
    let (a, b) = (learner.read(&batch).unwrap(), learner.read(&batch).unwrap());
    assert_eq!((a.seen.scores.len(), a.seen.hidden.len(), a.seen.normalised.len()), (2, 5, 5));
    let loss = |a, b| loss::layers(a, b).unwrap().to_scalar::<f32>().unwrap();
    assert_eq!(loss(&a, &b), 0.0);
    let student =
        Learner::student(dir.path(), Plan::Ditto, Arc::default(), Numbers::Served, &Device::Cpu).unwrap();
    assert!(loss(&student.read(&batch).unwrap(), &b) > 1e-3);
}

fn distillation(teacher: &Path, out: &Path, lines: &Path, steps: [usize; 2]) -> Distillation {
    let stage = |name: &str, steps| Stage { name: name.to_owned(), steps, rate: 3e-3 };
    Distillation {
        from: None,
        teacher: teacher.to_owned(),
        out: out.to_owned(),
        files: Files { data: lines.to_owned(), held_out: None },
        plan: Plan::Ditto,
        scales: Scales::These(Arc::default()),
        numbers: Numbers::Served,
        longest: 16,
        measured: 8,
        start: Start { tokens: 200, steps: 10, rate: 1e-3 },
        stages: [stage("layers", steps[0]), stage("predictions", steps[1])],
        options: Options {
            tokens: 64,
            beta2: 0.999,
            decay: 0.01,
            clip: 1.0,
            seed: 5,
            freeze_embeddings: false,
            every: 4,
        },
        resume: false,
        half: false,
        device: Device::Cpu,
    }
}

/// Sixty lines of words that the synthetic tokenizers know.
fn lines(dir: &Path) -> std::path::PathBuf {
    let words = ["the", "cat", "dog", "sat", "on", "mat", "and", "what", "is", "this", "that", "a"];
    let line = |i: usize| {
        let word = |j: usize| words[(i * 7 + j * j * 5 + i * j) % words.len()];
        (0..4 + i % 3).map(word).collect::<Vec<_>>().join(" ")
    };
    let file = dir.join("some-lines.txt");
    std::fs::write(&file, (0..60).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    file
}

fn weights(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("model.safetensors")).unwrap()
}

#[test]
fn a_student_comes_nearer_and_is_a_checkpoint() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    bert(dir.path());
    let task = distillation(dir.path(), out.path(), &lines(dir.path()), [24, 24]);
    let done = distill(&task, &|_| ()).unwrap();
    assert_eq!(done.texts, [57, 3, 0]);
    let loss = |stage| done.points.iter().filter(|p| p.stage == stage).map(|p| p.loss).collect::<Vec<_>>();
    for losses in [loss(0), loss(1)] {
        assert!(losses.last() < losses.first(), "{losses:?}");
    }
    let cosine = |measures: &[metrics::Measure]| measures[0].value;
    let last = cosine(&done.points.last().unwrap().measures);
    assert!(last > cosine(&done.before) && last > 0.98, "{last} {:?}", done.before);
    // The configuration says what it computes, so that the float reference is the student's own.
    let student = Task::open(out.path(), Plan::Ditto, TEXTS).unwrap();
    assert!(student.job.model.is_distilled());
    let reference = student.reference().unwrap();
    let Accuracy::Cosine { cosine_min, .. } = Trial::run(&student, &reference).unwrap().accuracy else {
        panic!("embeddings are compared by cosines")
    };
    assert!(cosine_min > 0.999, "{cosine_min}");
    plot(&out.path().join("course.svg"), &task.stages, &done.points).unwrap();
    plot(&out.path().join("nothing.svg"), &task.stages, &[]).unwrap();
    // The transformers library finds the functions beside the weights.
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["auto_map"]["AutoModel"], "modeling_quad.QuadBertModel");
    assert!(out.path().join("modeling_quad.py").is_file());
}

#[test]
fn a_student_goes_on_where_another_ended() {
    let (dir, first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    bert(dir.path());
    let file = lines(dir.path());
    let ended = distill(&distillation(dir.path(), first.path(), &file, [8, 4]), &|_| ()).unwrap();
    let task = distillation(dir.path(), second.path(), &file, [0, 4]);
    let task = Distillation { from: Some(first.path().to_owned()), ..task };
    let went_on = distill(&task, &|_| ()).unwrap();
    assert_eq!(went_on.start, ended.points.last().unwrap().measures);
    assert_ne!(weights(first.path()), weights(second.path()));
    // A student of another teacher does not.
    gpt2(dir.path());
    let error = distill(&task, &|_| ()).unwrap_err();
    assert!(matches!(error, TrainError::Apart { .. }), "{error}");
}

#[test]
fn feed_forward_parts_come_near_by_themselves() {
    for (write, names) in [
        (bert as fn(&Path), ["encoder.layer.0.intermediate.dense", "encoder.layer.1.intermediate.dense"]),
        (gpt2, ["h.0.mlp.c_fc", "h.1.mlp.c_fc"]),
    ] {
        let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(dir.path());
        // Units that are anything but straight.
        let learner = Learner::teacher(dir.path(), &Device::Cpu).unwrap();
        for name in names {
            learner.variables.change(&format!("{name}.weight"), &|w| w * 40.0).unwrap();
        }
        learner.variables.write_to(dir.path(), false).unwrap();
        let fitted = std::cell::RefCell::new(Vec::new());
        let told = |told: Told<'_>| {
            if let Told::Fitted { layer, wrong, .. } = told {
                fitted.borrow_mut().push((layer, wrong));
            }
        };
        let task = distillation(dir.path(), out.path(), &lines(dir.path()), [0, 0]);
        let start = Start { tokens: 400, steps: 20, rate: 1e-3 };
        let done = distill(&Distillation { start, ..task }, &told).unwrap();
        let fitted = fitted.into_inner();
        assert_eq!(fitted.iter().map(|(layer, _)| *layer).collect::<Vec<_>>(), [0, 1]);
        for (_, [before, after]) in fitted {
            assert!(after <= before && after < 0.05, "{before} {after}");
        }
        // No step of a stage was taken, so the start is the student.
        assert_eq!((done.points.len(), &done.start), (0, &done.served));
        assert_ne!(done.before, done.start);
    }
}

#[test]
fn a_rate_that_is_too_high_leaves_the_regression() {
    let (dir, first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap(), TempDir::new().unwrap());
    bert(dir.path());
    let file = lines(dir.path());
    let with = |out: &Path, steps, rate| {
        let task = distillation(dir.path(), out, &file, [0, 0]);
        distill(&Distillation { start: Start { tokens: 400, steps, rate }, ..task }, &|_| ()).unwrap();
        weights(out)
    };
    assert_eq!(with(first.path(), 0, 1.0), with(second.path(), 5, 100.0));
}

#[test]
fn a_student_is_calibrated_and_one_that_cannot_be_is_kept() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    bert(dir.path());
    let file = lines(dir.path());
    let warned = std::cell::RefCell::new(Vec::new());
    let told = |told: Told<'_>| match told {
        Told::Uncalibrated(error) => warned.borrow_mut().push(crate::report::chain(error)),
        Told::Calibrating(texts) => assert_eq!(texts, 60),
        _ => (),
    };
    let task = distillation(dir.path(), out.path(), &file, [4, 0]);
    let task = Distillation { scales: Scales::Calibrated, ..task };
    let done = distill(&task, &told).unwrap();
    assert!(done.headroom.is_some_and(|bits| bits >= 1.0), "{:?}", done.headroom);
    assert_eq!(warned.take(), Vec::<String>::new());
    // The scales are of these weights, and are found beside them.
    let (student, path) = Task::open(out.path(), Plan::Ditto, TEXTS).unwrap().quantized(None).unwrap();
    assert_eq!(path, Some(out.path().join("quantization.ditto.json")));
    assert_eq!(student.job.model.settings.quantization, {
        crate::quantization::QuantizationFile::read(&path.unwrap()).unwrap().quantization
    });
    // A row that no scale suits: the student is written, and nothing says that it can be served.
    let learner = Learner::teacher(dir.path(), &Device::Cpu).unwrap();
    let name = "encoder.layer.0.attention.self.query.weight";
    learner
        .variables
        .change(name, &|w| {
            candle_core::Tensor::cat(&[&(w.narrow(0, 0, 1)? * 1000.0)?, &w.narrow(0, 1, w.dim(0)? - 1)?], 0)
        })
        .unwrap();
    learner.variables.write_to(dir.path(), false).unwrap();
    let done = distill(&task, &told).unwrap();
    assert_eq!(done.headroom, None);
    let warned = warned.take();
    assert!(warned.len() == 2 && warned[0].contains("attention.self.query.weight"), "{warned:?}");
    assert!(
        out.path().join("model.safetensors").is_file()
            && !out.path().join("quantization.ditto.json").exists()
    );
}

#[test]
fn an_interrupted_training_ends_as_an_uninterrupted_one() {
    let dir = TempDir::new().unwrap();
    gpt2(dir.path());
    let file = lines(dir.path());
    let (whole, parts) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    distill(&distillation(dir.path(), whole.path(), &file, [8, 6]), &|_| ()).unwrap();
    // Interrupted after the tenth step, two steps after the state was written.
    let interrupt = |told: Told<'_>| {
        if let Told::Step { step: 11, .. } = told {
            panic!("interrupted")
        }
    };
    let task = distillation(dir.path(), parts.path(), &file, [8, 6]);
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| distill(&task, &interrupt))).unwrap_err();
    assert!(!parts.path().join("model.safetensors").exists());
    let resumed = distill(&Distillation { resume: true, ..task }, &|_| ()).unwrap();
    assert_eq!(weights(whole.path()), weights(parts.path()));
    assert_eq!(resumed.points.iter().map(|p| p.step).collect::<Vec<_>>(), [4, 8, 12, 14]);
    // Another training does not go on from this state.
    let other = distillation(dir.path(), parts.path(), &file, [9, 6]);
    let error = distill(&Distillation { resume: true, ..other }, &|_| ()).unwrap_err();
    assert!(matches!(error, TrainError::Resume { .. }), "{error}");
}

#[test]
fn a_classifier_learns_and_is_distilled() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("labelled.tsv");
    let animals = ["a small furry animal", "an animal with wings", "a wild animal of the sea"];
    let plants = ["a small green plant", "a plant with leaves", "a wild plant of the hills"];
    let line = |i: usize| {
        let (texts, class) = if i.is_multiple_of(2) { (animals, "animal") } else { (plants, "plant") };
        format!("{} {}\t{class}", texts[i % 3], ["here", "there", "everywhere", "nowhere"][i / 2 % 4])
    };
    std::fs::write(&file, (0..80).map(line).collect::<Vec<_>>().join("\n")).unwrap();
    let out = dir.path().join("classifier");
    let new = NewModel {
        kind: Kind::Classifier,
        layers: 1,
        width: 16,
        heads: 2,
        vocabulary: 400,
        positions: 32,
        seed: 1,
    };
    new.write(&file, &out).unwrap();
    let options = Options {
        tokens: 128,
        beta2: 0.999,
        decay: 0.01,
        clip: 1.0,
        seed: 5,
        freeze_embeddings: false,
        every: 100,
    };
    let files = Files { data: file.clone(), held_out: None };
    let task = Fitting {
        from: out.clone(),
        out: out.clone(),
        files,
        longest: 32,
        measured: 8,
        stage: Stage { name: "training".to_owned(), steps: 100, rate: 1e-2 },
        options,
        resume: false,
        half: false,
        device: Device::Cpu,
    };
    let done = fit(&task, &|_| ()).unwrap();
    assert_eq!(done.points.last().unwrap().measures, [metrics::Measure::new("accuracy", 1.0)]);
    let task =
        Task::open(&out, Plan::Accurate, ["a small green plant here", "an animal with wings there"]).unwrap();
    let labels: Vec<String> = task
        .reference()
        .unwrap()
        .into_iter()
        .filter_map(|answer| if let Answer::Label { label, .. } = answer { Some(label) } else { None })
        .collect();
    assert_eq!(labels, ["plant", "animal"]);
    let student = dir.path().join("student");
    let task = Distillation {
        files: Files { data: file, held_out: None },
        ..distillation(&out, &student, &lines(dir.path()), [20, 20])
    };
    let done = distill(&Distillation { longest: 32, ..task }, &|_| ()).unwrap();
    assert_eq!(done.points.last().unwrap().measures[1], metrics::Measure::new("agreement", 1.0));
}

#[test]
fn bad_data_is_named() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    bert(dir.path());
    let told = |name: &str, content: &[u8], what: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, content).unwrap();
        let error = distill(&distillation(dir.path(), out.path(), &file, [1, 1]), &|_| ()).unwrap_err();
        let text = crate::report::chain(&error);
        assert!(text.contains(what) && text.contains(name), "{text}");
    };
    told("empty.txt", b"\n  \n", "no text in it");
    told("few.txt", b"the cat\na dog\n", "fewer than 20 texts");
    told("binary.txt", b"the cat\n\xff\xfe\n", "line 2: not UTF-8");
    told("labelled.tsv", b"the cat\tanimal\n", "line 1: a labelled text, but the model does not classify");
    let missing = distillation(dir.path(), out.path(), Path::new("nowhere.txt"), [1, 1]);
    assert!(matches!(distill(&missing, &|_| ()), Err(TrainError::Io { .. })));
    let synthetic = Synthetic::new(BertConfig::tiny(), SyntheticHead::Classification { labels: 2 }, 3);
    synthetic.write(dir.path()).unwrap();
    told("unknown.tsv", b"the cat\tLABEL_1\nthe dog\tfish\n", "line 2: the model has no class \"fish\"");
    told("untabbed.tsv", b"the cat\n", "line 1: no tab");
}
