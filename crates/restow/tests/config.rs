//! Configuration files: what loads, and what is said of what does not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use http::{Method, Uri};
use restow::{
    Config, Declaration, DeclaredEndpoint, Error, ErrorKind, Expiry, FieldValue, Json, Millis,
    Mode, Scope, Secret, TestClock,
    codec::Binary,
    endpoint::Coding,
    route::{Matched, Router, Target, Undeclared},
    store::{Budget, Compression},
};
use serde_json::{Value, json};
use std::{
    error::Error as _,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// An endpoint on the lines 1 to 3.
const TRACKS: &str =
    "[[endpoint]]\nname = \"tracks\"\nroute = \"https://a.example/{id}{?market,limit:int}\"\n";

fn wrong(text: &str) -> Error {
    match Config::parse(text, "restow.toml") {
        Ok(config) => panic!("{text} is taken: {config:?}"),
        Err(error) => error,
    }
}

#[test]
fn a_mistake_is_named_with_line_and_way_out() {
    let cases = [
        (
            "\ncache = ",
            r#"restow.toml:2: string values must be quoted, expected literal string"#,
        ),
        (
            "cache = 'a'\ncache = 'b'",
            r#"restow.toml:2: duplicate key "cache"; leave one of them out"#,
        ),
        (
            "cach = 'x'",
            r#"restow.toml:1: unknown key "cach"; did you mean "cache"?"#,
        ),
        (
            "\r\n\r\nexpire-after = '1 day'",
            r#"restow.toml:3: unknown key "expire-after"; did you mean "expire_after"?"#,
        ),
        (
            "[[endpoints]]",
            r#"restow.toml:1: unknown key "endpoints"; did you mean "endpoint"?"#,
        ),
        (
            "# é\nroute = 'x'",
            r#"restow.toml:2: unknown key "route"; it belongs in an [[endpoint]]"#,
        ),
        (
            "zzz = 1\ncach = 1",
            r#"restow.toml:1: unknown key "zzz"; the keys are cache, name, principal, memory, mode, expire_after, keep, stale_if_error, stale_while_revalidate, error_statuses, credentials, max_bytes, max_entries, endpoint, proxy, upstream"#,
        ),
        (
            "cache = 7",
            r#"restow.toml:1: cache: write text in quotes, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "cache = { evn = 'X' }",
            r#"restow.toml:1: cache: write text in quotes, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "principal = { env = 'X', file = 'y' }",
            r#"restow.toml:1: principal: write text in quotes, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "\nexpire_after = 'soon'",
            r#"restow.toml:2: expire_after: "soon" is not a lifetime; write it like "90 seconds", "2 weeks", "1 month" or "never""#,
        ),
        (
            "expire_after = 7",
            r#"restow.toml:1: expire_after: invalid type: integer `7`, expected a lifetime such as "7 days" or "never""#,
        ),
        (
            "keep = 'never'",
            r#"restow.toml:1: keep: "never" has no end; write a length such as "30 days", or "forever""#,
        ),
        (
            "stale_if_error = 'x'",
            r#"restow.toml:1: stale_if_error: "x" is not a length of time; write it like "90 seconds", "30 days" or "forever""#,
        ),
        (
            "mode = 'fast'",
            r#"restow.toml:1: mode: "fast" is not a mode; the modes are live, revalidate, refresh, read-only, offline, bypass"#,
        ),
        (
            "error_statuses = [\n200,\n99]",
            r#"restow.toml:3: error_statuses: invalid value: integer `99`, expected a status from 100 to 999"#,
        ),
        (
            "max_bytes = 'lots'",
            r#"restow.toml:1: max_bytes: "lots" is not a size; write it like "16 MiB" or "1.5 GB""#,
        ),
        (
            "max_bytes = -1",
            r#"restow.toml:1: max_bytes: invalid value: integer `-1`, expected a size such as "16 MiB", or a number of bytes"#,
        ),
        (
            "credentials = ['header:x', 'x-me']",
            r#"restow.toml:1: credentials: "x-me" is not a credential; write "header:NAME", "cookie", "cookie:NAME" or "query:NAME""#,
        ),
        (
            "[endpoint]\nname = 'a'",
            "restow.toml:1: endpoints are a list: write [[endpoint]], with two brackets",
        ),
        (
            "endpoint = [1]",
            "restow.toml:1: endpoints are tables: write [[endpoint]], with two brackets",
        ),
        (
            "\n[[endpoint]]\n",
            r#"restow.toml:2: name in [[endpoint]] number 1: there is no name; every endpoint has one, such as name = "tracks""#,
        ),
        (
            "[[endpoint]]\nname = 1",
            r#"restow.toml:2: name in [[endpoint]] number 1: invalid type: integer `1`, expected a name in quotes"#,
        ),
        (
            "[[endpoint]]\nname = 'restow_a'\nroute = 'https://a.example/'",
            r#"restow.toml:2: name in [[endpoint]] "restow_a": "restow_a" cannot name a repository; names that begin with restow_ are the store's own"#,
        ),
        (
            "[[endpoint]]\nname = 'a'",
            r#"restow.toml:1: route in [[endpoint]] "a": there is no route; write one, such as route = "GET https://api.example.com/tracks/{id}""#,
        ),
    ];
    for (text, message) in cases {
        let error = wrong(text);
        assert_eq!(error.to_string(), message, "{text}");
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
    }
}

#[test]
fn a_mistake_in_an_endpoint_names_the_endpoint() {
    // Each is the line 4 of the file; what is said of it begins with the line.
    let cases = [
        (
            "expire_afer = '1 day'",
            r#"4: unknown key "expire_afer" in [[endpoint]] "tracks"; did you mean "expire_after"?"#,
        ),
        (
            "cache = 'x'",
            r#"4: unknown key "cache" in [[endpoint]] "tracks"; it belongs above the first [[endpoint]]"#,
        ),
        (
            "expire_after = true",
            r#"4: expire_after in [[endpoint]] "tracks": invalid type: boolean `true`, expected a lifetime such as "7 days" or "never""#,
        ),
        (
            "freshness = 'x'",
            r#"4: freshness in [[endpoint]] "tracks": "x" is no rule of freshness; write "expire_after", where this file decides, or "http", where the answers do"#,
        ),
        (
            "codec = 'jsn'",
            r#"4: codec in [[endpoint]] "tracks": "jsn" is no codec of a file; write "json", "text" or "binary", or leave it out: the content type tells"#,
        ),
        (
            "fields = ['id']",
            r#"3: route in [[endpoint]] "tracks": route "https://a.example/{id}{?market,limit:int}": the variable "market" is not a field; the fields are (id)"#,
        ),
        (
            "fields = ['id:number']",
            r#"4: fields in [[endpoint]] "tracks": "id:number" is not a field; write it like "id", "offset:int" or "market?" (which may be absent)"#,
        ),
        (
            "defaults = { markt = 'GB' }",
            r#"4: defaults in [[endpoint]] "tracks": the default is for "markt", which is no field; the fields are (id, market, limit)"#,
        ),
        (
            "defaults = { market = 1 }",
            r#"4: defaults in [[endpoint]] "tracks": route "https://a.example/{id}{?market,limit:int}": the default 1 of "market" is not of its kind, text"#,
        ),
        (
            "defaults = { market = true }",
            r#"4: defaults in [[endpoint]] "tracks": invalid type: boolean `true`, expected text or an integer"#,
        ),
        (
            "defaults = [1]",
            r#"4: defaults in [[endpoint]] "tracks": invalid type: sequence, expected a table such as { name = value }"#,
        ),
        (
            "undeclared = 'drop'",
            r#"4: undeclared in [[endpoint]] "tracks": "drop" is not one of "key", "ignore", "bypass""#,
        ),
        (
            "compression = 'gzip'",
            r#"4: compression in [[endpoint]] "tracks": "gzip" is not one of "none", "zstd""#,
        ),
        (
            "on_schema_change = ''",
            r#"4: on_schema_change in [[endpoint]] "tracks": "" is not one of "refuse", "migrate", "set-aside""#,
        ),
        (
            "columns = { a = 'b' }",
            r#"4: columns in [[endpoint]] "tracks": "b" is not a JSON pointer (RFC 6901); it begins with "/", as in "/artists/0/id""#,
        ),
        (
            "columns = { id = '/b' }",
            r#"4: columns in [[endpoint]] "tracks": "id" cannot name a column; another field or column has this name, upper and lower case being alike"#,
        ),
        (
            "label = ['/a',\n'b']",
            r#"5: label in [[endpoint]] "tracks": "b" is not a JSON pointer (RFC 6901); it begins with "/", as in "/artists/0/id""#,
        ),
        (
            "negative = { 404 = 'soon' }",
            r#"4: negative in [[endpoint]] "tracks": "soon" is not a lifetime; write it like "90 seconds", "2 weeks", "1 month" or "never""#,
        ),
        (
            "negative = { 99 = '1 day' }",
            r#"4: negative in [[endpoint]] "tracks": invalid value: string "99", expected a status from 100 to 999"#,
        ),
        (
            "statuses = -5",
            r#"4: statuses in [[endpoint]] "tracks": invalid value: integer `-5`, expected a status from 100 to 999"#,
        ),
        (
            "max_body = '16 MX'",
            r#"4: max_body in [[endpoint]] "tracks": "16 MX" is not a size; write it like "16 MiB" or "1.5 GB""#,
        ),
        (
            "max_entries = -1",
            r#"4: max_entries in [[endpoint]] "tracks": invalid value: integer `-1`, expected a whole number from 0"#,
        ),
        (
            "max_variants = 70000",
            r#"4: max_variants in [[endpoint]] "tracks": invalid value: integer `70000`, expected a whole number from 0 to 65535"#,
        ),
        (
            "upstream_encoding = 'deflate'",
            r#"4: upstream_encoding in [[endpoint]] "tracks": "deflate" is not one of "identity", "gzip", "br", "zstd", "client""#,
        ),
        (
            "share = 1",
            r#"4: share in [[endpoint]] "tracks": invalid type: integer `1`, expected a boolean"#,
        ),
        (
            "redirect_origins = 'https://b.example/c'",
            r#"4: redirect_origins in [[endpoint]] "tracks": "https://b.example/c" is not an origin; write scheme, host and port alone, as in "https://cdn.example.com""#,
        ),
        (
            "routes = ['https://b.example/']",
            r#"4: routes in [[endpoint]] "tracks": route and routes are both there; list all in routes, the canonical one first"#,
        ),
        (
            "method = 'POST'\nfields = ['id', 'market?', 'limit:int?']",
            r#"5: fields in [[endpoint]] "tracks": the fields of a POST endpoint end with "body_digest", the digest of the body; add it"#,
        ),
        (
            "credentials = ['query:market']",
            r#"3: route in [[endpoint]] "tracks": route "https://a.example/{id}{?market,limit:int}": the parameter "market" holds a credential, which is never in a key; leave it out"#,
        ),
        (
            "\n[[endpoint]]\nroute = 'https://b.example/'\nname = 'Tracks'",
            r#"7: name in [[endpoint]] "Tracks": the endpoint of line 2 has this name; give this one another"#,
        ),
        (
            "[[endpoint]]\nname = 'two'\nroute = 'https://a.example/{name}{?limit:int}'",
            r#"6: route in [[endpoint]] "two": the routes GET https://a.example/{id}{?market,limit:int} and GET https://a.example/{name}{?limit:int} match one request, and neither is more specific; change one, or require a query parameter that tells them apart"#,
        ),
    ];
    for (line, message) in cases {
        let error = wrong(&format!("{TRACKS}{line}\n"));
        assert_eq!(
            error.to_string(),
            format!("restow.toml:{message}"),
            "{line}"
        );
        assert_eq!(error.kind(), ErrorKind::Config, "{line}");
    }
}

#[test]
fn a_wrong_route_says_what_to_write() {
    let cases = [
        (
            "'DELETE https://a.example/'",
            "3: route",
            "the method is DELETE; an endpoint has GET (answering HEAD too) or POST",
        ),
        (
            "'HEAD https://a.example/'",
            "3: route",
            "HEAD needs no endpoint of its own",
        ),
        (
            "'get https://a.example/'",
            "3: route",
            "the method is written \"GET\"",
        ),
        ("'https://a.example/{'", "3: route", "close this { with }"),
        (
            "'a.example/c'",
            "3: route",
            "a route begins with https:// or http:// and a host",
        ),
    ];
    for (route, place, message) in cases {
        let error = wrong(&format!("[[endpoint]]\nname = 'a'\nroute = {route}")).to_string();
        assert!(
            error.starts_with(&format!("restow.toml:{place} in [[endpoint]] \"a\": ")),
            "{error}"
        );
        assert!(error.contains(message), "{error}");
    }
    let several = [
        (
            "['GET https://a.example/',\n'POST https://b.example/']",
            "3",
            "an endpoint has one method, and here are GET and POST",
        ),
        (
            "['https://a.example/{x}',\n'https://b.example/{y}']",
            "3",
            "the variable \"y\" is not a field; the fields are (x)",
        ),
        (
            "['https://a.example/{x}',\n'https://b.example/{']",
            "4",
            "close this { with }",
        ),
    ];
    for (routes, line, message) in several {
        let error = wrong(&format!("[[endpoint]]\nname = 'a'\nroutes = {routes}")).to_string();
        assert!(
            error.starts_with(&format!(
                "restow.toml:{line}: routes in [[endpoint]] \"a\": "
            )),
            "{error}"
        );
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_tables_of_a_proxy_are_read_and_their_mistakes_are_named() {
    let config = Config::parse(
        r#"
        [proxy]
        listen = "127.0.0.1:8080"
        name = "edge"
        admin = { listen = "127.0.0.1:9090", token = { env = "CARGO_PKG_NAME" } }
        principal = { header = "X-Tenant", trust = ["127.0.0.1/32"] }
        tls = { certificate = "cert.pem", key = "key.pem" }
        forward = "api.example.com"
        access_log = "json"
        encode = false
        encode_from = "4 KiB"
        max_connections = 100
        max_head = "8 KiB"
        max_body = "1 MiB"
        max_request_body = "2 MiB"
        head_timeout = "1 second"
        connect_timeout = "2 seconds"
        upstream_timeout = "3 seconds"
        idle_timeout = "4 seconds"
        drain_timeout = "5 seconds"
        [[upstream]]
        url = "https://api.example.com"
        mount = "/music"
        host = "music.example"
        ca = "ca.pem"
        rewrite_links = true
        rewrite_pointers = ["/next", "/items/*/href"]
        headers = { Authorization = { env = "CARGO_PKG_NAME" } }
        "#,
        "restow.toml",
    )
    .unwrap();
    let proxy = config.proxy().unwrap();
    assert_eq!(proxy.listen, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(proxy.max_head, Some(8 << 10));
    assert_eq!(
        (proxy.encode, proxy.encode_from),
        (Some(false), Some(4 << 10))
    );
    assert_eq!(proxy.drain_timeout, Some(Duration::from_secs(5)));
    assert_eq!(&*proxy.forward[0], "api.example.com");
    let upstream = &proxy.upstreams[0];
    assert_eq!(upstream.mount.as_deref(), Some("/music"));
    assert_eq!(upstream.ca.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!(
        *upstream.rewrite_pointers,
        ["/next", "/items/*/href"].map(Box::<str>::from)
    );
    assert_eq!(upstream.headers[0].1.reveal().unwrap(), "restow");
    assert!(Config::parse("", "restow.toml").unwrap().proxy().is_none());

    for (text, message) in [
        (
            "[proxy]\nlisten = 'here'",
            "restow.toml:2: listen in [proxy]: ",
        ),
        (
            "[proxy]\nencode = 'gzip'",
            "restow.toml:2: encode in [proxy]: invalid type: string \"gzip\", expected a boolean",
        ),
        (
            "[proxy]\nencode_from = 'all'",
            "restow.toml:2: encode_from in [proxy]: \"all\" is not a size; ",
        ),
        (
            "[proxy]\nlitsen = '127.0.0.1:80'",
            "restow.toml:2: unknown key \"litsen\" in [proxy]; did you mean \"listen\"?",
        ),
        (
            "[proxy]\nadmin = { listen = '127.0.0.1:1', tokn = 'x' }",
            "restow.toml:2: admin in [proxy]: ",
        ),
        (
            "[[upstream]]\nmount = '/'",
            "restow.toml:1: [[upstream]] number 1 has no url; ",
        ),
        (
            "[[upstream]]\nurl = 'https://a'\nrewrite_pointers = 'next'",
            "restow.toml:3: rewrite_pointers in [[upstream]] number 1: \"next\" is not a JSON pointer (RFC 6901); ",
        ),
        (
            "[upstream]\nurl = 'https://a'",
            "restow.toml:1: upstreams are a list: ",
        ),
        ("proxy = 1", "restow.toml:1: [proxy] is a table; "),
    ] {
        let error = wrong(text);
        assert!(error.to_string().starts_with(message), "{error}");
        assert_eq!(error.kind(), ErrorKind::Config);
    }
    let shown = format!(
        "{:?}",
        wrong("[[upstream]]\nurl = 'https://a'\nheaders = { A = ['canary'] }")
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn what_this_version_does_not_have_is_refused() {
    let jitter = format!("{TRACKS}jitter = '1 minute'");
    let cases = [(
        &*jitter,
        r#"restow.toml:4: "jitter" in [[endpoint]] "tracks" is for a later version; leave it out"#,
    )];
    for (text, message) in cases {
        let error = wrong(text);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn every_key_means_what_it_says() {
    let config = Config::parse(
        r#"
        cache = "memory:"
        name = "music"
        principal = "me"
        mode = "read-only"
        max_bytes = "1 KiB"
        max_entries = 3

        [[endpoint]]
        name = "tracks"
        method = "GET"
        routes = ["GET HTTPS://api.example.com/{id}{?market,page:int}", "https://old.example.com/{id}{?page:int,market}"]
        codec = "json"
        fields = ["page:int?", "id", { name = "market", optional = true }]
        defaults = { page = 1 }
        undeclared = "ignore"
        ignore = "utm_*"
        columns = { artist = "/artist" }
        label = "/name"
        freshness = "expire_after"
        expire_after = "1 month"
        keep = "forever"
        stale_if_error = "1 hour"
        stale_while_revalidate = "90 s"
        error_statuses = 500
        statuses = [200]
        negative = { 404 = "10 minutes" }
        require = "/id"
        reject = ["/error"]
        max_body = "1.5 MB"
        credentials = ["header:x-me"]
        share = true
        force = true
        redirect_origins = ["HTTPS://CDN.example.com:443/"]
        on_schema_change = "set-aside"
        max_bytes = 5_000_000_000
        max_entries = 7
        max_variants = 2
        compression = "zstd"
        upstream_encoding = "gzip"

        [[endpoint]]
        name = "posted"
        route = "POST https://api.example.com/search{?q}"
        "#,
        "restow.toml",
    )
    .unwrap();
    assert_eq!(config.cache_url().unwrap().as_deref(), Some("memory:"));
    assert_eq!(
        (config.name(), config.mode()),
        (Some("music"), Some(Mode::ReadOnly))
    );
    assert_eq!(config.principal().unwrap().as_deref(), Some("me"));

    let tracks = config.endpoint("tracks").unwrap();
    assert_eq!(tracks.method, Method::GET);
    let templates: Vec<_> = tracks.templates.iter().map(ToString::to_string).collect();
    assert_eq!(
        templates,
        [
            "https://api.example.com/{id}{?market,page:int}",
            "https://old.example.com/{id}{?page:int,market}"
        ]
    );
    let fields: Vec<_> = tracks.fields.iter().map(ToString::to_string).collect();
    assert_eq!(fields, ["page:int?", "id", "market?"]);
    assert_eq!(
        (&*tracks.codec, tracks.query.undeclared),
        ("json", Undeclared::Ignore)
    );
    assert_eq!(
        tracks.query.defaults,
        [("page".into(), FieldValue::Integer(1))]
    );
    assert_eq!(tracks.query.ignore, [Box::<str>::from("utm_*")]);
    assert_eq!(
        (&*tracks.columns[0].name, &*tracks.columns[0].pointer),
        ("artist", "/artist")
    );
    assert_eq!(tracks.label, [Box::<str>::from("/name")]);
    let rules = &tracks.rules;
    assert_eq!(rules.expire_after, Some("1 month".parse().unwrap()));
    assert_eq!(rules.keep, Some(Duration::MAX));
    assert_eq!(rules.stale_if_error, Some(Duration::from_secs(3600)));
    assert_eq!(rules.stale_while_revalidate, Some(Duration::from_secs(90)));
    assert_eq!(rules.error_statuses.as_deref().unwrap(), [500]);
    assert_eq!(rules.statuses.as_deref().unwrap(), [200]);
    assert_eq!(
        rules.negative(http::StatusCode::NOT_FOUND),
        Some(Expiry::from(Duration::from_secs(600)))
    );
    assert_eq!(
        (&*rules.require, &*rules.reject),
        (&["/id".into()][..], &["/error".into()][..])
    );
    assert_eq!(rules.max_body, 1_500_000);
    assert!(rules.credentials.as_ref().unwrap().is_header("X-Me") && rules.share && rules.force);
    assert_eq!(
        rules.redirect_origins,
        [Box::<str>::from("https://cdn.example.com")]
    );
    assert_eq!(
        (rules.budget.bytes, rules.budget.entries, rules.max_variants),
        (Some(5_000_000_000), Some(7), 2)
    );
    assert_eq!(rules.compression, Compression::Zstd);
    assert_eq!(rules.upstream_encoding, Some(Coding::Gzip));

    let posted = &config.endpoints()[1];
    let asks_for = posted.rules.upstream_encoding;
    assert_eq!(asks_for, Some(Coding::Identity), "unless told");
    let fields: Vec<_> = posted.fields.iter().map(ToString::to_string).collect();
    assert_eq!(
        (&posted.method, fields.as_slice()),
        (
            &Method::POST,
            &["q?".to_owned(), "body_digest".to_owned()][..]
        )
    );
    assert_eq!(
        (&*posted.codec, posted.rules.budget),
        ("auto", Budget::default()),
        "the budget of the cache is that of all repositories together"
    );
    let whole = Budget {
        bytes: Some(1024),
        entries: Some(3),
    };
    assert_eq!(config.budget(), whole);
}

#[test]
fn sizes_are_read_as_people_write_them() {
    let cases = [
        ("0", 0),
        ("1_000", 1000),
        ("'1000'", 1000),
        ("'16 MiB'", 16 << 20),
        ("'16MiB'", 16 << 20),
        ("' 40 GiB '", 40 << 30),
        ("'1.5 KiB'", 1536),
        ("'2 GB'", 2_000_000_000),
        ("'8 EiB'", 1 << 63),
    ];
    for (text, bytes) in cases {
        let config = Config::parse(&format!("{TRACKS}max_body = {text}"), "restow.toml").unwrap();
        assert_eq!(config.endpoints()[0].rules.max_body, bytes, "{text}");
    }
}

#[test]
fn examples_load_and_their_endpoints_open() {
    for (file, text) in documents() {
        let config = Config::parse(&text, &file).unwrap_or_else(|e| panic!("{e}"));
        for endpoint in config.endpoints() {
            DeclaredEndpoint::from_declaration(endpoint.clone(), Binary).unwrap();
        }
    }
}

#[test]
fn requests_to_github_find_their_endpoint_and_come_back_from_their_key() {
    let config = Config::load(root().join("examples/github.toml")).unwrap();
    let mut router = Router::new();
    for endpoint in config.endpoints() {
        for route in endpoint.routes(&[]).unwrap() {
            router
                .insert(endpoint.method.clone(), route, endpoint.name.as_str())
                .unwrap();
        }
    }
    let cases = [
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust",
            "repos",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/issues",
            "issues",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/issues?page=2&state=all",
            "issues",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/issues/7",
            "issue",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/issues/comments",
            "",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/releases/latest",
            "latest-release",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/releases/12",
            "release",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/releases/tags/latest",
            "release-by-tag",
        ),
        ("HEAD", "https://api.github.com/user", "me"),
        ("GET", "https://api.github.com/users/octocat", "users"),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/contents",
            "contents",
        ),
        (
            "GET",
            "https://api.github.com/repos/rust-lang/rust/contents/src/lib.rs?ref=beta",
            "contents",
        ),
        (
            "GET",
            "https://api.github.com/search/repositories?q=cache&page=2",
            "search",
        ),
        ("GET", "https://api.github.com/search/repositories", ""),
        ("POST", "https://api.github.com/graphql", "graphql"),
        ("GET", "https://api.github.com/graphql", ""),
        (
            "GET",
            "https://raw.github.com/rust-lang/rust/main/src/lib.rs",
            "raw",
        ),
        ("GET", "https://api.github.com/licenses/mit", "licenses"),
    ];
    for (method, url, name) in cases {
        let uri: Uri = url.parse().unwrap();
        let found = router.find(&method.parse().unwrap(), &Target::from(&uri));
        assert_eq!(
            found.as_ref().map_or("", |f| f.value),
            name,
            "{method} {url}"
        );
    }
    let issues = &config.endpoint("issues").unwrap().routes(&[]).unwrap()[0];
    let key = |url: &str| match issues.key(&Target::from(&url.parse::<Uri>().unwrap())) {
        Matched::Key(key) => key,
        other => panic!("{other:?}"),
    };
    let plain = "https://api.github.com/repos/rust-lang/rust/issues";
    assert_eq!(key(plain), key(&format!("{plain}?state=open&page=1")));
    assert_ne!(key(plain), key(&format!("{plain}?state=all")));
    let legacy: Uri = "https://raw.github.com/rust-lang/rust/main/src/lib.rs?utm_source=x"
        .parse()
        .unwrap();
    let raw = config.endpoint("raw").unwrap().routes(&[]).unwrap();
    let Matched::Key(key) = raw[1].key(&Target::from(&legacy)) else {
        panic!("no key")
    };
    assert_eq!(
        raw[0].expand(&key).unwrap(),
        "https://raw.githubusercontent.com/rust-lang/rust/main/src/lib.rs"
    );
}

#[test]
fn the_documentation_has_every_key() {
    let docs = fs::read_to_string(root().join("docs/CONFIG.md")).unwrap();
    for text in ["zzz = 1".to_owned(), format!("{TRACKS}zzz = 1")] {
        let error = wrong(&text).to_string();
        let (_, keys) = error.split_once("the keys are ").unwrap();
        for key in keys.split(", ") {
            assert!(
                docs.contains(&format!("`{key}`")) || docs.contains(&format!("`[[{key}]]`")),
                "{key} is not documented"
            );
        }
    }
}

#[test]
fn a_secret_is_looked_up_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, "memory:\r\n").unwrap();
    let parse = |text: &str| Config::parse(text, "restow.toml").unwrap();
    // The test runner sets this one.
    let config = parse("cache.env = 'CARGO_PKG_NAME'");
    assert_eq!(config.cache_url().unwrap().as_deref(), Some("restow"));
    let config = parse(&format!("cache = {{ file = '{}' }}", file.display()));
    assert_eq!(config.cache_url().unwrap().as_deref(), Some("memory:"));
    assert_eq!(parse("").cache_url().unwrap(), None);

    let error = parse("\ncache = { env = 'RESTOW_TEST_NOT_SET' }")
        .cache_url()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "restow.toml:2: cache: the environment variable RESTOW_TEST_NOT_SET is not set; set it, or write the value"
    );
    fs::write(&file, "\n").unwrap();
    let error = Secret::file(&file).reveal().unwrap_err();
    assert_eq!(
        error.message(),
        format!("there is nothing in the file {}", file.display())
    );
    fs::remove_file(&file).unwrap();
    let error = Secret::file(&file).reveal().unwrap_err();
    assert!(error.source().is_some(), "{error}");
}

#[test]
fn no_secret_is_ever_shown() {
    const CANARY: &str = "canary";
    let config = Config::parse(
        "cache = 'postgres://me:canary@db/x'\nprincipal = 'canary'",
        "restow.toml",
    )
    .unwrap();
    let shown = format!("{config} {config:?} {:#?}", config);
    assert!(!shown.contains(CANARY), "{shown}");
    let secret = Secret::new(CANARY);
    assert!(!format!("{secret} {secret:?}").contains(CANARY));

    let texts = [
        "cache = 'postgres://me:canary@db/x",
        "cache = postgres://me:canary@db/x",
        "cache = \"postgres://me:\\canary@db\"",
        "cache = 'canary' 'canary'",
        "cache = ['canary']",
        "cache = { value = 'canary' }",
        "cache = { env = ['canary'] }",
        "cache = 'canary'\nmode = 1",
        "cache = 'canary'\ncache = 'canary'",
        "principal = { env = 'X', value = 'canary' }",
    ];
    for text in texts {
        let error = wrong(text);
        let shown = format!("{error} {error:?} {:?}", error.source());
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let error = Config::load(&path).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("the configuration {} cannot be read", path.display())
    );
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.source().is_some());
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The example files, and the blocks of the documentation.
fn documents() -> Vec<(String, String)> {
    let mut out = Vec::new();
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            out.push((
                path.display().to_string(),
                fs::read_to_string(&path).unwrap(),
            ));
        }
    }
    let docs = fs::read_to_string(root().join("docs/CONFIG.md")).unwrap();
    let mut blocks = docs.split("```");
    let mut line = 1;
    while let (Some(text), Some(block)) = (blocks.next(), blocks.next()) {
        line += text.lines().count();
        if let Some(toml) = block.strip_prefix("toml\n") {
            out.push((
                format!("docs/CONFIG.md, block of line {line}"),
                toml.to_owned(),
            ));
        }
        line += block.lines().count();
    }
    assert!(out.len() > 6, "the examples are not found");
    out
}

#[tokio::test]
async fn a_configuration_opens_as_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"
        cache = "sqlite://{}"
        name = "music"
        principal = "me"
        mode = "offline"
        expire_after = "2 days"
        keep = "3 days"
        max_bytes = "1 MiB"

        [[endpoint]]
        name = "tracks"
        route = "https://api.example.com/v1/tracks/{{id}}{{?market}}"
        codec = "json"

        [[endpoint]]
        name = "albums"
        route = "https://api.example.com/v1/albums/{{id}}"
        keep = "forever"
        max_bytes = "2 MiB"
        "#,
        folder.path().join("music.db").display()
    );
    let config = Config::parse(&text, "restow.toml").unwrap();
    let cache = config.open().await.unwrap();
    assert_eq!(
        (cache.name(), cache.mode(), cache.len()),
        ("music", Mode::Offline, 2)
    );
    assert_eq!(cache.expire_after(), "2 days".parse().unwrap());

    let tracks = cache
        .typed::<(String, Option<String>), Json<Value>>("tracks")
        .unwrap();
    let key = ("6fWo".to_owned(), None);
    tracks.save(&key, &json!({"id": "6fWo"})).await.unwrap();
    assert_eq!(tracks.get(&key).await.unwrap(), Some(json!({"id": "6fWo"})));
    // What was saved belongs to the principal of the file.
    assert_eq!(
        cache
            .principal("me")
            .unwrap()
            .repository("tracks")
            .unwrap()
            .count(Scope::Live)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        cache
            .principal("you")
            .unwrap()
            .repository("tracks")
            .unwrap()
            .count(Scope::Live)
            .await
            .unwrap(),
        0
    );

    let mut tables = cache.store().tables().await.unwrap();
    tables.sort_by_key(|t| t.name.clone());
    let [albums, tracks] = tables.as_slice() else {
        panic!("{tables:?}")
    };
    assert_eq!(
        (albums.keep, albums.budget.bytes),
        (Duration::from_millis(i64::MAX as u64), Some(2 << 20))
    );
    assert_eq!(
        (tracks.keep, tracks.budget.bytes),
        (Duration::from_secs(3 * 86_400), None)
    );
    assert!(
        tracks.ranked && albums.ranked,
        "the budget of the cache needs the order of use"
    );
    assert_eq!(
        Declaration::from_json(&tracks.declaration).as_ref().ok(),
        config.endpoint("tracks")
    );
    cache.close().await.unwrap();
}

#[tokio::test]
async fn a_configuration_without_a_store_says_so() {
    let error = Config::parse(TRACKS, "restow.toml")
        .unwrap()
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        error.to_string(),
        "restow.toml: there is no cache; write one at the top, such as cache = \"sqlite://cache.db\""
    );
}

#[tokio::test]
async fn what_is_kept_forever_is_there_a_thousand_years_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("a.db").display());
    for url in ["memory:", &file] {
        let text = format!(
            "cache = '{url}'\n{TRACKS}expire_after = '1 day'\nkeep = 'forever'\ndefaults = {{ limit = 20 }}"
        );
        let config = Config::parse(&text, "restow.toml").unwrap();
        let clock = TestClock::at(Millis(0));
        let cache = config
            .builder()
            .unwrap()
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let endpoint =
            DeclaredEndpoint::from_declaration(config.endpoints()[0].clone(), Binary).unwrap();
        cache.create_repository(endpoint).await.unwrap();
        let tracks = cache
            .typed::<(String, Option<String>, Option<i64>), Binary>("tracks")
            .unwrap();
        tracks
            .save(&("a".to_owned(), None, None), &"body".into())
            .await
            .unwrap();
        clock.advance(Duration::from_secs(1000 * 365 * 86_400));
        assert_eq!(tracks.sweep().await.unwrap(), 0, "{url}");
        assert_eq!(tracks.count(Scope::Live).await.unwrap(), 0, "{url}");
        assert_eq!(tracks.count(Scope::Expired).await.unwrap(), 1, "{url}");
        cache.close().await.unwrap();
    }
}
