//! `mqdeck play`: a tape drives the console without a terminal.

use super::output::{self, Out};
use super::{Connection, Look, console};
use crate::runtime::First;
use crate::runtime::play::svg::Palette;
use crate::runtime::play::{driver, tape};
use crate::ui::theme::Depth;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Play {
    /// The script: a subset of the VHS tape language.
    tape: PathBuf,
    /// Columns and rows instead of the tape's own.
    #[arg(long, value_name = "120x40", value_parser = size)]
    size: Option<(u16, u16)>,
    /// Where frames go; the tape's `Output`, or the current folder, if missing.
    #[arg(long, value_name = "DIR")]
    frames: Option<PathBuf>,
    /// Plays on the demo's embedded systems.
    #[arg(long, conflicts_with_all = ["profile", "url"])]
    demo: bool,
}

impl Play {
    pub(super) async fn run(&self, connection: &Connection, look: &Look) -> anyhow::Result<ExitCode> {
        console::not_armed_at_start(connection)?;
        let path = self.tape.display().to_string();
        let text = std::fs::read_to_string(&self.tape).map_err(|e| super::unreadable(&path, &e))?;
        let mut tape = match tape::parse(&text) {
            Ok(tape) => tape,
            Err(mistakes) => {
                for mistake in &mistakes {
                    output::note(format!("{path}:{mistake}"));
                }
                return Ok(ExitCode::from(2));
            }
        };
        if let Some((width, height)) = self.size {
            (tape.width, tape.height) = (width, height);
        }
        let name = look.theme.clone().or_else(|| tape.theme.clone()).unwrap_or_else(|| "dark".to_owned());
        let theme = console::named(&name, Depth::True, look.ascii)?;
        let palette = if name == "light" { Palette::light() } else { Palette::dark() };
        let frames = self.frames.clone().or_else(|| tape.outputs.first().map(PathBuf::from)).unwrap_or_default();
        let first = if self.demo { First::Demo } else { connection.first()? };
        let written = driver::play(connection.opener()?, &theme, &palette, &tape, first, &frames).await?;
        let mut out = Out::new();
        for path in written {
            out.line(path.display().to_string())?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let wrong = |_| format!("`{text}` is not a size: write COLUMNSxROWS, for example 120x40");
    let (width, height) = text.split_once('x').unwrap_or((text, ""));
    Ok((width.parse().map_err(wrong)?, height.parse().map_err(wrong)?))
}
