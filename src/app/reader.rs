//! A list of messages with the detail of one of them, as the screens that have one move in it.

use super::action::Action;
use super::effect::Effect;
use super::list::{Focus, Step};
use super::model::Model;
use super::rows::Rows;
use super::screens::traffic::detail::{self, Detail};
use crate::domain::view::MessageView;
use std::sync::Arc;

/// Why a command that takes a message cannot be done.
pub(super) const NONE_SELECTED: &str = "no message is selected (j, k or arrows)";

/// The room that a screen has for what moves in it.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// Rows of its body.
    pub(super) body: usize,
    /// Rows of its pane.
    pub(super) pane: usize,
    /// Cells that the pane's rows have.
    pub(super) pane_width: u16,
}

impl Room {
    /// Rows that its list shows under the heading.
    pub(super) fn page(self) -> usize {
        self.body.saturating_sub(1).max(1)
    }
}

/// Where the Model has such a list, and the pane beside it.
pub(super) struct Reader {
    pub(super) rows: Rows<u64>,
    pub(super) message: fn(&Model) -> Option<&Arc<MessageView>>,
    pub(super) pane: fn(&mut Model) -> (&mut Option<Detail>, &mut Focus),
}

impl Reader {
    /// The message that is open.
    pub(super) fn detail<'a>(&self, model: &'a mut Model) -> Option<&'a mut Detail> {
        (self.pane)(model).0.as_mut()
    }

    /// Moves in the list or in the detail.
    pub(super) fn step(&self, model: &mut Model, step: Step, room: Room) {
        match (self.pane)(model) {
            (_, Focus::List) => self.select(model, step, room.page()),
            (Some(detail), Focus::Detail) => detail.step(step, room.pane),
            (None, Focus::Detail) => {}
        }
        model.touch();
    }

    /// Moves in the list; the detail shows what is selected then.
    pub(super) fn select(&self, model: &mut Model, step: Step, page: usize) {
        self.rows.step(model, step, page);
        if model.is_wide() || self.detail(model).is_some() {
            self.show(model);
        }
    }

    /// Shows the selected message in the detail pane.
    pub(super) fn show(&self, model: &mut Model) {
        let Some(view) = (self.message)(model).cloned() else { return };
        let hex = match self.detail(model) {
            Some(detail) if detail.view.id == view.id => return,
            detail => detail.is_some_and(|detail| detail.hex),
        };
        if view.message.payload.is_some() {
            model.effect(Effect::Decode { id: view.id, integration: view.address.integration.clone(), message: view.message.clone() });
        }
        *(self.pane)(model).0 = Some(Detail::new(view, hex));
    }

    /// Enter: the message, then its parts.
    pub(super) fn enter(&self, model: &mut Model) {
        match (self.pane)(model) {
            (Some(detail), Focus::Detail) => detail.toggle(),
            (Some(_), focus) => *focus = Focus::Detail,
            (None, Focus::Detail) => {}
            (None, Focus::List) => {
                if (self.message)(model).is_none() {
                    self.rows.step(model, Step::Top, 1);
                }
                self.show(model);
                if !model.is_wide() {
                    *(self.pane)(model).1 = Focus::Detail;
                }
            }
        }
        model.touch();
    }

    /// Esc: out of the detail, then of its pane. False if there was nothing to leave.
    pub(super) fn leave(&self, model: &mut Model) -> bool {
        let wide = model.is_wide();
        let (detail, focus) = (self.pane)(model);
        // The list keeps its place.
        let is_inside = std::mem::take(focus) == Focus::Detail;
        let left = is_inside || detail.is_some();
        if left && !(is_inside && wide) {
            *detail = None;
        }
        left
    }

    pub(super) fn mark(&self, model: &mut Model, action: Action) {
        self.rows.mark(model, action);
        if action == Action::Mark && self.detail(model).is_some() {
            self.show(model);
        }
    }

    /// After every event: the list as [`Rows::settle`]; the rows of the detail are built anew if what they depend on has changed.
    pub(super) fn settle(&self, model: &mut Model, room: Room) {
        self.rows.settle(model, room.page());
        let zone = model.zone.clone();
        let Some(pane) = self.detail(model) else { return };
        let version = (room.pane_width, pane.version);
        if pane.built_for != Some(version) {
            pane.rows = detail::rows(pane, room.pane_width, &zone);
            pane.built_for = Some(version);
        }
        pane.settle(room.pane);
    }
}
