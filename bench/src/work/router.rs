//! Matching one request among many routes: the time must not grow with them.

use crate::{
    Outcome, Size,
    measure::{Contender, each, race, scatter},
    report::{Report, Row},
};
use restow::route::{QueryRules, Route, Router, Target, Template};
use std::time::{Duration, Instant};

const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

pub(crate) async fn run(size: Size, report: &mut Report) -> Outcome {
    let work = |routes: usize| format!("router: one match among {routes} routes");
    if !SIZES.iter().any(|routes| report.wants(&work(*routes))) {
        return Ok(());
    }
    let fields: Vec<_> = SIZES
        .into_iter()
        .map(|routes| Ok((routes, router(routes)?, uris(routes)?)))
        .collect::<Outcome<_>>()?;
    let contenders = fields.iter().map(|(routes, router, uris)| {
        Contender::blocking(routes.to_string(), move || {
            find(router, uris, size.operations)
        })
    });
    let times = race(size, contenders.collect()).await?;
    let fewest = times.get("10")?.times(1e3);
    for routes in SIZES {
        let figure = times.get(&routes.to_string())?.times(1e3);
        let row = Row::new(work(routes), figure, "ns");
        let mut fewest = fewest.clone();
        fewest.name = "10 routes".into();
        report.add(if routes == 10 {
            row
        } else {
            row.beside(fewest)
        });
    }
    Ok(())
}

fn router(routes: usize) -> Outcome<Router<usize>> {
    let mut router = Router::new();
    for i in 0..routes {
        let host = i / 100;
        let template: Template = format!(
            "https://api{host}.example.com/v1/kind{i}/{{id}}/parts/{{part:int}}{{?market}}"
        )
        .parse()?;
        let fields = template.fields();
        let route = Route::new(template, &fields, QueryRules::default())?;
        router.insert(http::Method::GET, route, i)?;
    }
    Ok(router)
}

fn uris(routes: usize) -> Outcome<Vec<http::Uri>> {
    let uris = (0..routes.min(1_000)).map(|n| {
        let i = scatter(n, routes);
        let host = i / 100;
        let uri =
            format!("https://api{host}.example.com/v1/kind{i}/abc{n}/parts/{n}?market=GB").parse();
        Ok(uri?)
    });
    uris.collect()
}

fn find(router: &Router<usize>, uris: &[http::Uri], n: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    for uri in uris.iter().cycle().take(n) {
        let found = router
            .find(&http::Method::GET, &Target::from(uri))
            .ok_or("a route was not found")?;
        std::hint::black_box(found.key.map_err(|why| why.to_string())?);
    }
    Ok(each(begun.elapsed(), n))
}
