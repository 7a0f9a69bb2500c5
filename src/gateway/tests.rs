//! What the gateway keeps of connections that nobody will use.

use super::*;

/// A broker of several parts that answers every attempt with this.
fn gateway(kind: Kind) -> Gateway {
    let absent = Fault::new(kind, "connect", "rabbit", "no access to vhost `typo`");
    let rabbit = Integration { absent: Some(absent), ..Integration::new("rabbit", "rabbitmq", Vec::new()) };
    Gateway::open(Profile { name: "test".into(), path: None, safety: Safety::default(), integrations: vec![rabbit] }, false)
}

#[tokio::test]
async fn another_part_of_a_broker_that_is_not_there_is_not_tried_for_ever() {
    for (kind, kept) in [(Kind::NotFound, false), (Kind::Forbidden, false), (Kind::Unreachable, true)] {
        let gateway = gateway(kind);
        let started = Arc::downgrade(&gateway.supervised("rabbit@typo").expect("RabbitMQ has vhosts"));
        assert!(started.upgrade().is_some(), "it is tried");
        assert_eq!(gateway.check("rabbit@typo").await.expect_err("it is not there").kind, kind);
        assert_eq!(started.upgrade().is_some(), kept, "{kind:?}: what passes by waiting is waited for, the rest is given up");
        // The profile's own is told of as long as the profile is open.
        assert_eq!(gateway.check("rabbit").await.expect_err("it is not there either").kind, kind);
        assert!(gateway.link("rabbit").is_ok());
    }
}
