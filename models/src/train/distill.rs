//! Quantization-aware distillation.

use std::path::{Path, PathBuf};

use candle_core::Device;
use ditto_core::nn::Activation;

use super::TrainError;
use super::data::{Data, Files, Reader};
use super::engine::Numbers;
use super::held_out::{Answers, answer, measure};
use super::learner::Learner;
use super::loss;
use super::metrics::Measure;
use super::scales::{Calibrator, Scales};
use super::start::{Start, start_near};
use super::trainer::{Beginning, Options, Point, STATE, Stage, Told, Trainer, has_state};
use crate::plan::Plan;
use crate::quantization::QuantizationFile;

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
    /// The scales that it is trained at.
    pub scales: Scales,
    /// Whether it is trained at those scales; floats only for comparison.
    pub numbers: Numbers,
    /// Longest text in tokens.
    pub longest: usize,
    /// Held-out texts that are measured, at most.
    pub measured: usize,
    /// How feed-forward parts with Quad are fitted first.
    pub start: Start,
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
    /// The student at the scales that it is served with.
    pub served: Vec<Measure>,
    /// Bits to spare at the condition that has the fewest, on the texts that it was calibrated on, if it was.
    pub headroom: Option<f64>,
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
    let mut student = Learner::student(from, task.plan, task.scales.first(), task.numbers, &task.device)?;
    if sizes(&student) != sizes(&teacher) || student.head != teacher.head {
        return Err(TrainError::Apart { student: from.clone(), teacher: task.teacher.clone() });
    }
    let reader = Reader::new(&task.teacher, &teacher.config, &teacher.head, task.longest)?;
    let (data, mut held_out) = task.files.read(&reader)?;
    held_out.truncate(task.measured);
    let measurer = Measurer { held_out: &held_out, teacher: answer(&teacher, &held_out)? };
    let before = measurer.measure(&student)?;

    let state = task.out.join(STATE);
    create(&state)?;
    let (resume, scales) = (task.resume && has_state(&task.out), state.join("scales.json"));
    let calibrator = matches!(task.scales, Scales::Calibrated).then(|| Calibrator {
        plan: task.plan,
        reader: &reader,
        data: &task.files.data,
        told,
    });
    let fits = task.from.is_none() && student.spec.plan.replaces().is_some() && !has_quad(&teacher);
    if !resume && fits {
        start_near(&student, &teacher, &data, &task.start, &task.options, told)?;
    }
    if let (Some(calibrator), Numbers::Served) = (&calibrator, task.numbers) {
        if !resume {
            let dir = tempfile::tempdir_in(&state);
            let dir = dir.map_err(|source| TrainError::Io { file: state.clone(), source })?;
            student.write(dir.path(), task.half)?;
            calibrator.calibrate(dir.path(), &scales)?;
        }
        if scales.is_file() {
            student.spec.settings = QuantizationFile::read(&scales)?.settings();
        }
    }

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
        measure: &|| measurer.measure(&student),
        told,
        from: Beginning { dir: from.clone(), start: fits.then(|| task.start.clone()) },
        out: &task.out,
    };
    let (start, points) = trainer.run(resume)?;
    student.write(&task.out, task.half)?;
    let served = QuantizationFile::path(&task.out, task.plan);
    let found = calibrator.map(|calibrator| calibrator.calibrate(&task.out, &served)).transpose()?.flatten();
    if let Some(found) = &found {
        student.spec.settings = found.file.settings();
    }
    Ok(Distilled {
        texts: [data.examples.len(), held_out.examples.len(), data.skipped],
        before,
        start,
        points,
        served: measurer.measure(&student)?,
        headroom: found.map(|found| found.after.headroom()),
    })
}

/// Layers, width and heads.
fn sizes(learner: &Learner) -> [usize; 3] {
    let model = &learner.spec.architecture;
    [model.num_hidden_layers, model.hidden_size, model.num_attention_heads]
}

/// Whether a model's activations are Quad as they are.
fn has_quad(learner: &Learner) -> bool {
    learner.spec.functions().activation == Activation::Quad
}

/// Makes the output's directory.
pub(super) fn create(dir: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(dir).map_err(|source| TrainError::Io { file: dir.to_owned(), source })
}

struct Measurer<'a> {
    held_out: &'a Data,
    teacher: Answers,
}

impl Measurer<'_> {
    fn measure(&self, student: &Learner) -> Result<Vec<Measure>, TrainError> {
        let own = answer(student, self.held_out)?;
        Ok(measure(&student.spec.architecture.head, self.held_out, &own, Some(&self.teacher)))
    }
}
