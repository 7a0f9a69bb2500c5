//! Credentials in what is shown: found by the name of a header or field, or by what a value looks like.
//!
//! Only views are redacted. Raw bytes never are: what is copied, edited or sent again must stay what it was.

use super::value::Value;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// Names that hold a credential wherever they stand in a header's or field's name, letter case and `-_.` apart.
const SECRET_PARTS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "privatekey",
    "accesskey",
    "authorization",
    "credential",
    "accesstoken",
    "refreshtoken",
    "sessiontoken",
];
/// Names that hold a credential if they are the whole name or its last word.
const SECRET_WORDS: [&str; 7] = ["token", "cookie", "pwd", "jwt", "auth", "bearer", "passcode"];

/// What stands in place of a credential; the length says whether there was something.
pub fn mark(length: usize) -> String {
    format!("••• (redacted, {length} bytes)")
}

/// The value of a header as it may be shown, if it must not be shown as it is.
pub fn header(name: &[u8], value: &[u8]) -> Option<String> {
    let secret = is_secret_name(&String::from_utf8_lossy(name)) || std::str::from_utf8(value).is_ok_and(is_credential);
    (secret && !value.is_empty()).then(|| mark(value.len()))
}

/// The same tree with every credential replaced by its mark.
#[must_use]
pub fn value(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(self::value).collect()),
        Value::Object(entries) => Value::Object(
            entries
                .iter()
                .map(|(name, inner)| (name.clone(), if is_secret_name(name) { hidden(inner) } else { self::value(inner) }))
                .collect(),
        ),
        Value::Text(text) => text_mark(text).map_or_else(|| value.clone(), |mark| Value::Text(mark.into())),
        other => other.clone(),
    }
}

/// A line of text in which every word that looks like a credential is replaced by its mark.
pub fn text(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut found = false;
    let mut scheme = "";
    for part in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';')) {
        let word = part.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';'));
        if is_jwt(word) || is_parameter(scheme, word) {
            found = true;
            out.push_str(&mark(word.len()));
            out.push_str(&part[word.len()..]);
        } else {
            out.push_str(part);
        }
        scheme = word;
    }
    found.then_some(out)
}

/// A text in which no URL has a log-in: `kafka://alice:secret@host` is `kafka://***@host`.
pub fn log_ins(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        // A password may hold any character that was not encoded: everything up to the last `@` of the word belongs to it.
        let word = after.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(after.len());
        out.push_str(before);
        out.push_str("://");
        rest = match after[..word].rfind('@') {
            Some(at) => {
                out.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    if out.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(out + rest) }
}

/// Whether a header or field of this name holds a credential.
pub fn is_secret_name(name: &str) -> bool {
    let words = words(name);
    let joined = words.concat();
    SECRET_PARTS.iter().any(|part| joined.contains(part)) || words.last().is_some_and(|last| SECRET_WORDS.contains(&last.as_str()))
}

/// `X-Auth-Token` → x auth token, `accessToken` → access token.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        let boundary = !c.is_alphanumeric() || (lower && c.is_uppercase());
        if boundary && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn hidden(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Text(text) if text.is_empty() => value.clone(),
        Value::Array(items) => Value::Array(items.iter().map(hidden).collect()),
        Value::Object(entries) => Value::Object(entries.iter().map(|(name, inner)| (name.clone(), hidden(inner))).collect()),
        Value::Number(text) | Value::Text(text) => Value::Text(mark(text.len()).into()),
        Value::Bytes(bytes) => Value::Text(mark(bytes.len()).into()),
    }
}

fn text_mark(text: &str) -> Option<String> {
    if is_credential(text) { Some(mark(text.len())) } else { self::text(text) }
}

/// `Bearer …`, `Basic …`, or a JWT.
fn is_credential(text: &str) -> bool {
    let text = text.trim();
    is_jwt(text) || text.split_once(' ').is_some_and(|(scheme, parameter)| is_parameter(scheme, parameter.trim()))
}

/// Whether a word is the credential behind an HTTP authentication scheme. Ordinary words follow "basic" and "bearer" too, so the
/// word must look the part: user and password in base64 (RFC 7617), or something long or with digits (RFC 6750).
fn is_parameter(scheme: &str, word: &str) -> bool {
    if scheme.eq_ignore_ascii_case("basic") {
        return STANDARD.decode(word).is_ok_and(|decoded| decoded.contains(&b':'));
    }
    let long = word.len() >= 20 || (word.len() >= 8 && word.bytes().any(|b| b.is_ascii_digit()));
    scheme.eq_ignore_ascii_case("bearer") && long && !word.contains(char::is_whitespace)
}

/// Three base64url parts of which the first is a JSON object (RFC 7519): `eyJ…`.
fn is_jwt(word: &str) -> bool {
    let base64url = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    word.starts_with("eyJ") && word.len() >= 20 && word.split('.').count() == 3 && word.split('.').all(base64url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";

    #[test]
    fn names_of_credentials_are_known_and_others_are_not() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "cookie",
            "Set-Cookie",
            "password",
            "db_password",
            "userPassword",
            "client_secret",
            "X-Api-Key",
            "apiKey",
            "token",
            "access_token",
            "refreshToken",
            "x-auth-token",
            "private_key",
            "JWT",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "author",
            "authority",
            "tokens_used",
            "token_count",
            "max_tokens",
            "key",
            "message_key",
            "cookies_accepted",
            "value",
            "passed",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn headers_are_hidden_by_name_or_by_what_they_look_like() {
        assert_eq!(header(b"x-forwarded", b"Bearer abcdefg1").as_deref(), Some("••• (redacted, 15 bytes)"));
        assert_eq!(header(b"x-forwarded", format!("bearer {JWT}").as_bytes()).as_deref(), Some(&*mark(JWT.len() + 7)));
        assert_eq!(header(b"trace", JWT.as_bytes()).as_deref(), Some(&*mark(JWT.len())));
        assert_eq!(header(b"password", b"\xff\xfe").as_deref(), Some("••• (redacted, 2 bytes)"));
        assert_eq!(header(b"password", b""), None);
        assert_eq!(header(b"x-forwarded", b"Basic YW5uOnB3").as_deref(), Some("••• (redacted, 14 bytes)"));
        for plain in [&b"basic training"[..], b"bearer securities", b"prod"] {
            assert_eq!(header(b"env", plain), None);
        }
    }

    #[test]
    fn fields_are_hidden_at_any_depth_and_the_rest_stays() {
        let text = |text: &str| Value::Text(text.into());
        let object = |entries: Vec<(&str, Value)>| Value::Object(entries.into_iter().map(|(name, value)| (name.into(), value)).collect());
        let given = object(vec![
            ("user", text("ann")),
            ("password", text("hunter2")),
            ("auth", object(vec![("user", text("ann")), ("pin", Value::Number("1234".into())), ("expires", Value::Null)])),
            ("log", Value::Array(vec![text(&format!("got {JWT}, ok")), text("plain")])),
        ]);
        let shown = object(vec![
            ("user", text("ann")),
            ("password", text("••• (redacted, 7 bytes)")),
            (
                "auth",
                object(vec![("user", text("••• (redacted, 3 bytes)")), ("pin", text("••• (redacted, 4 bytes)")), ("expires", Value::Null)]),
            ),
            ("log", Value::Array(vec![text(&format!("got {}, ok", mark(JWT.len()))), text("plain")])),
        ]);
        assert_eq!(value(&given), shown);
    }

    #[test]
    fn a_url_is_shown_without_its_log_in() {
        for (given, shown) in [
            ("read kafka://alice:hunter2@host:9092, and x", "read kafka://***@host:9092, and x"),
            ("`amqp://u:p@ss@w/rd@host/v`: no", "`amqp://***@host/v`: no"),
            ("a://b@c d://e:f@g", "a://***@c d://***@g"),
            ("http://host/a mail@host", "http://host/a mail@host"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(log_ins(given), shown);
        }
    }

    #[test]
    fn words_in_a_text_are_hidden_where_they_look_like_credentials() {
        assert_eq!(text("Authorization: Bearer abcdefghi1; next").as_deref(), Some("Authorization: Bearer ••• (redacted, 10 bytes); next"));
        assert_eq!(text("nothing to hide, not even eyJ.a.b"), None);
    }
}
