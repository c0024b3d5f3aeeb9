//! The cost of a client hit in stores of more and more entries, each asked for entries all over it.

use super::{client_hit::ask, save_many::take};
use crate::{
    Outcome, Size, api, fill,
    large::Large,
    measure::{Contender, race},
    origin::Origin,
    report::{Report, Row, Target},
};
use reqwest_middleware::ClientWithMiddleware;
use std::cell::Cell;

const WORK: &str = "client hit among many entries";

pub(crate) async fn run(size: Size, large: &mut Large, report: &mut Report) -> Outcome {
    if !report.wants(WORK) {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let origin = Origin::default();
    let mut clients = Vec::new();
    for entries in size.steps {
        let path = dir.path().join(format!("{entries}.db"));
        clients.push((
            *entries,
            client(&fill::sqlite(&path), *entries, &origin).await?,
        ));
    }
    let path = large.path().await?;
    let cache = fill::cache(&fill::sqlite(&path)).await?;
    cache.create_repository(api::items()?).await?;
    clients.push((large.entries, origin.behind(cache.middleware())));
    clients.sort_by_key(|(entries, _)| *entries);

    // Each round asks for other entries than the last one.
    let next = Cell::new(0);
    let (n, next) = (size.operations, &next);
    let contenders = clients.iter().map(|(entries, client)| {
        Contender::new(name(*entries), move || {
            ask(client.clone(), take(next, n).start, 1, n, *entries)
        })
    });
    let times = race(size, contenders.collect()).await?;
    if origin.asked() > 0 {
        return Err("a hit was none".into());
    }
    let (smallest, others) = clients.split_first().ok_or("no sizes")?;
    for (entries, _) in others {
        let work = format!("{WORK}: {}", name(*entries));
        let row = Row::new(work, times.get(&name(*entries))?, "us");
        let row = row.beside(times.get(&name(smallest.0))?);
        report.add(row.target(Target::AtMost(1.5)));
    }
    drop(clients);
    Ok(cache.close().await?)
}

async fn client(url: &str, entries: usize, origin: &Origin) -> Outcome<ClientWithMiddleware> {
    let cache = fill::cache(url).await?;
    cache.create_repository(api::items()?).await?;
    fill::answers(&cache, 0..entries).await?;
    // The client keeps the cache open.
    Ok(origin.behind(cache.middleware()))
}

fn name(entries: usize) -> String {
    format!("{entries} entries")
}
