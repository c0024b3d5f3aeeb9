//! The driver's clients, as the options want them.

use super::{error, options::RedisOptions};
use crate::{Error, ErrorKind, Result};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult,
    TlsCertificates, TlsMode,
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use std::time::Duration;

fn address(options: &RedisOptions, node: usize) -> RedisResult<ConnectionAddr> {
    let (host, port) = options
        .hosts
        .get(node)
        .cloned()
        .ok_or((redis::ErrorKind::InvalidClientConfig, "no server is named"))?;
    Ok(if options.tls {
        ConnectionAddr::TcpTls {
            host,
            port,
            insecure: false,
            tls_params: None,
        }
    } else {
        ConnectionAddr::Tcp(host, port)
    })
}

fn login(username: Option<&str>, password: Option<&str>, database: i64) -> RedisConnectionInfo {
    let mut info = RedisConnectionInfo::default()
        .set_db(database)
        .set_lib_name("restow", env!("CARGO_PKG_VERSION"));
    if let Some(username) = username {
        info = info.set_username(username);
    }
    if let Some(password) = password {
        info = info.set_password(password);
    }
    info
}

fn node(options: &RedisOptions, node: usize) -> RedisResult<ConnectionInfo> {
    let info = address(options, node)?.into_connection_info()?;
    let login = login(
        options.username.as_deref(),
        options.login(),
        options.database,
    );
    let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
    // A server that vanished without a word answers nothing: what was sent to it is given up.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(options.timeout);
    Ok(info.set_redis_settings(login).set_tcp_settings(tcp))
}

/// Makes the client of a server that is named.
pub(super) fn client(options: &RedisOptions, node: usize) -> RedisResult<Client> {
    let info = self::node(options, node)?;
    match certificates(options)? {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    }
}

/// The certificates of those who may vouch for a server, where they are not the system's.
fn certificates(options: &RedisOptions) -> RedisResult<Option<TlsCertificates>> {
    let Some(path) = &options.ca else {
        return Ok(None);
    };
    Ok(Some(TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(path)?),
    }))
}

/// Makes the client of one server.
pub(super) fn server(options: &RedisOptions) -> Result<Client> {
    client(options, 0).map_err(|e| misconfigured(options, e))
}

/// Makes the client that asks Sentinels which server is the master.
pub(super) fn sentinel(options: &RedisOptions, master: &str) -> Result<SentinelClient> {
    let built = || {
        let nodes = (0..options.hosts.len())
            .map(|node| address(options, node))
            .collect::<RedisResult<Vec<_>>>()?;
        let mut builder = SentinelClientBuilder::new(nodes, master, SentinelServerType::Master)?
            .set_client_to_redis_db(options.database);
        if let Some(username) = &options.username {
            builder = builder.set_client_to_redis_username(username.as_str());
        }
        if let Some(password) = options.login() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let Some(password) = &options.sentinel_password {
            builder = builder.set_client_to_sentinel_password(password.as_str());
        }
        if options.tls {
            builder = builder
                .set_client_to_redis_tls_mode(TlsMode::Secure)
                .set_client_to_sentinel_tls_mode(TlsMode::Secure);
        }
        if let Some(certificates) = certificates(options)? {
            builder = builder
                .set_client_to_redis_certificates(certificates.clone())
                .set_client_to_sentinel_certificates(certificates);
        }
        builder.build()
    };
    built().map_err(|e| misconfigured(options, e))
}

/// Connects to the servers of a cluster.
pub(super) async fn cluster(options: &RedisOptions, place: &str) -> Result<ClusterConnection> {
    let built = || {
        let nodes = (0..options.hosts.len())
            .map(|i| node(options, i))
            .collect::<RedisResult<Vec<_>>>()?;
        let mut builder = ClusterClient::builder(nodes)
            .connection_timeout(options.timeout.min(Duration::from_secs(2)))
            .response_timeout(options.timeout)
            .overall_response_timeout(Some(options.timeout))
            .retries(8)
            .min_retry_wait(5)
            .max_retry_wait(200);
        if let Some(username) = &options.username {
            builder = builder.username(username);
        }
        if let Some(password) = options.login() {
            builder = builder.password(password);
        }
        if let Some(certificates) = certificates(options)? {
            builder = builder.certs(certificates);
        }
        builder.build()
    };
    let client = built().map_err(|e| misconfigured(options, e))?;
    let connected = client.get_async_connection().await;
    connected.map_err(|e| error::at(place, e))
}

fn misconfigured(options: &RedisOptions, source: redis::RedisError) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("{options} cannot be used as it is written"),
    )
    .with_source(source)
}
