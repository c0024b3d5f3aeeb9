//! `proxy`, and real clients of several languages that go through it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "where a test cannot run a program, it has to fail"
)]

use crate::{
    running::Proxy,
    support::{Done, Place},
};
use restow_testkit::{Origin, Reply, python};
use std::process::Command;

async fn api() -> Origin {
    Origin::start(|call| match &*call.target {
        "/missing" => Reply::status(404).then("nothing"),
        _ => Reply::ok("caf\u{e9} \u{1f980}\n".repeat(500))
            .header("content-type", "text/plain; charset=utf-8")
            .header("cache-control", "max-age=60")
            .header("etag", "\"v\""),
    })
    .await
}

/// Runs a client that asks twice, prints the status, the `Age` and the `Cache-Status` of each answer, and writes its body into a file.
async fn asks_twice(client: impl FnOnce(&Place, &str) -> Command + Send + 'static) {
    let (place, api) = (Place::new(), api().await);
    let proxy = Proxy::start(&place, &["--cache", "memory:", "--upstream", &api.url("")]);
    let text = "caf\u{e9} \u{1f980}\n".repeat(500);
    let folder = place.path("body");
    let url = format!("{}/text", proxy.url);
    let done = tokio::task::spawn_blocking(move || (Done::of(&mut client(&place, &url)), place));
    let (done, _place) = done.await.unwrap();
    assert_eq!(done.code, 0, "{done:?}");
    let lines: Vec<&str> = done.out.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 2, "{done:?}");
    let words = |nth: usize| lines[nth].split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words(0).ends_with("restow; fwd=uri-miss; fwd-status=200; stored"),
        "{done:?}"
    );
    let (status, rest) = lines[1].split_once(' ').unwrap();
    assert_eq!(status, "200");
    // A client that has all of it may ask again before it is stored: then it gets the same answer, which has no age yet.
    let (age, cache_status) = rest.trim().split_once(' ').unwrap();
    let is_hit = age.parse::<u64>().is_ok() && cache_status.starts_with("restow; hit; ttl=");
    let is_joined = rest
        .trim()
        .starts_with("restow; fwd=uri-miss; collapsed; ttl=");
    assert!(is_hit || is_joined, "{done:?}");
    assert!(
        std::fs::read(folder).unwrap() == text.as_bytes(),
        "the bodies differ"
    );
    assert_eq!(api.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_goes_through_it() {
    asks_twice(|place, url| {
        let mut curl = place.command("curl");
        let shows = "%{http_code} %header{age} %header{cache-status}\\n";
        curl.args(["-sS", "-o", "body", "-w", shows, url, "--next"]);
        curl.args(["-sS", "-o", "body", "-w", shows, url]);
        curl
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_python_goes_through_it() {
    asks_twice(|place, url| {
        let mut command = place.command(python());
        command.args([
            "-c",
            "import requests, sys\n\
             with requests.Session() as session:\n\
             \tfor _ in range(2):\n\
             \t\tanswer = session.get(sys.argv[1])\n\
             \t\topen('body', 'wb').write(answer.content)\n\
             \t\tprint(answer.status_code, answer.headers.get('Age', '-'), answer.headers['Cache-Status'])",
            url,
        ]);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aiohttp_goes_through_it() {
    asks_twice(|place, url| {
        let mut command = place.command(python());
        command.args([
            "-c",
            "import aiohttp, asyncio, sys\n\
             async def main():\n\
             \tasync with aiohttp.ClientSession() as session:\n\
             \t\tfor _ in range(2):\n\
             \t\t\tasync with session.get(sys.argv[1]) as answer:\n\
             \t\t\t\topen('body', 'wb').write(await answer.read())\n\
             \t\t\t\tprint(answer.status, answer.headers.get('Age', '-'), answer.headers['Cache-Status'])\n\
             asyncio.run(main())",
            url,
        ]);
        command
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_of_node_goes_through_it() {
    asks_twice(|place, url| {
        let mut command = place.command("node");
        command.args([
            "-e",
            "(async () => { for (let i = 0; i < 2; i++) {\n\
             const answer = await fetch(process.argv[1])\n\
             const body = await answer.arrayBuffer()\n\
             require('fs').writeFileSync('body', Buffer.from(body))\n\
             console.log(answer.status, answer.headers.get('age') ?? '-', answer.headers.get('cache-status')) } })()",
            url,
        ]);
        command
    })
    .await;
}

/// What the clients above ask, once each: they accept different encodings, and all decode what they get.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_all_languages_share_one_answer_whatever_they_accept() {
    let text = "caf\u{e9} \u{1f980}\n".repeat(500);
    let body = text.clone();
    // It encodes for nobody, and says that it might.
    let api = Origin::start(move |_| {
        Reply::ok(body.clone())
            .header("content-type", "text/plain; charset=utf-8")
            .header("vary", "Accept-Encoding")
            .header("etag", "\"v\"")
    })
    .await;
    let place = Place::new();
    let endpoint = format!(
        "[[endpoint]]\nname = \"texts\"\nroute = \"GET {}\"\ncodec = \"text\"\n",
        api.url("/{name}")
    );
    place.write("restow.toml", &endpoint);
    let proxy = Proxy::start(&place, &["--cache", "memory:", "--upstream", &api.url("")]);
    let url = format!("{}/text", proxy.url);
    let python = python().display().to_string();
    let requests = "import requests, sys\n\
        answer = requests.get(sys.argv[1])\n\
        open('body', 'wb').write(answer.content)\n\
        print(answer.headers.get('Content-Encoding'))";
    let aiohttp = "import aiohttp, asyncio, sys\n\
        async def main():\n\
        \tasync with aiohttp.ClientSession() as session, session.get(sys.argv[1]) as answer:\n\
        \t\topen('body', 'wb').write(await answer.read())\n\
        \t\tprint(answer.headers.get('Content-Encoding'))\n\
        asyncio.run(main())";
    let fetch = "fetch(process.argv[1]).then(async answer => {\n\
        require('fs').writeFileSync('body', Buffer.from(await answer.arrayBuffer()))\n\
        console.log(answer.headers.get('content-encoding')) })";
    let shows = "%header{content-encoding}\\n";
    let clients: [(&str, Vec<&str>, &[&str]); 5] = [
        ("curl", vec!["-sS", "-o", "body", "-w", shows, &url], &[""]),
        (
            "curl",
            vec!["-sS", "--compressed", "-o", "body", "-w", shows, &url],
            &["zstd", "br", "gzip"],
        ),
        (&python, vec!["-c", requests, &url], &["zstd", "br", "gzip"]),
        (&python, vec!["-c", aiohttp, &url], &["zstd", "br", "gzip"]),
        ("node", vec!["-e", fetch, &url], &["zstd", "br", "gzip"]),
    ];
    for (program, arguments, codings) in clients {
        let mut command = place.command(program);
        command.args(arguments);
        let done = tokio::task::spawn_blocking(move || Done::of(&mut command));
        let done = done.await.unwrap();
        assert_eq!(done.code, 0, "{done:?}");
        assert!(codings.contains(&done.out.trim()), "{program}: {done:?}");
        let body = std::fs::read(place.path("body")).unwrap();
        assert!(body == text.as_bytes(), "{program}: the bodies differ");
        std::fs::remove_file(place.path("body")).unwrap();
    }
    assert_eq!(api.asked(), 1);
}

/// `npm view` with the proxy for its registry. The machine's own registry is behind the proxy; where none is set, npm's default may be
/// out of reach, and nothing is asked.
#[tokio::test(flavor = "multi_thread")]
async fn npm_goes_through_it() {
    let place = Place::new();
    let registry = Done::of(place.command("npm").args(["config", "get", "registry"]));
    let registry = registry.out.trim().trim_end_matches('/').to_owned();
    if registry.is_empty() || registry.contains("registry.npmjs.org") {
        eprintln!("no registry is configured on this machine: npm was not asked");
        return;
    }
    let log = place.path("log");
    place.write("restow.toml", "[proxy]\naccess_log = \"json\"\n");
    let proxy = Proxy::start_with(
        &place,
        &["--cache", "memory:", "--upstream", &registry],
        std::fs::File::create(&log).unwrap().into(),
    );
    let mut seen = Vec::new();
    for folder in ["one", "two"] {
        let mut npm = place.command("npm");
        // A folder each for npm's own cache: the second answer is the proxy's.
        npm.args([
            "view",
            "picocolors@1.1.1",
            "name",
            "version",
            "--json",
            "--prefer-online",
        ])
        .arg(format!("--cache={}", place.path(folder).display()))
        .arg(format!("--registry={}/", proxy.url));
        let done = Done::of(&mut npm);
        assert_eq!(done.code, 0, "{done:?}");
        seen.push(done.out);
    }
    assert!(seen[0].contains("1.1.1"), "{seen:?}");
    assert_eq!(seen[0], seen[1]);
    let log = std::fs::read_to_string(log).unwrap();
    let outcomes: Vec<String> = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["path"].as_str().unwrap().ends_with("picocolors"))
        .map(|line| line["outcome"].to_string())
        .collect();
    // What a registry lets be stored is not fetched again.
    let client = restow_testkit::http_client().build().unwrap();
    let asked = client
        .get(format!("{registry}/picocolors"))
        .send()
        .await
        .unwrap();
    if asked.headers().contains_key("etag") || asked.headers().contains_key("last-modified") {
        assert!(
            outcomes
                .iter()
                .skip(1)
                .any(|o| o.contains("hit") || o.contains("validated")),
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_cleanly_and_what_it_stored_is_there_for_the_program() {
    let (place, api) = (Place::new(), api().await);
    let proxy = Proxy::start(&place, &["--cache", "api.db", "--upstream", &api.url("")]);
    let client = restow_testkit::http_client().build().unwrap();
    let answer = client
        .get(format!("{}/text", proxy.url))
        .send()
        .await
        .unwrap();
    answer.bytes().await.unwrap();
    assert_eq!(proxy.stop(), Some(0));
    let listed = place.json(&["ls", "everything", "--cache", "api.db"]);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["key"]["url"], api.url("/text"));
    // A second proxy answers from the file.
    let proxy = Proxy::start(&place, &["--cache", "api.db", "--upstream", &api.url("")]);
    let answer = client
        .get(format!("{}/text", proxy.url))
        .send()
        .await
        .unwrap();
    assert!(
        answer.headers()["cache-status"]
            .to_str()
            .unwrap()
            .contains("; hit")
    );
    assert_eq!(api.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_the_way_out() {
    let place = Place::new();
    place.fails(
        &["proxy", "--cache", "memory:"],
        2,
        "there is no upstream; name the API",
    );
    place.fails(
        &[
            "proxy",
            "--cache",
            "memory:",
            "--upstream",
            "api.example.com",
        ],
        2,
        "https://api.example.com",
    );
    place.fails(
        &[
            "proxy",
            "--cache",
            "memory:",
            "--upstream",
            "https://me:secret@api.example.com",
        ],
        2,
        "has a user in its URL",
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.fails(
        &[
            "proxy",
            "--cache",
            "memory:",
            "--upstream",
            "https://api.example.com",
            "--listen",
            &address,
        ],
        2,
        "name another address with --listen",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_operators_on_the_command_line_keeps_the_token_of_the_configuration() {
    let (place, api) = (Place::new().with("ADMIN", "secret"), api().await);
    let admin = "admin = { listen = '127.0.0.1:9', token = { env = 'ADMIN' } }";
    place.write(
        "restow.toml",
        &format!("cache = 'memory:'\n[proxy]\n{admin}\n"),
    );
    let url = api.url("");
    let proxy = Proxy::start(&place, &["--upstream", &url, "--admin", "127.0.0.1:0"]);
    let client = restow_testkit::http_client().build().unwrap();
    let metrics = format!("{}/metrics", proxy.admin.as_deref().unwrap());
    for (token, status) in [("wrong", 401), ("secret", 200)] {
        let asked = client.get(&metrics).bearer_auth(token).send().await;
        assert_eq!(asked.unwrap().status().as_u16(), status, "{token}");
    }
}
