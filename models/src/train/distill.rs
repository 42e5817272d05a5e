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
use super::start::{Start, start_near};
use super::trainer::{Beginning, Options, Point, STATE, Stage, Told, Trainer, has_state};
use crate::calibrate::{Calibration, calibrate};
use crate::plan::Plan;
use crate::quantization::QuantizationFile;
use crate::run::{RunError, Task};

/// Texts that scales are fitted to.
const CALIBRATED_ON: usize = 300;

/// What scales a student is trained at.
#[derive(Clone, Debug)]
pub enum Scales {
    /// Those that calibration on some of the texts finds for its start. The student is calibrated again when it is ready.
    Calibrated,
    /// These, for instance those that a plan has without calibration. The student is not calibrated.
    These(Arc<Settings>),
}

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
    let settings = match &task.scales {
        Scales::Calibrated => Arc::default(),
        Scales::These(settings) => settings.clone(),
    };
    let mut student = Learner::student(from, task.plan, settings, task.numbers, &task.device)?;
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
    let measurer = Measurer { held_out: &held_out, teacher: answer(&teacher, &held_out)? };
    let before = measurer.measure(&student)?;
    let state = task.out.join(STATE);
    create(&state)?;
    let (resume, scales) = (task.resume && has_state(&task.out), state.join("scales.json"));
    let calibrates = matches!(task.scales, Scales::Calibrated);
    let calibrator = Calibrator { task, reader: &reader, told };
    let quad = student.spec.plan.replaces().is_some()
        && student.spec.functions().activation != teacher.spec.functions().activation;
    let fits = quad && task.from.is_none();
    if !resume {
        if fits {
            start_near(&student, &teacher, &data, &task.start, &task.options, told)?;
        }
        if task.numbers == Numbers::Served {
            let dir = tempfile::tempdir_in(&state);
            let dir = dir.map_err(|source| TrainError::Io { file: state.clone(), source })?;
            student.write(dir.path(), task.half)?;
            calibrator.calibrate(dir.path(), &scales)?;
        }
    }
    if task.numbers == Numbers::Served && calibrates && scales.is_file() {
        student.spec.settings = QuantizationFile::read(&scales)?.settings();
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
    let found = calibrator.calibrate(&task.out, &QuantizationFile::path(&task.out, task.plan))?;
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

/// Fits scales to a student.
struct Calibrator<'a> {
    task: &'a Distillation,
    reader: &'a Reader<'a>,
    told: &'a dyn Fn(Told<'_>),
}

impl Calibrator<'_> {
    /// Calibrates the student in a directory, if it is to be calibrated, and writes a file of its scales, or none if it cannot be
    /// calibrated.
    fn calibrate(&self, dir: &Path, file: &Path) -> Result<Option<Calibration>, TrainError> {
        let Scales::Calibrated = self.task.scales else { return Ok(None) };
        match std::fs::remove_file(file) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(TrainError::Io { file: file.to_owned(), source });
            }
            _ => {}
        }
        let texts = self.reader.sample(&self.task.files.data, CALIBRATED_ON)?;
        (self.told)(Told::Calibrating(texts.len()));
        match Task::open(dir, self.task.plan, texts).and_then(|task| calibrate(task, &|_, _| ())) {
            Ok((_, found)) => {
                found.file.write(file)?;
                Ok(Some(found))
            }
            // It may be safe after training, or at other scales; weights are kept in any case.
            Err(error @ (RunError::Unsafe(_) | RunError::NoText)) => {
                (self.told)(Told::Uncalibrated(&TrainError::Calibration(Box::new(error))));
                Ok(None)
            }
            Err(error) => Err(TrainError::Calibration(Box::new(error))),
        }
    }
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
