//! Questions with yes and no, drawn.

use crate::app::layout;
use crate::app::overlays::confirm::Confirm;
use crate::app::wrap::words;
use crate::domain::figure;
use crate::ui::theme::Role;
use crate::ui::widgets::panel;
use crate::ui::widgets::text::Canvas;

/// Cells of a panel with a question.
const WIDTH: u16 = 84;

pub(super) fn draw(canvas: &mut Canvas, confirm: &Confirm) {
    let (title, lines): (&str, Vec<(String, Role)>) = match confirm {
        Confirm::Quit { jobs } => {
            let text = format!("{jobs} piece{} of work under way would be cancelled.", if *jobs == 1 { "" } else { "s" });
            ("Quit?", vec![(text, Role::Text)])
        }
        Confirm::Receive { address, most, why, .. } => {
            let first =
                format!("What is not decided on of {} is given back, and may end by that:", figure::several(u64::from(*most), "message"));
            let lines = vec![(address.to_string(), Role::Strong), (first, Role::Text), (why.to_string(), Role::Watch)];
            ("Receive anyway?", lines)
        }
        Confirm::Peek { address, most, marks } => {
            let first = format!("Looking at the first {} leaves marks:", figure::several(u64::from(*most), "message"));
            let lines = vec![(address.to_string(), Role::Strong), (first, Role::Text), (marks.to_string(), Role::Watch)];
            ("Look anyway?", lines)
        }
        Confirm::Release { address, unsettled, left_over } => {
            let many = if *unsettled == 1 { " is" } else { "s are" };
            let first = format!("{unsettled} message{many} not decided on. What is held {left_over}.");
            let lines = vec![(address.to_string(), Role::Strong), (first, Role::Text)];
            ("Leave?", lines)
        }
        Confirm::Discard => ("Leave the form?", vec![("What was typed would be lost.".to_owned(), Role::Text)]),
    };
    // Nothing of what is agreed to is cut off.
    let room = usize::from(layout::panel(canvas.area().width, canvas.area().height, WIDTH, 0).1.width);
    let lines: Vec<(String, Role)> =
        lines.into_iter().flat_map(|(text, role)| words(&text, room).into_iter().map(move |row| (row, role))).collect();
    let inside = panel::open(canvas, WIDTH, lines.len() as u16 + 2, title, "n or Esc: no");
    for (at, (text, role)) in lines.iter().enumerate().take(usize::from(inside.height.saturating_sub(1))) {
        canvas.put(inside.x, inside.y + at as u16, inside.width, text, *role);
    }
    let y = inside.bottom().saturating_sub(1);
    let used = canvas.put(inside.x, y, 2, "y", Role::Key);
    let verb = match confirm {
        Confirm::Quit { .. } => "cancel the work and quit",
        Confirm::Discard => "leave and lose it",
        Confirm::Peek { .. } => "look",
        Confirm::Receive { .. } => "receive",
        Confirm::Release { .. } => "leave",
    };
    canvas.put(inside.x + used + 1, y, inside.width.saturating_sub(used + 1), verb, Role::Text);
}
