//! Where a Redis store lives, as a value or as a URL.

use crate::{
    Error, ErrorKind, Result,
    store::{connect, parameters::check_encoded},
};
use jiff::SignedDuration;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::{fmt, path::PathBuf, time::Duration};

/// Where a [`RedisStore`](super::RedisStore) keeps its entries. Neither `Display` nor `Debug` ever shows a password.
///
/// ```
/// use restow::store::redis::RedisOptions;
/// let options = RedisOptions::parse("redis://:secret@cache.example.com:6380/2?prefix=music")?;
/// assert_eq!(options.to_string(), "redis://cache.example.com:6380/2?prefix=music");
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisOptions {
    pub(super) topology: Topology,
    pub(super) hosts: Vec<(String, u16)>,
    pub(super) tls: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) database: i64,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) sentinel_password: Option<String>,
    /// As the URL names them, so that it can be written again.
    pub(super) secrets: Vec<(String, String)>,
    pub(super) prefix: String,
    pub(super) buckets: u32,
    pub(super) timeout: Duration,
}

/// What the servers are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topology {
    /// One server.
    Standalone,
    /// Sentinels that know the master of this name.
    Sentinel(String),
    /// A cluster.
    Cluster,
}

/// What is escaped in a part of a URL.
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'/')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'@');

impl RedisOptions {
    /// What all keys begin with unless told: `restow`.
    pub const PREFIX: &'static str = "restow";
    /// Over how many buckets, and with them slots, a new repository is spread unless told.
    pub const BUCKETS: u32 = 256;
    /// How long an answer may take unless told.
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    const SCHEMES: [(&'static str, Shape, bool); 6] = [
        ("redis", Shape::One, false),
        ("rediss", Shape::One, true),
        ("redis-cluster", Shape::Cluster, false),
        ("rediss-cluster", Shape::Cluster, true),
        ("redis-sentinel", Shape::Sentinel, false),
        ("rediss-sentinel", Shape::Sentinel, true),
    ];
    const KNOWN: [&'static str; 8] = [
        "prefix",
        "buckets",
        "server_timeout",
        "ca",
        "password_env",
        "password_file",
        "sentinel_password_env",
        "sentinel_password_file",
    ];

    /// Reads a URL.
    ///
    /// - `redis://[[USER]:PASSWORD@]HOST[:6379][/DATABASE]`: one server;
    /// - `redis-cluster://[..@]HOST[:6379][,HOST..]`: a cluster, by any of its servers;
    /// - `redis-sentinel://[..@]HOST[:26379][,HOST..]/MASTER[/DATABASE]`: the master that Sentinels name;
    /// - the same with `rediss` for TLS; the server's certificate is verified by the system's, or by those of the PEM file `ca`.
    ///
    /// Parameters: `prefix` (what all keys begin with), `buckets` (over how many a new repository is spread: a power of two up to 16384),
    /// `server_timeout` (how long an answer may take: `5s`), `password_env` or `password_file` (where the password is, so that no URL holds it),
    /// and the same with `sentinel_` for the Sentinels' own.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the part that is wrong; never with a password.
    pub fn parse(url: &str) -> Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            // What is before it may be anything, also a password.
            .filter(|(scheme, _)| connect::scheme(url) == Some(scheme))
            .ok_or_else(|| wrong("it has to begin with redis://"))?;
        check_encoded(url)?;
        let (_, shape, tls) = Self::SCHEMES
            .into_iter()
            .find(|(known, ..)| *known == scheme)
            .ok_or_else(|| {
                let known: Vec<_> = Self::SCHEMES.iter().map(|(s, ..)| *s).collect();
                wrong(&format!(
                    "{scheme:?} is not the scheme of a Redis store; there are {}",
                    known.join(", ")
                ))
            })?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let port = if shape == Shape::Sentinel {
            26379
        } else {
            6379
        };
        let hosts = hosts
            .split(',')
            .map(|host| self::host(host, port))
            .collect::<Result<Vec<_>>>()?;
        if shape == Shape::One && hosts.len() > 1 {
            return Err(wrong(
                "it names several servers; write redis-cluster:// for a cluster, or redis-sentinel:// for Sentinels",
            ));
        }
        let mut path = path.split('/').filter(|part| !part.is_empty());
        let topology = match shape {
            Shape::One => Topology::Standalone,
            Shape::Cluster => Topology::Cluster,
            Shape::Sentinel => match path.next() {
                Some(name) => Topology::Sentinel(decode(name)?),
                None => {
                    return Err(wrong(
                        "the name of the master is missing; write redis-sentinel://host/mymaster",
                    ));
                }
            },
        };
        let database = match path.next() {
            None => 0,
            Some(number) => number.parse::<u16>().map_err(|_| {
                wrong(&format!(
                    "/{number} is not the number of a database; write /0"
                ))
            })?,
        };
        if path.next().is_some() || (shape == Shape::Cluster && database != 0) {
            return Err(wrong(
                "there is something behind its servers that does not belong there; a cluster has database 0 alone",
            ));
        }
        let mut options = Self {
            topology,
            hosts,
            tls,
            ca: None,
            database: database.into(),
            username: None,
            password: None,
            sentinel_password: None,
            secrets: Vec::new(),
            prefix: Self::PREFIX.to_owned(),
            buckets: Self::BUCKETS,
            timeout: Self::TIMEOUT,
        };
        if let Some(user) = user {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            options.username = (!name.is_empty()).then(|| decode(name)).transpose()?;
            options.password = (!password.is_empty())
                .then(|| decode(password))
                .transpose()?;
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            options.set(pair)?;
        }
        Ok(options)
    }

    fn set(&mut self, pair: &str) -> Result<()> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decode(value)?;
        match name {
            "prefix" => {
                let fits = (1..=64).contains(&value.len())
                    && !value.contains(|c: char| c.is_control() || "{}*?[]\\ ".contains(c));
                if !fits {
                    return Err(wrong(
                        "prefix has to be 1 to 64 bytes without braces, brackets, blanks, * ? and \\",
                    ));
                }
                self.prefix = value;
            }
            "buckets" => match value.parse::<u32>() {
                Ok(n) if n.is_power_of_two() && n <= 16384 => self.buckets = n,
                _ => {
                    return Err(wrong(&format!(
                        "buckets={value} is not a power of two from 1 to 16384"
                    )));
                }
            },
            "server_timeout" => match value.parse::<SignedDuration>().map(Duration::try_from) {
                Ok(Ok(timeout)) if !timeout.is_zero() => self.timeout = timeout,
                _ => {
                    return Err(wrong(&format!(
                        "server_timeout={value} is not a time; write server_timeout=5s"
                    )));
                }
            },
            "ca" => self.ca = Some(value.into()),
            "password_env"
            | "password_file"
            | "sentinel_password_env"
            | "sentinel_password_file" => {
                let secret = secret(name, &value)?;
                if name.starts_with("sentinel") {
                    self.sentinel_password = Some(secret);
                } else if self.password.replace(secret).is_some() {
                    return Err(wrong("the password is there twice; name it once"));
                }
                self.secrets.push((name.to_owned(), value));
            }
            _ => {
                let nearest = Self::KNOWN
                    .into_iter()
                    .max_by(|a, b| strsim::jaro(a, name).total_cmp(&strsim::jaro(b, name)));
                return Err(wrong(&format!(
                    "there is no parameter {name:?}; did you mean {:?}?",
                    nearest.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }

    /// The password to log in with. A user without one has to be named all the same: who says nothing is another user, the default one.
    pub(super) fn login(&self) -> Option<&str> {
        let named = self.username.as_ref().map(|_| "");
        self.password.as_deref().or(named)
    }

    fn scheme(&self) -> &'static str {
        let shape = match self.topology {
            Topology::Standalone => Shape::One,
            Topology::Cluster => Shape::Cluster,
            Topology::Sentinel(_) => Shape::Sentinel,
        };
        let mut schemes = Self::SCHEMES.iter();
        schemes
            .find(|(_, s, tls)| *s == shape && *tls == self.tls)
            .map_or("redis", |(scheme, ..)| scheme)
    }
}

/// A URL of the same place, without a password.
impl fmt::Display for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme())?;
        if let Some(name) = &self.username {
            write!(f, "{}@", utf8_percent_encode(name, ESCAPED))?;
        }
        for (i, (host, port)) in self.hosts.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if host.contains(':') {
                write!(f, "{comma}[{host}]:{port}")?;
            } else {
                write!(f, "{comma}{host}:{port}")?;
            }
        }
        if let Topology::Sentinel(master) = &self.topology {
            write!(f, "/{}", utf8_percent_encode(master, ESCAPED))?;
        }
        if self.database != 0 {
            write!(f, "/{}", self.database)?;
        }
        let mut parameters = Vec::new();
        if self.prefix != Self::PREFIX {
            parameters.push(("prefix", self.prefix.clone()));
        }
        if self.buckets != Self::BUCKETS {
            parameters.push(("buckets", self.buckets.to_string()));
        }
        if self.timeout != Self::TIMEOUT {
            parameters.push(("server_timeout", format!("{}ms", self.timeout.as_millis())));
        }
        if let Some(ca) = &self.ca {
            parameters.push(("ca", ca.display().to_string()));
        }
        for (name, value) in &self.secrets {
            parameters.push((name, value.clone()));
        }
        for (i, (name, value)) in parameters.into_iter().enumerate() {
            let sign = if i == 0 { '?' } else { '&' };
            write!(f, "{sign}{name}={}", utf8_percent_encode(&value, ESCAPED))?;
        }
        Ok(())
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisOptions({self})")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    One,
    Cluster,
    Sentinel,
}

fn host(text: &str, default: u16) -> Result<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest
            .split_once(']')
            .ok_or_else(|| wrong("the ] of an IPv6 address is missing"))?;
        (host, port.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err(wrong("the name of a server is missing"));
    }
    let port = match port {
        None => default,
        // The text may be a password that was not escaped.
        Some(port) => port
            .parse()
            .map_err(|_| wrong("the port of a server is not a number"))?,
    };
    Ok((decode(host)?, port))
}

fn secret(name: &str, value: &str) -> Result<String> {
    let read = if name.ends_with("_env") {
        std::env::var(value).map_err(|_| {
            wrong(&format!(
                "{name}={value}: there is no such environment variable, or it is not text"
            ))
        })?
    } else {
        std::fs::read_to_string(value).map_err(|e| {
            wrong(&format!("{name}={value}: the file cannot be read")).with_source(e)
        })?
    };
    Ok(read.trim_end_matches(['\r', '\n']).to_owned())
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded
        .map_err(|_| wrong("a part of it is not UTF-8 when it is percent-decoded"))?
        .into_owned())
}

fn wrong(why: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        format!("the URL of the Redis store is not valid: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_url_is_read_and_no_password_is_written() {
        for (url, written) in [
            ("redis://h", "redis://h:6379"),
            ("rediss://u:p%40@h:1/3", "rediss://u@h:1/3"),
            ("redis://[::1]:7", "redis://[::1]:7"),
            (
                "redis-cluster://a,b:7?buckets=64&prefix=x",
                "redis-cluster://a:6379,b:7?prefix=x&buckets=64",
            ),
            (
                "redis-sentinel://:p@a,b:7/my%20master/2?server_timeout=250ms",
                "redis-sentinel://a:26379,b:7/my%20master/2?server_timeout=250ms",
            ),
        ] {
            let options = RedisOptions::parse(url).unwrap();
            assert_eq!(options.to_string(), written);
            let mut again = RedisOptions::parse(written).unwrap();
            again.password = options.password.clone();
            assert_eq!(again, options);
        }
        let options = RedisOptions::parse("redis://u:p%40@h").unwrap();
        assert_eq!(options.password.as_deref(), Some("p@"));
        assert!(!format!("{options:?}").contains("p@"));
    }

    #[test]
    fn what_is_wrong_is_named_without_the_password() {
        for (url, said) in [
            ("redis:h", "redis://"),
            ("redis:/:s3cret@h", "redis://"),
            ("redis:/:s3cret@h?a=b://", "redis://"),
            ("redis://:p@s3cret@h", "%40"),
            ("redis://u:12/s3cret@h/0", "%2F"),
            ("redis://u:12?s3cret@h/0", "%3F"),
            ("postgres://:s3cret@h", "\"postgres\""),
            ("redis://:s3cret@a,b", "redis-cluster://"),
            ("redis://:s3cret@", "name of a server"),
            ("redis://u:s3cret", "port"),
            ("redis://h/x", "/x"),
            ("redis-cluster://h/1", "database 0"),
            ("redis-sentinel://h", "name of the master"),
            ("redis://h?prefix=a{b", "prefix"),
            ("redis://h?buckets=3", "buckets=3"),
            ("redis://h?server_timeout=0s", "server_timeout=0s"),
            ("redis://h?prefx=a", "did you mean \"prefix\"?"),
            ("redis://h?password_env=RESTOW_NO_SUCH", "RESTOW_NO_SUCH"),
            ("redis://h?password_file=/no/such", "/no/such"),
        ] {
            let error = RedisOptions::parse(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{url}");
            assert!(error.to_string().contains(said), "{url}: {error}");
            assert!(!error.to_string().contains("s3cret"), "{url}: {error}");
        }
    }
}
