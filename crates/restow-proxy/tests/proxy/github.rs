//! The recorded answers of GitHub through the proxy: real headers, and real ways to say how long an answer lives.

use crate::kit::Running;
use restow_proxy::{Options, Upstream};
use restow_testkit::github::{GitHub, recordings};

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_answer_comes_through_as_it_came_and_is_confirmed_by_304() {
    let github = GitHub::start().await;
    let upstream = Upstream::new(&format!("http://{}", github.address())).unwrap();
    // GitHub says `private`: without a principal nothing of it is stored.
    let options = Options {
        default_principal: Some("me".into()),
        ..Options::default()
    };
    let proxy = Running::start(vec![upstream], options, "").await;
    let mut confirmed = 0;
    for (target, answers) in recordings() {
        let recorded = &answers[0];
        let first = proxy.get(&target).await;
        assert_eq!(first.status.as_u16(), recorded.status, "{target}");
        assert!(first.body.as_bytes() == recorded.body, "{target}");
        for name in ["etag", "link", "content-type", "cache-control", "vary"] {
            let lines: Vec<&str> = recorded
                .headers
                .iter()
                .filter(|(n, _)| n.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.as_str())
                .collect();
            assert_eq!(first.header(name), lines.join(", "), "{name} of {target}");
        }
        // Long past its lifetime: a validator brings no body twice.
        proxy.advance(86_400);
        let again = proxy.get(&target).await;
        assert_eq!(
            (again.status, &again.body),
            (first.status, &first.body),
            "{target}"
        );
        confirmed += usize::from(again.header("cache-status").contains("fwd-status=304"));
    }
    assert!(confirmed > 0, "none was confirmed");
}
