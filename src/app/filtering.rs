//! The filter in row 2 while it is typed: lists follow each letter, traffic takes a query when it is whole.

use super::editor::Editor;
use super::list::Step;
use super::model::{Model, Screen};
use super::moving;
use super::overlays::input::{self, Filter};
use super::screens::traffic::reading;
use crossterm::event::{KeyCode, KeyEvent};

/// Opens the filter to be typed, with what is in force.
pub(super) fn open(model: &mut Model) {
    let before = match &model.screen.state().filter {
        Some(filter) => (filter.text)(model).clone(),
        None => model.traffic.filter.clone(),
    };
    model.typing = Some(Filter { editor: Editor::line(&before), before, error: None, candidates: Vec::new() });
    typed(model);
}

/// A key while the filter is typed; false if it means nothing there.
pub(super) fn key(model: &mut Model, key: KeyEvent) -> bool {
    let Some(filter) = &mut model.typing else { return false };
    match key.code {
        KeyCode::Esc => {
            let before = std::mem::take(&mut filter.before);
            model.typing = None;
            set(model, before);
        }
        KeyCode::Enter => done(model),
        KeyCode::Tab => {
            let Some(first) = filter.candidates.first().cloned() else { return false };
            filter.editor.replace_from(first.start, &format!("{} ", first.text));
            typed(model);
        }
        // The list stays within reach while its filter is typed.
        KeyCode::Up if model.screen != Screen::Traffic => moving::step(model, Step::By(-1)),
        KeyCode::Down if model.screen != Screen::Traffic => moving::step(model, Step::By(1)),
        _ if filter.editor.key(key) => typed(model),
        _ => return false,
    }
    true
}

/// Lists follow each letter; traffic only says what is wrong with the query.
pub(super) fn typed(model: &mut Model) {
    let Some(filter) = &model.typing else { return };
    let text = filter.editor.text();
    if model.screen == Screen::Traffic {
        let error = input::query(&text, model.zoned()).err();
        let candidates = input::candidates(&filter.editor, &model.traffic.paths());
        if let Some(filter) = &mut model.typing {
            // A word that is only begun is no mistake yet.
            filter.error = error.filter(|_| candidates.is_empty());
            filter.candidates = candidates;
        }
    } else {
        set(model, text);
    }
}

fn done(model: &mut Model) {
    let Some(filter) = &model.typing else { return };
    let text = filter.editor.text();
    if model.screen != Screen::Traffic {
        model.typing = None;
        return;
    }
    match input::query(&text, model.zoned()) {
        Err(error) => {
            if let Some(filter) = &mut model.typing {
                filter.error = Some(error);
                filter.candidates.clear();
            }
        }
        Ok(query) => {
            model.typing = None;
            let text = text.trim().to_owned();
            if text != model.traffic.filter {
                model.traffic.filter = text;
                let source = model.traffic.source_of(&query);
                reading::start(model, source);
            }
        }
    }
}

fn set(model: &mut Model, text: String) {
    if let Some(filter) = &model.screen.state().filter {
        filter.set(model, text);
    }
}
