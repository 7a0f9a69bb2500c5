//! The `auth` block: who we say we are.

use super::endpoint::has_log_in;
use super::profile::{Auth, ScramMechanism, Seed, TokenSource};
use super::secret::Secret;
use super::section::Text;
use super::system::System;
use super::tree::{Reading, Section};
use crate::domain::suggest;
use std::path::PathBuf;

/// A log-in, and the client certificate if that is (part of) it.
pub(super) struct Said {
    pub(super) auth: Auth,
    pub(super) client: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    None,
    Basic,
    Password,
    Scram,
    Token,
    OAuth2,
    Mtls,
    Nkey,
    Creds,
}

impl Type {
    /// Whether they are one log-in: of a name and a password, the name may be left out or not.
    fn is_like(self, other: Self) -> bool {
        let named = |kind| if kind == Self::Password { Self::Basic } else { kind };
        named(self) == named(other)
    }
}

/// Names that people know these by, the first of each kind in the documentation.
const TYPES: &[(&str, Type)] = &[
    ("none", Type::None),
    ("basic", Type::Basic),
    ("plain", Type::Basic),
    ("password", Type::Password),
    ("scram", Type::Scram),
    ("bearer", Type::Token),
    ("token", Type::Token),
    ("oauth", Type::Token),
    ("oauth2", Type::OAuth2),
    ("client_credentials", Type::OAuth2),
    ("mtls", Type::Mtls),
    ("nkey", Type::Nkey),
    ("creds", Type::Creds),
    ("credentials", Type::Creds),
];

const MECHANISMS: &[(&str, ScramMechanism)] = &[("SCRAM-SHA-256", ScramMechanism::Sha256), ("SCRAM-SHA-512", ScramMechanism::Sha512)];

/// Reads the block; `None` if it is wrong, and the problems are noted.
pub(super) fn read(mut section: Section, rd: &mut Reading<'_>, system: &str, known: Option<&System>) -> Option<Said> {
    let missing = !section.has("type") && !section.misspelled("type");
    let place = section.entries.iter().find(|entry| entry.name == "type").map(|entry| entry.value.span.clone());
    let kind = section.word(rd, "type", TYPES);
    if missing {
        rd.wrong(&section.span.clone(), "`type` is missing", "for example type = \"scram\"");
    }
    // Which names are known depends on the type: without it nothing else here can be told to be wrong.
    let Some(kind) = kind else {
        for entry in section.entries.iter().filter(|entry| suggest::nearest(&entry.name, ["type"]).is_some()) {
            rd.wrong(&entry.span, format!("unknown attribute `{}`", entry.name), "did you mean `type`?");
        }
        return None;
    };
    if matches!(kind, Type::Nkey | Type::Creds) && system != "nats" {
        rd.wrong(&section.span.clone(), "this kind of log-in is NATS's own", "for example type = \"password\"");
        return None;
    }
    if let Some((cause, help)) = known.and_then(|known| refused(known, kind)) {
        rd.wrong(&place.unwrap_or_else(|| section.span.clone()), cause, help);
        return None;
    }
    let said = match kind {
        Type::None => Some(Said { auth: Auth::None, client: None }),
        Type::Basic | Type::Password => basic(&mut section, rd, kind == Type::Password && system != "kafka"),
        Type::Scram => scram(&mut section, rd),
        Type::Token => token(&mut section, rd),
        Type::OAuth2 => client_credentials(&mut section, rd),
        Type::Mtls => mtls(&mut section, rd),
        Type::Nkey => nkey(&mut section, rd),
        Type::Creds => creds(&mut section, rd),
    };
    section.finish(rd);
    said
}

/// What is wrong with a log-in of a type that a system does not have, and what it has.
fn refused(system: &System, kind: Type) -> Option<(String, String)> {
    let types = system.log_ins?;
    let has = types.iter().any(|name| TYPES.iter().any(|(known, other)| known == name && other.is_like(kind)));
    (!has).then(|| (format!("{} has no log-in of this type", system.title), format!("it has: {}", types.join(", "))))
}

/// The same of SCRAM, which a URL may ask for.
pub(super) fn without_scram(system: &System) -> Option<(String, String)> {
    refused(system, Type::Scram)
}

fn log_in(auth: Auth) -> Said {
    Said { auth, client: None }
}

fn basic(section: &mut Section, rd: &mut Reading<'_>, nameless: bool) -> Option<Said> {
    let username = if nameless { section.text(rd, "username") } else { section.required(rd, "username", "a log-in needs its user") };
    let password = section.required(rd, "password", "for example password = \"${env.KAFKA_PASSWORD}\"");
    if username.is_none() && !nameless {
        return None;
    }
    Some(log_in(Auth::Basic { username: username.map(Text::into_string).unwrap_or_default(), password: password?.into_secret(rd) }))
}

fn scram(section: &mut Section, rd: &mut Reading<'_>) -> Option<Said> {
    let asked = section.has("mechanism");
    let mechanism = section.word(rd, "mechanism", MECHANISMS);
    let username = section.required(rd, "username", "a log-in needs its user");
    let password = section.required(rd, "password", "for example password = \"${env.KAFKA_PASSWORD}\"");
    // Without a word the stronger one; a wrong word is an error, never a default.
    let mechanism = if asked { mechanism? } else { ScramMechanism::Sha512 };
    Some(log_in(Auth::Scram { mechanism, username: username?.into_string(), password: password?.into_secret(rd) }))
}

fn token(section: &mut Section, rd: &mut Reading<'_>) -> Option<Said> {
    let example = "for example token = \"${env.API_TOKEN}\"";
    either(section, rd, ["token", "token_file"], example, TokenSource::Fixed, TokenSource::File).map(|source| log_in(Auth::Token(source)))
}

fn nkey(section: &mut Section, rd: &mut Reading<'_>) -> Option<Said> {
    let example = "for example seed_file = \"user.nk\"";
    either(section, rd, ["seed", "seed_file"], example, Seed::Fixed, Seed::File).map(|seed| log_in(Auth::Nkey(seed)))
}

/// A secret that is written here, or the file that holds it: one of the two.
fn either<T>(
    section: &mut Section,
    rd: &mut Reading<'_>,
    [here, there]: [&'static str; 2],
    example: &str,
    fixed: fn(Secret) -> T,
    file: fn(PathBuf) -> T,
) -> Option<T> {
    let written = section.has(here) || section.has(there);
    match (section.text(rd, here), section.text(rd, there)) {
        (Some(secret), None) => return Some(fixed(secret.into_secret(rd))),
        (None, Some(path)) => return Some(file(rd.file(&path, &format!("`{there}`")))),
        (Some(_), Some(path)) => rd.wrong(&path.span, format!("both `{here}` and `{there}`"), "keep one of them"),
        // What was written could not be read, which is noted.
        (None, None) if written => {}
        (None, None) => rd.wrong(&section.span.clone(), format!("`{here}` or `{there}` is missing"), example),
    }
    None
}

fn client_credentials(section: &mut Section, rd: &mut Reading<'_>) -> Option<Said> {
    let token_url = section.required(rd, "token_url", "where the tokens are asked for: https://auth.example.com/token");
    let client_id = section.required(rd, "client_id", "the name that the authorization server knows us by");
    let client_secret = section.required(rd, "client_secret", "for example client_secret = \"${env.CLIENT_SECRET}\"");
    let scopes = section.take(rd, "scopes").map(|entry| rd.texts(entry.value, "scopes")).unwrap_or_default();
    let token_url = token_url?;
    if !["https://", "http://"].iter().any(|scheme| token_url.as_str().starts_with(scheme)) {
        rd.wrong(&token_url.span, "`token_url` is not a URL", "write https://…");
        return None;
    }
    if has_log_in(token_url.as_str()) {
        rd.wrong(&token_url.span, "`token_url` holds no user and no password", "they are `client_id` and `client_secret`");
        return None;
    }
    Some(log_in(Auth::Token(TokenSource::ClientCredentials {
        token_url: token_url.into_string(),
        client_id: client_id?.into_string(),
        client_secret: client_secret?.into_secret(rd),
        scopes: scopes.into_iter().map(Text::into_string).collect(),
    })))
}

fn mtls(section: &mut Section, rd: &mut Reading<'_>) -> Option<Said> {
    let cert = section.required(rd, "client_cert", "PEM of our certificate chain");
    let key = section.required(rd, "client_key", "PEM of the certificate's key");
    Some(Said { auth: Auth::None, client: Some((rd.file(&cert?, "`client_cert`"), rd.file(&key?, "`client_key`"))) })
}

fn creds(section: &mut Section, rd: &mut Reading<'_>) -> Option<Said> {
    let file = section.required(rd, "file", "for example file = \"user.creds\"")?;
    Some(log_in(Auth::Creds(rd.file(&file, "`file`"))))
}

/// SCRAM's mechanism by its name (RFC 7677, RFC 5802).
pub(super) fn scram_mechanism(name: &str) -> Option<ScramMechanism> {
    MECHANISMS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, mechanism)| *mechanism)
}
