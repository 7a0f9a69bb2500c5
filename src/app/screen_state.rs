//! `ScreenState`: what the console has to know of a screen. Each screen fills in its own, and `Screen::state` is the table of them.

use super::commands::{Action, Reason, Scope};
use super::list::{List, Step};
use super::model::{Model, Screen};
use super::overlays::menu::Subject;
use super::screens::{channels, groups, notices, overview, profiles, publish, received, traffic, wire_log};
use crate::domain::address::Address;
use crate::domain::time::Timestamp;
use crate::domain::view::MessageView;
use std::sync::Arc;

/// A screen as the rest of the console sees it. What is not said in its row is as in [`ScreenState::PLAIN`].
pub(super) struct ScreenState {
    pub(super) title: &'static str,
    /// The scope of its own commands.
    pub(super) scope: Scope,
    /// The scopes that hold there.
    pub(super) scopes: &'static [Scope],
    /// The command that goes there.
    pub(super) command: Option<Action>,
    /// The menus of copying and of actions hold there.
    pub(super) has_menus: bool,
    /// What it shows comes from the lists of channels, which are asked for again as long as it is shown.
    pub(super) lists_channels: bool,
    /// Rows that `Enter` opens; `None` where it opens nothing.
    pub(super) openable: fn(&Model) -> Option<usize>,
    pub(super) enter: fn(&mut Model),
    /// `Esc`: leaves what is open within the screen; `false` if nothing is.
    pub(super) leave: fn(&mut Model) -> bool,
    /// Whether `Esc` has a meaning that is worth saying.
    pub(super) is_inside: fn(&Model) -> bool,
    pub(super) step: fn(&mut Model, Step),
    pub(super) mark: fn(&mut Model, Action),
    /// After every event: the selection finds its row again, and the first row that is shown follows it.
    pub(super) settle: fn(&mut Model),
    /// The first row that is shown of a list that takes clicks.
    pub(super) first_row: fn(&Model) -> Option<usize>,
    /// The filter of its rows, by their names.
    pub(super) filter: Option<RowFilter>,
    /// Whether a pane stands beside the list, or over it.
    pub(super) has_pane: fn(&Model) -> bool,
    /// The message that is selected.
    pub(super) message: fn(&Model) -> Option<&Arc<MessageView>>,
    /// The one channel that it is about.
    pub(super) channel: fn(&Model) -> Result<Address, Reason>,
    /// The channels whose history can be read from here.
    pub(super) history: fn(&Model) -> Result<Vec<Address>, Reason>,
    /// Whether something is selected that can be copied.
    pub(super) selected: fn(&Model) -> Result<(), Reason>,
    /// The integration whose wire log is meant.
    pub(super) integration: fn(&Model) -> Option<Arc<str>>,
    /// What its action menu is about.
    pub(super) subjects: fn(&Model) -> Vec<(Subject, Address)>,
    /// The moments whose ages it shows.
    pub(super) ages: fn(&Model) -> Vec<Timestamp>,
    /// The moments since which it waits for something.
    pub(super) waits: fn(&Model) -> Vec<Timestamp>,
}

/// A filter of rows that is applied while it is typed.
pub(super) struct RowFilter {
    pub(super) text: fn(&mut Model) -> &mut String,
    /// Makes the rows anew.
    pub(super) rebuild: fn(&mut Model),
}

impl RowFilter {
    pub(super) fn set(&self, model: &mut Model, text: String) {
        *(self.text)(model) = text;
        (self.rebuild)(model);
    }

    /// Takes the filter away; `false` if there is none.
    pub(super) fn clear(&self, model: &mut Model) -> bool {
        let is_set = !(self.text)(model).is_empty();
        if is_set {
            self.set(model, String::new());
        }
        is_set
    }
}

impl ScreenState {
    pub(super) const PLAIN: Self = Self {
        title: "",
        scope: Scope::Global,
        scopes: &[],
        command: None,
        has_menus: false,
        lists_channels: false,
        openable: |_| None,
        enter: |_| {},
        leave: |_| false,
        is_inside: |_| false,
        step: |_, _| {},
        mark: |_, _| {},
        settle: |_| {},
        first_row: |_| None,
        filter: None,
        has_pane: |_| false,
        message: |_| None,
        channel: |_| Err(Reason::Absent),
        history: |_| Err(Reason::Absent),
        selected: |_| Err(Reason::Absent),
        integration: |_| None,
        subjects: |_| Vec::new(),
        ages: |_| Vec::new(),
        waits: |_| Vec::new(),
    };
}

impl Screen {
    pub(super) fn state(self) -> &'static ScreenState {
        match self {
            Self::Welcome => &profiles::WELCOME,
            Self::Profiles => &profiles::STATE,
            Self::Overview => &overview::STATE,
            Self::Channels => &channels::STATE,
            Self::Traffic => &traffic::STATE,
            Self::Groups => &groups::STATE,
            Self::Publish => &publish::STATE,
            Self::Received => &received::STATE,
            Self::WireLog => &wire_log::STATE,
            Self::Notices => &notices::STATE,
        }
    }

    /// Its name, as headings and lists show it.
    pub fn title(self) -> &'static str {
        self.state().title
    }
}

/// A screen with one list of rows.
pub(super) trait ListScreen {
    /// Tells rows apart, whatever comes and goes beside them.
    type Key: Clone + Ord;
    /// Whether a row is selected from the beginning. A list that runs on has none until one is chosen.
    const SELECTS: bool = true;

    fn rows(model: &Model) -> usize;
    fn list(model: &Model) -> &List<Self::Key>;
    fn list_mut(model: &mut Model) -> &mut List<Self::Key>;
    fn key_at(model: &Model, row: usize) -> Self::Key;
}

/// Does something to the list of a screen, which is not in the model meanwhile.
fn with_list<S: ListScreen>(model: &mut Model, act: impl FnOnce(&mut List<S::Key>, usize, usize, &Model)) {
    let (rows, page) = (S::rows(model), model.page());
    let mut list = std::mem::take(S::list_mut(model));
    act(&mut list, rows, page, model);
    *S::list_mut(model) = list;
}

pub(super) fn step<S: ListScreen>(model: &mut Model, step: Step) {
    with_list::<S>(model, |list, rows, page, model| list.step(step, rows, page, |row| S::key_at(model, row)));
}

pub(super) fn settle<S: ListScreen>(model: &mut Model) {
    with_list::<S>(model, |list, rows, page, model| list.settle(rows, page, S::SELECTS, |row| S::key_at(model, row)));
}

pub(super) fn mark<S: ListScreen>(model: &mut Model, action: Action) {
    with_list::<S>(model, |list, rows, page, model| {
        let key_at = |row| S::key_at(model, row);
        match action {
            Action::Mark => list.toggle(rows, page, key_at),
            Action::MarkRange => list.range(rows, key_at),
            Action::MarkInvert => list.invert(rows, key_at),
            _ => list.clear_marks(),
        }
    });
}

#[expect(clippy::unnecessary_wraps, reason = "a field of the table")]
pub(super) fn openable<S: ListScreen>(model: &Model) -> Option<usize> {
    Some(S::rows(model))
}

#[expect(clippy::unnecessary_wraps, reason = "a field of the table")]
pub(super) fn first_row<S: ListScreen>(model: &Model) -> Option<usize> {
    Some(S::list(model).offset())
}
