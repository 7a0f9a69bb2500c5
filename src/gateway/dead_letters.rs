//! Dead letters of an integration: the channels in which they lie, by the profile, by the system's own topology and by their names, and what
//! will lose them.

pub mod failures;

use super::Gateway;
use crate::config::dialect::DeadLetterPlace;
use crate::domain::address::Address;
use crate::domain::channel::Channel;
use crate::domain::dead_letter::finding::Finding;
use crate::domain::dead_letter::name;
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Path, PlaceKind, Target};
use crate::domain::fault::Fault;
use crate::domain::figure::Amount;
use crate::domain::text::SafeText;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// What is known of the dead letters of one integration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetters {
    /// Where they lie, in the order of the names.
    pub channels: Vec<DeadLetterChannel>,
    /// The way that messages take when they fail, as the system itself is configured.
    pub paths: Vec<Path>,
    /// What will lose letters, or may, the worst first.
    pub findings: Vec<Finding>,
    /// What could not be read: there may be more of all this.
    pub gaps: Vec<Fault>,
    pub notes: Vec<SafeText>,
}

/// A channel in which dead letters lie, or a place that the system itself makes of other things.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterChannel {
    /// Its row of the list; of a place, its name and how many letters are there.
    pub channel: Channel,
    pub found_by: FoundBy,
    /// Where its letters come from, as far as that is known without looking at them, and who failed there.
    pub from: Vec<Source>,
    /// Set where the letters are worked out from something else than the channel's own messages.
    pub place: Option<PlaceKind>,
}

/// By what it is known that a channel holds dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundBy {
    /// A `dead_letters` block.
    Profile,
    /// The system sends dead letters there.
    Topology,
    /// Its name alone.
    Name,
}

impl FoundBy {
    pub fn word(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Topology => "topology",
            Self::Name => "name",
        }
    }
}

/// Where letters come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    pub address: Address,
    pub group: Option<Arc<str>>,
}

impl Gateway {
    /// Finds where dead letters lie in an integration, and what will lose them. `window` is how long a letter has to stay, so that whoever
    /// is on call finds it; without it the profile's, else the usual one.
    ///
    /// # Errors
    /// The integration is not there, or its channels cannot be listed. What else could not be read is in `gaps`.
    pub async fn dead_letters(&self, integration: &str, window: Option<Duration>) -> Result<DeadLetters, Fault> {
        let session = self.reading(integration).await?;
        let listed = self.channels(integration).await?;
        let declared = self.profile.dead_letters();
        let blocks: Vec<&DeadLetterPlace> = declared.places.iter().filter(|place| *place.channel.integration == *integration).collect();
        let mut found =
            Found { integration, rows: listed.iter().map(|channel| (channel.name.clone(), channel)).collect(), channels: BTreeMap::new() };
        for block in &blocks {
            let name = self.named(&block.channel)?;
            let missing = if found.rows.contains_key(&name) { None } else { session.inspect.describe(&name).await.err() };
            let letters = found.add(&name, FoundBy::Profile);
            letters.channel.fault = letters.channel.fault.take().or(missing);
            let group = block.consumer.clone();
            letters.from.extend(block.origin.iter().map(|origin| Source { address: origin.clone(), group: group.clone() }));
        }
        self.add_by_name(&listed, &mut found)?;
        let usual = Assumptions::default();
        let assumed = Assumptions {
            channels: found.channels.keys().cloned().collect(),
            deliveries: blocks.iter().filter_map(|block| block.max_deliveries).min().unwrap_or(usual.deliveries),
            window: window.or_else(|| blocks.iter().filter_map(|block| block.within).max()).unwrap_or(usual.window),
        };
        let map = match session.dead_letters {
            Some(handle) => {
                handle.map(&assumed).await.unwrap_or_else(|fault| DeadLetterMap { gaps: vec![fault], ..DeadLetterMap::default() })
            }
            None => DeadLetterMap::default(),
        };
        for path in &map.paths {
            found.add_target(path);
        }
        let channels = found.channels.into_values().map(DeadLetterChannel::sorted).collect();
        let DeadLetterMap { paths, findings, gaps, notes } = map;
        Ok(DeadLetters { channels, paths, findings, gaps, notes })
    }

    /// Channels that keep messages and are called as such channels are. What is left of the name is where they come from, if that is there.
    fn add_by_name(&self, listed: &[Channel], found: &mut Found<'_>) -> Result<(), Fault> {
        let mut bare = HashMap::new();
        for channel in listed {
            let resolved = self.resolve(&Address::new(found.integration, &channel.name))?.channel;
            bare.entry(resolved.clone()).or_insert_with(|| channel.name.clone());
            let keeps = channel.can.history || channel.can.peek || channel.can.hold;
            if keeps && !channel.internal && name::rest_of_name(&resolved).is_some() {
                found.add(&channel.name, FoundBy::Name);
            }
        }
        for letters in found.channels.values_mut().filter(|letters| letters.from.is_empty()) {
            let resolved = self.resolve(&Address::new(found.integration, &letters.channel.name))?.channel;
            let origin = name::rest_of_name(&resolved).and_then(|rest| bare.get(rest));
            letters.from.extend(origin.map(|origin| Source { address: Address::new(found.integration, origin), group: None }));
        }
        Ok(())
    }
}

/// What was found so far.
struct Found<'a> {
    integration: &'a str,
    rows: HashMap<Arc<str>, &'a Channel>,
    channels: BTreeMap<Arc<str>, DeadLetterChannel>,
}

impl Found<'_> {
    /// The channel of that name; what found it first is what is said.
    fn add(&mut self, name: &Arc<str>, found_by: FoundBy) -> &mut DeadLetterChannel {
        let row = self.rows.get(name);
        self.channels.entry(name.clone()).or_insert_with(|| {
            let channel = row.map_or_else(|| Channel::named(name.clone(), ""), |row| (*row).clone());
            DeadLetterChannel { channel, found_by, from: Vec::new(), place: None }
        })
    }

    /// Where a path of the system ends.
    fn add_target(&mut self, path: &Path) {
        let source = Source { address: Address::new(self.integration, &path.from), group: path.group.clone() };
        let letters = match &path.to {
            Target::Channel(name) => self.add(name, FoundBy::Topology),
            Target::Place(place) => {
                let listed = self.rows.contains_key(&place.name);
                let letters = self.add(&place.name, FoundBy::Topology);
                letters.place = Some(place.kind);
                if !listed {
                    letters.channel.kind = place.kind.word();
                    letters.channel.depth = place.letters;
                }
                letters
            }
            Target::Nowhere(_) | Target::Unknown(_) => return,
        };
        // What the system does is sure; a name is a guess.
        if letters.found_by == FoundBy::Name {
            letters.found_by = FoundBy::Topology;
            letters.from.clear();
        }
        letters.from.push(source);
    }
}

impl DeadLetterChannel {
    fn sorted(mut self) -> Self {
        self.from.sort();
        self.from.dedup();
        self
    }

    /// Whether there are letters: unknown where nobody counts them.
    pub fn depth(&self) -> Amount {
        self.channel.depth
    }
}
