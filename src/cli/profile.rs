//! `mqdeck profile ls | show | check`: which profiles there are, what one finally says and where, and everything that is wrong with it.

use super::output::{self, Out};
use crate::config::load::{Context, Loaded};
use crate::config::profile::{Auth, Integration, ScramMechanism, Seed, TlsVersion, TokenSource};
use crate::config::source::{Origin, Problems, setting_at};
use crate::config::store::{self, Store};
use crate::domain::fault::Fault;
use crate::domain::figure;
use crate::domain::safety::Safety;
use crate::domain::text::SafeText;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// Looks at profiles; connects to nothing.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// One JSON object a line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// The profiles there are, and whether each can be read
    Ls,
    /// What a profile says after variables and defaults, and which line says it; secrets as ***
    Show {
        /// A name or a path; without it --profile or `MQDECK_PROFILE`
        #[arg(value_name = "NAME|PATH")]
        name: Option<String>,
    },
    /// Everything that is wrong with a profile
    Check {
        /// Fails with 1 if anything is noted: a file that cannot be read, a setting that does nothing
        #[arg(long)]
        strict: bool,
        /// A name or a path; without it --profile or `MQDECK_PROFILE`
        #[arg(value_name = "NAME|PATH")]
        name: Option<String>,
    },
}

/// One setting as it finally is.
struct Row {
    /// Empty for what belongs to the whole profile.
    integration: String,
    setting: String,
    value: SafeText,
    /// Where it stands; `None` for a default.
    origin: Option<Origin>,
}

impl Row {
    /// Where the value came from: `default`, `prod.hcl:9`, `prod.hcl:9, environment PW`. Without a file's name only what was filled in.
    fn from(&self, file: Option<&str>) -> String {
        let Some(origin) = &self.origin else { return "default".to_owned() };
        let place = file.map(|file| format!("{}:{}", SafeText::new(file), origin.line));
        let filled = origin.filled.iter().map(|what| SafeText::new(what).to_string());
        let all: Vec<String> = place.into_iter().chain(filled).collect();
        if all.is_empty() { "file".to_owned() } else { all.join(", ") }
    }
}

/// Runs the command and writes its answer; the result is the exit code. `chosen` is what `--profile` or `MQDECK_PROFILE` says.
///
/// # Errors
/// The output cannot be written.
pub fn run(args: &Args, chosen: Option<&str>, store: &Store, context: Context<'_>, out: &mut Out<impl Write>) -> io::Result<u8> {
    match &args.command {
        Command::Ls => list(store, context, args.json, out).map(|()| 0),
        Command::Show { name } => match find(name.as_deref().or(chosen), store) {
            Ok(path) => match store::load(&path, context) {
                Ok(Loaded { stranger: Some(fault), .. }) => refuse(&fault, args.json, out),
                Ok(loaded) => show(&loaded, args.json, out).map(|()| 0),
                Err(problems) => report(&path, &problems, args.json, out),
            },
            Err(fault) => refuse(&fault, args.json, out),
        },
        Command::Check { name, strict } => match find(name.as_deref().or(chosen), store) {
            Ok(path) => match store::load(&path, context) {
                Ok(Loaded { stranger: Some(fault), .. }) => refuse(&fault, args.json, out),
                Ok(loaded) => fine(&path, &loaded, args.json, out).map(|()| u8::from(*strict && !loaded.notes.is_empty())),
                Err(problems) => report(&path, &problems, args.json, out),
            },
            Err(fault) => refuse(&fault, args.json, out),
        },
    }
}

fn find(given: Option<&str>, store: &Store) -> Result<std::path::PathBuf, Fault> {
    use crate::domain::fault::Kind;
    let none = || Fault::new(Kind::Usage, "find profile", "", "none was named").next("give a name or a path; mqdeck profile ls shows them");
    store.find(given.ok_or_else(none)?)
}

fn list(store: &Store, context: Context<'_>, json: bool, out: &mut Out<impl Write>) -> io::Result<()> {
    let entries = store.list();
    if entries.is_empty() && !json {
        return out.line(format!("no profiles in {}", store.folder().display()));
    }
    let mut table = vec![["profile", "integrations", "state", "path"].map(str::to_owned)];
    for entry in entries {
        let path = SafeText::new(&entry.path.display().to_string());
        let (count, fault) = match store::load(&entry.path, context) {
            Ok(loaded) => (Some(loaded.profile.integrations.len()), None),
            Err(problems) => (None, Some(Fault::from(problems).to_string())),
        };
        if json {
            let line = json!({"profile": entry.name, "path": entry.path, "integrations": count, "error": fault});
            out.json(&line)?;
        } else {
            let state = fault.map_or_else(|| "ok".to_owned(), |fault| SafeText::from(fault).to_string());
            table.push([SafeText::from(entry.name).to_string(), count.map_or("–".to_owned(), |n| n.to_string()), state, path.to_string()]);
        }
    }
    if json { Ok(()) } else { columns(out, &table) }
}

fn show(loaded: &Loaded, json: bool, out: &mut Out<impl Write>) -> io::Result<()> {
    let rows = rows(loaded);
    if json {
        for row in rows {
            let integration = (!row.integration.is_empty()).then_some(&row.integration);
            let line = json!({
                "profile": &*loaded.profile.name, "integration": integration, "setting": row.setting, "value": row.value.as_str(),
                "line": row.origin.as_ref().map(|origin| origin.line), "from": row.from(None),
            });
            out.json(&line)?;
        }
        return Ok(());
    }
    let path = loaded.profile.path.as_deref().unwrap_or(Path::new("--url")).display().to_string();
    let file = loaded.profile.path.as_deref().and_then(Path::file_name).map_or_else(|| path.clone(), |name| name.display().to_string());
    out.line(format!("{}  {path}", loaded.profile.name))?;
    for group in rows.chunk_by(|a, b| a.integration == b.integration) {
        if !group[0].integration.is_empty() {
            out.line("")?;
            out.line(group[0].integration.as_str())?;
        }
        let table: Vec<[String; 3]> =
            group.iter().map(|row| [format!("  {}", SafeText::new(&row.setting)), row.value.to_string(), row.from(Some(&file))]).collect();
        columns(out, &table)?;
    }
    notes(loaded, out)
}

fn fine(path: &Path, loaded: &Loaded, json: bool, out: &mut Out<impl Write>) -> io::Result<()> {
    if json {
        let notes: Vec<Value> = loaded.notes.iter().map(|note| json!({"line": note.line, "text": note.text.as_str()})).collect();
        return out
            .json(&json!({"path": path, "ok": true, "integrations": loaded.profile.integrations.len(), "problems": [], "notes": notes}));
    }
    let count = loaded.profile.integrations.len();
    out.line(format!("{}: ok, {}", path.display(), figure::several(count as u64, "integration")))?;
    notes(loaded, out)
}

fn notes(loaded: &Loaded, out: &mut Out<impl Write>) -> io::Result<()> {
    if !loaded.notes.is_empty() {
        out.line("")?;
    }
    for note in &loaded.notes {
        out.line(format!("note: line {}: {}", note.line, note.text))?;
    }
    Ok(())
}

/// The problems of a file: exit code 2, as for every wrong word on the command line.
fn report(path: &Path, problems: &Problems, json: bool, out: &mut Out<impl Write>) -> io::Result<u8> {
    if json {
        let list: Vec<Value> = problems
            .0
            .iter()
            .map(|p| json!({"line": p.line, "column": p.column, "message": p.message.as_str(), "help": p.help.as_str()}))
            .collect();
        out.json(&json!({"path": path, "ok": false, "integrations": null, "problems": list, "notes": []}))?;
    } else {
        let count = problems.0.len();
        out.lines(&format!("{problems}\n\n{}", figure::several(count as u64, "problem")))?;
    }
    Ok(2)
}

fn refuse(fault: &Fault, json: bool, out: &mut Out<impl Write>) -> io::Result<u8> {
    if json {
        out.json(&json!({"ok": false, "error": fault.to_string()}))?;
    } else {
        output::note(fault.to_string());
    }
    Ok(fault.kind.exit_code())
}

/// Left-aligned columns, two blanks apart; the last one is not padded.
fn columns<const N: usize>(out: &mut Out<impl Write>, rows: &[[String; N]]) -> io::Result<()> {
    let width = |at: usize| rows.iter().map(|row| row[at].width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if at + 1 < N {
                line.push_str(&" ".repeat(widths[at] - cell.width() + 2));
            }
        }
        out.line(line.trim_end())?;
    }
    Ok(())
}

fn rows(loaded: &Loaded) -> Vec<Row> {
    let Safety { mode, production, arm_for } = loaded.profile.safety;
    let row = |name: &str, value: String| Row {
        integration: String::new(),
        setting: name.into(),
        value: value.into(),
        origin: loaded.origins.get(&format!("safety.{name}")).cloned(),
    };
    let mut rows = vec![
        row("mode", mode.word().to_owned()),
        row("production", if production { "yes" } else { "no" }.to_owned()),
        row("arm_for", duration(arm_for)),
    ];
    for integration in &loaded.profile.integrations {
        rows.extend(Rows { loaded, integration, found: Vec::new() }.collect());
    }
    rows
}

/// The rows of one integration, in the order of its blocks.
struct Rows<'a> {
    loaded: &'a Loaded,
    integration: &'a Integration,
    found: Vec<Row>,
}

impl Rows<'_> {
    fn collect(mut self) -> Vec<Row> {
        let integration = self.integration;
        self.push("type", &["type"], integration.system.clone());
        let brokers = ["address", "addresses", "brokers"].map(|name| format!("endpoint.{name}"));
        let [a, b, c] = &brokers;
        let said = [a.as_str(), b, c, "config.brokers", "config.librdkafka"];
        self.push("address", &said, integration.endpoint.addresses.join(", "));
        self.tls();
        self.auth();
        self.push("timeout", &["timeout"], duration(integration.timeout));
        for (name, setting) in &integration.settings {
            // Any of them may be a secret of a system that is not known here.
            let value = if is_secret(name) { "***".to_owned() } else { setting.value.expose().to_owned() };
            let known =
                name.split_once('.').filter(|(scope, _)| ["producer", "consumer"].contains(scope)).map_or(name.as_str(), |(_, rest)| rest);
            let origin = self.loaded.origins.get(&setting_at(setting.line, known)).cloned();
            self.at(&format!("config {name}"), value, origin.or_else(|| Some(Origin { line: setting.line, filled: Vec::new() })));
        }
        for pattern in &integration.channels {
            let tenant = if pattern.tenant.is_some() { " (tenant is what * stands for)" } else { "" };
            let formats: Vec<&str> = pattern.prefer.iter().map(|format| format.id()).collect();
            let prefer = if formats.is_empty() { String::new() } else { format!(" (payloads are {})", formats.join(", else ")) };
            self.push("channels", &["channels", "config.consumer.topics"], format!("{}{tenant}{prefer}", pattern.pattern));
        }
        self.resilience();
        self.found
    }

    fn tls(&mut self) {
        let said = ["endpoint.tls", "config.security", "endpoint.address"];
        let Some(tls) = &self.integration.endpoint.tls else {
            self.push("tls", &["endpoint.tls"], "off");
            return;
        };
        self.push("tls", &said, "on");
        let verify = if tls.verify_server { "yes" } else { "NO: anybody may answer" };
        self.push("tls verify_server", &["endpoint.tls.verify_server", "endpoint.tls.verify_peer"], verify);
        let ca = tls.ca_cert.as_ref().map_or_else(|| "the machine's own".to_owned(), |path| path.display().to_string());
        self.push("tls ca_cert", &["endpoint.tls.ca_cert", "endpoint.tls.ca", "config.security.ssl_ca_location"], ca);
        if let Some((cert, key)) = &tls.client {
            self.push(
                "tls client_cert",
                &["endpoint.tls.client_cert", "endpoint.tls.cert", "auth.client_cert"],
                cert.display().to_string(),
            );
            self.push("tls client_key", &["endpoint.tls.client_key", "endpoint.tls.key", "auth.client_key"], key.display().to_string());
        }
        if let Some(name) = &tls.server_name {
            self.push("tls server_name", &["endpoint.tls.server_name"], name.clone());
        }
        let version = if tls.min_version == TlsVersion::V1_3 { "1.3" } else { "1.2" };
        self.push("tls min_version", &["endpoint.tls.min_version"], version);
    }

    fn auth(&mut self) {
        let (kind, more): (&str, Vec<(&str, String)>) = match &self.integration.auth {
            Auth::None => ("none", Vec::new()),
            Auth::Basic { username, .. } => ("basic", vec![("username", username.clone()), ("password", "***".into())]),
            Auth::Scram { mechanism, username, .. } => {
                let mechanism = if *mechanism == ScramMechanism::Sha256 { "SCRAM-SHA-256" } else { "SCRAM-SHA-512" };
                ("scram", vec![("mechanism", mechanism.into()), ("username", username.clone()), ("password", "***".into())])
            }
            Auth::Nkey(Seed::Fixed(_)) => ("nkey", vec![("seed", "***".into())]),
            Auth::Nkey(Seed::File(path)) => ("nkey", vec![("seed_file", path.display().to_string())]),
            Auth::Creds(path) => ("creds", vec![("file", path.display().to_string())]),
            Auth::Token(TokenSource::Fixed(_)) => ("bearer", vec![("token", "***".into())]),
            Auth::Token(TokenSource::File(path)) => ("bearer", vec![("token_file", path.display().to_string())]),
            Auth::Token(TokenSource::ClientCredentials { token_url, client_id, scopes, .. }) => (
                "oauth2",
                vec![
                    ("token_url", token_url.split('?').next().unwrap_or_default().to_owned()),
                    ("client_id", client_id.clone()),
                    ("client_secret", "***".into()),
                    ("scopes", scopes.join(" ")),
                ],
            ),
        };
        self.push("auth", &["auth.type", "config.security"], kind);
        for (name, value) in more {
            self.push(&format!("auth {name}"), &[&format!("auth.{name}"), &format!("config.security.{name}")], value);
        }
    }

    fn resilience(&mut self) {
        let Integration { retry, breaker, health, reconnect, .. } = self.integration;
        let for_ever = || "for ever".to_owned();
        for (block, name, value) in [
            ("retry", "max_attempts", retry.max_attempts.to_string()),
            ("retry", "backoff", format!("{:?}", retry.backoff).to_lowercase()),
            ("retry", "initial", duration(retry.initial)),
            ("retry", "max", duration(retry.max)),
            ("circuit_breaker", "failure_threshold", breaker.failure_threshold.to_string()),
            ("circuit_breaker", "success_threshold", breaker.success_threshold.to_string()),
            ("circuit_breaker", "timeout", duration(breaker.timeout)),
            ("health_check", "enabled", health.enabled.to_string()),
            ("health_check", "interval", duration(health.interval)),
            ("reconnect", "enabled", reconnect.enabled.to_string()),
            ("reconnect", "max_attempts", reconnect.max_attempts.map_or_else(for_ever, |n| n.to_string())),
            ("reconnect", "delay", duration(reconnect.delay)),
            ("reconnect", "max_delay", duration(reconnect.max_delay)),
        ] {
            self.push(&format!("{block} {name}"), &[&format!("{block}.{name}")], value);
        }
    }

    /// A row with the line of the first of these settings that the profile says.
    fn push(&mut self, setting: &str, said: &[&str], value: impl Into<SafeText>) {
        let at = |path: &&str| self.loaded.origins.get(&format!("integration.{}.{path}", self.integration.name)).cloned();
        self.at(setting, value, said.iter().find_map(at));
    }

    fn at(&mut self, setting: &str, value: impl Into<SafeText>, origin: Option<Origin>) {
        self.found.push(Row { integration: self.integration.name.to_string(), setting: setting.to_owned(), value: value.into(), origin });
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "secret", "token", "credential", "pem", "auth", "jaas", "oauthbearer.config", "private"].iter().any(|word| name.contains(word))
}

fn duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::System;
    use clap::Parser;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    const SYSTEMS: &[System] = &[System::named("kafka", &[("kafka", 9092), ("kafkas", 9092)])];

    fn answer(folder: &Path, line: &[&str]) -> (u8, String) {
        let program = Program::parse_from(["profile"].iter().chain(line));
        let context = Context { systems: SYSTEMS, env: &|name| (name == "PW").then(|| "hunter2".to_owned()), vars: &[] };
        let mut out = Out::to(Vec::new());
        let code = run(&program.args, None, &Store::at(folder.to_path_buf()), context, &mut out).expect("output");
        (code, String::from_utf8(out.into_inner()).expect("text"))
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let good = "integration \"events\" {\n  type = \"kafka\"\n  endpoint {\n    address = \"kafkas://one\"\n  }\n  auth {\n    type = \"scram\"\n    \
                    username = \"alice\"\n    password = env.PW\n  }\n  config {\n    librdkafka = { \"ssl.key.password\" = env.PW, \"linger.ms\" = 5 }\n  }\n}\n";
        std::fs::write(folder.path().join("good.hcl"), good).expect("a file");
        std::fs::write(folder.path().join("wrong.hcl"), "integration \"a\" {\n  tipe = 1\n  endpiont {\n  }\n}\n").expect("a file");
        folder
    }

    #[test]
    fn show_says_each_value_and_its_line_and_no_secret() {
        let folder = folder();
        let (code, text) = answer(folder.path(), &["show", "good"]);
        assert_eq!(code, 0);
        let lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for line in [
            "address one:9092 good.hcl:4",
            "tls on good.hcl:4",
            "tls ca_cert the machine's own default",
            "auth scram good.hcl:7",
            "auth mechanism SCRAM-SHA-512 default",
            "auth password *** good.hcl:9, environment PW",
            "config linger.ms 5 good.hcl:12",
            "config ssl.key.password *** good.hcl:12, environment PW",
            "reconnect max_attempts for ever default",
        ] {
            assert!(lines.contains(&line.to_owned()), "{line} is not in\n{text}");
        }
        let (_, json) = answer(folder.path(), &["show", "good", "--json"]);
        assert!(
            json.contains("{\"profile\":\"good\",\"integration\":\"events\",\"setting\":\"address\",\"value\":\"one:9092\",\"line\":4,\"from\":\"file\"}"),
            "{json}"
        );
        assert!(!text.contains("hunter2") && !json.contains("hunter2"));
    }

    #[test]
    fn check_tells_every_problem_and_fails_with_the_code_of_usage() {
        let folder = folder();
        assert_eq!(answer(folder.path(), &["check", "good"]).0, 0);
        let (code, text) = answer(folder.path(), &["check", "wrong"]);
        assert_eq!(code, 2);
        assert!(
            text.contains("wrong.hcl:2:3: unknown attribute `tipe`") && text.contains("wrong.hcl:3:3: unknown block `endpiont`"),
            "{text}"
        );
        assert!(text.ends_with("\n2 problems\n"), "{text}");
        let (code, json) = answer(folder.path(), &["check", "wrong", "--json"]);
        let value: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!((code, value["problems"].as_array().map(Vec::len), &value["problems"][0]["line"]), (2, Some(2), &json!(2)));
        assert_eq!(answer(folder.path(), &["check", "none"]).0, 2);
        assert_eq!(answer(folder.path(), &["check"]).0, 2);
    }

    #[test]
    fn ls_lists_good_and_wrong_profiles() {
        let folder = folder();
        let (code, text) = answer(folder.path(), &["ls"]);
        assert_eq!(code, 0);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("good     1             ok"), "{text}");
        assert!(lines[2].starts_with("wrong    –") && lines[2].contains("(and 1 more)"), "{text}");
        let (_, json) = answer(folder.path(), &["ls", "--json"]);
        assert_eq!(json.lines().count(), 2);
    }
}
