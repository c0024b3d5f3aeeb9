//! A proxy of a test, and a client that shows what it says.

use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use reqwest::Client;
use restow::{Binary, Cache, CacheBuilder, Config, DeclaredEndpoint, Millis, TestClock};
use restow_proxy::{Admin, Options, PrincipalHeader, Proxy, Upstream};
use restow_testkit::{Origin, dropping::in_time, http_client};
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// 2026-08-01, 00:00 UTC.
pub(crate) const T0: i64 = 1_785_542_400_000;

/// A proxy that listens; it ends when it is dropped.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) clock: TestClock,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    pub(crate) served: JoinHandle<restow::Result<()>>,
    client: Client,
}

/// What a client sees of an answer.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    /// All lines of a header, joined.
    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.headers.get_all(name).iter();
        lines
            .map(|v| v.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// No test is given what was opened for somebody else: what comes from the cache, or from another's request, sets no cookie.
    pub(crate) fn checked(self) -> Self {
        let sets = self.headers.contains_key(SET_COOKIE);
        assert!(!sets || !(self.is_hit() || self.is_collapsed()), "{self:?}");
        self
    }

    /// Whether another's request was answered by it too.
    pub(crate) fn is_collapsed(&self) -> bool {
        self.header("cache-status").contains("; collapsed")
    }

    pub(crate) fn is_hit(&self) -> bool {
        self.header("cache-status").contains("; hit")
    }
}

/// Options by which the header `x-tenant` names the principal of clients in this network.
pub(crate) fn tenants_of(network: &str) -> Options {
    Options {
        principal: Some(PrincipalHeader {
            header: "x-tenant".parse().unwrap(),
            trust: vec![network.parse().unwrap()],
        }),
        ..Options::default()
    }
}

/// A proxy in front of one API, in memory, with the default options.
pub(crate) async fn before(origin: &Origin) -> Running {
    before_all(vec![Upstream::new(&origin.url("")).unwrap()]).await
}

/// A proxy in front of these APIs, in memory, with the default options.
pub(crate) async fn before_all(upstreams: Vec<Upstream>) -> Running {
    Running::start(upstreams, Options::default(), "").await
}

impl Running {
    pub(crate) async fn start(upstreams: Vec<Upstream>, options: Options, endpoints: &str) -> Self {
        Self::with(upstreams, options, endpoints, |b| b).await
    }

    /// The same with the endpoints of a configuration, and a cache that was built otherwise.
    pub(crate) async fn with(
        upstreams: Vec<Upstream>,
        options: Options,
        endpoints: &str,
        build: impl FnOnce(CacheBuilder) -> CacheBuilder,
    ) -> Self {
        let clock = TestClock::at(Millis(T0));
        let builder = Cache::builder()
            .url("memory:")
            .shared(true)
            .clock(clock.clone());
        let cache = build(builder).build().await.unwrap();
        open(&cache, endpoints).await;
        Self::over(cache, clock, upstreams, options).await
    }

    /// The same over a cache that is there.
    pub(crate) async fn over(
        cache: Cache,
        clock: TestClock,
        upstreams: Vec<Upstream>,
        options: Options,
    ) -> Self {
        let proxy = Proxy::new(cache, upstreams, options).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn({
            let proxy = proxy.clone();
            async move { proxy.serve(listener, async { _ = stopped.await }).await }
        });
        Self {
            proxy,
            clock,
            address,
            stop: Some(stop),
            served,
            client: http_client()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
        }
    }

    /// Lets it go on with other settings.
    pub(crate) async fn reload(
        &self,
        upstreams: Vec<Upstream>,
        options: Options,
        endpoints: &str,
    ) -> restow::Result<()> {
        let builder = Cache::builder().shared(true);
        let cache = builder.build_over(&self.proxy.cache()).unwrap();
        open(&cache, endpoints).await;
        self.proxy.reload(cache, upstreams, options).await
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().map(|s| s.send(()));
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.ask("GET", path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Seen {
        self.ask("GET", path, headers).await
    }

    /// Asks by a client of its own.
    pub(crate) async fn ask_by(
        &self,
        client: &reqwest::Client,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> reqwest::Response {
        let mut request = client.request(method.parse().unwrap(), self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Seen {
        let answer = self.ask_by(&self.client, method, path, headers).await;
        Seen {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.text().await.unwrap(),
        }
        .checked()
    }
}

/// Opens the endpoints of a configuration.
pub(crate) async fn open(cache: &Cache, endpoints: &str) {
    let config = Config::parse(endpoints, "restow.toml").unwrap();
    for declaration in config.endpoints() {
        let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary).unwrap();
        cache.create_repository(endpoint).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// Waits until no more than so many clients are connected, by the proxy's own count.
pub(crate) async fn connections_left(proxy: &Proxy, most: usize) {
    in_time("a connection that nobody holds", async {
        while connections(proxy).await > most {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// How many clients are connected, by the proxy's own count.
pub(crate) async fn connections(proxy: &Proxy) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let operators = Admin::new(proxy, None).serve(listener, std::future::pending());
    let url = format!("http://{address}/metrics");
    let asked = async {
        let answer = http_client().build().unwrap().get(url).send().await;
        answer.unwrap().text().await.unwrap()
    };
    let page = tokio::select! {
        page = asked => page,
        ended = operators => panic!("{ended:?}"),
    };
    let count = page
        .lines()
        .find_map(|l| l.strip_prefix("restow_connections "));
    count.unwrap().parse().unwrap()
}

/// What the calls to a target of the origin were asked with under a header, in order.
pub(crate) fn asked_with(origin: &Origin, target: &str, header: &str) -> Vec<String> {
    let calls = origin.calls_to(target);
    calls.iter().map(|c| c.header(header).to_owned()).collect()
}
