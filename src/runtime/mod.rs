//! The impure shell: the loop around the pure core. It never awaits a system: what takes time is a task whose answer is an event.

mod effects;
mod export;
mod lanes;
pub mod log;
mod open;
mod terminal;
mod watchdog;

pub use open::Opener;

use crate::app::{self, Effect, Event, Model, Start};
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crate::ui::theme::Theme;
use crossterm::event::{Event as Input, EventStream, KeyEventKind};
use effects::Performer;
use futures::StreamExt;
use lanes::{Arrival, Inbox};
use rustix::process::{Signal, getpid, kill_process};
use std::io;
use std::time::{Duration, Instant};
use terminal::Screen;
use tokio::signal::unix::{SignalKind, signal};

/// Frames caused by data alone come no faster than this.
const FRAME: Duration = Duration::from_millis(25);
/// How long the end may take: what is being written then is given up with a word in the log.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the console starts with.
pub enum First {
    /// The first-run screen, or the picker where there are profiles.
    Nothing,
    /// A profile path, or a URL.
    Profile(String),
    Url(String),
    Demo,
}

/// Runs the console in the terminal until the operator leaves it or the terminal is gone.
pub async fn console(opener: Opener, theme: Theme, first: First) -> anyhow::Result<()> {
    let mut screen = Screen::enter()?;
    let (width, height) = screen.size();
    let start = Start { now: now(), zone: jiff::tz::TimeZone::system(), width, height, opening: !matches!(first, First::Nothing) };
    let (model, effects) = Model::new(start);
    let (lanes, inbox) = lanes::lanes();
    let mut console = Console {
        model,
        performer: Performer::new(lanes, opener),
        screen,
        theme,
        drawn: None,
        last_frame: Instant::now(),
        asked: Asked::default(),
    };
    console.draw()?;
    console.performer.start(first);
    console.perform(effects);
    let result = console.run(inbox).await;
    let _ = tokio::time::timeout(GOODBYE, console.performer.shutdown()).await;
    result.map_err(Into::into)
}

struct Console {
    model: Model,
    performer: Performer,
    screen: Screen,
    theme: Theme,
    /// The model's revision on the screen.
    drawn: Option<u64>,
    last_frame: Instant,
    asked: Asked,
}

/// Effects that only the loop can perform.
#[derive(Default)]
struct Asked {
    quit: bool,
    suspend: bool,
    edit: Option<Effect>,
}

impl Console {
    async fn run(&mut self, mut inbox: Inbox) -> io::Result<()> {
        let mut input = EventStream::new();
        let gone = watchdog::watch();
        let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
        while !self.asked.quit {
            let deadline = self.wake_in();
            let mut urgent = false;
            tokio::select! {
                biased;
                event = input.next() => match event {
                    Some(Ok(event)) => { urgent = true; self.input(event)?; }
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                Some(arrival) = inbox.next() => self.arrive(arrival, &mut inbox),
                () = tokio::time::sleep(deadline.unwrap_or_default()), if deadline.is_some() => self.tick(),
                () = gone.notified() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
            }
            if urgent || self.last_frame.elapsed() >= FRAME {
                self.draw()?;
            }
            if self.asked.suspend || self.asked.edit.is_some() {
                // Whoever gets the terminal must get its keys too.
                drop(input);
                self.lend_terminal().await?;
                input = EventStream::new();
            }
        }
        Ok(())
    }

    /// How long until something must happen although nothing comes in: a frame that is due, or the model's own deadline.
    fn wake_in(&self) -> Option<Duration> {
        let frame = (self.drawn != Some(self.model.revision)).then(|| FRAME.saturating_sub(self.last_frame.elapsed()));
        let model = self.model.next_deadline().map(|at| at.since(now()));
        frame.into_iter().chain(model).min()
    }

    fn input(&mut self, input: Input) -> io::Result<()> {
        self.tick();
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => self.event(Event::Key(key)),
            Input::Paste(text) => self.event(Event::Paste(text)),
            Input::Mouse(mouse) => self.event(Event::Mouse(mouse)),
            Input::Resize(width, height) => {
                self.screen.resize(width, height)?;
                self.drawn = None;
                self.event(Event::Resize { width, height });
            }
            Input::Key(_) | Input::FocusGained | Input::FocusLost => {}
        }
        Ok(())
    }

    /// Takes everything that waits, so that one frame shows it all.
    fn arrive(&mut self, first: Arrival, inbox: &mut Inbox) {
        self.tick();
        let mut next = Some(first);
        while let Some(arrival) = next {
            match arrival {
                Arrival::Event(event) => self.event(event),
                Arrival::Demo(demo) => self.performer.demo_started(demo),
            }
            // A key must not wait for a long queue.
            next = if self.last_frame.elapsed() < FRAME * 2 { inbox.ready() } else { None };
        }
    }

    fn tick(&mut self) {
        self.event(Event::Tick(now()));
    }

    fn event(&mut self, event: Event) {
        let effects = app::update(&mut self.model, event);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Quit => self.asked.quit = true,
                Effect::Suspend => self.asked.suspend = true,
                Effect::Edit { .. } => self.asked.edit = Some(effect),
                // A terminal that refuses is about to be noticed as gone.
                Effect::Mouse(on) => drop(self.screen.set_mouse(on)),
                other => self.performer.perform(other),
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        if self.drawn == Some(self.model.revision) {
            return Ok(());
        }
        self.screen.draw(&self.model, &self.theme)?;
        self.drawn = Some(self.model.revision);
        self.last_frame = Instant::now();
        Ok(())
    }

    /// Gives the terminal to an editor or, after Ctrl-Z, to the shell, and takes it back.
    async fn lend_terminal(&mut self) -> io::Result<()> {
        self.screen.pause()?;
        if std::mem::take(&mut self.asked.suspend) {
            kill_process(getpid(), Signal::TSTP)?;
        }
        let edited = match self.asked.edit.take() {
            Some(Effect::Edit { purpose, bytes, extension }) => {
                Some(Event::Edited { purpose, result: export::edit(&bytes, extension).await })
            }
            _ => None,
        };
        self.screen.resume()?;
        let (width, height) = self.screen.size();
        self.drawn = None;
        self.tick();
        self.event(Event::Resize { width, height });
        if let Some(event) = edited {
            self.event(event);
        }
        self.draw()
    }
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
