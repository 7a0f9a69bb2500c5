//! The profile language as a specification: what loads as what, and what each mistake is told.

use super::load::{Context, Loaded, System, read};
use super::profile::{Auth, Backoff, Integration, ScramMechanism, Seed, TenantExtraction, TlsVersion, TokenSource};
use super::secret::Secret;
use super::source::Problems;
use crate::domain::format::Format;
use crate::domain::safety::{Mode, Safety};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SYSTEMS: &[System] = &[System::named("kafka", &[("kafka", 9092), ("kafkas", 9092)]), System::named("memory", &[])];

const MQTT: System = System::named("mqtt", &[("mqtt", 1883), ("mqtts", 8883), ("ws", 80), ("wss", 443)]);

fn env(name: &str) -> Option<String> {
    match name {
        "HOME" => Some("/home/alice".to_owned()),
        "KAFKA_PASSWORD" | "API_TOKEN" | "MQTT_USER" | "MQTT_PASS" | "REDIS_PASSWORD" => Some("hunter2".to_owned()),
        "INSTANCE_ID" => Some("7".to_owned()),
        "MQDECK_DEMO_KAFKA" => Some("127.0.0.1:40123".to_owned()),
        "MQDECK_DEMO_MQTT" => Some("127.0.0.1:40124".to_owned()),
        _ => None,
    }
}

fn load_with(text: &str, vars: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let vars: Vec<(String, String)> = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    read(text, "p.hcl", "p", Path::new("/etc/mqdeck"), Context { systems: SYSTEMS, env: &env, vars: &vars })
}

fn load(text: &str) -> Loaded {
    load_with(text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// One Kafka integration around these lines, which begin in line 3.
fn kafka(lines: &str) -> String {
    format!("integration \"events\" {{\n  type = \"kafka\"\n{lines}\n}}\n")
}

fn one(lines: &str) -> Integration {
    load(&kafka(lines)).profile.integrations.remove(0)
}

/// Every problem as `line:column message | help`.
fn problems(text: &str) -> Vec<String> {
    let problems = load_with(text, &[]).err().unwrap_or_else(|| panic!("no problem in {text}"));
    problems.0.iter().map(|p| format!("{}:{} {} | {}", p.line, p.column, p.message, p.help)).collect()
}

fn notes(loaded: &Loaded) -> Vec<String> {
    loaded.notes.iter().map(|note| format!("{} {}", note.line, note.text)).collect()
}

const HOST: &str = "endpoint {\n address = \"one:9092\"\n}";

#[test]
fn every_block_of_seed_5_loads_and_says_what_is_not_used() {
    let loaded = load_with(include_str!("testdata/seed5.hcl"), &[("api_url", "https://api.example.com")]).expect("seed 5");
    let systems: Vec<(&str, &str)> = loaded.profile.integrations.iter().map(|i| (&*i.name, i.system.as_str())).collect();
    let expected = [
        ("backend_api", "json-rpc"),
        ("iot_broker", "mqtt"),
        ("redis_events", "redis"),
        ("backend", "json-rpc"),
        ("events", "mqtt"),
        ("tasks", "redis"),
    ];
    assert_eq!(systems, expected);
    let by = |name: &str| loaded.profile.integrations.iter().find(|i| &*i.name == name).expect("it").clone();
    assert_eq!(by("backend_api").endpoint.addresses, ["https://api.example.com/rpc"]);
    assert!(by("backend_api").endpoint.tls.is_some());
    assert_eq!(by("backend_api").settings["version"].value.expose(), "2.0");
    assert_eq!(by("backend_api").auth, Auth::Token(TokenSource::Fixed(Secret::new("hunter2".into()))));
    assert_eq!(by("iot_broker").endpoint.addresses, ["mqtt.example.com:8883"]);
    assert_eq!(by("iot_broker").settings["client_id"].value.expose(), "nemo-7");
    assert_eq!(by("redis_events").auth, Auth::Basic { username: String::new(), password: Secret::new("hunter2".into()) });
    assert_eq!(by("backend").retry.backoff, Backoff::Exponential);
    assert_eq!(by("backend").breaker.timeout, Duration::from_secs(30));
    assert_eq!((by("events").reconnect.max_attempts, by("events").reconnect.max_delay), (None, Duration::from_secs(60)));
    let told = notes(&loaded);
    assert!(told.iter().any(|note| note.ends_with("mqtt is not in this build: the integration is listed and not connected")), "{told:?}");
    for block in ["data", "action", "server"] {
        assert!(told.iter().any(|note| note.contains(&format!(" {block} belongs to an application"))), "{block}: {told:?}");
    }
}

#[test]
fn the_profiles_of_the_repository_load() {
    let load = |text| {
        let others = [
            System::named("nats", &[("nats", 4222)]),
            System::named("redis", &[("redis", 6379)]),
            System::named("rabbitmq", &[("amqp", 5672), ("amqps", 5671)]),
        ];
        let known = SYSTEMS.iter().copied().chain([MQTT]).chain(others).collect::<Vec<_>>();
        read(text, "p.hcl", "p", Path::new("/etc/mqdeck"), Context { systems: &known, env: &env, vars: &[] }).expect("a profile")
    };
    let demo = load(include_str!("../../profiles/demo.hcl"));
    assert_eq!(demo.profile.integrations[1].endpoint.addresses, ["127.0.0.1:40124"]);
    assert_eq!(demo.profile.integrations[0].endpoint.addresses, ["127.0.0.1:40123"]);
    assert_eq!(demo.profile.integrations[0].tenant_of("grey.tasks.acme"), Some("acme"));
    assert_eq!(demo.profile.integrations[0].settings["mqdeck.time_lookup"].value.expose(), "search");
    assert_eq!(notes(&demo), [""; 0]);
    let compose = load(include_str!("../../profiles/compose.hcl"));
    let mut told = notes(&compose);
    // These tests know two systems, and none of the files.
    told.retain(|note| !note.contains("is not in this build") && !note.contains("cannot be read"));
    assert_eq!(told.len(), 1, "the grammar by example shows one setting that another overrules: {told:?}");
    assert!(told[0].contains(" overruled by `linger.ms` in line "), "{told:?}");
    assert_eq!(compose.profile.integrations[0].endpoint.addresses, ["localhost:9092"]);
    let plant = compose.profile.integrations.iter().find(|i| &*i.name == "plant").expect("plant");
    assert_eq!(plant.endpoint.addresses, ["wss://mqtt.invalid:8443/mqtt"], "a websocket's path stays with its address");
    assert!(plant.endpoint.tls.is_some());
}

#[test]
fn seed_1s_kafka_settings_become_endpoint_log_in_channels_and_librdkafkas_names() {
    let compose = load(include_str!("../../profiles/compose.hcl"));
    let seed = compose.profile.integrations.iter().find(|i| &*i.name == "seed-1").expect("seed-1");
    assert_eq!(seed.endpoint.addresses, ["kafka1.invalid:9092", "kafka2.invalid:9092", "kafka3.invalid:9092"]);
    assert_eq!(seed.endpoint.tls.as_ref().and_then(|tls| tls.ca_cert.clone()), Some(PathBuf::from("/etc/mqdeck/certs/ca.pem")));
    let password = Secret::new("not-a-secret-here".into());
    assert_eq!(seed.auth, Auth::Scram { mechanism: ScramMechanism::Sha512, username: "grey-service".into(), password });
    assert_eq!(seed.channels[0].tenant, Some(TenantExtraction::TopicSuffix));
    let settings: Vec<(&str, &str)> = seed.settings.iter().map(|(name, setting)| (name.as_str(), setting.value.expose())).collect();
    let expected = [
        ("client.rack", "eu-central-1a"),
        ("consumer.auto.offset.reset", "earliest"),
        ("consumer.enable.auto.commit", "false"),
        ("consumer.group.id", "grey-cluster"),
        ("consumer.max.poll.records", "100"),
        ("consumer.session.timeout.ms", "30000"),
        ("linger.ms", "20"),
        ("producer.acks", "all"),
        ("producer.batch.size", "65536"),
        ("producer.compression.type", "lz4"),
        ("producer.enable.idempotence", "true"),
        ("producer.transactional.id", "grey-producer"),
        ("queue.buffering.max.kbytes", "65536"),
    ];
    assert_eq!(settings, expected);
}

#[test]
fn addresses_are_written_as_people_write_them() {
    for (written, read, tls) in [
        ("address = \"one\"", &["one:9092"][..], false),
        ("address = \"one:19092\"", &["one:19092"], false),
        ("address = \"one\"\nport = 9094", &["one:9094"], false),
        ("address = \"kafka://one\"", &["one:9092"], false),
        ("address = \"kafkas://one:9093/\"", &["one:9093"], true),
        ("address = \"one:1, two:2\"", &["one:1", "two:2"], false),
        ("brokers = [\"one:1\", \"two\"]", &["one:1", "two:9092"], false),
        ("addresses = [\"[::1]:9093\", \"::1\"]\ntls = true", &["[::1]:9093", "[::1]:9092"], true),
    ] {
        let endpoint = one(&format!("endpoint {{\n{written}\n}}")).endpoint;
        assert_eq!(
            (endpoint.addresses.as_slice(), endpoint.tls.is_some()),
            (&read.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..], tls)
        );
    }
}

#[test]
fn tls_is_known_by_seed_5s_and_seed_1s_names() {
    for lines in [
        "ca_cert = \"ca.pem\"\nclient_cert = \"/c.pem\"\nclient_key = \"~/k.pem\"\nverify_server = false\nmin_version = \"1.3\"",
        "enabled = true\nca = \"ca.pem\"\ncert = \"/c.pem\"\nkey = \"~/k.pem\"\nverify_peer = false\nmin_version = \"TLSv1.3\"",
    ] {
        let tls = one(&format!("endpoint {{\naddress = \"one\"\ntls {{\n{lines}\n}}\n}}")).endpoint.tls.expect("TLS");
        assert_eq!(tls.ca_cert, Some(PathBuf::from("/etc/mqdeck/ca.pem")));
        assert_eq!(tls.client, Some((PathBuf::from("/c.pem"), PathBuf::from("/home/alice/k.pem"))));
        assert_eq!((tls.verify_server, tls.min_version), (false, TlsVersion::V1_3));
    }
    assert_eq!(one("endpoint {\naddress = \"one\"\ntls = { enabled = false }\n}").endpoint.tls, None);
}

#[test]
fn each_kind_of_log_in_is_read() {
    let secret = || Secret::new("hunter2".into());
    let basic = || Auth::Basic { username: "alice".into(), password: secret() };
    let scram = |mechanism| Auth::Scram { mechanism, username: "alice".into(), password: secret() };
    let log_in = "username = \"alice\"\npassword = \"${env.KAFKA_PASSWORD}\"";
    for (written, auth) in [
        ("type = \"none\"".to_owned(), Auth::None),
        (format!("type = \"basic\"\n{log_in}"), basic()),
        (format!("type = \"plain\"\n{log_in}"), basic()),
        (format!("type = \"password\"\n{log_in}"), basic()),
        (format!("type = \"scram\"\n{log_in}"), scram(ScramMechanism::Sha512)),
        (format!("type = \"scram\"\nmechanism = \"scram-sha-256\"\n{log_in}"), scram(ScramMechanism::Sha256)),
        ("type = \"bearer\"\ntoken = env.API_TOKEN".to_owned(), Auth::Token(TokenSource::Fixed(secret()))),
        ("type = \"oauth\"\ntoken_file = \"t\"".to_owned(), Auth::Token(TokenSource::File("/etc/mqdeck/t".into()))),
        (
            "type = \"oauth2\"\ntoken_url = \"https://a/t\"\nclient_id = \"c\"\nclient_secret = env.API_TOKEN\nscopes = [\"a\", \"b\"]"
                .to_owned(),
            Auth::Token(TokenSource::ClientCredentials {
                token_url: "https://a/t".into(),
                client_id: "c".into(),
                client_secret: secret(),
                scopes: vec!["a".into(), "b".into()],
            }),
        ),
    ] {
        assert_eq!(one(&format!("{HOST}\nauth {{\n{written}\n}}")).auth, auth, "{written}");
    }
    for (written, auth) in [
        ("type = \"nkey\"\nseed = env.API_TOKEN", Auth::Nkey(Seed::Fixed(secret()))),
        ("type = \"nkey\"\nseed_file = \"user.nk\"", Auth::Nkey(Seed::File("/etc/mqdeck/user.nk".into()))),
        ("type = \"creds\"\nfile = \"user.creds\"", Auth::Creds("/etc/mqdeck/user.creds".into())),
    ] {
        let text = format!("integration \"n\" {{\ntype = \"nats\"\n{HOST}\nauth {{\n{written}\n}}\n}}");
        assert_eq!(load(&text).profile.integrations[0].auth, auth, "{written}");
    }
    let mtls = one(&format!("{HOST}\nauth {{\ntype = \"mtls\"\nclient_cert = \"/c\"\nclient_key = \"/k\"\n}}"));
    assert_eq!(mtls.auth, Auth::None);
    assert_eq!(mtls.endpoint.tls.and_then(|tls| tls.client), Some(("/c".into(), "/k".into())));
}

#[test]
fn endpoint_and_auth_go_before_config_and_the_exacter_name_before_the_vaguer() {
    let loaded = load(&kafka(
        "endpoint {\n address = \"one:9092\"\n tls = true\n}\nauth {\n type = \"basic\"\n username = \"alice\"\n password = \"a\"\n}\nconfig {\n\
         brokers = [\"two:9092\"]\n linger_ms = 1\n security {\n  protocol = \"PLAINTEXT\"\n  username = \"bob\"\n }\n\
         producer {\n  linger_ms = 5\n }\n librdkafka = { \"sasl.username\" = \"carol\", \"linger.ms\" = 20, \"ssl.ca.location\" = \"/x\" }\n}",
    ));
    let integration = &loaded.profile.integrations[0];
    assert_eq!(integration.endpoint.addresses, ["one:9092"]);
    assert_eq!(integration.endpoint.tls.as_ref().map(|tls| tls.ca_cert.clone()), Some(None));
    assert_eq!(integration.auth, Auth::Basic { username: "alice".into(), password: Secret::new("a".into()) });
    let settings: Vec<(&str, &str)> = integration.settings_of("producer").iter().map(|(name, s)| (*name, s.value.expose())).collect();
    assert_eq!(settings, [("linger.ms", "20")]);
    let told = notes(&loaded);
    let expected = [
        "13 overruled by the endpoint block",
        "14 overruled by `linger.ms` in line 22",
        "17 overruled by `sasl.username` in line 22",
        "20 overruled by `linger.ms` in line 22",
        "22 overruled by `tls` of the endpoint block",
        "22 overruled by the auth block",
    ];
    assert_eq!(told, expected);
}

#[test]
fn librdkafkas_own_names_say_where_and_as_whom_when_nothing_else_does() {
    let integration = one(
        "config {\nlibrdkafka = {\n\"bootstrap.servers\" = \"one:1,two:2\"\n\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanisms\" = \"PLAIN\"\n\
         \"sasl.username\" = \"alice\"\n\"sasl.password\" = \"p\"\n\"ssl.ca.location\" = \"probe\"\n\"enable.ssl.certificate.verification\" = false\n}\n}",
    );
    assert_eq!(integration.endpoint.addresses, ["one:1", "two:2"]);
    assert_eq!(integration.auth, Auth::Basic { username: "alice".into(), password: Secret::new("p".into()) });
    assert_eq!(integration.endpoint.tls.map(|tls| (tls.verify_server, tls.ca_cert)), Some((false, None)));
    assert!(integration.settings.is_empty());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of mistakes")]
fn each_mistake_is_told_with_its_place_and_what_was_meant() {
    for (text, told) in [
        (kafka("  endpoint {\n    address = \"one\"\n  }\n  groups = [\"a\", 7]"), "6:18 `groups` is a number: expected text in quotes | "),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  groups = [\"a\", \"\"]"),
            "6:18 a group has a name | write groups = [\"payments\"]",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  groups = [\"a\", \"a\"]"),
            "6:18 the group `a` is named twice | remove one of them",
        ),
        (kafka("  endpiont {\n    address = \"one\"\n  }"), "3:3 unknown block `endpiont` | did you mean `endpoint`?"),
        (kafka("  endpoint {\n    adress = \"one\"\n  }"), "4:5 unknown attribute `adress` | did you mean `address`?"),
        (kafka("  endpoint {\n    address = 9092\n  }"), "4:15 `address` is a number: expected text in quotes | "),
        (
            kafka("  endpoint {\n    address = \"one:99999\"\n  }"),
            "4:15 the port is a number from 1 to 65535 | write host, host:port or scheme://host:port",
        ),
        (
            kafka("  endpoint {\n    address = \"http://one\"\n  }"),
            "4:15 this scheme is not one of kafka: expected `kafka` or `kafkas` | write host, host:port or scheme://host:port",
        ),
        (
            kafka("  endpoint {\n    address = \"kafka://u:p@one\"\n  }"),
            "4:15 an address holds no user and no password: they belong into the `auth` block | write host, host:port or scheme://host:port",
        ),
        (kafka("  endpoint {\n    address = \"one\"\n    port = 0\n  }"), "5:12 `port` is `0`: expected a whole number from 1 to 65535 | "),
        (
            kafka("  endpoint {\n    address = \"kafkas://one\"\n    tls = false\n  }"),
            "5:11 `tls` is off, and the address's scheme asks for it | remove one of the two",
        ),
        (
            kafka("  timeout = \"soon\"\n  endpoint {\n    address = \"one\"\n  }"),
            "3:13 `timeout` is `soon`: expected a duration with its unit | write \"30s\", \"100ms\" or \"5m\"",
        ),
        (
            kafka("  timeout = 30\n  endpoint {\n    address = \"one\"\n  }"),
            "3:13 `timeout` is `30`: expected a duration with its unit | write \"30s\", \"100ms\" or \"5m\"",
        ),
        (
            kafka("  timeout = env.KAFKA_PASSWORD\n  endpoint {\n    address = \"one\"\n  }"),
            "3:13 `timeout` is the variable's value: expected a duration with its unit | write \"30s\", \"100ms\" or \"5m\"",
        ),
        (
            kafka("  endpoint {\n    address = env.NO_SUCH\n  }"),
            "4:15 the environment variable NO_SUCH is not set | set NO_SUCH before starting mqdeck",
        ),
        (
            kafka("  endpoint {\n    address = \"a.${var.zone}\"\n  }"),
            "4:18 the variable zone has no value | give it by --var zone=…, or `variable \"zone\" { default = … }`",
        ),
        (
            kafka("  endpoint {\n    address = lower(\"ONE\")\n  }"),
            "4:15 a profile computes nothing: functions are not called here | known here: text, numbers, true, false, lists, objects, ${env.NAME}, ${var.name}",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  auth {\n    type = \"scrum\"\n  }"),
            "7:12 `type` cannot be `scrum`: expected `none`, `basic`, `plain`, `password`, `scram`, `bearer`, `token`, `oauth`, `oauth2`, `client_credentials`, `mtls`, `nkey`, `creds` or `credentials` | did you mean `scram`?",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  auth {\n    type = \"password\"\n    password = \"p\"\n  }"),
            "6:3 `username` is missing | a log-in needs its user",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  config {\n    compresion_type = \"lz4\"\n  }"),
            "7:5 unknown setting `compresion_type` | did you mean `compression_type`?",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  config {\n    librdkafka = { \"linger.msec\" = 5 }\n  }"),
            "7:20 unknown setting `linger.msec` | did you mean `linger.ms`?",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  config {\n    security {\n      protocol = \"SSL_SASL\"\n    }\n  }"),
            "8:18 the protocol cannot be `SSL_SASL`: expected `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL` | ",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  retry {\n    backoff = \"expo\"\n  }"),
            "7:15 `backoff` cannot be `expo`: expected `exponential`, `constant`, `linear` or `jittered` | ",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  endpoint {\n    address = \"two\"\n  }"),
            "6:3 a second `endpoint` block | keep one of them",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  channels {\n    pattern = \"a.*.*\"\n  }"),
            "7:15 a pattern has one `*` | it stands for the part that tells the channels apart",
        ),
        (
            kafka(
                "  endpoint {\n    address = \"one\"\n  }\n  channels {\n    pattern = \"a\"\n    prefer = [\"json\", \"mesagepack\"]\n  }",
            ),
            "8:23 unknown format `mesagepack` | did you mean `messagepack`?",
        ),
        (
            kafka("  endpoint {\n    address = \"one\"\n  }\n  channels {\n    pattern = \"a\"\n    prefer = [\"text\", \"text\"]\n  }"),
            "8:23 the format `text` is named twice | remove one of them",
        ),
        (kafka(""), "1:1 the `endpoint` block is missing | write endpoint { address = \"host:port\" }"),
        (
            "integration \"a\" {\n  type = \"kafak\"\n  endpoint {\n    address = \"one\"\n  }\n}\n".into(),
            "2:10 unknown adapter `kafak` | did you mean `kafka`?",
        ),
        (
            "integration \"a/b\" {\n  type = \"memory\"\n}\n".into(),
            "1:1 `a/b` cannot be the name of an integration | a name has no `/`, `@`, `#` and no blanks",
        ),
        (
            "integration \"a\" {\n  type = \"memory\"\n}\nintegration \"a\" {\n  type = \"memory\"\n}\n".into(),
            "4:1 a second integration `a` | give it a name of its own",
        ),
        ("intergation \"a\" {\n}\n".into(), "1:1 unknown block `intergation` | did you mean `integration`?"),
        (
            "safety {\n  mode = \"readonly\"\n}\n".into(),
            "2:10 `mode` cannot be `readonly`: expected `read-only`, `confirm` or `open` | did you mean `read-only`?",
        ),
        (
            "integration \"a\" {\n  type = \n}\n".into(),
            "2:10 this is not HCL: invalid expression; expected `\"`, `[`, `{`, `-`, `!`, `(`, `_`, `<`, letter or digit | \
             one setting a line, texts in quotes: address = \"host:9092\"; a block on one line holds one setting",
        ),
    ] {
        assert_eq!(problems(&text), [told], "{text}");
    }
}

#[test]
fn a_channels_payloads_are_what_the_profile_says() {
    let integration = one(
        "  endpoint {\n    address = \"one\"\n  }\n  channels {\n    pattern = \"a.*\"\n    prefer  = [\"msgpack\", \"json\"]\n    slack = \"1h\"\n  }",
    );
    assert_eq!((integration.slack("a.b").as_secs(), integration.slack("b").as_secs()), (3_600, 600));
    assert_eq!(integration.channels[integration.preferring("a.b").expect("named")].prefer, [Format::MessagePack, Format::Json]);
    assert_eq!(integration.preferring("b"), None);
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_in_the_order_of_lines() {
    let text = "integration \"events\" {\n  tipe = \"kafka\"\n  endpoint {\n    address = env.NOT_SET\n    prot = 1\n  }\n}\nsafty {\n}\n";
    let lines: Vec<String> = problems(text).iter().map(|told| told.split(' ').next().unwrap_or_default().to_owned()).collect();
    assert_eq!(lines, ["2:3", "4:15", "5:5", "8:1"]);
}

#[test]
fn no_error_repeats_a_secret() {
    for text in [
        kafka(&format!("{HOST}\nauth {{\n  type = \"scram\"\n  username = \"a\"\n  pasword = \"hunter2\"\n}}")),
        kafka(&format!("{HOST}\nauth {{\n  type = \"hunter2${{env.KAFKA_PASSWORD}}\"\n}}")),
        kafka(&format!("{HOST}\nauth {{\n  type = \"basic\"\n  username = \"a\"\n  password \"hunter2\"\n}}")),
        kafka(&format!("{HOST}\nauth {{\n  type = \"basic\"\n  username = \"a\"\n  password = \"hunter2\n}}")),
        kafka(&format!("{HOST}\nconfig {{\n  librdkafka = {{ \"sasl.pasword\" = \"hunter2\" }}\n}}")),
        kafka("endpoint {\n  address = \"kafka://u:hunter2@one\"\n}"),
        kafka("endpoint {\n  address = \"${env.KAFKA_PASSWORD} and more\"\n}"),
    ] {
        let told = load_with(&text, &[]).expect_err("a problem").to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_variable_comes_from_the_command_line_before_its_default() {
    let text = format!("variable \"host\" {{\n  default = \"${{env.NO_SUCH}}\"\n}}\n{}", kafka("endpoint {\n  address = var.host\n}"));
    assert!(load_with(&text, &[]).is_err());
    let loaded = load_with(&text, &[("host", "given")]).expect("a profile");
    assert_eq!(loaded.profile.integrations[0].endpoint.addresses, ["given:9092"]);
    assert_eq!(loaded.origins["integration.events.endpoint.address"].line, 7);
}

#[test]
fn safety_is_read_as_it_is_written() {
    for (text, mode, production, arm_for) in [
        ("", Mode::Confirm, false, 300),
        ("safety {\n mode = \"read-only\"\n}", Mode::ReadOnly, false, 300),
        ("safety {\n mode = \"open\"\n arm_for = \"90s\"\n}", Mode::Open, false, 90),
        ("safety {\n production = true\n}", Mode::Confirm, true, 300),
    ] {
        let expected = Safety { mode, production, arm_for: Duration::from_secs(arm_for) };
        assert_eq!(load(text).profile.safety, expected, "{text}");
    }
}

#[test]
fn safety_that_says_two_things_or_arms_for_too_long_is_a_mistake() {
    for (text, told) in [
        ("safety {\n mode = \"open\"\n}\nsafety {\n mode = \"read-only\"\n}\n", ":4:1: a second `safety` block"),
        ("safety {\n arm_for = \"61m\"\n}\n", ":2:12: `arm_for` is longer than an hour"),
        ("safety {\n arm_for = \"5\"\n}\n", ":2:12: `arm_for` is `5`: expected a duration with its unit"),
    ] {
        let problems = load_with(text, &[]).expect_err(text).to_string();
        assert!(problems.contains(told), "{problems}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = load_with(&text, &[]);
    }

    #[test]
    fn no_line_of_pieces_makes_the_reader_panic(
        pieces in proptest::collection::vec(proptest::sample::select(&[
            "integration", " \"a\" ", "{\n", "}\n", " = ", "type", "\"kafka\"", "endpoint ", "address", "\"${env.", "X", "}\"", "auth ", "config ",
            "tls ", "[", "]", "-", "1", "null", "true", "\n", "<<E\n", "E\n", "$${", "%{", "ü", "\u{202e}", "channels ", "pattern", "librdkafka", "security ",
        ][..]), 0..40)
    ) {
        let text = pieces.concat();
        if let Err(problems) = load_with(&text, &[]) {
            prop_assert!(!problems.to_string().is_empty());
        }
        let _ = load_with(&kafka(&text), &[]);
    }
}

#[test]
fn a_fanout_names_connections_of_its_profile_and_a_prefix_is_a_beginning() {
    let two = "integration \"a\" {\n  type = \"memory\"\n  topic_prefix = \"prod\"\n}\nintegration \"b\" {\n  type = \"memory\"\n}\n";
    let fanout = |lines: &str| format!("{two}integration \"both\" {{\n  type = \"fanout\"\n{lines}\n}}\n");
    let loaded = load(&fanout("  targets = [\"a\", \"b\"]"));
    let [a, b, both] = &loaded.profile.integrations[..] else { panic!("three integrations") };
    assert_eq!((a.topic_prefix.as_deref(), b.topic_prefix.as_deref()), (Some("prod"), None));
    assert_eq!(both.targets.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(notes(&loaded), [""; 0]);
    for (text, problem) in [
        (fanout(""), "8:1 a fanout names its targets"),
        (fanout("  targets = []"), "10:3 a fanout has at least one target"),
        (fanout("  targets = [\"a\", \"c\"]"), "8:1 both: its target `c` is not in this profile"),
        (fanout("  targets = [\"a\", \"both\"]"), "8:1 both: its target `both` is a fanout as well"),
        (fanout("  targets = [\"a\", \"a\"]"), "10:19 the target `a` is named twice"),
        (kafka("  endpoint {\n    address = \"one\"\n  }\n  targets = [\"a\"]"), "6:3 only an integration of type \"fanout\" has targets"),
        (kafka("  endpoint {\n    address = \"one\"\n  }\n  topic_prefix = \"\""), "6:18 a prefix is not empty"),
    ] {
        let found = problems(&text);
        assert!(found.len() == 1 && found[0].starts_with(problem), "{found:?}, not {problem}");
    }
}

#[test]
fn a_variable_that_the_profile_does_not_know_is_named_with_those_it_does() {
    let text = "variable \"cluster\" {\n  default = \"eu\"\n}\nintegration \"a\" {\n  type = \"kafka\"\n  endpoint {\n    address = \"${var.host}:9092\"\n  }\n}\n";
    let stranger =
        |given: &str| load_with(text, &[("host", "h"), (given, "x")]).expect("a profile").stranger.map(|fault| fault.to_string());
    assert_eq!(stranger("cluster"), None);
    assert_eq!(
        stranger("clutser").as_deref(),
        Some("read --var clutser: usage: the profile p has no such variable (did you mean `cluster`?)")
    );
    assert_eq!(stranger("zone").as_deref(), Some("read --var zone: usage: the profile p has no such variable (it has: cluster, host)"));
}
