//! Logging in by SASL: PLAIN, SCRAM and OAUTHBEARER, at the start of a connection and again before a session ends (KIP-368).

use super::super::faults;
use super::api::Request;
use super::wire::Wire;
use crate::adapters::token_source::{self, TokenSource};
use crate::config::profile::{Auth, ScramMechanism};
use crate::config::secret::Secret;
use crate::domain::fault::{Fault, Kind};
use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest};
use kafka_protocol::protocol::{StrBytes, VersionRange};
use rsasl::config::SASLConfig;
use rsasl::prelude::{Mechname, SASLClient, Session, SessionError};
use std::sync::Arc;
use std::time::Duration;

const OP: &str = "log in to";
/// More rounds than this a server may not demand; Kafka allows 16,384. Each costs time before we know who asks.
const MAX_ROUNDS: u32 = 1_000_000;

/// Who we say we are.
pub(crate) enum Login {
    Plain { username: String, password: Secret },
    Scram { mechanism: ScramMechanism, username: String, password: Secret },
    Bearer(Arc<dyn TokenSource>),
}

impl Login {
    /// The log-in of a profile's `auth` block; `None` without one.
    pub(crate) fn new(auth: &Auth) -> Option<Self> {
        Some(match auth.clone() {
            // Key pairs and creds files are read for NATS alone.
            Auth::None | Auth::Nkey(_) | Auth::Creds(_) => return None,
            Auth::Basic { username, password } => Self::Plain { username, password },
            Auth::Scram { mechanism, username, password } => Self::Scram { mechanism, username, password },
            Auth::Token(source) => Self::Bearer(token_source::from_profile(&source)),
        })
    }

    fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::Scram { mechanism: ScramMechanism::Sha256, .. } => "SCRAM-SHA-256",
            Self::Scram { mechanism: ScramMechanism::Sha512, .. } => "SCRAM-SHA-512",
            Self::Bearer(_) => "OAUTHBEARER",
        }
    }

    /// What to check when the broker says no.
    fn advice(&self) -> &'static str {
        match self {
            Self::Plain { .. } | Self::Scram { .. } => "check username and password in the profile's auth block",
            Self::Bearer(_) => "the token may be expired, or meant for another audience; check the profile's auth block",
        }
    }

    /// Logs in on a connection that nobody else uses meanwhile. Returns for how long the broker keeps the session; `None` for ever.
    pub(crate) async fn run(&self, talk: &mut Talk<'_>) -> Result<Option<Duration>, Fault> {
        let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(self.mechanism()));
        let offer = talk.ask(&handshake).await?;
        if offer.error_code != 0 {
            let mut offered: Vec<_> = offer.mechanisms.iter().map(StrBytes::as_str).collect();
            offered.sort_unstable();
            let cause = format!(
                "the listener does not offer {}: it offers {} [{}]",
                self.mechanism(),
                if offered.is_empty() { "nothing".to_owned() } else { offered.join(", ") },
                faults::code_name(offer.error_code)
            );
            let next = "change the type or mechanism of the profile's auth block";
            return Err(Fault::new(Kind::Unauthorized, OP, talk.peer(), cause).next(next));
        }
        let lifetime = match self {
            Self::Plain { username, password } => {
                let message = Secret::new(format!("\0{username}\0{}", password.expose()));
                self.step(talk, Bytes::copy_from_slice(message.expose().as_bytes())).await?.session_lifetime_ms
            }
            Self::Scram { username, password, .. } => self.scram(talk, username, password).await?,
            Self::Bearer(source) => self.bearer(talk, &**source).await?,
        };
        Ok(u64::try_from(lifetime).ok().filter(|millis| *millis > 0).map(Duration::from_millis))
    }

    /// One message and its answer; a refusal becomes a fault.
    async fn step(&self, talk: &mut Talk<'_>, message: Bytes) -> Result<SaslAuthenticateResponse, Fault> {
        let answer = talk.ask(&SaslAuthenticateRequest::default().with_auth_bytes(message)).await?;
        if answer.error_code == 0 {
            return Ok(answer);
        }
        Err(faults::refused(OP, talk.peer(), answer.error_code, answer.error_message.as_deref()).next(self.advice()))
    }

    async fn scram(&self, talk: &mut Talk<'_>, username: &str, password: &Secret) -> Result<i64, Fault> {
        let broken = |error: &dyn std::fmt::Display, peer| {
            Fault::new(Kind::Unauthorized, OP, peer, format!("the broker's side of SCRAM does not fit: {error}")).next(self.advice())
        };
        let mut session = scram_session(self.mechanism(), username, password.expose()).map_err(|error| broken(&error, talk.peer()))?;
        let first = scram_step(&mut session, None).map_err(|error| broken(&error, talk.peer()))?;
        let challenge = self.step(talk, first).await?.auth_bytes;
        if rounds(&challenge).is_none_or(|rounds| rounds > MAX_ROUNDS) {
            return Err(broken(&"its iteration count is missing or absurd", talk.peer()));
        }
        let proof = scram_step(&mut session, Some(&challenge)).map_err(|error| broken(&error, talk.peer()))?;
        let answer = self.step(talk, proof).await?;
        // The broker proves that it knows the password too.
        scram_step(&mut session, Some(&answer.auth_bytes)).map_err(|error| broken(&error, talk.peer()))?;
        Ok(answer.session_lifetime_ms)
    }

    /// RFC 7628 section 3. A refusal comes as JSON in the answer; the dummy message that must follow brings the error code.
    async fn bearer(&self, talk: &mut Talk<'_>, source: &dyn TokenSource) -> Result<i64, Fault> {
        let token = source.token().await?;
        let message = Secret::new(format!("n,,\u{1}auth=Bearer {}\u{1}\u{1}", token.secret.expose()));
        let answer = self.step(talk, Bytes::copy_from_slice(message.expose().as_bytes())).await?;
        if answer.auth_bytes.is_empty() {
            return Ok(answer.session_lifetime_ms);
        }
        let said = String::from_utf8_lossy(&answer.auth_bytes).into_owned();
        let code = talk.ask(&SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from_static(b"\x01"))).await?.error_code;
        let cause = format!("the broker does not accept the token: {said} [{}]", faults::code_name(code));
        Err(Fault::new(Kind::Unauthorized, OP, talk.peer(), cause).next(self.advice()))
    }
}

/// A connection while it logs in.
pub(crate) struct Talk<'a> {
    pub(crate) wire: &'a mut Wire,
    pub(crate) client_id: &'a StrBytes,
    /// The version of each request that the broker takes.
    pub(crate) pick: &'a (dyn Fn(ApiKey, VersionRange) -> Option<i16> + Sync),
    pub(crate) log: &'a (dyn Fn(String, String, Duration) + Sync),
}

impl Talk<'_> {
    async fn ask<A: Request>(&mut self, request: &A) -> Result<A::Answer, Fault> {
        let Some(version) = (self.pick)(A::KEY, A::SPOKEN) else {
            return Err(Fault::new(Kind::Rejected, OP, self.peer(), "the broker does not speak SASL as we do")
                .next("it may be older than Kafka 1.0, or the listener may want no log-in"));
        };
        let asked = std::time::Instant::now();
        let answer = self.wire.ask(request, version, self.client_id).await;
        let outcome = match &answer {
            Ok(answer) => A::about_answer(answer),
            Err(fault) => fault.cause.to_string(),
        };
        (self.log)(format!("{:?} v{version} {}", A::KEY, request.about()).trim_end().to_owned(), outcome, asked.elapsed());
        answer
    }

    fn peer(&self) -> crate::domain::text::SafeText {
        self.wire.shared.peer.clone()
    }
}

fn scram_session(mechanism: &str, username: &str, password: &str) -> Result<Session, String> {
    let config = SASLConfig::with_credentials(None, username.to_owned(), password.to_owned()).map_err(|error| error.to_string())?;
    let name = Mechname::parse(mechanism.as_bytes()).map_err(|error| error.to_string())?;
    SASLClient::new(config).start_suggested(&[name]).map_err(|error| error.to_string())
}

fn scram_step(session: &mut Session, input: Option<&[u8]>) -> Result<Bytes, SessionError> {
    let mut out = Vec::new();
    session.step(input, &mut out)?;
    Ok(out.into())
}

/// The iteration count in a SCRAM challenge: `r=…,s=…,i=4096` (RFC 5802 section 5.1).
fn rounds(challenge: &[u8]) -> Option<u32> {
    std::str::from_utf8(challenge).ok()?.split(',').find_map(|part| part.strip_prefix("i="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scram_client_starts_with_its_name_and_refuses_garbage() {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mut session = scram_session(mechanism, "alice", "alice-secret").expect("a session");
            let first = scram_step(&mut session, None).expect("a first message");
            assert!(first.starts_with(b"n,,n=alice,r="), "{first:?}");
            assert!(!String::from_utf8_lossy(&first).contains("alice-secret"));
            assert!(scram_step(&mut session, Some(b"r=not-our-nonce,s=QUJD,i=4096")).is_err());
        }
    }

    #[test]
    fn the_cost_of_a_challenge_is_read_before_it_is_paid() {
        assert_eq!(rounds(b"r=abc,s=QUJD,i=4096"), Some(4096));
        assert_eq!(rounds(b"r=abc,s=QUJD,i=4294967295"), Some(u32::MAX));
        assert_eq!(rounds(b"r=abc,s=QUJD"), None);
        assert_eq!(rounds(b"\xff\xfe"), None);
    }
}
