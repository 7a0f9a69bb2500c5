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
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Knows where profiles live and which values their variables have.
#[derive(Clone, Default)]
pub struct Opener {
    /// For whom profiles are opened.
    pub access: Access,
    /// `--var name=value`.
    pub variables: Vec<(String, String)>,
    /// The environment variables that profiles were filled with, secrets among them.
    pub(super) filled_in: Arc<Mutex<BTreeSet<String>>>,
}

/// Variables that every program needs, whatever a profile fills in from them.
const NEEDED: &[&str] = &["HOME", "PATH", "TERM", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "DISPLAY"];

impl Opener {
    /// For this access, with the values of `--var name=value`.
    pub fn new(access: Access, variables: Vec<(String, String)>) -> Self {
        Self { access, variables, filled_in: Arc::default() }
    }

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

    /// What a program that we start is not given: it may hand its environment on.
    pub(super) fn withheld(&self) -> Vec<String> {
        self.filled_in.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reads a profile's file with this opener's variables.
    pub fn load(&self, path: &Path) -> Result<Loaded, Fault> {
        let systems = systems();
        let env = |name: &str| {
            if !NEEDED.contains(&name) {
                self.filled_in.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
            }
            environment(name)
        };
        let context = Context { systems: &systems, env: &env, vars: &self.variables };
        Ok(store::load(path, context)?)
    }
}

/// The systems of this build, as profiles need to know them.
pub fn systems() -> Vec<System> {
    let system = |adapter: &adapters::Adapter| System {
        name: adapter.name,
        title: adapter.title,
        schemes: adapter.schemes,
        settings: adapter.settings,
        check: adapter.check,
        log_ins: Some(adapter.log_ins),
    };
    ADAPTERS.iter().map(system).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_is_filled_with_is_withheld_from_programs_that_we_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.hcl");
        let text = "integration \"a\" {\n  type = \"memory\"\n  config {\n    topics = \"${env.MQDECK_TEST_SECRET}\"\n    services = env.HOME\n  }\n}\n";
        std::fs::write(&path, text).expect("a profile");
        let opener = Opener::default();
        // Whether it is set or not, and whatever is wrong with the rest.
        let _ = opener.clone().load(&path);
        assert_eq!(opener.withheld(), ["MQDECK_TEST_SECRET"]);
        let command = crate::runtime::export::editor_command("vi", &["-R"], &opener.withheld());
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert_eq!(removed, ["MQDECK_TEST_SECRET"]);
    }
}
