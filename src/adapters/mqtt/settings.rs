//! The settings of an integration: seed 5's `config` block and what mqdeck adds to it.

use super::topic;
use super::wire::{Packet, Qos, Version};
use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use crate::domain::time::parse_duration;
use std::time::Duration;

const OP: &str = "read settings of";
/// The client crate keeps alive no faster than this; the protocol's number has 16 bits.
const KEEP_ALIVE: std::ops::RangeInclusive<u64> = 5..=65_535;
/// Names that may stand in the block.
const NAMES: &[&str] = &[
    "version",
    "client_id",
    "keep_alive",
    "clean_session",
    "session_expiry",
    "qos",
    "username",
    "sys",
    "max_topics",
    "will.topic",
    "will.payload",
    "will.qos",
    "will.retain",
];

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

/// Reads single settings, and says which one is wrong.
struct Reading<'a>(&'a Integration);

impl Reading<'_> {
    fn wrong(&self, name: &str, cause: &str) -> Fault {
        let line = self.0.settings.get(name).map_or(0, |setting| setting.line);
        let place = if line > 0 { format!(" (line {line})") } else { String::new() };
        Fault::new(Kind::Usage, OP, &*self.0.name, format!("{name}{place}: {cause}"))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.settings.get(name).map(|setting| setting.value.expose())
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool, Fault> {
        match self.text(name) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(self.wrong(name, &format!("`{other}` is neither true nor false"))),
        }
    }

    fn qos(&self, name: &str) -> Result<Option<Qos>, Fault> {
        let read = |said| Qos::parse(said).ok_or_else(|| self.wrong(name, &format!("`{said}` is not 0, 1 or 2")));
        self.text(name).map(read).transpose()
    }

    fn duration(&self, name: &str, default: Duration) -> Result<Duration, Fault> {
        let Some(said) = self.text(name) else { return Ok(default) };
        let read = parse_duration(said).ok().and_then(|duration| Duration::try_from(duration).ok());
        read.ok_or_else(|| self.wrong(name, &format!("`{said}` is not a duration: write 60s")))
    }

    fn keep_alive(&self) -> Result<Duration, Fault> {
        let read = self.duration("keep_alive", Duration::from_secs(60))?;
        let wrong = || self.wrong("keep_alive", &format!("it is {} to {} s", KEEP_ALIVE.start(), KEEP_ALIVE.end()));
        KEEP_ALIVE.contains(&read.as_secs()).then_some(read).ok_or_else(wrong)
    }

    fn version(&self) -> Result<Option<Version>, Fault> {
        match self.text("version") {
            None | Some("auto") => Ok(None),
            Some("5" | "5.0") => Ok(Some(Version::V5)),
            Some("3.1.1" | "3" | "4") => Ok(Some(Version::V3)),
            Some(other) => Err(self.wrong("version", &format!("`{other}` is not 5, 3.1.1 or auto"))),
        }
    }

    fn max_topics(&self) -> Result<usize, Fault> {
        let said = self.text("max_topics").unwrap_or("20000");
        let read = said.parse().ok().filter(|n| (1..=1_000_000).contains(n));
        read.ok_or_else(|| self.wrong("max_topics", &format!("`{said}` is not a number from 1 to 1,000,000")))
    }

    fn will(&self) -> Result<Option<Packet>, Fault> {
        let Some(topic) = self.text("will.topic") else { return Ok(None) };
        topic::check_topic(OP, topic)?;
        Ok(Some(Packet {
            topic: topic.to_owned(),
            payload: self.text("will.payload").unwrap_or_default().to_owned().into(),
            qos: self.qos("will.qos")?.unwrap_or_default(),
            retain: self.flag("will.retain", false)?,
            ..Packet::default()
        }))
    }
}

impl Settings {
    pub(super) fn of(integration: &Integration) -> Result<Self, Fault> {
        let read = Reading(integration);
        let known = |name: &str| NAMES.contains(&name) || name == "topics" || name.starts_with("topics.");
        if let Some(name) = integration.settings.keys().find(|name| !known(name)) {
            return Err(read.wrong(name, "there is no such setting").next(format!("it has: {}, topics", NAMES.join(", "))));
        }
        Ok(Self {
            version: read.version()?,
            client_id: read.text("client_id").unwrap_or("mqdeck").to_owned(),
            keep_alive: read.keep_alive()?,
            clean: read.flag("clean_session", true)?,
            session_expiry: read.duration("session_expiry", Duration::from_secs(3_600))?,
            qos: read.qos("qos")?,
            username: read.text("username").unwrap_or("mqdeck").to_owned(),
            sys: read.flag("sys", true)?,
            filters: filters(integration)?,
            max_topics: read.max_topics()?,
            will: read.will()?,
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
    use crate::config::profile::{ChannelPattern, Setting};
    use crate::config::secret::Secret;

    fn integration(settings: &[(&str, &str)], patterns: &[&str]) -> Integration {
        let mut integration = Integration::new("iot", "mqtt", vec!["localhost:1883".into()]);
        for (name, value) in settings {
            integration.settings.insert((*name).to_owned(), Setting { value: Secret::new((*value).to_owned()), line: 7 });
        }
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
            ("version", "4.2", "not 5, 3.1.1"),
            ("keep_alive", "1s", "5 to 65535 s"),
            ("keep_alive", "soon", "not a duration"),
            ("qos", "3", "not 0, 1 or 2"),
            ("clean_session", "maybe", "neither"),
            ("cleansession", "true", "no such setting"),
        ] {
            let fault = Settings::of(&integration(&[(name, value)], &[])).expect_err(value);
            assert!(fault.kind == Kind::Usage && fault.to_string().contains(word) && fault.to_string().contains("line 7"), "{fault}");
        }
    }
}
