//! RabbitMQ is administered: what plans say, what is refused, and what is done.

use crate::support::rabbitmq::{self, done, letter, plan, queue};
use crate::support::subjects::connect;
use crate::support::until;
use crate::support::{SOON, unique};
use mqdeck::domain::fault::Kind;
use mqdeck::domain::figure::Amount;
use mqdeck::domain::operation::Risk;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing_and_says_what_would_happen() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let name = unique("planned");
    let arguments = [("type", "quorum"), ("max_length", "100"), ("dead_letter_exchange", "grey.dlx")];
    let change = plan(&session, "queue.declare", &format!("queue:{name}"), &arguments).await.expect("a plan");
    assert_eq!((change.risk, change.touches), (Risk::Reversible, Amount::Exactly(0)));
    let row: Vec<String> = change.tables[0].rows[0].iter().map(ToString::to_string).collect();
    assert_eq!(row, [format!("queue:{name}").as_str(), "x-queue-type=quorum x-max-length=100 x-dead-letter-exchange=grey.dlx", "new"]);
    assert_eq!(change.undo.as_ref().map(|undo| undo.spec.id), Some("queue.delete"));
    let fault = session.inspect.describe(&format!("queue:{name}")).await.expect_err("it was only planned");
    assert_eq!(fault.kind, Kind::NotFound, "{fault}");
    let same = plan(&session, "queue.declare", &format!("queue:{name}"), &arguments).await.expect("a plan");
    assert_eq!(change.digest(), same.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_and_deleting_show_how_many_messages_they_take() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    for kind in ["classic", "quorum"] {
        let name = queue(&session, kind, kind).await;
        let address = format!("queue:{name}");
        for n in 0..3 {
            let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
            publish.publish(&address, letter(None, &n.to_string())).await.expect("published");
        }
        let purge = plan(&session, "queue.purge", &address, &[]).await.expect("a plan");
        assert_eq!((purge.risk, purge.touches), (Risk::Destroy, Amount::Exactly(3)), "{kind}");
        let refused = plan(&session, "queue.delete", &address, &[("if_empty", "yes")]).await.expect("a plan");
        assert!(refused.refused.as_ref().is_some_and(|fault| fault.to_string().contains("it has 3 messages")), "{kind}");
        let tried = session.manage.as_ref().expect("RabbitMQ is managed").apply(&refused).await.expect("it was tried");
        assert!(tried.parts[0].1.as_ref().is_err_and(|fault| fault.to_string().contains("3 messages by now")), "{kind}: {tried:?}");
        let purged = done(&session, "queue.purge", &address, &[]).await;
        assert_eq!(purged.parts[0].1.as_ref().map(ToString::to_string), Ok("3 messages deleted".to_owned()), "{kind}");
        done(&session, "queue.delete", &address, &[("if_unused", "yes")]).await;
        let fault = plan(&session, "queue.purge", &address, &[]).await.expect_err("it is gone");
        assert_eq!(fault.kind, Kind::NotFound, "{kind}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_otherwise_is_refused_before_anything_is_done() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let tenant = unique("other").replace('.', "-");
    done(&session, "queue.declare", &format!("queue:grey.tasks.{tenant}"), &[("max_priority", "3")]).await;
    let change = plan(&session, "tenant.declare", &tenant, &[]).await.expect("a plan");
    let fault = change.refused.expect("it is otherwise");
    assert!(fault.kind == Kind::Rejected && fault.to_string().contains("x-max-priority is 3"), "{fault}");
    let fault = plan(&session, "queue.declare", &format!("queue:grey.tasks.{tenant}"), &[]).await.expect_err("it is there");
    assert_eq!(fault.kind, Kind::Rejected, "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_and_exchanges_come_and_go() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let session = rabbit.session().await;
    let (exchange, name) = (unique("feeds"), queue(&session, "fed", "classic").await);
    done(&session, "exchange.declare", &format!("exchange:{exchange}"), &[("type", "topic")]).await;
    let arguments = [("exchange", exchange.as_str()), ("routing_key", "a.*")];
    done(&session, "binding.create", &format!("queue:{name}"), &arguments).await;
    let publish = session.publish.as_ref().expect("RabbitMQ takes messages");
    let address = format!("exchange:{exchange}");
    publish.publish(&address, letter(Some("a.b"), "x")).await.expect("routed");
    let delete = plan(&session, "exchange.delete", &address, &[]).await.expect("a plan");
    assert!(delete.notes.iter().any(|note| note.as_str().contains("1 bindings")), "{:?}", delete.notes);
    done(&session, "binding.delete", &format!("queue:{name}"), &arguments).await;
    let fault = publish.publish(&address, letter(Some("a.b"), "x")).await.expect_err("nothing is bound");
    assert_eq!(fault.kind, Kind::Rejected, "{fault}");
    done(&session, "exchange.delete", &address, &[("if_unused", "yes")]).await;
    let gone = until("the exchange to be gone", SOON, async || session.inspect.describe(&address).await.err()).await;
    assert_eq!(gone.kind, Kind::NotFound, "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_user_may_not_do_is_forbidden_and_the_connection_lives_on() {
    let Some(rabbit) = rabbitmq::shared() else { return };
    let admin = rabbit.session().await;
    let name = queue(&admin, "readable", "classic").await;
    let reader = connect(rabbit.integration("reader")).await.expect("it may connect");
    let publish = reader.publish.as_ref().expect("RabbitMQ takes messages");
    let fault = publish.publish(&format!("queue:{name}"), letter(None, "x")).await.expect_err("it may not write");
    assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    let fresh = format!("queue:{}", unique("fresh"));
    let change = plan(&reader, "queue.declare", &fresh, &[]).await.expect("a plan");
    let done = reader.manage.as_ref().expect("RabbitMQ is managed").apply(&change).await.expect("it was tried");
    let fault = done.parts[0].1.clone().expect_err("it may not declare");
    assert_eq!(fault.kind, Kind::Forbidden, "{fault}");
    let tail = reader.tail.as_ref().expect("RabbitMQ has a tail").tail(&["exchange:amq.topic".into()]).await;
    let fault = tail.err().expect("it may not declare a queue of its own");
    assert!(fault.kind == Kind::Forbidden && fault.to_string().contains("mqdeck.tap."), "{fault}");
    assert!(reader.inspect.channels().await.is_ok_and(|channels| channels.iter().any(|c| *c.name == format!("queue:{name}"))));
}
