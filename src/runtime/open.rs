//! From a name, a path or a URL to an opened profile; and what the console is told about it.

use crate::adapters;
use crate::app::event::{Opened, OpenedIntegration, ProfileEntry};
use crate::config::profile::{Integration, Profile};
use crate::demo::Demo;
use crate::domain::fault::{Fault, Kind};

/// Knows where profiles live and which values their variables have.
#[derive(Clone, Default)]
pub struct Opener {
    /// `--read-only`.
    pub read_only: bool,
    /// `--var name=value`.
    pub variables: Vec<(String, String)>,
}

impl Opener {
    /// The profiles there are.
    pub(super) fn list(&self) -> Vec<ProfileEntry> {
        Vec::new()
    }

    /// Reads a profile by its name or path.
    pub fn path(&self, path: &str) -> Result<Profile, Fault> {
        Err(Fault::new(Kind::Usage, "open", path, "not built yet"))
    }

    /// Makes a profile of a URL.
    pub fn url(&self, url: &str) -> Result<Profile, Fault> {
        let rest = url.strip_prefix("kafka://").ok_or_else(|| Fault::new(Kind::Usage, "open", url, "not built yet"))?;
        let integration = Integration::new("events", "kafka", rest.split(',').map(ToOwned::to_owned).collect());
        Ok(Profile { name: rest.into(), path: None, read_only: false, integrations: vec![integration] })
    }
}

/// What the console shows of an opened profile.
pub(super) fn describe(profile: &Profile, read_only: bool, demo: Option<&Demo>) -> Opened {
    Opened {
        name: (&*profile.name).into(),
        demo: demo.is_some(),
        read_only,
        unverified_tls: profile.integrations.iter().any(|i| i.endpoint.tls.as_ref().is_some_and(|tls| !tls.verify_server)),
        integrations: profile.integrations.iter().map(integration).collect(),
        show: demo.map(Demo::show),
    }
}

fn integration(integration: &Integration) -> OpenedIntegration {
    OpenedIntegration {
        name: integration.name.clone(),
        system: adapters::find(&integration.system).map_or("unknown", |adapter| adapter.title),
        endpoint: integration.endpoint.addresses.first().map_or("", String::as_str).into(),
    }
}
