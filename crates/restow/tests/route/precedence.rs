//! The more specific route wins, and two without order are refused.

use super::{show, target, with};
use http::Method;
use restow::{
    ErrorKind,
    route::{NoKey, QueryRules, Router, Undeclared},
};

fn router(templates: &[&'static str]) -> Router<&'static str> {
    let mut router = Router::new();
    for template in templates {
        let route = with(template, QueryRules::default());
        router.insert(Method::GET, route, *template).unwrap();
    }
    router
}

#[test]
fn the_more_specific_route_wins_in_whatever_order_they_were_added() {
    // For each request the routes that match it, the most specific first.
    let cases: &[(&str, &[&str])] = &[
        (
            "https://h/u/me",
            &[
                "https://h/u/me",
                "https://h/u/m{x}",
                "https://h/u/{id}",
                "https://h/u/{+rest}",
                "https://h{/all*}",
            ],
        ),
        (
            "https://h/u/77",
            &[
                "https://h/u/77",
                "https://h/u/7{x:int}",
                "https://h/u/7{x}",
                "https://h/u/{n:int}",
                "https://h/u/{id}",
                "https://h/u{/rest*}",
            ],
        ),
        (
            "https://h/u",
            &["https://h/u", "https://h/{x}", "https://h/{+x}"],
        ),
        (
            "https://h/a-b-c",
            &["https://h/a-b-{x}", "https://h/a-{x}", "https://h/{x}"],
        ),
        // The first difference decides, whatever follows.
        (
            "https://h/a/b/c",
            &[
                "https://h/a/{x}/{y}",
                "https://h/{x}/b/c",
                "https://h/{x}/{y}/c",
                "https://h/{x}/{y}/{z}",
            ],
        ),
        ("https://h/u/1", &["https://h/u/{+rest}", "https://h/{x}/1"]),
        (
            "https://eu.api.h/x",
            &[
                "https://eu.api.h/{+rest}",
                "https://eu.{x}.h/x",
                "https://e{x}.api.h/x",
                "https://{r}.api.h/x",
                "https://{r}.{s}.h/x",
            ],
        ),
        (
            "https://h/s?t=a&i=1",
            &[
                "https://h/s?t=a&i=1",
                "https://h/s?t=a{&i:int!}",
                "https://h/s{?t!,i:int!}",
                "https://h/s{?t!,i!}",
                "https://h/s{?t!,i}",
                "https://h/s{?t,i}",
            ],
        ),
        (
            "https://h/s?n=1",
            &["https://h/s{?n:int}", "https://h/s{?n}"],
        ),
        ("https://h/s?f", &["https://h/s?f", "https://h/s{?f!}"]),
    ];
    for (url, templates) in cases {
        for from in 0..templates.len() {
            let mut shuffled = templates[from..].to_vec();
            let expected = shuffled[0];
            for _ in 0..shuffled.len() {
                shuffled.rotate_left(1);
                let router = router(&shuffled);
                let found = router.find(&Method::GET, &target(url)).unwrap();
                assert_eq!(*found.value, expected, "{url} among {shuffled:?}");
            }
        }
    }
}

#[test]
fn a_branch_that_leads_nowhere_is_left_again() {
    let router = router(&[
        "https://h/a/b/c",
        "https://h/a/{x}/d",
        "https://h/{x}/b/e",
        "https://h/a{x}/b/g",
        "https://h/a/b{?q!}",
        "https://h/a{/rest*}",
        "https://{h}/{+rest}",
        "https://{h}.{n:int}.h/",
        "https://{h}.{i}.h/",
    ]);
    let cases = [
        ("https://h/a/b/c", "https://h/a/b/c", ""),
        ("https://h/a/b/d", "https://h/a/{x}/d", r#""b""#),
        ("https://h/a/b/e", "https://h/a{/rest*}", r#""b/e""#),
        ("https://h/z/b/e", "https://h/{x}/b/e", r#""z""#),
        ("https://h/ab/b/e", "https://h/{x}/b/e", r#""ab""#),
        ("https://h/ab/b/g", "https://h/a{x}/b/g", r#""b""#),
        ("https://h/a/b?q=1", "https://h/a/b{?q!}", r#""1""#),
        ("https://h/a/b", "https://h/a{/rest*}", r#""b""#),
        ("https://h/a", "https://h/a{/rest*}", "-"),
        ("https://h/b", "https://{h}/{+rest}", r#""h" "b""#),
        ("https://i/b", "https://{h}/{+rest}", r#""i" "b""#),
        ("https://i.5.h", "https://{h}.{n:int}.h/", r#""i" 5"#),
        ("https://i.j.h", "https://{h}.{i}.h/", r#""i" "j""#),
    ];
    for (url, template, key) in cases {
        let found = router.find(&Method::GET, &target(url)).unwrap();
        assert_eq!(
            (*found.value, show(&found.key.unwrap())),
            (template, key.into()),
            "{url}"
        );
    }
    assert!(router.find(&Method::GET, &target("http://h/b")).is_none());
    assert!(router.find(&Method::GET, &target("https://a.b/")).is_none());
}

#[test]
fn two_routes_for_one_request_with_neither_more_specific_are_refused_by_name() {
    let clashes = [
        ("https://h/{a}", "https://h/{b}"),
        ("https://h/", "https://h"),
        ("https://h/x", "https://h/%78"),
        ("https://h/{a:int}", "https://h/{b:int}"),
        ("https://h/{a}", "https://h/{b}{?q}"),
        ("https://h/{+a}", "https://h{/b*}"),
        ("https://h/x/{+a}", "https://h/x{/b*}"),
        ("https://h/a-{x}", "https://h/{x}-b"),
        ("https://h/{n:int}-{x}", "https://h/{x}-{n:int}"),
        ("https://h/{n:int}5", "https://h/-{n:int}"),
        ("https://h/{a}-{b}", "https://h/{a}.{b}"),
        // The first difference has no order, and what follows is too late to make one.
        ("https://h/a-{x}/c", "https://h/{x}-b/{y}"),
        ("https://h/a-{x}{?q!}", "https://h/{x}-b"),
        ("https://h/a-{x}/{+r}", "https://h/{x}-b/c/d"),
        ("https://h/a-{x}{/r*}", "https://h/{x}-b"),
        ("https://{a}.h/", "https://{b}.h/"),
        ("https://a{x}.h/", "https://{x}b.h/{+r}"),
        ("https://h/{?a!}", "https://h/{?b!}"),
        ("https://h/{?a!,n:int}", "https://h/{?b!}"),
        ("https://h/?a=1", "https://h/?b=1"),
        ("https://h/?a=1{&b}", "https://h/{?a,b!}"),
        ("https://h/?n=1{&m}", "https://h/?n=1{&k}"),
    ];
    for (a, b) in clashes {
        for (a, b) in [(a, b), (b, a)] {
            let mut router = Router::new();
            let add = |t| with(t, QueryRules::default());
            router.insert(Method::GET, add(a), 1).unwrap();
            let error = router.insert(Method::GET, add(b), 2).expect_err(a);
            assert_eq!(error.kind(), ErrorKind::Route);
            let (a, b) = (add(a).template().to_string(), add(b).template().to_string());
            assert!(
                error.to_string().starts_with(&format!(
                    "the routes GET {a} and GET {b} match one request, and neither is more specific"
                )),
                "{error}"
            );
            assert_eq!(router.len(), 1);
        }
    }
}

#[test]
fn routes_that_share_no_request_stand_side_by_side() {
    let pairs = [
        ("https://h/{a}", "http://h/{b}"),
        ("https://h/{a}", "https://h:8443/{b}"),
        ("https://h/{a}", "https://i/{b}"),
        ("https://h/{a}", "https://h/{a}/"),
        ("https://h/{a}/x", "https://h/{b}/y"),
        ("https://h/a-{x}", "https://h/b-{x}"),
        ("https://h/{x}-a", "https://h/{x}-b"),
        ("https://h/v{n:int}", "https://h/{n:int}v"),
        ("https://h/a-{x}/c", "https://h/{x}-b/d"),
        ("https://h/?t=a{&x}", "https://h/?t=b{&x}"),
        ("https://h/?t=a{&x}", "https://h/?t{&x}"),
        ("https://h/?t=a{&x!}", "https://h/{?t:int!,y!}"),
        ("https://{a}.h/", "https://{a}.i/"),
        ("https://{a}.h/", "https://{a}.{b}.h/"),
    ];
    for (a, b) in pairs {
        router(&[a, b]);
        router(&[b, a]);
    }
}

#[test]
fn each_of_a_thousand_routes_is_found() {
    let mut router = Router::new();
    for api in 0..20 {
        for kind in 0..25 {
            let base = format!("https://api{api}.h/v1/kind{kind}");
            for (value, end) in ["/{id}", "{?page:int}"].into_iter().enumerate() {
                let route = with(&(base.clone() + end), QueryRules::default());
                router
                    .insert(Method::GET, route, (api, kind, value))
                    .unwrap();
            }
        }
    }
    assert_eq!(router.len(), 1000);
    for api in 0..20 {
        for kind in 0..25 {
            for (value, end) in ["/7", ""].into_iter().enumerate() {
                let url = format!("https://api{api}.h/v1/kind{kind}{end}");
                let found = router.find(&Method::GET, &target(&url)).unwrap();
                assert_eq!(*found.value, (api, kind, value));
            }
        }
    }
}

#[test]
fn methods_do_not_meet_but_get_answers_head() {
    let route = || with("https://h/{a}", QueryRules::default());
    let mut router = Router::new();
    router.insert(Method::GET, route(), "get").unwrap();
    router.insert(Method::POST, route(), "post").unwrap();
    router.insert(Method::HEAD, route(), "head").unwrap_err();
    let found = |method| {
        router
            .find(&method, &target("https://h/x"))
            .map(|f| *f.value)
    };
    assert_eq!(found(Method::GET), Some("get"));
    assert_eq!(found(Method::HEAD), Some("get"));
    assert_eq!(found(Method::POST), Some("post"));
    assert_eq!(found(Method::PUT), None);
    let all: Vec<_> = router
        .iter()
        .map(|(method, _, value)| (method.as_str(), *value))
        .collect();
    assert_eq!(all, [("GET", "get"), ("POST", "post")]);
}

#[test]
fn a_request_without_a_key_stays_with_the_route_it_is_of() {
    let mut strict = QueryRules::default();
    strict.undeclared = Undeclared::Bypass;
    let mut router = Router::new();
    router
        .insert(Method::GET, with("https://h/a{?q}", strict), "a")
        .unwrap();
    let all = with("https://h/{+rest}", QueryRules::default());
    router.insert(Method::GET, all, "all").unwrap();
    for (url, why) in [
        ("https://h/a?x=1", NoKey::Undeclared),
        ("https://h/a?q=1&q=2", NoKey::Repeated),
        ("https://h/a?q", NoKey::NoValue),
        ("https://h/a?q=%ff", NoKey::Encoding),
    ] {
        let found = router.find(&Method::GET, &target(url)).unwrap();
        assert_eq!((*found.value, found.key), ("a", Err(why)), "{url}");
    }
}
