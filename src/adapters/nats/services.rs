//! Services that answer `$SRV` (ADR-32): who they are, asked of all at once.

use super::link::{Link, is_nobody};
use crate::domain::fault::{Fault, Kind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long instances are waited for: nobody says how many there are.
const WAIT: Duration = Duration::from_millis(300);
/// How long nobody has answered before we stop.
const QUIET: Duration = Duration::from_millis(100);

/// One instance, as it tells of itself (`$SRV.INFO`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) version: String,
    pub(super) description: String,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) queue_group: String,
}

/// The instances of every service, or of one, by their names.
pub(super) async fn discover(link: &Link, name: Option<&str>) -> Result<BTreeMap<String, Vec<Instance>>, Fault> {
    const OP: &str = "discover services of";
    let subject = name.map_or_else(|| "$SRV.INFO".to_owned(), |name| format!("$SRV.INFO.{name}"));
    let asked = Instant::now();
    let mut inbox = link.ask(OP, &subject, &[], &[]).await?;
    let mut found: BTreeMap<String, Vec<Instance>> = BTreeMap::new();
    let mut limit = WAIT;
    loop {
        let msg = match inbox.next(OP, &subject, limit.min(WAIT.saturating_sub(asked.elapsed()))).await {
            Ok(msg) => msg,
            Err(fault) if fault.kind == Kind::Timeout => break,
            Err(fault) => return Err(fault),
        };
        if is_nobody(&msg) {
            break;
        }
        // Whoever subscribes to everything may answer anything.
        if let Ok(instance) = serde_json::from_slice::<Instance>(&msg.payload)
            && !instance.name.is_empty()
        {
            found.entry(instance.name.clone()).or_default().push(instance);
        }
        limit = QUIET;
    }
    for instances in found.values_mut() {
        instances.sort_by(|a, b| a.id.cmp(&b.id));
    }
    let instances: usize = found.values().map(Vec::len).sum();
    link.dial().log.record(&"all services".into(), subject, format!("{instances} instances"), asked.elapsed());
    Ok(found)
}
