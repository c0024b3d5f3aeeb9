//! The access log: one line a request, on stdout.

use http::{Method, StatusCode, Version};
use restow::{Error, ErrorKind, Result};
use std::{fmt::Write as _, net::IpAddr, str::FromStr, time::Duration};

/// How requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// The common log format, with the outcome and the time in microseconds behind it.
    Common,
    /// One JSON object a line.
    Json,
}

impl FromStr for AccessLog {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "common" => Ok(Self::Common),
            "json" => Ok(Self::Json),
            _ => Err(Error::new(
                ErrorKind::Config,
                format!("{text:?} is no access log; write \"common\" or \"json\""),
            )),
        }
    }
}

/// What is told of a request. It holds no header, no query and no credential: a query may be a secret.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) at: restow::Millis,
    pub(crate) peer: IpAddr,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) bytes: Option<u64>,
    pub(crate) time: Duration,
    pub(crate) outcome: Option<&'a restow::exchange::Answered>,
}

impl AccessLog {
    /// The line, with its end.
    pub(crate) fn text(self, line: &Line<'_>) -> String {
        let when = jiff::Timestamp::from_millisecond(line.at.0).unwrap_or_default();
        let (word, detail) = match line.outcome {
            Some(answered) => answered.outcome.kind.as_strs(),
            None => ("error", None),
        };
        let micros = line.time.as_micros();
        let mut text = String::with_capacity(160);
        // Writing to a String does not fail.
        match self {
            Self::Common => {
                let day = when.strftime("%d/%b/%Y:%H:%M:%S +0000");
                _ = write!(
                    text,
                    "{} - - [{day}] \"{} {} {:?}\" {} ",
                    line.peer,
                    line.method,
                    line.path.escape_default(),
                    line.version,
                    line.status.as_u16()
                );
                _ = match line.bytes {
                    Some(bytes) => write!(text, "{bytes}"),
                    None => write!(text, "-"),
                };
                _ = write!(text, " {word}");
                if let Some(detail) = detail {
                    _ = write!(text, ":{detail}");
                }
                _ = writeln!(text, " {micros}");
            }
            Self::Json => {
                let object = serde_json::json!({
                    "at": when.to_string(),
                    "client": line.peer.to_string(),
                    "method": line.method.as_str(),
                    "path": line.path,
                    "status": line.status.as_u16(),
                    "bytes": line.bytes,
                    "outcome": word,
                    "detail": detail,
                    "rule": line.outcome.and_then(|a| a.outcome.rule).map(|r| r.name),
                    "repository": line.outcome.and_then(|a| a.repository.as_deref()),
                    "micros": u64::try_from(micros).unwrap_or(u64::MAX),
                });
                _ = writeln!(text, "{object}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_all_but_what_may_be_secret() {
        let line = Line {
            at: restow::Millis(0),
            peer: [127, 0, 0, 1].into(),
            method: &Method::GET,
            path: "/a\"b",
            version: Version::HTTP_11,
            status: StatusCode::OK,
            bytes: Some(5),
            time: Duration::from_micros(7),
            outcome: None,
        };
        assert_eq!(
            AccessLog::Common.text(&line),
            "127.0.0.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /a\\\"b HTTP/1.1\" 200 5 error 7\n"
        );
        let json: serde_json::Value = serde_json::from_str(&AccessLog::Json.text(&line)).unwrap();
        assert_eq!(json["path"], "/a\"b");
        assert_eq!(json["micros"], 7);
        assert!(
            "combined"
                .parse::<AccessLog>()
                .unwrap_err()
                .to_string()
                .contains("json")
        );
    }
}
