//! `mqdeck manage`: what can be done to a system itself, planned, confirmed and carried out.

use super::change::{self, Mode};
use super::output::Out;
use super::{Connection, usage};
use crate::domain::address::Address;
use crate::domain::fault::Fault;
use crate::domain::operation::{Field, Input, OperationSpec, Request, Target};
use crate::domain::text::SafeText;
use crate::gateway::Gateway;
use clap::Args;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::ExitCode;

#[derive(Debug, Args)]
#[command(after_help = "mqdeck manage ls [ADDRESS] lists the operations; mqdeck manage undo FILE takes one back by the file that it kept.")]
pub struct Manage {
    /// `ls`, `undo`, or an operation: `topic.create`.
    #[arg(index = 1)]
    operation: String,
    /// What it is done to: `events/orders`, `events/group:payments`; an integration for `ls` and for what concerns all of it; for `undo` the
    /// file.
    #[arg(index = 2)]
    address: Option<String>,
    /// The operation's fields.
    #[arg(index = 3, value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// Prints the plan and its digest, keeps it for 24 hours, and changes nothing.
    #[arg(long)]
    plan: bool,
    /// Carries out exactly the plan of this digest; refused if it would do something else by now.
    #[arg(long, value_name = "DIGEST", conflicts_with = "plan")]
    apply: Option<String>,
    /// Carries the plan out without asking, unless it destroys; on production only with --arm.
    #[arg(long, conflicts_with_all = ["plan", "apply"])]
    yes: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

impl Manage {
    pub(super) async fn run(&self, connection: &Connection) -> anyhow::Result<ExitCode> {
        let gateway = connection.open()?;
        let result = match self.operation.as_str() {
            "ls" => self.list(&gateway).await,
            _ => self.change(&gateway).await,
        };
        gateway.shutdown().await;
        result
    }

    async fn change(&self, gateway: &Gateway) -> anyhow::Result<ExitCode> {
        let missing = || usage("manage", &self.operation, "it is not said what to do it to").next("mqdeck manage OPERATION ADDRESS");
        let target = self.address.as_ref().ok_or_else(missing)?;
        let request = if self.operation == "undo" {
            change::undo(gateway, Path::new(target)).await?
        } else {
            let (spec, address) = self.subject(gateway, target).await?;
            Request { spec, address, arguments: self.arguments()? }
        };
        let mode = match (&self.apply, self.plan) {
            (Some(digest), _) => Mode::Apply(digest.clone()),
            (None, true) => Mode::Show,
            (None, false) if self.yes => Mode::Yes,
            (None, false) => Mode::Ask,
        };
        change::run(gateway, request, &mode, self.json).await
    }

    /// What is to be done, and to what: for what concerns a whole system its name is enough.
    async fn subject(&self, gateway: &Gateway, target: &str) -> Result<(&'static OperationSpec, Address), Fault> {
        let whole = gateway.integrations().find(|(name, _)| ***name == *target).map(|(name, _)| Address::new(name, ""));
        let parsed = target.parse::<Address>().map_err(|e| usage("manage", target, e));
        let address = whole.clone().map_or_else(|| parsed.clone(), Ok)?;
        let spec = gateway.operation(&address, &self.operation).await?;
        if whole.is_some() && spec.on != Target::Integration {
            parsed?;
        }
        Ok((spec, address))
    }

    fn arguments(&self) -> Result<Vec<(String, String)>, Fault> {
        self.fields.iter().map(|text| super::argument("manage", text)).collect()
    }

    async fn list(&self, gateway: &Gateway) -> anyhow::Result<ExitCode> {
        let (names, of): (Vec<String>, Of) = match &self.address {
            Some(text) if text.contains('/') => {
                let address: Address = text.parse().map_err(|e: String| usage("manage", text, e))?;
                (vec![address.integration.to_string()], Of::address(gateway, &address).await?)
            }
            Some(name) => (vec![name.clone()], Of::Everything),
            None => (gateway.integrations().map(|(name, _)| name.to_string()).collect(), Of::Everything),
        };
        let (mut out, mut rows) = (Out::new(), Vec::new());
        for name in &names {
            for spec in gateway.operations(name).await?.iter().filter(|spec| of.has(spec.on)) {
                if self.json {
                    out.json(&object(name, spec))?;
                } else {
                    rows.push(cells(name, spec));
                }
            }
        }
        if !self.json {
            out.table(&["integration", "operation", "on", "risk", "fields", "what it does"], rows)?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whose operations are listed.
enum Of {
    Everything,
    Group,
    /// A channel of this kind; of any, where it is not known.
    Channel(Option<&'static str>),
}

impl Of {
    /// A kind that is not said is asked for.
    async fn address(gateway: &Gateway, address: &Address) -> Result<Self, Fault> {
        let resolved = gateway.resolve(address)?;
        Ok(match resolved.kind {
            _ if resolved.is_group() => Self::Group,
            Some(kind) => Self::Channel(Some(kind)),
            None => Self::Channel(gateway.describe(address).await.ok().map(|description| description.channel.kind)),
        })
    }

    fn has(&self, on: Target) -> bool {
        match self {
            Self::Everything => true,
            Self::Group => on == Target::Group,
            Self::Channel(Some(kind)) => on.takes(kind),
            Self::Channel(None) => on.is_channel(),
        }
    }
}

fn on(target: Target) -> &'static str {
    match target {
        Target::Integration => "integration",
        Target::Channel(_) => "channel",
        Target::Group => "group",
    }
}

/// The kinds of channel that it is done to.
fn kinds(target: Target) -> &'static [&'static str] {
    match target {
        Target::Channel(kinds) => kinds,
        Target::Integration | Target::Group => &[],
    }
}

fn cells(integration: &str, spec: &OperationSpec) -> Vec<SafeText> {
    let fields: Vec<&str> = spec.fields.iter().map(|field| field.id).collect();
    let fields = if fields.is_empty() { "–".to_owned() } else { fields.join(" ") };
    let kinds = kinds(spec.on);
    let on = if kinds.is_empty() { on(spec.on).to_owned() } else { kinds.join(", ") };
    [integration, spec.id, &on, spec.risk.word(), &fields, spec.help].map(SafeText::new).into()
}

fn object(integration: &str, spec: &OperationSpec) -> Json {
    let field = |field: &Field| {
        let mut object = json!({ "id": field.id, "title": field.title, "help": field.help });
        match field.input {
            Input::Text => object["input"] = "text".into(),
            Input::Number { min, max } => {
                object["input"] = "number".into();
                object["min"] = min.into();
                object["max"] = max.into();
            }
            Input::Choice(words) => {
                object["input"] = "choice".into();
                object["words"] = words.iter().copied().collect();
            }
        }
        object
    };
    json!({
        "integration": integration, "operation": spec.id, "title": spec.title, "help": spec.help, "on": on(spec.on), "kinds": kinds(spec.on),
        "risk": spec.risk.word(), "permission": spec.permission, "fields": spec.fields.iter().map(field).collect::<Vec<_>>(),
    })
}
