//! One safetensors file: its header in memory, its tensors read from the disk when asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::CheckpointError;
use crate::files::{self, FileError};

/// The most bytes that a header may have. A BERT-large has less than 50 kB of it.
const MAX_HEADER: u64 = 16 << 20;

/// The bytes before the header: its length.
const LENGTH_BYTES: u64 = 8;

/// How much of a file is held while its numbers are converted.
const CHUNK: usize = 1 << 18;

/// One open safetensors file.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    /// Locked for a seek and the reads after it.
    file: Mutex<File>,
    /// Where the header ends; offsets of tensors count from here.
    data_start: u64,
    tensors: BTreeMap<String, TensorInfo>,
}

impl Shard {
    /// Opens a file, reads its header and checks that the tensors fill the rest of the file
    /// exactly, without gaps or overlaps.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let io = |source| CheckpointError::Io { file: path.to_owned(), source };
        let length =
            |what, expected, found| CheckpointError::Length { file: path.to_owned(), what, expected, found };
        let (mut file, found) = files::open(path).map_err(|e| file_error(path, "file", u64::MAX, e))?;
        if found < LENGTH_BYTES {
            return Err(length("the length of the header", LENGTH_BYTES, found));
        }
        let mut header_len = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut header_len).map_err(io)?;
        let header_len = u64::from_le_bytes(header_len);
        if header_len > MAX_HEADER {
            return Err(CheckpointError::TooLarge {
                file: path.to_owned(),
                what: "header",
                bytes: header_len,
                limit: MAX_HEADER,
            });
        }
        let data_start = LENGTH_BYTES + header_len;
        if data_start > found {
            return Err(length("the header", data_start, found));
        }
        let mut header = vec![0; header_len as usize];
        file.read_exact(&mut header).map_err(io)?;

        // The header's own checks: offsets in order, without gaps, each as long as shape and type say.
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|e| CheckpointError::Header { file: path.to_owned(), reason: e.to_string() })?;
        let expected = data_start.saturating_add(metadata.data_len() as u64);
        if expected != found {
            return Err(length("the header with its tensors", expected, found));
        }
        let tensors = metadata
            .offset_keys()
            .into_iter()
            .filter_map(|name| metadata.info(&name).cloned().map(|info| (name, info)))
            .collect();
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), data_start, tensors })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|info| info.shape.as_slice())
    }

    /// Reads a tensor that [`Shard::names`] lists, as f32.
    pub(super) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let Some(info) = self.tensors.get(name) else {
            return Err(CheckpointError::Missing {
                dir: self.path.clone(),
                tensor: name.to_owned(),
                near: Vec::new(),
            });
        };
        if info.shape != shape {
            return Err(CheckpointError::Shape {
                file: self.path.clone(),
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: info.shape.clone(),
            });
        }
        let (begin, end) = info.data_offsets;
        let values = match info.dtype {
            Dtype::F32 => self.read_as(begin, end, f32::from_le_bytes),
            Dtype::F16 => self.read_as(begin, end, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::BF16 => self.read_as(begin, end, |b| bf16::from_le_bytes(b).to_f32()),
            other => {
                return Err(CheckpointError::Dtype {
                    file: self.path.clone(),
                    tensor: name.to_owned(),
                    dtype: format!("{other:?}"),
                });
            }
        }
        .map_err(|source| CheckpointError::Io { file: self.path.clone(), source })?;
        if let Some(element) = values.iter().position(|v| !v.is_finite()) {
            return Err(CheckpointError::NotFinite {
                file: self.path.clone(),
                tensor: name.to_owned(),
                element,
                value: values[element],
            });
        }
        Ok(values)
    }

    /// Reads the bytes from `begin` to `end` of the data, a chunk at a time: besides the result,
    /// not even the bytes of one tensor are held.
    fn read_as<const N: usize>(
        &self,
        begin: usize,
        end: usize,
        convert: impl Fn([u8; N]) -> f32,
    ) -> io::Result<Vec<f32>> {
        let bytes = end - begin;
        let mut values = Vec::with_capacity(bytes / N);
        let mut chunk = vec![0; CHUNK.min(bytes)];
        // A panic while the lock was held leaves nothing behind that the seek does not mend.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.data_start + begin as u64))?;
        let mut left = bytes;
        while left > 0 {
            let part = &mut chunk[..CHUNK.min(left)];
            file.read_exact(part)?;
            let (numbers, _) = part.as_chunks::<N>();
            values.extend(numbers.iter().map(|&number| convert(number)));
            left -= part.len();
        }
        Ok(values)
    }
}

/// Names the file in an error of [`files`].
pub(super) fn file_error(path: &Path, what: &'static str, limit: u64, error: FileError) -> CheckpointError {
    let file = path.to_owned();
    match error {
        FileError::Io(source) => CheckpointError::Io { file, source },
        FileError::NotAFile => CheckpointError::NotAFile { file },
        FileError::TooLarge { bytes } => CheckpointError::TooLarge { file, what, bytes, limit },
    }
}
