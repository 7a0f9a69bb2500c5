//! `mqdeck manage`: what can be done to a system itself, planned, confirmed and carried out.

use super::change::{self, Mode, word};
use super::output::{self, Out};
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
    operation: String,
    /// What it is done to: `events/orders`, `events/group:payments`; for `ls` an integration is enough, for `undo` the file.
    address: Option<String>,
    /// The operation's fields.
    #[arg(value_name = "FIELD=VALUE")]
    fields: Vec<String>,
    /// Prints the plan and its digest, and changes nothing.
    #[arg(long)]
    plan: bool,
    /// Carries out exactly the plan of this digest; refused if planning gives another one by now.
    #[arg(long, value_name = "DIGEST", conflicts_with = "plan")]
    apply: Option<String>,
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
            let address: Address = target.parse().map_err(|e: String| usage("manage", target, e))?;
            let spec = gateway.operation(&address, &self.operation).await?;
            Request { spec, address, arguments: self.arguments()? }
        };
        let mode = match (&self.apply, self.plan) {
            (Some(digest), _) => Mode::Apply(digest.clone()),
            (None, true) => Mode::Show,
            (None, false) => Mode::Ask,
        };
        change::run(gateway, request, &mode, self.json).await
    }

    fn arguments(&self) -> Result<Vec<(String, String)>, Fault> {
        self.fields.iter().map(|text| super::argument("manage", text)).collect()
    }

    async fn list(&self, gateway: &Gateway) -> anyhow::Result<ExitCode> {
        let (names, on): (Vec<String>, Option<Target>) = match &self.address {
            Some(text) if text.contains('/') => {
                let address: Address = text.parse().map_err(|e: String| usage("manage", text, e))?;
                let on = if address.is_group() { Target::Group } else { Target::Channel };
                (vec![address.integration.to_string()], Some(on))
            }
            Some(name) => (vec![name.clone()], None),
            None => (gateway.integrations().map(|(name, _)| name.to_string()).collect(), None),
        };
        let (mut out, mut rows) = (Out::new(), Vec::new());
        for name in &names {
            for spec in gateway.operations(name).await?.iter().filter(|spec| on.is_none_or(|on| spec.on == on)) {
                if self.json {
                    out.json(&object(name, spec))?;
                } else {
                    rows.push(cells(name, spec));
                }
            }
        }
        if !self.json {
            out.line(&output::table(&["integration", "operation", "on", "risk", "fields", "what it does"], rows))?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn on(target: Target) -> &'static str {
    match target {
        Target::Integration => "integration",
        Target::Channel => "channel",
        Target::Group => "group",
    }
}

fn cells(integration: &str, spec: &OperationSpec) -> Vec<SafeText> {
    let fields: Vec<&str> = spec.fields.iter().map(|field| field.id).collect();
    let fields = if fields.is_empty() { "–".to_owned() } else { fields.join(" ") };
    [integration, spec.id, on(spec.on), word(spec.risk), &fields, spec.help].map(SafeText::new).into()
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
        "integration": integration, "operation": spec.id, "title": spec.title, "help": spec.help, "on": on(spec.on),
        "risk": word(spec.risk), "permission": spec.permission, "fields": spec.fields.iter().map(field).collect::<Vec<_>>(),
    })
}
