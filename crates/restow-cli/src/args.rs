//! Groups of options that several commands share.

use crate::exit::Failure;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use restow::{Millis, Scope};
use std::str::FromStr as _;

/// What a request carries.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Request")]
pub(crate) struct RequestArgs {
    /// A request header, as 'Name: value'; may be repeated. Its value is never printed.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Sends the bearer token that is in this environment variable.
    #[arg(long, value_name = "VAR")]
    bearer_env: Option<String>,
}

impl RequestArgs {
    /// Reads the headers.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut map = HeaderMap::new();
        for header in &self.headers {
            // The message may not hold the value: it may be a secret.
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| Failure::usage("a --header has no colon; write 'Name: value'"))?;
            let name = HeaderName::from_str(name.trim()).map_err(|_| {
                Failure::usage(format!("{:?} is not the name of a header", name.trim()))
            })?;
            map.append(name.clone(), secret(value.trim(), name.as_str())?);
        }
        if let Some(variable) = &self.bearer_env {
            let token = std::env::var(variable)
                .ok()
                .filter(|t| !t.trim().is_empty())
                .ok_or_else(|| {
                    Failure::usage(format!(
                        "the environment variable {variable:?} of --bearer-env is not set, or empty"
                    ))
                })?;
            map.insert(
                AUTHORIZATION,
                secret(&format!("Bearer {}", token.trim()), "authorization")?,
            );
        }
        Ok(map)
    }
}

fn secret(value: &str, name: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Failure::usage(format!(
            "the value of the header {name:?} holds characters that no header may hold"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Which entries.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct SelectArgs {
    /// Entries with this value of a key field or a declared column; without '=', those in which it is absent. May be repeated.
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    pub(crate) conditions: Vec<String>,
    /// The entries of this URL.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Stored since: a length of time such as '2 days', a date (in UTC), or a moment such as 2026-08-01T12:00:00Z.
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Stored before, in the same forms.
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// With a body that has changed since, in the same forms.
    #[arg(long, value_name = "WHEN")]
    pub(crate) changed_since: Option<String>,
    /// With this status.
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(100..=999))]
    pub(crate) status: Option<u16>,
    /// With this tag.
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Only those that have expired.
    #[arg(long, conflicts_with = "live")]
    pub(crate) expired: bool,
    /// Only those that have not.
    #[arg(long)]
    pub(crate) live: bool,
}

impl SelectArgs {
    /// Returns the scope.
    pub(crate) fn scope(&self) -> Scope {
        match (self.expired, self.live) {
            (true, _) => Scope::Expired,
            (_, true) => Scope::Live,
            _ => Scope::All,
        }
    }

    /// Tells whether nothing narrows it.
    pub(crate) fn is_everything(&self) -> bool {
        let Self {
            conditions,
            url,
            since,
            until,
            changed_since,
            status,
            tag,
            expired,
            live,
        } = self;
        conditions.is_empty()
            && [url, since, until, changed_since, tag]
                .iter()
                .all(|o| o.is_none())
            && status.is_none()
            && !expired
            && !live
    }
}

/// Reads a moment: a length of time before now, a date, or a moment.
pub(crate) fn moment(option: &str, text: &str, now: Millis) -> Result<Millis, Failure> {
    Millis::written(text, now).map_err(|e| Failure::usage(format!("--{option} {}", e.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_lengths_dates_or_moments() {
        let now = Millis(
            "2026-08-10T12:00:00Z"
                .parse::<jiff::Timestamp>()
                .unwrap()
                .as_millisecond(),
        );
        for (text, at) in [
            ("2 days", "2026-08-08T12:00:00Z"),
            ("2 days ago", "2026-08-08T12:00:00Z"),
            ("1 month", "2026-07-10T12:00:00Z"),
            ("90m", "2026-08-10T10:30:00Z"),
            ("2026-08-01", "2026-08-01T00:00:00Z"),
            ("2026-08-01T06:00", "2026-08-01T06:00:00Z"),
            ("2026-08-01T06:00:00+02:00", "2026-08-01T04:00:00Z"),
        ] {
            assert_eq!(
                moment("since", text, now).unwrap().to_string(),
                at,
                "{text}"
            );
        }
        for text in ["", "soon", "2026-13-01", "days", "2"] {
            let error = moment("since", text, now).unwrap_err().to_string();
            assert!(
                error.contains("--since") && error.contains("2 days"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_wrong_header_is_named_without_its_value() {
        for header in ["canary", "a b: canary", "x: can\u{7}ary"] {
            let args = RequestArgs {
                headers: vec![header.to_owned()],
                bearer_env: None,
            };
            assert!(!args.headers().unwrap_err().to_string().contains("canary"));
        }
    }
}
