//! How good a model's answers are: in floats, in simulated fixed point, and privately.

use std::path::{Path, PathBuf};

use ditto_core::net::Limits;
use ditto_core::prg::Randomness;
use serde::Serialize;

use crate::answer::Answer;
use crate::architecture::Opens;
use crate::calibrate::Trial;
use crate::config::Head;
use crate::input::Input;
use crate::labelled::{LABELLED, labelled};
use crate::plan::Plan;
use crate::run::{Launch, Phase, RunError, Task, run_private};
use crate::train::TrainError;
use crate::train::metrics::{Measure, accuracy, agreement, embeddings, surprise};

/// What to evaluate.
#[derive(Debug)]
pub struct Evaluation {
    /// The model's directory.
    pub model: PathBuf,
    /// The directory of what it was distilled from, if that is to be compared.
    pub teacher: Option<PathBuf>,
    /// Texts, one per line; with classes behind tabs where the name ends in `.tsv`.
    pub data: PathBuf,
    /// Texts at most: the first.
    pub limit: usize,
    /// The plan.
    pub plan: Plan,
    /// Scales and ranges, as for a run.
    pub quantization: Option<PathBuf>,
    /// Texts that share a private request.
    pub batch: usize,
    /// How parties exist, if the model is to be run privately.
    pub launch: Option<Launch>,
    /// What parties may take.
    pub limits: Limits,
    /// What they draw from.
    pub randomness: Randomness,
}

/// A reading of the texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Ordinary floats with the checkpoint's own functions.
    Float,
    /// Ordinary floats with the plan's functions.
    FloatFunctions,
    /// Fixed point in one process, with the plan's formats alone: its quantization without its functions.
    FixedFormats,
    /// Fixed point in one process.
    Fixed,
    /// Three parties.
    Private,
}

impl Reading {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::FloatFunctions => "float, functions of the plan",
            Self::FixedFormats => "fixed point, own functions",
            Self::Fixed => "fixed point",
            Self::Private => "private",
        }
    }
}

/// What a reading came to.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Whether it is the teacher's.
    pub teacher: bool,
    /// How the texts were read.
    pub reading: Reading,
    /// The task's metrics.
    pub measures: Vec<Measure>,
    /// Least headroom in bits, where it was looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom: Option<f64>,
    /// Tokens that were predicted, of a model that continues texts; otherwise texts.
    pub count: usize,
}

/// Texts and what is asked for.
struct Texts {
    inputs: Vec<Input>,
    classes: Option<Vec<usize>>,
}

impl Texts {
    fn read(file: &Path, head: &Head, limit: usize) -> Result<Self, RunError> {
        let content = std::fs::read_to_string(file)
            .map_err(|source| RunError::File { file: file.display().to_string(), source })?;
        let lines = content.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).take(limit);
        if file.extension().is_none_or(|end| end != LABELLED) {
            return Ok(Self { inputs: lines.map(|(_, line)| Input::of_line(line)).collect(), classes: None });
        }
        let (mut inputs, mut classes) = (Vec::new(), Vec::new());
        for (i, line) in lines {
            let (text, class) = labelled(line, head).map_err(|what| TrainError::Data {
                file: file.to_owned(),
                line: i + 1,
                what,
            })?;
            inputs.push(Input::of_line(text));
            classes.push(class as usize);
        }
        Ok(Self { inputs, classes: Some(classes) })
    }
}

/// Reads all texts in every way, those of the teacher first. `told` is told of each row, `progress` how far a private run
/// has come.
///
/// # Errors
///
/// For files that cannot be read, and runs that fail.
pub fn evaluate(
    task: &Evaluation,
    told: &dyn Fn(&Row),
    progress: &(dyn Fn(Phase) + Sync),
) -> Result<Vec<Row>, RunError> {
    let open = |dir: &Path, plan: Plan, inputs: &[Input]| {
        Task::open(dir, plan, inputs.to_vec()).map(|task| task.opening(Opens::EachLogits))
    };
    let probe = Task::open(&task.model, task.plan, ["a"])?;
    let texts = Texts::read(&task.data, &probe.head, task.limit)?;
    let own = open(&task.model, task.plan, &texts.inputs)?;
    let teacher = task.teacher.as_ref().map(|dir| open(dir, task.plan, &texts.inputs)).transpose()?;
    let reference = teacher.as_ref().unwrap_or(&own).reference()?;
    let mut rows = Vec::new();
    let mut add = |teacher, reading, answers: &[Answer], of: &Task, headroom| {
        let (measures, count) = measure(&texts, of, answers, &reference);
        let row = Row { teacher, reading, measures, headroom, count };
        told(&row);
        rows.push(row);
    };
    if let Some(teacher) = teacher {
        add(true, Reading::Float, &reference, &teacher, None);
        if task.plan.replaces().is_some() {
            add(true, Reading::FloatFunctions, &teacher.reference_of_plan()?, &teacher, None);
        }
        if let Some(plan) = task.plan.formats_alone() {
            let formats = open(teacher.checkpoint.dir(), plan, &texts.inputs)?;
            let trial = Trial::run(&formats, &reference)?;
            add(true, Reading::FixedFormats, &trial.answers, &formats, Some(trial.headroom()));
        }
        let trial = Trial::run(&teacher, &reference)?;
        add(true, Reading::Fixed, &trial.answers, &teacher, Some(trial.headroom()));
    }
    add(false, Reading::Float, &own.reference()?, &own, None);
    let (own, _) = own.batched(task.batch)?.quantized(task.quantization.as_deref())?;
    let trial = Trial::run(&own, &own.reference()?)?;
    add(false, Reading::Fixed, &trial.answers, &own, Some(trial.headroom()));
    if let Some(launch) = &task.launch {
        let outcome = run_private(&own, launch, task.limits, task.randomness, progress)?;
        add(false, Reading::Private, &outcome.answers, &own, None);
    }
    Ok(rows)
}

/// Answers in their task's metric, and on how many texts or tokens.
fn measure(texts: &Texts, task: &Task, answers: &[Answer], reference: &[Answer]) -> (Vec<Measure>, usize) {
    let values = |answers: &[Answer]| answers.iter().map(|a| a.values().to_vec()).collect::<Vec<_>>();
    let (own, reference) = (values(answers), values(reference));
    let count = own.len();
    match &task.head {
        Head::Embedding { .. } => (embeddings(&own, &reference), count),
        Head::CausalLm => {
            let vocabulary = task.job.model.architecture.outputs().max(1);
            let (mut sum, mut count) = (0.0, 0);
            for (text, logits) in task.texts.iter().zip(&own) {
                // The last row says what follows the text, which nobody knows.
                for (&next, row) in text.encoded.ids.iter().skip(1).zip(logits.chunks_exact(vocabulary)) {
                    sum += surprise(row, next as usize);
                    count += 1;
                }
            }
            (vec![Measure::new("perplexity", (sum / f64::from(count.max(1))).exp())], count as usize)
        }
        _ => {
            let right =
                texts.classes.as_ref().map(|classes| Measure::new("accuracy", accuracy(&own, classes)));
            let agrees = Measure::new("agreement", agreement(&own, &reference));
            (right.into_iter().chain([agrees]).collect(), count)
        }
    }
}

impl Task {
    /// The float reference with the functions of the plan in place of the checkpoint's.
    fn reference_of_plan(&self) -> Result<Vec<Answer>, RunError> {
        self.read_floats(&self.job.model)
    }
}
