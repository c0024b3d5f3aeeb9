//! Where a PostgreSQL store lives, as a value or as a URL.

use crate::{Error, ErrorKind, Result, store::parameters::check_encoded};
use percent_encoding::percent_decode_str;
use std::{env, fmt, fs, path::PathBuf, time::Duration};
use tokio_postgres::config::{Config, Host, SslMode};

/// Where a [`PostgresStore`](super::PostgresStore) keeps its entries, and how it talks to the server.
///
/// Neither `Debug` nor `Display` shows a password.
///
/// ```
/// use restow::store::postgres::PostgresOptions;
/// let options = PostgresOptions::parse("postgres://me:hunter2@db.example.com/api?schema=cache&pool=8")?;
/// assert_eq!(options.to_string(), "postgres://me@db.example.com/api?schema=cache");
/// assert!(!format!("{options:?}").contains("hunter2"));
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresOptions {
    pub(super) server: Config,
    pub(super) schema: Box<str>,
    pub(super) prefix: Box<str>,
    pub(super) replicas: Vec<Config>,
    pub(super) pool: usize,
    pub(super) timeout: Duration,
    pub(super) statements: Statements,
    pub(super) durability: Durability,
    pub(super) root_certificates: Option<PathBuf>,
    password: Password,
}

/// What an entry survives once it is saved. A kill of this process it survives in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// What the server, the database or the role is set to: unless somebody changed that, as [`Full`](Self::Full). The default.
    #[default]
    Server,
    /// It survives a crash of the server and a loss of power (`synchronous_commit = on`).
    Full,
    /// A crash of the server may cost the saves of the last moments (`synchronous_commit = off`); nothing waits for the disk.
    Relaxed,
}

/// How statements are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Statements {
    /// Prepared once by each connection.
    Prepared,
    /// Parsed each time: behind a pooler that gives each transaction another connection.
    Unnamed,
}

/// Where the password comes from, where the URL does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Password {
    /// The variable `PGPASSWORD`, where it is set.
    #[default]
    Usual,
    Env(Box<str>),
    File(PathBuf),
}

const PARAMETERS: [&str; 13] = [
    "schema",
    "prefix",
    "replica",
    "pool",
    "server_timeout",
    "pgbouncer",
    "durability",
    "sslmode",
    "sslrootcert",
    "password_env",
    "password_file",
    "target_session_attrs",
    "memory",
];

impl PostgresOptions {
    /// The schema that holds the tables unless told otherwise.
    pub const SCHEMA: &'static str = "restow";
    /// The most connections unless told otherwise.
    pub const POOL: usize = 16;
    /// How long a call waits for the server unless told otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    /// Reads a URL: `postgres://user@host:port/database?schema=cache`. It may name several hosts, which are tried in turn.
    ///
    /// | parameter | meaning | default |
    /// |---|---|---|
    /// | `schema` | the schema that holds the tables; made where it is not there | `restow` |
    /// | `prefix` | what the names of all tables begin with | none |
    /// | `replica` | `host:port` of a server that may be read from; may be given several times | none |
    /// | `pool` | the most connections to a server, from 3 on | 16 |
    /// | `server_timeout` | how long a call waits for the server: `5s`, `250ms` | 5 s |
    /// | `pgbouncer` | `true` behind a pooler in transaction mode: statements are not prepared | `false` |
    /// | `durability` | `server`, `full` or `relaxed`: see [`Durability`] | `server` |
    /// | `sslmode` | `disable`; `prefer`: where the server can; `require`. A certificate is always verified | `disable` for this machine, else `prefer` |
    /// | `sslrootcert` | a file of certificates (PEM) to trust in place of the system's | none |
    /// | `password_env`, `password_file` | an environment variable or a file that holds the password | `PGPASSWORD` |
    /// | `target_session_attrs` | `read-write` finds the one of several hosts that takes writes | `any` |
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the part that is wrong, never the password; [`ErrorKind::Unsupported`] for `memory=`, which
    /// [`connect`](crate::store::connect) takes out of a URL.
    pub fn parse(url: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        if !place.starts_with("postgres://") && !place.starts_with("postgresql://") {
            return Err(config(
                "this is not the URL of a PostgreSQL store; write postgres://user@host/database",
            ));
        }
        check_encoded(url)?;
        let mut parameters = Vec::new();
        for parameter in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = percent_decode_str(value).decode_utf8().map_err(|e| {
                config(format!("the value of {name}= is not UTF-8 once decoded")).with_source(e)
            })?;
            parameters.push((name, value.into_owned()));
        }
        // Its error may hold a part of what it reads, and so of the password.
        let mut server: Config = place.parse().map_err(|_| {
            config("the URL of the PostgreSQL store cannot be read; write postgres://user@host:port/database, and percent-encode what is special in a password")
        })?;
        if server.get_hosts().is_empty() {
            server.host("localhost");
        }
        let mut options = Self {
            server,
            schema: Self::SCHEMA.into(),
            prefix: "".into(),
            replicas: Vec::new(),
            pool: Self::POOL,
            timeout: Self::TIMEOUT,
            statements: Statements::Prepared,
            durability: Durability::Server,
            root_certificates: None,
            password: Password::Usual,
        };
        let mut replicas = Vec::new();
        let mut ssl_mode = None;
        for (name, value) in &parameters {
            match *name {
                "replica" => replicas.push(value.as_str()),
                "sslmode" => ssl_mode = Some(ssl(value)?),
                _ => options.set(name, value)?,
            }
        }
        options
            .server
            .ssl_mode(ssl_mode.unwrap_or_else(|| match is_here(&options.server) {
                true => SslMode::Disable,
                false => SslMode::Prefer,
            }));
        for replica in replicas {
            let replica = options.replica_at(replica)?;
            options.replicas.push(replica);
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match (name, value) {
            ("schema", schema) => self.schema = name_part("schema", schema, 63)?,
            ("prefix", prefix) => self.prefix = name_part("prefix", prefix, 24)?,
            ("pool", number) => {
                self.pool = number
                    .parse()
                    .ok()
                    .filter(|n| (3..=1_000).contains(n))
                    .ok_or_else(|| {
                        config(format!(
                            "pool={number} is not a number of connections; write one from 3 to 1000"
                        ))
                    })?;
            }
            ("server_timeout", text) => self.timeout = duration(text)?,
            ("pgbouncer", "true") => self.statements = Statements::Unnamed,
            ("pgbouncer", "false") => self.statements = Statements::Prepared,
            ("durability", "server") => self.durability = Durability::Server,
            ("durability", "full") => self.durability = Durability::Full,
            ("durability", "relaxed") => self.durability = Durability::Relaxed,
            ("sslrootcert", path) => self.root_certificates = Some(path.into()),
            ("password_env", name) => self.password = Password::Env(name.into()),
            ("password_file", path) => self.password = Password::File(path.into()),
            ("target_session_attrs", "any") => {}
            ("target_session_attrs", "read-write") => {
                self.server
                    .target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
            }
            ("memory", _) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "memory= is for restow::connect and the URL of a cache; here, put a TieredStore (the memory tier) around the store",
                ));
            }
            (known, other) if PARAMETERS.contains(&known) => {
                return Err(config(format!(
                    "{known}={other} is not known; see the table of a PostgreSQL store's parameters"
                )));
            }
            (unknown, _) => {
                let nearest = PARAMETERS
                    .into_iter()
                    .max_by(|a, b| strsim::jaro(a, unknown).total_cmp(&strsim::jaro(b, unknown)))
                    .unwrap_or("schema");
                return Err(config(format!(
                    "{unknown:?} is not a parameter of a PostgreSQL store; did you mean {nearest:?}?"
                )));
            }
        }
        Ok(())
    }

    /// The server again, at another place.
    fn replica_at(&self, place: &str) -> Result<Config> {
        let wrong = || {
            config(format!(
                "replica={place} is not a place; write replica=host:port"
            ))
        };
        let (host, port) = place.rsplit_once(':').unwrap_or((place, "5432"));
        let mut replica = Config::new();
        replica
            .host(if host.is_empty() {
                return Err(wrong());
            } else {
                host
            })
            .port(port.parse().map_err(|_| wrong())?)
            .ssl_mode(self.server.get_ssl_mode());
        if let Some(user) = self.server.get_user() {
            replica.user(user);
        }
        if let Some(name) = self.server.get_dbname() {
            replica.dbname(name);
        }
        if let Some(password) = self.server.get_password() {
            replica.password(password);
        }
        Ok(replica)
    }

    /// Finds the password, and says to each server what every connection has.
    pub(super) fn resolve(&mut self) -> Result<()> {
        let password = match &self.password {
            Password::Usual => env::var("PGPASSWORD").ok(),
            Password::Env(name) => Some(env::var(&**name).map_err(|_| {
                config(format!(
                    "the environment variable {name} is not set; set it to the password"
                ))
            })?),
            Password::File(path) => {
                let text = fs::read_to_string(path).map_err(|e| {
                    config(format!("the file {} cannot be read", path.display())).with_source(e)
                })?;
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
        };
        let given = self.password != Password::Usual;
        let timeout = self.timeout;
        for server in std::iter::once(&mut self.server).chain(&mut self.replicas) {
            if let Some(password) = &password
                && (given || server.get_password().is_none())
            {
                server.password(password);
            }
            server.application_name("restow").connect_timeout(timeout);
            // A server that vanished without a word answers nothing: neither what was sent to it nor an answer is waited for any longer.
            server
                .tcp_user_timeout(timeout)
                .keepalives_idle(timeout.max(Duration::from_secs(1)));
        }
        Ok(())
    }
}

impl fmt::Display for PostgresOptions {
    /// Writes the URL without a password, and without what concerns only this process.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.server.get_user() {
            write!(f, "{}@", encode(user))?;
        }
        let ports = self.server.get_ports();
        for (i, host) in self.server.get_hosts().iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match host {
                Host::Tcp(name) if name.contains(':') => write!(f, "[{name}]")?,
                Host::Tcp(name) => f.write_str(name)?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{}", encode(&path.to_string_lossy()))?,
            }
            if let Some(port) = ports.get(i).or(ports.first()).filter(|port| **port != 5432) {
                write!(f, ":{port}")?;
            }
        }
        if let Some(name) = self.server.get_dbname() {
            write!(f, "/{}", encode(name))?;
        }
        let mut mark = '?';
        for (name, value, usual) in [
            ("schema", &self.schema, Self::SCHEMA),
            ("prefix", &self.prefix, ""),
        ] {
            if **value != *usual {
                write!(f, "{mark}{name}={}", encode(value))?;
                mark = '&';
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("place", &self.to_string())
            .field("replicas", &self.replicas.len())
            .field("pool", &self.pool)
            .field("timeout", &self.timeout)
            .field("statements", &self.statements)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// Tells whether nothing of it leaves this machine.
fn is_here(server: &Config) -> bool {
    server.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

fn ssl(value: &str) -> Result<SslMode> {
    match value {
        "disable" => Ok(SslMode::Disable),
        "prefer" => Ok(SslMode::Prefer),
        // There is no certificate that is taken unseen, so that these are one.
        "require" | "verify-full" => Ok(SslMode::Require),
        other => Err(config(format!(
            "sslmode={other} is not known; use sslmode=disable, prefer or require"
        ))),
    }
}

/// Checks a name that others are made with. PostgreSQL would cut a longer one.
fn name_part(what: &str, name: &str, most: usize) -> Result<Box<str>> {
    let reserved = what == "schema" && name.to_ascii_lowercase().starts_with("pg_");
    let least = usize::from(what == "schema");
    if !(least..=most).contains(&name.len()) || name.chars().any(char::is_control) || reserved {
        return Err(Error::new(
            ErrorKind::Name,
            format!(
                "{what}={name} cannot be used; use {least} to {most} bytes without control characters, not beginning with pg_"
            ),
        ));
    }
    Ok(name.into())
}

fn duration(text: &str) -> Result<Duration> {
    let wrong = || {
        config(format!(
            "server_timeout={text} is not a length of time; write it like server_timeout=250ms or server_timeout=5s"
        ))
    };
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, 1_000),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match Duration::from_millis(number.saturating_mul(unit)) {
        Duration::ZERO => Err(wrong()),
        time => Ok(time.min(Duration::from_secs(3_600))),
    }
}

fn encode(text: &str) -> impl fmt::Display + '_ {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

fn config(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_the_place_and_never_the_password() {
        for (url, shown) in [
            ("postgres://db", "postgres://db"),
            (
                "postgresql://me:a%2Fb@db:6543/api",
                "postgres://me@db:6543/api",
            ),
            (
                "postgres://me@a:1,b:2/x?target_session_attrs=read-write",
                "postgres://me@a:1,b:2/x",
            ),
            (
                "postgres://me@%2Frun%2Fpg:5433/x",
                "postgres://me@%2Frun%2Fpg:5433/x",
            ),
            (
                "postgres://db/x?prefix=a%20b&schema=s",
                "postgres://db/x?schema=s&prefix=a%20b",
            ),
            (
                "postgres://db/x?replica=r1:1&replica=r2&pool=4&server_timeout=250ms&pgbouncer=true",
                "postgres://db/x",
            ),
        ] {
            let options = PostgresOptions::parse(url).unwrap();
            assert_eq!(options.to_string(), shown, "{url}");
            let again = PostgresOptions::parse(shown).unwrap();
            assert_eq!(again.to_string(), shown);
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_password_is_not() {
        for (url, kind, names) in [
            (
                "postgres://me:hunter2@db/x?schemas=a",
                ErrorKind::Config,
                "did you mean \"schema\"",
            ),
            (
                "postgres://me:hunter2@db:port/x",
                ErrorKind::Config,
                "cannot be read",
            ),
            (
                "postgres://me:hunter2@db/x?pool=2",
                ErrorKind::Config,
                "pool=2",
            ),
            (
                "postgres://me:hunter2@db/x?server_timeout=5",
                ErrorKind::Config,
                "server_timeout=5",
            ),
            (
                "postgres://me:hunter2@db/x?server_timeout=0s",
                ErrorKind::Config,
                "server_timeout=0s",
            ),
            (
                "postgres://me:hunter2@db/x?sslmode=allow",
                ErrorKind::Config,
                "sslmode=allow",
            ),
            (
                "postgres://me:hunter2@db/x?durability=no",
                ErrorKind::Config,
                "durability=no",
            ),
            (
                "postgres://me:hunter2@db/x?replica=:1",
                ErrorKind::Config,
                "host:port",
            ),
            (
                "postgres://me:hunter2@db/x?schema=pg_x",
                ErrorKind::Name,
                "pg_x",
            ),
            (
                "postgres://me:hunter2@db/x?schema=",
                ErrorKind::Name,
                "1 to 63",
            ),
            (
                "postgres://me:hunter2@db/x?memory=1MiB",
                ErrorKind::Unsupported,
                "memory tier",
            ),
            ("mysql://me:hunter2@db/x", ErrorKind::Config, "postgres://"),
            (
                "postgres:/me:hunter2@db/x",
                ErrorKind::Config,
                "postgres://",
            ),
            ("postgres://me:p@hunter2@db/x", ErrorKind::Config, "%40"),
            ("postgres://me:p@hunter2@db", ErrorKind::Config, "%40"),
            ("postgres://me:12/hunter2@db/x", ErrorKind::Config, "%2F"),
            ("postgres://me:12?hunter2@db/x", ErrorKind::Config, "%3F"),
        ] {
            let error = PostgresOptions::parse(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(error.to_string().contains(names), "{error}");
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_stays_on_this_machine_is_not_encrypted_unless_told() {
        for (url, mode) in [
            ("postgres://localhost/x", SslMode::Disable),
            ("postgres://127.0.0.1/x", SslMode::Disable),
            ("postgres://%2Frun/x", SslMode::Disable),
            ("postgres://db.example.com/x", SslMode::Prefer),
            ("postgres://localhost,db.example.com/x", SslMode::Prefer),
            ("postgres://localhost/x?sslmode=require", SslMode::Require),
        ] {
            let options = PostgresOptions::parse(url).unwrap();
            assert_eq!(options.server.get_ssl_mode(), mode, "{url}");
        }
    }
}
