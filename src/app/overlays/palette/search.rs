//! What the palette finds: every command, or every place to go to, by a few letters.

use super::{Entry, Kind, Palette, Target};
use crate::app::action::{Reason, Scope};
use crate::app::commands::{COMMANDS, Command};
use crate::app::editor::Editor;
use crate::app::matching::Pattern;
use crate::app::model::{Model, Screen};
use crate::app::overlays::menu;
use crate::app::screens::PLACES;
use crate::domain::address::{Address, GROUP};
use crate::domain::suggest;
use crate::domain::template::TEMPLATES;
use crate::domain::text::SafeText;

/// Rows kept of a search.
const FOUND: usize = 200;
/// What stands in patterns of channels in some system: MQTT, NATS, Redis.
const WILDCARDS: [char; 5] = ['#', '+', '*', '>', '?'];

/// Opens the palette. Call before anything of the screen is changed: what is refused depends on it.
pub(crate) fn open(model: &Model, kind: Kind) -> Palette {
    let mut palette = Palette { editor: Editor::line(""), kind, rows: Vec::new(), selected: 0 };
    palette.rows = search(model, kind, "");
    palette
}

/// The rows that match, the best first; what is refused comes last.
pub(crate) fn search(model: &Model, kind: Kind, text: &str) -> Vec<Entry> {
    let pattern = Pattern::fuzzy(text);
    let mut found: Vec<(bool, u32, Entry)> = match kind {
        Kind::Commands => commands(model),
        Kind::Places => places(model),
        Kind::Templates => templates(),
    }
    .into_iter()
    .filter_map(|entry| pattern.score(entry.label.as_str()).map(|score| (entry.refused.is_some(), u32::MAX - score, entry)))
    .collect();
    found.sort_by_key(|(refused, score, _)| (*refused, *score));
    found.truncate(FOUND);
    let mut rows: Vec<Entry> = found.into_iter().map(|(.., entry)| entry).collect();
    if kind == Kind::Places
        && let Some(typed) = typed(model, text.trim(), &rows)
    {
        // The best match stays first unless what was typed is a pattern: those are never listed.
        let at = if text.contains(WILDCARDS) { 0 } else { rows.len().min(1) };
        rows.insert(at, typed);
    }
    rows
}

/// The address that was typed, listed or not: which names can be opened is known to its system alone.
fn typed(model: &Model, text: &str, found: &[Entry]) -> Option<Entry> {
    let address: Address = text.parse().ok()?;
    let is_listed = |entry: &Entry| matches!(&entry.target, Target::Channel(listed) if *listed == address);
    if model.profile.is_none() || found.iter().any(is_listed) {
        return None;
    }
    let named = model.integration(&address.integration);
    // Another part of the same brokers: `rabbit@tenant-a`.
    let named = named.or_else(|| model.integration(address.integration.rsplit_once('@')?.0));
    let refused = match named {
        Some(one) if one.has_groups() && address.split(&[GROUP]).is_group() => {
            Some("a group has no messages of its own: the Groups screen (4) shows it".to_owned())
        }
        Some(_) => None,
        // Loosely matched channels may have slashes of their own.
        None if !found.is_empty() => return None,
        None => {
            let hint = suggest::hint(&address.integration, model.integrations().iter().map(|integration| &*integration.name));
            let hint = if hint.is_empty() { String::new() } else { format!(": {hint}") };
            Some(format!("no such integration{hint}"))
        }
    };
    Some(Entry { label: SafeText::new(text), target: Target::Typed(address), refused: refused.map(|reason| SafeText::new(&reason)) })
}

/// What the adapters offer for the selection.
fn operations(model: &Model) -> impl Iterator<Item = Entry> {
    menu::operations(model).into_iter().filter_map(|row| {
        let menu::Item::Operation(spec, address) = row.item else { return None };
        let refused = match row.available {
            Ok(()) => None,
            Err(Reason::Absent) => return None,
            Err(Reason::Refused(reason)) => Some(SafeText::new(&reason)),
        };
        Some(Entry { label: format!("{} {address}", spec.title).into(), target: Target::Operation(spec, address), refused })
    })
}

fn commands(model: &Model) -> Vec<Entry> {
    let here = model.screen.state().scope;
    COMMANDS
        .iter()
        .filter(|command| {
            !matches!(
                command.scope,
                Scope::Moving | Scope::Confirm | Scope::Form | Scope::Plan | Scope::Typed | Scope::Closed | Scope::Outcome
            ) && command.id != "palette"
        })
        .filter_map(|command| {
            let elsewhere =
                !matches!(command.scope, Scope::Global | Scope::Always | Scope::ActionMenu | Scope::CopyMenu) && command.scope != here;
            if elsewhere {
                return None;
            }
            let refused = match (command.available)(model) {
                Ok(()) => None,
                Err(Reason::Absent) => return None,
                Err(Reason::Refused(reason)) => Some(SafeText::new(&reason)),
            };
            Some(Entry { label: title(command).into(), target: Target::Command(command.id), refused })
        })
        .chain(operations(model))
        .collect()
}

/// A command's title where its menu is not on the screen.
pub fn title(command: &Command) -> String {
    if command.scope == Scope::CopyMenu { format!("Copy: {}", command.title) } else { command.title.to_owned() }
}

fn templates() -> Vec<Entry> {
    TEMPLATES.iter().map(|template| Entry { label: template.title.into(), target: Target::Template(template), refused: None }).collect()
}

fn places(model: &Model) -> Vec<Entry> {
    let entry = |label: SafeText, target| Entry { label, target, refused: None };
    let mut places: Vec<Entry> = PLACES
        .iter()
        .filter(|screen| model.profile.is_some() || matches!(screen, Screen::Profiles | Screen::Notices))
        .map(|screen| entry(screen.title().into(), Target::Screen(*screen)))
        .collect();
    for integration in model.integrations() {
        for (channel, shown) in integration.channels.iter().zip(&integration.shown) {
            if !channel.internal {
                let label = SafeText::new(&format!("{}/{}", integration.label, shown.label));
                places.push(entry(label, Target::Channel(Address::new(&integration.name, &channel.name))));
            }
        }
    }
    for profile in model.profiles.entries.iter().flatten().filter(|profile| profile.fault.is_none()) {
        places.push(entry(profile.name.clone(), Target::Profile(profile.path.clone())));
    }
    places
}
