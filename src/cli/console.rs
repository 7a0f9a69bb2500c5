//! The console itself: what it opens first and how it looks.

use super::{Connection, Look, output, usage};
use crate::domain::fault::Fault;
use crate::runtime::{self, First};
use crate::ui::theme::{Depth, Theme};
use std::process::ExitCode;

pub(super) async fn run(connection: &Connection, look: &Look) -> anyhow::Result<ExitCode> {
    open(connection, look, connection.first()?).await
}

/// Runs the console in this terminal.
pub(super) async fn open(connection: &Connection, look: &Look, first: First) -> anyhow::Result<ExitCode> {
    if !(output::can_answer() && output::is_terminal()) {
        return Err(usage("start", "console", "standard input and output are no terminal")
            .next("`mqdeck --help` lists the commands for scripts")
            .into());
    }
    if std::env::var("TERM").as_deref() == Ok("dumb") {
        let cause = "TERM is `dumb`: this terminal cannot place what is drawn";
        return Err(usage("start", "console", cause).next("use another terminal, or the commands of `mqdeck --help`").into());
    }
    not_armed_at_start(connection)?;
    Box::pin(runtime::console(connection.opener()?, theme(look)?, first)).await?;
    Ok(ExitCode::SUCCESS)
}

/// In the console somebody arms who sees what is there, and for a time.
pub(super) fn not_armed_at_start(connection: &Connection) -> Result<(), Fault> {
    match &connection.arm {
        Some(name) => Err(usage("arm", name, "--arm is for single commands").next("press `!` in the console")),
        None => Ok(()),
    }
}

/// The theme that was asked for, in the colours that the terminal has.
fn theme(look: &Look) -> anyhow::Result<Theme> {
    let depth = depth();
    let name = look.theme.as_deref().unwrap_or(if depth == Depth::None { "mono" } else { "dark" });
    Ok(named(name, depth, look.ascii || !is_utf8())?)
}

/// A theme by its name, or by the path of its file.
pub(super) fn named(name: &str, depth: Depth, ascii: bool) -> Result<Theme, Fault> {
    if name.contains(['/', '.']) {
        let text = std::fs::read_to_string(name).map_err(|e| super::unreadable(name, &e))?;
        return Theme::read(name, &text, depth, ascii).map_err(|e| usage("read theme", name, e.to_string()));
    }
    let known = || {
        usage("choose theme", name, "there is no such theme").next(format!("there are: {}", Theme::names().collect::<Vec<_>>().join(", ")))
    };
    Theme::named(name, depth, ascii).ok_or_else(known)
}

/// How many colours the terminal has, by its environment alone: it is never asked.
fn depth() -> Depth {
    let variable = |name| std::env::var(name).unwrap_or_default();
    let (terminal, colours) = (variable("TERM"), variable("COLORTERM"));
    match () {
        () if !variable("NO_COLOR").is_empty() => Depth::None,
        () if colours == "truecolor" || colours == "24bit" => Depth::True,
        () if terminal.contains("256color") => Depth::Ansi256,
        () => Depth::Ansi16,
    }
}

/// Whether the locale says UTF-8; without a locale it is assumed.
fn is_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    locale.is_none_or(|l| {
        let l = l.to_ascii_lowercase();
        l.contains("utf-8") || l.contains("utf8")
    })
}
