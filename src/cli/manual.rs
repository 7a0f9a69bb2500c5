//! `mqdeck completions` and `mqdeck man`: made from the command line's own description, so that they cannot differ from it.

use super::Cli;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "mqdeck", &mut script);
        io::stdout().write_all(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Man {
    /// One page: the program, then each command with its options.
    pub(super) fn run() -> anyhow::Result<ExitCode> {
        let mut command = Cli::command();
        command.build();
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).render(&mut page)?;
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            writeln!(page, ".SH \"MQDECK {}\"", sub.get_name().to_uppercase())?;
            let sub = clap_mangen::Man::new(sub.clone().display_name(format!("mqdeck {}", sub.get_name())));
            sub.render_description_section(&mut page)?;
            sub.render_synopsis_section(&mut page)?;
            sub.render_options_section(&mut page)?;
        }
        io::stdout().write_all(&page)?;
        Ok(ExitCode::SUCCESS)
    }
}
