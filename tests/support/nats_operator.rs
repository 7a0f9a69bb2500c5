//! An operator's NATS: accounts and users that are signed, as `nsc` makes them, and users' creds files.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// An operator with one account.
pub(crate) struct Operator {
    dir: tempfile::TempDir,
    account: KeyPair,
}

/// A claim signed by its issuer (JWT with the algorithm `ed25519-nkey`).
fn signed(issuer: &KeyPair, subject: &str, expires: Option<i64>, nats: &Value) -> String {
    let mut claims =
        json!({ "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test", "sub": subject, "nats": nats });
    if let Some(expires) = expires {
        claims["exp"] = json!(expires);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = issuer.sign(text.as_bytes()).expect("a seed signs");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

impl Operator {
    pub(crate) fn new() -> Self {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
        let all = json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 });
        let nats = json!({ "type": "operator", "version": 2 });
        let own = signed(&operator, &operator.public_key(), None, &nats);
        let nats = json!({ "type": "account", "version": 2, "limits": all });
        let id = account.public_key();
        let preloaded = signed(&operator, &id, None, &nats);
        let dir = tempfile::tempdir().expect("a directory");
        let accounts = format!("operator: {own}\nresolver: MEMORY\nresolver_preload: {{ {id}: {preloaded} }}\n");
        std::fs::write(dir.path().join("accounts.conf"), accounts).expect("written");
        Self { dir, account }
    }

    /// What a server is started with.
    pub(crate) fn accounts(&self) -> PathBuf {
        self.dir.path().join("accounts.conf")
    }

    /// The creds file of a new user, which ends at `expires` (seconds since 1970).
    pub(crate) fn user(&self, name: &str, expires: Option<i64>) -> PathBuf {
        let user = KeyPair::new_user();
        let nats = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {} });
        let jwt = signed(&self.account, &user.public_key(), expires, &nats);
        let seed = user.seed().expect("a seed");
        let path = self.dir.path().join(Path::new(name).with_extension("creds"));
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        std::fs::write(&path, text).expect("written");
        path
    }
}
