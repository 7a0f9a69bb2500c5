//! Questions with yes and no, drawn.

use crate::app::overlays::confirm::Confirm;
use crate::ui::theme::Role;
use crate::ui::widgets::panel;
use crate::ui::widgets::text::Canvas;

/// What giving back means, before its system has said so.
const AGAIN: &str = "for anybody to be given, and counts as redelivered where the system counts.";

pub(super) fn draw(canvas: &mut Canvas, confirm: &Confirm) {
    let (title, lines): (&str, Vec<(String, Role)>) = match confirm {
        Confirm::Quit { jobs } => {
            let text = format!("{jobs} piece{} of work under way would be cancelled.", if *jobs == 1 { "" } else { "s" });
            ("Quit?", vec![(text, Role::Text)])
        }
        Confirm::Peek { address, most, marks } => {
            let first = format!("Looking at the first {most} messages leaves marks on them:");
            let lines = vec![(address.to_string(), Role::Strong), (first, Role::Text), (marks.to_string(), Role::Watch)];
            ("Look all the same?", lines)
        }
        Confirm::Release { address, unsettled } => {
            let many = if *unsettled == 1 { " is" } else { "s are" };
            let first = format!("{unsettled} message{many} not decided on. What is held goes back to");
            let lines = vec![(first, Role::Text), (address.to_string(), Role::Strong), (AGAIN.to_owned(), Role::Text)];
            ("Leave?", lines)
        }
        Confirm::Discard => ("Leave the form?", vec![("What was typed would be lost.".to_owned(), Role::Text)]),
    };
    let inside = panel::open(canvas, 84, lines.len() as u16 + 2, title, "n or Esc: do not");
    for (at, (text, role)) in lines.iter().enumerate().take(usize::from(inside.height.saturating_sub(1))) {
        canvas.put(inside.x, inside.y + at as u16, inside.width, text, *role);
    }
    let y = inside.bottom().saturating_sub(1);
    let used = canvas.put(inside.x, y, 2, "y", Role::Key);
    let verb = match confirm {
        Confirm::Quit { .. } => "cancel the work and quit",
        Confirm::Discard => "leave and lose it",
        Confirm::Peek { .. } => "look",
        Confirm::Release { .. } => "give back and leave",
    };
    canvas.put(inside.x + used + 1, y, inside.width.saturating_sub(used + 1), verb, Role::Text);
}
