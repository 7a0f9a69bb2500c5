//! `Decoders`: what reads the payloads of each channel of an integration, by its profile.

use crate::config::profile::Integration;
use crate::wire::decoder::Decoder;
use std::sync::Arc;

/// The decoders of an integration's channels. Looked up for each message: nothing is made or counted by that.
#[derive(Debug, Default)]
pub struct Decoders {
    /// `None` where nothing is said of any channel.
    integration: Option<Arc<Integration>>,
    /// One for each pattern of the integration.
    of_pattern: Vec<Decoder>,
    other: Decoder,
}

impl Decoders {
    pub(super) fn new(integration: &Arc<Integration>) -> Self {
        let patterns = &integration.channels;
        Self {
            integration: patterns.iter().any(|pattern| !pattern.prefer.is_empty()).then(|| integration.clone()),
            of_pattern: patterns.iter().map(|pattern| Decoder::new(&pattern.prefer)).collect(),
            other: Decoder::default(),
        }
    }

    /// What reads the payloads of a channel: by the first pattern that names it and says how.
    pub fn of(&self, channel: &str) -> &Decoder {
        let pattern = self.integration.as_ref().and_then(|integration| integration.preferring(channel));
        pattern.and_then(|at| self.of_pattern.get(at)).unwrap_or(&self.other)
    }
}
