//! A disk in memory that fails where a test wants it to, and forgets what real ones forget.

use super::storage::Storage;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A write of these many bytes, and no error.
    Short(usize),
    /// A write of these many bytes, and then there is no room.
    NoSpace(usize),
    /// Nothing was done. After a sync some of what was to be written is on the disk, and the system forgets that the rest is not.
    Broken(usize),
    /// A signal came first.
    Interrupted,
}

#[derive(Clone, Debug)]
enum Pending {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

/// One file and the disk below it.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What every program sees, once there is a file.
    pub seen: Option<Vec<u8>>,
    /// What is there after the power was lost.
    durable: Vec<u8>,
    named: bool,
    /// What was written or cut since the last sync.
    pending: Vec<Pending>,
    /// After how many more calls one fails, and how.
    pub fails: Option<(usize, Failure)>,
    /// How large the file may become.
    pub room: Option<usize>,
    pub calls: usize,
    pub syncs: usize,
}

impl Disk {
    fn call(&mut self) -> Option<Failure> {
        self.calls += 1;
        let (left, failure) = self.fails?;
        self.fails = (left > 0).then_some((left.saturating_sub(1), failure));
        (left == 0).then_some(failure)
    }

    /// A call that is done or not.
    fn plain(&mut self) -> io::Result<()> {
        match self.call() {
            Some(Failure::Broken(_)) => Err(io::Error::other("input/output error")),
            _ => Ok(()),
        }
    }

    fn apply(file: &mut Vec<u8>, pending: &Pending) {
        match pending {
            Pending::Truncate(size) => file.truncate(*size as usize),
            Pending::Write(offset, bytes) => {
                let (start, end) = (*offset as usize, *offset as usize + bytes.len());
                // What was forgotten before it is a hole.
                file.resize(file.len().max(end), 0);
                file[start..end].copy_from_slice(bytes);
            }
        }
    }

    /// Puts the first bytes of what is pending on the disk; how many bytes of the budget are left.
    fn persist(&mut self, mut budget: usize) -> usize {
        for pending in std::mem::take(&mut self.pending) {
            match pending {
                Pending::Write(offset, bytes) => {
                    let kept = bytes.len().min(budget);
                    budget -= kept;
                    if kept > 0 {
                        Self::apply(&mut self.durable, &Pending::Write(offset, bytes[..kept].to_vec()));
                    }
                    if kept < bytes.len() {
                        return 0;
                    }
                }
                cut @ Pending::Truncate(_) => Self::apply(&mut self.durable, &cut),
            }
        }
        budget
    }

    /// How many bytes are pending.
    pub(super) fn unsynced(&self) -> usize {
        self.pending.iter().map(|pending| if let Pending::Write(_, bytes) = pending { bytes.len() } else { 0 }).sum()
    }

    /// Keeps what was synced and the first bytes of the rest; the sector in which they end may have anything behind them.
    pub(super) fn lose_power(&mut self, kept: usize, garbage: &[u8]) {
        let before = self.durable.len();
        self.persist(kept);
        let room = self.durable.len().next_multiple_of(SECTOR) - self.durable.len();
        if self.durable.len() > before {
            self.durable.extend(garbage.iter().cycle().take(if garbage.is_empty() { 0 } else { room }));
        }
        self.seen = self.named.then(|| self.durable.clone());
        self.fails = None;
    }
}

/// A handle of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Simulated(pub Rc<RefCell<Disk>>);

impl Simulated {
    /// A disk with a file of these bytes.
    pub(super) fn holding(bytes: &[u8]) -> Self {
        let disk = Disk { seen: Some(bytes.to_vec()), durable: bytes.to_vec(), named: true, ..Disk::default() };
        Self(Rc::new(RefCell::new(disk)))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.borrow().seen.clone().unwrap_or_default()
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for Simulated {
    fn create(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.plain()?;
        if disk.seen.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.seen = Some(Vec::new());
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.plain()?;
        disk.seen.as_ref().map(drop).ok_or_else(missing)
    }

    fn size(&mut self) -> io::Result<u64> {
        let mut disk = self.0.borrow_mut();
        disk.plain()?;
        disk.seen.as_ref().map(|seen| seen.len() as u64).ok_or_else(missing)
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        let most = match disk.call() {
            Some(Failure::Broken(_)) => return Err(io::Error::other("input/output error")),
            Some(Failure::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Failure::Short(bytes)) => bytes.max(1),
            _ => usize::MAX,
        };
        let seen = disk.seen.as_ref().ok_or_else(missing)?;
        let rest = seen.get(offset as usize..).unwrap_or_default();
        let read = rest.len().min(into.len()).min(most);
        into[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.borrow_mut();
        let no_space = || io::Error::from(io::ErrorKind::StorageFull);
        let (most, then) = match disk.call() {
            Some(Failure::Broken(_)) => return Err(io::Error::other("input/output error")),
            Some(Failure::Interrupted) => return Err(io::ErrorKind::Interrupted.into()),
            Some(Failure::Short(most)) => (most, None),
            Some(Failure::NoSpace(most)) => (most, Some(no_space())),
            None => (usize::MAX, None),
        };
        let room = disk.room.map_or(usize::MAX, |room| room.saturating_sub(offset as usize));
        let written = bytes.len().min(most).min(room);
        let write = Pending::Write(offset, bytes[..written].to_vec());
        Disk::apply(disk.seen.as_mut().ok_or_else(missing)?, &write);
        disk.pending.push(write);
        match then {
            Some(error) => Err(error),
            None if written == 0 && !bytes.is_empty() && room == 0 => Err(no_space()),
            None => Ok(written),
        }
    }

    fn truncate(&mut self, size: u64) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.plain()?;
        let cut = Pending::Truncate(size);
        Disk::apply(disk.seen.as_mut().ok_or_else(missing)?, &cut);
        disk.pending.push(cut);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.syncs += 1;
        if let Some(Failure::Broken(kept)) = disk.call() {
            disk.persist(kept);
            return Err(io::Error::other("input/output error"));
        }
        disk.persist(usize::MAX);
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.plain()?;
        disk.named = true;
        Ok(())
    }
}
