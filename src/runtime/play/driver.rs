//! Plays a tape: the same console as in a terminal, with a buffer in the terminal's place.

use super::super::core::Core;
use super::super::{First, Opener, lanes};
use super::frame;
use super::svg::{self, Palette};
use super::tape::{Action, Scope, Tape};
use crate::app::Event;
use crate::domain::fault::{Fault, Kind};
use crate::ui::{self, theme::Theme};
use crossterm::event::KeyEvent;
use lanes::Inbox;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use regex::Regex;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often a waiting tape looks at the screen again while nothing happens.
const LOOK: Duration = Duration::from_millis(20);

/// Plays a tape to its end or to the key that quits; returns the frames it wrote.
///
/// # Errors
/// A `Wait` that is not met in time, with the screen as it was; a frame that cannot be written.
pub async fn play(
    opener: Opener,
    theme: &Theme,
    palette: &Palette,
    tape: &Tape,
    first: First,
    frames: &Path,
) -> anyhow::Result<Vec<PathBuf>> {
    let (lanes, inbox) = lanes::lanes();
    let core = Core::new(lanes, opener, tape.width, tape.height, !matches!(first, First::Nothing), false);
    let mut player = Player { core, inbox, theme, area: Rect::new(0, 0, tape.width, tape.height) };
    player.core.start(first);
    let written = player.steps(tape, palette, frames).await;
    player.core.shutdown().await;
    written
}

struct Player<'a> {
    core: Core,
    inbox: Inbox,
    theme: &'a Theme,
    area: Rect,
}

impl Player<'_> {
    async fn steps(&mut self, tape: &Tape, palette: &Palette, frames: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut written = Vec::new();
        for step in &tape.steps {
            match &step.action {
                Action::Press { keys, pace } => self.press(keys, *pace).await,
                Action::Sleep(time) => self.live_until(Instant::now() + *time).await,
                Action::Wait { pattern, scope, timeout } => self.wait(step.line, pattern, *scope, *timeout).await?,
                Action::Screenshot(name) => written.extend(self.screenshot(name, palette, frames)?),
            }
            if self.core.asked.quit {
                break;
            }
        }
        Ok(written)
    }

    async fn press(&mut self, keys: &[KeyEvent], pace: Duration) {
        for key in keys {
            self.core.tick();
            self.core.event(Event::Key(*key));
            self.live_until(Instant::now() + pace).await;
        }
    }

    async fn wait(&mut self, line: usize, pattern: &Regex, scope: Scope, timeout: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + timeout;
        loop {
            let screen = frame::text(&self.frame());
            if scope.has(pattern, &screen) {
                return Ok(());
            }
            if Instant::now() >= end {
                let cause = format!("the screen did not show /{pattern}/ within {} s", timeout.as_secs_f32());
                let fault = Fault::new(Kind::Timeout, "play", format!("line {line}"), cause);
                return Err(
                    anyhow::Error::new(fault).context(format!("line {line} waited in vain for /{pattern}/; the screen was:\n{screen}"))
                );
            }
            self.live_until(Instant::now() + LOOK).await;
        }
    }

    /// Lets the console live: takes what comes in and tells the time where the model asks for it.
    async fn live_until(&mut self, end: Instant) {
        while Instant::now() < end && !self.core.asked.quit {
            tokio::select! {
                Some(arrival) = self.inbox.next() => self.core.arrive(arrival, &mut self.inbox),
                () = tokio::time::sleep(self.core.deadline()) => self.core.tick(),
                () = sleep_until(end) => {}
            }
        }
    }

    fn frame(&self) -> Buffer {
        let mut buffer = Buffer::empty(self.area);
        ui::draw(&self.core.model, self.theme, &mut buffer);
        buffer
    }

    fn screenshot(&self, name: &str, palette: &Palette, frames: &Path) -> anyhow::Result<[PathBuf; 2]> {
        std::fs::create_dir_all(frames)?;
        let frame = self.frame();
        let (text, picture) = (frames.join(format!("{name}.txt")), frames.join(format!("{name}.svg")));
        std::fs::write(&text, frame::text(&frame))?;
        std::fs::write(&picture, svg::picture(&frame, palette))?;
        Ok([text, picture])
    }
}
