//! The scales of a student in distillation.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use ditto_core::Settings;

use super::TrainError;
use super::data::Reader;
use super::trainer::Told;
use crate::calibrate::{Calibration, calibrate};
use crate::plan::Plan;
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

impl Scales {
    /// The scales before any calibration.
    pub(super) fn first(&self) -> Arc<Settings> {
        match self {
            Self::Calibrated => Arc::default(),
            Self::These(settings) => settings.clone(),
        }
    }
}

/// Fits scales to a student.
pub(super) struct Calibrator<'a> {
    pub(super) plan: Plan,
    pub(super) reader: &'a Reader<'a>,
    /// The file of texts.
    pub(super) data: &'a Path,
    pub(super) told: &'a dyn Fn(Told<'_>),
}

impl Calibrator<'_> {
    /// Calibrates the student in a directory and writes a file of its scales, or none if it cannot be calibrated.
    pub(super) fn calibrate(&self, dir: &Path, file: &Path) -> Result<Option<Calibration>, TrainError> {
        // Those of other weights would be wrong.
        match std::fs::remove_file(file) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(TrainError::Io { file: file.to_owned(), source });
            }
            _ => {}
        }
        let texts = self.reader.sample(self.data, CALIBRATED_ON)?;
        (self.told)(Told::Calibrating(texts.len()));
        match Task::open(dir, self.plan, texts).and_then(|task| calibrate(task, &|_, _| ())) {
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
