//! What holds for every key and every request. `PROPTEST_CASES` says how many are tried.

use super::{
    naive::{Part, Plain},
    route, said, target,
};
use http::{Method, Uri};
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestRng};
use restow::{
    FieldKind, FieldRef, FieldValue, RawKey,
    route::{Matched, Place, QueryRules, Route, Router, Target, Template, Variable},
};

fn cases(usual: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    let cases = cases.and_then(|n| n.parse().ok()).unwrap_or(usual);
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const TEMPLATES: &[&str] = &[
    "https://api.example.com/v1/tracks/{id}{?market,limit:int,ids!}",
    "http://h:8080/{a}/{b:int}{/rest*}{?q}",
    "https://{region}.api-{tenant}.example.com/{+rest}",
    "https://h/x-{a}.{ext}/{n:int}-{m}?type=a%20b{&q}",
    "https://h/{a}--{b}.{c}/%C3%BC?user-id={user}&flag{&n:int}",
    "https://h/{a}-{n:int}-{b}",
];

const TEMPLATE_PIECES: &[&str] = &[
    "{", "}", "/", "?", "&", "#", "a", "=", ":", ":int", "!", "*", "+", ",", ".", "@", "[", "]",
    "%", "é", "8",
];

/// Text that tries to be something else.
fn hostile(rng: &mut TestRng) -> String {
    const PIECES: &[&str] = &[
        "%", "%2F", "%2f", "%zz", "/", "//", "?", "#", "&", "=", "+", " ", ".", "..", "-", "--",
        "{", "}", ":", "@", "\\", "\0", "\n", "\t", "é", "ü", "𝄞", "a", "A", "x", "7", "007", "-0",
        ";", ",", "~", "_", "'", "\"", "<", "*", "\u{feff}", "%C3",
    ];
    let mut text = String::new();
    for _ in 0..below(rng, 6) {
        match below(rng, 5) {
            0 => text.extend(char::from_u32(rng.next_u32() % 0x11_0000)),
            _ => text += PIECES[below(rng, PIECES.len())],
        }
    }
    text
}

fn below(rng: &mut TestRng, bound: usize) -> usize {
    rng.next_u32() as usize % bound
}

/// A value for a variable: mostly of its kind, not always one that a request may have.
fn value(rng: &mut TestRng, variable: &Variable) -> FieldValue {
    let dice = below(rng, 16);
    let number = i64::from_ne_bytes(rng.next_u64().to_ne_bytes()) >> (dice * 4);
    match (variable.kind(), variable.place()) {
        _ if dice == 0 || (dice < 6 && !variable.is_required()) => FieldValue::Absent,
        (FieldKind::Integer, _) => number.into(),
        // Most hostile text is no host at all.
        (_, Place::Host) if dice > 4 => {
            let text = hostile(rng) + "x";
            text.chars()
                .filter(char::is_ascii_alphanumeric)
                .collect::<String>()
                .into()
        }
        _ => hostile(rng).into(),
    }
}

fn raw(values: &[FieldValue]) -> RawKey {
    RawKey::new(values.iter().map(FieldValue::as_ref), "").unwrap()
}

/// What `make` makes; without a tree to shrink, which takes most of the time of a case.
fn made<T: std::fmt::Debug>(make: impl Fn(&mut TestRng) -> T + Clone) -> impl Strategy<Value = T> {
    Just(()).prop_perturb(move |(), mut rng| make(&mut rng))
}

/// Some keys for each template.
fn keys(rng: &mut TestRng) -> Vec<(usize, Vec<FieldValue>)> {
    (0..TEMPLATES.len() * 8)
        .map(|i| {
            let at = i % TEMPLATES.len();
            ROUTES.with(|routes| {
                (
                    at,
                    routes[at]
                        .template()
                        .variables()
                        .map(|v| value(rng, v))
                        .collect(),
                )
            })
        })
        .collect()
}

thread_local! {
    static ROUTES: Vec<Route> = TEMPLATES.iter().map(|t| route(t)).collect();
}

proptest! {
    // With 48 keys each, and those of the tests below: a hundred thousand.
    #![proptest_config(cases(1_600))]

    #[test]
    fn a_request_made_of_a_key_has_that_key(keys in made(keys)) {
        let mut requests = 0;
        for (at, values) in keys {
            ROUTES.with(|routes| {
                let (route, key) = (&routes[at], raw(&values));
                let Ok(url) = route.expand(&key) else { return Ok(()) };
                requests += 1;
                let canonical = route.canonical(key).unwrap();
                prop_assert_eq!(route.key(&target(&url)), Matched::Key(canonical), "{}", &url);
                Ok(())
            })?;
        }
        prop_assert!(requests > 5, "most keys were refused");
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn clients_send_the_url_of_a_key_as_it_is(keys in made(keys)) {
        for (at, values) in keys {
            ROUTES.with(|routes| {
                let Ok(url) = routes[at].expand(&raw(&values)) else { return Ok(()) };
                let uri: Uri = url.parse().unwrap();
                prop_assert_eq!(routes[at].key(&Target::from(&uri)), routes[at].key(&target(&url)));
                let sent = url::Url::parse(&url).unwrap();
                prop_assert_eq!(sent.as_str(), url);
                Ok(())
            })?;
        }
    }

    #[test]
    fn different_keys_have_different_urls(keys in made(|rng| (keys(rng), keys(rng)))) {
        for ((at, values), (_, mut others)) in keys.0.into_iter().zip(keys.1) {
            // Alike but for one value: those are the ones to be confused.
            for (index, (value, other)) in values.iter().zip(&mut others).enumerate() {
                if index != at % values.len() {
                    other.clone_from(value);
                }
            }
            ROUTES.with(|routes| {
                let canonical = |values: &[FieldValue]| routes[at].canonical(raw(values)).unwrap();
                let (a, b) = (canonical(&values), canonical(&others));
                if let (Ok(x), Ok(y)) = (routes[at].expand(&a), routes[at].expand(&b)) {
                    prop_assert_eq!(x == y, a == b);
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn only_empty_and_dots_are_refused_in_a_segment(texts in made(|rng| (0..50).map(|_| (hostile(rng), hostile(rng))).collect::<Vec<_>>())) {
        let route = route("https://h/{id}{?q}");
        for (text, other) in texts {
            let key = RawKey::new([FieldRef::Text(&text), FieldRef::Text(&other)], "").unwrap();
            match route.expand(&key) {
                Ok(url) => prop_assert_eq!(route.key(&target(&url)), Matched::Key(key)),
                Err(_) => prop_assert!(matches!(&*text, "" | "." | "..")),
            }
        }
    }

    #[test]
    fn any_request_with_a_key_has_the_key_of_its_own_url(requests in made(|rng| (0..50).map(|_| (hostile(rng), hostile(rng), hostile(rng))).collect::<Vec<_>>())) {
        let mut templates = TEMPLATES.to_vec();
        templates.extend(["https://h/{a}{?q}", "https://h/{+rest}{?a}", "https://h/{a}/{b}", "https://h{/a*}"]);
        for route in templates.iter().map(|t| route(t)) {
            for (first, second, query) in &requests {
                let path = format!("/{first}/{second}");
                let request = Target { scheme: "https", host: "h", port: None, path: &path, query: Some(query) };
                if let Matched::Key(key) = route.key(&request) {
                    let url = route.expand(&key).unwrap();
                    prop_assert_eq!(route.key(&target(&url)), Matched::Key(key));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn parameter_order_is_irrelevant_but_among_one_name(
        pairs in vec((select(&["a", "b", "m", "%6D", "c"][..]), option::of(0..3_u8)), 0..6),
        turn in 0..6_usize,
    ) {
        let write = |pairs: &[(&'static str, Option<u8>)]| {
            let pair = |(name, value): &(&'static str, Option<u8>)| value.map_or((*name).to_owned(), |v| format!("{name}={v}"));
            let query: Vec<_> = pairs.iter().map(pair).collect();
            format!("https://h/1?{}", query.join("&"))
        };
        // Another order of the names, each name's own parameters in theirs.
        let mut names = ["a", "b", "c", "m"];
        names.rotate_left(turn % 4);
        let plain = |name: &'static str| if name == "%6D" { "m" } else { name };
        let turned: Vec<_> = names
            .iter()
            .flat_map(|name| pairs.iter().filter(|(n, _)| plain(n) == *name).copied())
            .collect();
        let route = route("https://h/{id}{?m}");
        prop_assert_eq!(said(&route, &write(&pairs)), said(&route, &write(&turned)));
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    const LITERALS: &[&str] = &["a", "b", "-", ".", "--", "a-", "-b", "1"];
    let variable = || prop_oneof![2 => Just(Part::Text), 1 => Just(Part::Integer)];
    let literal = || select(LITERALS).prop_map(Part::Literal);
    let segment = prop_oneof![
        literal().prop_map(|l| vec![l]),
        variable().prop_map(|v| vec![v]),
        (literal(), variable()).prop_map(|(l, v)| vec![l, v]),
        (variable(), literal()).prop_map(|(v, l)| vec![v, l]),
        (variable(), literal(), variable()).prop_map(|(v, l, w)| vec![v, l, w]),
        (variable(), literal(), variable(), literal(), variable())
            .prop_map(|(u, l, v, m, w)| vec![u, l, v, m, w]),
    ];
    (vec(segment, 1..4), any::<bool>())
        .prop_map(|(segments, rest)| Plain { segments, rest })
        // A lone `.` is no segment.
        .prop_filter("dots", |plain| Template::parse(&plain.template()).is_ok())
}

fn path() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "a", "b", "-", ".", "1", "12", "%2D", "%61", "%2F", "é", "%", "/", "//",
    ];
    vec(select(PIECES), 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn a_route_reads_what_the_naive_matcher_reads(plain in plain(), paths in vec(path(), 8)) {
        let route = route(&plain.template());
        for path in paths {
            let expected = plain.key(&path).map_or(Matched::No, Matched::Key);
            let url = format!("https://h{path}");
            prop_assert_eq!(route.key(&target(&url)), expected, "{} on {}", plain.template(), url);
        }
    }

    #[test]
    fn a_router_finds_what_a_search_through_all_routes_finds(plains in vec(plain(), 1..12), paths in vec(path(), 8)) {
        let mut router = Router::new();
        let mut kept = Vec::new();
        for plain in plains {
            if router.insert(Method::GET, route(&plain.template()), kept.len()).is_ok() {
                kept.push(plain);
            }
        }
        for path in paths {
            let url = format!("https://h{path}");
            let found = router.find(&Method::GET, &target(&url));
            let winner = found.as_ref().map(|f| *f.value);
            prop_assert_eq!(winner.is_none(), kept.iter().all(|p| p.key(&path).is_none()), "{}", url);
            if let Some(found) = found {
                let winner = &kept[*found.value];
                prop_assert_eq!(found.key.ok(), winner.key(&path));
                for (at, other) in kept.iter().enumerate() {
                    let matches = at != *found.value && other.key(&path).is_some();
                    prop_assert!(!matches || winner.beats(other), "{} not over {}", winner.template(), other.template());
                }
            }
        }
    }

    #[test]
    fn a_template_reads_back_as_it_is_written(at in 0..TEMPLATES.len(), plain in plain()) {
        for text in [TEMPLATES[at], &plain.template()] {
            let template = Template::parse(text).unwrap();
            prop_assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(pieces in vec(select(TEMPLATE_PIECES), 0..14)) {
        let text = format!("https://{}", pieces.concat());
        if let Ok(template) = Template::parse(&text) {
            prop_assert_eq!(&Template::parse(&template.to_string()).unwrap(), &template);
            let fields = template.fields();
            prop_assert!(Route::new(template, &fields, QueryRules::default()).is_ok());
        }
    }
}
