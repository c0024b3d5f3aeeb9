//! What the server and the way to it report, as this crate's errors.

use crate::{Error, ErrorKind, store::certificate};
use redis::{ErrorKind as Kind, RedisError, ServerErrorKind as Server, Value};

/// Makes the error that callers see; `place` says where.
pub(super) fn at(place: &str, source: RedisError) -> Error {
    let (kind, message) = match source.kind() {
        Kind::Server(Server::BusyLoading) => (
            ErrorKind::Busy,
            format!("{place} is loading its data; try again in a while"),
        ),
        Kind::Server(Server::TryAgain | Server::Moved | Server::Ask) => (
            ErrorKind::Busy,
            format!("{place} is moving entries between its servers; try again"),
        ),
        Kind::Server(Server::ClusterDown | Server::MasterDown)
        | Kind::ClusterConnectionNotFound => (
            ErrorKind::Store,
            format!("{place} has no server for some of its slots at the moment; see CLUSTER INFO"),
        ),
        Kind::Server(Server::ReadOnly) => (
            ErrorKind::Store,
            format!(
                "{place} is a replica, or was made one just now; name the master, or Sentinels that know it"
            ),
        ),
        Kind::Server(Server::NoPerm) => (
            ErrorKind::Store,
            format!("{place} does not let this user do that; see docs/CONFIG.md for what it needs"),
        ),
        _ if is_about(&source, "NOAUTH") => (
            ErrorKind::Config,
            format!(
                "{place} wants a password; say where it is with password_env= or password_file="
            ),
        ),
        _ if source.kind() == Kind::AuthenticationFailed
            || is_about(&source, "WRONGPASS")
            || is_about(&source, "Password authentication failed") =>
        {
            (
                ErrorKind::Config,
                format!(
                    "{place} refuses the user or the password; check them, and what password_env= or password_file= name"
                ),
            )
        }
        _ if is_about(&source, "cluster support disabled") => (
            ErrorKind::Config,
            format!("{place} is one server and no cluster; write redis://, or rediss:// with TLS"),
        ),
        _ if is_about(&source, "DB index is out of range") => (
            ErrorKind::Config,
            format!(
                "{place} has no database of this number; write one that its setting `databases` allows, such as /0"
            ),
        ),
        Kind::MasterNameNotFoundBySentinel => (
            ErrorKind::Store,
            format!("no Sentinel of {place} knows a master of this name that works"),
        ),
        _ if source.is_timeout() => (ErrorKind::Store, format!("{place} does not answer in time")),
        Kind::Io => certificate::refused(
            &source,
            place,
            "ca=",
            "write redis:// where nobody listens between",
        )
        .unwrap_or_else(|| (ErrorKind::Store, format!("{place} cannot be reached"))),
        _ => match source.code() {
            Some("OOM") => (
                ErrorKind::Store,
                format!(
                    "{place} has no memory left and may remove nothing; raise its maxmemory, or set its maxmemory-policy to volatile-lru"
                ),
            ),
            Some("BUSY") => (
                ErrorKind::Busy,
                format!("{place} is running a script of another program; try again"),
            ),
            Some("MISCONF") => (
                ErrorKind::Store,
                format!("{place} takes no writes since it cannot save them to its disk"),
            ),
            _ => (ErrorKind::Store, format!("{place} failed")),
        },
    };
    Error::new(kind, message).with_source(source)
}

/// Tells whether this is what a server said. A cluster's driver has it in the text of an error of its own.
fn is_about(error: &RedisError, what: &str) -> bool {
    error.code() == Some(what) || error.detail().is_some_and(|said| said.contains(what))
}

/// Tells whether the connection is of no use any more.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || matches!(
            error.kind(),
            Kind::Io | Kind::Parse | Kind::Server(Server::ReadOnly | Server::MasterDown)
        ) && !error.is_timeout()
}

/// An answer that is not of the form that was asked for.
pub(super) fn strange(place: &str, what: &str) -> Error {
    Error::new(
        ErrorKind::Store,
        format!("{place} answered {what} with something else than Redis does"),
    )
}

/// Takes the server's error out of an answer.
pub(super) fn checked(value: Value) -> Result<Value, RedisError> {
    match value {
        Value::ServerError(error) => Err(error.into()),
        value => Ok(value),
    }
}

/// What every call answers once the store was closed.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed; open it again")
}

/// What a table answers that is not there any more.
pub(super) fn gone() -> Error {
    Error::new(
        ErrorKind::NoSuchRepository,
        "its table was removed or changed since it was opened; open it again",
    )
}
