//! How long an answer lives: a duration, a calendar span, or for ever.

use crate::{Error, ErrorKind, Millis, Result};
use jiff::{Span, SpanRelativeTo, SpanRound, Unit, tz::TimeZone};
use std::{fmt, str::FromStr, time::Duration};

/// A lifetime, counted from the moment an answer is stored; calendar units count in UTC.
///
/// ```
/// use restow::{Expiry, Millis};
/// let week: Expiry = "7 days".parse()?;
/// assert_eq!(week.after(Millis(0)), Millis(7 * 86_400_000));
/// assert_eq!("never".parse::<Expiry>()?, Expiry::NEVER);
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Expiry(Kind);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Never,
    Span(Span),
}

impl Expiry {
    /// No expiry: the answer stays fresh until it is removed.
    pub const NEVER: Self = Self(Kind::Never);

    /// Returns the moment at which what is stored `now` expires; [`Millis::MAX`] for never.
    pub fn after(&self, now: Millis) -> Millis {
        let Kind::Span(span) = self.0 else {
            return Millis::MAX;
        };
        // Beyond the calendar's end is as good as never.
        now.timestamp()
            .to_zoned(TimeZone::UTC)
            .checked_add(span)
            .map_or(Millis::MAX, |at| at.timestamp().into())
    }
}

impl Default for Expiry {
    /// Seven days.
    fn default() -> Self {
        Self(Kind::Span(Span::new().days(7)))
    }
}

impl PartialEq for Expiry {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Kind::Never, Kind::Never) => true,
            (Kind::Span(a), Kind::Span(b)) => a.fieldwise() == b.fieldwise(),
            _ => false,
        }
    }
}

impl From<Duration> for Expiry {
    fn from(d: Duration) -> Self {
        let millis = i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Span::new()
            .try_milliseconds(millis)
            .map_or(Self::NEVER, |span| Self(Kind::Span(readable(span))))
    }
}

impl From<Span> for Expiry {
    /// A negative span expires at once.
    fn from(span: Span) -> Self {
        Self(Kind::Span(if span.is_negative() {
            Span::new()
        } else {
            span
        }))
    }
}

impl FromStr for Expiry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("never") {
            return Ok(Self::NEVER);
        }
        if text == "0" {
            return Ok(Self(Kind::Span(Span::new())));
        }
        let wrong = || {
            Error::new(
                ErrorKind::Config,
                format!(
                    "{text:?} is not a lifetime; write it like \"90 seconds\", \"2 weeks\", \"1 month\" or \"never\""
                ),
            )
        };
        let span: Span = text
            .parse()
            .map_err(|e: jiff::Error| wrong().with_source(e))?;
        if span.is_negative() {
            Err(wrong())
        } else {
            Ok(Self(Kind::Span(span)))
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::Never => f.write_str("never"),
            Kind::Span(span) => write!(f, "{span:#}"),
        }
    }
}

/// Reads a fixed length of time ("30 days", "250 ms"); calendar units count as in UTC from the epoch.
///
/// # Errors
/// [`ErrorKind::Config`] where `text` is not one, or means no end.
pub(crate) fn parse_duration(text: &str) -> Result<Duration> {
    let end = text.parse::<Expiry>()?.after(Millis(0));
    if end == Millis::MAX {
        return Err(Error::new(
            ErrorKind::Config,
            format!("{text:?} has no end; write a length such as \"30 days\""),
        ));
    }
    Ok(end.since(Millis(0)))
}

/// Writes a length of time as [`parse_duration`] reads it.
pub(crate) fn format_duration(d: Duration) -> String {
    Expiry::from(d).to_string()
}

fn readable(span: Span) -> Span {
    let at = SpanRelativeTo::from(jiff::civil::date(1970, 1, 1));
    span.round(
        SpanRound::new()
            .largest(Unit::Day)
            .smallest(Unit::Millisecond)
            .relative(at),
    )
    .unwrap_or(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn calendar_months_follow_the_calendar() {
        let at: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let month: Expiry = "1 month".parse().unwrap();
        assert_eq!(month.after(at.into()).to_string(), "2026-02-28T12:00:00Z");
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "7 days",
            "90 seconds",
            "1 month 2 days",
            "never",
            "36h",
            "0",
        ] {
            let expiry: Expiry = text.parse().unwrap();
            assert_eq!(
                expiry
                    .to_string()
                    .parse::<Expiry>()
                    .unwrap()
                    .after(Millis(0)),
                expiry.after(Millis(0)),
                "{text}"
            );
        }
        assert_eq!(format_duration(Duration::from_secs(3 * 86_400)), "3d");
    }

    #[test]
    fn wrong_lifetimes_are_refused_and_named() {
        for text in ["", "soon", "-1 day", "7", "7 dayz"] {
            let error = text.parse::<Expiry>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn the_end_of_time_is_never_and_never_panics() {
        assert_eq!(Expiry::from(Duration::MAX).after(Millis(0)), Millis::MAX);
        assert_eq!(
            "9000 years".parse::<Expiry>().unwrap().after(Millis::MAX),
            Millis::MAX
        );
    }
}
