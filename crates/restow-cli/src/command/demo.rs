//! `restow demo`.

mod phases;
mod story;

use crate::{
    cli::Global,
    exit::{Exit, Failure},
    http::{builder, client},
    output::Out,
    rate::Pace,
    sample::{ITEMS, SampleApi, TOKEN},
    session::patient,
};
use clap::Args;
use phases::{Ask, Phase, Runner};
use restow::{
    Cache, Clock as _, Json, Mode, RawKey, RouteEndpoint, SystemClock, TestClock, store::TableName,
};
use serde_json::Value;
use std::time::Duration;

/// The host of the sample API: a name that no resolver knows, so that its URLs are the same in every run.
const HOST: &str = "demo.example";
/// Where the answers are left unless told otherwise.
const CACHE: &str = "demo.db";
/// The repositories of the sample.
const NAMES: [&str; 3] = ["items", "me", "pages"];
/// How many items are fetched.
const FETCHED: u64 = 200;
/// How many requests are under way at once.
const JOBS: usize = 8;
/// How many ask for one item at once.
const CROWD: usize = 64;
/// A day more than answers live.
const LATER: Duration = Duration::from_secs(8 * 86_400);
/// How long the API is down: it is asked again only after a pause.
const OUTAGE: Duration = Duration::from_secs(60);

/// Fetches a few hundred answers of an API of its own: cold, again, many at once, with the API down, and when it is back.
///
/// The API runs in this program, on the loopback interface, and takes 20 ms for each request; nothing else is asked. The
/// clock is the demo's own, so that a week passes at once. What was fetched is left in a file to look at.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Begins with what an earlier run left in the file; otherwise the demo's repositories are emptied first.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let url = global.cache.clone().unwrap_or_else(|| CACHE.to_owned());
        // The story begins eight days ago and ends now, so that the file it leaves is of today.
        let clock = TestClock::at(SystemClock.now().minus(LATER + OUTAGE));
        let cache = Cache::builder()
            .url(patient(&*url))
            .clock(clock.clone())
            .mode(Mode::Live)
            .build()
            .await?;
        let warm = make_ready(&cache, self.keep).await?;
        if warm {
            clock.set(SystemClock.now());
        }
        declare(&cache).await?;
        let mut api = SampleApi::start().await.map_err(cannot_listen)?;
        story::begins(&api, out)?;
        let phases = if warm {
            again(&cache, &mut api).await?
        } else {
            whole(&cache, &clock, &mut api).await?
        };
        cache.commit().await?;
        story::ends(&phases, &cache, &url, out).await?;
        cache.close().await?;
        phases::judge(&phases)
    }
}

/// The whole story.
async fn whole(
    cache: &Cache,
    clock: &TestClock,
    api: &mut SampleApi,
) -> Result<Vec<Phase>, Failure> {
    let asks = asks();
    let one = vec![Ask::item(ITEMS); CROWD];
    let all = asks.len() as u64;
    let runner = runner(cache, api)?;
    let mut phases = vec![
        runner
            .run("cold: nothing is held", &asks, JOBS, api)
            .await
            .expecting("miss", all, all),
        runner
            .run("again", &asks, JOBS, api)
            .await
            .expecting("hit", all, 0),
        // One asks; who comes late finds the answer kept, which is as good as waiting for it.
        runner
            .run("64 ask for one more at once", &one, CROWD, api)
            .await
            .expecting("miss", 1, 1),
    ];
    clock.advance(LATER);
    api.stop().await;
    phases.push(
        runner
            .run("8 days later, the API is down", &asks, JOBS, api)
            .await
            .expecting("stale", all, 0),
    );
    drop(runner);
    clock.advance(OUTAGE);
    *api = SampleApi::start().await.map_err(cannot_listen)?;
    let runner = self::runner(cache, api)?;
    phases.push(
        runner
            .run("the API is back: all confirmed", &asks, JOBS, api)
            .await
            .expecting("validated", all, all),
    );
    Ok(phases)
}

/// The story of a file that an earlier run left.
async fn again(cache: &Cache, api: &mut SampleApi) -> Result<Vec<Phase>, Failure> {
    let asks = asks();
    let all = asks.len() as u64;
    let runner = runner(cache, api)?;
    let first = runner
        .run("what an earlier run left", &asks, JOBS, api)
        .await;
    api.stop().await;
    let down = runner
        .run("the API is down", &asks, JOBS, api)
        .await
        .expecting("hit", all, 0);
    Ok(vec![first, down])
}

/// What the demo asks for: items, pages of the list, and who the user is.
fn asks() -> Vec<Ask> {
    let items = (1..=FETCHED).map(Ask::item);
    let pages = (1..=ITEMS.div_ceil(crate::sample::PER_PAGE))
        .map(|n| Ask::open(format!("http://{HOST}/items?page={n}")));
    let me = Ask {
        url: format!("http://{HOST}/users/me"),
        token: Some(TOKEN),
    };
    items.chain(pages).chain([me]).collect()
}

/// Declares the endpoints of the sample.
async fn declare(cache: &Cache) -> Result<(), Failure> {
    let items =
        RouteEndpoint::<i64, Json<Value>>::get("items", &format!("http://{HOST}/items/{{id}}"))?
            .label_at("/name")
            .column("kind", "/kind")
            .require("/id");
    // The first page has two names: /items is /items?page=1.
    let pages = RouteEndpoint::<i64, Json<Vec<Value>>>::get(
        "pages",
        &format!("http://{HOST}/items{{?page}}"),
    )?
    .default("page", 1_i64);
    let me = RouteEndpoint::<RawKey, Json<Value>>::get("me", &format!("http://{HOST}/users/me"))?
        .label_at("/name");
    cache.create_repository(items).await?;
    cache.create_repository(pages).await?;
    cache.create_repository(me).await?;
    Ok(())
}

/// Empties the repositories of an earlier run, or finds that they can be used; never touches anybody else's.
async fn make_ready(cache: &Cache, keep: bool) -> Result<bool, Failure> {
    let tables = cache.store().tables().await?;
    let named: Vec<_> = tables
        .iter()
        .filter(|t| NAMES.contains(&t.name.as_str()))
        .collect();
    if let Some(other) = named.iter().find(|t| !t.declaration.contains(HOST)) {
        return Err(Failure::usage(format!(
            "{} has a repository {:?} that is not the demo's; name another file by --cache",
            cache.store(),
            other.name.as_str()
        )));
    }
    if keep {
        return Ok(named.len() == NAMES.len());
    }
    for name in NAMES {
        cache.store().remove(&TableName::new(name)?).await?;
    }
    Ok(false)
}

fn runner(cache: &Cache, api: &SampleApi) -> Result<Runner, Failure> {
    // A proxy of the environment would be asked for a name that nobody knows.
    let address = api.address();
    let builder = move || builder().no_proxy().resolve(HOST, address);
    Ok(Runner::new(cache.client(client(builder, Pace::new(None))?)))
}

fn cannot_listen(error: std::io::Error) -> Failure {
    Failure::new(
        Exit::Upstream,
        "the sample API cannot listen on the loopback interface",
    )
    .because(error)
}
