//! Plans: what a request would do to the server as it is, shown before it is done.

use super::specs;
use super::steps::{self, Binding, DeleteQueue, Steps};
use crate::adapters::rabbitmq::Rabbit;
use crate::adapters::rabbitmq::management::number;
use crate::adapters::rabbitmq::name::Name;
use crate::adapters::rabbitmq::topology::{Argument, Exchange, Queue};
use crate::domain::channel::Table;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::{self, Amount};
use crate::domain::operation::{Change, Request};
use crate::domain::text::SafeText;
use serde_json::Value;

const OP: &str = "plan";
/// How far a purge goes, and what the protocol cannot rule out.
const HEAD: &str = "no more than these are deleted; if consumers take some of them meanwhile, or a later one has a higher priority, that one is \
                    deleted in the place of one of these";
/// The same of a deletion.
const COUNTED: &str = "refused if it holds more messages or consumers by then; they are counted, not recognised, and only what comes in the moment \
                       of the deletion is deleted with it";

/// `queue.declare`.
pub(super) async fn queue(rabbit: &Rabbit, request: Request) -> Result<Change, Fault> {
    let name = new_name(&request, "queue")?;
    if there(rabbit.queue_is_there(OP, &name).await.map(drop))? {
        return Err(Fault::new(Kind::Rejected, OP, name, "there is a queue of that name already"));
    }
    let text = |id: &str| request.argument(id).filter(|value| !value.is_empty()).map(str::to_owned);
    let binding = text("exchange").map(|exchange| (exchange, text("routing_key").unwrap_or_default()));
    let queue = Queue {
        kind: text("type").filter(|kind| kind != "classic"),
        durable: request.argument("durable") != Some("no"),
        max_priority: text("max_priority").and_then(|n| n.parse().ok()),
        message_ttl: text("message_ttl").and_then(|n| n.parse().ok()),
        max_length: text("max_length").and_then(|n| n.parse().ok()),
        dead_letter_exchange: text("dead_letter_exchange"),
        dead_letter_key: text("dead_letter_routing_key"),
        binding,
        ..Queue::plain(&name)
    };
    let summary = format!("makes the queue {name}");
    let undo = Request { spec: &specs::DELETE_QUEUE, arguments: vec![("if_empty".to_owned(), "yes".to_owned())], ..request.clone() };
    let change = declaration(rabbit, request, summary, Vec::new(), vec![queue]).await?;
    Ok(Change { undo: Some(undo), ..change })
}

/// `exchange.declare`.
pub(super) async fn exchange(rabbit: &Rabbit, request: Request) -> Result<Change, Fault> {
    let name = new_name(&request, "exchange")?;
    if there(rabbit.exchange_is_there(OP, &name).await)? {
        return Err(Fault::new(Kind::Rejected, OP, name, "there is an exchange of that name already"));
    }
    let kind = request.argument("type").unwrap_or("topic").to_owned();
    let summary = format!("makes the {kind} exchange {name}");
    let exchange = Exchange { name, kind, durable: request.argument("durable") != Some("no") };
    let undo = Request { spec: &specs::DELETE_EXCHANGE, arguments: vec![("if_unused".to_owned(), "yes".to_owned())], ..request.clone() };
    let change = declaration(rabbit, request, summary, vec![exchange], Vec::new()).await?;
    Ok(Change { undo: Some(undo), ..change })
}

/// `tenant.declare`: seed 1's `declare_tenant_queue`.
pub(super) async fn tenant(rabbit: &Rabbit, request: Request) -> Result<Change, Fault> {
    let topology = &rabbit.settings.topology;
    let tenant = request.new_name()?.to_owned();
    if request.address.kind.is_some() {
        return Err(Fault::new(Kind::Usage, OP, request.address.to_string(), "a tenant has no kind").next("write INTEGRATION/TENANT"));
    }
    if !topology.is_for_tenants() {
        return Err(Fault::new(Kind::Usage, OP, tenant, "no queue of the profile has {tenant} in its name")
            .next("queues = [{ name = \"grey.tasks.{tenant}\", max_priority = 10 }]"));
    }
    let made = topology.for_tenant(&tenant);
    declaration(rabbit, request, format!("makes what the tenant {tenant} needs"), made.exchanges, made.queues).await
}

/// `binding.create` and `binding.delete`.
pub(super) async fn bind(rabbit: &Rabbit, request: Request, create: bool) -> Result<Change, Fault> {
    let name = rabbit.resolve(OP, &request.address.within()).await?;
    let Some(exchange) = request.argument("exchange").filter(|exchange| !exchange.is_empty()) else {
        return Err(Fault::new(Kind::Usage, OP, name.text(), "it is not said which exchange").next("fill in `exchange`"));
    };
    let binding = Binding {
        exchange: exchange.to_owned(),
        key: request.argument("routing_key").unwrap_or_default().to_owned(),
        destination: name.bare().to_owned(),
        to_exchange: matches!(name, Name::Exchange(_)),
    };
    rabbit.exchange_is_there(OP, exchange).await?;
    let (spec, word) = if create { (&specs::UNBIND, "binds") } else { (&specs::BIND, "unbinds") };
    let undo = Request { spec, ..request.clone() };
    let summary = format!("{word} {}", binding.words());
    let steps = if create { Steps::Bind(binding) } else { Steps::Unbind(binding) };
    let note =
        if create { "messages come by it from then on" } else { "messages that came by this binding alone are dropped from then on" };
    // A change of many messages to come: how many is not known.
    let touches = if create { Amount::Exactly(0) } else { Amount::Unknown };
    Ok(Change { undo: Some(undo), touches, notes: vec![note.into()], ..Change::new(request, summary, steps.written()) })
}

/// `queue.purge`.
pub(super) async fn purge(rabbit: &Rabbit, request: Request) -> Result<Change, Fault> {
    let queue = match rabbit.resolve(OP, &request.address.within()).await? {
        Name::Queue(queue) => queue,
        other => return Err(Fault::new(Kind::Rejected, OP, other.text(), "only the messages of a queue can be purged")),
    };
    let held = Held::of(rabbit, &queue).await?;
    let mut notes: Vec<SafeText> = vec!["this cannot be undone".into(), HEAD.into()];
    notes.extend(held.unacked.filter(|n| *n > 0).map(|n| SafeText::from(format!("{n} messages that consumers hold unacknowledged stay"))));
    let most = held.ready.number().unwrap_or(0);
    let summary = format!("deletes {} at the head of queue:{queue}: those that are ready", figure::several(most, "message"));
    let steps = Steps::Purge { queue, most };
    Ok(Change { touches: held.ready, notes, tables: vec![held.table()], bounded: true, ..Change::new(request, summary, steps.written()) })
}

/// `queue.delete`.
pub(super) async fn delete_queue(rabbit: &Rabbit, request: Request) -> Result<Change, Fault> {
    let name = rabbit.resolve(OP, &request.address.within()).await?;
    if matches!(name, Name::Exchange(_)) {
        return Err(Fault::new(Kind::Rejected, OP, name.text(), "this is an exchange").next("exchange.delete"));
    }
    let held = Held::of(rabbit, name.bare()).await?;
    let flag = |id: &str| request.argument(id) == Some("yes");
    let (if_unused, if_empty) = (flag("if_unused"), flag("if_empty"));
    let mut notes: Vec<SafeText> = vec!["this cannot be undone".into(), COUNTED.into()];
    if held.consumers > 0 && !if_unused {
        notes.push(format!("{} consumers are cut off", held.consumers).into());
    }
    let busy = (if_unused && held.consumers > 0).then(|| format!("it has {} consumers", held.consumers));
    let full = if_empty.then(|| held.ready.number()).flatten().filter(|n| *n > 0).map(|n| format!("it has {n} messages"));
    let refused = busy.or(full).map(|cause| Fault::new(Kind::Rejected, OP, name.text(), cause));
    let steps = Steps::DeleteQueue(DeleteQueue {
        queue: name.bare().to_owned(),
        if_unused,
        if_empty,
        messages: held.all().number().unwrap_or(0),
        consumers: held.consumers,
        classic: held.classic,
    });
    let summary = format!("deletes {} with everything in it", name.text());
    Ok(Change { touches: held.all(), notes, refused, tables: vec![held.table()], ..Change::new(request, summary, steps.written()) })
}

/// `exchange.delete`.
pub(super) async fn delete_exchange(rabbit: &Rabbit, request: Request) -> Result<Change, Fault> {
    let exchange = match rabbit.resolve(OP, &request.address.within()).await? {
        Name::Exchange(exchange) => exchange,
        other => return Err(Fault::new(Kind::Rejected, OP, other.text(), "this is no exchange").next("queue.delete")),
    };
    rabbit.exchange_is_there(OP, &exchange).await?;
    let bindings = steps::bindings(rabbit, &exchange).await.ok();
    let mut notes: Vec<SafeText> = vec!["this cannot be undone; who publishes to it fails from then on".into()];
    notes.push(match &bindings {
        Some(bindings) => format!("{} bindings go with it; refused if it feeds anything else by then", bindings.len()).into(),
        None => "how many bindings go with it is not known without the management API: those that are made until then do as well".into(),
    });
    let if_unused = request.argument("if_unused") == Some("yes");
    let steps = Steps::DeleteExchange { exchange: exchange.clone(), if_unused, bindings };
    Ok(Change { notes, ..Change::new(request, format!("deletes exchange:{exchange} with its bindings"), steps.written()) })
}

/// What is in a queue.
struct Held {
    ready: Amount,
    unacked: Option<u64>,
    consumers: u64,
    classic: bool,
}

impl Held {
    async fn of(rabbit: &Rabbit, queue: &str) -> Result<Self, Fault> {
        let said = rabbit.queue_is_there(OP, queue).await?;
        let columns = [("columns", "type,messages_ready,messages_unacknowledged")];
        let row = rabbit.management.get("queues", &[queue], &columns).await.unwrap_or(Value::Null);
        let counted = u64::from(said.message_count());
        let classic = row.get("type").and_then(Value::as_str) == Some("classic");
        // A declaration counts exactly, but a quorum queue says 0 for a while after a restart: then the statistics know more.
        let ready = match number(&row, &["messages_ready"]) {
            Some(sampled) if counted == 0 => Amount::Exactly(sampled),
            None if counted == 0 && !classic => Amount::Unknown,
            _ => Amount::Exactly(counted),
        };
        Ok(Self { classic, ready, unacked: number(&row, &["messages_unacknowledged"]), consumers: u64::from(said.consumer_count()) })
    }

    /// Ready and unacknowledged.
    fn all(&self) -> Amount {
        match (self.ready, self.unacked) {
            (Amount::Exactly(ready), Some(unacked)) => Amount::Exactly(ready + unacked),
            (Amount::Exactly(ready), None) => Amount::AtLeast(ready),
            (other, _) => other,
        }
    }

    fn table(&self) -> Table {
        let unacked = self.unacked.map_or(Amount::Unknown, Amount::Exactly);
        let row = [self.ready.to_string(), unacked.to_string(), self.consumers.to_string()].map(SafeText::from).to_vec();
        Table { title: "queue", columns: vec!["ready", "unacked", "consumers"], rows: vec![row] }
    }
}

/// The plan that declares all of these. What is there already is left as it is; if it is otherwise, the plan is refused.
async fn declaration(
    rabbit: &Rabbit,
    request: Request,
    summary: String,
    exchanges: Vec<Exchange>,
    queues: Vec<Queue>,
) -> Result<Change, Fault> {
    let (mut rows, mut refused) = (Vec::new(), None);
    for exchange in &exchanges {
        let exists = there(rabbit.exchange_is_there(OP, &exchange.name).await)?;
        let row =
            if exists { rabbit.management.get("exchanges", &[&exchange.name], &[]).await.unwrap_or(Value::Null) } else { Value::Null };
        let other = row.get("type").and_then(Value::as_str).filter(|kind| *kind != exchange.kind);
        refused = refused.or(other.map(|kind| otherwise(&format!("exchange:{}", exchange.name), &format!("its type is {kind}"))));
        rows.push([format!("exchange:{}", exchange.name), exchange.kind.clone(), state(exists).to_owned()]);
    }
    for queue in &queues {
        let exists = there(rabbit.queue_is_there(OP, &queue.name).await.map(drop))?;
        let row = if exists { rabbit.management.get("queues", &[&queue.name], &[]).await.unwrap_or(Value::Null) } else { Value::Null };
        refused = refused.or_else(|| difference(queue, &row).map(|cause| otherwise(&format!("queue:{}", queue.name), &cause)));
        let arguments: Vec<String> = queue.arguments().into_iter().map(|(name, value)| format!("{name}={}", words(&value))).collect();
        rows.push([format!("queue:{}", queue.name), arguments.join(" "), state(exists).to_owned()]);
        if let Some((exchange, key)) = &queue.binding {
            if !exchanges.iter().any(|known| known.name == *exchange) {
                rabbit.exchange_is_there(OP, exchange).await?;
            }
            rows.push([format!("exchange:{exchange} → queue:{}", queue.name), format!("key {key}"), String::new()]);
        }
    }
    let rows = rows.into_iter().map(|row| row.map(SafeText::from).to_vec()).collect();
    let table = Table { title: "declared", columns: vec!["what", "as", "now"], rows };
    Ok(Change { tables: vec![table], refused, ..Change::new(request, summary, Steps::Declare { exchanges, queues }.written()) })
}

fn state(exists: bool) -> &'static str {
    if exists { "there" } else { "new" }
}

fn words(argument: &Argument) -> String {
    match argument {
        Argument::Text(text) => text.clone(),
        Argument::Number(number) => number.to_string(),
    }
}

fn otherwise(target: &str, cause: &str) -> Fault {
    Fault::new(Kind::Rejected, OP, target, format!("it is there already, and otherwise: {cause}"))
        .next("what it was made with cannot be changed: a policy can set most of it")
}

/// How a queue that is there differs from one that is to be declared; the server would refuse it.
fn difference(queue: &Queue, row: &Value) -> Option<String> {
    let arguments = row.get("arguments")?.as_object()?;
    let wanted = queue.arguments();
    for (name, value) in &wanted {
        let is = arguments.get(*name).map(|is| is.as_str().map_or_else(|| is.to_string(), str::to_owned));
        if is.as_deref() != Some(&words(value)) {
            return Some(format!("{name} is {}", is.unwrap_or_else(|| "not set".to_owned())));
        }
    }
    let known = |name: &str| wanted.iter().any(|(wanted, _)| *wanted == name) || name == "x-queue-type";
    let more = arguments.keys().find(|name| !known(name));
    let durable = row.get("durable").and_then(Value::as_bool).filter(|durable| *durable != queue.durable);
    more.map(|name| format!("it has {name}")).or(durable.map(|durable| format!("durable is {durable}")))
}

/// Whether a passive declaration found something. What may not be looked at cannot be planned with.
fn there(found: Result<(), Fault>) -> Result<bool, Fault> {
    match found {
        Ok(()) => Ok(true),
        Err(fault) if fault.kind == Kind::NotFound => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// The name of what is to be made; an address may say its kind.
fn new_name(request: &Request, kind: &'static str) -> Result<String, Fault> {
    match request.address.kind {
        Some(said) if said != kind && !(kind == "queue" && said == "stream") => {
            Err(Fault::new(Kind::Usage, OP, request.address.to_string(), format!("this names no {kind}"))
                .next(format!("INTEGRATION/{kind}:NAME")))
        }
        _ => request.new_name().map(str::to_owned),
    }
}
