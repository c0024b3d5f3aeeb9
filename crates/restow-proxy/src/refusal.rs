//! What the proxy answers itself where no API does.

use crate::idle::{Fault, STOOD_STILL};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use restow::client::{Body, BoxError, causes};
use std::fmt;

/// Why a request gets no answer from an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The target cannot be read, or `Host` is missing, there twice, or unreadable.
    Target,
    /// A segment of the path is `.` or `..`, or may be read so: it could lead out of where the upstream is.
    Dots,
    /// No upstream is where the request points.
    NoUpstream,
    /// The client names a host that it may not.
    Forbidden,
    /// The method is one that a cache cannot pass on.
    Method,
    /// The body of the request is too long.
    BodyTooLarge,
    /// The body of the request took too long to come.
    BodyTooSlow,
    /// The body of the request broke off, or is none.
    Body(Box<str>),
    /// The API could not be reached, or broke off.
    Unreachable(Box<str>),
    /// The API took too long.
    TimedOut(Box<str>),
}

const UNREACHABLE: &str = "the API cannot be reached, and nothing stored may be served: ";
const TIMED_OUT: &str = "the API took too long, and nothing stored may be served: ";

impl Refusal {
    /// What one who waited for another's fetch is told: what that one was, or why its body ended.
    pub(crate) fn told(why: &str) -> Self {
        if let Some(why) = why.strip_prefix(TIMED_OUT) {
            Self::TimedOut(why.into())
        } else if why.starts_with(STOOD_STILL) {
            Self::TimedOut(why.into())
        } else {
            Self::Unreachable(why.strip_prefix(UNREACHABLE).unwrap_or(why).into())
        }
    }

    /// Why the body of a request cannot be read.
    pub(crate) fn of_body(error: &BoxError) -> Self {
        match error.downcast_ref::<Fault>() {
            Some(fault) => Self::from(*fault),
            None => Self::Body(causes(&**error).into()),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Target | Self::Dots => StatusCode::BAD_REQUEST,
            Self::NoUpstream => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The answer: one line of text that says what is wrong.
    pub(crate) fn response(&self) -> Response<Body> {
        let text = format!("{}: {self}\n", self.status().as_u16());
        let mut response = Response::new(Body::whole(Bytes::from(text)));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if matches!(
            self,
            Self::Target | Self::Dots | Self::BodyTooLarge | Self::BodyTooSlow | Self::Body(_)
        ) {
            // What follows on the connection may be a part of what was not read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if *self == Self::Method {
            headers.insert(
                header::ALLOW,
                HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            );
        }
        response
    }
}

impl From<Fault> for Refusal {
    /// What is wrong with the body of a request.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLong => Self::BodyTooLarge,
            Fault::StoodStill(_) => Self::BodyTooSlow,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target => {
                f.write_str("the request has no target that can be read, or not one Host")
            }
            Self::Dots => f.write_str(
                "the path has a segment \".\" or \"..\", which could lead out of the upstream; ask for the path without it",
            ),
            Self::NoUpstream => f.write_str("no upstream is mounted here"),
            Self::Forbidden => f.write_str(
                "the proxy may not ask this host for clients; its settings name those that it may",
            ),
            Self::Method => f.write_str("the proxy does not pass on this method"),
            Self::BodyTooLarge => {
                f.write_str("the body of the request is longer than the proxy takes")
            }
            Self::BodyTooSlow => f.write_str("the body of the request took too long"),
            Self::Body(why) => write!(f, "the body of the request cannot be read: {why}"),
            Self::Unreachable(why) => write!(f, "{UNREACHABLE}{why}"),
            Self::TimedOut(why) => write!(f, "{TIMED_OUT}{why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_waited_is_told_what_the_one_was_who_asked() {
        for refusal in [
            Refusal::TimedOut("no answer within 1s".into()),
            Refusal::Unreachable("connection refused".into()),
        ] {
            assert_eq!(Refusal::told(&refusal.to_string()), refusal);
        }
        let stood_still = Fault::StoodStill(Duration::from_secs(1)).to_string();
        let told = Refusal::TimedOut(stood_still.clone().into());
        assert_eq!(Refusal::told(&stood_still), told);
        let other = Refusal::Unreachable("connection reset".into());
        assert_eq!(Refusal::told("connection reset"), other);
    }
}
