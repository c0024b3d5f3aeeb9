//! `restow fetch URL...`.

mod hosts;
mod report;
mod urls;

use crate::{
    args::RequestArgs,
    asker::Asker,
    cli::Global,
    exit::{Exit, Failure},
    http::reason,
    output::{Out, note},
    rate::Rate,
    session::{Access, Session},
    upstreams::Upstreams,
};
use clap::Args;
use futures_util::StreamExt as _;
use hosts::Hosts;
use http::{HeaderMap, Request};
use report::{Fetched, Report};
use restow::{
    ErrorKind, Mode,
    exchange::{Answered, OutcomeKind},
};
use std::time::Instant;

/// Fetches URLs through the cache: what is held and fresh is not asked for again.
///
/// A URL may hold ranges: {1..50}, {01..10}, {0..100..10}, {a,b}. Quote it, so that the shell leaves it alone.
/// What a request says by Cache-Control counts: no older than max-age, stale for no longer than max-stale, no-cache, only-if-cached.
/// Without a configuration, the answers of each host are kept in a repository of its own, named as the host.
/// A URL below an upstream of the configuration is asked for with its headers, unless --header has one of them itself.
/// A status of 400 or more counts as failed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow fetch 'https://api.example.com/v1/items/{1..50}'
  restow fetch --bearer-env TOKEN --principal me 'https://api.example.com/v1/me'
  restow fetch --stdin --jobs 4 --rate 5/s < urls.txt
  restow fetch -H 'Cache-Control: max-age=600' 'https://api.example.com/v1/items/7'
  restow fetch --mode offline 'https://api.example.com/v1/items/7'")]
pub(crate) struct Fetch {
    /// The URLs, which may hold ranges.
    #[arg(value_name = "URL", required_unless_present = "stdin")]
    urls: Vec<String>,
    /// Reads more URLs from stdin, one a line, as they are.
    #[arg(long)]
    stdin: bool,
    /// How many requests are under way at once.
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: u16,
    /// The most requests to the API per time, evenly spaced: 10/s, 100/m, 5000/h. What is held does not count.
    #[arg(long, value_name = "N/UNIT")]
    rate: Option<Rate>,
    /// How network and store may be used: live, refresh, revalidate, offline, read-only or bypass.
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    #[command(flatten)]
    request: RequestArgs,
}

fn mode(text: &str) -> Result<Mode, String> {
    text.parse()
        .map_err(|e: restow::Error| e.message().to_owned())
}

impl Fetch {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let headers = self.request.headers()?;
        let (urls, count) = urls::urls(&self.urls, self.stdin)?;
        let session = Session::open(global, Access::Create, self.mode).await?;
        let fetcher = Fetcher {
            hosts: session
                .config
                .is_none()
                .then(|| Hosts::new(session.cache.clone())),
            asker: Asker::new(&session, self.rate)?,
            upstreams: &session.upstreams,
            headers,
        };
        let mut report = Report::new(count, &session.secrets, global, out);
        let stop = tokio::signal::ctrl_c();
        let mut stop = std::pin::pin!(stop);
        let mut answers = urls
            .map(|url| fetcher.fetch(url))
            .buffer_unordered(usize::from(self.jobs));
        let interrupted = loop {
            tokio::select! {
                next = answers.next() => match next {
                    Some(fetched) => report.one(&fetched, out)?,
                    None => break false,
                },
                _ = &mut stop => break true,
            }
        };
        drop(answers);
        drop(fetcher);
        let is_networked = session.cache.store().health().is_some();
        let lenient = |ended: restow::Result<()>| match ended {
            // Of each answer it was said whether it was stored; those to come go to the API.
            Err(error) if error.kind() == ErrorKind::Down => Ok(()),
            Err(error) if is_networked => {
                note(format_args!("note: the store was left as it is: {error}"));
                Ok(())
            }
            ended => ended,
        };
        lenient(session.cache.commit().await)?;
        let config = session.config.as_ref().map(|c| c.origin().to_owned());
        lenient(session.cache.close().await)?;
        report.summary(config.as_deref(), out)?;
        if interrupted {
            return Err(Failure::new(
                Exit::SomeFailed,
                "interrupted; what was fetched is kept",
            ));
        }
        report.verdict()
    }
}

/// Fetches one URL at a time, from many places at once.
struct Fetcher<'s> {
    asker: Asker<'s>,
    upstreams: &'s Upstreams,
    headers: HeaderMap,
    /// Where there is no configuration: declares each host as it comes.
    hosts: Option<Hosts>,
}

impl Fetcher<'_> {
    async fn fetch(&self, url: String) -> Fetched {
        let start = Instant::now();
        let parsed = match reqwest::Url::parse(&url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => parsed,
            _ => {
                return Fetched::failed(
                    url,
                    start.elapsed(),
                    "it is not a whole URL, as https://api.example.com/v1/items is",
                );
            }
        };
        if let Some(hosts) = &self.hosts {
            hosts.declare(&parsed).await;
        }
        let request = match self.request(&parsed) {
            Ok(request) => request,
            Err(failure) => return Fetched::failed(url, start.elapsed(), failure.line()),
        };
        let response = match self.asker.send(parsed, &request).await {
            Ok(response) => response,
            Err(error) => return Fetched::failed(url, start.elapsed(), reason(error)),
        };
        let status = response.status();
        let answered = response.extensions().get::<Answered>().cloned();
        let refused = answered
            .as_ref()
            .is_some_and(|a| a.outcome.kind == OutcomeKind::Refused);
        match response.bytes().await {
            Ok(_) if refused => Fetched::refused(url, start.elapsed(), answered),
            Ok(body) => {
                Fetched::answered(url, start.elapsed(), status, body.len() as u64, answered)
            }
            Err(error) => Fetched::failed(url, start.elapsed(), reason(error.into())),
        }
    }

    /// The request of a URL, by the account of the upstream that it is below.
    fn request(&self, url: &reqwest::Url) -> Result<Request<()>, Failure> {
        let mut request = Request::get(url.as_str())
            .body(())
            .map_err(|_| Failure::usage("it is not a URL that can be asked for"))?;
        *request.headers_mut() = self.headers.clone();
        let account = self.upstreams.account(request.uri(), &self.headers)?;
        if let Some(account) = account {
            request.extensions_mut().insert(account);
        }
        Ok(request)
    }
}
