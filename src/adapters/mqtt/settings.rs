//! The settings of an integration: seed 5's `config` block and what mqdeck adds to it.

use super::topic;
use super::wire::{Packet, Qos, Version};
use crate::config::profile::Integration;
use crate::config::rules::{self, Rule, Takes};
use crate::domain::fault::Fault;
use std::time::Duration;

const OP: &str = "read settings of";
const VERSIONS: &[&str] = &["auto", "5", "5.0", "3.1.1", "3", "4"];
const QOS: Takes = Takes::Word(&["0", "1", "2"]);

/// What may stand in the block.
pub(super) const RULES: &[Rule] = &[
    Rule::new("version", Takes::Word(VERSIONS)),
    Rule::new("client_id", Takes::Text),
    // The client crate keeps alive no faster; the protocol's number has 16 bits.
    Rule::new("keep_alive", Takes::Seconds(5, 65_535)),
    Rule::new("clean_session", Takes::Flag),
    Rule::new("session_expiry", Takes::Seconds(0, u32::MAX as u64)),
    Rule::new("qos", QOS),
    Rule::new("username", Takes::Text),
    Rule::new("sys", Takes::Flag),
    Rule::new("max_topics", Takes::Number(1, 1_000_000)),
    Rule::new("will.topic", Takes::Checked(is_topic)),
    Rule::new("will.payload", Takes::Text),
    Rule::new("will.qos", QOS),
    Rule::new("will.retain", Takes::Flag),
    Rule::new("topics", Takes::Checked(is_filter)),
    Rule::new("topics.*", Takes::Checked(is_filter)),
];

fn is_topic(text: &str) -> Result<(), &'static str> {
    topic::check_topic(OP, text).map_err(|_| "expected one topic: not empty, without `+`, `#` and $share")
}

fn is_filter(text: &str) -> Result<(), &'static str> {
    topic::check_filter(OP, text).map_err(|_| "expected a topic or a filter: `+` stands for one whole level, `#` for all that follow")
}

/// How an integration is spoken to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `None`: MQTT 5, and 3.1.1 where the broker does not speak it.
    pub(super) version: Option<Version>,
    /// What client ids begin with.
    pub(super) client_id: String,
    pub(super) keep_alive: Duration,
    /// Holding messages leaves no session behind.
    pub(super) clean: bool,
    /// How long the broker keeps a session that is not clean.
    pub(super) session_expiry: Duration,
    /// Of what is published unless said, and the highest of what is subscribed to; `None`: 1, and 2.
    pub(super) qos: Option<Qos>,
    /// The user's name beside a token.
    pub(super) username: String,
    /// What the broker publishes about itself is listened to as well.
    pub(super) sys: bool,
    /// What is listened to, so as to see which topics there are.
    pub(super) filters: Vec<String>,
    /// Topics remembered, at most.
    pub(super) max_topics: usize,
    pub(super) will: Option<Packet>,
}

impl Settings {
    pub(super) fn of(integration: &Integration) -> Result<Self, Fault> {
        rules::verify(integration, "MQTT", RULES)?;
        let said = rules::Settings(&integration.settings);
        let qos = |name| said.text(name).and_then(Qos::parse);
        let version = match said.text("version") {
            None | Some("auto") => None,
            Some("5" | "5.0") => Some(Version::V5),
            Some(_) => Some(Version::V3),
        };
        let will = said.text("will.topic").map(|topic| Packet {
            topic: topic.to_owned(),
            payload: said.text("will.payload").unwrap_or_default().to_owned().into(),
            qos: qos("will.qos").unwrap_or_default(),
            retain: said.flag("will.retain").unwrap_or(false),
            ..Packet::default()
        });
        Ok(Self {
            version,
            client_id: said.text("client_id").unwrap_or("mqdeck").to_owned(),
            keep_alive: said.duration("keep_alive").unwrap_or(Duration::from_secs(60)),
            clean: said.flag("clean_session").unwrap_or(true),
            session_expiry: said.duration("session_expiry").unwrap_or(Duration::from_secs(3_600)),
            qos: qos("qos"),
            username: said.text("username").unwrap_or("mqdeck").to_owned(),
            sys: said.flag("sys").unwrap_or(true),
            filters: filters(integration)?,
            max_topics: said.number("max_topics").unwrap_or(20_000),
            will,
        })
    }

    /// The `QoS` of what is published unless it says another.
    pub(super) fn publish_qos(&self) -> Qos {
        self.qos.unwrap_or(Qos::One)
    }

    /// The highest `QoS` of what is subscribed to: by default the one that a message was published with is seen.
    pub(super) fn subscribe_qos(&self) -> Qos {
        self.qos.unwrap_or(Qos::Two)
    }
}

/// What is listened to: `topics`, else the patterns of the profile's channels with their star as `#` or `+`, else everything.
fn filters(integration: &Integration) -> Result<Vec<String>, Fault> {
    let listed = integration.settings.iter().filter(|(name, _)| *name == "topics" || name.starts_with("topics."));
    let mut filters: Vec<String> = listed.map(|(_, setting)| setting.value.expose().to_owned()).collect();
    if filters.is_empty() {
        filters.extend(integration.channels.iter().map(|channel| filter_of(&channel.pattern)));
    }
    if filters.is_empty() {
        filters.push("#".to_owned());
    }
    for filter in &filters {
        topic::check_filter(OP, filter)?;
    }
    Ok(topic::without_covered(&filters))
}

/// A filter that has at least what a pattern with one `*` has: wildcards stand for whole levels.
fn filter_of(pattern: &str) -> String {
    let Some((before, after)) = pattern.split_once('*') else { return pattern.to_owned() };
    let start = before.rsplit_once('/').map_or("", |(levels, _)| levels);
    match (start, after) {
        ("", _) if !before.contains('/') => "#".to_owned(),
        // The star may stand for several levels.
        (start, _) => format!("{start}/#"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::ChannelPattern;
    use crate::domain::fault::Kind;

    fn integration(settings: &[(&str, &str)], patterns: &[&str]) -> Integration {
        let mut integration = Integration::new("iot", "mqtt", vec!["localhost:1883".into()]).with_settings(7, settings);
        integration.channels =
            patterns.iter().map(|pattern| ChannelPattern { pattern: (*pattern).to_owned(), ..ChannelPattern::default() }).collect();
        integration
    }

    #[test]
    fn seed_5s_settings_are_read_and_the_rest_has_defaults() {
        let seed = [("client_id", "nemo-1"), ("keep_alive", "60s"), ("clean_session", "true"), ("qos", "1")];
        let settings = Settings::of(&integration(&seed, &[])).expect("settings");
        assert_eq!((settings.client_id.as_str(), settings.keep_alive.as_secs(), settings.clean), ("nemo-1", 60, true));
        assert_eq!((settings.publish_qos(), settings.subscribe_qos(), settings.version), (Qos::One, Qos::One, None));
        let plain = Settings::of(&integration(&[], &[])).expect("settings");
        assert_eq!((plain.publish_qos(), plain.subscribe_qos(), plain.filters), (Qos::One, Qos::Two, vec!["#".to_owned()]));
    }

    #[test]
    fn what_is_listened_to_is_what_the_profile_names() {
        let filters = |settings: &[(&str, &str)], patterns: &[&str]| {
            Settings::of(&integration(settings, patterns)).expect("settings").filters.join(" ")
        };
        assert_eq!(filters(&[], &["site/*", "line"]), "site/# line");
        assert_eq!(filters(&[], &["site/press-*/state"]), "site/#");
        assert_eq!(filters(&[], &["press*"]), "#");
        assert_eq!(filters(&[("topics.0", "a/+/b"), ("topics.1", "c/#")], &["site/*"]), "a/+/b c/#");
    }

    #[test]
    fn a_wrong_setting_is_told_with_its_line() {
        for (name, value, word) in [
            ("version", "4.2", "`3.1.1`"),
            ("keep_alive", "1s", "from 5 to 65535 seconds"),
            ("keep_alive", "soon", "a duration"),
            ("qos", "3", "`0`, `1` or `2`"),
            ("clean_session", "maybe", "true or false"),
            ("cleansession", "true", "no setting `cleansession`"),
            ("will.topic", "a/#", "one topic"),
            ("topics.0", "a#", "a filter"),
        ] {
            let fault = Settings::of(&integration(&[(name, value)], &[])).expect_err(value);
            assert!(fault.kind == Kind::Usage && fault.to_string().contains(word) && fault.to_string().contains("line 7"), "{fault}");
        }
    }
}
