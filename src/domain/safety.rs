//! Safety: what a profile lets be changed, what it must be armed for, and the rung of the ladder on which a plan is confirmed.
//! The console, the commands and the gateway go by these same rules.

use super::figure::grouped;
use super::operation::{Plan, Risk};
use super::text::SafeText;
use std::time::Duration;

/// The `mode` of a profile's `safety` block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing may be changed; it cannot be armed either.
    ReadOnly,
    /// Every change is asked for.
    #[default]
    Confirm,
    /// What can be reversed is done without asking; everything else is asked for.
    Open,
}

impl Mode {
    /// As it is written in a profile.
    pub fn word(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Confirm => "confirm",
            Self::Open => "open",
        }
    }
}

/// A profile's `safety` block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Safety {
    pub mode: Mode,
    /// Nothing may be changed until it is armed.
    pub production: bool,
    /// How long it stays armed.
    pub arm_for: Duration,
}

impl Default for Safety {
    fn default() -> Self {
        Self { mode: Mode::default(), production: false, arm_for: Duration::from_secs(300) }
    }
}

/// Whether an operation may be carried out now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Not until the profile is armed.
    Unarmed,
    /// Not through this profile.
    ReadOnly,
}

impl Safety {
    /// The same profile opened for looking only.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { mode: Mode::ReadOnly, ..self }
    }

    pub fn is_read_only(&self) -> bool {
        self.mode == Mode::ReadOnly
    }

    /// Whether an operation of that risk may be carried out, the profile being armed or not.
    pub fn gate(&self, risk: Risk, armed: bool) -> Gate {
        match (self.mode, risk) {
            (_, Risk::Read) => Gate::Open,
            (Mode::ReadOnly, _) => Gate::ReadOnly,
            _ if armed => Gate::Open,
            (_, Risk::Destroy) => Gate::Unarmed,
            _ if self.production => Gate::Unarmed,
            _ => Gate::Open,
        }
    }

    /// Whether an operation of that risk is asked for before it is carried out.
    pub fn asks(&self, risk: Risk) -> bool {
        self.production || self.mode != Mode::Open || risk > Risk::Reversible
    }
}

/// What has to be typed before a plan is carried out; the higher the risk, the more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rung {
    /// `y`.
    Yes,
    /// How many messages it touches, or how many parts it has where that is unknown.
    Count { number: u64, what: &'static str },
    /// The address, as it is shown.
    Address(SafeText),
}

impl Rung {
    pub fn of(plan: &Plan) -> Self {
        match plan.risk() {
            Risk::Read | Risk::Reversible => Self::Yes,
            Risk::Bulk => count(plan),
            Risk::Destroy => Self::Address(plan.address().to_string().into()),
        }
    }

    /// What is to be typed; `None` where a `y` is enough.
    pub fn wanted(&self) -> Option<String> {
        match self {
            Self::Yes => None,
            Self::Count { number, .. } => Some(number.to_string()),
            Self::Address(address) => Some(address.as_str().to_owned()),
        }
    }

    /// Checks what was typed; the error says what is wanted.
    pub fn check(&self, typed: &str) -> Result<(), String> {
        let typed = typed.trim();
        match self {
            Self::Yes => Ok(()),
            // As the screen groups them, or plain.
            Self::Count { number, .. } if typed == number.to_string() || typed == grouped(*number) => Ok(()),
            Self::Count { number, what } => Err(format!("that is not the number of {what}: it is {}", grouped(*number))),
            Self::Address(address) if typed == address.as_str() => Ok(()),
            Self::Address(address) => Err(format!("that is not the address: it is {address}")),
        }
    }
}

fn count(plan: &Plan) -> Rung {
    match plan {
        Plan::Publish { messages, .. } => Rung::Count { number: messages.len() as u64, what: "messages" },
        Plan::Settle { tickets, .. } => Rung::Count { number: tickets.len() as u64, what: "messages" },
        Plan::Call { .. } => Rung::Yes,
        Plan::Change(change) => match change.touches.number().filter(|touched| *touched > 0) {
            Some(number) => Rung::Count { number, what: "messages" },
            None => {
                let parts: usize = change.tables.iter().map(|table| table.rows.len()).sum();
                Rung::Count { number: parts.max(1) as u64, what: "parts" }
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::Address;
    use crate::domain::channel::Table;
    use crate::domain::figure::Amount;
    use crate::domain::operation::{Change, OperationSpec, Request, Target};
    use std::sync::Arc;

    const RISKS: [Risk; 4] = [Risk::Read, Risk::Reversible, Risk::Bulk, Risk::Destroy];

    fn plan(risk: Risk, touches: Amount, parts: usize) -> Plan {
        let spec = Box::leak(Box::new(OperationSpec::new(risk, Target::Channel(&[]), "").named("test", "Test")));
        let request = Request { spec, address: Address::new("events", "a\u{202e}b"), arguments: Vec::new() };
        let table = Table { title: "parts", columns: vec!["part"], rows: vec![vec!["1".into()]; parts] };
        Plan::Change(Arc::new(Change { tables: vec![table], touches, ..Change::new(request, "", "") }))
    }

    #[test]
    fn a_gate_opens_by_mode_production_and_arming() {
        use Gate::{Open, ReadOnly, Unarmed};
        for (mode, production, unarmed, armed) in [
            (Mode::Confirm, false, [Open, Open, Open, Unarmed], [Open; 4]),
            (Mode::Open, false, [Open, Open, Open, Unarmed], [Open; 4]),
            (Mode::Confirm, true, [Open, Unarmed, Unarmed, Unarmed], [Open; 4]),
            (Mode::Open, true, [Open, Unarmed, Unarmed, Unarmed], [Open; 4]),
            (Mode::ReadOnly, true, [Open, ReadOnly, ReadOnly, ReadOnly], [Open, ReadOnly, ReadOnly, ReadOnly]),
        ] {
            let safety = Safety { mode, production, ..Safety::default() };
            assert_eq!(RISKS.map(|risk| safety.gate(risk, false)), unarmed, "{safety:?}");
            assert_eq!(RISKS.map(|risk| safety.gate(risk, true)), armed, "{safety:?}");
        }
    }

    #[test]
    fn only_an_open_profile_leaves_the_y_out_and_only_for_what_can_be_reversed() {
        for (mode, production, asks) in
            [(Mode::Confirm, false, [true; 4]), (Mode::Open, false, [false, false, true, true]), (Mode::Open, true, [true; 4])]
        {
            let safety = Safety { mode, production, ..Safety::default() };
            assert_eq!(RISKS.map(|risk| safety.asks(risk)), asks, "{safety:?}");
        }
    }

    #[test]
    fn the_higher_the_risk_the_more_is_typed() {
        for (risk, touches, parts, wanted) in [
            (Risk::Reversible, Amount::Exactly(3), 2, None),
            (Risk::Bulk, Amount::AtMost(48_211), 2, Some("48211")),
            (Risk::Bulk, Amount::Unknown, 12, Some("12")),
            (Risk::Bulk, Amount::Exactly(0), 3, Some("3")),
            (Risk::Bulk, Amount::Unknown, 0, Some("1")),
            (Risk::Destroy, Amount::Exactly(3), 2, Some("events/a‹U+202E›b")),
        ] {
            assert_eq!(Rung::of(&plan(risk, touches, parts)).wanted().as_deref(), wanted);
        }
    }

    #[test]
    fn what_is_typed_must_be_what_is_asked_for() {
        let count = Rung::of(&plan(Risk::Bulk, Amount::AtMost(48_211), 1));
        assert!(count.check("48211").is_ok() && count.check(" 48,211 ").is_ok());
        for wrong in ["", "4821", "48 211", "y", "yes", "+48211", "048211", "4,82,11"] {
            assert_eq!(count.check(wrong).expect_err(wrong), "that is not the number of messages: it is 48,211");
        }
        let address = Rung::of(&plan(Risk::Destroy, Amount::Unknown, 1));
        assert!(address.check("events/a‹U+202E›b").is_ok());
        for wrong in ["", "events/", "events/ab", "EVENTS/A‹U+202E›B", "y"] {
            assert!(address.check(wrong).is_err(), "{wrong}");
        }
    }
}
