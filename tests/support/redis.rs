//! A real Redis of our own, or the one in `MQDECK_TEST_REDIS`.

use super::server::Server;
use super::subjects::connect;
use mqdeck::adapters::session::Session;
use mqdeck::config::profile::Integration;
use std::sync::Arc;

/// A server for the tests of this file that neither stop it nor need options.
pub(crate) async fn shared() -> Option<(Arc<Server>, Session)> {
    static SHARED: tokio::sync::OnceCell<Option<Arc<Server>>> = tokio::sync::OnceCell::const_new();
    let server = SHARED.get_or_init(|| async { Server::shared("redis", "Redis", &[]).map(Arc::new) }).await.clone()?;
    let session = connect(integration(&server)).await.expect("Redis is there");
    Some((server, session))
}

pub(crate) fn integration(server: &Server) -> Integration {
    Integration::new("cache", "redis", server.addresses())
}
