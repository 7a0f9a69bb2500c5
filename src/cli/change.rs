//! Changes from the command line: the plan shown and stored, asked for or named by its digest, carried out, and the file that undoes it.

use super::output::{self, Out, known};
use super::usage;
use crate::domain::fault::{Fault, Kind};
use crate::domain::figure::Amount;
use crate::domain::operation::{Change, OperationSpec, PartCounts, Plan, Request, Risk};
use crate::domain::safety::Rung;
use crate::domain::text::SafeText;
use crate::gateway::Gateway;
use crate::gateway::plans::Plans;
use crate::runtime::log;
use serde_json::{Map, Value as Json, json};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;

/// What is done with a plan.
pub(super) enum Mode {
    /// It is printed.
    Show,
    /// It is printed and asked for; without a terminal nobody can be asked.
    Ask,
    /// The stored plan of this digest is carried out.
    Apply(String),
    /// It is printed, and carried out if it is on one of the two lower rungs.
    Yes,
    /// It is printed and carried out.
    Execute,
}

/// What an undo file says it is.
const FORMAT: &str = "mqdeck-undo-1";

/// Plans a request and does with the plan what the mode says.
pub(super) async fn run(gateway: &Gateway, request: Request, mode: &Mode, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut out = Out::new();
    let change = match mode {
        Mode::Apply(digest) => stored(gateway, &request, digest).await?,
        _ => {
            let change = gateway.plan(request).await?;
            show(&mut out, &change, as_json)?;
            out.flush()?;
            change
        }
    };
    if let Some(refused) = &change.refused {
        return Err(refused.clone().into());
    }
    if matches!(mode, Mode::Show) {
        plans()?.store(gateway, &change)?;
        return Ok(ExitCode::SUCCESS);
    }
    let plan = Plan::Change(Arc::new(change.clone()));
    // Before anybody is asked: what would be refused is not worth a question.
    gateway.passes(&plan)?;
    match mode {
        Mode::Ask if gateway.safety.asks(plan.risk()) => {
            if !output::can_answer() {
                let cause = "cannot ask: not a terminal; nothing was changed";
                let fault = usage(change.request.spec.id, &change.request.address.to_string(), cause);
                return Err(fault.next("keep the plan with --plan, and carry it out with --apply DIGEST").into());
            }
            if !asked(&plan).await? {
                output::note("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
        }
        Mode::Yes => may_answer_yes(gateway, &plan)?,
        Mode::Show | Mode::Ask | Mode::Apply(_) | Mode::Execute => {}
    }
    let code = apply(gateway, change, &mut out, as_json).await?;
    if let Mode::Apply(digest) = mode {
        plans()?.remove(digest);
    }
    Ok(code)
}

/// `--yes` answers what is confirmed by `y` or by a number; what destroys is confirmed by a person, or carried out as a stored plan.
fn may_answer_yes(gateway: &Gateway, plan: &Plan) -> Result<(), Fault> {
    let refused = |cause: &str, next: &str| {
        Err(Fault::new(Kind::Forbidden, plan.spec().id, plan.address().to_string(), format!("{cause}; nothing was changed")).next(next))
    };
    if plan.risk() == Risk::Destroy {
        return refused("--yes does not answer for what destroys", "keep the plan with --plan, and carry it out with --apply DIGEST");
    }
    if gateway.safety.production && !gateway.is_armed() {
        return refused("--yes answers on production only with --arm", "add --arm PROFILE");
    }
    Ok(())
}

/// The stored plan of a digest, looked at again; it must be what is asked for.
async fn stored(gateway: &Gateway, request: &Request, digest: &str) -> Result<Change, Fault> {
    let change = plans()?.load(gateway, digest).await?;
    if change.request != *request {
        let Request { spec, address, .. } = &change.request;
        let cause = format!("plan {digest} is another one: {} {address}", spec.id);
        return Err(usage(request.spec.id, &request.address.to_string(), cause).next("nothing was changed: give what was planned"));
    }
    gateway.recheck(&change).await?;
    Ok(change)
}

fn plans() -> Result<Plans, Fault> {
    let folder = log::folder().ok_or_else(|| usage("store", "plan", "this machine has no state directory").next("set MQDECK_STATE_DIR"))?;
    Ok(Plans::within(&folder))
}

async fn apply(gateway: &Gateway, change: Change, out: &mut Out, as_json: bool) -> anyhow::Result<ExitCode> {
    // Kept before anything is changed: whatever becomes of us, there is a way back.
    let kept = keep(gateway, &change)?;
    let (operation, address, digest) = (change.request.spec.id, change.request.address.to_string(), change.digest());
    let outcome = {
        let mut carried = pin!(gateway.execute(Plan::Change(Arc::new(change))));
        tokio::select! {
            biased;
            outcome = &mut carried => outcome,
            () = gateway.caller().stop().cancelled() => {
                output::note("what was begun is finished first");
                carried.await
            }
        }
    };
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(fault) => {
            if let Some(path) = kept.filter(|_| !fault.kind.is_transient()) {
                // Nothing was changed: there is nothing to take back.
                let _ = fs::remove_file(path);
            }
            return Err(fault.into());
        }
    };
    let PartCounts { done, failed } = outcome.counts();
    let parts = outcome.done.unwrap_or_default().parts;
    for (part, result) in &parts {
        if as_json {
            let (said, error) = (result.as_ref().ok(), result.as_ref().err());
            let (said, error) = (known(said.map(SafeText::as_str)), known(error.map(ToString::to_string)));
            out.json(&json!({ "operation": operation, "address": address, "part": part.as_str(), "said": said, "error": error }))?;
        } else if let Ok(said) = result {
            out.line(format!("{part}: {said}"))?;
        }
    }
    let path = kept.as_ref().map(|path| path.to_string_lossy().into_owned());
    if as_json {
        let object =
            json!({ "operation": operation, "address": address, "plan": digest, "done": done, "failed": failed, "undo": known(path) });
        out.json(&object)?;
    } else if let Some(path) = path {
        out.line(format!("to undo this: mqdeck manage undo {path}"))?;
    }
    out.flush()?;
    for fault in parts.iter().filter_map(|(_, result)| result.as_ref().err()) {
        output::note(fault.to_string());
    }
    let first = parts.iter().find_map(|(_, result)| result.as_ref().err());
    Ok(match first {
        None => ExitCode::SUCCESS,
        Some(_) if done > 0 => ExitCode::FAILURE,
        Some(fault) => ExitCode::from(fault.kind.exit_code()),
    })
}

/// The plan, for people or as one object.
fn show(out: &mut Out, change: &Change, as_json: bool) -> std::io::Result<()> {
    if as_json {
        return out.json(&object(change));
    }
    let Request { spec, address, .. } = &change.request;
    out.line(format!("{} {address}: {}", spec.id, change.summary))?;
    for table in &change.tables {
        out.line("")?;
        out.line(table.title)?;
        out.table(&table.columns, table.rows.clone())?;
    }
    out.line("")?;
    if change.touches != Amount::Exactly(0) {
        out.line(format!("touches {}", change.touches.several("message")))?;
    }
    for note in &change.notes {
        out.line(format!("note: {note}"))?;
    }
    if let Some(refused) = &change.refused {
        out.line(format!("refused: {refused}"))?;
    }
    if let Some(undo) = &change.undo {
        out.line(format!("can be undone by {}", undo.spec.id))?;
    }
    out.line(format!("plan {}", change.digest()))
}

fn object(change: &Change) -> Json {
    let table = |table: &crate::domain::channel::Table| {
        let row = |row: &Vec<SafeText>| table.columns.iter().zip(row).map(|(c, v)| ((*c).to_owned(), v.as_str().into())).collect();
        json!({ "title": table.title, "rows": table.rows.iter().map(row).collect::<Vec<Map<String, Json>>>() })
    };
    let bound = match change.touches {
        Amount::Unknown => None,
        Amount::Exactly(_) => Some("exactly"),
        Amount::AtMost(_) => Some("at most"),
        Amount::AtLeast(_) => Some("at least"),
    };
    let mut object = asked_for(&change.request);
    object["plan"] = change.digest().into();
    object["risk"] = change.risk.word().into();
    object["summary"] = change.summary.as_str().into();
    object["touches"] = known(change.touches.number());
    object["touches_bound"] = known(bound);
    object["tables"] = change.tables.iter().map(table).collect();
    object["notes"] = change.notes.iter().map(SafeText::as_str).collect();
    object["refused"] = known(change.refused.as_ref().map(ToString::to_string));
    object["undo"] = known(change.undo.as_ref().map(asked_for));
    object
}

/// A request as files and lines write it.
fn asked_for(request: &Request) -> Json {
    let arguments: Map<_, _> = request.arguments.iter().map(|(id, value)| (id.clone(), value.as_str().into())).collect();
    json!({ "operation": request.spec.id, "address": request.address.to_string(), "arguments": arguments })
}

/// Asks for what the plan's risk demands.
pub(super) async fn asked(plan: &Plan) -> anyhow::Result<bool> {
    let rung = Rung::of(plan);
    let question = match rung.wanted() {
        None => "carry it out? [y/N] ".to_owned(),
        Some(_) => match &rung {
            Rung::Count { what, .. } => format!("to carry it out, type the number of {what}: "),
            _ => "to carry it out, type the address: ".to_owned(),
        },
    };
    let typed = output::ask(question).await?.unwrap_or_default();
    if rung.wanted().is_none() {
        return Ok(matches!(typed.trim(), "y" | "Y" | "yes"));
    }
    if let Err(wrong) = rung.check(&typed) {
        output::note(wrong);
        return Ok(false);
    }
    Ok(true)
}

/// Writes the file that takes a change back, readable by its owner alone; `None` if nothing does.
fn keep(gateway: &Gateway, change: &Change) -> Result<Option<PathBuf>, Fault> {
    let Some(undo) = &change.undo else { return Ok(None) };
    let failed = |path: &Path, error: std::io::Error| {
        let fault = Fault::new(Kind::Rejected, "write", path.to_string_lossy().into_owned(), error.to_string());
        fault.next("nothing was done: without this file the change could not be undone")
    };
    let folder = log::folder().map(|folder| folder.join("undo"));
    let folder = folder.ok_or_else(|| usage("write", "undo file", "this machine has no state directory").next("set MQDECK_STATE_DIR"))?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| failed(&folder, error))?;
    let now = jiff::Timestamp::now();
    let name = format!("{}-{}-{}.json", now.strftime("%Y%m%dT%H%M%S%3fZ"), change.request.spec.id, change.digest());
    let path = folder.join(name);
    let mut object = asked_for(undo);
    object["format"] = FORMAT.into();
    object["made"] = now.to_string().into();
    object["profile"] = (&*gateway.profile.name).into();
    object["undoes"] = json!({ "plan": change.digest(), "operation": change.request.spec.id, "summary": change.summary.as_str() });
    let write = || {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        file.write_all(format!("{object:#}\n").as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| failed(&path, error))?;
    Ok(Some(path))
}

/// Reads the request of an undo file. It has to be of the same profile: integrations of others may have the same names.
pub(super) async fn undo(gateway: &Gateway, path: &Path) -> Result<Request, Fault> {
    let shown = path.to_string_lossy();
    let wrong = |cause: String| usage("read", &shown, cause);
    let text = fs::read_to_string(path).map_err(|error| super::unreadable(&shown, &error))?;
    let object: Json = serde_json::from_str(&text).map_err(|error| wrong(format!("it is no undo file: {error}")))?;
    let field = |name: &str| object[name].as_str().ok_or_else(|| wrong(format!("it is no undo file: it has no {name}")));
    if field("format")? != FORMAT {
        return Err(wrong(format!("it is no undo file of this version: {}", field("format")?)));
    }
    let (made_with, profile) = (field("profile")?, &*gateway.profile.name);
    if made_with != profile {
        return Err(
            wrong(format!("it was made with profile {made_with}, and this is {profile}")).next(format!("add --profile {made_with}"))
        );
    }
    let address = field("address")?.parse().map_err(wrong)?;
    let spec: &'static OperationSpec = gateway.operation(&address, field("operation")?).await?;
    if let (Some(operation), Some(made)) = (object["undoes"]["operation"].as_str(), object["made"].as_str()) {
        output::note(format!("this undoes {operation} of {made}"));
    }
    let arguments = object["arguments"].as_object().into_iter().flatten();
    let arguments = arguments.map(|(id, value)| (id.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    Ok(Request { spec, address, arguments })
}
