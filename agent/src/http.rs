/*!
HTTP clients, all with the same TLS: rustls with ring.

A client that only ever speaks plain HTTP trusts nobody, so that it costs no reading of the system's certificates
and works where there are none.
*/
use std::sync::Once;

use reqwest::ClientBuilder;
use rustls::crypto::ring;

/// A client for plain HTTP: proxies' admin interfaces, sockets, our own servers.
pub fn plain() -> ClientBuilder {
    secure().tls_certs_only([])
}

/// A client that trusts whom the system trusts, unless it is told otherwise.
#[expect(clippy::disallowed_methods, reason = "this is where the others get theirs")]
pub fn secure() -> ClientBuilder {
    install_crypto();
    reqwest::Client::builder().no_proxy()
}

/// Has all TLS of this process done by ring.
pub fn install_crypto() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // It fails where the process has one already: then that one is used.
        let _ = ring::default_provider().install_default();
    });
}
