//! How long one request takes, directly and through proxies.

use crate::Outcome;
use std::time::{Duration, Instant};

/// The first ones make the connections.
const WARM_UP: usize = 200;

pub(crate) async fn run(urls: &[String], number: usize) -> Outcome {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut times = vec![Vec::with_capacity(number); urls.len()];
    for n in 0..number + WARM_UP {
        for (base, times) in urls.iter().zip(&mut times) {
            let began = Instant::now();
            let answer = client.get(format!("{base}/latency/{n}")).send().await?;
            answer.error_for_status()?.bytes().await?;
            if n >= WARM_UP {
                times.push(began.elapsed());
            }
        }
    }
    for mut times in times {
        times.sort_unstable();
        println!("{:.1} {:.1}", at(&times, 500), at(&times, 990));
    }
    Ok(())
}

/// What so many thousandths took less than.
fn at(times: &[Duration], part: usize) -> f64 {
    let nth = times.len() * part / 1_000;
    times.get(nth).map_or(0.0, |t| t.as_secs_f64() * 1e6)
}
