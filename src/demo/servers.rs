//! Real servers beside the demo, where their programs are installed: on free ports, with data of their own that goes with them.
//!
//! Each runs under a shell that ends it and deletes its data as soon as the demo's end of a pipe is closed, however the demo ended.

use crate::config::profile::Integration;
use crate::domain::fault::{Fault, Kind};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Ends what it started, all of its process group, when its input ends: also a server that has no group of its own yet.
const GUARD: &str = r#"dir=$1; shift
setsid "$@" </dev/null >"$dir/output" 2>&1 &
cat >/dev/null
until kill -9 -$! 2>/dev/null || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
wait
rm -rf "$dir""#;
/// Where packages put servers that are not meant to be started by hand.
const ELSEWHERE: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
const TRIES: u32 = 20;

/// One server that the demo can run.
pub(super) struct Recipe {
    /// The integration's name in the demo's profile.
    pub(super) name: &'static str,
    pub(super) system: &'static str,
    pub(super) program: &'static str,
    /// How to get it.
    pub(super) get: &'static str,
    /// How many ports it takes, one behind the other.
    pub(super) ports: u16,
    /// Writes its files below the folder, and says how it is started.
    pub(super) command: fn(&Path, u16) -> io::Result<Vec<String>>,
}

/// A server that runs, or why it does not.
pub(super) struct Server {
    recipe: &'static Recipe,
    state: Result<Running, Fault>,
}

struct Running {
    address: String,
    folder: PathBuf,
    guard: Child,
}

impl Server {
    /// Starts it without waiting for it.
    pub(super) fn start(recipe: &'static Recipe) -> Self {
        let state = match installed(recipe.program) {
            Some(_) => Running::start(recipe).map_err(|error| {
                Fault::new(Kind::Unreachable, "start", recipe.program, error.to_string()).next("the rest of the demo goes on")
            }),
            None => Err(Fault::new(Kind::NotFound, "start", recipe.program, format!("{} is not installed here", recipe.program))
                .next(format!("{}; then start the demo again", recipe.get))),
        };
        Self { recipe, state }
    }

    /// Where it listens; `None` if it is not there.
    pub(super) fn address(&self) -> Option<&str> {
        self.state.as_ref().ok().map(|running| running.address.as_str())
    }

    /// How to reach it; where it is absent, why.
    pub(super) fn integration(&self) -> Integration {
        let address = self.address().map(str::to_owned).into_iter().collect();
        let mut integration = Integration::new(self.recipe.name, self.recipe.system, address);
        integration.absent = self.state.as_ref().err().cloned();
        integration.health.interval = Duration::from_secs(2);
        integration
    }

    /// The same as a block of a profile; nothing where it is absent.
    pub(super) fn block(&self) -> String {
        let Recipe { name, system, .. } = self.recipe;
        self.address().map_or_else(String::new, |address| {
            format!(
                "\nintegration \"{name}\" {{\n  type = \"{system}\"\n\n  endpoint {{\n    address = \"{address}\"\n  }}\n\n  \
                 health_check {{\n    interval = \"2s\"\n  }}\n}}\n"
            )
        })
    }
}

impl Running {
    fn start(recipe: &Recipe) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("mqdeck-demo-").tempdir()?;
        let port = free(recipe.ports)?;
        let command = (recipe.command)(folder.path(), port)?;
        // From here on the guard deletes it.
        let folder = folder.keep();
        let guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(&folder)
            .args(command)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is meant for the demo, and the guard has work to do then.
            .process_group(0)
            .spawn()
            .inspect_err(|_| _ = std::fs::remove_dir_all(&folder))?;
        Ok(Self { address: format!("127.0.0.1:{port}"), folder, guard })
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

/// The path of an installed program.
fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ELSEWHERE.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The first of so many ports, one behind the other, that nobody listens on.
fn free(count: u16) -> io::Result<u16> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..TRIES {
        let first = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        match (0..count).map(|n| TcpListener::bind(("127.0.0.1", first.saturating_add(n)))).collect::<io::Result<Vec<_>>>() {
            Ok(_) => return Ok(first),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    static SLEEPER: Recipe = Recipe {
        name: "sleeper",
        system: "redis",
        program: "sh",
        get: "",
        ports: 2,
        // Something that starts something: both have to end.
        command: |folder, port| {
            let script =
                format!("echo $$ >{0}/pids; (echo $BASHPID; exec sleep 1000) & echo $! >>{0}/pids; wait # {port}", folder.display());
            Ok(["sh", "-c", &script].map(str::to_owned).to_vec())
        },
    };
    static MISSING: Recipe = Recipe { program: "no-such-server", get: "apt install it", ..SLEEPER_FACTS };
    const SLEEPER_FACTS: Recipe =
        Recipe { name: "sleeper", system: "redis", program: "", get: "", ports: 1, command: |_, _| Ok(Vec::new()) };

    #[test]
    fn a_server_ends_with_everything_that_it_started_and_its_data_goes() {
        let server = Server::start(&SLEEPER);
        let folder = server.state.as_ref().expect("it runs").folder.clone();
        let began = Instant::now();
        let pids = loop {
            let pids: Vec<u32> =
                std::fs::read_to_string(folder.join("pids")).unwrap_or_default().lines().filter_map(|line| line.parse().ok()).collect();
            if pids.len() == 2 {
                break pids;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "it did not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        drop(server);
        let alive = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(!pids.iter().any(alive) && !folder.exists());
    }

    #[test]
    fn one_that_is_not_installed_says_how_to_get_it() {
        let server = Server::start(&MISSING);
        let fault = server.integration().absent.expect("it is absent");
        assert_eq!(
            fault.to_string(),
            "start no-such-server: not found: no-such-server is not installed here (apt install it; then start the demo again)"
        );
        assert_eq!((server.address(), server.block()), (None, String::new()));
    }
}
