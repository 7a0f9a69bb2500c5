//! Rates from growth: how fast each channel's end moves between two looks at it, and what it has given out.

use crate::domain::channel::Channel;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks nearer to each other than this say nothing about a rate; the last one is kept.
const SHORTEST: Duration = Duration::from_millis(500);

/// The last look at each channel, by integration.
#[derive(Default)]
pub(super) struct Rates(HashMap<Arc<str>, HashMap<Arc<str>, Looks>>);

/// At a channel's end, and at what it has given out.
struct Looks {
    ends: Option<Look>,
    given: Option<Look>,
}

#[derive(Clone, Copy)]
struct Look {
    count: u64,
    at: Instant,
    rate: Option<f64>,
}

impl Rates {
    /// Fills in `rate_in` and `rate_out` where a channel's counts are known now and were at the last look. Forgets channels that are gone.
    pub(super) fn apply(&mut self, integration: &str, at: Instant, channels: &mut [Channel]) {
        let mut before = self.0.remove(integration).unwrap_or_default();
        let mut after = HashMap::with_capacity(channels.len());
        for channel in channels {
            let known = before.remove(&channel.name);
            let at = channel.counted.unwrap_or(at);
            let looks = Looks {
                ends: channel.ends.map(|count| Look::next(known.as_ref().and_then(|looks| looks.ends), count, at)),
                given: channel.given.map(|count| Look::next(known.as_ref().and_then(|looks| looks.given), count, at)),
            };
            // A system that has no such count may tell the rate itself.
            channel.rate_in = looks.ends.map_or(channel.rate_in, |look| look.rate);
            channel.rate_out = looks.given.map_or(channel.rate_out, |look| look.rate);
            after.insert(channel.name.clone(), looks);
        }
        self.0.insert(integration.into(), after);
    }
}

impl Look {
    fn next(before: Option<Self>, count: u64, at: Instant) -> Self {
        match before {
            Some(look) if at.duration_since(look.at) < SHORTEST => look,
            // A count that moved back means that what it counts was made anew: no rate yet.
            Some(look) if count >= look.count => {
                Self { count, at, rate: Some((count - look.count) as f64 / at.duration_since(look.at).as_secs_f64()) }
            }
            _ => Self { count, at, rate: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(ends: Option<u64>) -> Channel {
        Channel { ends, ..Channel::named("orders", "topic") }
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

    #[test]
    fn a_count_that_was_seen_before_says_nothing_new() {
        let start = Instant::now();
        let mut rates = Rates::default();
        let mut look = |seconds: u64, ends, counted| {
            let counted = Some(start + Duration::from_secs(counted));
            let mut channels = [Channel { counted, ..channel(Some(ends)) }];
            rates.apply("events", start + Duration::from_secs(seconds), &mut channels);
            channels[0].rate_in
        };
        assert_eq!(look(0, 100, 0), None);
        assert_eq!(look(10, 200, 10), Some(10.0));
        assert_eq!(look(20, 200, 10), Some(10.0), "not 0: it was not looked at again");
        assert_eq!(look(30, 600, 30), Some(20.0));
    }

    #[test]
    fn each_direction_has_its_own_count_and_a_rate_that_the_system_tells_stays() {
        let start = Instant::now();
        let mut rates = Rates::default();
        let mut look = |seconds: u64, given, told| {
            let mut channels = [Channel { given, rate_in: told, ..channel(None) }];
            rates.apply("events", start + Duration::from_secs(seconds), &mut channels);
            (channels[0].rate_in, channels[0].rate_out)
        };
        assert_eq!(look(0, Some(10), Some(7.0)), (Some(7.0), None));
        assert_eq!(look(2, Some(30), Some(8.0)), (Some(8.0), Some(10.0)));
        assert_eq!(look(4, None, None), (None, None));
    }
}
