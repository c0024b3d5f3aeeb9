//! How long one request takes, directly and through proxies.

use crate::{Outcome, measure::percentile};
use std::time::Instant;

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
        println!(
            "{:.1} {:.1}",
            percentile(&times, 50),
            percentile(&times, 99)
        );
    }
    Ok(())
}
