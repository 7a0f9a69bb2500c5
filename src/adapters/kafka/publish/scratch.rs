//! scratch
use super::*;
use crate::adapters::memory::Memory;
use crate::config::profile::*;
use crate::config::secret::Secret;
use crate::domain::message::Header;
use bytes::Bytes;

fn env(name: &str) -> String {
    let all = std::fs::read_to_string("/tmp/lab-demo/env").unwrap();
    all.lines().find_map(|l| l.strip_prefix(&format!("{name}="))).unwrap_or_else(|| panic!("{name}")).trim_matches('"').to_owned()
}
fn tls(ca: &str) -> Tls {
    Tls { verify_server: true, ca_cert: Some(env(ca).into()), client: None, server_name: None, min_version: TlsVersion::V1_2 }
}
fn at(port: u16) -> Integration {
    let mut i = Integration::new("lab", "kafka", vec![format!("127.0.0.1:{port}")]);
    i.timeout = Duration::from_secs(5);
    i
}
fn basic(u: &str, p: &str) -> Auth {
    Auth::Basic { username: u.into(), password: Secret::new(p.into()) }
}
fn publisher(i: &Integration, tokens: Option<Tokens>) -> Publisher {
    Publisher::new(i, tokens, Memory::new().session().inspect, WireLog::default()).unwrap()
}
fn text(s: &str) -> Outgoing {
    Outgoing { payload: Some(s.to_owned().into()), ..Outgoing::default() }
}
async fn show(what: &str, i: &Integration, tokens: Option<Tokens>, topic: &str, m: Outgoing) {
    let t = Instant::now();
    match publisher(i, tokens).publish(topic, m).await {
        Ok(r) => println!("{what:28} OK {r}  [{:?}]", t.elapsed()),
        Err(f) => println!("{what:28} {f}  [{:?}]", t.elapsed()),
    }
}
fn jwt(sub: &str) -> Tokens {
    use base64::Engine;
    let b = |s: String| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(s);
    let now = jiff::Timestamp::now().as_second();
    let t = format!("{}.{}.", b(r#"{"alg":"none"}"#.into()), b(format!(r#"{{"sub":"{sub}","iat":{now},"exp":{}}}"#, now + 600)));
    Arc::new(move || {
        let t = t.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Secret::new(t))
        })
    })
}

#[tokio::test]
async fn listeners() {
    let p = 23092;
    show("plain", &at(p), None, "orders", text("plain")).await;
    for (u, pw) in [("alice", "alice-secret"), ("bob", "bob-secret"), ("alice", "wrong")] {
        for (n, mech) in [("256", ScramMechanism::Sha256), ("512", ScramMechanism::Sha512)] {
            let mut i = at(p + 2);
            i.auth = Auth::Scram { mechanism: mech, username: u.into(), password: Secret::new(pw.into()) };
            show(&format!("scram {n} {u}/{pw}"), &i, None, "orders", text("x")).await;
        }
        let mut i = at(p + 2);
        i.auth = basic(u, pw);
        show(&format!("sasl plain {u}/{pw}"), &i, None, "orders", text("x")).await;
    }
    let mut i = at(p + 2);
    i.auth = basic("alice", "alice-secret");
    show("alice forbidden", &i, None, "forbidden", text("x")).await;
    show("alice unknown", &i, None, "nothing", text("x")).await;
    show("alice bad name", &i, None, "no such/topic", text("x")).await;
    let mut i = at(p + 8);
    i.auth = basic("alice", "alice-secret");
    i.endpoint.tls = Some(tls("KAFKA_CA"));
    show("sasl_ssl", &i, None, "orders", text("x")).await;
    let mut i = at(p + 3);
    i.endpoint.tls = Some(tls("KAFKA_CA"));
    show("tls", &i, None, "orders", text("x")).await;
    i.endpoint.tls = Some(tls("KAFKA_OTHER_CA"));
    show("tls other ca", &i, None, "orders", text("x")).await;
    i.endpoint.tls = Some(Tls { ca_cert: None, ..tls("KAFKA_CA") });
    show("tls machine's ca", &i, None, "orders", text("x")).await;
    i.endpoint.tls = Some(Tls { ca_cert: Some("/nowhere/ca.pem".into()), ..tls("KAFKA_CA") });
    show("tls missing ca file", &i, None, "orders", text("x")).await;
    i.endpoint.tls = Some(Tls { verify_server: false, ca_cert: None, ..tls("KAFKA_CA") });
    show("tls unverified", &i, None, "orders", text("x")).await;
    let mut i = at(p + 4);
    i.endpoint.tls = Some(tls("KAFKA_CA"));
    show("mtls without cert", &i, None, "orders", text("x")).await;
    let (c, k) = (env("KAFKA_CERT_ALICE"), env("KAFKA_KEY_ALICE"));
    i.endpoint.tls = Some(Tls { client: Some((c.into(), k.into())), ..tls("KAFKA_CA") });
    show("mtls alice", &i, None, "orders", text("x")).await;
    for (n, port) in [("expired", p + 5), ("wronghost", p + 6)] {
        let mut i = at(port);
        i.endpoint.tls = Some(tls("KAFKA_CA"));
        show(n, &i, None, "orders", text("x")).await;
    }
    let mut i = at(p + 7);
    i.auth = Auth::Token(TokenSource::Fixed(Secret::new(String::new())));
    show("oauth alice", &i, Some(jwt("alice")), "orders", text("x")).await;
    show("oauth alice forbidden", &i, Some(jwt("alice")), "forbidden", text("x")).await;
    show("oauth garbage", &i, Some(Arc::new(|| Box::pin(async { Ok(Secret::new("garbage".into())) }))), "orders", text("x")).await;
    show(
        "oauth no token",
        &i,
        Some(Arc::new(|| Box::pin(async { Err(Fault::new(Kind::Unauthorized, "fetch token from", "idp", "denied")) }))),
        "orders",
        text("x"),
    )
    .await;
    let mut i = at(p + 3);
    show("plain to tls port", &i, None, "orders", text("x")).await;
    i = at(p);
    i.endpoint.tls = Some(tls("KAFKA_CA"));
    show("tls to plain port", &i, None, "orders", text("x")).await;
    i = at(p + 2);
    show("no auth to sasl port", &i, None, "orders", text("x")).await;
    i.endpoint.addresses = vec!["no.such.host.invalid:9092".into()];
    show("unknown host", &i, None, "orders", text("x")).await;
}

#[tokio::test]
async fn sizes() {
    let i = at(23092);
    let p = publisher(&i, None);
    for n in [900_000, 1_100_000, 50_000_000, 104_857_500] {
        let t = Instant::now();
        let r = p.publish("orders", Outgoing { payload: Some(vec![b'x'; n].into()), ..Outgoing::default() }).await;
        println!("{n}: {r:?} {:?}", t.elapsed());
        println!("next: {:?}", p.publish("orders", text("after")).await);
    }
}

#[tokio::test]
async fn exact() {
    let p = publisher(&at(23092), None);
    let h = |n: &str, v: Option<&[u8]>| Header { name: Bytes::copy_from_slice(n.as_bytes()), value: v.map(Bytes::copy_from_slice) };
    for codec in ["profile", "none", "gzip", "snappy", "lz4", "zstd"] {
        for (key, payload) in [(None, None), (Some(&b""[..]), Some(&b""[..])), (Some(b"k\0\xff"), Some(b"{\"n\":9007199254740993}"))] {
            let r = p
                .publish(
                    "exact",
                    Outgoing {
                        key: key.map(Bytes::from_static),
                        payload: payload.map(Bytes::from_static),
                        headers: vec![
                            h("dup", Some(b"1")),
                            h("bin", Some(b"\0\xfe")),
                            h("dup", Some(b"2")),
                            h("null", None),
                            h("empty", Some(b"")),
                        ],
                        timestamp: Some(crate::domain::time::Timestamp(1_700_000_000_123)),
                        options: vec![("compression", codec.to_owned()), ("partition", "0".to_owned())],
                    },
                )
                .await;
            println!("{codec} {r:?}");
        }
    }
}

#[tokio::test]
async fn stopped() {
    let i = at(23092);
    let p = Arc::new(publisher(&i, None));
    let mut ok = 0u64;
    let started = Instant::now();
    let mut tasks = Vec::new();
    while started.elapsed() < Duration::from_secs(60) {
        let p = p.clone();
        let n = tasks.len();
        tasks.push(tokio::spawn(async move { (n, p.publish("stopped", text(&format!("{n}"))).await) }));
        sleep(Duration::from_millis(20)).await;
    }
    let mut bad = std::collections::BTreeMap::<String, u64>::new();
    for t in tasks {
        let (_, r) = t.await.unwrap();
        match r {
            Ok(_) => ok += 1,
            Err(f) => *bad.entry(f.to_string()).or_default() += 1,
        }
    }
    println!("stored {ok}");
    for (f, n) in bad {
        println!("{n} × {f}");
    }
}
