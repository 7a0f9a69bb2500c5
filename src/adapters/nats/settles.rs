//! What settling a message does, by the retention of its stream and the limits of its consumer.

use super::model::{ConsumerInfo, StreamInfo};
use crate::domain::delivery::{Effect, Given, Settles};
use crate::domain::figure::several;
use serde_json::Value;

pub(super) fn of(stream: &StreamInfo, consumer: &ConsumerInfo, effect: Effect, given: &[Given]) -> Settles {
    let many = several(given.len() as u64, "message");
    let retention = stream.retention();
    match effect {
        Effect::Ack => Settles::usual(match retention {
            "workqueue" => format!("{many} done: removed from the stream, which is a work queue"),
            "interest" => format!("{many} done for this consumer: removed from the stream once no other consumer needs it"),
            _ => format!("{many} done for this consumer: the stream keeps what it has"),
        }),
        Effect::Extend => Settles::usual("the time to decide begins again"),
        Effect::Requeue => requeued(consumer, given),
        Effect::Reject => match retention {
            "limits" => Settles::usual(format!("{many} never redelivered to this consumer: the stream keeps what it has")),
            "interest" => Settles::destroys(format!("DELETES {many} from the stream unless another consumer still needs it")),
            _ => Settles::destroys(format!("DELETES {many} from the stream: it is a work queue, and term removes what it ends")),
        },
    }
}

/// How often the consumer gives a message at most; `None` if as often as it takes.
fn most(consumer: &ConsumerInfo) -> Option<u64> {
    consumer.config.get("max_deliver").and_then(Value::as_i64).and_then(|most| u64::try_from(most).ok()).filter(|most| *most > 0)
}

/// Why a message that is given back undecided may never be given again.
pub(super) fn spends(consumer: &ConsumerInfo) -> Option<Settles> {
    let most = most(consumer)?;
    Some(Settles::destroys(format!("each delivery counts: after {most} (max_deliver) this consumer never redelivers a message")))
}

/// What was delivered `max_deliver` times is not given again, whatever is answered.
fn requeued(consumer: &ConsumerInfo, given: &[Given]) -> Settles {
    let most = most(consumer);
    let spent = |message: &&Given| most.zip(message.deliveries).is_some_and(|(most, deliveries)| deliveries >= most);
    let (over, many) = (given.iter().filter(spent).count(), several(given.len() as u64, "message"));
    let most = most.unwrap_or_default();
    Settles::usual(match over {
        0 => format!("{many} redelivered by this consumer"),
        over if over == given.len() => format!("{many} NOT redelivered: max_deliver ({most}) is reached; the stream keeps what it has"),
        over => format!("{many} given back, {over} of them NOT redelivered: max_deliver ({most}) is reached; the stream keeps what it has"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::Risk;
    use serde_json::json;

    #[test]
    fn a_decision_names_what_the_stream_and_the_consumer_make_of_it() {
        let given = |deliveries: &[u64]| -> Vec<Given> {
            deliveries.iter().map(|deliveries| Given { deliveries: Some(*deliveries), ..Given::default() }).collect()
        };
        for (retention, max_deliver, effect, deliveries, risk, word) in [
            ("limits", -1, Effect::Reject, &[1][..], Risk::Reversible, "1 message never redelivered to this consumer"),
            ("workqueue", -1, Effect::Reject, &[1, 1], Risk::Destroy, "DELETES 2 messages from the stream"),
            ("interest", -1, Effect::Reject, &[1], Risk::Destroy, "unless another consumer"),
            ("workqueue", -1, Effect::Ack, &[1], Risk::Reversible, "removed from the stream"),
            ("limits", -1, Effect::Requeue, &[900], Risk::Reversible, "1 message redelivered"),
            ("limits", 3, Effect::Requeue, &[2], Risk::Reversible, "1 message redelivered"),
            ("limits", 3, Effect::Requeue, &[3], Risk::Reversible, "1 message NOT redelivered: max_deliver (3)"),
            ("limits", 3, Effect::Requeue, &[1, 3], Risk::Reversible, "1 of them NOT redelivered"),
        ] {
            let stream = StreamInfo { config: json!({ "retention": retention }), ..StreamInfo::default() };
            let consumer = ConsumerInfo { config: json!({ "max_deliver": max_deliver }), ..ConsumerInfo::default() };
            let settles = of(&stream, &consumer, effect, &given(deliveries));
            assert!(settles.risk == risk && settles.summary.as_str().contains(word), "{settles:?}");
        }
    }
}
