//! Dead letters in memory: what tests say of them.

use super::Memory;
use crate::adapters::session::DeadLetters;
use crate::domain::dead_letter::place::{Assumptions, DeadLetterMap, Letter};
use crate::domain::fault::Fault;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

impl Memory {
    /// Sets what the system says of dead letters, whatever the trouble.
    pub fn map_dead_letters(&self, map: DeadLetterMap) {
        self.change(|state| state.dead_letters = map);
    }

    /// Adds a letter to a place, whatever the trouble.
    pub fn die(&self, place: &str, letter: Letter) {
        self.change(|state| state.letters.entry(place.into()).or_default().push(letter));
    }
}

#[async_trait]
impl DeadLetters for Memory {
    async fn map(&self, _assumed: &Assumptions) -> Result<DeadLetterMap, Fault> {
        self.pass("map dead letters of", "memory").await?;
        Ok(self.state().dead_letters.clone())
    }

    async fn letters(&self, place: &str, _assumed: &Assumptions) -> Result<BoxStream<'static, Result<Vec<Letter>, Fault>>, Fault> {
        self.pass("read dead letters of", place).await?;
        let letters = self.state().letters.get(place).cloned().unwrap_or_default();
        Ok(stream::iter([Ok(letters)]).boxed())
    }
}
