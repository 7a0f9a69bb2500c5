//! Rates from growth: how fast each channel's end moves between two looks at it.

use crate::domain::channel::Channel;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks nearer to each other than this say nothing about a rate; the last one is kept.
const SHORTEST: Duration = Duration::from_millis(500);

/// The last look at each channel, by integration.
#[derive(Default)]
pub(super) struct Rates(HashMap<Arc<str>, HashMap<Arc<str>, Look>>);

struct Look {
    ends: u64,
    at: Instant,
    rate: Option<f64>,
}

impl Rates {
    /// Fills in `rate_in` where a channel's end is known now and was at the last look. Forgets channels that are gone.
    pub(super) fn apply(&mut self, integration: &str, at: Instant, channels: &mut [Channel]) {
        let mut before = self.0.remove(integration).unwrap_or_default();
        let mut after = HashMap::with_capacity(channels.len());
        for channel in channels {
            let Some(ends) = channel.ends else { continue };
            let look = match before.remove(&channel.name) {
                Some(look) if at.duration_since(look.at) < SHORTEST => look,
                // An end that moved back means that the channel was made anew: no rate yet.
                Some(look) if ends >= look.ends => {
                    Look { ends, at, rate: Some((ends - look.ends) as f64 / at.duration_since(look.at).as_secs_f64()) }
                }
                _ => Look { ends, at, rate: None },
            };
            channel.rate_in = look.rate;
            after.insert(channel.name.clone(), look);
        }
        self.0.insert(integration.into(), after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::channel::Caps;
    use crate::domain::figure::Amount;

    fn channel(ends: Option<u64>) -> Channel {
        Channel {
            name: "orders".into(),
            kind: "topic",
            tenant: None,
            internal: false,
            can: Caps::default(),
            depth: Amount::Unknown,
            bytes: Amount::Unknown,
            ends,
            rate_in: None,
            parts: None,
            dead_letters_to: None,
            kept_by: None,
            attributes: Vec::new(),
            fault: None,
        }
    }

    #[test]
    fn a_rate_needs_two_looks_and_is_unknown_after_a_step_back() {
        let start = Instant::now();
        let mut rates = Rates::default();
        let mut look = |seconds: f64, ends| {
            let mut channels = [channel(ends)];
            rates.apply("events", start + Duration::from_secs_f64(seconds), &mut channels);
            channels[0].rate_in
        };
        assert_eq!(look(0.0, Some(100)), None);
        assert_eq!(look(2.0, Some(300)), Some(100.0));
        assert_eq!(look(2.1, Some(400)), Some(100.0), "too soon: the last rate stands");
        assert_eq!(look(4.0, Some(300)), Some(0.0), "idle is 0, not unknown");
        assert_eq!(look(6.0, Some(10)), None, "made anew");
        assert_eq!(look(8.0, None), None);
    }
}
