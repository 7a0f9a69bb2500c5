//! What the console knows of one integration: its connection, its channels and their rates.

use super::event::OpenedIntegration;
use super::screens::groups::watched::Watched;
use super::spark::{Shown, Spark};
use crate::domain::channel::Channel;
use crate::domain::fault::Fault;
use crate::domain::health::Link;
use crate::domain::operation::{OperationSpec, PublishSpec, Target};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A channel list older than this is shown with its age; a watched list is renewed well before.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// One integration of the open profile.
pub struct Integration {
    pub name: Arc<str>,
    pub label: SafeText,
    pub system: &'static str,
    pub endpoint: SafeText,
    pub link: Link,
    /// The latency as it is shown: it follows the measured one only when that is twice or half of it, so that an idle screen stays still.
    pub latency: Option<Duration>,
    /// `None` until the session is known.
    pub publishes: Option<Option<&'static PublishSpec>>,
    /// What can be done to it, in the order of a menu; `None` until the session is known.
    pub operations: Option<&'static [&'static OperationSpec]>,
    /// In the order of their names, the last list that was read.
    pub channels: Vec<Channel>,
    /// The names of `channels`, ready to be drawn, with the recent rates of each.
    pub shown: Vec<Shown>,
    /// When `channels` was read; `None`: never.
    pub listed_at: Option<Timestamp>,
    /// Why the last try to list failed.
    pub list_fault: Option<Fault>,
    /// Messages a second of all channels, if any is known.
    pub rate_in: Option<f64>,
    pub spark: Spark,
    pub groups: Watched,
}

impl Integration {
    /// Whether its system has groups, as far as is known.
    pub(super) fn has_groups(&self) -> bool {
        self.operations.is_none_or(|operations| operations.iter().any(|spec| spec.on == Target::Group))
    }

    pub fn new(opened: &OpenedIntegration) -> Self {
        Self {
            name: opened.name.clone(),
            label: SafeText::new(&opened.name),
            system: opened.system,
            endpoint: opened.endpoint.clone(),
            link: Link::Connecting,
            latency: None,
            publishes: None,
            operations: None,
            channels: Vec::new(),
            shown: Vec::new(),
            listed_at: None,
            list_fault: None,
            rate_in: None,
            spark: Spark::default(),
            groups: Watched::default(),
        }
    }

    /// Takes in the state of the connection; true if that changes the screen.
    pub fn linked(&mut self, link: Link) -> bool {
        let before = self.latency;
        if let Link::Up { latency } = &link {
            let steady = self.latency.is_some_and(|shown| *latency < shown * 2 && *latency * 2 > shown);
            if !steady {
                self.latency = Some(*latency);
            }
        } else {
            self.latency = None;
        }
        let same_kind = matches!((&self.link, &link), (Link::Up { .. }, Link::Up { .. }) | (Link::Connecting, Link::Connecting));
        self.link = link;
        !same_kind || before != self.latency
    }

    /// Takes in a channel list; true if that changes the screen.
    pub fn listed(&mut self, result: Result<Vec<Channel>, Fault>, now: Timestamp, stale: bool) -> bool {
        let channels = match result {
            Ok(channels) => channels,
            Err(fault) => {
                let new = self.list_fault.as_ref() != Some(&fault);
                self.list_fault = Some(fault);
                return new;
            }
        };
        let first = self.listed_at.is_none();
        self.listed_at = Some(now);
        let recovered = self.list_fault.take().is_some();
        let before = self.channels.iter().zip(std::mem::take(&mut self.shown)).map(|(channel, shown)| (&*channel.name, shown));
        self.shown = Shown::anew(before, channels.iter().map(|channel| (&*channel.name, channel.rate_in)));
        let rates: Vec<f64> = channels.iter().filter_map(|channel| channel.rate_in).collect();
        self.rate_in = (!rates.is_empty()).then(|| rates.iter().sum());
        if let Some(rate) = self.rate_in {
            self.spark.push(rate);
        }
        let still = self.rate_in.is_none_or(|rate| rate == 0.0) && self.spark.steps(super::spark::LENGTH).all(|s| s == 0);
        let changed = first || recovered || stale || !still || channels != self.channels;
        self.channels = channels;
        changed
    }

    /// A listed channel, by its address within.
    pub fn channel(&self, within: &str) -> Option<&Channel> {
        // The list is in the order of names.
        let find = |name: &str| self.channels.binary_search_by(|channel| (*channel.name).cmp(name)).ok();
        // A system of one kind lists bare names, whatever was typed.
        let bare = || {
            let (kind, name) = within.split_once(':')?;
            find(name).filter(|at| self.channels.get(*at).is_some_and(|channel| channel.kind == kind))
        };
        self.channels.get(find(within).or_else(bare)?)
    }

    /// Whether the list is older than it should be.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.listed_at.is_some_and(|at| now.since(at) >= STALE_AFTER)
    }

    /// Where it stands in a list that shows what is wrong first.
    pub fn order(&self) -> u8 {
        match (&self.link, &self.list_fault) {
            (Link::Down { .. }, _) => 0,
            (Link::Up { .. }, Some(_)) => 1,
            (Link::Connecting, _) => 2,
            (Link::Up { .. }, None) => 3,
        }
    }
}
