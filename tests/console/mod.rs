//! The program in a real terminal, as a person sees it.

#[cfg(all(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod demo;
#[cfg(all(feature = "kafka", feature = "nats", feature = "rabbitmq", feature = "redis"))]
mod export;
#[cfg(feature = "kafka")]
mod ladder;
mod live;
mod manners;
mod mouse;
mod receive;
#[cfg(feature = "kafka")]
mod tape;

pub(crate) use crate::support::SOON;
use crate::support::program::Home;
use crate::support::terminal::Terminal;
use std::path::Path;

/// The console in a terminal of that size.
pub(crate) fn console(home: &Home, arguments: &[&str], size: (u16, u16)) -> Terminal {
    let environment = home.environment();
    let environment: Vec<(&str, &Path)> = environment.iter().map(|(name, value)| (*name, value.as_path())).collect();
    Terminal::open(Path::new(env!("CARGO_BIN_EXE_mqdeck")), arguments, &environment, size)
}
