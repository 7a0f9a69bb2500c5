//! The impure shell: the loop around the pure core. It never awaits a system: what takes time is a task whose answer is an event.

mod core;
mod effects;
mod export;
mod failures;
mod follow;
mod groups;
mod input;
mod lanes;
pub mod log;
mod open;
pub mod panics;
pub mod play;
mod reading;
mod received;
pub mod stop;
mod terminal;
mod watchdog;

pub use effects::First;
pub use open::{Opener, environment, systems};

use crate::app::event::Level;
use crate::app::{Effect, Event};
use crate::ui::theme::Theme;
use core::Core;
use crossterm::event::{Event as Typed, KeyEventKind};
use input::Input;
use rustix::process::{getpid, kill_process};
use std::io;
use std::time::{Duration, Instant};
use terminal::Screen;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Frames caused by data alone come no faster than this.
const FRAME: Duration = Duration::from_millis(25);

/// Runs the console in the terminal until the operator leaves it or the terminal is gone.
pub async fn console(opener: Opener, theme: Theme, first: First) -> anyhow::Result<()> {
    // Before the terminal is taken: a signal must find somebody who gives it back.
    let signals = Signals::catch()?;
    let screen = Screen::enter()?;
    let (lanes, inbox) = lanes::lanes();
    let (width, height) = screen.size();
    let core = Core::new(lanes, opener, width, height, !matches!(first, First::Nothing), true);
    let mut console = Console { core, screen, theme, drawn: None, last_frame: Instant::now() };
    // Before anything that could take time.
    console.draw()?;
    console.core.start(first);
    let result = console.run(inbox, signals).await;
    // The terminal is given back before anything is waited for.
    let Console { mut core, screen, .. } = console;
    drop(screen);
    core.shutdown().await;
    result.map_err(Into::into)
}

/// The signals that the console answers itself, from before it has the terminal until it has given it back.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            // In raw mode Ctrl-C and Ctrl-\ are keys; these two come from elsewhere.
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Ready when the console is to end.
    async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// The core in a terminal.
struct Console {
    core: Core,
    screen: Screen,
    theme: Theme,
    /// The model's revision on the screen; `None` if the screen shows nothing of it.
    drawn: Option<u64>,
    last_frame: Instant,
}

impl Console {
    async fn run(&mut self, mut inbox: lanes::Inbox, mut signals: Signals) -> io::Result<()> {
        let mut input = Input::start();
        let gone = watchdog::watch();
        let mut resized = signal(SignalKind::window_change())?;
        while !self.core.asked.quit {
            let mut urgent = false;
            tokio::select! {
                biased;
                event = input.next() => match event {
                    Some(event) => { urgent = true; self.input(event?)?; }
                    None => return Ok(()),
                },
                () = gone.notified() => return Ok(()),
                () = signals.end() => return Ok(()),
                _ = resized.recv() => { urgent = true; self.resize()?; }
                report = panics::next() => self.core.event(Event::Notice(Level::Error, report)),
                Some(arrival) = inbox.next() => self.core.arrive(arrival, &mut inbox),
                () = tokio::time::sleep(self.wake_in()) => self.core.tick(),
            }
            if let Some(on) = self.core.asked.mouse.take() {
                self.screen.set_mouse(on)?;
            }
            if urgent || self.last_frame.elapsed() >= FRAME {
                self.draw()?;
            }
            if self.core.asked.suspend || self.core.asked.edit.is_some() {
                // Whoever gets the terminal must get its keys too.
                drop(input);
                self.lend_terminal().await?;
                input = Input::start();
            }
        }
        Ok(())
    }

    /// How long until something must happen although nothing comes in: a frame that is due, or the model's own deadline.
    fn wake_in(&self) -> Duration {
        let deadline = self.core.deadline();
        if self.drawn == Some(self.core.model.revision) { deadline } else { deadline.min(FRAME.saturating_sub(self.last_frame.elapsed())) }
    }

    fn input(&mut self, input: Typed) -> io::Result<()> {
        self.core.tick();
        match input {
            Typed::Key(key) if key.kind != KeyEventKind::Release => self.core.event(Event::Key(key)),
            Typed::Paste(text) => self.core.event(Event::Paste(text)),
            Typed::Mouse(mouse) => self.core.event(Event::Mouse(mouse)),
            // The terminal's own word counts: crossterm loses a change that comes together with a key.
            Typed::Resize(..) => self.resize()?,
            Typed::Key(_) | Typed::FocusGained | Typed::FocusLost => {}
        }
        Ok(())
    }

    /// Takes over the size that the terminal has now.
    fn resize(&mut self) -> io::Result<()> {
        let (width, height) = crossterm::terminal::size()?;
        if (width, height) != self.screen.size() {
            self.screen.resize(width, height)?;
            self.drawn = None;
            self.core.event(Event::Resize { width, height });
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        if self.drawn == Some(self.core.model.revision) {
            return Ok(());
        }
        self.screen.draw(&self.core.model, &self.theme)?;
        self.drawn = Some(self.core.model.revision);
        self.last_frame = Instant::now();
        Ok(())
    }

    /// Gives the terminal to an editor or, after Ctrl-Z, to the shell, and takes it back.
    async fn lend_terminal(&mut self) -> io::Result<()> {
        Screen::pause()?;
        if std::mem::take(&mut self.core.asked.suspend) {
            kill_process(getpid(), rustix::process::Signal::TSTP)?;
        }
        let edited = match self.core.asked.edit.take() {
            Some(Effect::Edit { purpose, bytes, extension }) => {
                Some(Event::Edited { purpose, result: export::edit(&bytes, extension, &self.core.opener.withheld()).await })
            }
            _ => None,
        };
        self.screen.resume()?;
        let (width, height) = self.screen.size();
        self.drawn = None;
        self.core.tick();
        self.core.event(Event::Resize { width, height });
        if let Some(event) = edited {
            self.core.event(event);
        }
        self.draw()
    }
}
