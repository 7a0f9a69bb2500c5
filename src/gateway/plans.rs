//! Stored plans: what `--plan` has shown is kept for a day, and `--apply DIGEST` carries out exactly that, after looking again at what could
//! have made it wrong.

use super::Gateway;
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, Request, Risk};
use crate::domain::text::SafeText;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a plan is kept. What was planned longer ago was looked at by somebody who no longer remembers it.
pub const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// What a file says it is.
const FORMAT: &str = "mqdeck-plan-1";

/// The folder of stored plans.
pub struct Plans {
    folder: PathBuf,
}

/// A request as files keep it.
#[derive(Debug, Deserialize, Serialize)]
struct Asked {
    operation: String,
    address: String,
    arguments: Vec<(String, String)>,
}

/// A plan as its file keeps it: what is carried out, and what was promised of it.
#[derive(Debug, Deserialize, Serialize)]
struct Stored {
    format: String,
    made: jiff::Timestamp,
    profile: String,
    request: Asked,
    risk: String,
    summary: String,
    /// Messages that it was to touch, and whether that was the exact number.
    touches: Option<u64>,
    exact: bool,
    steps: String,
    undo: Option<Asked>,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let (operation, address) = (request.spec.id.to_owned(), request.address.to_string());
        Self { operation, address, arguments: request.arguments.clone() }
    }

    async fn request(self, gateway: &Gateway) -> Result<Request, Fault> {
        let address: Address = self.address.parse().map_err(|cause: String| Fault::new(Kind::Usage, "read plan", &*self.address, cause))?;
        let address = gateway.resolve(&address)?;
        Ok(Request { spec: gateway.operation(&address, &self.operation).await?, address, arguments: self.arguments })
    }
}

impl Plans {
    /// Those in a state directory.
    pub fn within(state: &Path) -> Self {
        Self { folder: state.join("plans") }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }

    /// Keeps a plan of a gateway's profile, readable by its owner alone, and forgets those that are too old.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn store(&self, gateway: &Gateway, change: &Change) -> Result<(), Fault> {
        let stored = Stored {
            format: FORMAT.to_owned(),
            made: jiff::Timestamp::now(),
            profile: gateway.profile.name.to_string(),
            request: Asked::of(&change.request),
            risk: change.risk.word().to_owned(),
            summary: change.summary.to_string(),
            touches: change.touches.number(),
            exact: matches!(change.touches, Amount::Exactly(_)),
            steps: change.steps.to_string(),
            undo: change.undo.as_ref().map(Asked::of),
        };
        let path = self.path(&change.digest());
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            self.forget_old();
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
            file.write_all(serde_json::to_string_pretty(&stored)?.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| {
            let fault = Fault::new(Kind::Rejected, "store plan", path.to_string_lossy().into_owned(), error.to_string());
            fault.next("without it --apply has nothing to carry out: make the state directory writable")
        })
    }

    /// The plan of that digest, if it is the same profile's and not too old.
    ///
    /// # Errors
    /// There is none, or what is there is not what was stored.
    pub async fn load(&self, gateway: &Gateway, digest: &str) -> Result<Change, Fault> {
        let unknown = |cause: String| {
            let fault = Fault::new(Kind::NotFound, "find plan", SafeText::new(digest), cause);
            fault.next("make it again with --plan; nothing was changed")
        };
        if digest.len() != 16 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown("this is not the digest of a plan: 16 hexadecimal digits".to_owned()));
        }
        let text = fs::read_to_string(self.path(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => unknown("there is no stored plan of this digest; plans are kept for 24 hours".to_owned()),
            _ => unknown(format!("it cannot be read: {error}")),
        })?;
        let stored: Stored = serde_json::from_str(&text).map_err(|error| unknown(format!("its file is damaged: {error}")))?;
        if stored.format != FORMAT {
            return Err(unknown("its file is of another version".to_owned()));
        }
        if stored.profile != *gateway.profile.name {
            return Err(unknown(format!("it was made with profile {}, and this is {}", stored.profile, gateway.profile.name)));
        }
        if jiff::Timestamp::now().duration_since(stored.made).unsigned_abs() > KEPT {
            return Err(unknown("it is older than 24 hours".to_owned()));
        }
        let risk = Risk::ALL.into_iter().find(|risk| risk.word() == stored.risk);
        let risk = risk.ok_or_else(|| unknown("its file is damaged: it has an unknown risk".to_owned()))?;
        let request = stored.request.request(gateway).await?;
        let undo = match stored.undo {
            Some(undo) => Some(undo.request(gateway).await?),
            None => None,
        };
        let touches = match (stored.touches, stored.exact) {
            (Some(number), true) => Amount::Exactly(number),
            (Some(number), false) => Amount::AtMost(number),
            (None, _) => Amount::Unknown,
        };
        let change = Change { risk, touches, undo, ..Change::new(request, stored.summary, stored.steps) };
        if change.digest() == digest { Ok(change) } else { Err(unknown("its file was changed after it was stored".to_owned())) }
    }

    /// Removes it: it was carried out, and must not be a second time.
    pub fn remove(&self, digest: &str) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Failing to remove one only means that it stays: it is refused for its age.
    fn forget_old(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > KEPT) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

impl Gateway {
    /// Looks again at what could have made a stored plan wrong: the operation may be refused by now, or it would do more than it promised.
    ///
    /// # Errors
    /// It must not be carried out as it stands; why.
    pub async fn recheck(&self, stored: &Change) -> Result<(), Fault> {
        let now = self.plan(stored.request.clone()).await?;
        if let Some(refused) = now.refused {
            return Err(refused);
        }
        if now.steps == stored.steps && now.touches == stored.touches {
            return Ok(());
        }
        // Steps that name the places up to which they go do no more than they say, whatever has come since.
        if now.bounded && now.risk <= stored.risk {
            return Ok(());
        }
        let cause = format!("something has changed since it was planned: planned now it {}", now.summary);
        let fault = Fault::new(Kind::Rejected, stored.request.spec.id, stored.request.address.to_string(), cause);
        Err(fault.next("nothing was changed: look at it again with --plan"))
    }
}

#[cfg(test)]
mod tests;
