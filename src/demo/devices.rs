//! The demo's plant: machines that report over MQTT, say retained how they are, raise alarms, and answer commands.

use super::now;
use super::users::User;
use crate::config::profile::Integration;
use crate::domain::fault::Fault;
use crate::domain::message::{Header, Message, Outgoing};
use crate::domain::tail::TailEvent;
use bytes::Bytes;
use fastrand::Rng;
use futures::StreamExt;
use serde_json::json;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The integration's name in the demo's profile.
pub(super) const INTEGRATION: &str = "devices";
const TICK: Duration = Duration::from_millis(250);
/// Of the embedded broker, which says nothing of itself.
const SETTINGS: [(&str, &str); 3] = [("version", "5"), ("sys", "false"), ("qos", "1")];

const MACHINES: [(&str, &str); 6] =
    [("hall-1", "press-1"), ("hall-1", "press-2"), ("hall-1", "oven-1"), ("hall-2", "cnc-1"), ("hall-2", "cnc-2"), ("hall-2", "agv-7")];
const STATES: [&str; 4] = ["running", "running", "idle", "fault"];
const ALARMS: [&str; 4] = ["spindle temperature above 90 °C", "hydraulic pressure low", "door open", "battery at 8 %"];

/// How to reach the broker.
pub(super) fn integration(address: String) -> Integration {
    let mut integration = Integration::new(INTEGRATION, "mqtt", vec![address]).with_settings(0, &SETTINGS);
    integration.health.interval = Duration::from_secs(2);
    integration
}

/// The same as a block of a profile.
pub(super) fn block(address: &str) -> String {
    let settings = SETTINGS.map(|(name, value)| format!("    {name} = \"{value}\"\n")).concat();
    format!(
        "\nintegration \"{INTEGRATION}\" {{\n  type = \"mqtt\"\n\n  endpoint {{\n    address = \"{address}\"\n  }}\n\n  \
         health_check {{\n    interval = \"2s\"\n  }}\n\n  config {{\n{settings}  }}\n}}\n"
    )
}

/// Lets the machines begin, as soon as they are connected; they end when the set is dropped.
pub(super) fn start(address: String, rng: Rng, tasks: &mut JoinSet<()>) {
    tasks.spawn(async move {
        loop {
            if let Err(fault) = run(&address, rng.clone()).await {
                tracing::debug!(%fault, "the demo's machines wait");
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
}

async fn run(address: &str, mut rng: Rng) -> Result<(), Fault> {
    let user = User::connect(&integration(address.to_owned())).await?;
    // The commands of each machine, and `+` for the hall.
    let mut commands = user.gateway().tail(&[user.address("plant/+/+/cmd")]).await?;
    for machine in MACHINES {
        state(&user, machine, "running").await?;
    }
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => tick(&user, &mut rng).await?,
            event = commands.next() => match event {
                Some((_, TailEvent::Messages(messages))) => {
                    for message in messages {
                        answer(&user, &mut rng, message).await?;
                    }
                }
                Some(_) => {}
                None => return Ok(()),
            },
        }
    }
}

/// What the machines say in a quarter of a second.
async fn tick(user: &User, rng: &mut Rng) -> Result<(), Fault> {
    for _ in 0..rng.usize(2..6) {
        let (hall, machine) = MACHINES[rng.usize(..MACHINES.len())];
        let (what, unit, value) = match rng.u8(..3) {
            0 => ("temperature", "°C", 40.0 + f64::from(rng.u32(..5_000)) / 100.0),
            1 => ("vibration", "mm/s", f64::from(rng.u32(..900)) / 100.0),
            _ => ("power", "kW", f64::from(rng.u32(..40_000)) / 1_000.0),
        };
        let body = json!({"machine": machine, what: value, "unit": unit, "at": now().0});
        send(user, &format!("plant/{hall}/{machine}/{what}"), body.to_string().into(), &[("mqtt-qos", "0")]).await?;
    }
    if rng.u8(..12) == 0 {
        let machine = MACHINES[rng.usize(..MACHINES.len())];
        state(user, machine, STATES[rng.usize(..STATES.len())]).await?;
    }
    if rng.u8(..16) == 0 {
        let (hall, machine) = MACHINES[rng.usize(..MACHINES.len())];
        let body = json!({"machine": machine, "alarm": ALARMS[rng.usize(..ALARMS.len())], "at": now().0});
        let severity = if rng.bool() { "critical" } else { "warning" };
        let trace = format!("00-{:032x}-{:016x}-01", rng.u128(1..), rng.u64(1..));
        let headers =
            [("mqtt-qos", "1"), ("mqtt-content-type", "application/json"), ("severity", severity), ("traceparent", trace.as_str())];
        send(user, &format!("plant/{hall}/alarms"), body.to_string().into(), &headers).await?;
    }
    Ok(())
}

/// How a machine is, for whoever comes later.
async fn state(user: &User, (hall, machine): (&str, &str), state: &str) -> Result<(), Fault> {
    let body = json!({"machine": machine, "state": state, "since": now().0});
    send(user, &format!("plant/{hall}/{machine}/state"), body.to_string().into(), &[("mqtt-qos", "1"), ("mqtt-retain", "true")]).await
}

/// Answers a command where it says, repeating what it wants to be repeated.
async fn answer(user: &User, rng: &mut Rng, command: Message) -> Result<(), Fault> {
    let said = |name: &str| command.headers.iter().find(|header| header.name == name.as_bytes()).and_then(|header| header.value.clone());
    let Some(topic) = said("mqtt-response-topic") else { return Ok(()) };
    let body =
        json!({"ok": true, "command": String::from_utf8_lossy(command.payload.as_deref().unwrap_or_default()), "queue": rng.u8(..5)});
    let correlation = said("mqtt-correlation-data").map(|data| Header { name: "mqtt-correlation-data".into(), value: Some(data) });
    let message = Outgoing { headers: correlation.into_iter().collect(), payload: Some(body.to_string().into()), ..Outgoing::default() };
    user.publish(&String::from_utf8_lossy(&topic), message).await
}

async fn send(user: &User, topic: &str, payload: Bytes, headers: &[(&'static str, &str)]) -> Result<(), Fault> {
    let headers =
        headers.iter().map(|(name, value)| Header { name: (*name).into(), value: Some(Bytes::copy_from_slice(value.as_bytes())) });
    let message = Outgoing { headers: headers.collect(), payload: Some(payload), ..Outgoing::default() };
    user.publish(topic, message).await
}
