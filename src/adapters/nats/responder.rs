//! A service inside this process (ADR-32), for the demo and for tests: it answers on its subject, and `$SRV`'s questions who it is.

use crate::domain::fault::{Fault, Kind};
use async_nats::ConnectOptions;
use async_nats::service::ServiceExt;
use bytes::Bytes;
use futures::StreamExt;

const OP: &str = "serve";
/// A server that is gone is given up after so many tries: whoever wants the service starts it again.
const TRIES: usize = 2;

/// What a service is called, and what it answers.
pub struct Service {
    pub name: &'static str,
    pub version: &'static str,
    /// One line: what it does.
    pub about: &'static str,
    /// What it is asked on.
    pub subject: &'static str,
    pub answer: fn(&[u8]) -> Bytes,
}

/// Answers until the connection is lost.
pub async fn serve(address: String, service: &'static Service) -> Result<(), Fault> {
    let failed = |error: String| Fault::new(Kind::Unreachable, OP, service.name, error);
    let client = ConnectOptions::new().max_reconnects(TRIES).connect(&address).await.map_err(|error| failed(error.to_string()))?;
    let builder = client.service_builder().description(service.about);
    let running = builder.start(service.name, service.version).await.map_err(|error| failed(error.to_string()))?;
    let mut asked = running.endpoint(service.subject).await.map_err(|error| failed(error.to_string()))?;
    while let Some(request) = asked.next().await {
        // Who asked may have gone.
        let _ = request.respond(Ok((service.answer)(&request.message.payload))).await;
    }
    Err(failed("the connection is lost".to_owned()))
}
