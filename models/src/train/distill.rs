//! Quantization-aware distillation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use ditto_core::Settings;

use super::TrainError;
use super::data::{Data, Files, Reader};
use super::engine::Numbers;
use super::held_out::{Answers, answer, measure};
use super::learner::Learner;
use super::loss;
use super::metrics::Measure;
use super::start::start_near;
use super::trainer::{Options, Point, Stage, Told, Trainer};
use crate::plan::Plan;

/// What to distill.
#[derive(Debug)]
pub struct Distillation {
    /// The teacher's directory, whose weights the student starts from.
    pub teacher: PathBuf,
    /// The directory of an earlier student to start from instead.
    pub from: Option<PathBuf>,
    /// The student's directory.
    pub out: PathBuf,
    /// The texts.
    pub files: Files,
    /// The plan that the student is for.
    pub plan: Plan,
    /// The scales that it is served with.
    pub settings: Arc<Settings>,
    /// Whether it is trained at those scales; floats only for comparison.
    pub numbers: Numbers,
    /// Longest text in tokens.
    pub longest: usize,
    /// Held-out texts that are measured, at most.
    pub measured: usize,
    /// Layer by layer, then predictions.
    pub stages: [Stage; 2],
    /// How to train.
    pub options: Options,
    /// Whether to go on from an earlier state.
    pub resume: bool,
    /// Whether weights are written in f16.
    pub half: bool,
    /// Where to compute.
    pub device: Device,
}

/// What a distillation came to.
#[derive(Debug)]
pub struct Distilled {
    /// Texts that it was trained and measured on, and lines that were left out.
    pub texts: [usize; 3],
    /// The student at the teacher's weights.
    pub before: Vec<Measure>,
    /// The student before the first step.
    pub start: Vec<Measure>,
    /// What was measured on the way.
    pub points: Vec<Point>,
    /// Bits to spare at the step that has the fewest, on held-out texts.
    pub headroom: Option<(String, f64)>,
}

/// Makes a student of a teacher and writes it.
///
/// # Errors
///
/// For a checkpoint, a file of texts or a state that cannot be read, a training that diverges, and an output that cannot be
/// written.
pub fn distill(task: &Distillation, told: &dyn Fn(Told<'_>)) -> Result<Distilled, TrainError> {
    let teacher = Learner::teacher(&task.teacher, &task.device)?;
    let from = task.from.as_ref().unwrap_or(&task.teacher);
    let student = Learner::student(from, task.plan, task.settings.clone(), task.numbers, &task.device)?;
    let sizes = |learner: &Learner| {
        let model = &learner.spec.architecture;
        (model.num_hidden_layers, model.hidden_size, model.num_attention_heads)
    };
    if sizes(&student) != sizes(&teacher) || student.head != teacher.head {
        return Err(TrainError::Apart { student: from.clone(), teacher: task.teacher.clone() });
    }
    let reader = Reader::new(&task.teacher, &teacher.config, &teacher.head, task.longest)?;
    let (data, mut held_out) = task.files.read(&reader)?;
    held_out.truncate(task.measured);
    let measurer = Measurer { held_out: &held_out, teacher: answer(&teacher, &held_out)?, student: &student };
    let before = measurer.measure()?;
    let quad = student.spec.functions().activation != teacher.spec.functions().activation;
    if quad && task.from.is_none() && student.spec.plan.replaces().is_some() {
        start_near(&student, &teacher, &data, task.options.seed)?;
    }
    let start = measurer.measure()?;

    create(&task.out)?;
    let head = student.spec.architecture.head;
    let trainer = Trainer {
        learner: &student,
        data: &data,
        options: &task.options,
        stages: &task.stages,
        loss: &|stage, batch| {
            let (student, teacher) = (student.read(batch)?, teacher.read(batch)?);
            Ok(match stage {
                0 => loss::layers(&student, &teacher)?,
                _ => loss::prediction(&head, &student, &teacher, batch)?,
            })
        },
        measure: &|| measurer.measure(),
        told,
        out: &task.out,
    };
    let points = trainer.run(task.resume && trainer.has_state())?;
    student.write(&task.out, task.half)?;
    let headroom = answer(&student, &held_out)?.headroom;
    let texts = [data.examples.len(), held_out.examples.len(), data.skipped];
    Ok(Distilled { texts, before, start, points, headroom })
}

/// Makes the output's directory.
pub(super) fn create(dir: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(dir).map_err(|source| TrainError::Io { file: dir.to_owned(), source })
}

struct Measurer<'a> {
    held_out: &'a Data,
    teacher: Answers,
    student: &'a Learner,
}

impl Measurer<'_> {
    fn measure(&self) -> Result<Vec<Measure>, TrainError> {
        let own = answer(self.student, self.held_out)?;
        Ok(measure(&self.student.spec.architecture.head, self.held_out, &own, Some(&self.teacher)))
    }
}
