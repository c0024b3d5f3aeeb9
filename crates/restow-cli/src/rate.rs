//! A rate of requests: `10/s`, `100/m`, `5000/h`.

use std::{str::FromStr, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Interval, MissedTickBehavior, interval},
};

/// The most requests per time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    every: Duration,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a rate; write 10/s, 100/m or 5000/h");
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let unit: f64 = match unit.trim() {
            "s" | "sec" | "second" => 1.0,
            "m" | "min" | "minute" => 60.0,
            "h" | "hour" => 3600.0,
            _ => return Err(wrong()),
        };
        let count: f64 = count.trim().parse().map_err(|_| wrong())?;
        let every = Duration::try_from_secs_f64(unit / count).map_err(|_| wrong())?;
        // Less than a nanosecond apart is no limit at all, and a timer cannot tick for it.
        if every.is_zero() {
            Err(wrong())
        } else {
            Ok(Self { every })
        }
    }
}

/// Spaces requests evenly.
#[derive(Debug)]
pub(crate) struct Pace(Option<Mutex<Interval>>);

impl Pace {
    pub(crate) fn new(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| {
            let mut ticks = interval(rate.every);
            // An API counts the requests of the last second: what was missed is not caught up in a burst.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Mutex::new(ticks)
        }))
    }

    /// Waits for the next turn.
    pub(crate) async fn turn(&self) {
        if let Some(ticks) = &self.0 {
            ticks.lock().await.tick().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_per_second_minute_and_hour() {
        for (text, millis) in [
            ("10/s", 100),
            ("10", 100),
            ("60/m", 1_000),
            ("1/min", 60_000),
            ("3600/h", 1_000),
            ("0.5/s", 2_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.every, Duration::from_millis(millis), "{text}");
        }
        for text in [
            "", "0/s", "-1/s", "x/s", "10/day", "1e30/s", "nan/s", "inf/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
