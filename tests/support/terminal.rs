//! A terminal that the program runs in: a real pty on one side, a screen to read and keys to press on the other.
//!
//! It never answers a query (cursor position, colours, device attributes): the program must not wait for one.

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The program in a terminal. Dropping it kills the program.
pub(crate) struct Terminal {
    /// `None` once the terminal was hung up.
    child: Option<Box<dyn Child + Send + Sync>>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    shown: Arc<Shown>,
}

struct Shown {
    output: Mutex<Output>,
    changed: Condvar,
}

struct Output {
    screen: vt100::Parser,
    /// Every byte that left the program.
    raw: Vec<u8>,
    /// When bytes came, and how many there were in all after them.
    arrivals: Vec<(Instant, usize)>,
    /// No more output is read: the program has closed its end, or the terminal was hung up.
    ended: bool,
    /// Stop reading after the next piece.
    hanging_up: bool,
}

impl Terminal {
    /// Starts a program in a terminal of that size, with nothing of this machine's environment but its `PATH`.
    pub(crate) fn open(program: &Path, arguments: &[&str], environment: &[(&str, &Path)], (columns, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pty");
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.env_clear();
        for (name, value) in [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("LANG", "C.UTF-8"), ("TZ", "UTC")] {
            command.env(name, value);
        }
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let reader = pair.master.try_clone_reader().expect("the pty can be read");
        let keys = pair.master.take_writer().expect("the pty can be written");
        let output = Output {
            screen: vt100::Parser::new(at_least_one(rows), at_least_one(columns), 0),
            raw: Vec::new(),
            arrivals: Vec::new(),
            ended: false,
            hanging_up: false,
        };
        let shown = Arc::new(Shown { output: Mutex::new(output), changed: Condvar::new() });
        let sink = Arc::clone(&shown);
        std::thread::spawn(move || sink.follow(reader));
        Self { child: Some(child), master: Some(pair.master), keys: Some(keys), shown }
    }

    /// Presses keys: text as it is, escape sequences as a terminal sends them.
    pub(crate) fn press(&mut self, keys: &str) {
        let writer = self.keys.as_mut().expect("an open terminal");
        writer.write_all(keys.as_bytes()).and_then(|()| writer.flush()).expect("the program reads its terminal");
    }

    /// Waits until the screen shows this text. Panics with the screen if it does not come in time.
    pub(crate) fn wait_for(&self, text: &str, limit: Duration) {
        self.wait_until(text, limit, |screen| screen.contains(text));
    }

    /// Whether the screen comes to show this text in time.
    pub(crate) fn comes_to_show(&self, text: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut output = self.shown.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let shown = output.screen.screen().contents().contains(text);
            if shown || left.is_zero() || output.ended {
                return shown;
            }
            output = self.shown.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the screen is as wanted; `what` names it for the failure.
    pub(crate) fn wait_until(&self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + limit;
        let mut output = self.shown.lock();
        loop {
            let screen = output.screen.screen().contents();
            if wanted(&screen) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !output.ended, "{what:?} did not come; the screen (ended: {}):\n{screen}", output.ended);
            output = self.shown.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the first byte after `count` bytes; when it came. `None` if none came in time.
    #[allow(dead_code, reason = "for the benchmark, which shares this module")]
    pub(crate) fn byte_after(&self, count: usize, limit: Duration) -> Option<Instant> {
        let deadline = Instant::now() + limit;
        let mut output = self.shown.lock();
        loop {
            if let Some((when, _)) = output.arrivals.iter().find(|(_, total)| *total > count) {
                return Some(*when);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || output.ended {
                return None;
            }
            output = self.shown.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// When each piece of output came that brought more than `count` bytes in all.
    #[allow(dead_code, reason = "for the benchmark, which shares this module")]
    pub(crate) fn arrivals_after(&self, count: usize) -> Vec<Instant> {
        self.shown.lock().arrivals.iter().filter(|(_, total)| *total > count).map(|(when, _)| *when).collect()
    }

    /// What the screen shows now, a line each.
    pub(crate) fn screen(&self) -> String {
        self.shown.lock().screen.screen().contents()
    }

    /// How many bytes have left the program so far.
    pub(crate) fn count(&self) -> usize {
        self.shown.lock().raw.len()
    }

    /// Every byte that has left the program so far.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.shown.lock().raw.clone()
    }

    /// Whether the program shows the alternate screen, or a cursor, or has set the terminal to tell of the mouse or of pastes.
    pub(crate) fn is_restored(&self) -> bool {
        let output = self.shown.lock();
        let screen = output.screen.screen();
        !screen.alternate_screen()
            && !screen.hide_cursor()
            && !screen.bracketed_paste()
            && screen.mouse_protocol_mode() == vt100::MouseProtocolMode::None
    }

    /// Waits until nothing was written for so long.
    pub(crate) fn wait_for_quiet(&self, quiet: Duration, limit: Duration) {
        let deadline = Instant::now() + limit;
        loop {
            let last = self.shown.lock().arrivals.last().map(|(when, _)| *when);
            let since = last.map_or(quiet, |when| when.elapsed());
            if since >= quiet {
                return;
            }
            assert!(Instant::now() < deadline, "it goes on writing; the screen:\n{}", self.screen());
            std::thread::sleep(quiet.saturating_sub(since));
        }
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, (columns, rows): (u16, u16)) {
        self.shown.lock().screen.screen_mut().set_size(at_least_one(rows), at_least_one(columns));
        self.master
            .as_ref()
            .expect("an open terminal")
            .resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 })
            .expect("the pty can be resized");
    }

    /// Waits until all output was read.
    fn wait_for_end(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut output = self.shown.lock();
        while !output.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the program keeps its terminal open");
            output = self.shown.changed.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the terminal away, as a lost connection does, and leaves the program running.
    pub(crate) fn hang_up(mut self) -> Box<dyn Child + Send + Sync> {
        self.shown.lock().hanging_up = true;
        // The reader holds the terminal open until something comes: a program that is told of a new size draws.
        self.resize((90, 30));
        self.wait_for_end(super::SOON);
        self.child.take().expect("an open terminal")
    }

    /// The program's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().and_then(|child| child.process_id()).expect("the program runs")
    }

    /// Waits for the program to end and until everything it wrote was read; its exit code. What a program writes last is still on
    /// its way through the pty when the program is gone: who looks at the screen at once sees the one before.
    pub(crate) fn wait_exit(&mut self, limit: Duration) -> u32 {
        let deadline = Instant::now() + limit;
        loop {
            let child = self.child.as_mut().expect("an open terminal");
            if let Some(status) = child.try_wait().expect("the program is our child") {
                self.wait_for_end(deadline.saturating_duration_since(Instant::now()));
                return status.exit_code();
            }
            assert!(Instant::now() < deadline, "the program did not end; the screen:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A terminal has at least one row and one column.
fn at_least_one(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap_or(NonZeroU16::MIN)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, Output> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the program writes until it closes its end.
    fn follow(&self, mut reader: Box<dyn Read + Send>) {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = reader.read(&mut buffer).unwrap_or(0);
            let when = Instant::now();
            let mut output = self.lock();
            if read == 0 {
                output.ended = true;
            } else {
                output.screen.process(&buffer[..read]);
                output.raw.extend_from_slice(&buffer[..read]);
                let total = output.raw.len();
                output.arrivals.push((when, total));
            }
            output.ended |= output.hanging_up;
            let ended = output.ended;
            drop(output);
            self.changed.notify_all();
            if ended {
                return;
            }
        }
    }
}
