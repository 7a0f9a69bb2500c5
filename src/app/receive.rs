//! Beginning to receive: how many messages, and as which group where the channel's messages are given to groups.

use super::effect::{Effect, TaskId};
use super::model::Model;
use super::overlays::input::{Ask, ReceiveOptions};
use super::overlays::{Overlay, Prompt};
use super::screens::received;
use crate::domain::address::Address;
use crate::domain::delivery::ReceiveOption;
use crate::domain::fault::Fault;
use crate::domain::text::SafeText;

/// Messages that are received or looked at, at most: somebody is to decide on each.
const MOST: u32 = 1_000;

/// Asks how many messages are to be received, and where that has to be said, in which way.
pub(super) fn ask(model: &mut Model) {
    let Some(address) = model.target() else { return };
    let mut prompt = Prompt::new(Ask::Receive, "10");
    let task = model.task();
    // Where the channel names all that is needed, nothing has to be waited for.
    let known = !model.caps(&address).is_some_and(|can| can.receive_options);
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
            if begin && let Err(error) = answer(model, &text) {
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

/// How many messages, and of which channel.
pub(super) fn wanted(model: &Model, text: &str) -> Result<(u32, Address), String> {
    let most = text.trim().parse::<u32>().ok().filter(|most| (1..=MOST).contains(most));
    let most = most.ok_or_else(|| format!("write a number from 1 to {MOST}"))?;
    Ok((most, model.target().ok_or("no channel is selected")?))
}

/// Begins with what the prompt says, once the way is known.
pub(super) fn answer(model: &mut Model, text: &str) -> Result<(), String> {
    let (most, address) = wanted(model, text)?;
    let receive_options = match &mut model.overlay {
        Some(Overlay::Prompt(prompt)) => prompt.receive_options.as_mut(),
        _ => None,
    };
    let way = match receive_options {
        Some(receive_options) if receive_options.known.is_none() => {
            receive_options.begin = true;
            return Ok(());
        }
        Some(receive_options) => receive_options.way().map(|way| Address::new(&address.integration, &way.channel)),
        None => None,
    };
    model.overlay = None;
    received::hold(model, way.unwrap_or_else(|| address.clone()), address, most, false);
    Ok(())
}
