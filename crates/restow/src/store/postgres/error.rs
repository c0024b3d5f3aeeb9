//! What PostgreSQL and the way to it report, as this crate's errors.

use crate::{Error, ErrorKind, store::certificate};
use tokio_postgres::error::SqlState;

/// A failure inside the backend: the driver's, or an error that is ours already.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(tokio_postgres::Error),
    Ours(Error),
    /// The server did not answer in time.
    TimedOut,
}

pub(super) type Attempt<T> = Result<T, Fault>;

impl Fault {
    /// Tells whether it was the order of locks that failed, and the same may succeed now. Nothing of it was done.
    pub(super) fn is_conflict(&self) -> bool {
        [
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ]
        .iter()
        .any(|state| self.state() == Some(state))
    }

    /// Tells whether somebody told the server to end the statement. Nothing of it was done.
    pub(super) fn is_ended(&self) -> bool {
        self.state() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Tells whether the connection is gone, so that another has to be made.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Sql(e) => e.is_closed() || is_io(e) || self.state().is_some_and(ends),
            Self::Ours(_) | Self::TimedOut => false,
        }
    }

    /// Tells whether the server does not know a statement that was prepared, or knows another by its name: there is a pooler between.
    pub(super) fn is_pooled(&self) -> bool {
        [
            SqlState::INVALID_SQL_STATEMENT_NAME,
            SqlState::DUPLICATE_PSTATEMENT,
        ]
        .iter()
        .any(|state| self.state() == Some(state))
    }

    /// Tells whether a prepared statement no longer fits the table.
    pub(super) fn is_outdated(&self) -> bool {
        self.state() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
    }

    /// Tells whether the server may be read from only: it is a replica, or was made one.
    pub(super) fn is_replica(&self) -> bool {
        self.state() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(e) => e.code(),
            Self::Ours(_) | Self::TimedOut => None,
        }
    }

    /// Makes the error that callers see; `place` says where.
    pub(super) fn at(self, place: &str) -> Error {
        let source = match self {
            Self::Ours(error) => return error,
            Self::TimedOut => {
                return Error::new(
                    ErrorKind::Busy,
                    format!(
                        "{place} did not answer in time; try again, or set a longer server_timeout="
                    ),
                );
            }
            Self::Sql(source) => source,
        };
        if source.code().is_none()
            && let Some((kind, message)) = certificate::refused(
                &source,
                place,
                "sslrootcert=",
                "say sslmode=disable where nobody listens between",
            )
        {
            return Error::new(kind, message).with_source(source);
        }
        if wants_password(&source) {
            let message = format!(
                "{place} wants a password; set PGPASSWORD, or say where it is with password_env= or password_file="
            );
            return Error::new(ErrorKind::Config, message).with_source(source);
        }
        let (kind, message) = describe(source.code(), place);
        Error::new(kind, message).with_source(source)
    }
}

fn describe(state: Option<&SqlState>, place: &str) -> (ErrorKind, String) {
    let Some(state) = state else {
        return (
            ErrorKind::Store,
            format!(
                "{place} cannot be reached; check that the server runs and takes connections there"
            ),
        );
    };
    let code = state.code();
    match code {
        "42P01" | "42703" | "42704" | "3F000" | "0A000" => (
            ErrorKind::NoSuchRepository,
            "its table was removed or changed since it was opened; open it again".to_owned(),
        ),
        "40P01" | "40001" | "55P03" | "57014" => (
            ErrorKind::Busy,
            format!("{place} is held by another program that did not let go; try again"),
        ),
        "53300" => (
            ErrorKind::Busy,
            format!(
                "{place} has no connection left; lower pool= or raise max_connections of the server"
            ),
        ),
        "57P01" | "57P02" | "57P03" => (
            ErrorKind::Store,
            format!("{place} is being started or shut down; try again"),
        ),
        "25006" => (
            ErrorKind::ReadOnly,
            format!(
                "{place} is a replica that cannot be written to; name the primary server, or both with target_session_attrs=read-write"
            ),
        ),
        "42501" => (
            ErrorKind::ReadOnly,
            format!(
                "{place} does not let this role do that; grant it the right, or have a database administrator run what `restow schema --print` prints"
            ),
        ),
        "53100" => (
            ErrorKind::Store,
            format!("there is no space left at {place}; free some, or set a budget"),
        ),
        "54000" | "22001" | "53200" => (
            ErrorKind::TooLarge,
            "an entry is larger than PostgreSQL can hold".to_owned(),
        ),
        "42P07" => (
            ErrorKind::Name,
            format!(
                "{place} has a table or view of this name that is no repository's; choose another name, or another schema= or prefix="
            ),
        ),
        "3D000" => (
            ErrorKind::Config,
            format!(
                "{place} names a database that is not there; make it with createdb, or name another"
            ),
        ),
        "08P01" => (
            ErrorKind::Config,
            format!(
                "{place} does not take the settings of a session, as a pooler between does not; say pgbouncer=true"
            ),
        ),
        _ if code.starts_with("28") => (
            ErrorKind::Config,
            format!("{place} does not let this user in; check user and password"),
        ),
        _ if code.starts_with("XX") => (
            ErrorKind::Corrupt,
            format!("{place} says that what it holds is damaged; restore the database"),
        ),
        _ => (ErrorKind::Store, format!("{place} failed")),
    }
}

/// Tells whether a server asked for a password, and there was none. The driver has no code for that.
fn wants_password(e: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(e);
    e.code().is_none() && source.is_some_and(|source| source.to_string() == "password missing")
}

/// What a server says when it ends a connection.
fn ends(state: &SqlState) -> bool {
    matches!(
        state.code(),
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03"
    ) || state.code().starts_with("08")
}

fn is_io(e: &tokio_postgres::Error) -> bool {
    std::error::Error::source(e).is_some_and(|source| source.is::<std::io::Error>())
}

impl From<tokio_postgres::Error> for Fault {
    fn from(e: tokio_postgres::Error) -> Self {
        Self::Sql(e)
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Self::Ours(e)
    }
}

impl From<deadpool_postgres::PoolError> for Fault {
    fn from(e: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::PoolError as E;
        match e {
            E::Backend(e) => Self::Sql(e),
            E::Closed => Self::Ours(closed()),
            E::Timeout(_) => Self::TimedOut,
            other => Self::Ours(
                Error::new(ErrorKind::Store, "no connection could be made").with_source(other),
            ),
        }
    }
}

/// What every call answers once the store was closed.
pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the store is closed; open it again")
}
