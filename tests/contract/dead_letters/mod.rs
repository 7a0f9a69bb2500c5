//! Where messages go that fail, as each real server is configured: whole maps of what another client has made, and the letters of places
//! that are no channels.

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "nats")]
mod nats;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
#[cfg(feature = "redis")]
mod redis;

use futures::StreamExt;
use mqdeck::adapters::session::Session;
use mqdeck::domain::dead_letter::place::{Assumptions, DeadLetterMap, Letter, Target};
use mqdeck::domain::fault::Fault;

/// The map of a session's system.
async fn map(session: &Session, assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
    session.dead_letters.as_ref().expect("the system has dead letters").map(assumed).await
}

/// The paths of a map, a line each.
fn paths(map: &DeadLetterMap) -> Vec<String> {
    let line = |path: &mqdeck::domain::dead_letter::place::Path| {
        let group = path.group.as_ref().map_or_else(String::new, |group| format!(" ({group})"));
        let to = match &path.to {
            Target::Channel(name) => name.to_string(),
            Target::Place(place) => format!("{} of {} [{}]", place.kind.word(), place.name, place.letters),
            Target::Nowhere(_) => "nowhere".to_owned(),
            Target::Unknown(_) => "unknown".to_owned(),
        };
        let by: Vec<String> = path.by.iter().map(|by| format!("{}={}", by.name, by.value)).collect();
        let certain = if path.certain { "" } else { " perhaps" };
        let lossy = if path.losses.is_empty() { "" } else { " lossy" };
        format!("{}{group} → {to}{certain}{lossy} when {} by {}", path.from, path.when.join(" "), by.join(" "))
    };
    map.paths.iter().map(line).collect()
}

/// The findings of a map, a line each.
fn findings(map: &DeadLetterMap) -> Vec<String> {
    let line = |finding: &mqdeck::domain::dead_letter::finding::Finding| {
        assert!(!finding.detail.as_str().is_empty(), "{finding:?}");
        let group = finding.group.as_ref().map_or_else(String::new, |group| format!(" ({group})"));
        let others: String = finding.others.iter().map(|other| format!(" with {other}")).collect();
        format!("{}: {} {}{group}{others}", finding.kind.severity.word(), finding.kind.id, finding.channel)
    };
    map.findings.iter().map(line).collect()
}

/// What cannot be known, by what it is about.
fn gaps(map: &DeadLetterMap) -> Vec<String> {
    map.gaps.iter().map(|gap| gap.target.to_string()).collect()
}

/// All letters of a place, and what could not be read.
async fn letters(session: &Session, place: &str, assumed: &Assumptions) -> (Vec<Letter>, Vec<Fault>) {
    let dead_letters = session.dead_letters.as_ref().expect("the system has dead letters");
    let mut batches = dead_letters.letters(place, assumed).await.unwrap_or_else(|fault| panic!("{fault}"));
    let (mut letters, mut faults) = (Vec::new(), Vec::new());
    while let Some(batch) = batches.next().await {
        match batch {
            Ok(batch) => letters.extend(batch),
            Err(fault) => faults.push(fault),
        }
    }
    (letters, faults)
}
