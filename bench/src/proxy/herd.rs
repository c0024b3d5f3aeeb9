//! Many identical requests at once.

use crate::Outcome;
use futures_util::{StreamExt as _, stream};
use std::time::Instant;

/// Streams of one connection: what servers of HTTP/2 mostly allow.
const STREAMS: usize = 100;

pub(crate) async fn run(url: &str, number: usize) -> Outcome {
    let mut clients = Vec::new();
    for _ in 0..number.div_ceil(STREAMS) {
        let client = reqwest::Client::builder()
            .http2_prior_knowledge()
            .no_proxy()
            .build()?;
        // The connection is there before the clock runs.
        let warm = url.replace("/slow", "/warm");
        client.get(warm).send().await?.bytes().await?;
        clients.push(client);
    }
    let began = Instant::now();
    let mut answers = stream::iter(0..number)
        .map(|n| {
            let client = clients.get(n % clients.len()).cloned();
            async move {
                let client = client.ok_or("no client")?;
                let answer = client.get(url).send().await?;
                let status = answer.status();
                let len = answer.bytes().await?.len();
                match (status.is_success(), len) {
                    (true, super::BODY) => Outcome::Ok(()),
                    _ => Err(format!("an answer was {status} with {len} bytes").into()),
                }
            }
        })
        .buffer_unordered(number);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    println!("{:.1}", began.elapsed().as_secs_f64() * 1_000.0);
    Ok(())
}
