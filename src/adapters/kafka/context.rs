//! What librdkafka tells while it works: its log, its troubles, and its wish for a token.

use crate::adapters::token_source::TokenSource;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::watch;

/// How long a token is taken to last when it does not say: librdkafka asks again after four fifths of it.
const UNSAID_LIFETIME_MS: i64 = 300_000;

/// The last trouble that a client reported, in librdkafka's words.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) code: RDKafkaErrorCode,
    pub(super) reason: String,
    /// Nothing will come of waiting: no broker is left, or the log-in or TLS failed.
    pub(super) hopeless: bool,
    /// The brokers are there and want nothing of us: the log-in or TLS failed.
    pub(super) refused: bool,
}

/// Routes the log to the program's own, remembers troubles and fetches tokens.
pub(super) struct Context {
    trouble: watch::Sender<Option<Trouble>>,
    tokens: Option<(Arc<dyn TokenSource>, Handle)>,
}

impl Context {
    /// Tokens are fetched on the runtime of the caller.
    pub(super) fn new(tokens: Option<Arc<dyn TokenSource>>) -> Self {
        let tokens = tokens.and_then(|tokens| Some((tokens, Handle::try_current().ok()?)));
        Self { trouble: watch::Sender::new(None), tokens }
    }

    /// Where troubles are told; `None` until there is one, and again once somebody has found that it is over.
    pub(super) fn troubles(&self) -> watch::Sender<Option<Trouble>> {
        self.trouble.clone()
    }

    fn note(&self, code: RDKafkaErrorCode, reason: &str) {
        let all_down = code == RDKafkaErrorCode::AllBrokersDown;
        let refused = matches!(code, RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL | RDKafkaErrorCode::Fatal);
        // "after 3ms in state CONNECT, 1 identical error(s) suppressed" is for the log.
        let reason = reason.rsplit_once(" (after ").map_or(reason, |(reason, _)| reason);
        self.trouble.send_modify(|trouble| match trouble {
            // "1/1 brokers are down" says less than the reason that came just before it, and it is said once.
            Some(before) if all_down => before.hopeless = true,
            before => {
                let hopeless = all_down || refused || before.as_ref().is_some_and(|before| before.hopeless);
                *before = Some(Trouble { code, reason: reason.to_owned(), hopeless, refused });
            }
        });
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(target: "librdkafka", facility, "{text}");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{text}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => tracing::info!(target: "librdkafka", facility, "{text}"),
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{text}"),
        }
    }

    fn stats_raw(&self, _statistics: &[u8]) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", "{error}: {reason}");
        if let Some(code) = error.rdkafka_error_code() {
            self.note(code, reason);
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let (tokens, runtime) = self.tokens.as_ref().ok_or("the profile gives no token")?;
        // Called on the polling thread, which belongs to no runtime.
        let token = runtime.block_on(tokens.token()).map_err(|fault| {
            self.note(RDKafkaErrorCode::Authentication, &fault.to_string());
            fault.to_string().replace('\0', "")
        })?;
        let claims = Claims::of(token.secret.expose());
        let left = token.expires.map(|end| end.saturating_duration_since(Instant::now()).as_millis() as i64);
        let lifetime_ms = claims.expires_ms.unwrap_or_else(|| now_ms() + left.unwrap_or(UNSAID_LIFETIME_MS));
        Ok(OAuthToken { token: token.secret.expose().to_owned(), principal_name: claims.subject, lifetime_ms })
    }
}

/// What a client tells of a token that it does not check: the broker does.
#[derive(Debug, PartialEq)]
struct Claims {
    subject: String,
    expires_ms: Option<i64>,
}

impl Claims {
    fn of(token: &str) -> Self {
        let claims = token
            .split('.')
            .nth(1)
            .and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok())
            .and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok())
            .unwrap_or_default();
        let subject = claims.get("sub").and_then(|sub| sub.as_str()).filter(|sub| !sub.contains('\0')).unwrap_or("mqdeck").to_owned();
        let expires_ms = claims.get("exp").and_then(serde_json::Value::as_f64).map(|seconds| (seconds * 1000.0) as i64);
        Self { subject, expires_ms }
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_its_subject_and_end_where_it_is_a_jwt() {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let jwt = format!("{}.{}.", part(r#"{"alg":"none"}"#), part(r#"{"sub":"alice","exp":1700000000}"#));
        assert_eq!(Claims::of(&jwt), Claims { subject: "alice".into(), expires_ms: Some(1_700_000_000_000) });
        assert_eq!(Claims::of("opaque"), Claims { subject: "mqdeck".into(), expires_ms: None });
    }

    #[test]
    fn the_reason_outlives_the_count_of_brokers_that_are_down() {
        let context = Context::new(None);
        let troubles = context.troubles();
        context.note(
            RDKafkaErrorCode::BrokerTransportFailure,
            "Connect to 127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
        );
        assert!(troubles.borrow().as_ref().is_some_and(|t| !t.hopeless));
        context.note(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        let trouble = troubles.borrow().clone().expect("a trouble");
        assert!(trouble.hopeless && trouble.reason.ends_with("refused"), "{trouble:?}");
        context.note(RDKafkaErrorCode::BrokerTransportFailure, "again");
        assert!(troubles.borrow().as_ref().is_some_and(|t| t.hopeless), "it stays hopeless until a look-up goes well");
    }
}
