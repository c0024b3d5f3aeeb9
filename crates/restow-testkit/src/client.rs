//! The HTTP client of tests.

/// Makes a client that opens a connection for each request, so that a [`Relay`](crate::Relay) counts them.
pub fn http_client() -> reqwest::ClientBuilder {
    // The workspace's reqwest has TLS, and no client can be made before a provider is chosen. It may be chosen already.
    _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .pool_max_idle_per_host(0)
        .no_proxy()
}
