//! Keys, pastes and the mouse: to the input that is open, else to the command table.

use super::commands;
use super::effect::Effect;
use super::event::Level;
use super::list::{Focus, Step, window};
use super::model::{Model, Screen};
use super::overlays::palette::{Target, search};
use super::overlays::{Menu, Overlay, help, menu};
use super::screens::traffic::open;
use super::screens::{profiles, publish};
use super::{act, changing, filtering, keymap, layout, moving};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

pub(super) fn key(model: &mut Model, key: KeyEvent) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    if let Some(command) = keymap::lookup(model, key) {
        return act::command(model, command);
    }
    let taken = match &mut model.overlay {
        Some(Overlay::Palette(_)) => palette_key(model, key),
        Some(Overlay::Menu(_)) => menu_key(model, key.code),
        Some(Overlay::Help(_)) => help_key(model, key.code),
        Some(Overlay::Prompt(_)) => prompt_key(model, key),
        Some(Overlay::Form(_)) => operation_key(model, key),
        Some(Overlay::Plan(_)) => plan_key(model, key),
        None if model.typing.is_some() => filtering::key(model, key),
        None if model.screen == Screen::Publish => form_key(model, key),
        Some(Overlay::Confirm(_) | Overlay::Outcome(_)) | None => false,
    };
    if taken {
        model.touch();
    }
}

/// Pasted text goes into an input or nowhere: it is never read as keys.
pub(super) fn paste(model: &mut Model, text: &str) {
    let plan_takes_text = plan_takes_text(model);
    let editor = match &mut model.overlay {
        Some(Overlay::Palette(palette)) => Some(&mut palette.editor),
        Some(Overlay::Prompt(prompt)) => Some(&mut prompt.editor),
        Some(Overlay::Form(form)) if form.planning.is_none() => form.editor(),
        Some(Overlay::Plan(_)) if !plan_takes_text => None,
        Some(Overlay::Plan(view)) => Some(&mut view.editor),
        Some(_) => None,
        None => match (&mut model.typing, &mut model.form, model.screen) {
            (Some(filter), ..) => Some(&mut filter.editor),
            (None, Some(form), Screen::Publish) if form.sending.is_none() => {
                form.begin();
                form.touched = true;
                form.editor()
            }
            _ => None,
        },
    };
    let Some(editor) = editor else { return };
    editor.paste(text);
    if let Some(Overlay::Palette(_)) = &model.overlay {
        find(model);
    } else if model.typing.is_some() {
        filtering::typed(model);
    }
    model.touch();
}

pub(super) fn mouse(model: &mut Model, mouse: MouseEvent) {
    // What asks for an answer gets none by a click; a long plan can be scrolled.
    let scrolled = matches!(mouse.kind, MouseEventKind::ScrollUp | MouseEventKind::ScrollDown);
    let scrolls = matches!(model.overlay, None | Some(Overlay::Plan(_) | Overlay::Outcome(_)));
    if !model.mouse || !scrolls || (model.overlay.is_some() && !scrolled) {
        return;
    }
    let in_pane = layout::pane_row_at(model, mouse.column, mouse.row);
    if model.screen == Screen::Traffic && model.overlay.is_none() {
        // The pane under the pointer is the one that is meant.
        model.traffic.focus = if in_pane.is_some() { Focus::Detail } else { Focus::List };
    }
    if model.screen == Screen::Received && matches!(mouse.kind, MouseEventKind::Down(_)) {
        model.received.focus = Focus::List;
    }
    match mouse.kind {
        MouseEventKind::ScrollUp => moving::step(model, Step::By(-3)),
        MouseEventKind::ScrollDown => moving::step(model, Step::By(3)),
        MouseEventKind::Down(MouseButton::Left) if in_pane.is_some() => {
            if let (Screen::Traffic, Some(detail), Some(row)) = (model.screen, &model.traffic.detail, in_pane) {
                let to = detail.offset + row;
                moving::step(model, Step::To(to));
            }
        }
        MouseEventKind::Down(MouseButton::Left) => {
            let Some(row) = layout::row_at(model, mouse.column, mouse.row) else { return };
            let Some((_, offset)) = (model.screen.state().list)(model) else { return };
            moving::step(model, Step::To(offset + row));
        }
        _ => return,
    }
    model.touch();
}

fn palette_key(model: &mut Model, key: KeyEvent) -> bool {
    let Some(Overlay::Palette(palette)) = &mut model.overlay else { return false };
    let last = palette.rows.len().saturating_sub(1);
    match key.code {
        KeyCode::Esc => model.overlay = None,
        KeyCode::Up => palette.selected = palette.selected.saturating_sub(1),
        KeyCode::Down => palette.selected = (palette.selected + 1).min(last),
        KeyCode::PageUp => palette.selected = palette.selected.saturating_sub(8),
        KeyCode::PageDown => palette.selected = (palette.selected + 8).min(last),
        KeyCode::Enter => chosen(model),
        _ if palette.editor.key(key) => find(model),
        _ => return false,
    }
    true
}

fn find(model: &mut Model) {
    if let Some(Overlay::Palette(palette)) = &model.overlay {
        let rows = search::search(model, palette.kind, &palette.editor.text());
        if let Some(Overlay::Palette(palette)) = &mut model.overlay {
            palette.rows = rows;
            palette.selected = 0;
        }
    }
}

fn chosen(model: &mut Model) {
    let Some(Overlay::Palette(palette)) = &model.overlay else { return };
    let Some(entry) = palette.rows.get(palette.selected) else { return };
    let target = entry.target.clone();
    if let (Some(reason), false) = (&entry.refused, matches!(target, Target::Command(_))) {
        let said = format!("{}: {reason}", entry.label);
        return model.say(Level::Info, &said);
    }
    model.overlay = None;
    match target {
        Target::Command(id) => {
            if let Some(command) = commands::by_id(id) {
                act::command(model, command);
            }
        }
        Target::Operation(spec, address) => changing::open(model, spec, address),
        Target::Screen(screen) => act::open(model, screen),
        Target::Channel(address) | Target::Typed(address) => open::open(model, vec![address]),
        Target::Template(template) => publish::fill(model, template),
        Target::Profile(path) => profiles::opening(model, "profile", Effect::OpenProfile(path)),
    }
}

fn menu_key(model: &mut Model, code: KeyCode) -> bool {
    let Some(Overlay::Menu(open)) = model.overlay else { return false };
    let rows = menu::rows(model, open.scope);
    let numbered = |digit: char| {
        let number = digit.to_digit(10).filter(|digit| *digit > 0)?;
        rows.iter().position(|row| row.number == Some(number))
    };
    let go = |model: &mut Model, selected| model.overlay = Some(Overlay::Menu(Menu { selected, ..open }));
    match code {
        KeyCode::Esc | KeyCode::Char('q') => model.overlay = None,
        KeyCode::Up => go(model, open.selected.saturating_sub(1)),
        KeyCode::Down => go(model, (open.selected + 1).min(rows.len().saturating_sub(1))),
        KeyCode::Enter => {
            if let Some(row) = rows.get(open.selected) {
                menu_row(model, row);
            }
        }
        KeyCode::Char(c) => match numbered(c).and_then(|at| rows.get(at)) {
            Some(row) => menu_row(model, row),
            None => return false,
        },
        _ => return false,
    }
    true
}

/// A menu closes when something was chosen from it, and stays to show why it could not be done.
fn menu_row(model: &mut Model, row: &menu::Row) {
    if row.available.is_ok() {
        model.overlay = None;
    }
    match &row.item {
        menu::Item::Command(command) => act::command(model, command),
        menu::Item::Operation(spec, address) => act::operation(model, spec, address, &row.available),
        menu::Item::Verb(verb) => act::decision(model, verb, &row.available),
    }
}

fn plan_takes_text(model: &Model) -> bool {
    matches!(&model.overlay, Some(Overlay::Plan(view)) if view.takes_text(model.gate(view.plan.risk())))
}

/// What is typed to confirm a plan.
fn plan_key(model: &mut Model, key: KeyEvent) -> bool {
    let takes_text = plan_takes_text(model);
    let Some(Overlay::Plan(view)) = &mut model.overlay else { return false };
    let taken = takes_text && view.editor.key(key);
    if taken {
        view.error = None;
    }
    taken
}

fn operation_key(model: &mut Model, key: KeyEvent) -> bool {
    let Some(Overlay::Form(form)) = &mut model.overlay else { return false };
    match key.code {
        _ if form.planning.is_some() => return false,
        KeyCode::Enter if form.is_last() => changing::review(model),
        KeyCode::Enter => form.next(1),
        _ => return form.key(key),
    }
    true
}

fn help_key(model: &mut Model, code: KeyCode) -> bool {
    let rows = help::rows(model).len();
    let page = usize::from(model.height.saturating_sub(4)).max(1);
    let Some(Overlay::Help(offset)) = &mut model.overlay else { return false };
    let last = rows.saturating_sub(page);
    match code {
        KeyCode::Up | KeyCode::Char('k') => *offset = offset.saturating_sub(1),
        KeyCode::Down | KeyCode::Char('j') => *offset = (*offset + 1).min(last),
        KeyCode::PageUp | KeyCode::Char('g') => *offset = offset.saturating_sub(page),
        KeyCode::PageDown | KeyCode::Char('G') => *offset = window(*offset + page, (*offset + page).min(last), rows, page).min(last),
        _ => model.overlay = None,
    }
    true
}

fn prompt_key(model: &mut Model, key: KeyEvent) -> bool {
    let Some(Overlay::Prompt(prompt)) = &mut model.overlay else { return false };
    match key.code {
        KeyCode::Esc => model.overlay = prompt.behind.take().map(|overlay| *overlay),
        KeyCode::Enter => {
            let (ask, text) = (prompt.ask, prompt.editor.text());
            if let Err(error) = act::answer(model, ask, &text)
                && let Some(Overlay::Prompt(prompt)) = &mut model.overlay
            {
                prompt.error = Some(error);
            }
        }
        KeyCode::Up | KeyCode::Down if prompt.receive_options.is_some() => {
            let by = if key.code == KeyCode::Up { -1 } else { 1 };
            return prompt.receive_options.as_mut().is_some_and(|receive_options| receive_options.step(by));
        }
        _ if prompt.editor.key(key) => prompt.error = None,
        _ => return false,
    }
    true
}

fn form_key(model: &mut Model, key: KeyEvent) -> bool {
    let Some(form) = &mut model.form else { return false };
    if form.sending.is_some() {
        return false;
    }
    if key.code == KeyCode::Enter && form.focus_is_line() {
        form.next(1);
        return true;
    }
    if matches!(key.code, KeyCode::Char(_)) && !key.modifiers.contains(KeyModifiers::CONTROL) {
        form.begin();
    }
    let taken = form.key(key);
    if taken {
        form.error = None;
        form.touched = true;
    }
    taken
}
