//! A secret is in nothing that the program writes. A marker is put wherever a profile, a variable, a file or a command line can hold a
//! secret, with every mistake that a profile can have, and looked for in errors, notes, output, frames and the log at its finest level.
//! Systems, their log-ins and their secret settings are read from the table of adapters.

use crate::support::program::{Home, files_below};
use mqdeck::adapters::{ADAPTERS, Adapter};
use mqdeck::config::load::{self, Context};
use mqdeck::domain::fault::Fault;
use mqdeck::runtime::systems;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What must be found nowhere. It looks like what secrets are in practice, and like a setting: `c2Vj…=`.
const MARKER: &str = "c2VjcmV0LW1hcmtlci1odW50ZXIy=";

/// Lines of an `auth` or a `config` block in which `SECRET` stands for a value.
fn slots(adapter: &Adapter) -> Vec<(&'static str, String)> {
    let lines = |log_in: &str| {
        Some(match log_in {
            "password" | "basic" => "username = \"u\"\npassword = SECRET",
            "scram" => "mechanism = \"SCRAM-SHA-256\"\nusername = \"u\"\npassword = SECRET",
            "token" | "bearer" => "token = SECRET",
            "oauth2" => "token_url = \"http://127.0.0.1:9/token\"\nclient_id = \"c\"\nclient_secret = SECRET",
            "nkey" => "seed = SECRET",
            // These name files: see below.
            "none" | "mtls" | "creds" => return None,
            other => panic!("say what a log-in of type {other} looks like"),
        })
    };
    let log_ins = adapter.log_ins.iter().filter_map(|name| Some(("auth", format!("type = \"{name}\"\n{}", lines(name)?))));
    let rules = adapter.settings.into_iter().flatten().filter(|rule| rule.is_secret());
    let settings = rules.map(|rule| ("config", format!("{} = SECRET", rule.name)));
    let kafka: &[&str] = match adapter.name {
        "kafka" => &[
            "librdkafka = {\n\"ssl.key.password\" = SECRET\n}",
            "security {\nprotocol = \"SASL_PLAINTEXT\"\nmechanism = \"PLAIN\"\nusername = \"u\"\npassword = SECRET\n}",
        ],
        _ => &[],
    };
    log_ins.chain(settings).chain(kafka.iter().map(|lines| ("config", (*lines).to_owned()))).collect()
}

/// How the value is written.
const WAYS: &[&str] = &["\"MARKER\"", "env.MARK", "\"${env.MARK}\"", "var.mark", "<<EOT\nMARKER\nEOT\n"];

/// A mistake: the profile with its lines before and after the block that holds the secret, and the value as it is written.
type Mistake = (&'static str, fn(&Parts<'_>) -> String);

struct Parts<'a> {
    head: &'a str,
    block: &'a str,
    lines: &'a str,
    value: &'a str,
}

impl Parts<'_> {
    fn with(&self, value: &str) -> String {
        format!("{}{} {{\n{}\n}}\n}}\n", self.head, self.block, self.lines.replace("SECRET", value))
    }
}

const MISTAKES: &[Mistake] = &[
    ("none", |p| p.with(p.value)),
    ("a list", |p| p.with(&format!("[\n{}\n]", p.value))),
    ("an object", |p| p.with(&format!("{{\na = {}\n}}", p.value))),
    ("a call", |p| p.with(&format!("lower({})", p.value.trim()))),
    ("a sum", |p| p.with(&format!("{} + 1", p.value.trim()))),
    ("no end mark", |p| p.with(p.value.strip_suffix("EOT\n").or(p.value.strip_suffix('"')).unwrap_or(p.value))),
    ("no start mark", |p| p.with(p.value.strip_prefix("<<EOT\n").or(p.value.strip_prefix('"')).unwrap_or(p.value))),
    ("an end mark too early", |p| p.with(&p.value.replace("<<EOT\n", "<<EOT\nEOT\n"))),
    ("several lines", |p| p.with(&p.value.replace("MARKER", "MARKER\nMARKER"))),
    ("garbage behind it", |p| p.with(&format!("{} x", p.value.trim_end()))),
    ("the value again behind it", |p| p.with(&format!("{} {}", p.value.trim_end(), p.value))),
    ("a brace behind it", |p| p.with(&format!("{} }}", p.value.trim_end()))),
    ("no equals sign", |p| p.with(p.value).replace("= \"c2", "\"c2").replace("= <<", "<<").replace("= env", "env").replace("= var", "var")),
    ("a misspelled name", |p| {
        p.with(p.value)
            .replace("password =", "passwrd =")
            .replace("token =", "tokn =")
            .replace("secret =", "secrt =")
            .replace("seed =", "sed =")
    }),
    ("an unknown name", |p| {
        p.with(p.value).replace("password =", "frobnicate =").replace("token =", "frobnicate =").replace("seed =", "frobnicate =")
    }),
    ("a second attribute", |p| p.with(&format!("{}\npassword = {}\ntoken = {}\nseed = {}", p.value, p.value, p.value, p.value))),
    ("a second block", |p| {
        p.with(p.value).trim_end().trim_end_matches('}').to_owned()
            + &format!("{} {{\n{}\n}}\n}}\n", p.block, p.lines.replace("SECRET", p.value))
    }),
    ("a second integration", |p| p.with(p.value).repeat(2)),
    ("no closing brace", |p| p.with(p.value).trim_end().trim_end_matches('}').to_owned()),
    ("in the endpoint", |p| p.head.replace("endpoint {", &format!("endpoint {{\npassword = {}", p.value)) + "}\n"),
    ("at the top", |p| format!("password = {}\n{}}}\n", p.value, p.head)),
    ("in the integration", |p| format!("{}password = {}\n}}\n", p.head, p.value)),
    ("in an unknown block", |p| format!("{}secrets {{\npassword = {}\n}}\n}}\n", p.head, p.value)),
    ("in a variable", |p| format!("variable \"v\" {{\ndefault = {}\nvalue = {}\n}}\n{}}}\n", p.value, p.value, p.head)),
    ("in a URL", |p| p.head.replace("127.0.0.1:9", "x://u:MARKER@127.0.0.1:bad") + "}\n"),
    ("in the URL of tokens", |p| {
        format!(
            "{}auth {{\ntype = \"oauth2\"\ntoken_url = \"http://u:MARKER@127.0.0.1:9/t\"\nclient_id = \"c\"\nclient_secret = {}\n}}\n}}\n",
            p.head, p.value
        )
    }),
    ("in the URL of the management", |p| format!("{}config {{\nmanagement_url = \"http://u:MARKER@127.0.0.1:9\"\n}}\n}}\n", p.head)),
];

/// Where a value that does not stand plainly in quotes is no secret by its name. What does is quoted there, so that a slip is seen.
const PLACES: &[&str] = &[
    "timeout = SECRET",
    "topic_prefix = SECRET\ntargets = SECRET",
    "groups = [SECRET, SECRET]",
    "endpoint {\naddress = \"${env.MARK}\"\nport = SECRET\n}",
    "auth {\ntype = SECRET\n}",
    "auth {\ntype = \"scram\"\nmechanism = SECRET\nusername = \"u\"\npassword = \"p\"\n}",
    "reconnect {\ndelay = SECRET\nmax_attempts = SECRET\nenabled = SECRET\n}",
    "retry {\nbackoff = SECRET\n}",
    "channels {\npattern = \"a\"\nprefer = [SECRET, SECRET]\ntenant_extraction = SECRET\n}",
    "endpoint {\naddress = \"one\"\ntls {\nmin_version = SECRET\nverify_server = SECRET\nca_cert = SECRET\n}\n}",
];

fn head(adapter: &Adapter) -> String {
    let endpoint = if adapter.schemes.is_empty() {
        ""
    } else {
        "endpoint {\naddress = \"127.0.0.1:9\"\n}\ntimeout = \"500ms\"\nreconnect {\nenabled = false\n}\n"
    };
    format!("integration \"a\" {{\ntype = \"{}\"\n{endpoint}", adapter.name)
}

/// Everything that is told of a profile.
fn told(text: &str) -> String {
    let systems = systems();
    let env = |name: &str| (name == "MARK").then(|| MARKER.to_owned());
    let vars = [("mark".to_owned(), MARKER.to_owned())];
    match load::read(text, "p.hcl", "p", Path::new("/nowhere"), Context { systems: &systems, env: &env, vars: &vars }) {
        Ok(loaded) => format!("{:?} {:?} {:?}", loaded.notes, loaded.origins, loaded.stranger),
        Err(problems) => format!("{problems}\n{problems:?}\n{}", Fault::from(problems.clone())),
    }
}

#[test]
fn no_mistake_of_a_profile_repeats_a_secret() {
    let mut count = 0;
    for adapter in ADAPTERS {
        let head = head(adapter);
        for (block, lines) in slots(adapter) {
            for way in WAYS {
                let value = way.replace("MARKER", MARKER);
                for (mistake, make) in MISTAKES {
                    let text = make(&Parts { head: &head, block, lines: &lines, value: &value }).replace("MARKER", MARKER);
                    let told = told(&text);
                    assert!(!told.contains(&MARKER[..20]), "{}, {lines:?}, {way}, {mistake}: {told}\n{text}", adapter.name);
                    count += 1;
                }
            }
        }
        for way in WAYS.iter().filter(|way| !way.starts_with("\"M")) {
            for place in PLACES {
                let value = way.replace("MARKER", MARKER);
                let rules = adapter
                    .settings
                    .into_iter()
                    .flatten()
                    .map(|rule| format!("{} = SECRET", rule.name.split('.').next().unwrap_or_default()));
                let config = format!("config {{\n{}\n}}", rules.collect::<Vec<_>>().join("\n"));
                for place in [place, &*config] {
                    let text = format!("integration \"a\" {{\ntype = \"{}\"\n{}\n}}\n", adapter.name, place.replace("SECRET", &value));
                    let told = told(&text);
                    assert!(!told.contains(&MARKER[..20]), "{}, {way}: {told}\n{text}", adapter.name);
                }
            }
        }
    }
    assert!(count > 1_000, "{count} profiles are too few");
}

/// Fails if the marker is in what was written: output, or any file of the home.
fn nowhere(what: &dyn std::fmt::Debug, home: &Home, output: &Output) {
    let all = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    for text in all.into_iter().chain(files_below(home.path())) {
        let at = text.find(&MARKER[..20]);
        assert_eq!(at, None, "{what:?}: {}", &text[at.unwrap_or(0).saturating_sub(300)..]);
    }
}

fn traced(home: &Home, arguments: &[&str]) -> Output {
    let mut command: Command = home.mqdeck(arguments);
    command.env("MARK", MARKER).env("MQDECK_LOG", "trace,lapin=trace,rumqttc=trace,async_nats=trace,redis=trace,hyper=trace");
    command.stdin(Stdio::null()).output().expect("the program runs")
}

/// Each system that is somewhere, beside the others.
fn each_system(look: impl Fn(&Adapter) + Sync) {
    std::thread::scope(|scope| {
        let look = &look;
        let threads = ADAPTERS.iter().filter(|adapter| !adapter.schemes.is_empty()).map(|adapter| scope.spawn(move || look(adapter)));
        for thread in threads.collect::<Vec<_>>() {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}

const TAPE: &str = "Set Width 120\nSet Height 40\nSleep 1500ms\nScreenshot a\nType \"@\"\nSleep 200ms\nScreenshot b\nType \"0\"\nSleep 200ms\nScreenshot c\n";

#[test]
fn no_command_frame_or_log_repeats_the_secret_of_a_profile() {
    each_system(|adapter| {
        let folder = tempfile::tempdir().expect("a folder");
        for (at, (block, lines)) in slots(adapter).into_iter().enumerate() {
            let profile = folder.path().join(format!("p{at}.hcl"));
            let text = Parts { head: &head(adapter), block, lines: &lines, value: "" }.with("\"${env.MARK}\"");
            std::fs::write(&profile, text).expect("a profile");
            let home = Home::new();
            home.write("t.tape", TAPE);
            let path = profile.to_str().expect("a path");
            for arguments in [
                &["status"][..],
                &["status", "--json"],
                &["profile", "show"],
                &["profile", "check", "--json"],
                &["play", "t.tape", "--frames", "f"],
            ] {
                let output = traced(&home, &[&["--profile", path], arguments].concat());
                nowhere(&(adapter.name, &lines, arguments), &home, &output);
            }
            assert!(files_below(home.path()).iter().any(|text| text.contains("mqdeck")), "nothing was logged or drawn");
        }
    });
}

#[test]
fn what_stands_in_a_file_that_a_profile_names_is_not_repeated() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!("-----BEGIN {MARKER}-----\n{MARKER}\n------END {MARKER}------\n");
    std::fs::write(folder.path().join("secret"), text).expect("a file");
    for adapter in ADAPTERS.iter().filter(|adapter| !adapter.schemes.is_empty()) {
        let files = adapter.log_ins.iter().filter_map(|log_in| match *log_in {
            "nkey" => Some("auth {\ntype = \"nkey\"\nseed_file = \"secret\"\n}".to_owned()),
            "creds" => Some("auth {\ntype = \"creds\"\nfile = \"secret\"\n}".to_owned()),
            "mtls" => Some("auth {\ntype = \"mtls\"\nclient_cert = \"secret\"\nclient_key = \"secret\"\n}".to_owned()),
            "token" | "bearer" => Some(format!("auth {{\ntype = \"{log_in}\"\ntoken_file = \"secret\"\n}}")),
            _ => None,
        });
        for block in files {
            let profile = folder.path().join("p.hcl");
            std::fs::write(&profile, format!("{}{block}\n}}\n", head(adapter))).expect("a profile");
            let home = Home::new();
            for arguments in [&["status"][..], &["channels"], &["profile", "check"]] {
                let output = traced(&home, &[&["--profile", profile.to_str().expect("a path")], arguments].concat());
                nowhere(&(adapter.name, &block, arguments), &home, &output);
            }
        }
    }
}

#[test]
fn no_mistake_of_the_command_line_repeats_a_secret() {
    let home = Home::new();
    home.write("p.hcl", "integration \"a\" {\n  type = \"memory\"\n}\n");
    let (url, dead) = (format!("kafkx://u:{MARKER}@127.0.0.1:9"), format!("kafka://u:{MARKER}@127.0.0.1:9"));
    let pair = format!("={MARKER}");
    for arguments in [
        &["--var", MARKER.trim_end_matches('='), "--profile", "p.hcl", "status"][..],
        &["--var", &pair, "--profile", "p.hcl", "status"],
        &["--url", &url, "status"],
        &["--url", &dead, "status"],
        &["--url", &dead, "channels"],
        &["--url", &format!("{dead}?sasl=x"), "channels"],
        &["--profile", &dead, "status"],
        &["status", &dead],
        &[&dead],
        &["tail", &dead],
        &["--url", &dead, "tail", &dead, "--from", "earliest", "--until", "latest"],
        &["--profile", "p.hcl", "channels", &dead],
        &["--profile", "p.hcl", "publish", &dead, "x"],
        &["profile", "check", &dead],
        &["play", &dead],
    ] {
        nowhere(&arguments, &home, &traced(&home, arguments));
    }
}

/// What the servers here are told, by URL, with a password that they refuse. An answer is not awaited: what is sent is logged before.
#[test]
fn no_client_logs_what_it_sends_to_a_real_server() {
    let mut urls: Vec<String> = Vec::new();
    #[cfg(feature = "rabbitmq")]
    urls.extend(crate::support::rabbitmq::shared().map(|rabbit| format!("amqp://guest:MARKER@{}", rabbit.fact("AMQP"))));
    #[cfg(feature = "mqtt")]
    if let Some(mosquitto) = crate::support::mosquitto::shared() {
        urls.extend(
            ["mqtt://", "ws://"].iter().zip(["AUTH", "WS"]).map(|(scheme, at)| format!("{scheme}alice:MARKER@{}", mosquitto.at(at))),
        );
    }
    #[cfg(feature = "nats")]
    urls.extend(crate::support::nats::shared().map(|nats| format!("nats://app:MARKER@{}", nats.address())));
    #[cfg(feature = "kafka")]
    if let Some(sasl) = crate::support::kafka::shared().and_then(|kafka| kafka.listener("SASL")) {
        urls.extend(["PLAIN", "SCRAM-SHA-256"].map(|name| format!("kafka://alice:MARKER@{sasl}?sasl={name}")));
    }
    for url in urls {
        let home = Home::new();
        let address = url.replace("MARKER", &MARKER.replace('=', "%3D"));
        for arguments in [&["status"][..], &["channels", "--json"]] {
            nowhere(&(&url, arguments), &home, &traced(&home, &[&["--url", &address], arguments].concat()));
        }
        assert!(!files_below(home.path()).is_empty(), "{url}: nothing was logged");
    }
}
