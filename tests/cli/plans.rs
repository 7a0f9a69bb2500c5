//! Stored plans and the audit log, on a real Kafka: what `--plan` has shown is what `--apply` does, whatever was written meanwhile.

use crate::support::program::{Home, files_below};
use crate::support::subjects::{connect, outgoing};
use crate::support::{kafka, topics};
use mqdeck::config::profile::Integration;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A program's words on standard error, and its exit code.
fn run(home: &Home, url: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = home.mqdeck(&[&["--url", url], arguments].concat()).output().expect("the program runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_plan_deletes_what_it_has_shown_and_nothing_that_came_since() {
    let Some(kafka) = kafka::shared() else { return };
    let topic = topics::create(kafka.plain(), "planned", 1, 1, &[]).await;
    let (home, url) = (Home::new(), format!("kafka://{}", kafka.plain()));
    let address = format!("{}/{topic}", home.integration(&url));
    let session = connect(Integration::new("events", "kafka", vec![kafka.plain().to_owned()])).await.expect("Kafka is there");
    let publish = async |payload: &str| {
        let publish = session.publish.as_ref().expect("Kafka takes messages");
        publish.publish(&topic, outgoing(0, None, Some(payload))).await.expect("stored");
    };
    for payload in ["1", "2", "3"] {
        publish(payload).await;
    }
    let purge = ["manage", "topic.purge", &address];
    let (code, shown, _) = run(&home, &url, &[&purge[..], &["--plan", "--json"]].concat());
    let plan: Value = serde_json::from_str(&shown).expect("a plan");
    let digest = plan["plan"].as_str().expect("its digest").to_owned();
    assert_eq!((code, plan["touches"].as_u64()), (Some(0), Some(3)));
    publish("4").await;

    // What destroys needs an armed profile, and --yes does not answer for it.
    let (code, _, said) = run(&home, &url, &[&purge[..], &["--apply", &digest]].concat());
    assert_eq!(code, Some(3), "{said}");
    let name = said.split("--arm ").nth(1).expect("how to arm").trim_end_matches([')', '\n']).to_owned();
    let (code, _, said) = run(&home, &url, &[&purge[..], &["--yes", "--arm", &name]].concat());
    assert_eq!(code, Some(3), "{said}");

    let (code, _, said) = run(&home, &url, &[&purge[..], &["--apply", &digest, "--arm", &name]].concat());
    assert_eq!(code, Some(0), "{said}");
    let (_, left, _) = run(&home, &url, &["tail", &address, "--from", "earliest", "--until", "latest", "--json"]);
    let left: Vec<Value> = left.lines().map(|line| serde_json::from_str(line).expect("a message")).collect();
    assert_eq!(left.iter().map(|message| message["value"].to_string()).collect::<Vec<_>>(), ["4"], "what came since the plan");
    let (code, _, said) = run(&home, &url, &[&purge[..], &["--apply", &digest, "--arm", &name]].concat());
    assert!(code == Some(1) && said.contains("no stored plan"), "not a second time: {said}");

    let text = files_below(home.path()).into_iter().find(|text| text.contains("\"phase\":\"intent\"")).expect("an audit log");
    let mut before = String::new();
    for (line, number) in text.lines().zip(1..) {
        let entry: Value = serde_json::from_str(line).expect("a line of JSON");
        let hash: String = Sha256::digest(&before).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((entry["n"].as_u64(), entry["prev"].as_str()), (Some(number), Some(hash.as_str())), "{line}");
        line.clone_into(&mut before);
    }
    let done = text.lines().filter(|line| line.contains("\"topic.purge\"") && line.contains("\"outcome\":\"done\"")).count();
    assert_eq!(done, 1, "{text}");
}
