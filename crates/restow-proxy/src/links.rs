//! Links in the headers of answers, made to lead through the proxy.

use crate::upstream::Upstream;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LOCATION, Entry, LINK, LOCATION},
};

/// Rewrites `Location`, `Content-Location` and `Link` where they lead to the API: to the same place below its mount. A path alone stands for
/// the client's own view of the proxy, whatever it is called (RFC 3986 section 4.2).
pub(crate) fn rewrite(headers: &mut HeaderMap, upstream: &Upstream) {
    for name in [LOCATION, CONTENT_LOCATION] {
        each(headers, &name, |value| upstream.through(value));
    }
    each(headers, &LINK, |value| link(value, upstream));
}

fn each(headers: &mut HeaderMap, name: &HeaderName, with: impl Fn(&str) -> Option<String>) {
    let Entry::Occupied(mut lines) = headers.entry(name) else {
        return;
    };
    for line in lines.iter_mut() {
        let rewritten = line.to_str().ok().and_then(&with);
        if let Some(Ok(value)) = rewritten.map(HeaderValue::try_from) {
            *line = value;
        }
    }
}

/// Rewrites the targets of a `Link` (RFC 8288): what stands between `<` and `>`.
fn link(value: &str, upstream: &Upstream) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    let mut changed = false;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        out.push('<');
        let Some((target, after)) = after.split_once('>') else {
            // It stands in a quoted parameter, and no target follows.
            rest = after;
            break;
        };
        match upstream.through(target) {
            Some(through) => {
                changed = true;
                out.push_str(&through);
            }
            None => out.push_str(target),
        }
        out.push('>');
        rest = after;
    }
    out.push_str(rest);
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_the_api_lead_below_its_mount_and_others_stay() {
        let upstream = Upstream::new("https://api.example.com/v1")
            .unwrap()
            .mount("/music")
            .unwrap();
        let cases = [
            (
                "https://api.example.com/v1/tracks?page=2",
                Some("/music/tracks?page=2"),
            ),
            ("https://api.example.com/v1", Some("/music/")),
            ("HTTPS://API.example.com/v1/a", Some("/music/a")),
            ("/v1/tracks", Some("/music/tracks")),
            ("https://api.example.com/v10/tracks", None),
            ("https://api.example.com.evil.example/v1/a", None),
            ("http://api.example.com/v1/a", None),
            ("https://other.example/v1/a", None),
            ("//api.example.com/v1/a", Some("/music/a")),
            ("tracks", None),
            ("/other", None),
        ];
        for (link, expected) in cases {
            assert_eq!(upstream.through(link).as_deref(), expected, "{link}");
        }
        let mut headers = HeaderMap::new();
        headers.append(LINK, HeaderValue::from_static("<https://api.example.com/v1/a>; rel=\"next\", <https://other.example/>; rel=\"a,<b\""));
        headers.append(LINK, HeaderValue::from_static("<b>; rel=prev"));
        headers.append(
            LOCATION,
            HeaderValue::from_static("https://api.example.com/v1/c"),
        );
        rewrite(&mut headers, &upstream);
        let lines: Vec<_> = headers.iter().map(|(_, v)| v.to_str().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "</music/a>; rel=\"next\", <https://other.example/>; rel=\"a,<b\"",
                "<b>; rel=prev",
                "/music/c"
            ]
        );
    }
}
