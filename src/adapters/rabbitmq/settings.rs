//! What a profile's `config` block says for RabbitMQ: seed 1's names, and ours.

use super::topology::Topology;
use crate::config::profile::Integration;
use crate::config::rules::{self, Rule, Takes};
use crate::domain::fault::Fault;

const SHORT: Takes = Takes::Number(0, u16::MAX as u64);

/// What may stand in the block. `connection.…` is as seed 1 writes them.
pub(super) const RULES: &[Rule] = &[
    Rule::new("vhost", Takes::Checked(is_vhost)),
    Rule::new("management_url", Takes::Checked(is_management)),
    Rule::new("heartbeat", SHORT),
    Rule::new("connection.heartbeat", SHORT),
    Rule::new("channel_max", SHORT),
    Rule::new("connection.channel_max", SHORT),
    Rule::new("prefetch", SHORT),
    Rule::new("exchanges.*.name", Takes::Text),
    Rule::new("exchanges.*.type", Takes::Text),
    Rule::new("exchanges.*.durable", Takes::Flag),
    Rule::new("queues.*.name", Takes::Text),
    Rule::new("queues.*.type", Takes::Text),
    Rule::new("queues.*.durable", Takes::Flag),
    Rule::new("queues.*.max_priority", Takes::Number(0, u8::MAX as u64)),
    Rule::new("queues.*.dead_letter_exchange", Takes::Text),
    Rule::new("queues.*.dead_letter_routing_key", Takes::Text),
    Rule::new("queues.*.message_ttl", Takes::Number(0, u32::MAX as u64)),
    Rule::new("queues.*.max_length", Takes::Number(0, u64::MAX)),
    Rule::new("queues.*.exchange", Takes::Text),
    Rule::new("queues.*.routing_key", Takes::Text),
];

fn is_vhost(text: &str) -> Result<(), &'static str> {
    if text.len() > 255 { Err("expected no more than 255 bytes") } else { Ok(()) }
}

fn is_management(text: &str) -> Result<(), &'static str> {
    let well = text == "none" || text.split(',').all(|url| base(url).is_some());
    if !well {
        return Err("expected \"http://host:15672\", several with commas between them, or \"none\"");
    }
    // Whoever it is for is said by the auth block.
    if text.contains('@') { Err("expected a URL without a user and a password: they belong into the auth block") } else { Ok(()) }
}

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
        rules::verify(integration, "RabbitMQ", RULES)?;
        let said = rules::Settings(&integration.settings);
        let management = match said.text("management_url") {
            None => ManagementSaid::Usual,
            Some("none") => ManagementSaid::None,
            Some(urls) => ManagementSaid::At(urls.split(',').filter_map(base).collect()),
        };
        Ok(Self {
            vhost: said.text("vhost").unwrap_or("/").to_owned(),
            management,
            heartbeat: said.number("heartbeat").or_else(|| said.number("connection.heartbeat")).unwrap_or(HEARTBEAT),
            channel_max: said.number("channel_max").or_else(|| said.number("connection.channel_max")),
            prefetch: said.number("prefetch").unwrap_or(PREFETCH).max(1),
            topology: Topology::of(&said),
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
    use crate::domain::fault::Kind;

    fn settings(said: &[(&str, &str)]) -> Result<Settings, Fault> {
        Settings::of(&Integration::new("rabbit", "rabbitmq", vec!["localhost:5672".into()]).with_settings(7, said))
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
            ("heartbeat", "soon", "`heartbeat`: expected a whole number from 0 to 65535 (line 7)"),
            ("management_url", "localhost", "`management_url`: expected"),
            ("management_url", "http://one:15672,two", "`management_url`: expected"),
            ("management_url", "http://u:hunter2@one:15672", "the auth block"),
            ("queues.0.durable", "maybe", "`queues.0.durable`: expected true or false (line 7)"),
        ] {
            let fault = settings(&[(name, value)]).expect_err(name);
            assert!(fault.kind == Kind::Usage && !fault.to_string().contains("hunter2") && fault.to_string().contains(words), "{fault}");
        }
    }
}
