//! Allocations of one client hit.

use crate::{
    Outcome, api,
    measure::Figure,
    report::{Report, Row},
};
use reqwest_middleware::ClientWithMiddleware;

pub(super) fn run(clients: &[(String, ClientWithMiddleware)], report: &mut Report) -> Outcome {
    for (name, client) in clients {
        let client = client.clone();
        // On a thread of its own, so that nobody else's are counted.
        let count = std::thread::spawn(move || -> Outcome<u64> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let hit = || {
                runtime.block_on(async {
                    let answer = client.get(api::url(3)).send().await?;
                    answer
                        .bytes()
                        .await
                        .map_err(reqwest_middleware::Error::from)
                })
            };
            hit()?;
            let mut end = Ok(bytes::Bytes::new());
            let count = allocation_counter::measure(|| end = hit()).count_total;
            end?;
            Ok(count)
        });
        let count = count.join().map_err(|_| "counting panicked")??;
        let work = format!("allocations of one client hit: {name}");
        let figure = Figure::once(name, count as f64);
        report.add(Row::new(work, figure, "allocations"));
    }
    Ok(())
}
