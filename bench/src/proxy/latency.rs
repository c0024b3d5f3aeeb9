//! How long one request takes, directly and through a proxy.

use crate::Outcome;
use std::time::{Duration, Instant};

pub(crate) async fn run(direct: &str, proxied: &str, number: usize) -> Outcome {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let mut times = [Vec::new(), Vec::new()];
    // The first ones make the connections.
    for n in 0..number + 200 {
        for (way, base) in [direct, proxied].into_iter().enumerate() {
            let began = Instant::now();
            let answer = client.get(format!("{base}/latency/{n}")).send().await?;
            answer.error_for_status()?.bytes().await?;
            if n >= 200
                && let Some(times) = times.get_mut(way)
            {
                times.push(began.elapsed());
            }
        }
    }
    let [mut direct, mut proxied] = times;
    direct.sort_unstable();
    proxied.sort_unstable();
    let at = |times: &[Duration], part: usize| {
        let nth = times.len() * part / 1_000;
        times.get(nth).map_or(0.0, |t| t.as_secs_f64() * 1e6)
    };
    println!(
        "{:.1} {:.1} {:.1} {:.1}",
        at(&direct, 500),
        at(&proxied, 500),
        at(&direct, 990),
        at(&proxied, 990)
    );
    Ok(())
}
