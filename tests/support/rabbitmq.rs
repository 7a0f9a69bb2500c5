//! A real RabbitMQ of our own by `tests/servers/rabbitmq`, with sessions and channels of it that nobody else uses.

use super::server::Server;
use super::subjects::connect;
use super::{clients, unique};
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::{Auth, Integration, Tls};
use mqdeck::config::secret::Secret;
use mqdeck::domain::address::Address;
use mqdeck::domain::fault::Fault;
use mqdeck::domain::message::Outgoing;
use mqdeck::domain::operation::{Change, Done, Request};
use std::process::Command;
use std::sync::OnceLock;

/// One node, or a cluster of three.
pub(crate) struct Rabbit(Server);

/// One RabbitMQ for all tests that do not stop it; `None` if there is none here (already reported).
pub(crate) fn shared() -> Option<&'static Rabbit> {
    static SHARED: OnceLock<Option<Rabbit>> = OnceLock::new();
    SHARED.get_or_init(|| Server::shared("rabbitmq", "RabbitMQ", &[]).map(Rabbit)).as_ref()
}

/// A RabbitMQ that the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn own() -> Option<Rabbit> {
    Server::own("rabbitmq", "RabbitMQ", &[]).map(Rabbit)
}

/// Three nodes that know each other, which the caller alone uses and may harm; `None` if none can be started here (already reported).
pub(crate) fn cluster() -> Option<Rabbit> {
    Server::own("rabbitmq", "RabbitMQ, three nodes", &["--cluster"]).map(Rabbit)
}

impl Rabbit {
    /// An address or a file: `AMQP`, `AMQPS`, `MANAGEMENT`, `CA`, …
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.0.fact(name)
    }

    /// An integration as a profile would have it: that user, with the management API.
    pub(crate) fn integration(&self, user: &str) -> Integration {
        let addresses = self.fact("AMQP").split(',').map(str::to_owned).collect();
        let mut integration = Integration::new("rabbit", "rabbitmq", addresses);
        integration.auth = password(user, user);
        set(&mut integration, "management_url", self.fact("MANAGEMENT"));
        integration
    }

    /// The same over TLS.
    pub(crate) fn encrypted(&self, user: &str) -> Integration {
        let mut integration = self.integration(user);
        integration.endpoint.addresses = self.fact("AMQPS").split(',').map(str::to_owned).collect();
        integration.endpoint.tls = Some(Tls { ca_cert: Some(self.fact("CA").into()), ..Tls::default() });
        set(&mut integration, "management_url", self.fact("MANAGEMENT_TLS"));
        integration
    }

    /// A session of the administrator.
    pub(crate) async fn session(&self) -> Session {
        connect(self.integration("guest")).await.expect("RabbitMQ is there")
    }

    /// A command of another language's client.
    pub(crate) fn other(&self, arguments: &[&str]) -> Option<Command> {
        let url = format!("amqp://guest:guest@{}/%2F", self.fact("AMQP"));
        let mut all = vec![url.as_str()];
        all.extend(arguments);
        clients::script("rabbitmq/other.py", &all)
    }

    /// A command that writes and reads properties byte by byte.
    pub(crate) fn exact(&self, arguments: &[&str]) -> Option<Command> {
        let url = format!("amqp://guest:guest@{}/%2F", self.fact("AMQP"));
        clients::script("rabbitmq/exact.py", &[&[url.as_str()], arguments].concat())
    }

    /// A new durable queue with these arguments, declared by another language's client; its bare name. `None` if there is none here.
    pub(crate) fn declared(&self, name: &str, arguments: &serde_json::Value) -> Option<String> {
        let name = unique(name);
        clients::run(self.other(&["declare", &name, &arguments.to_string()])?);
        Some(name)
    }

    /// What the server's own command line prints.
    pub(crate) fn ctl(&self, arguments: &[&str]) -> String {
        self.0.run("ctl", arguments)
    }

    /// A token for these scopes that ends in so many seconds.
    pub(crate) fn token(&self, seconds: i64, scopes: &[&str]) -> Secret {
        let seconds = seconds.to_string();
        Secret::new(self.0.run("token", &[&[seconds.as_str()], scopes].concat()).trim().to_owned())
    }

    /// Closes every connection, as an operator does.
    pub(crate) fn close_connections(&self) {
        self.ctl(&["close_all_connections", "maintenance"]);
    }

    /// Kills the node that has this name in the cluster, as a crash does.
    pub(crate) fn kill_node(&self, name: &str) {
        self.0.kill(&self.number(name).to_string());
    }

    /// Which of the nodes has this name (`mqdeck12340@localhost`), the first one being 1: a node is named after its port.
    pub(crate) fn number(&self, name: &str) -> usize {
        let port = name.trim_start_matches("mqdeck").split('@').next().unwrap_or_default();
        let at = self.fact("AMQP").split(',').position(|address| address.ends_with(&format!(":{port}")));
        at.unwrap_or_else(|| panic!("no node is called {name}")) + 1
    }

    pub(crate) fn kill(&self) {
        self.0.stop(&["--kill"]);
    }

    /// Stops it in an orderly way.
    pub(crate) fn halt(&self) {
        self.0.stop(&[]);
    }

    pub(crate) fn freeze(&self) {
        self.0.stop(&["--freeze"]);
    }

    pub(crate) fn thaw(&self) {
        self.0.stop(&["--thaw"]);
    }

    /// Starts it again with its ports and data; returns when it is ready.
    pub(crate) fn restart(&mut self) {
        self.0.restart();
    }
}

pub(crate) fn password(user: &str, password: &str) -> Auth {
    Auth::Basic { username: user.to_owned(), password: Secret::new(password.to_owned()) }
}

pub(crate) use super::subjects::set;

/// A message with a body, and a routing key if there is one.
pub(crate) fn letter(key: Option<&str>, body: &str) -> Outgoing {
    Outgoing { key: key.map(|key| key.to_owned().into()), payload: Some(body.to_owned().into()), ..Outgoing::default() }
}

/// Plans an operation on an address.
pub(crate) async fn plan(session: &Session, operation: &str, address: &str, arguments: &[(&str, &str)]) -> Result<Change, Fault> {
    let manage = session.manage.as_ref().expect("RabbitMQ is managed");
    let spec = manage.operations().iter().find(|spec| spec.id == operation).expect("the operation");
    let address: Address = format!("rabbit/{address}").parse().expect("an address");
    let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
    let request = Request { spec, address, arguments };
    request.check()?;
    manage.plan(request).await
}

/// Plans and carries out; every part has to be done.
pub(crate) async fn done(session: &Session, operation: &str, address: &str, arguments: &[(&str, &str)]) -> Done {
    let change = plan(session, operation, address, arguments).await.expect("a plan");
    assert_eq!(change.refused, None);
    let done = session.manage.as_ref().expect("RabbitMQ is managed").apply(&change).await.expect("carried out");
    assert!(done.parts.iter().all(|(_, part)| part.is_ok()), "{done:?}");
    done
}

/// A new queue of a type; its bare name.
pub(crate) async fn queue(session: &Session, name: &str, kind: &str) -> String {
    let name = unique(name);
    done(session, "queue.declare", &format!("queue:{name}"), &[("type", kind)]).await;
    name
}
