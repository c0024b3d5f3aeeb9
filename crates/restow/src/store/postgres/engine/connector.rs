//! How a connection to a server is made.

use super::super::{
    error::{Attempt, Fault},
    layout::Area,
    options::{Durability, PostgresOptions, Statements},
    schema,
};
use super::Query;
use crate::{Error, ErrorKind, Result, store::watch::FormatWatch};
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer};
use rustls_platform_verifier::BuilderVerifierExt as _;
use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio_postgres::{Client, Config, Connection, Socket, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Use {
    /// Short statements that find rows by their keys.
    Keys,
    /// All others.
    Any,
    /// Being told what others change.
    Notices,
}

type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Makes connections to one server.
pub(in super::super) struct Connector {
    server: Config,
    tls: MakeRustlsConnect,
    place: Box<str>,
    durability: Durability,
    timeout: Duration,
    /// Whether statements are parsed each time, because there is a pooler between.
    unnamed: AtomicBool,
    /// Whether the pooler was named, and takes no settings of a session.
    pooled: bool,
    watch: Arc<FormatWatch>,
    format: Query,
}

impl Connector {
    /// `server` is the one of the options, or one of its replicas.
    pub(super) fn new(
        options: &PostgresOptions,
        server: &Config,
        watch: &Arc<FormatWatch>,
    ) -> Result<Self> {
        Ok(Self {
            tls: tls(server, options.root_certificates.as_deref())?,
            server: server.clone(),
            place: options.to_string().into(),
            durability: options.durability,
            timeout: options.timeout,
            unnamed: AtomicBool::new(options.statements == Statements::Unnamed),
            pooled: options.statements == Statements::Unnamed,
            watch: watch.clone(),
            format: schema::ask_format(&Area::new(&options.schema, &options.prefix)),
        })
    }

    pub(in super::super) fn place(&self) -> &str {
        &self.place
    }

    /// How long the server may take.
    pub(in super::super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Fails while the format is another one.
    pub(in super::super) fn check(&self) -> Result<()> {
        self.watch.check()
    }

    /// Knows whether the format is ours.
    pub(super) fn watch(&self) -> &Arc<FormatWatch> {
        &self.watch
    }

    /// The statement that asks for the format.
    pub(super) fn format(&self) -> &Query {
        &self.format
    }

    /// Tells whether statements are prepared.
    pub(super) fn prepares(&self) -> bool {
        !self.unnamed.load(Relaxed)
    }

    /// Prepares no more statements: the server does not know them again.
    pub(super) fn prepare_no_more(&self) {
        if !self.unnamed.swap(true, Relaxed) {
            tracing::warn!(
                place = &*self.place,
                "there is a pooler between that forgets prepared statements; statements are parsed each time from now on; say pgbouncer=true"
            );
        }
    }

    /// Makes a connection and has it driven by a task of its own.
    pub(super) async fn connect(&self, purpose: Use) -> Attempt<Client> {
        let connected = async {
            let (client, connection) = self.connect_raw(purpose).await?;
            Self::drive(connection);
            self.check_format(&client).await?;
            Ok(client)
        };
        // Others wait behind who connects, also where nobody waits for that one.
        let connected = tokio::time::timeout(self.timeout, connected).await;
        connected.unwrap_or(Err(Fault::TimedOut))
    }

    fn drive(connection: Connection<Socket, Stream>) {
        tokio::spawn(async move {
            // Whoever asks is told.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
    }

    /// Fails where the format was another one since the store was opened: somebody may have changed it while there was no connection.
    pub(super) async fn check_format(&self, client: &Client) -> Attempt<()> {
        if self.watch.has_begun() {
            let answer = client.query_typed(&self.format.sql, &[]).await;
            let answer = answer.map_err(Fault::from);
            self.watch.saw(schema::check_answer(&self.place, answer))?;
        }
        Ok(())
    }

    pub(in super::super) async fn connect_raw(
        &self,
        purpose: Use,
    ) -> Attempt<(Client, Connection<Socket, Stream>)> {
        Ok(self.config(purpose).connect(self.tls.clone()).await?)
    }

    pub(super) fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// What a connection begins with.
    pub(super) fn config(&self, purpose: Use) -> Config {
        let mut server = self.server.clone();
        if self.pooled {
            return server;
        }
        let mut settings = "-c jit=off".to_owned();
        if purpose == Use::Keys {
            // Each of these statements has one good plan: by the index. What is known of a table that was just made would say otherwise.
            settings += " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off";
        }
        match self.durability {
            Durability::Server => {}
            Durability::Full => settings += " -c synchronous_commit=on",
            Durability::Relaxed => settings += " -c synchronous_commit=off",
        }
        server.options(settings);
        server
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

fn tls(server: &Config, roots: Option<&Path>) -> Result<MakeRustlsConnect> {
    let wrong = |e: rustls::Error| {
        Error::new(ErrorKind::Config, "TLS cannot be set up; check the system's certificates, or name a file with sslrootcert=")
            .with_source(e)
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?;
    let config = match roots {
        Some(path) => builder
            .with_root_certificates(certificates(path)?)
            .with_no_client_auth(),
        // Nobody looks at them.
        None if server.get_ssl_mode() == SslMode::Disable => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
        None => builder
            .with_platform_verifier()
            .map_err(wrong)?
            .with_no_client_auth(),
    };
    Ok(MakeRustlsConnect::new(config))
}

fn certificates(path: &Path) -> Result<RootCertStore> {
    let wrong = |e: Box<dyn std::error::Error + Send + Sync>| {
        let message = format!(
            "sslrootcert={} holds no certificates that can be read (PEM)",
            path.display()
        );
        Error::new(ErrorKind::Config, message).with_source(e)
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.into()))? {
        let certificate = certificate.map_err(|e| wrong(e.into()))?;
        roots.add(certificate).map_err(|e| wrong(e.into()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("there is none".into())),
        false => Ok(roots),
    }
}
