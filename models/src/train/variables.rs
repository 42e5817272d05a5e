//! A checkpoint's tensors as variables.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use ditto_core::Settings;
use ditto_core::error::{Error, Result};
use ditto_core::fixed::Fixed;
use ditto_core::nn::{Tensor as Typed, WeightSource};
use ditto_core::tensor::Shape;
use safetensors::tensor::{Dtype, TensorView};

use super::TrainError;
use super::engine::{Numbers, Train};
use super::rounding::round;
use super::value::{Matrix, Value, failed};
use crate::architecture::PublicHead;
use crate::checkpoint::Checkpoint;
use crate::quantization::for_each_tensor;
use crate::weights::ModelFloats;

/// The file of weights.
const WEIGHTS: &str = "model.safetensors";
/// Names that old checkpoints have in place of today's.
const OLD_NAMES: [(&str, &str); 2] =
    [("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")];

/// The float tensors of a checkpoint, under the names that it has for them, as variables of training.
#[derive(Debug)]
pub struct Variables {
    checkpoint: Checkpoint,
    head: PublicHead,
    device: Device,
    all: BTreeMap<String, Var>,
}

impl Variables {
    /// Reads all tensors of a checkpoint whose head is known.
    pub fn open(dir: &Path, head: PublicHead, device: &Device) -> std::result::Result<Self, TrainError> {
        let checkpoint = Checkpoint::open(dir)?;
        let mut all = BTreeMap::new();
        for_each_tensor(&checkpoint, |name, shape, values| {
            let var = Var::from_slice(values, shape, device)?;
            all.insert(today(name), var);
            Ok::<_, TrainError>(())
        })?;
        Ok(Self { checkpoint, head, device: device.clone(), all })
    }

    /// Where they are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// All of them, by the checkpoint's names, in alphabetical order.
    pub fn all(&self) -> &BTreeMap<String, Var> {
        &self.all
    }

    /// The checkpoint that they came from.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// A tensor by the checkpoint's name.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let missing =
            || Error::Weight { name: name.to_owned(), what: "it is not in the checkpoint".to_owned() };
        Ok(self.all.get(name).ok_or_else(missing)?.as_tensor().clone())
    }

    /// The checkpoint's name of a tensor of the model.
    pub(super) fn stored_name(&self, name: &str) -> String {
        self.floats().stored(name).name
    }

    /// Changes a tensor of the model that is stored as a whole; a matrix is [outputs, inputs] for `f`.
    pub(super) fn change(
        &self,
        name: &str,
        f: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> std::result::Result<(), TrainError> {
        let stored = self.floats().stored(name);
        let changed = f(&self.matrix(name)?)?;
        let changed = if stored.transposed && changed.rank() == 2 { changed.t()? } else { changed };
        if let Some(var) = self.all.get(&stored.name) {
            var.set(&changed.contiguous()?)?;
        }
        Ok(())
    }

    /// The numbers of a tensor of the model that is stored as a whole; a matrix is [outputs, inputs].
    pub(super) fn matrix(&self, name: &str) -> std::result::Result<Tensor, TrainError> {
        let stored = self.floats().stored(name);
        let whole = self.get(&stored.name)?.detach();
        Ok(if stored.transposed && whole.rank() == 2 { whole.t()?.contiguous()? } else { whole })
    }

    fn floats(&self) -> ModelFloats<'_> {
        ModelFloats::new(&self.checkpoint, &self.head)
    }

    /// Reads the numbers of all variables from a file that [`Self::write`] wrote.
    pub fn restore(&self, file: &Path) -> std::result::Result<(), TrainError> {
        let mut stored = candle_core::safetensors::load(file, &self.device)?;
        for (name, var) in &self.all {
            let tensor = stored.remove(name).ok_or_else(|| TrainError::Resume {
                file: file.to_owned(),
                what: format!("it has no tensor `{name}`"),
            })?;
            var.set(&tensor)?;
        }
        Ok(())
    }

    /// Writes them as the weights of a checkpoint, in f32, or in half as many bytes as f16.
    pub fn write(&self, file: &Path, half: bool) -> std::result::Result<(), TrainError> {
        let tensors = self.all.iter().map(|(name, var)| (name.as_str(), var.as_tensor()));
        write_tensors(file, tensors, half)
    }

    /// Writes them as `model.safetensors` into a checkpoint's directory.
    pub fn write_to(&self, dir: &Path, half: bool) -> std::result::Result<(), TrainError> {
        self.write(&dir.join(WEIGHTS), half)
    }
}

/// Writes tensors as a safetensors file, whole or not at all.
pub(super) fn write_tensors<'a>(
    file: &Path,
    tensors: impl Iterator<Item = (&'a str, &'a Tensor)>,
    half: bool,
) -> std::result::Result<(), TrainError> {
    let dtype = if half { Dtype::F16 } else { Dtype::F32 };
    let bytes = |tensor: &Tensor| -> candle_core::Result<Vec<u8>> {
        let numbers = tensor.detach().flatten_all()?.to_vec1::<f32>()?;
        Ok(if half {
            numbers.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect()
        } else {
            numbers.iter().flat_map(|v| v.to_le_bytes()).collect()
        })
    };
    let stored = tensors.map(|(name, tensor)| Ok((name, tensor.dims().to_vec(), bytes(tensor)?)));
    let stored = stored.collect::<candle_core::Result<Vec<_>>>()?;
    let failed = |source| TrainError::Write { file: file.to_owned(), source };
    let views =
        stored.iter().map(|(name, dims, bytes)| Ok((*name, TensorView::new(dtype, dims.clone(), bytes)?)));
    let views = views.collect::<std::result::Result<Vec<_>, _>>().map_err(failed)?;
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize_to_file(views, Some(metadata), Path::new(&beside)).map_err(failed)?;
    std::fs::rename(&beside, file).map_err(|source| TrainError::Io { file: file.to_owned(), source })
}

/// A tensor's name as it is written today.
fn today(name: &str) -> String {
    let renamed = OLD_NAMES.iter().find_map(|(old, new)| Some(format!("{}{new}", name.strip_suffix(old)?)));
    renamed.unwrap_or_else(|| name.to_owned())
}

/// Gives the engine its weights: the variables, at the scales that are served.
pub(super) struct Source<'a> {
    pub(super) variables: &'a Variables,
    pub(super) settings: Arc<Settings>,
    pub(super) numbers: Numbers,
    pub(super) gradients: bool,
}

impl Source<'_> {
    /// A stored tensor or its part, scaled, in format `T`; and its exponent. A matrix is [inputs, outputs] then.
    fn served<T: Fixed>(&self, name: &str, scale: f64) -> Result<(Tensor, i32)> {
        let stored = self.variables.floats().stored(name);
        let exponent = self.settings.quantization.weight(name);
        let whole = self.variables.get(&stored.name)?;
        let whole = if self.gradients { whole } else { whole.detach() };
        let prepare = || -> candle_core::Result<Tensor> {
            let (part, of) = stored.part;
            let axis = if stored.transposed && whole.rank() == 2 { 1 } else { 0 };
            let mut t = whole.clone();
            if of > 1 {
                let extent = t.dim(axis)? / of;
                t = t.narrow(axis, part * extent, extent)?.contiguous()?;
            }
            if scale != 1.0 {
                t = t.affine(scale, 0.0)?;
            }
            if self.numbers == Numbers::Served {
                t = round(&t, T::F as i32 - exponent)?;
            }
            // Vectors have no sides.
            if t.rank() == 2 && !stored.transposed { t.t() } else { Ok(t) }
        };
        Ok((prepare().map_err(failed("a weight"))?, exponent))
    }
}

impl WeightSource<Train> for Source<'_> {
    fn matrix<T: Fixed>(
        &self,
        name: &str,
        inputs: usize,
        outputs: usize,
        scale: f64,
    ) -> Result<(Matrix, i32)> {
        let (tensor, exponent) = self.served::<T>(name, scale)?;
        if tensor.dims() != [inputs, outputs] {
            let what = format!("its shape is {:?}, not [{inputs}, {outputs}]", tensor.dims());
            return Err(Error::Weight { name: name.to_owned(), what });
        }
        Ok((Matrix { tensor, fraction: T::F as i32 - exponent }, exponent))
    }
    fn tensor<T: Fixed>(&self, name: &str, shape: &Shape, scale: f64) -> Result<Typed<Train, T>> {
        let (tensor, exponent) = self.served::<T>(name, scale)?;
        let mut dims = vec![1];
        dims.extend(shape.dims());
        let tensor = tensor.reshape(dims).map_err(failed("a weight"))?;
        Ok(Typed::with_exponent(Value::new(tensor, T::F as i32 - exponent, T::K), exponent))
    }
}
