//! `ScreenState`: what the console has to know of a screen. Each screen fills in its own; `screens` has the table of them.

use super::action::{Action, Reason, Scope};
use super::list::{Focus, Step};
use super::model::Model;
use super::reader::{Reader, Room};
use crate::domain::address::Address;
use crate::domain::operation::{OperationSpec, Target};
use crate::domain::time::Timestamp;
use std::sync::Arc;

/// A screen as the rest of the console sees it. What is not said in its row is as in [`ScreenState::PLAIN`].
pub(super) struct ScreenState {
    pub(super) title: &'static str,
    /// The scope of its own commands.
    pub(super) scope: Scope,
    /// The scopes that hold there besides.
    pub(super) scopes: &'static [Scope],
    /// The menus of copying and of actions hold there.
    pub(super) has_menus: bool,
    /// What it shows comes from the lists of channels, which are asked for again as long as it is shown.
    pub(super) lists_channels: bool,
    /// What its command does, where that is more than going there.
    pub(super) open: Option<fn(&mut Model)>,
    /// Before it is gone to, from a screen that is about this integration.
    pub(super) arrive: fn(&mut Model, Option<Arc<str>>),
    /// The list whose rows `Enter` opens and clicks select: how many there are, and the first that is shown.
    pub(super) list: fn(&Model) -> Option<(usize, usize)>,
    pub(super) enter: fn(&mut Model),
    /// `Esc`: leaves what is open within the screen; `false` if nothing is.
    pub(super) leave: fn(&mut Model) -> bool,
    /// Whether `Esc` has a meaning that is worth saying.
    pub(super) is_inside: fn(&Model) -> bool,
    pub(super) step: fn(&mut Model, Step, Room),
    pub(super) mark: fn(&mut Model, Action),
    /// After every event: what moves finds its place again.
    pub(super) settle: fn(&mut Model, Room),
    /// The filter of its rows, by their names.
    pub(super) filter: Option<RowFilter>,
    /// The pane beside the list that is open, by the one that keys go to: without room beside the list it is over it then.
    pub(super) pane: fn(&Model) -> Option<Focus>,
    /// Rows under the list, and whether there is one above it, that say what it does not show.
    pub(super) caveats: fn(&Model) -> usize,
    pub(super) has_banner: fn(&Model) -> bool,
    /// Its messages.
    pub(super) reader: Option<&'static Reader>,
    /// The one channel that it is about.
    pub(super) channel: fn(&Model) -> Result<Address, Reason>,
    /// The channels whose history can be read from here.
    pub(super) history: fn(&Model) -> Result<Vec<Address>, Reason>,
    /// Whether something is selected that can be copied.
    pub(super) selected: fn(&Model) -> Result<(), Reason>,
    /// What is copied of its rows, where they are no messages, and what that is called.
    pub(super) copied: Option<Copied>,
    /// The integration whose wire log is meant.
    pub(super) integration: fn(&Model) -> Option<Arc<str>>,
    /// What its action menu is about.
    pub(super) subjects: fn(&Model) -> Vec<(Subject, Address)>,
    /// The moments whose ages it shows.
    pub(super) ages: fn(&Model) -> Vec<Timestamp>,
    /// The moments since which it waits for something.
    pub(super) waits: fn(&Model) -> Vec<Timestamp>,
}

/// What is copied of the selected row, and what it is called.
pub(super) type Copied = fn(&Model, Action) -> Option<(String, &'static str)>;

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
        scopes: &[Scope::Moving, Scope::Global, Scope::Always],
        has_menus: false,
        lists_channels: false,
        open: None,
        arrive: |_, _| {},
        list: |_| None,
        enter: |_| {},
        leave: |_| false,
        is_inside: |_| false,
        step: |_, _, _| {},
        mark: |_, _| {},
        settle: |_, _| {},
        filter: None,
        pane: |_| None,
        caveats: |_| 0,
        has_banner: |_| false,
        reader: None,
        channel: |_| Err(Reason::Absent),
        history: |_| Err(Reason::Absent),
        selected: |_| Err(Reason::Absent),
        copied: None,
        integration: |_| None,
        subjects: |_| Vec::new(),
        ages: |_| Vec::new(),
        waits: |_| Vec::new(),
    };
}

/// What something can be done to.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Integration,
    /// Of this kind.
    Channel(&'static str),
    Group,
}

impl Subject {
    pub(super) fn suits(self, spec: &OperationSpec) -> bool {
        match self {
            Self::Integration => spec.on == Target::Integration,
            Self::Channel(kind) => spec.on.takes(kind),
            Self::Group => spec.on == Target::Group,
        }
    }
}
