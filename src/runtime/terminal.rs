//! The terminal: taken over and given back whole, whatever happens; frames written as the cells that changed.

use crate::app::Model;
use crate::ui::{self, theme::Theme};
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::style::ResetColor;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use crossterm::{execute, queue};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use std::io::{self, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// The console has the terminal: nothing else may write to it.
static TAKEN: AtomicBool = AtomicBool::new(false);

pub(super) fn is_taken() -> bool {
    TAKEN.load(Ordering::Relaxed)
}

/// The terminal while the console has it. Dropping it gives it back.
pub(super) struct Screen {
    /// What the terminal shows; a frame is written as the difference to it.
    shown: Buffer,
    cursor: Option<Position>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over. Asks it nothing: a terminal that does not answer must not delay the first frame.
    pub(super) fn enter() -> io::Result<Self> {
        let (width, height) = crossterm::terminal::size()?;
        TAKEN.store(true, Ordering::Relaxed);
        // From here on, so that a failure half-way gives back what was taken.
        let mut screen = Self { shown: Buffer::empty(Rect::new(0, 0, width, height)), cursor: None, mouse: false };
        screen.resume()?;
        Ok(screen)
    }

    pub(super) fn size(&self) -> (u16, u16) {
        (self.shown.area.width, self.shown.area.height)
    }

    /// Gives the terminal to somebody else for a while: an editor, the shell after Ctrl-Z.
    pub(super) fn pause() -> io::Result<()> {
        leave()
    }

    /// Takes it back; the next frame is drawn whole.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide, Clear(ClearType::All))?;
        let (width, height) = crossterm::terminal::size()?;
        self.cursor = None;
        self.set_mouse(self.mouse)?;
        self.shown = Buffer::empty(Rect::new(0, 0, width, height));
        Ok(())
    }

    /// The terminal has another size now.
    pub(super) fn resize(&mut self, width: u16, height: u16) -> io::Result<()> {
        queue!(io::stdout(), ResetColor, Clear(ClearType::All))?;
        self.shown = Buffer::empty(Rect::new(0, 0, width, height));
        Ok(())
    }

    /// Switches the report of mouse events on or off.
    pub(super) fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if on { execute!(io::stdout(), EnableMouseCapture) } else { execute!(io::stdout(), DisableMouseCapture) }
    }

    /// Draws a frame and writes what differs from the one before, in one write.
    pub(super) fn draw(&mut self, model: &Model, theme: &Theme) -> io::Result<()> {
        let mut frame = Buffer::empty(self.shown.area);
        let cursor = ui::draw(model, theme, &mut frame);
        let changes = self.shown.diff(&frame);
        if changes.is_empty() && cursor == self.cursor {
            return Ok(());
        }
        let mut bytes = Vec::with_capacity(changes.len() * 4 + 64);
        if self.cursor.is_some() {
            queue!(bytes, Hide)?;
        }
        CrosstermBackend::new(&mut bytes).draw(changes.into_iter())?;
        if let Some(at) = cursor {
            queue!(bytes, MoveTo(at.x, at.y), Show)?;
        }
        let mut out: Stdout = io::stdout();
        out.write_all(&bytes)?;
        out.flush()?;
        self.shown = frame;
        self.cursor = cursor;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing is left to be done if the terminal is gone.
        let _ = leave();
    }
}

fn leave() -> io::Result<()> {
    let written = execute!(io::stdout(), DisableMouseCapture, DisableBracketedPaste, ResetColor, LeaveAlternateScreen, Show);
    TAKEN.store(false, Ordering::Relaxed);
    // A terminal that takes no more bytes is to have its mode back all the same.
    disable_raw_mode().and(written)
}

/// Gives the terminal back if the console has it: for an end that drops nothing.
pub(super) fn give_back() {
    if is_raw_mode_enabled().unwrap_or(false) {
        let _ = leave();
    }
}
