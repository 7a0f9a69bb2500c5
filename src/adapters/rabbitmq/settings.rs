//! What a profile's `config` block says for RabbitMQ: seed 1's names, and ours.

use super::topology::Topology;
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::suggest;

/// The settings that a `config` block may have. `connection.…` is as seed 1 writes them.
const NAMES: &[&str] =
    &["vhost", "management_url", "heartbeat", "connection.heartbeat", "channel_max", "connection.channel_max", "prefetch"];
/// Messages that are held unsettled at once unless somebody says otherwise (seed 1).
const PREFETCH: u16 = 10;
/// Seconds between two signs of life. Seed 1 has 60; a server that stopped without a word is then missed after two minutes, so we ask for
/// less unless the profile says how much.
const HEARTBEAT: u16 = 10;

/// The settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) vhost: String,
    pub(super) management: ManagementSaid,
    /// Seconds; 0 is none.
    pub(super) heartbeat: u16,
    pub(super) channel_max: Option<u16>,
    pub(super) prefetch: u16,
    /// What `declare_tenant_queue` makes.
    pub(super) topology: Topology,
}

/// Where the management API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ManagementSaid {
    /// Not said: the usual port beside AMQP's.
    Usual,
    /// One URL, or those of a cluster's nodes with commas between them.
    At(Vec<String>),
    /// `management_url = "none"`.
    None,
}

impl Settings {
    pub(super) fn of(integration: &Integration) -> Result<Self, Fault> {
        let wrong = |cause: String, next: String| Fault::new(Kind::Usage, "read settings of", &*integration.name, cause).next(next);
        let known = |name: &str| NAMES.contains(&name) || Topology::knows(name);
        if let Some((name, setting)) = integration.settings.iter().find(|(name, _)| !known(name)) {
            let near = suggest::hint(name, NAMES.iter().copied());
            let next = if near.is_empty() { format!("it has: {}", NAMES.join(", ")) } else { near };
            return Err(wrong(format!("RabbitMQ has no setting `{name}` (line {})", setting.line), next));
        }
        let text = |name: &str| integration.settings.get(name).map(|setting| setting.value.expose().to_owned());
        let number = |names: &[&str], most: u32| -> Result<Option<u32>, Fault> {
            let Some((name, setting)) = names.iter().find_map(|name| Some((name, integration.settings.get(*name)?))) else {
                return Ok(None);
            };
            let read = setting.value.expose().parse().ok().filter(|n| *n <= most);
            read.map(Some).ok_or_else(|| {
                wrong(format!("`{name}` is not a number from 0 to {most} (line {})", setting.line), format!("write {name} = 10"))
            })
        };
        let word = |name: &str, usual: &str| text(name).unwrap_or_else(|| usual.to_owned());
        let management = match text("management_url") {
            None => ManagementSaid::Usual,
            Some(said) if said == "none" => ManagementSaid::None,
            Some(urls) => ManagementSaid::At(urls.split(',').map(base).collect::<Option<_>>().ok_or_else(|| {
                wrong(
                    "`management_url` is not a URL".into(),
                    "write management_url = \"http://host:15672\", several with commas between them, or \"none\"".into(),
                )
            })?),
        };
        let vhost = word("vhost", "/");
        if vhost.len() > 255 {
            return Err(wrong("`vhost` is longer than 255 bytes".into(), "check it".into()));
        }
        let short = u32::from(u16::MAX);
        let narrow = |n: Option<u32>| n.and_then(|n| u16::try_from(n).ok());
        Ok(Self {
            vhost,
            management,
            heartbeat: narrow(number(&["heartbeat", "connection.heartbeat"], short)?).unwrap_or(HEARTBEAT),
            channel_max: narrow(number(&["channel_max", "connection.channel_max"], short)?),
            prefetch: narrow(number(&["prefetch"], short)?).unwrap_or(PREFETCH).max(1),
            topology: Topology::of(integration)
                .map_err(|cause| wrong(cause, "write queues = [{ name = \"grey.tasks.{tenant}\", max_priority = 10 }]".into()))?,
        })
    }
}

/// The management API's address without what stands below it; `None` if it is no URL.
fn base(url: &str) -> Option<String> {
    let url = url.trim();
    let known = url.starts_with("http://") || url.starts_with("https://");
    known.then(|| url.trim_end_matches('/').trim_end_matches("/api").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::Setting;
    use crate::config::secret::Secret;

    fn settings(said: &[(&str, &str)]) -> Result<Settings, Fault> {
        let mut integration = Integration::new("rabbit", "rabbitmq", vec!["localhost:5672".into()]);
        for (name, value) in said {
            integration.settings.insert((*name).to_owned(), Setting { value: Secret::new((*value).to_owned()), line: 7 });
        }
        Settings::of(&integration)
    }

    #[test]
    fn settings_have_seed_1s_names_and_defaults() {
        let usual = settings(&[]).expect("settings");
        assert_eq!((usual.vhost.as_str(), usual.prefetch, usual.channel_max), ("/", 10, None));
        let said = settings(&[
            ("vhost", "tenant-a"),
            ("connection.heartbeat", "60"),
            ("connection.channel_max", "2047"),
            ("prefetch", "0"),
            ("management_url", "https://rabbit:15671/api/, http://other:15672"),
        ])
        .expect("settings");
        assert_eq!((said.vhost.as_str(), said.heartbeat, said.channel_max, said.prefetch), ("tenant-a", 60, Some(2047), 1));
        assert_eq!(said.management, ManagementSaid::At(vec!["https://rabbit:15671".into(), "http://other:15672".into()]));
    }

    #[test]
    fn a_wrong_setting_names_its_line() {
        for (name, value, words) in [
            ("vhosts", "x", "no setting `vhosts` (line 7)"),
            ("heartbeat", "soon", "`heartbeat` is not a number from 0 to 65535 (line 7)"),
            ("management_url", "localhost", "`management_url` is not a URL"),
            ("management_url", "http://one:15672,two", "`management_url` is not a URL"),
        ] {
            let fault = settings(&[(name, value)]).expect_err(name);
            assert!(fault.kind == Kind::Usage && fault.to_string().contains(words), "{fault}");
        }
    }
}
