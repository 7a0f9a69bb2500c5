//! The demo with real servers beside it: they come by themselves, and end with it however it ends.

use super::SOON;
use crate::support::program::Home;
use crate::support::terminal::Terminal;
use crate::support::{nats, skip};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What the shell beside each server needs.
const TOOLS: [&str; 6] = ["sh", "setsid", "cat", "sleep", "rm", "env"];
/// How long a node of RabbitMQ may take to start while other tests run.
const LATE: Duration = Duration::from_secs(120);

/// A home with the programs that the demo is to find, and a folder of its own for what is temporary.
struct Place {
    home: Home,
    path: OsString,
}

impl Place {
    /// With these servers; `None` if one of them is not there (already reported).
    fn with(servers: &[&str]) -> Option<Self> {
        let home = Home::new();
        let bin = home.path().join("bin");
        std::fs::create_dir_all(&bin).expect("a folder");
        std::fs::create_dir_all(home.path().join("tmp")).expect("a folder");
        for name in TOOLS.iter().chain(servers) {
            let Some(program) = program(name) else {
                skip(&format!("{name} beside the demo"), "it is not installed");
                return None;
            };
            symlink(program, bin.join(name)).expect("a link");
        }
        Some(Self { path: bin.into_os_string(), home })
    }

    fn temporary(&self) -> PathBuf {
        self.home.path().join("tmp")
    }

    /// A demo without a console, and the path of the profile that reaches it.
    fn headless(&self) -> (Headless, String) {
        let mut command = self.home.mqdeck(&["demo", "--headless"]);
        command.env("PATH", &self.path).env("TMPDIR", self.temporary()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut demo = Headless::watched(command.spawn().expect("the program starts"));
        let mut line = String::new();
        BufReader::new(demo.demo.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
        assert!(!line.is_empty(), "it ended");
        (demo, line.trim().to_owned())
    }

    fn console(&self) -> Terminal {
        let mut environment = self.home.environment();
        environment.extend([("TMPDIR", self.temporary()), ("PATH", PathBuf::from(&self.path))]);
        let environment: Vec<(&str, &Path)> = environment.iter().map(|(name, value)| (*name, value.as_path())).collect();
        Terminal::open(Path::new(env!("CARGO_BIN_EXE_mqdeck")), &["demo"], &environment, (100, 30))
    }

    /// The command lines of whatever runs because of this demo: all of it has its temporary folder in its environment, or is in it (Redis
    /// writes over its environment).
    fn processes(&self) -> Vec<String> {
        let folder = self.temporary();
        let mark = format!("TMPDIR={}\0", folder.display());
        let is_ours = |process: &Path| {
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            let inside = std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder));
            inside || environment.windows(mark.len()).any(|bytes| bytes == mark.as_bytes())
        };
        let entries = std::fs::read_dir("/proc").expect("processes").flatten().map(|entry| entry.path());
        let line = |process: PathBuf| std::fs::read(process.join("cmdline")).unwrap_or_default();
        entries.filter(|path| is_ours(path)).map(|path| String::from_utf8_lossy(&line(path)).replace('\0', " ")).collect()
    }

    fn wait_for_servers(&self, names: &[&str]) {
        let runs = |name: &&str| self.processes().iter().any(|line| line.split(' ').next().is_some_and(|program| program.ends_with(*name)));
        until("the servers run", SOON, || names.iter().all(runs));
    }

    /// No process and no data is left.
    fn wait_for_nothing(&self, how: &str) {
        until(&format!("after {how} nothing is left"), SOON * 2, || self.processes().is_empty());
        let left: Vec<_> = std::fs::read_dir(self.temporary()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("mqdeck-demo-")), "{how}: {left:?}");
    }

    /// What a command says of a running demo, an object a line.
    fn ask(&self, profile: &str, arguments: &[&str]) -> Vec<Value> {
        let arguments = [&["--profile", profile], arguments, &["--json"]].concat();
        let said = self.home.mqdeck(&arguments).output().expect("the program runs").stdout;
        String::from_utf8_lossy(&said).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Ends the second process when the first is gone, unless it has ended before.
const WATCH: &str = r#"while kill -0 "$1"; do kill -0 "$2" || exit; sleep 1; done; kill "$2""#;

/// It ends with the test, also with one that failed or was killed.
struct Headless {
    demo: Child,
    watch: Child,
}

impl Headless {
    fn watched(demo: Child) -> Self {
        let mut watch = Command::new("setsid");
        watch.args(["sh", "-c", WATCH, "sh", &std::process::id().to_string(), &demo.id().to_string()]);
        let watch = watch.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell");
        Self { demo, watch }
    }

    fn end(&mut self, signal: &str) {
        let pid = self.demo.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        self.demo.wait().expect("our child");
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        for child in [&mut self.demo, &mut self.watch] {
            // It may have ended by itself: then there is nothing to kill.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program(name: &str) -> Option<PathBuf> {
    if name == "nats-server" {
        return nats::program();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "{what}: that did not come to hold");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Servers are started by every demo here that has them in its PATH.
const QUICK: [&str; 2] = ["redis-server", "nats-server"];

#[test]
fn servers_end_with_a_demo_without_a_console_however_it_ends() {
    let Some(place) = Place::with(&QUICK) else { return };
    for signal in ["-INT", "-TERM", "-HUP", "-KILL"] {
        let (mut demo, _) = place.headless();
        place.wait_for_servers(&QUICK);
        demo.end(signal);
        place.wait_for_nothing(signal);
    }
}

#[test]
fn servers_end_with_the_console_however_it_ends() {
    let Some(place) = Place::with(&QUICK) else { return };
    for how in ["qq", "\x03\x03", "hang-up"] {
        let mut terminal = place.console();
        terminal.wait_for("● live", SOON);
        place.wait_for_servers(&QUICK);
        if how == "hang-up" {
            let mut child = terminal.hang_up();
            until("the console ends", SOON, || child.try_wait().expect("our child").is_some());
        } else {
            terminal.press(how);
            terminal.wait_exit(SOON);
        }
        place.wait_for_nothing(how);
    }
}

#[test]
fn the_console_is_live_while_a_server_still_starts_and_names_those_that_are_not_installed() {
    let Some(place) = Place::with(&[]) else { return };
    let never = place.home.path().join("bin/redis-server");
    std::fs::write(&never, "#!/bin/sh\nexec sleep 1000\n").expect("a program");
    std::fs::set_permissions(&never, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("it can be run");
    let mut terminal = place.console();
    terminal.wait_for("● live", SOON);
    terminal.press("1");
    let row = |screen: &str, name: &str, word: &str| screen.lines().any(|line| line.contains(name) && line.contains(word));
    terminal.wait_until("what starts is connecting, what is missing is down", SOON, |screen| {
        row(screen, "cache", "connecting") && row(screen, "incidents", "down") && row(screen, "tasks", "down")
    });
    terminal.press("\x03\x03");
    terminal.wait_exit(SOON);
    place.wait_for_nothing("the end");
}

#[test]
fn the_servers_have_traffic_of_every_kind() {
    let Some(place) = Place::with(&QUICK) else { return };
    let (mut demo, profile) = place.headless();
    let listed = |integration: &str| place.ask(&profile, &["channels", integration]);
    let has = |integration: &str, address: &str| listed(integration).iter().any(|channel| channel["address"] == address);
    until("a stream with a group in Redis", SOON * 2, || has("cache", "cache/stream:jobs.email"));
    let changes = place.ask(&profile, &["tail", "cache/key:policy:*", "--limit", "3"]);
    assert!(changes.len() == 3 && changes.iter().any(|change| change["value"] == "set"), "{changes:?}");
    for address in ["incidents/stream:INCIDENTS", "incidents/consumer:INCIDENTS/archive", "incidents/service:oncall"] {
        until(address, SOON * 2, || has("incidents", address));
    }
    let said = place.home.mqdeck(&["--profile", &profile, "rpc", "call", "incidents/service:oncall", r#"{"team":"payments"}"#]).output();
    let said = String::from_utf8(said.expect("the program runs").stdout).expect("text");
    assert!(said.contains("payments") && said.contains("on_call"), "{said}");
    until("a consumer that lags", SOON * 3, || {
        let lag = place.ask(&profile, &["lag", "incidents"]);
        let behind = |name: &str| lag.iter().find(|one| one["group"] == name).and_then(|one| one["lag"].as_u64()).unwrap_or_default();
        behind("INCIDENTS/archive") > behind("INCIDENTS/notifier") + 3
    });
    demo.end("-TERM");
    place.wait_for_nothing("SIGTERM");
}

/// Takes a while: a node of RabbitMQ starts in some seconds and takes some memory.
#[test]
fn rabbitmq_comes_with_the_demo_and_goes_with_it_together_with_its_port_mapper() {
    let Some(mut place) = Place::with(&[]) else { return };
    if program("rabbitmq-server").is_none() && !Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() {
        return skip("RabbitMQ beside the demo", "it is not installed");
    }
    // Its scripts need much of what a machine has; NATS and Redis are not wanted here.
    place.path = std::env::var_os("PATH").unwrap_or_default();
    let (mut demo, profile) = place.headless();
    let listed = || place.ask(&profile, &["channels", "tasks"]);
    let depth =
        |address: &str| listed().iter().find(|one| one["address"] == address).and_then(|one| one["depth"].as_u64()).unwrap_or_default();
    until("tasks of a tenant without workers wait", LATE, || depth("tasks/queue:grey.tasks.initech") > 1);
    until("dead letters gather", LATE, || depth("tasks/queue:grey.dlq") > 0);
    place.wait_for_servers(&["epmd", "beam.smp"]);
    demo.end("-KILL");
    place.wait_for_nothing("SIGKILL");
}
