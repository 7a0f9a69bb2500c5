//! The demo of a build without any adapter that can embed its system: it says so.

use crate::config::profile::Profile;
use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};

/// Never made.
pub enum Demo {}

impl Demo {
    #[expect(clippy::unused_async, reason = "the same function as in a build that can embed a system")]
    pub async fn start() -> Result<Self, Fault> {
        Err(Fault::new(Kind::Usage, "start", "demo", "this build has no system to embed").next("build it with the feature kafka"))
    }

    pub fn profile(&self) -> Profile {
        match *self {}
    }

    pub fn profile_hcl(&self) -> String {
        match *self {}
    }

    pub fn show(&self) -> Address {
        match *self {}
    }

    pub fn end(self) {
        match self {}
    }
}
