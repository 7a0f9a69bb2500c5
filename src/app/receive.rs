//! Beginning to receive: how many messages, and as which group where the channel's messages are given to groups.

use super::effect::{Effect, TaskId};
use super::model::Model;
use super::overlays::Overlay;
use super::overlays::input::{Ask, Prompt, ReceiveOptions};
use super::screens::received;
use super::{act, available};
use crate::domain::address::Address;
use crate::domain::delivery::ReceiveOption;
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;

/// Asks how many messages are to be received, and where that has to be said, in which way.
pub(super) fn ask(model: &mut Model, address: Option<Address>) {
    let Some(address) = address else { return };
    let mut prompt = Prompt::new(Ask::Receive, "10");
    let task = model.task();
    // Where the channel names all that is needed, nothing has to be waited for.
    let known = !available::caps(model, &address).is_some_and(|can| can.receive_options);
    prompt.receive_options = Some(ReceiveOptions::new(task, known.then(Vec::new)));
    model.effect(Effect::ReceiveOptions { task, address });
    model.overlay = Some(Overlay::Prompt(prompt));
}

/// The ways in which messages can be received are known, or why they are not, and what receiving takes from others.
pub(super) fn receive_options(model: &mut Model, task: TaskId, result: Result<Vec<ReceiveOption>, Fault>, warning: Option<SafeText>) {
    let Some(Overlay::Prompt(prompt)) = &mut model.overlay else { return };
    let Some(receive_options) = prompt.receive_options.as_mut().filter(|receive_options| receive_options.task == task) else { return };
    prompt.warning = warning;
    match result {
        Ok(known) => {
            // With one there was nothing to choose.
            let begin = receive_options.begin && known.len() < 2;
            (receive_options.known, receive_options.begin) = (Some(known), false);
            let text = prompt.editor.text();
            if begin && let Err(error) = act::answer(model, Ask::Receive, &text) {
                refuse(model, error);
            }
        }
        Err(fault) => {
            (receive_options.known, receive_options.begin) = (Some(Vec::new()), false);
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
    let receive_options = match &mut model.overlay {
        Some(Overlay::Prompt(prompt)) => prompt.receive_options.as_mut(),
        _ => None,
    };
    let way = match receive_options {
        Some(receive_options) if receive_options.known.is_none() => {
            receive_options.begin = true;
            return;
        }
        Some(receive_options) => receive_options.way().map(|way| Address::new(&address.integration, &way.channel)),
        None => None,
    };
    model.overlay = None;
    received::hold(model, way.unwrap_or_else(|| address.clone()), address, most);
}
