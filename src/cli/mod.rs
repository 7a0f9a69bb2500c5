//! The command line: one file a command. Every command asks the gateway, as the console does.

mod change;
mod channels;
mod console;
mod demo;
mod dlq;
mod find;
mod follow;
mod groups;
mod lag;
mod manage;
mod manual;
mod output;
mod peek;
mod play;
pub mod profile;
mod publish;
mod receive;
mod rpc;
mod status;
mod tail;

use crate::config::load::Context;
use crate::config::store::Store;
use crate::domain::fault::{self, Fault, Kind};
use crate::domain::position::Range;
use crate::domain::redact;
use crate::domain::text::SafeText;
use crate::gateway::{Access, Gateway};
use crate::runtime::{First, Opener, environment, systems};
use clap::{Args, Parser, Subcommand};
use output::Out;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

/// One terminal console for all the message traffic an operations team runs.
#[derive(Debug, Parser)]
#[command(name = "mqdeck", version, about, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub connection: Connection,
    #[command(flatten)]
    pub look: Look,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The environment variable that names the profile.
const PROFILE: &str = "MQDECK_PROFILE";

const EXIT_CODES: &str =
    "Without a command: the console.\n\nExit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 unreachable, 5 assertion or alert.";

/// What to connect to.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// Profile: a name in the configuration folder or a path; without it and --url, what the environment variable `MQDECK_PROFILE` says.
    #[arg(long, global = true, value_name = "NAME|PATH", conflicts_with = "url")]
    pub profile: Option<String>,
    /// Connects without a profile: `kafka://host:9092`.
    #[arg(long, global = true, value_name = "URL")]
    pub url: Option<String>,
    /// Refuses everything that changes something.
    #[arg(long, global = true)]
    pub read_only: bool,
    /// Arms a production profile, or what destroys, for this one command: the profile's name, typed.
    #[arg(long, global = true, value_name = "PROFILE", conflicts_with = "read_only")]
    pub arm: Option<String>,
    /// Value of a `${var.name}` of the profile; may be repeated.
    #[arg(long = "var", global = true, value_name = "NAME=VALUE")]
    pub variables: Vec<String>,
    /// For whom: nothing that is typed.
    #[arg(skip)]
    pub access: Access,
}

/// How the console looks.
#[derive(Args, Clone, Debug, Default)]
pub struct Look {
    /// Theme: dark, light, high-contrast, colour-blind, mono, or a path.
    #[arg(long, global = true, value_name = "THEME")]
    pub theme: Option<String>,
    /// Draws without Unicode.
    #[arg(long, global = true)]
    pub ascii: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The console on embedded systems with live traffic; no network, no set-up.
    Demo(demo::Demo),
    /// Integrations: state, latency, errors.
    Status(status::Status),
    /// Channels with depth, size and rates.
    Channels(channels::Channels),
    /// Messages, live or from history, one line each.
    Tail(tail::Tail),
    /// How far groups are behind, with a verdict and a time; assertions on it.
    Lag(lag::Lag),
    /// Looks for messages in history, at the speed of the wire.
    Find(find::Find),
    /// Every message with the same correlation, trace or message id, from all integrations.
    Follow(follow::Follow),
    /// Publishes a message, or one a line.
    Publish(publish::Publish),
    /// Takes messages of a queue and decides on them: ack, requeue, reject. What is not decided on goes back.
    Receive(receive::Receive),
    /// Looks at the first messages of a queue; they stay there. What that does to them is said first.
    Peek(peek::Peek),
    /// Calls whoever answers on a channel.
    Rpc(rpc::Rpc),
    /// Puts a group's positions elsewhere, and back.
    Groups(groups::Groups),
    /// Dead letters: where they lie, what they died of, and what will lose them.
    Dlq(dlq::Dlq),
    /// What can be done to a system itself: topics created, configured, purged, deleted; groups reset and deleted.
    Manage(manage::Manage),
    /// The profiles there are, what they say, and what is wrong with them.
    Profile(profile::Args),
    /// Drives the console by a script, without a terminal; frames as text and SVG.
    Play(play::Play),
    /// Completions for a shell, on standard output.
    Completions(manual::Completions),
    /// The manual page, on standard output.
    Man(manual::Man),
}

/// The command line as it was typed; what is wrong with it is printed, and its exit code given back.
///
/// # Errors
/// The exit code: of a mistake, or of help and version, which are answers.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|answer| {
        // A mistake repeats what was typed, which may have been pasted or hold a password: then it is told of the same words with marks.
        let typed: Vec<OsString> = std::env::args_os().collect();
        let mark = |word: &OsString| redact::log_ins(SafeText::from_bytes(word.as_bytes()).as_str()).into_owned().into();
        let marked: Vec<OsString> = typed.iter().map(mark).collect();
        let code = ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        if typed == marked {
            output::answer(&answer);
        } else {
            output::answer_plainly(&Cli::try_parse_from(marked).err().unwrap_or(answer));
        }
        code
    })
}

/// Runs what the command line asks for; without a command, the console. The fault, if there is one, has not been printed yet.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { connection, look, command } = cli;
    let Some(command) = command else { return console::run(&connection, &look).await };
    match command {
        Command::Demo(demo) => demo.run(&connection, &look).await,
        Command::Status(status) => status.run(&connection).await,
        Command::Channels(channels) => channels.run(&connection).await,
        Command::Tail(tail) => tail.run(&connection).await,
        Command::Lag(lag) => lag.run(&connection).await,
        Command::Find(find) => find.run(&connection).await,
        Command::Follow(follow) => follow.run(&connection).await,
        Command::Publish(publish) => publish.run(&connection).await,
        Command::Receive(receive) => receive.run(&connection).await,
        Command::Peek(peek) => peek.run(&connection).await,
        Command::Rpc(rpc) => rpc.run(&connection).await,
        Command::Groups(groups) => groups.run(&connection).await,
        Command::Dlq(dlq) => dlq.run(&connection).await,
        Command::Manage(manage) => manage.run(&connection).await,
        Command::Profile(args) => profile(&args, &connection),
        Command::Play(play) => play.run(&connection, &look).await,
        Command::Completions(completions) => completions.run(),
        Command::Man(_) => manual::Man::run(),
    }
}

/// Looks at profiles; the only command that connects to nothing.
fn profile(args: &profile::Args, connection: &Connection) -> anyhow::Result<ExitCode> {
    let (opener, systems) = (connection.opener()?, systems());
    let context = Context { systems: &systems, env: &environment, vars: &opener.variables };
    let mut out = Out::new();
    let code = profile::run(args, connection.chosen()?.as_deref(), &Store::open(&environment)?, context, &mut out)?;
    out.flush()?;
    Ok(ExitCode::from(code))
}

impl Connection {
    /// The profile that was asked for: by the option, else by the environment unless another option says what to connect to. An empty
    /// variable is as if it were not set.
    fn chosen(&self) -> Result<Option<String>, Fault> {
        if self.profile.is_some() || self.url.is_some() {
            return Ok(self.profile.clone());
        }
        let name = std::env::var_os(PROFILE).filter(|name| !name.is_empty()).map(OsString::into_string).transpose();
        name.map_err(|_| usage("find profile", PROFILE, "the environment variable is not UTF-8").next("give the path with --profile"))
    }

    /// What the console opens first.
    fn first(&self) -> Result<First, Fault> {
        Ok(match (self.chosen()?, &self.url) {
            (Some(profile), _) => First::Profile(profile),
            (None, Some(url)) => First::Url(url.clone()),
            (None, None) => First::Nothing,
        })
    }

    fn access(&self) -> Access {
        Access { read_only: self.read_only, ..self.access.clone() }
    }

    /// Waits for the end: Ctrl-C, or a request to end.
    async fn stopped(&self) {
        self.access.caller.stop().cancelled().await;
    }

    fn is_stopped(&self) -> bool {
        self.access.caller.stop().is_cancelled()
    }

    /// What work comes to; `None` if the end came first. Work that is polled in the moment of the end fails by it, which is the same.
    async fn unless_stopped<T, E>(&self, work: impl Future<Output = Result<T, E>>) -> Option<Result<T, E>> {
        tokio::select! {
            biased;
            () = self.stopped() => None,
            result = work => Some(result).filter(|result| result.is_ok() || !self.is_stopped()),
        }
    }

    fn opener(&self) -> Result<Opener, Fault> {
        let pair = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            // It is not repeated: a name that was forgotten leaves the value, which may be a secret.
            _ => Err(usage("read", "--var", "it is not NAME=VALUE").next("write --var NAME=VALUE")),
        };
        let variables = self.variables.iter().map(pair).collect::<Result<_, _>>()?;
        Ok(Opener::new(self.access(), variables))
    }

    /// Opens what `--profile` or `--url` names.
    fn open(&self) -> Result<Gateway, Fault> {
        let opener = self.opener()?;
        let profile = match (self.chosen()?, &self.url) {
            (Some(profile), _) => opener.path(&profile)?,
            (None, Some(url)) => opener.url(url)?,
            (None, None) => {
                return Err(
                    usage("connect", "", "neither a profile nor a URL is given").next("add --profile NAME or --url kafka://HOST:9092")
                );
            }
        };
        if profile.integrations.is_empty() {
            let cause = "it has no integration: there is nothing to connect to";
            return Err(usage("open profile", &profile.name, cause).next("write integration \"NAME\" { … } into it"));
        }
        let gateway = Gateway::open_as(self.access(), profile);
        if let Some(name) = &self.arm {
            gateway.arm(name, None)?;
        }
        Ok(gateway)
    }
}

/// Prints what went wrong and chooses the exit code of PRODUCT section 4. A reader that closed the pipe is no error.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    let code = error.downcast_ref::<Fault>().map_or(1, |fault| fault.kind.exit_code());
    match error.downcast_ref::<std::io::Error>() {
        Some(error) => output::note(format!("write standard output: {error} (is the disk full, or the file gone?)")),
        None => output::note(error.to_string()),
    }
    ExitCode::from(code)
}

/// A file that the command line names and that cannot be read.
fn unreadable(path: &str, error: &std::io::Error) -> Fault {
    let (cause, next) = fault::unreadable(error);
    usage("read", path, cause).next(next)
}

/// A number of things.
fn count(text: &str) -> Result<u64, String> {
    text.replace('_', "").parse().map_err(|_| format!("`{text}` is not a whole number: write for example 500"))
}

/// Refuses a range that can hold nothing.
fn forwards(op: &'static str, range: Range) -> Result<(), Fault> {
    if range.is_backwards() {
        let cause = "nothing can lie between these ends";
        return Err(usage(op, &format!("{} until {}", range.start, range.end), cause).next("the first one has to come before the second"));
    }
    Ok(())
}

/// A length of time as it was typed.
fn duration(op: &'static str, text: &str) -> Result<std::time::Duration, Fault> {
    let wrong = |cause: String| usage(op, text, cause);
    crate::domain::time::parse_duration(text).map_err(wrong)?.try_into().map_err(|_| wrong("it is negative".to_owned()))
}

/// `FIELD=VALUE` as it was typed.
fn argument(op: &'static str, text: &str) -> Result<(String, String), Fault> {
    match text.split_once('=') {
        Some((id, value)) if !id.is_empty() => Ok((id.to_owned(), value.to_owned())),
        _ => Err(usage(op, text, "a field is written FIELD=VALUE")),
    }
}

/// A mistake on the command line.
fn usage(op: &'static str, what: &str, cause: impl Into<crate::domain::text::SafeText>) -> Fault {
    Fault::new(Kind::Usage, op, what, cause)
}

#[cfg(test)]
mod tests;
