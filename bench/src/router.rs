//! Matching one request among many routes.

use crate::{Outcome, Size, measure::scatter, report::Report};
use restow::route::{QueryRules, Route, Router, Target, Template};
use std::time::Instant;

pub(crate) fn run(size: Size, report: &mut Report) -> Outcome {
    for routes in [10, 100, 1_000, 10_000] {
        let work = format!("router: one match among {routes} routes");
        if !report.wants(&work) {
            continue;
        }
        let mut router = Router::new();
        for i in 0..routes {
            let host = i / 100;
            let template: Template = format!(
                "https://api{host}.example.com/v1/kind{i}/{{id}}/parts/{{part:int}}{{?market}}"
            )
            .parse()?;
            let fields = template.fields();
            router.insert(
                http::Method::GET,
                Route::new(template, &fields, QueryRules::default())?,
                i,
            )?;
        }
        let uris: Vec<http::Uri> = (0..routes.min(1_000))
            .map(|n| {
                let i = scatter(n, routes);
                format!(
                    "https://api{}.example.com/v1/kind{i}/abc{n}/parts/{n}?market=GB",
                    i / 100
                )
                .parse()
            })
            .collect::<Result<_, _>>()?;
        let mut times: Vec<f64> = Vec::new();
        for _ in 0..=size.rounds {
            let begun = Instant::now();
            for n in 0..size.operations {
                let uri = uris.get(n % uris.len()).ok_or("no URL")?;
                let found = router
                    .find(&http::Method::GET, &Target::from(uri))
                    .ok_or("a route was not found")?;
                std::hint::black_box(found.key.map_err(|why| why.to_string())?);
            }
            times.push(begun.elapsed().as_secs_f64() * 1e9 / size.operations as f64);
        }
        times.sort_by(f64::total_cmp);
        report.number(
            &work,
            times.get(times.len() / 2).copied().unwrap_or(f64::NAN),
            "ns",
        );
    }
    Ok(())
}
