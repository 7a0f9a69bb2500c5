//! `mqdeck completions` and `mqdeck man`: made from the command line's own description, so that they cannot differ from it.

use super::Cli;
use super::output::Out;
use crate::adapters::ADAPTERS;
use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub struct Completions {
    shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {}

impl Completions {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut out = Out::new();
        out.document(&script(self.shell))?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "mqdeck", &mut script);
    script
}

/// The command line with the operations of every system, which a run finds in the system that it is about.
fn command() -> clap::Command {
    let ids: BTreeSet<&str> = ADAPTERS.iter().flat_map(|adapter| adapter.operations).map(|spec| spec.id).chain(["ls", "undo"]).collect();
    let known = PossibleValuesParser::new(ids);
    Cli::command().mut_subcommand("manage", |manage| manage.mut_arg("operation", |operation| operation.value_parser(known)))
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
        let mut out = Out::new();
        out.document(&page)?;
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn completions_know_every_operation() {
        // Others complete options alone.
        for shell in [Shell::Bash, Shell::Zsh] {
            let script = String::from_utf8(script(shell)).expect("text");
            for spec in ADAPTERS.iter().flat_map(|adapter| adapter.operations) {
                assert!(script.contains(spec.id), "{:?}: {}", shell.to_possible_value(), spec.id);
            }
        }
    }
}
