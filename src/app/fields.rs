//! The inputs of a form that is data: one for each field that an adapter asks. Publishing and every other operation share them.

use super::editor::Editor;
use crate::domain::operation::{Field, Input};
use crossterm::event::{KeyCode, KeyEvent};

/// Fields with what was typed into them.
pub struct Fields {
    pub specs: &'static [Field],
    inputs: Vec<Editor>,
}

impl Fields {
    pub(crate) fn new(specs: &'static [Field]) -> Self {
        Self { specs, inputs: specs.iter().map(|_| Editor::line("")).collect() }
    }

    pub fn len(&self) -> usize {
        self.specs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    pub fn input(&self, at: usize) -> &Editor {
        &self.inputs[at]
    }

    /// The input that text goes to; a choice has none.
    pub(crate) fn editor(&mut self, at: usize) -> Option<&mut Editor> {
        match self.specs.get(at)?.input {
            Input::Choice(_) => None,
            _ => self.inputs.get_mut(at),
        }
    }

    /// Takes a key in; false if it means nothing there.
    pub(crate) fn key(&mut self, at: usize, key: KeyEvent) -> bool {
        match (self.specs.get(at).map(|field| &field.input), key.code) {
            (Some(Input::Choice(words)), KeyCode::Left | KeyCode::Right) => {
                let by = if key.code == KeyCode::Right { 1 } else { words.len().saturating_sub(1) };
                let next = (self.chosen(at) + by) % words.len().max(1);
                self.inputs[at] = Editor::line(words.get(next).copied().unwrap_or_default());
                true
            }
            _ => self.editor(at).is_some_and(|editor| editor.key(key)),
        }
    }

    /// Which word of a choice is chosen; the first unless another was.
    pub fn chosen(&self, at: usize) -> usize {
        let text = self.inputs[at].text();
        match self.specs[at].input {
            Input::Choice(words) => words.iter().position(|word| *word == text).unwrap_or(0),
            _ => 0,
        }
    }

    /// What is wrong with what was typed; nothing is wrong with an empty input.
    pub fn error(&self, at: usize) -> Option<String> {
        let text = self.inputs[at].text();
        let text = text.trim();
        if text.is_empty() { None } else { self.specs[at].check(text).err() }
    }

    /// What was typed, by the fields' ids, without what was left empty; or the first field that is wrong.
    pub(crate) fn values(&self) -> Result<Vec<(&'static str, String)>, (usize, String)> {
        let mut values = Vec::new();
        for (at, (field, input)) in self.specs.iter().zip(&self.inputs).enumerate() {
            if let Some(error) = self.error(at) {
                return Err((at, error));
            }
            let text = input.text().trim().to_owned();
            if !text.is_empty() {
                values.push((field.id, text));
            }
        }
        Ok(values)
    }
}

/// What a field takes, in a few words.
pub fn hint(field: &Field) -> String {
    match field.input {
        Input::Text | Input::Choice(_) => field.help.to_owned(),
        Input::Number { min, max: i64::MAX } => format!("{} (from {min})", field.help),
        Input::Number { min, max } => format!("{} ({min} to {max})", field.help),
    }
}
