//! The one form of all operations: what the adapter's fields ask, then its plan.

use crate::app::changes::Origin;
use crate::app::editor::Editor;
use crate::app::effect::TaskId;
use crate::app::fields::Fields;
use crate::domain::address::Address;
use crate::domain::delivery::{Effect, HoldId, Settlement, Ticket, Verb};
use crate::domain::operation::{OperationSpec, Request, SETTLE, Target};
use crate::domain::text::SafeText;
use crate::domain::time::Timestamp;
use crossterm::event::KeyEvent;
use std::sync::Arc;

/// The form of one operation.
pub struct Form {
    pub spec: &'static OperationSpec,
    pub address: Address,
    /// The name of what is not there yet; for operations on the whole system alone.
    pub name: Option<Editor>,
    pub fields: Fields,
    /// Row of the input that keys go to: the name first, if there is one.
    pub focus: usize,
    /// Why it was refused when it was planned.
    pub error: Option<SafeText>,
    /// The plan is being worked out, since then.
    pub planning: Option<(TaskId, Timestamp)>,
    pub(crate) origin: Origin,
    /// What is planned, where that does not come from the inputs: taking something back.
    given: Option<Request>,
    /// What is decided on, where the form is a decision's.
    pub(crate) settles: Option<Settles>,
}

/// Messages that a form decides on.
pub(crate) struct Settles {
    pub(crate) hold: HoldId,
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) verb: &'static Verb,
}

impl Form {
    pub(crate) fn new(spec: &'static OperationSpec, address: Address) -> Self {
        let name = (spec.on == Target::Integration).then(|| Editor::line(""));
        Self {
            spec,
            address,
            name,
            fields: Fields::new(spec.fields),
            focus: 0,
            error: None,
            planning: None,
            origin: Origin::New,
            given: None,
            settles: None,
        }
    }

    /// A form without inputs, for a request that is complete.
    pub(crate) fn of(request: Request, origin: Origin) -> Self {
        let (spec, address) = (request.spec, request.address.clone());
        Self { name: None, fields: Fields::new(&[]), origin, given: Some(request), ..Self::new(spec, address) }
    }

    /// The form of a decision on messages that are held.
    pub(crate) fn settle(address: Address, hold: HoldId, tickets: Vec<Ticket>, verb: &'static Verb) -> Self {
        Self { fields: Fields::new(verb.fields), settles: Some(Settles { hold, tickets, verb }), ..Self::new(&SETTLE, address) }
    }

    /// What it is for, and what that does.
    pub fn title(&self) -> (&str, &str) {
        self.settles.as_ref().map_or((self.spec.title, self.spec.help), |settles| (settles.verb.word, settles.verb.help))
    }

    /// The arguments of the decision, or the input that is wrong.
    pub(crate) fn settlement(&self, effect: Effect) -> Result<Settlement, (usize, String)> {
        let values = self.fields.values()?;
        Ok(Settlement { effect, arguments: values.into_iter().map(|(id, value)| (id.to_owned(), value)).collect() })
    }

    /// Inputs that there are.
    pub fn len(&self) -> usize {
        self.fields.len() + self.names()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// 1 if the first input is the name.
    pub fn names(&self) -> usize {
        usize::from(self.name.is_some())
    }

    pub(crate) fn next(&mut self, by: isize) {
        self.focus = (self.focus as isize + by).rem_euclid(self.len().max(1) as isize) as usize;
    }

    pub(crate) fn is_last(&self) -> bool {
        self.focus + 1 >= self.len()
    }

    /// The input that text goes to, if the focused one takes text.
    pub(crate) fn editor(&mut self) -> Option<&mut Editor> {
        match (self.focus, &mut self.name) {
            (0, Some(name)) => Some(name),
            (at, name) => self.fields.editor(at - usize::from(name.is_some())),
        }
    }

    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let taken = match (self.focus, &mut self.name) {
            (0, Some(name)) => name.key(key),
            (at, name) => self.fields.key(at - usize::from(name.is_some()), key),
        };
        if taken {
            self.error = None;
        }
        taken
    }

    /// What is asked for, or the input that is wrong.
    pub(crate) fn request(&self) -> Result<Request, (usize, String)> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let mut address = self.address.clone();
        if let Some(name) = &self.name {
            address.channel = Arc::from(name.text().trim());
        }
        let values = self.fields.values().map_err(|(at, error)| (at + self.names(), error))?;
        Ok(Request { spec: self.spec, address, arguments: values.into_iter().map(|(id, value)| (id.to_owned(), value)).collect() })
    }
}
