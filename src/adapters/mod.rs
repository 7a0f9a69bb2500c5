//! Everything that speaks a protocol: one folder a system, registered in [`ADAPTERS`].

#[cfg(any(feature = "mqtt", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod backlog;
#[cfg(any(feature = "mqtt", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod bounds;
#[cfg(any(feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod fit;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
#[cfg(feature = "redis")]
pub mod redis;
pub mod reopen;
pub(crate) mod room;
pub mod session;
#[cfg(any(feature = "kafka", feature = "mqtt", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod tls;
pub mod token_source;
pub mod wirelog;

use crate::config::profile::Integration;
use crate::config::rules::Rule;
use crate::config::system::Check;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::OperationSpec;
use futures::future::BoxFuture;
use session::Session;
use wirelog::WireLog;

/// One system that mqdeck speaks: the only row that a new adapter adds.
pub struct Adapter {
    /// The `type` of an integration: `kafka`.
    pub name: &'static str,
    /// The system's name as people write it.
    pub title: &'static str,
    /// URL schemes with their default port.
    pub schemes: &'static [(&'static str, u16)],
    /// What its `config` block may hold; `None` where names are librdkafka's, which `check` knows.
    pub settings: Option<&'static [Rule]>,
    /// Checks a setting that no table has.
    pub check: Option<Check>,
    /// The types of log-in that it has, as the `auth` block writes them.
    pub log_ins: &'static [&'static str],
    /// The kinds of channel that it has, as addresses write them; the first is what a bare name means, if that is one kind. Handles are
    /// given what the address says, `stream:ORDERS` or a bare name. The adapter itself names a channel in one way only, in lists and
    /// in messages: by its kind where the bare name would be read otherwise, and as `domain::address` escapes it.
    pub kinds: &'static [&'static str],
    /// What can be done to it, in the order of a menu; one server may offer less.
    pub operations: &'static [&'static OperationSpec],
    /// Connects and proves it by a first answer. Requests and answers go to the log, a line each.
    pub connect: fn(Integration, WireLog) -> BoxFuture<'static, Result<Session, Fault>>,
}

impl Adapter {
    /// Connects with a log-in that the system has. Profiles and URLs are checked when they are read; an integration that was made in
    /// another way must not be connected as nobody.
    pub async fn open(&self, integration: Integration, log: WireLog) -> Result<Session, Fault> {
        if !integration.auth.types().iter().any(|name| self.log_ins.contains(name)) {
            let cause = format!("{} has no log-in of this type", self.title);
            let fault = Fault::new(Kind::Usage, "connect to", &*integration.name, cause);
            return Err(fault.next(format!("it has: {}", self.log_ins.join(", "))));
        }
        (self.connect)(integration, log).await
    }
}

/// Every adapter of this build.
pub const ADAPTERS: &[Adapter] = &[
    #[cfg(feature = "kafka")]
    kafka::ADAPTER,
    #[cfg(feature = "rabbitmq")]
    rabbitmq::ADAPTER,
    #[cfg(feature = "nats")]
    nats::ADAPTER,
    #[cfg(feature = "mqtt")]
    mqtt::ADAPTER,
    #[cfg(feature = "redis")]
    redis::ADAPTER,
    memory::ADAPTER,
];

/// The adapter of that name.
pub fn find(name: &str) -> Option<&'static Adapter> {
    ADAPTERS.iter().find(|adapter| adapter.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::{Auth, ScramMechanism};
    use crate::config::secret::Secret;
    use crate::domain::operation::Target;
    use std::collections::BTreeMap;
    use std::mem::discriminant;

    /// Two words of small letters with a point between them.
    fn is_id(id: &str) -> bool {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        id.split_once('.').is_some_and(|(noun, verb)| word(noun) && word(verb))
    }

    #[tokio::test]
    async fn nobody_is_connected_by_a_log_in_that_the_system_does_not_have() {
        let scram = || Auth::Scram { mechanism: ScramMechanism::Sha256, username: "a".into(), password: Secret::new("b".into()) };
        for adapter in ADAPTERS.iter().filter(|adapter| !adapter.log_ins.contains(&"scram")) {
            let mut integration = Integration::new("it", adapter.name, vec!["127.0.0.1:1".to_owned()]);
            integration.auth = scram();
            let fault = adapter.open(integration, WireLog::default()).await.err().expect("refused");
            assert_eq!(fault.kind, Kind::Usage, "{fault}");
            assert!(fault.cause.as_str().ends_with("has no log-in of this type"), "{fault}");
        }
    }

    #[test]
    fn every_operation_says_what_it_is_about_what_is_done_and_to_what() {
        let mut known = BTreeMap::new();
        for adapter in ADAPTERS {
            for (at, spec) in adapter.operations.iter().enumerate() {
                let (id, system) = (spec.id, adapter.name);
                assert!(is_id(id), "{system}: {id}");
                assert!(!adapter.operations[..at].iter().any(|before| before.id == id), "{system}: {id} twice");
                let is_right = |on: &Target| discriminant(on) == discriminant(&spec.on);
                assert!(is_right(known.entry(id).or_insert(spec.on)), "{system}: {id} is done to something else than in another system");
                if let Target::Channel(kinds) = spec.on {
                    assert!(!kinds.is_empty(), "{system}: {id} does not say to which kinds of channel");
                    let strange: Vec<_> = kinds.iter().filter(|kind| !adapter.kinds.contains(kind)).collect();
                    assert!(strange.is_empty(), "{system}: {id} is for {strange:?}, which the system does not have");
                }
            }
        }
    }
}
