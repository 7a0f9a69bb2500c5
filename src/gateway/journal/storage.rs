//! `Storage`: what a journal needs of a disk, and a file that has it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One file on a disk. Everything blocks.
pub trait Storage {
    /// Makes the file, which must not be there.
    fn create(&mut self) -> io::Result<()>;
    /// Opens the file that is there.
    fn open(&mut self) -> io::Result<()>;
    fn size(&mut self) -> io::Result<u64>;
    /// Reads at an offset; fewer bytes than there is room for where the file ends.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes at an offset: at the file's end, or over bytes that are there. It may write fewer than all.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts off what is behind this size.
    fn truncate(&mut self, size: u64) -> io::Result<()>;
    /// Returns when everything that was written is on the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Returns when the file's name is on the disk.
    fn sync_dir(&mut self) -> io::Result<()>;
}

/// A file, readable by its owner alone.
#[derive(Debug)]
pub struct DiskFile {
    path: PathBuf,
    writable: bool,
    file: Option<File>,
}

impl DiskFile {
    /// A file to write to.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), writable: true, file: None }
    }

    /// A file to read.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), writable: false, file: None }
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("the file is not open"))
    }
}

impl Storage for DiskFile {
    fn create(&mut self) -> io::Result<()> {
        self.file = Some(OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&self.path)?);
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        self.file = Some(OpenOptions::new().read(true).write(self.writable).open(&self.path)?);
        Ok(())
    }

    fn size(&mut self) -> io::Result<u64> {
        Ok(self.file()?.metadata()?.len())
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file()?.read_at(into, offset)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write_at(bytes, offset)
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        self.file()?.set_len(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}

/// Makes a folder that its owner alone may look into, and the folders above it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Reads until the room is filled or the file ends; how much that was.
pub(super) fn read_all(storage: &mut impl Storage, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match storage.read(offset + filled as u64, &mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes everything or fails; then a part of it may be there.
pub(super) fn write_all(storage: &mut impl Storage, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        match storage.write(offset + written as u64, &bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
