//! What `profile check` says of each system's own settings, with the tables of the adapters.

use crate::support::program::Home;
use assert_cmd::assert::OutputAssertExt;

fn check(home: &Home, text: &str, more: &[&str]) -> (i32, String) {
    home.write("p.hcl", text);
    let output = home.mqdeck(&[&["profile", "check", "./p.hcl"], more].concat()).output().expect("the program runs");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().expect("a code"), String::from_utf8(output.stdout).expect("text"))
}

/// One integration of that system: its lines begin in the fifth.
fn profile(system: &str, lines: &str) -> String {
    format!("integration \"a\" {{\n  type = \"{system}\"\n  endpoint {{ address = \"127.0.0.1:9\" }}\n  timeout = \"1s\"\n{lines}\n}}\n")
}

#[test]
fn settings_are_checked_where_they_stand() {
    let home = Home::new();
    for (feature, system, lines, place, words) in [
        (
            cfg!(feature = "mqtt"),
            "mqtt",
            "config {\nkeepalive = \"60s\"\n}",
            "6:1",
            &["MQTT has no setting `keepalive`", "did you mean `keep_alive`?"][..],
        ),
        (cfg!(feature = "mqtt"), "mqtt", "config {\nqos = 7\n}", "6:7", &["`qos` is `7`: expected `0`, `1` or `2`"]),
        (cfg!(feature = "mqtt"), "mqtt", "config {\nkeep_alive = \"1s\"\n}", "6:14", &["from 5 to 65535 seconds"]),
        (cfg!(feature = "mqtt"), "mqtt", "config {\nwill {\ntopic = \"a/#\"\n}\n}", "7:9", &["`will.topic` is `a/#`: expected one topic"]),
        (
            cfg!(feature = "mqtt"),
            "mqtt",
            "config {\ntopics = [\"a\", \"b#\"]\n}",
            "6:16",
            &["`topics.1` is `b#`: expected a topic or a filter"],
        ),
        (cfg!(feature = "mqtt"), "mqtt", "auth {\ntype = \"nkey\"\nseed = \"s\"\n}", "5:1", &["NATS's own"]),
        (cfg!(feature = "redis"), "redis", "config {\ndb = \"abc\"\n}", "6:6", &["`db` is `abc`: expected a whole number"]),
        (
            cfg!(feature = "redis"),
            "redis",
            "auth {\ntype = \"scram\"\nusername = \"u\"\npassword = \"p\"\n}",
            "6:8",
            &["Redis has no log-in of this type", "it has: none, password"],
        ),
        (cfg!(feature = "rabbitmq"), "rabbitmq", "config {\nheartbeat = \"soon\"\n}", "6:13", &["from 0 to 65535"]),
        (
            cfg!(feature = "rabbitmq"),
            "rabbitmq",
            "config {\nqueues = [{ name = \"a\", durable = \"perhaps\" }]\n}",
            "6:35",
            &["`queues.0.durable` is `perhaps`: expected true or false"],
        ),
        (
            cfg!(feature = "rabbitmq"),
            "rabbitmq",
            "config {\nmanagement_url = \"http://u:p@one:15672\"\n}",
            "6:18",
            &["belong into the auth block"],
        ),
        (
            cfg!(feature = "nats"),
            "nats",
            "config {\ntls_frist = true\n}",
            "6:1",
            &["NATS has no setting `tls_frist`", "did you mean `tls_first`?"],
        ),
        (cfg!(feature = "nats"), "nats", "config {\ninbox_prefix = \"a.*\"\n}", "6:16", &["without wildcards"]),
        (cfg!(feature = "kafka"), "kafka", "config {\nacks = \"maybe\"\n}", "6:8", &["librdkafka does not take the value of `acks`"]),
        (
            cfg!(feature = "kafka"),
            "kafka",
            "config {\nlibrdkafka = { \"log.queue\" = true }\n}",
            "6:30",
            &["`log.queue` cannot be set here"],
        ),
    ] {
        if !feature {
            continue;
        }
        let (code, text) = check(&home, &profile(system, lines), &[]);
        assert_eq!(code, 2, "{system} {lines}: {text}");
        assert!(text.contains(&format!("p.hcl:{place}: ")), "{system} {lines}, not {place}: {text}");
        assert!(words.iter().all(|word| text.contains(word)), "{system} {lines}: {text}");
        assert!(text.ends_with("\n1 problem\n"), "{system} {lines}: {text}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_noted_with_its_line_and_is_a_fault_when_it_is_needed() {
    let home = Home::new();
    let tls = "endpoint {\n    address = \"127.0.0.1:9\"\n    tls {\n      ca_cert = \"nowhere.pem\"\n    }\n  }";
    for system in mqdeck::adapters::ADAPTERS.iter().filter(|adapter| !adapter.schemes.is_empty()) {
        let text = format!("integration \"a\" {{\n  type = \"{}\"\n  timeout = \"1s\"\n  {tls}\n}}\n", system.name);
        let (code, said) = check(&home, &text, &[]);
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("note: line 7: `ca_cert`") && said.contains("nowhere.pem cannot be read: there is no such file"), "{said}");
        assert_eq!(check(&home, &text, &["--strict"]).0, 1);
        assert_eq!(check(&home, &text, &["--strict", "--json"]).0, 1);
        let output = home.mqdeck(&["--profile", "p.hcl", "channels"]).output().expect("the program runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("nowhere.pem"), "{}: {said}", system.name);
    }
    let (code, said) = check(&home, "integration \"a\" {\n  type = \"memory\"\n}\n", &["--strict"]);
    assert_eq!((code, said.contains("ok, 1 integration")), (0, true), "{said}");
}

#[test]
fn the_profiles_of_the_repository_say_nothing_that_their_systems_do_not_know() {
    let home = Home::new();
    for entry in std::fs::read_dir(crate::support::root().join("profiles")).expect("profiles").flatten() {
        let mut command = home.mqdeck(&["profile", "check", entry.path().to_str().expect("a path")]);
        for name in ["KAFKA", "RABBITMQ", "NATS", "MQTT", "REDIS"] {
            command.env(format!("MQDECK_DEMO_{name}"), "127.0.0.1:1");
        }
        let output = command.output().expect("the program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        // What only an environment variable lacks is no slip in the profile.
        let wrong = text.lines().filter(|line| {
            line.contains(".hcl:") && !line.contains("environment variable") && !line.ends_with(|c: char| c.is_ascii_digit())
        });
        let wrong: Vec<_> = wrong.filter(|line| !line.contains(": ok, ")).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_password_in_a_heredoc_loses_its_last_line_end_and_that_is_noted() {
    let home = Home::new();
    let text = profile("kafka", "auth {\ntype = \"basic\"\nusername = \"u\"\npassword = <<EOT\nhunter2\nEOT\n}");
    if cfg!(feature = "kafka") {
        let (code, said) = check(&home, &text, &[]);
        assert!(code == 0 && said.contains("note: line 8: the line end at the end of this secret is left out"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn an_option_goes_before_the_environment_and_an_empty_variable_says_nothing() {
    let home = Home::new();
    home.write("p.hcl", "integration \"here\" {\n  type = \"memory\"\n}\n");
    let run = |variable: &str, arguments: &[&str]| {
        let output = home.mqdeck(arguments).env("MQDECK_PROFILE", variable).output().expect("the program runs");
        (
            output.status.code().expect("a code"),
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    for variable in ["", "nowhere"] {
        let (code, said) = run(variable, &["--profile", "p.hcl", "status"]);
        assert!(code == 0 && said.contains("here"), "{variable}: {said}");
        if cfg!(feature = "kafka") {
            let (code, said) = run(variable, &["--url", "kafka://127.0.0.1:9?timeout=1s", "status"]);
            assert!(code == 4 && said.contains("kafka"), "{variable}: {said}");
        }
    }
    let (code, said) = run("p.hcl", &["status"]);
    assert!(code == 0 && said.contains("here"), "{said}");
    assert_eq!(run("p.hcl", &["profile", "check"]).0, 0);
    let (code, said) = run("", &["status"]);
    assert!(code == 2 && said.contains("neither a profile nor a URL"), "{said}");
    home.mqdeck(&["--profile", "p.hcl", "--url", "kafka://127.0.0.1:9", "status"]).assert().code(2);
}
