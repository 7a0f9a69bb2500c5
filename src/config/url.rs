//! `--url`: one connection in one argument, for when there is no profile.
//!
//! `kafka://one:9092,two:9092` · `kafkas://` speaks TLS · `kafka://user:password@host?sasl=SCRAM-SHA-512&ca=/path/ca.pem`. User, password and
//! values are percent-decoded (RFC 3986 section 2.1). A path is the vhost of `amqp://host/tenant-a` and the database of `redis://host/3`. A password in an argument is seen by everybody on the machine: a profile keeps it out.

use super::auth::{scram_mechanism, without_scram};
use super::endpoint;
use super::profile::{Auth, Integration, Profile, Setting, Tls, TlsVersion};
use super::rules::{self, Rule};
use super::secret::Secret;
use super::system::System;
use crate::domain::fault::{Fault, Kind};
use crate::domain::safety::Safety;
use crate::domain::suggest;
use crate::domain::time::parse_duration;
use std::path::Path;
use std::time::Duration;

/// What may stand behind the `?`.
const OPTIONS: &[&str] = &["sasl", "ca", "cert", "key", "server_name", "verify", "min_version", "timeout"];

/// What the URLs of some systems say beside: the setting that their path is, and the settings that may stand behind the `?`.
const SETTINGS: &[(&str, &str, &[&str])] =
    &[("rabbitmq", "vhost", &["heartbeat", "channel_max", "prefetch", "management_url"]), ("redis", "db", &["payload_field", "sentinel"])];

/// Reads a URL into a profile named after the first host, with one integration named after its system: `kafka/orders`.
///
/// # Errors
/// What is wrong with it; neither the user nor the password is repeated.
pub fn from_url(url: &str, systems: &[System]) -> Result<Profile, Fault> {
    read(url.trim(), systems).map_err(|(cause, next)| Fault::new(Kind::Usage, "read", "--url", cause).next(next))
}

/// The same integration in another part of its broker, as the path of a URL says it: RabbitMQ's vhost in `rabbit@tenant-a`, Redis's database
/// in `redis@3`. `None` where a system has no parts.
///
/// # Errors
/// The part is not percent-encoded as it should be.
pub fn extra_vhosts(integration: &Integration, part: &str) -> Option<Result<Integration, Fault>> {
    let (_, setting, _) = SETTINGS.iter().find(|(name, ..)| *name == integration.system)?;
    let name = format!("{}@{part}", integration.name);
    let read = decode(part).map_err(|(cause, next)| Fault::new(Kind::Usage, "find integration", name.as_str(), cause).next(next));
    Some(read.map(|value| {
        let mut other = Integration { name: name.as_str().into(), ..integration.clone() };
        other.settings.insert((*setting).to_owned(), Setting { value, line: 0 });
        other
    }))
}

/// A part of a broker as it is written behind an integration's name: all but letters, digits and `-._~` as `%` and two digits.
pub fn encode(part: &str) -> String {
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    part.bytes().map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

type Wrong = (String, String);

fn wrong(cause: impl Into<String>, next: impl Into<String>) -> Wrong {
    (cause.into(), next.into())
}

fn read(url: &str, systems: &[System]) -> Result<Profile, Wrong> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("this is not a URL", "write kafka://host:9092"))?;
    let scheme = scheme.to_ascii_lowercase();
    let found = systems.iter().find_map(|system| system.schemes.iter().find(|(name, _)| *name == scheme).map(|(name, _)| (system, *name)));
    let (system, scheme) = found.ok_or_else(|| {
        let names: Vec<&str> = systems.iter().flat_map(|system| system.schemes).map(|(name, _)| *name).collect();
        wrong("no system of this build has this scheme", format!("known: {}", suggest::one_of(&names)))
    })?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    // A host holds no `@`, so the last one ends the log-in: people forget to write %40.
    let (log_in, hosts) = rest.rsplit_once('@').map_or((None, rest), |(log_in, hosts)| (Some(log_in), hosts));
    // A websocket's path belongs to where it is.
    let (hosts, path) = match scheme {
        "ws" | "wss" => (hosts.strip_suffix('/').unwrap_or(hosts), ""),
        _ => hosts.split_once('/').unwrap_or((hosts, "")),
    };
    let extra = SETTINGS.iter().find(|(name, ..)| *name == system.name);
    if !path.is_empty() && extra.is_none() {
        return Err(wrong("this system's URL has no path", "name channels by their address: INTEGRATION/CHANNEL"));
    }
    let parsed = endpoint::parse(&format!("{scheme}://{hosts}"), Some(system), None, None)
        .map_err(|message| wrong(message, format!("write {scheme}://host:{}", system.schemes[0].1)))?;
    let name = host_of(&parsed.list[0]);
    let mut integration = Integration::new(system.name, system.name, parsed.list);
    let mut tls = parsed.tls.then(Tls::default);
    let secure = system.schemes.iter().map(|(name, _)| *name).find(|name| endpoint::is_tls(name, system.schemes)).unwrap_or(scheme);
    if let Some((_, setting, _)) = extra.filter(|_| !path.is_empty()) {
        let value = decode(path)?;
        if let Some(wrong) = system.settings.and_then(|rules| rules::find(rules, setting)?.check(value.expose()).err()) {
            return Err(self::wrong(format!("its path, the {setting}: {}", wrong.expected), wrong.help));
        }
        integration.settings.insert((*setting).to_owned(), Setting { value, line: 1 });
    }
    let known = extra.map_or(&[][..], |(_, _, settings)| *settings);
    let mechanism = options(query, known, system.settings, &mut integration, &mut tls, secure)?;
    integration.endpoint.tls = tls;
    integration.url = Some(without_password(url));
    integration.auth = auth(log_in, mechanism.as_deref(), system)?;
    Ok(Profile { name: name.as_str().into(), path: None, safety: Safety::default(), integrations: vec![integration] })
}

/// A URL that may be shown. An option that has a URL of its own may have a password in it.
fn without_password(url: &str) -> String {
    let (start, query) = url.split_once('?').map_or((url, None), |(start, query)| (start, Some(query)));
    let (scheme, rest) = start.split_once("://").unwrap_or(("", start));
    let shown = match rest.rsplit_once('@') {
        Some((log_in, hosts)) => format!("{scheme}://{}@{hosts}", log_in.split(':').next().unwrap_or_default()),
        None => start.to_owned(),
    };
    let kept: Vec<&str> = query.iter().flat_map(|query| query.split('&')).filter(|option| !option.contains(['@', '%'])).collect();
    if kept.is_empty() { shown } else { format!("{shown}?{}", kept.join("&")) }
}

/// The host alone, as the name of the profile.
fn host_of(address: &str) -> String {
    let address = address.split_once("://").map_or(address, |(_, rest)| rest.split('/').next().unwrap_or(rest));
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

fn options(
    query: &str,
    settings: &[&str],
    rules: Option<&[Rule]>,
    integration: &mut Integration,
    tls: &mut Option<Tls>,
    secure: &str,
) -> Result<Option<String>, Wrong> {
    let (mut mechanism, mut cert, mut key) = (None, None, None);
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = decode(value)?;
        let value = value.expose();
        match name {
            "sasl" => mechanism = Some(value.to_ascii_uppercase()),
            "timeout" => {
                let timeout = parse_duration(value).ok().and_then(|d| Duration::try_from(d).ok()).filter(|d| !d.is_zero());
                integration.timeout = timeout.ok_or_else(|| wrong("`timeout` is not a duration", "write timeout=10s"))?;
            }
            _ if settings.contains(&name) => {
                if let Some(wrong) = rules.and_then(|rules| rules::find(rules, name)?.check(value).err()) {
                    return Err(self::wrong(format!("`{name}`: {}", wrong.expected), wrong.help));
                }
                integration.settings.insert(name.to_owned(), Setting { value: Secret::new(value.to_owned()), line: 1 });
            }
            _ if !OPTIONS.contains(&name) => {
                let known: Vec<&str> = OPTIONS.iter().chain(settings).copied().collect();
                let near = suggest::hint(name, known.iter().copied());
                let next = if near.is_empty() { format!("known: {}", suggest::one_of(&known)) } else { near };
                return Err(wrong(format!("unknown option `{name}`"), next));
            }
            _ => {
                let tls = tls.as_mut().ok_or_else(|| wrong(format!("`{name}` is about TLS"), format!("write {secure}://")))?;
                match name {
                    "ca" => tls.ca_cert = Some(Path::new(value).to_path_buf()),
                    "cert" => cert = Some(Path::new(value).to_path_buf()),
                    "key" => key = Some(Path::new(value).to_path_buf()),
                    "server_name" => tls.server_name = Some(value.to_owned()),
                    "verify" => tls.verify_server = flag(value)?,
                    _ => tls.min_version = version(value)?,
                }
            }
        }
    }
    match (cert, key, tls) {
        (Some(cert), Some(key), Some(tls)) => tls.client = Some((cert, key)),
        (None, None, _) => {}
        _ => return Err(wrong("`cert` and `key` come together", "give both, or none")),
    }
    Ok(mechanism)
}

fn flag(value: &str) -> Result<bool, Wrong> {
    value.parse().map_err(|_| wrong("`verify` is true or false", "write verify=false"))
}

fn version(value: &str) -> Result<TlsVersion, Wrong> {
    match value {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(wrong("`min_version` is 1.2 or 1.3", "write min_version=1.3")),
    }
}

fn auth(log_in: Option<&str>, mechanism: Option<&str>, system: &System) -> Result<Auth, Wrong> {
    let Some(log_in) = log_in else {
        return match mechanism {
            None => Ok(Auth::None),
            Some(_) => Err(wrong("`sasl` needs a user and a password", "write kafka://user:password@host, or a profile")),
        };
    };
    let (username, password) = log_in.split_once(':').unwrap_or((log_in, ""));
    let (username, password) = (decode(username)?.expose().to_owned(), decode(password)?);
    match mechanism {
        None | Some("PLAIN") => Ok(Auth::Basic { username, password }),
        Some(name) => match (scram_mechanism(name), without_scram(system)) {
            (Some(_), Some((message, next))) => Err(wrong(message, next)),
            (Some(mechanism), None) => Ok(Auth::Scram { mechanism, username, password }),
            (None, _) => Err(wrong("`sasl` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", "tokens need a profile: auth { type = \"bearer\" }")),
        },
    }
}

fn decode(text: &str) -> Result<Secret, Wrong> {
    let broken = || wrong("a `%` is not followed by two hexadecimal digits of a UTF-8 text", "write % itself as %25");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(rest.next()), digit(rest.next()));
            bytes.push((high.ok_or_else(broken)? * 16 + low.ok_or_else(broken)?) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map(Secret::new).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::super::profile::ScramMechanism;
    use super::*;
    use proptest::prelude::*;

    const SYSTEMS: &[System] = &[System::named("kafka", &[("kafka", 9092), ("kafkas", 9092)])];

    fn integration(url: &str) -> Integration {
        from_url(url, SYSTEMS).unwrap_or_else(|fault| panic!("{fault}")).integrations.remove(0)
    }

    #[test]
    fn another_part_of_the_same_broker_is_said_behind_its_name() {
        let rabbit = Integration::new("rabbit", "rabbitmq", vec!["one:5672".into()]);
        for vhost in ["tenant-a", "/", "a/b@c d", "größe%"] {
            let other = extra_vhosts(&rabbit, &encode(vhost)).expect("RabbitMQ has vhosts").expect("encoded");
            assert_eq!(other.settings["vhost"].value.expose(), vhost);
            assert_eq!((&*other.name, &other.endpoint), (format!("rabbit@{}", encode(vhost)).as_str(), &rabbit.endpoint));
            assert!(!encode(vhost).contains(['/', '@', ' ']), "{vhost}");
        }
        assert_eq!(extra_vhosts(&rabbit, "%2").expect("RabbitMQ has vhosts").expect_err("cut off").kind, Kind::Usage);
        assert!(extra_vhosts(&Integration::new("events", "kafka", Vec::new()), "x").is_none());
    }

    #[test]
    fn a_url_names_hosts_log_in_and_tls() {
        let several = from_url("kafka://one:19092,two", SYSTEMS).expect("a profile");
        assert_eq!((&*several.name, &several.path), ("one", &None));
        assert_eq!(several.integrations[0].endpoint.addresses, ["one:19092", "two:9092"]);
        assert_eq!((several.integrations[0].endpoint.tls.as_ref(), &several.integrations[0].auth), (None, &Auth::None));

        for (url, shown) in [
            ("kafka://one:19092,two", "kafka://one:19092,two"),
            ("KAFKA://alice:p%3Aw@x@one", "KAFKA://alice@one"),
            ("kafkas://one?sasl=plain&ca=/ca.pem&x=amqp://a:b@c", "kafkas://one?sasl=plain&ca=/ca.pem"),
        ] {
            assert_eq!(without_password(url), shown);
        }

        let basic = integration("KAFKA://al%40ice:p%3Aw@x@[::1]:9093/");
        assert_eq!((&*basic.name, basic.endpoint.addresses.as_slice()), ("kafka", &["[::1]:9093".to_owned()][..]));
        assert_eq!(basic.auth, Auth::Basic { username: "al@ice".into(), password: Secret::new("p:w@x".into()) });

        let scram = integration(
            "kafkas://a:b@one?sasl=scram-sha-512&ca=/ca%20s.pem&cert=c&key=k&server_name=n&verify=false&min_version=1.3&timeout=2s",
        );
        assert_eq!(scram.auth, Auth::Scram { mechanism: ScramMechanism::Sha512, username: "a".into(), password: Secret::new("b".into()) });
        let tls = scram.endpoint.tls.expect("TLS");
        assert_eq!(tls.ca_cert.as_deref(), Some(Path::new("/ca s.pem")));
        assert_eq!(tls.client, Some(("c".into(), "k".into())));
        assert_eq!((tls.server_name.as_deref(), tls.verify_server, tls.min_version), (Some("n"), false, TlsVersion::V1_3));
        assert_eq!(scram.timeout, Duration::from_secs(2));
    }

    #[test]
    fn a_path_and_settings_are_read_where_the_system_has_them() {
        const RABBIT: &[System] = &[System::named("rabbitmq", &[("amqp", 5672), ("amqps", 5671)])];
        let read = |url: &str| from_url(url, RABBIT).unwrap_or_else(|fault| panic!("{fault}")).integrations.remove(0);
        let said = read("amqp://a:b@one,two:5673/tenant%2Fa?heartbeat=60&management_url=http%3A%2F%2Fone%3A15672");
        let setting = |name: &str| said.settings.get(name).map(|setting| setting.value.expose().to_owned());
        assert_eq!(said.endpoint.addresses, ["one:5672", "two:5673"]);
        assert_eq!(setting("vhost").as_deref(), Some("tenant/a"));
        assert_eq!((setting("heartbeat").as_deref(), setting("management_url").as_deref()), (Some("60"), Some("http://one:15672")));
        assert!(read("amqps://one/").settings.is_empty(), "a slash alone is the usual vhost");
        let fault = from_url("amqp://one?vhosts=a", RABBIT).expect_err("unknown");
        assert!(fault.to_string().contains("unknown option `vhosts`"), "{fault}");
    }

    #[test]
    fn a_websocket_keeps_its_path() {
        const WEB: &[System] = &[System::named("mqtt", &[("mqtt", 1883), ("mqtts", 8883), ("ws", 80), ("wss", 443)])];
        for (url, name, address, tls) in [
            ("ws://one:9001/mqtt", "one", "ws://one:9001/mqtt", false),
            ("wss://u:p@one/a/b", "one", "wss://one:443/a/b", true),
            ("ws://[::1]", "::1", "ws://[::1]:80/", false),
            ("mqtts://one", "one", "one:8883", true),
        ] {
            let profile = from_url(url, WEB).unwrap_or_else(|fault| panic!("{url}: {fault}"));
            let endpoint = &profile.integrations[0].endpoint;
            assert_eq!((&*profile.name, &*endpoint.addresses[0], endpoint.tls.is_some()), (name, address, tls), "{url}");
        }
        assert!(from_url("mqtt://one/mqtt", WEB).is_err(), "only a websocket has a path");
    }

    #[test]
    fn a_wrong_url_is_told_without_repeating_its_password() {
        for (url, cause) in [
            ("localhost:9092", "this is not a URL"),
            ("amqp://u:hunter2@host", "no system of this build has this scheme"),
            ("kafka://u:hunter2@", "this is not a host"),
            ("kafka://u:hunter2@host:0", "the port is a number from 1 to 65535"),
            ("kafka://u:hunter2%zz@host", "a `%` is not followed by two hexadecimal digits of a UTF-8 text"),
            ("kafka://u:hunter2@host/topic", "this system's URL has no path"),
            ("kafka://u:hunter2@host?ca=/x", "`ca` is about TLS"),
            ("kafkas://u:hunter2@host?cert=/x", "`cert` and `key` come together"),
            ("kafka://u:hunter2@host?sals=PLAIN", "unknown option `sals`"),
            ("kafka://u:hunter2@host?sasl=GSSAPI", "`sasl` is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"),
            ("kafka://host?sasl=PLAIN", "`sasl` needs a user and a password"),
            ("kafka://host?timeout=soon", "`timeout` is not a duration"),
        ] {
            let fault = from_url(url, SYSTEMS).expect_err(url);
            assert_eq!((fault.kind, fault.cause.as_str()), (Kind::Usage, cause), "{url}");
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn a_mechanism_that_the_system_does_not_have_is_refused() {
        const REDIS: &[System] = &[System { log_ins: Some(&["none", "password"]), ..System::named("redis", &[("redis", 6379)]) }];
        let fault = from_url("redis://u:hunter2@one?sasl=SCRAM-SHA-256", REDIS).expect_err("there is no SCRAM");
        assert_eq!((fault.cause.as_str(), fault.next.as_str()), ("redis has no log-in of this type", "it has: none, password"));
    }

    proptest! {
        #[test]
        fn no_url_makes_the_reader_panic(text in any::<String>()) {
            let _ = from_url(&text, SYSTEMS);
            let _ = from_url(&format!("kafkas://{text}"), SYSTEMS);
        }
    }
}
