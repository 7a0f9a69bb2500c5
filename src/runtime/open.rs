//! From a name, a path or a URL to an opened profile; and what the console is told about it.

use crate::adapters::{self, ADAPTERS};
use crate::app::event::{Opened, OpenedIntegration, ProfileEntry};
use crate::config;
use crate::config::load::{Context, Loaded, System};
use crate::config::profile::{Integration, Profile};
use crate::config::store::{self, Store};
use crate::demo::Demo;
use crate::domain::fault::{Fault, Kind};
use crate::domain::text::SafeText;
use crate::gateway::{Access, Gateway};
use std::path::Path;

/// Knows where profiles live and which values their variables have.
#[derive(Clone, Default)]
pub struct Opener {
    /// For whom profiles are opened.
    pub access: Access,
    /// `--var name=value`.
    pub variables: Vec<(String, String)>,
}

impl Opener {
    /// The profiles of the configuration folder, each with what is wrong with it.
    pub(super) fn list(&self) -> Vec<ProfileEntry> {
        let Ok(store) = Store::open(&environment) else { return Vec::new() };
        store.list().into_iter().map(|entry| self.entry(&entry.name, &entry.path)).collect()
    }

    fn entry(&self, name: &str, path: &Path) -> ProfileEntry {
        let (integrations, fault) = match self.load(path) {
            Ok(loaded) => (loaded.profile.integrations.iter().map(summary).collect(), None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        ProfileEntry { name: name.into(), path: path.to_string_lossy().into(), integrations, fault }
    }

    /// Reads a profile by its name or path.
    pub fn path(&self, given: &str) -> Result<Profile, Fault> {
        let loaded = self.load(&Store::open(&environment)?.find(given)?)?;
        loaded.stranger.map_or(Ok(loaded.profile), Err)
    }

    /// Makes a profile of a URL.
    pub fn url(&self, url: &str) -> Result<Profile, Fault> {
        if let Some((name, _)) = self.variables.first() {
            let cause = "a URL has no variables: --var fills in those of a profile";
            return Err(Fault::new(Kind::Usage, "read --var", name.as_str(), cause).next("leave --var out, or name a --profile"));
        }
        config::url::from_url(url, &systems())
    }

    /// Reads a profile's file with this opener's variables.
    pub fn load(&self, path: &Path) -> Result<Loaded, Fault> {
        let systems = systems();
        let context = Context { systems: &systems, env: &environment, vars: &self.variables };
        Ok(store::load(path, context)?)
    }
}

/// The systems of this build, as profiles need to know them.
pub fn systems() -> Vec<System> {
    ADAPTERS.iter().map(|adapter| System { name: adapter.name, schemes: adapter.schemes }).collect()
}

/// An environment variable, if it is set and text.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn summary(integration: &Integration) -> SafeText {
    format!("{} {}", integration.system, integration.endpoint.addresses.first().map_or("", String::as_str)).into()
}

/// What the console shows of an opened profile.
pub(super) fn describe(gateway: &Gateway, demo: Option<&Demo>) -> Opened {
    let profile = &gateway.profile;
    Opened {
        name: (&*profile.name).into(),
        options: options(profile),
        demo: demo.is_some(),
        safety: gateway.safety,
        unverified_tls: profile.integrations.iter().any(|i| i.endpoint.tls.as_ref().is_some_and(|tls| !tls.verify_server)),
        integrations: profile.integrations.iter().map(integration).collect(),
        show: demo.map(Demo::show),
    }
}

/// What opens the same profile from a shell, as far as no secret is needed for it.
fn options(profile: &Profile) -> Vec<String> {
    let url = || Some(("--url", profile.integrations.first()?.url.clone()?));
    let file =
        profile.path.as_ref().map(|path| ("--profile", std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()));
    file.or_else(url).map_or_else(Vec::new, |(option, value)| vec![option.to_owned(), value])
}

fn integration(integration: &Integration) -> OpenedIntegration {
    OpenedIntegration {
        name: integration.name.clone(),
        system: adapters::find(&integration.system).map_or("unknown", |adapter| adapter.title),
        endpoint: integration.endpoint.addresses.first().map_or("", String::as_str).into(),
    }
}
