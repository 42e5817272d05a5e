//! Reading small files whole, with a limit on their size.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// What went wrong with a file, before the caller's error type names it.
#[derive(Debug)]
pub(crate) enum FileError {
    /// The system said no.
    Io(io::Error),
    /// A directory, a pipe or a device.
    NotAFile,
    /// Over the limit.
    TooLarge { bytes: u64 },
}

/// Opens a regular file, and says how long it is. A pipe would block for ever, so the kind of file
/// is looked at before it is opened. Links are followed: the hub's cache consists of them.
pub(crate) fn open(path: &Path) -> Result<(File, u64), FileError> {
    if !std::fs::metadata(path).map_err(FileError::Io)?.is_file() {
        return Err(FileError::NotAFile);
    }
    let file = File::open(path).map_err(FileError::Io)?;
    let bytes = file.metadata().map_err(FileError::Io)?.len();
    Ok((file, bytes))
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let (file, bytes) = open(path)?;
    if bytes > limit {
        return Err(FileError::TooLarge { bytes });
    }
    let mut content = Vec::new();
    // The file may grow while it is read, so the limit is held here as well.
    file.take(limit + 1).read_to_end(&mut content).map_err(FileError::Io)?;
    if content.len() as u64 > limit {
        return Err(FileError::TooLarge { bytes: content.len() as u64 });
    }
    Ok(content)
}
