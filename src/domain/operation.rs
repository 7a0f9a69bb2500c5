//! What can be done to the world: operations as data, their forms, and the plan that every one of them starts with. The operations that
//! every system has are in [`super::operations`]; those of one system come from its adapter.

use super::address::Address;
use super::channel::Table;
use super::delivery::{Effect, HoldId, Settlement, Settles, Ticket};
use super::fault::{Fault, Kind};
use super::figure::Amount;
use super::message::Outgoing;
pub use super::operations::{CALL, PUBLISH, RECEIVE, SETTLE};
pub use super::spec::{Field, Input, OperationSpec, PublishSpec, Risk, Target};
use super::text::SafeText;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// What is about to be done, frozen: shown, confirmed, permitted and then carried out exactly so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Messages for a channel.
    Publish { address: Address, messages: Vec<Outgoing> },
    /// A change to the system itself, as its adapter planned it.
    Change(Arc<Change>),
    /// What becomes of messages that are held, and what that does on their channel.
    Settle { address: Address, hold: HoldId, tickets: Vec<Ticket>, settlement: Settlement, settles: Settles },
    /// A request, and how long replies are waited for.
    Call { address: Address, request: Box<Outgoing>, wait: Duration },
}

/// What is asked for: an operation, on what, with which arguments. From it an adapter makes a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub spec: &'static OperationSpec,
    pub address: Address,
    /// By the ids of the operation's fields; a field left out has its default.
    pub arguments: Vec<(String, String)>,
}

/// A request worked out against the system as it is: what will happen, to how much, and how it can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub request: Request,
    /// The operation's, or higher where this change of it hurts more than it usually does.
    pub risk: Risk,
    /// One sentence: what will happen.
    pub summary: SafeText,
    /// The preview, part by part.
    pub tables: Vec<Table>,
    /// Messages that are deleted, skipped or read again.
    pub touches: Amount,
    /// What the operator should know before: what cannot be undone, what was only estimated.
    pub notes: Vec<SafeText>,
    /// Why it cannot be carried out as things stand: members are active.
    pub refused: Option<Fault>,
    /// The exact steps in the adapter's own form. What is carried out is this and nothing else; the digest is made of it.
    pub steps: Arc<str>,
    /// What takes it back, as long as nothing else has happened since.
    pub undo: Option<Request>,
    /// The steps name the places up to which they go, so that they do no more than is planned here, whatever comes meanwhile.
    pub bounded: bool,
}

/// Parts of a change, or messages of a plan, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartCounts {
    pub done: usize,
    pub failed: usize,
}

impl PartCounts {
    /// Of results in any order.
    pub fn of<'a, T: 'a, E: 'a>(results: impl Iterator<Item = &'a Result<T, E>>) -> Self {
        results.fold(Self::default(), |mut counts, result| {
            *(if result.is_ok() { &mut counts.done } else { &mut counts.failed }) += 1;
            counts
        })
    }
}

/// What became of the parts of a change (a partition, a topic), in their order. One may fail while others were done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub parts: Vec<(SafeText, Result<SafeText, Fault>)>,
}

impl Request {
    /// The value of a field, if it was given.
    pub fn argument(&self, id: &str) -> Option<&str> {
        self.arguments.iter().find(|(name, _)| name == id).map(|(_, value)| value.as_str())
    }

    /// The name of what is to be made.
    pub fn new_name(&self) -> Result<&str, Fault> {
        if self.address.channel.is_empty() {
            let fault = Fault::new(Kind::Usage, self.spec.id, &*self.address.integration, "what is to be made needs a name");
            return Err(fault.next(format!("write {}/NAME", self.address.integration)));
        }
        Ok(&self.address.channel)
    }

    /// Checks everything that can be checked without asking the system: the address against what the operation is done to, and the
    /// arguments against its fields.
    pub fn check(&self) -> Result<(), Fault> {
        let wrong = |cause: String| Fault::new(Kind::Usage, self.spec.id, self.address.to_string(), cause);
        if self.address.is_group() != (self.spec.on == Target::Group) {
            let (is, wanted) =
                if self.address.is_group() { ("a group", "INTEGRATION/CHANNEL") } else { ("no group", "INTEGRATION/group:NAME") };
            return Err(wrong(format!("the address names {is}")).next(format!("write {wanted}")));
        }
        if let (Some(kind), Target::Channel(kinds)) = (self.address.kind, self.spec.on)
            && !self.spec.on.takes(kind)
        {
            return Err(wrong(format!("it is not for channels of the kind {kind}")).next(format!("it is for: {}", kinds.join(", "))));
        }
        for (id, value) in &self.arguments {
            let field = self.spec.fields.iter().find(|field| field.id == id).ok_or_else(|| {
                let known: Vec<&str> = self.spec.fields.iter().map(|field| field.id).collect();
                let has = if known.is_empty() { "it has none".to_owned() } else { format!("it has: {}", known.join(", ")) };
                wrong(format!("it has no field `{id}`")).next(has)
            })?;
            field.check(value).map_err(wrong)?;
        }
        Ok(())
    }
}

impl Change {
    /// A change of these steps that touches no message, of which nothing more is to be known. Its maker adds what there is.
    pub fn new(request: Request, summary: impl Into<SafeText>, steps: impl Into<Arc<str>>) -> Self {
        Self {
            risk: request.spec.risk,
            request,
            summary: summary.into(),
            tables: Vec::new(),
            touches: Amount::Exactly(0),
            notes: Vec::new(),
            refused: None,
            steps: steps.into(),
            undo: None,
            bounded: false,
        }
    }

    /// Names exactly this change: made of the operation, the address and the frozen steps. Planned again, the same request has the same
    /// digest as long as it would do the same; 16 hexadecimal digits of their SHA-256.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for part in [self.request.spec.id, &self.request.address.to_string(), &self.steps] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Plan {
    pub fn spec(&self) -> &'static OperationSpec {
        match self {
            Self::Publish { .. } => &PUBLISH,
            Self::Change(change) => change.request.spec,
            Self::Settle { .. } => &SETTLE,
            Self::Call { .. } => &CALL,
        }
    }

    /// How much it can hurt; the confirmation ladder goes by it.
    pub fn risk(&self) -> Risk {
        match self {
            Self::Publish { .. } => PUBLISH.risk,
            Self::Change(change) => change.risk.max(change.request.spec.risk),
            // What is acked or rejected does not come back to its queue.
            Self::Settle { tickets, settlement, settles, .. } => {
                let many = tickets.len() > 1 && matches!(settlement.effect, Effect::Ack | Effect::Reject);
                settles.risk.max(if many { Risk::Bulk } else { SETTLE.risk })
            }
            Self::Call { .. } => CALL.risk,
        }
    }

    pub fn address(&self) -> &Address {
        match self {
            Self::Publish { address, .. } | Self::Settle { address, .. } | Self::Call { address, .. } => address,
            Self::Change(change) => &change.request.address,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::address::GROUP;

    const MOVE: OperationSpec = OperationSpec::new(Risk::Bulk, Target::Group, "groups:reset")
        .named("group.move", "Move")
        .asks(&[Field::number("to", "To", "", 0, 9)]);
    const EMPTY: OperationSpec = OperationSpec::new(Risk::Bulk, Target::Channel(&["queue"]), "queues:purge").named("queue.purge", "Purge");

    fn request(address: &str, arguments: &[(&str, &str)]) -> Request {
        let arguments = arguments.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect();
        let address = address.parse::<Address>().expect("an address").split(&["queue", "exchange", GROUP]);
        Request { spec: &MOVE, address, arguments }
    }

    #[test]
    fn a_request_is_checked_against_its_operation() {
        assert_eq!(request("events/group:a", &[("to", "3")]).check(), Ok(()));
        for (address, arguments, word) in [
            ("events/a", &[][..], "names no group"),
            ("events/group:a", &[("from", "1")], "no field `from` (it has: to)"),
            ("events/group:a", &[("to", "10")], "from 0 to 9"),
        ] {
            let fault = request(address, arguments).check().expect_err(address);
            assert!(fault.kind == Kind::Usage && fault.to_string().contains(word), "{fault}");
        }
    }

    #[test]
    fn a_channel_of_another_kind_is_refused_and_one_without_a_kind_is_left_to_its_system() {
        let check = |address: &str| Request { spec: &EMPTY, ..request(address, &[]) }.check();
        assert_eq!((check("rabbit/queue:tasks"), check("rabbit/tasks")), (Ok(()), Ok(())));
        let fault = check("rabbit/exchange:tasks").expect_err("an exchange");
        assert!(
            fault.kind == Kind::Usage && fault.to_string().contains("not for channels of the kind exchange (it is for: queue)"),
            "{fault}"
        );
        assert!(PUBLISH.on.takes("exchange") && !MOVE.on.takes("queue"));
    }

    #[test]
    fn a_digest_names_operation_address_and_steps_and_nothing_else() {
        let change = |address: &str, steps: &str| Change::new(request(address, &[]), "moves", steps);
        let digest = change("events/group:a", "3 to 5").digest();
        assert_eq!(digest.len(), 16);
        let noted = Change { notes: vec!["a note".into()], ..change("events/group:a", "3 to 5") };
        assert_eq!(noted.digest(), digest);
        for other in [change("events/group:b", "3 to 5"), change("events/group:a", "3 to 6"), change("events/group:a3", " to 5")] {
            assert_ne!(other.digest(), digest);
        }
    }
}
