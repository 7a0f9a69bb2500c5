//! Beginning to receive: how many messages, and as which group where the channel's messages are given to groups.

use super::effect::{Effect, TaskId};
use super::model::Model;
use super::overlays::Overlay;
use super::overlays::input::{Ask, Prompt, Ways};
use super::screens::received;
use super::{act, available};
use crate::domain::address::Address;
use crate::domain::delivery::Way;
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;

/// Asks how many messages are to be received, and where that has to be said, in which way.
pub(super) fn ask(model: &mut Model, address: Option<Address>) {
    let Some(address) = address else { return };
    let mut prompt = Prompt::new(Ask::Receive, "10");
    let task = model.task();
    // Where the channel names all that is needed, nothing has to be waited for.
    let known = !available::caps(model, &address).is_some_and(|can| can.ways);
    prompt.ways = Some(Ways::new(task, known.then(Vec::new)));
    model.effect(Effect::Ways { task, address });
    model.overlay = Some(Overlay::Prompt(prompt));
}

/// The ways in which messages can be received are known, or why they are not, and what receiving takes from others.
pub(super) fn ways(model: &mut Model, task: TaskId, result: Result<Vec<Way>, Fault>, warning: Option<SafeText>) {
    let Some(Overlay::Prompt(prompt)) = &mut model.overlay else { return };
    let Some(ways) = prompt.ways.as_mut().filter(|ways| ways.task == task) else { return };
    prompt.warning = warning;
    match result {
        Ok(known) => {
            // With one there was nothing to choose.
            let begin = ways.begin && known.len() < 2;
            (ways.known, ways.begin) = (Some(known), false);
            let text = prompt.editor.text();
            if begin && let Err(error) = act::answer(model, Ask::Receive, &text) {
                refuse(model, error);
            }
        }
        Err(fault) => {
            (ways.known, ways.begin) = (Some(Vec::new()), false);
            let next = if fault.next.as_str().is_empty() { String::new() } else { format!(": {}", fault.next) };
            refuse(model, format!("{}{next}", fault.cause));
        }
    }
    model.touch();
}

fn refuse(model: &mut Model, error: String) {
    if let Some(Overlay::Prompt(prompt)) = &mut model.overlay {
        prompt.error = Some(error);
    }
}

/// Begins with what the prompt says, once the way is known.
pub(super) fn chosen(model: &mut Model, address: Address, most: u32) {
    let ways = match &mut model.overlay {
        Some(Overlay::Prompt(prompt)) => prompt.ways.as_mut(),
        _ => None,
    };
    let way = match ways {
        Some(ways) if ways.known.is_none() => {
            ways.begin = true;
            return;
        }
        Some(ways) => ways.way().map(|way| Address::new(&address.integration, &way.channel)),
        None => None,
    };
    model.overlay = None;
    received::hold(model, way.unwrap_or_else(|| address.clone()), address, most);
}
