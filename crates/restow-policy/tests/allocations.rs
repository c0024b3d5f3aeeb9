//! The hit path allocates nothing.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use restow_policy::*;

#[test]
fn deciding_on_a_hit_allocates_nothing() {
    let mut answer = HeaderMap::new();
    answer.insert("cache-control", HeaderValue::from_static("max-age=60"));
    let facts = Facts::parse(StatusCode::OK, &answer, 0, 0);
    let mut headers = HeaderMap::new();
    headers.insert("accept", HeaderValue::from_static("application/json"));
    headers.append("x-custom", HeaderValue::from_static("one"));
    headers.append("x-custom", HeaderValue::from_static("two"));
    headers.insert("if-none-match", HeaderValue::from_static("\"a\""));
    let control = "max-age=600, min-fresh=1, x=\"y\"";
    headers.insert("cache-control", HeaderValue::from_static(control));
    let request = Request {
        method: &Method::GET,
        headers: &headers,
        credential: false,
    };
    for vary in ["", "accept", "accept,authorization,x-custom"] {
        let role = |name: &str| match name {
            "authorization" => Role::Credential,
            _ => Role::Selects,
        };
        let mut variant_of = |names: &str| variant(names, &headers, &role, &[0; 32]);
        let stored = Stored {
            status: StatusCode::OK,
            facts: &facts,
            vary,
            variant: variant_of(vary).unwrap(),
            etag: Some(b"\"a\""),
            last_modified: None,
            expires_at: Some(60_000),
            stored_at: 0,
            keep_until: None,
        };
        let other = Stored {
            variant: 5,
            ..stored
        };
        let info = allocation_counter::measure(|| {
            let decision = on_request(
                &request,
                [other, stored].into_iter(),
                1_000,
                &Limits::default(),
                &Options::default(),
                &mut variant_of,
            );
            assert_eq!(decision, OnRequest::Serve(1, rule::FRESH));
            assert!(not_modified(&headers, &stored));
        });
        assert_eq!(info.count_total, 0, "Vary: {vary}");
    }
}
