//! The guard: every call to a system passes it, reading or changing, whoever asks. It is the one place where permission, tenant, the end
//! of the program and the counts of calls are put to an operation.

use crate::domain::address::Address;
use crate::domain::fault::{Fault, Kind};
use crate::domain::operation::{OperationSpec, Risk};
use crate::domain::principal::Principal;
use crate::domain::text::SafeText;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Who asks, what she may, and what ends everything that she has begun. One profile may be opened for several callers.
#[derive(Clone)]
pub struct Caller {
    pub principal: Arc<Principal>,
    policy: Arc<dyn Policy>,
    /// Cancelled when the caller wants nothing more: nothing new is begun, reading ends, changes under way go on to their end.
    stop: CancellationToken,
}

/// What a principal may do. Asked before every call, and for every batch of what a call returned.
pub trait Policy: Send + Sync {
    /// Whether the principal may do this there; the reason if not. The address of an operation on an integration has no channel.
    fn permits(&self, principal: &Principal, operation: &OperationSpec, address: &Address) -> Result<(), SafeText>;
}

/// The policy while nobody has to log in: the operator at this machine may do what the profile's safety lets her.
pub struct AllowAll;

impl Policy for AllowAll {
    fn permits(&self, _: &Principal, _: &OperationSpec, _: &Address) -> Result<(), SafeText> {
        Ok(())
    }
}

impl Caller {
    pub fn new(principal: Principal, policy: Arc<dyn Policy>, stop: CancellationToken) -> Self {
        Self { principal: Arc::new(principal), policy, stop }
    }

    /// The same caller for a part of her work, which can be ended by itself.
    pub(super) fn child(&self) -> Self {
        Self { stop: self.stop.child_token(), ..self.clone() }
    }

    /// What ends this caller's work.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether an operation is permitted there.
    ///
    /// # Errors
    /// [`Kind::Forbidden`], with the policy's reason.
    pub fn permits(&self, operation: &'static OperationSpec, address: &Address) -> Result<(), Fault> {
        self.policy.permits(&self.principal, operation, address).map_err(|reason| {
            let cause = format!("{} is not permitted to {}: {reason}", SafeText::new(&self.principal.subject), operation.permission);
            Fault::new(Kind::Forbidden, operation.id, address.to_string(), cause).next("ask for a role that has this permission")
        })
    }

    /// Permitted, and not at the end.
    fn begins(&self, operation: &'static OperationSpec, address: &Address) -> Result<(), Fault> {
        if self.stop.is_cancelled() {
            return Err(ending(operation.id, &address.to_string()));
        }
        self.permits(operation, address)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({})", self.principal)
    }
}

impl Default for Caller {
    /// The operator at this machine, who may do what the profile's safety lets her.
    fn default() -> Self {
        Self::new(Principal::local(None), Arc::new(AllowAll), CancellationToken::new())
    }
}

/// Makes one call to a system. `call` makes it from the start each time that it is called, so that a call that is safe to repeat can be.
///
/// Reading ends with its caller; what changes something goes on to its own end, because its outcome must be known.
///
/// # Errors
/// What the call returned; or that it is not permitted, or that the program is ending: then it was not made.
pub(super) async fn guard<T, F>(
    caller: &Caller,
    counts: &Counts,
    operation: &'static OperationSpec,
    address: &Address,
    call: impl Fn() -> F,
) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    let refused = caller.begins(operation, address);
    counts.count(operation, |count| count.refused += u64::from(refused.is_err()));
    refused?;
    let began = Instant::now();
    let result = tokio::select! {
        biased;
        () = caller.stop.cancelled(), if operation.risk == Risk::Read => Err(ending(operation.id, &address.to_string())),
        result = call() => result,
    };
    counts.count(operation, |count| {
        count.calls += 1;
        count.failed += u64::from(result.is_err());
        count.took += began.elapsed();
    });
    result
}

/// Why something is not begun, or ends early, when the caller wants nothing more.
pub(super) fn ending(op: &'static str, target: &str) -> Fault {
    Fault::new(Kind::Lost, op, target, "it was stopped: nothing new is begun").next("start it again")
}

/// Lets what one call returned pass, batch by batch.
#[derive(Clone)]
pub(super) struct Pass {
    pub(super) caller: Caller,
    pub(super) counts: Counts,
    pub(super) operation: &'static OperationSpec,
    pub(super) address: Address,
}

impl Pass {
    /// Counts a batch, and asks whether the caller may still have it: a permission can end while a stream goes on.
    pub(super) fn batch(&self, messages: usize) -> Result<(), Fault> {
        self.goes_on()?;
        self.counted(messages);
        Ok(())
    }

    /// Whether the caller may still have what comes.
    pub(super) fn goes_on(&self) -> Result<(), Fault> {
        self.caller.begins(self.operation, &self.address)
    }

    /// Counts a batch that is handed on in any case.
    pub(super) fn counted(&self, messages: usize) {
        self.counts.count(self.operation, |count| {
            count.batches += 1;
            count.messages += messages as u64;
        });
    }

    /// Why nothing more passes when the caller has ended.
    pub(super) fn ending(&self) -> Fault {
        ending(self.operation.id, &self.address.to_string())
    }
}

/// What was counted of one operation on one integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Calls that were made.
    pub calls: u64,
    /// Calls that were made and returned a fault.
    pub failed: u64,
    /// Calls that were not made: not permitted, or at the end.
    pub refused: u64,
    /// How long all calls took until they returned; what streams took after that is not in it.
    pub took: Duration,
    /// Batches of messages that passed, and the messages in them.
    pub batches: u64,
    pub messages: u64,
}

/// The counts of one integration, by the operation's id. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<Mutex<BTreeMap<&'static str, Count>>>);

impl Counts {
    pub(super) fn count(&self, operation: &'static OperationSpec, change: impl FnOnce(&mut Count)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(operation.id).or_default());
    }

    pub(super) fn now(&self) -> BTreeMap<&'static str, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
