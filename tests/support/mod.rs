//! What the tests stand on: real systems, the program itself, and a terminal to run it in.

#[cfg(any(feature = "kafka", feature = "mqtt", feature = "rabbitmq", feature = "redis"))]
pub(crate) mod clients;
#[cfg(feature = "kafka")]
pub(crate) mod commits;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(feature = "mqtt")]
pub(crate) mod mosquitto;
#[cfg(feature = "nats")]
pub(crate) mod nats;
#[cfg(feature = "nats")]
pub(crate) mod nats_operator;
pub(crate) mod offers;
#[cfg(feature = "kafka")]
pub(crate) mod processor;
pub(crate) mod program;
#[cfg(feature = "rabbitmq")]
pub(crate) mod rabbitmq;
#[cfg(feature = "redis")]
pub(crate) mod redis;
#[cfg(feature = "redis")]
pub(crate) mod resp;
pub(crate) mod server;
pub(crate) mod subjects;
pub(crate) mod terminal;
#[cfg(feature = "kafka")]
pub(crate) mod topics;

use mqdeck::domain::fault::Fault;
use mqdeck::gateway::hold::{HoldEvent, Tickets};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a test waits for what is sure to come. It is no promise of the program's: every wait ends with its event, and this is how
/// long the event may take on a machine that does something else at the same time. `MQDECK_TEST_PATIENCE=3` makes it three times as long.
pub(crate) const SOON: Duration = Duration::from_secs(60 * PATIENCE);

const PATIENCE: u64 = match option_env!("MQDECK_TEST_PATIENCE") {
    Some(text) => match u64::from_str_radix(text, 10) {
        Ok(factor) => factor,
        Err(_) => panic!("MQDECK_TEST_PATIENCE is a whole number"),
    },
    None => 1,
};

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A name that no other test and no other run uses: `orders.4711.3`.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Says that a system was not tested, and why. With `CI=true` this is a failure.
pub(crate) fn skip(system: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{system} is not there ({why}), and with CI=true nothing may be skipped");
    report(&format!("{system}: SKIPPED, {why}"));
}

/// Tells the run which system was used; shown once at its end.
pub(crate) fn report(line: &str) {
    let text = format!("{line}\n");
    match std::env::var_os("MQDECK_TEST_REPORT") {
        Some(path) => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the report can be written");
        }
        // Around the test runner's capture, which would hide it.
        None => std::io::stderr().write_all(text.as_bytes()).expect("standard error can be written"),
    }
}

/// Asks until it holds; panics when that takes longer than the limit.
#[cfg(any(feature = "nats", feature = "rabbitmq"))]
pub(crate) async fn until<T>(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| panic!("{what} did not come to hold within {limit:?}"))
}

/// Waits until a receiving goes on after its connection broke, or says why it does not.
pub(crate) async fn until_resumed(holding: &mut Tickets) -> Option<Result<(), Fault>> {
    Some(match holding.event().await? {
        HoldEvent::Resumed => Ok(()),
        HoldEvent::Interrupted { fault, .. } => Err(fault),
        HoldEvent::Message(delivery) => panic!("it was not interrupted: {delivery:?}"),
    })
}
