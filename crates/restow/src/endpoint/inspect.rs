//! What an endpoint finds in a full answer: its label, its columns, and whether it may be stored.

use super::declaration::Declaration;
use crate::FieldValue;
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use std::{fmt, sync::Arc};

/// What an endpoint finds in a full answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inspection {
    /// Its label.
    pub label: Option<Arc<str>>,
    /// The values of the declared columns, in their order.
    pub columns: Option<Arc<[FieldValue]>>,
    /// The rule that keeps it from being stored, if one does.
    pub rejected: Option<Rejection>,
}

/// A rule that kept an answer from being stored. The answer still reaches its caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rejection {
    /// Its status is not one that is stored.
    Status(StatusCode),
    /// Its body is not one of the endpoint's codec.
    Codec(Arc<str>),
    /// Its body lacks what `require` names.
    Require(Box<str>),
    /// Its body has what `reject` names.
    Reject(Box<str>),
    /// The program's `keep_if` said no.
    KeepIf,
    /// Its body is longer than `max_body`.
    TooLarge,
    /// Its encoding cannot be undone: it is unknown, broken, several at once, or not to be changed (`no-transform`).
    Encoding,
    /// Its body grows beyond all measure where it is decoded.
    Expands,
    /// It is a stream of events, which has no end.
    EventStream,
    /// It was reached on another origin by a redirect.
    Redirected,
    /// A rule of HTTP caching forbids it: the rule and its section.
    Policy(restow_policy::Rule),
    /// It came after a newer one.
    Superseded,
    /// The mode stores nothing.
    Mode,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {}", status.as_u16()),
            Self::Codec(name) => write!(f, "body is not {name}"),
            Self::Require(pointer) => write!(f, "body lacks {pointer}"),
            Self::Reject(pointer) => write!(f, "body has {pointer}"),
            Self::KeepIf => f.write_str("keep_if"),
            Self::TooLarge => f.write_str("body is longer than max_body"),
            Self::Encoding => f.write_str("its encoding cannot be undone"),
            Self::Expands => f.write_str("body grows too much where it is decoded"),
            Self::EventStream => f.write_str("a stream of events"),
            Self::Redirected => f.write_str("redirected to another origin"),
            Self::Policy(rule) => write!(f, "{} (RFC {})", rule.name, rule.rfc),
            Self::Superseded => f.write_str("a newer answer came first"),
            Self::Mode => f.write_str("the mode stores nothing"),
        }
    }
}

impl Declaration {
    /// Inspects a successful body by what the declaration says: JSON pointers for label, columns, `require` and `reject`.
    pub(crate) fn inspect(&self, body: &Bytes) -> Inspection {
        let wants_json = !(self.columns.is_empty()
            && self.label.is_empty()
            && self.rules.require.is_empty()
            && self.rules.reject.is_empty());
        if *self.codec == *"text" && std::str::from_utf8(body).is_err() {
            return rejected(Rejection::Codec(self.codec.clone()));
        }
        if *self.codec != *"json" && !wants_json {
            return Inspection::default();
        }
        let Ok(json) = serde_json::from_slice::<Value>(body) else {
            return rejected(Rejection::Codec("json".into()));
        };
        if let Some(missing) = self
            .rules
            .require
            .iter()
            .find(|p| json.pointer(p).is_none_or(Value::is_null))
        {
            return rejected(Rejection::Require(missing.clone()));
        }
        if let Some(found) = self
            .rules
            .reject
            .iter()
            .find(|p| json.pointer(p).is_some_and(|v| !v.is_null()))
        {
            return rejected(Rejection::Reject(found.clone()));
        }
        let label = self.label.iter().find_map(|p| match json.pointer(p)? {
            Value::String(s) => Some(Arc::from(s.as_str())),
            Value::Number(n) => Some(n.to_string().into()),
            _ => None,
        });
        let columns = (!self.columns.is_empty()).then(|| {
            self.columns
                .iter()
                .map(|c| column(json.pointer(&c.pointer)))
                .collect()
        });
        Inspection {
            label,
            columns,
            rejected: None,
        }
    }
}

/// The value of a column: text and integers as they are, truth values as 0 and 1, anything else as JSON text.
fn column(value: Option<&Value>) -> FieldValue {
    match value {
        None | Some(Value::Null) => FieldValue::Absent,
        Some(Value::String(s)) => s.as_str().into(),
        Some(Value::Bool(b)) => i64::from(*b).into(),
        Some(other) => other
            .as_i64()
            .map_or_else(|| other.to_string().into(), FieldValue::from),
    }
}

fn rejected(rule: Rejection) -> Inspection {
    Inspection {
        rejected: Some(rule),
        ..Inspection::default()
    }
}
