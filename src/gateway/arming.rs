//! Arming: the timed permission to change what must not be changed by accident. It lives here, so that the console, the commands
//! and whoever else uses the gateway share one rule; every change of it is audited.

use super::Gateway;
use super::audit::Phase;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::Risk;
use crate::domain::safety::Gate;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the audit log calls it.
const ARM: &str = "arm";

/// Whether a gateway is armed. Dropping it disarms.
#[derive(Default)]
pub(super) struct Arming {
    state: Arc<Mutex<Option<Armed>>>,
}

/// Armed until then; without an end until the gateway is closed.
struct Armed {
    end: Option<End>,
    /// Disarms when the time is over.
    timer: Option<JoinHandle<()>>,
}

/// The end by two clocks, of which the first to get there counts: a machine that slept must not wake up armed, and a wall clock that
/// is set back must not make it last longer.
#[derive(Clone, Copy)]
struct End {
    steady: Instant,
    wall: Timestamp,
}

impl End {
    fn after(time: Duration) -> Self {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self { steady: Instant::now() + time, wall: Timestamp(wall().0.saturating_add(millis)) }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.steady || wall() >= self.wall
    }
}

impl Gateway {
    /// Arms the profile, whose name must have been typed as it is shown: for that long, or until the gateway is closed. Returns
    /// when it ends. Arming what is armed starts the time anew.
    ///
    /// # Errors
    /// A profile that is read-only cannot be armed; another name is refused; that it was armed could not be written down.
    pub fn arm(&self, typed: &str, time: Option<Duration>) -> Result<Option<Timestamp>, Fault> {
        let name = SafeText::new(&self.profile.name);
        let refused = |cause: String, next: String| {
            self.record(ARM, None, Phase::Refused, json!({ "cause": cause }));
            Fault::new(Kind::Forbidden, "arm", name.clone(), cause).next(next)
        };
        if self.safety.is_read_only() {
            let next = if self.profile.safety.is_read_only() { "its safety block says so" } else { "start without --read-only" };
            return Err(refused("this profile is open for reading only".to_owned(), next.to_owned()));
        }
        if typed.trim() != name.as_str() {
            return Err(refused(format!("`{}` is not this profile's name", SafeText::new(typed)), format!("its name is {name}")));
        }
        let end = time.map(End::after);
        let armed = json!({ "state": "armed", "seconds": time.map(|time| time.as_secs()) });
        self.audit.record(self.entry(ARM, None, Phase::Done, armed))?;
        let timer = end.map(|end| {
            let (state, audit) = (Arc::downgrade(&self.arming.state), self.audit.clone());
            let over = self.entry(ARM, None, Phase::Done, json!({ "state": "disarmed", "cause": "time is up" }));
            tokio::spawn(async move {
                tokio::time::sleep_until(end.steady).await;
                if let Some(state) = state.upgrade()
                    && lock(&state).take().is_some()
                    && let Err(fault) = audit.record(over)
                {
                    tracing::error!(%fault, "audit");
                }
            })
        });
        self.arming.replace(Some(Armed { end, timer }));
        Ok(end.map(|end| end.wall))
    }

    /// Disarms the profile; nothing if it was not armed.
    pub fn disarm(&self) {
        if self.arming.replace(None) {
            self.record(ARM, None, Phase::Done, json!({ "state": "disarmed" }));
        }
    }

    /// Whether the profile is armed now.
    pub fn is_armed(&self) -> bool {
        lock(&self.arming.state).as_ref().is_some_and(|armed| !armed.end.is_some_and(End::is_over))
    }

    /// Whether an operation of that risk may be carried out now.
    pub fn gate(&self, risk: Risk) -> Gate {
        self.safety.gate(risk, self.is_armed())
    }
}

impl Arming {
    /// Puts another state in place of the old one, whose timer ends; true if that was armed.
    fn replace(&self, new: Option<Armed>) -> bool {
        let old = std::mem::replace(&mut *lock(&self.state), new);
        if let Some(timer) = old.as_ref().and_then(|old| old.timer.as_ref()) {
            timer.abort();
        }
        old.is_some()
    }
}

impl Drop for Arming {
    fn drop(&mut self) {
        self.replace(None);
    }
}

fn lock(state: &Mutex<Option<Armed>>) -> MutexGuard<'_, Option<Armed>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::{Integration, Profile};
    use crate::domain::address::Address;
    use crate::domain::message::Outgoing;
    use crate::domain::operation::{Plan, Request};
    use crate::domain::safety::{Mode, Safety};

    const PRODUCTION: Safety = Safety { mode: Mode::Confirm, production: true, arm_for: Duration::from_secs(300) };

    fn gateway(safety: Safety, read_only: bool) -> Gateway {
        let memory = Integration::new("events", "memory", Vec::new()).with_settings(0, &[("topics", "orders:2")]);
        Gateway::open(Profile { name: "prod\u{202e}".into(), path: None, safety, integrations: vec![memory] }, read_only)
    }

    fn message() -> Plan {
        Plan::Publish { address: Address::new("events", "orders"), messages: vec![Outgoing::default()] }
    }

    async fn delete(gateway: &Gateway) -> Plan {
        let address = Address::new("events", "orders");
        let spec = gateway.operation(&address, "topic.delete").await.expect("the operation");
        let request = Request { spec, address, arguments: Vec::new() };
        Plan::Change(Arc::new(gateway.plan(request).await.expect("a plan")))
    }

    #[tokio::test(start_paused = true)]
    async fn an_unarmed_production_profile_refuses_every_plan_and_hands_out_no_writing_handle() {
        let gateway = gateway(PRODUCTION, false);
        for plan in [message(), delete(&gateway).await] {
            let fault = gateway.execute(plan).await.expect_err("not armed");
            assert!(fault.kind == Kind::Forbidden && fault.to_string().contains("not armed"), "{fault}");
            assert!(fault.next.as_str().contains("--arm prod‹U+202E›"), "{fault}");
        }
        // What was begun for reading changes nothing, whatever asks it to.
        let reading = gateway.reading("events").await.expect("a session");
        let publish = reading.publish.expect("the system can publish");
        assert_eq!(publish.publish("orders", Outgoing::default()).await.expect_err("refused").kind, Kind::Forbidden);
        assert_eq!(gateway.channels("events").await.expect("channels").len(), 1);
        gateway.arm("prod‹U+202E›", None).expect("armed");
        for plan in [message(), delete(&gateway).await] {
            gateway.execute(plan).await.expect("armed");
        }
        assert_eq!(gateway.channels("events").await.expect("channels").len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_destroys_needs_an_armed_profile_everywhere() {
        let gateway = gateway(Safety { mode: Mode::Open, ..Safety::default() }, false);
        gateway.execute(message()).await.expect("nothing is taken away");
        let plan = delete(&gateway).await;
        assert_eq!(gateway.execute(plan.clone()).await.expect_err("not armed").kind, Kind::Forbidden);
        gateway.arm("prod‹U+202E›", None).expect("armed");
        gateway.execute(plan).await.expect("armed");
    }

    #[tokio::test(start_paused = true)]
    async fn arming_ends_by_itself_and_by_hand_and_may_be_renewed() {
        let gateway = gateway(PRODUCTION, false);
        let time = Duration::from_secs(300);
        gateway.arm("prod‹U+202E›", Some(time)).expect("armed");
        tokio::time::advance(Duration::from_secs(200)).await;
        gateway.arm("prod‹U+202E›", Some(time)).expect("armed anew");
        tokio::time::advance(Duration::from_secs(299)).await;
        assert!(gateway.is_armed());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!gateway.is_armed());
        gateway.execute(message()).await.expect_err("the time was over");
        gateway.arm("prod‹U+202E›", Some(time)).expect("armed");
        gateway.disarm();
        assert!(!gateway.is_armed());
    }

    #[tokio::test]
    async fn only_its_own_name_arms_a_profile_and_nothing_a_read_only_one() {
        let gateway_ = gateway(PRODUCTION, false);
        for name in ["", "prod", "PROD‹U+202E›", "events", "y"] {
            assert!(gateway_.arm(name, None).is_err() && !gateway_.is_armed(), "{name}");
        }
        for closed in [gateway(PRODUCTION.read_only(), false), gateway(PRODUCTION, true)] {
            assert_eq!(closed.arm("prod‹U+202E›", None).expect_err("read-only").kind, Kind::Forbidden);
            assert_eq!(closed.execute(message()).await.expect_err("read-only").kind, Kind::Forbidden);
            assert!(!closed.operations("events").await.expect("what there would be").is_empty());
        }
    }
}
