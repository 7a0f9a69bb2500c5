//! Real servers beside the demo, where their programs are installed: on free ports, with data of their own that goes with them.
//!
//! Each runs under a shell that ends it and deletes its data as soon as the demo's end of a pipe is closed, however the demo ended.

use crate::config::profile::{Integration, Setting};
use crate::config::secret::Secret;
use crate::domain::fault::{Fault, Kind};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Ends what it started, all of its process group, when its input ends: also a server that has no group of its own yet. Says with which
/// status the server ended, if it ends before.
const GUARD: &str = r#"dir=$1; shift
setsid sh -c '"$@" >output 2>&1; echo $?' sh "$@" </dev/null &
cat >/dev/null
until kill -9 -$! 2>/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
wait
rm -rf "$dir""#;
/// Where packages put servers beside the folder of programs that is in the PATH: Debian's own command for RabbitMQ runs the machine's node
/// alone, the script behind it runs any; and other servers are not meant to be started by hand.
const BESIDE: [&str; 2] = ["lib/rabbitmq/bin", "sbin"];
/// Below the ports that systems hand out by themselves, so that no connection takes one before its server listens on it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const TRIES: u32 = 50;
/// What a server prints goes to this file of its folder; the guard names it too.
const OUTPUT: &str = "output";
/// So many of the last lines of it are told when it has ended.
const LINES: usize = 3;
/// What a profile says of how a server is reached: it may be starting, and is looked after closely.
const HEALTH: Duration = Duration::from_secs(2);
const RETRY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(2));

/// One server that the demo can run.
pub(super) struct Recipe {
    /// The integration's name in the demo's profile.
    pub(super) name: &'static str,
    pub(super) system: &'static str,
    pub(super) program: &'static str,
    /// How to get it.
    pub(super) get: &'static str,
    /// How many ports it takes, one behind the other; on the first it is reached.
    pub(super) ports: u16,
    /// How long it may take to start, on a busy machine.
    pub(super) patience: Duration,
    /// Names of channels in which a tenant stands where the star is.
    pub(super) tenants: &'static [&'static str],
    /// What its `config` block says.
    pub(super) settings: fn(u16) -> Vec<(&'static str, String)>,
    /// Writes its files, and says how it is started.
    pub(super) command: fn(&Place<'_>) -> io::Result<Vec<String>>,
}

/// Where a server is to run.
#[cfg_attr(not(any(feature = "nats", feature = "rabbitmq", feature = "redis")), expect(dead_code, reason = "this build starts no server"))]
pub(super) struct Place<'a> {
    /// The program's path.
    pub(super) program: &'a Path,
    /// For its data alone.
    pub(super) folder: &'a Path,
    /// The first of its ports.
    pub(super) port: u16,
}

/// A server that runs, or why it does not.
pub(super) struct Server {
    recipe: &'static Recipe,
    state: Result<Running, Fault>,
}

struct Running {
    port: u16,
    folder: PathBuf,
    guard: Child,
    /// Why it has ended by itself, once it has.
    ended: Arc<OnceLock<Fault>>,
}

impl Server {
    /// Starts it without waiting for it, if its program is in one of these folders.
    pub(super) fn start(recipe: &'static Recipe, path: &OsStr) -> Self {
        let state = match installed(recipe.program, path) {
            Some(program) => Running::start(recipe, &program).map_err(|error| {
                Fault::new(Kind::Unreachable, "start", recipe.program, error.to_string()).next("the rest of the demo goes on")
            }),
            None => Err(Fault::new(Kind::NotFound, "start", recipe.program, format!("{} is not installed here", recipe.program))
                .next(format!("{}; then start the demo again", recipe.get))),
        };
        Self { recipe, state }
    }

    /// Whether it was started.
    pub(super) fn is_there(&self) -> bool {
        self.state.is_ok()
    }

    /// Where it listens, or will; `None` if it is not there.
    fn address(&self) -> Option<String> {
        self.state.as_ref().ok().map(|running| format!("127.0.0.1:{}", running.port))
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        self.state.as_ref().map_or_else(|_| Vec::new(), |running| (self.recipe.settings)(running.port))
    }

    /// How to reach it; where it is absent, why.
    pub(super) fn integration(&self) -> Integration {
        let mut integration = Integration::new(self.recipe.name, self.recipe.system, self.address().into_iter().collect());
        let setting = |(name, value): (&str, String)| (name.to_owned(), Setting { value: Secret::new(value), line: 0 });
        integration.settings = self.settings().into_iter().map(setting).collect();
        integration.channels = super::tenant_channels(self.recipe.tenants);
        integration.absent = self.state.as_ref().err().cloned();
        integration.health.interval = HEALTH;
        (integration.reconnect.delay, integration.reconnect.max_delay) = RETRY;
        integration.warm_up = self.recipe.patience;
        if let Ok(running) = &self.state {
            integration.ended = running.ended.clone();
        }
        integration
    }

    /// The same as a block of a profile; nothing where it is absent.
    pub(super) fn block(&self) -> String {
        let Some(address) = self.address() else { return String::new() };
        let Recipe { name, system, .. } = self.recipe;
        let settings: String = self.settings().iter().map(|(name, value)| format!("    {name} = \"{value}\"\n")).collect();
        let config = if settings.is_empty() { settings } else { format!("\n  config {{\n{settings}  }}\n") };
        let channels = super::tenant_blocks(self.recipe.tenants);
        let (seconds, (delay, most)) = (HEALTH.as_secs(), (RETRY.0.as_millis(), RETRY.1.as_secs()));
        format!(
            "\nintegration \"{name}\" {{\n  type = \"{system}\"\n\n  endpoint {{\n    address = \"{address}\"\n  }}\n\n  \
             health_check {{\n    interval = \"{seconds}s\"\n  }}\n\n  reconnect {{\n    delay     = \"{delay}ms\"\n    \
             max_delay = \"{most}s\"\n  }}\n{config}{channels}}}\n"
        )
    }
}

impl Running {
    fn start(recipe: &Recipe, program: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mqdeck-demo-").tempdir()?;
        let port = free(recipe.ports)?;
        let command = (recipe.command)(&Place { program, folder: folder.path(), port })?;
        // From here on the guard deletes it.
        let folder = folder.keep();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(&folder)
            .args(command)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is meant for the demo, and the guard has work to do then.
            .process_group(0)
            .spawn()
            .inspect_err(|_| _ = std::fs::remove_dir_all(&folder))?;
        let ended = Arc::new(OnceLock::new());
        if let Some(said) = guard.stdout.take() {
            let (program, output, ended) = (recipe.program, folder.join(OUTPUT), ended.clone());
            // It ends with the guard.
            std::thread::spawn(move || {
                let mut status = String::new();
                if BufReader::new(said).read_line(&mut status).is_ok_and(|read| read > 0) {
                    // Set once: this is the only place, and it is passed once.
                    let _ = ended.set(end_of(program, status.trim(), &output));
                }
            });
        }
        Ok(Self { port, folder, guard, ended })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
        // The guard has done it, unless somebody has killed it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Why a server has ended: its status, and the end of what it printed.
fn end_of(program: &'static str, status: &str, output: &Path) -> Fault {
    let printed = std::fs::read(output).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed);
    let mut last: Vec<&str> = printed.lines().map(str::trim).filter(|line| !line.is_empty()).rev().take(LINES).collect();
    last.reverse();
    let said = if last.is_empty() { "it printed nothing".to_owned() } else { last.join(" · ") };
    Fault::new(Kind::Unreachable, "run", program, format!("it ended with exit status {status}: {said}"))
        .next(format!("all that it printed is in {} as long as the demo runs; then start the demo again", output.display()))
}

/// The path of an installed program: in one of these folders (as PATH has them), or where packages put it beside them.
fn installed(program: &str, path: &OsStr) -> Option<PathBuf> {
    let [before, behind] = BESIDE;
    let places = |folder: PathBuf| {
        let above = folder.parent().unwrap_or(&folder).to_path_buf();
        [above.join(before), folder, above.join(behind)]
    };
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute()).flat_map(places);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The first of so many ports, one behind the other, that nobody listens on.
fn free(count: u16) -> io::Result<u16> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let first = fastrand::u16(PORTS);
        match (0..count).map(|n| TcpListener::bind(("127.0.0.1", first + n))).collect::<io::Result<Vec<_>>>() {
            Ok(_) => return Ok(first),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::profile::Profile;
    use crate::domain::health::Link;
    use crate::domain::safety::Safety;
    use crate::gateway::Gateway;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    const SLEEPER_FACTS: Recipe = Recipe {
        name: "sleeper",
        system: "redis",
        program: "sh",
        get: "",
        ports: 2,
        patience: Duration::ZERO,
        tenants: &["jobs.*"],
        settings: |_| Vec::new(),
        command: |_| Ok(Vec::new()),
    };
    static SLEEPER: Recipe = Recipe {
        settings: |port| vec![("management_url", format!("http://127.0.0.1:{}", port + 1))],
        // Something that starts something: both have to end.
        command: |place| {
            let script = format!("echo $$ >{0}/pids; (exec sleep 1000) & echo $! >>{0}/pids; wait", place.folder.display());
            Ok(vec![place.program.display().to_string(), "-c".to_owned(), script])
        },
        ..SLEEPER_FACTS
    };
    static BROKEN: Recipe = Recipe {
        // Far longer than the test takes: what is known is said before.
        patience: Duration::from_secs(600),
        command: |place| {
            let script = "echo 'loading…'; echo 'cannot open shared object file: libsystem.so.0' >&2; exit 127";
            Ok(vec![place.program.display().to_string(), "-c".to_owned(), script.to_owned()])
        },
        ..SLEEPER_FACTS
    };
    static MISSING: Recipe = Recipe { program: "no-such-server", get: "apt install it", ..SLEEPER_FACTS };

    fn here() -> std::ffi::OsString {
        std::env::var_os("PATH").expect("a PATH")
    }

    #[test]
    fn a_server_ends_with_everything_that_it_started_and_its_data_goes() {
        let server = Server::start(&SLEEPER, &here());
        let folder = server.state.as_ref().expect("it runs").folder.clone();
        let began = Instant::now();
        let pids = loop {
            let pids: Vec<u32> =
                std::fs::read_to_string(folder.join("pids")).unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect();
            if pids.len() == 2 {
                break pids;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "it did not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        drop(server);
        // What was killed is gone when the system comes to it; what waits for its parent to ask for its end (Z) is gone.
        let gone = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        let began = Instant::now();
        while !pids.iter().all(gone) || folder.exists() {
            assert!(began.elapsed() < Duration::from_secs(30), "processes {pids:?} or {} are left", folder.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[tokio::test]
    async fn one_that_ends_while_it_is_starting_is_told_soon_with_the_end_of_its_output_and_what_to_do() {
        let server = Server::start(&BROKEN, &here());
        let folder = server.state.as_ref().expect("it runs").folder.clone();
        let profile = Profile { name: "demo".into(), path: None, safety: Safety::default(), integrations: vec![server.integration()] };
        let gateway = Gateway::open(profile, false);
        let mut link = gateway.link("sleeper").expect("the integration");
        let told = link.wait_for(|link| matches!(link, Link::Down { .. }));
        let told = tokio::time::timeout(Duration::from_secs(30), told).await.expect("long before its patience").expect("it is supervised");
        let Link::Down { fault, .. } = &*told else { panic!("{told:?}") };
        let output = folder.join(OUTPUT);
        assert_eq!(
            fault.to_string(),
            format!(
                "run sh: unreachable: it ended with exit status 127: loading… · cannot open shared object file: libsystem.so.0 (all that it \
                 printed is in {} as long as the demo runs; then start the demo again)",
                output.display()
            )
        );
        assert!(output.is_file(), "it can be read");
        drop(server);
        assert!(!folder.exists());
    }

    #[test]
    fn it_is_told_of_in_the_same_words_as_a_value_and_as_a_file() {
        let server = Server::start(&SLEEPER, &here());
        let integration = server.integration();
        assert_eq!(integration.absent, None);
        let text = server.block();
        text.parse::<hcl_edit::structure::Body>().expect("HCL");
        assert_eq!(integration.tenant_of("jobs.acme"), Some("acme"));
        assert!(text.contains("pattern           = \"jobs.*\""), "{text}");
        let management = integration.settings["management_url"].value.expose();
        assert!(
            text.contains(&integration.endpoint.addresses[0]) && text.contains(&format!("management_url = \"{management}\"")),
            "{text}"
        );
    }

    #[test]
    fn one_that_is_not_installed_says_how_to_get_it() {
        let server = Server::start(&MISSING, &here());
        let fault = server.integration().absent.expect("it is absent");
        assert_eq!(
            fault.to_string(),
            "start no-such-server: not found: no-such-server is not installed here (apt install it; then start the demo again)"
        );
        assert_eq!((server.address(), server.block()), (None, String::new()));
    }

    #[test]
    fn programs_are_looked_for_in_the_path_and_where_packages_put_servers_beside_it() {
        let root = tempfile::tempdir().expect("a folder");
        let program = |name: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(&path, "").expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
            path
        };
        let (script, wrapper, server) =
            (program("usr/lib/rabbitmq/bin/rabbit"), program("usr/sbin/rabbit"), program("usr/sbin/hidden-server"));
        let path = root.path().join("usr/bin");
        assert_eq!(installed("rabbit", path.as_os_str()), Some(script), "the script goes before the machine's own {}", wrapper.display());
        assert_eq!(installed("hidden-server", path.as_os_str()), Some(server));
        assert_eq!(installed("rabbit", OsStr::new("")), None, "not the folder that we are in");
    }
}
