//! What matches, what key it has, and what URL a key has.

use super::{route, said, target};
use http::Uri;
use restow::{
    ErrorKind, FieldRef, RawKey,
    route::{Matched, Target},
};

#[test]
fn requests_have_the_keys_their_templates_say() {
    let table: &[(&str, &[(&str, &str)])] = &[
        (
            "https://api.example.com/v1/tracks/{id}{?market}",
            &[
                ("https://api.example.com/v1/tracks/6", r#""6" -"#),
                ("HTTPS://API.Example.COM/v1/tracks/6", r#""6" -"#),
                ("https://api.example.com:443/v1/tracks/6", r#""6" -"#),
                ("https://api.example.com:8443/v1/tracks/6", "no"),
                ("http://api.example.com/v1/tracks/6", "no"),
                ("http://api.example.com:443/v1/tracks/6", "no"),
                ("ftp://api.example.com/v1/tracks/6", "no"),
                ("https://example.com/v1/tracks/6", "no"),
                ("https://api.example.com/V1/tracks/6", "no"),
                ("https://api.example.com/v1/tracks/6/", "no"),
                ("https://api.example.com/v1/tracks/", "no"),
                ("https://api.example.com/v1/tracks", "no"),
                ("https://api.example.com//v1/tracks/6", "no"),
                ("https://api.example.com/v1/tracks/6?", r#""6" -"#),
                (
                    "https://api.example.com/v1/tracks/6?market=GB",
                    r#""6" "GB""#,
                ),
                ("https://api.example.com/v1/tracks/6?market=", r#""6" """#),
                ("https://api.example.com/v1/tracks/6?market", "NoValue"),
                (
                    "https://api.example.com/v1/tracks/6?market=GB&market=GB",
                    "Repeated",
                ),
                (
                    "https://api.example.com/v1/tracks/6?Market=GB",
                    r#""6" - ?Market=GB"#,
                ),
                (
                    "https://api.example.com/v1/tracks/6?m%61rket=GB",
                    r#""6" "GB""#,
                ),
                ("https://api.example.com/v1/tracks/6?market=%zz", "Encoding"),
                ("https://api.example.com/v1/tracks/6?market=%ff", "Encoding"),
                ("https://api.example.com/v1/tracks/6?other=%ff", "Encoding"),
                ("https://api.example.com/v1/tracks/6?%ff=1", "Encoding"),
                ("https://api.example.com/v1/tracks/%36", r#""6" -"#),
                ("https://api.example.com/v1/tr%61cks/6", r#""6" -"#),
                ("https://api.example.com/v1/tracks/a%2Fb", r#""a/b" -"#),
                ("https://api.example.com/v1/tracks/a%252Fb", r#""a%2Fb" -"#),
                ("https://api.example.com/v1/tracks/a%2", "no"),
                ("https://api.example.com/v1/tracks/a%", "no"),
                ("https://api.example.com/v1/tracks/%ff", "no"),
                ("https://api.example.com/v1/tracks/%C3%BC", r#""ü" -"#),
                ("https://api.example.com/v1/tracks/a+b", r#""a+b" -"#),
                ("https://api.example.com/v1/tracks/..", "no"),
                ("https://api.example.com/v1/tracks/%2e%2E", "no"),
                ("https://api.example.com/v1/tracks/.", "no"),
                ("https://api.example.com/v1/./tracks/6", "no"),
                ("https://api.example.com/v1/tracks/...", r#""..." -"#),
            ],
        ),
        (
            "http://localhost:8080{?q}",
            &[
                ("http://localhost:8080", "-"),
                ("http://localhost:8080/", "-"),
                ("http://localhost/", "no"),
                ("http://localhost:8080/?q=a%20b", r#""a b""#),
                ("http://localhost:8080/?q=a+b", r#""a b""#),
                ("http://localhost:8080/?q=a%2Bb", r#""a+b""#),
            ],
        ),
        (
            "http://localhost:80/{n:int}",
            &[
                ("http://localhost/7", "7"),
                ("http://localhost:80/0", "0"),
                ("http://localhost/-7", "-7"),
                ("http://localhost/%37", "7"),
                (
                    "http://localhost/9223372036854775807",
                    "9223372036854775807",
                ),
                (
                    "http://localhost/-9223372036854775808",
                    "-9223372036854775808",
                ),
                ("http://localhost/9223372036854775808", "no"),
                ("http://localhost/007", "no"),
                ("http://localhost/+7", "no"),
                ("http://localhost/-0", "no"),
                ("http://localhost/-", "no"),
                ("http://localhost/7.0", "no"),
                ("http://localhost/٧", "no"),
            ],
        ),
        (
            "https://{region}.api.example.com/{+rest}",
            &[
                ("https://EU.api.example.com/a/b", r#""eu" "a/b""#),
                ("https://eu.api.example.com/", r#""eu" """#),
                ("https://a.eu.api.example.com/", "no"),
                ("https://.api.example.com/", "no"),
                ("https://api.example.com/", "no"),
                ("https://eu.api.example.com//a//", r#""eu" "/a//""#),
                ("https://eu.api.example.com/%61/b", r#""eu" "a/b""#),
                ("https://eu.api.example.com/a%2Fb", "no"),
                ("https://eu.api.example.com/a/../b", "no"),
                ("https://eu.api.example.com/a/%2e%2e", "no"),
            ],
        ),
        (
            "https://shop-{tenant}.example.com/files{/rest*}",
            &[
                ("https://shop-a.example.com/files", r#""a" -"#),
                ("https://shop-a.example.com/files/", r#""a" """#),
                ("https://shop-a.example.com/files/x/y", r#""a" "x/y""#),
                ("https://shop-a.example.com/filesx", "no"),
                ("https://shop-.example.com/files", "no"),
                ("https://shop-%61.example.com/files", "no"),
            ],
        ),
        (
            "https://h/{owner}-{n:int}.json",
            &[
                ("https://h/my-repo-7.json", r#""my-repo" 7"#),
                ("https://h/my--7.json", r#""my-" 7"#),
                ("https://h/my-07.json", "no"),
                ("https://h/-7.json", "no"),
                ("https://h/my-.json", "no"),
                ("https://h/my-7.json.json", "no"),
                ("https://h/a-%37%2Ejson", r#""a" 7"#),
            ],
        ),
        (
            "https://h/x-{a}.{ext}",
            &[
                ("https://h/x-a.b.c", r#""a.b" "c""#),
                ("https://h/x-a", "no"),
                ("https://h/x-.c", "no"),
                ("https://h/x-a.", "no"),
                ("https://h/x-...", r#""." ".""#),
            ],
        ),
        (
            "https://h/{a}--{b}",
            &[
                ("https://h/x---y", r#""x-" "y""#),
                ("https://h/x----", r#""x-" "-""#),
                ("https://h/é--é", r#""é" "é""#),
            ],
        ),
        (
            "https://h/s?type=track{&limit:int,ids!}",
            &[
                ("https://h/s?type=track&ids=1,2", r#"- "1,2""#),
                ("https://h/s?ids=1&limit=5&type=track", r#"5 "1""#),
                ("https://h/s?ids=1&limit=05&type=track", "no"),
                ("https://h/s?type=album&ids=1", "no"),
                ("https://h/s?type&ids=1", "no"),
                ("https://h/s?type=track", "no"),
                ("https://h/s?ids=1", "no"),
                ("https://h/s?type=tr%61ck&ids=", r#"- """#),
                ("https://h/s?type=track&type=album&ids=1", "Repeated"),
            ],
        ),
        (
            "https://h/s?user-id={user:int}&flag",
            &[
                ("https://h/s?user-id=7&flag", "7"),
                ("https://h/s?user-id=7&flag=", "no"),
                ("https://h/s?user-id=7", "no"),
                ("https://h/s?user-id=x&flag", "no"),
                ("https://h/s?flag", "no"),
            ],
        ),
        (
            "https://h/a%20b/ü/x:y@z",
            &[
                ("https://h/a%20b/%C3%BC/x:y@z", ""),
                ("https://h/a%20b/%c3%bc/x%3Ay%40z", ""),
                ("https://h/a+b/%C3%BC/x:y@z", "no"),
            ],
        ),
        (
            "http://[::1]:8080/{id}",
            &[("http://[::1]:8080/a", r#""a""#)],
        ),
        (
            "https://h/{id}",
            &[
                ("https://h/1?b=2&a=1", r#""1" ?a=1&b=2"#),
                ("https://h/1?a=2&b&a=1", r#""1" ?a=2&a=1&b"#),
                ("https://h/1?a=&a", r#""1" ?a=&a"#),
                ("https://h/1?q=a+b", r#""1" ?q=a+b"#),
                ("https://h/1?q=a%20b", r#""1" ?q=a%20b"#),
                ("https://h/1?q=a%2bb", r#""1" ?q=a%2Bb"#),
                ("https://h/1?&&", r#""1""#),
            ],
        ),
    ];
    for (template, cases) in table {
        let route = route(template);
        for (url, expected) in *cases {
            assert_eq!(said(&route, url), *expected, "{template} on {url}");
            if let Matched::Key(key) = route.key(&target(url)) {
                let expanded = route.expand(&key).unwrap();
                assert_eq!(said(&route, &expanded), *expected, "{expanded} of {url}");
                let uri: Uri = expanded.parse().unwrap();
                assert_eq!(
                    route.key(&Target::from(&uri)),
                    Matched::Key(key),
                    "{expanded}"
                );
            }
        }
    }
}

#[test]
fn keys_are_written_with_all_but_unreserved_characters_encoded() {
    let cases: &[(&str, &[FieldRef<'_>], &str)] = &[
        (
            "https://h/t/{id}{?m}",
            &[FieldRef::Text("a b/c?#%+&~é"), FieldRef::Text("a&b=c+d")],
            "https://h/t/a%20b%2Fc%3F%23%25%2B%26~%C3%A9?m=a%26b%3Dc%2Bd",
        ),
        (
            "https://h/t/{id}{?m}",
            &[FieldRef::Text("a"), FieldRef::Absent],
            "https://h/t/a",
        ),
        (
            "https://h/t/{id}{?m}",
            &[FieldRef::Text("a"), FieldRef::Text("")],
            "https://h/t/a?m=",
        ),
        (
            "https://h/{+rest}",
            &[FieldRef::Text("a b//c/")],
            "https://h/a%20b//c/",
        ),
        ("https://h/f{/rest*}", &[FieldRef::Absent], "https://h/f"),
        ("https://h/f{/rest*}", &[FieldRef::Text("")], "https://h/f/"),
        ("https://h{/rest*}", &[FieldRef::Text("")], "https://h/"),
        (
            "https://{r}.h:9/",
            &[FieldRef::Text("EU")],
            "https://eu.h:9/",
        ),
        (
            "https://h/v1/users:batch,(x)?type=a%26b{&n:int}",
            &[FieldRef::Integer(-3)],
            "https://h/v1/users:batch,(x)?type=a%26b&n=-3",
        ),
    ];
    for (template, fields, url) in cases {
        let key = RawKey::new(fields.iter().copied(), "").unwrap();
        assert_eq!(route(template).expand(&key).unwrap(), *url);
    }
    let key = RawKey::new([FieldRef::Text("1"), FieldRef::Text("GB")], "a=1&a=2").unwrap();
    assert_eq!(
        route("https://h/{id}{?m}").expand(&key).unwrap(),
        "https://h/1?m=GB&a=1&a=2"
    );
}

#[test]
fn a_key_that_no_request_could_have_is_refused() {
    let text = FieldRef::Text;
    let cases: &[(&str, &[FieldRef<'_>], &str, &str)] = &[
        ("https://h/{a}", &[text("")], "", "\"a\" is empty"),
        ("https://h/{a}", &[text(".")], "", "resolve"),
        ("https://h/{a}", &[text("..")], "", "resolve"),
        ("https://h/.{a}", &[text(".")], "", "resolve"),
        ("https://h/{a}", &[FieldRef::Absent], "", "\"a\" is absent"),
        (
            "https://h/{a}",
            &[FieldRef::Integer(1)],
            "",
            "\"a\" is not text",
        ),
        (
            "https://h/{a:int}",
            &[text("1")],
            "",
            "\"a\" is not integer",
        ),
        ("https://h/{a}", &[], "", "0 values for 1 fields"),
        (
            "https://h/{a}",
            &[text("a"), text("b")],
            "",
            "2 values for 1 fields",
        ),
        ("https://h/{+a}", &[text("a/../b")], "", "resolve"),
        ("https://h/{+a}", &[FieldRef::Absent], "", "\"a\" is absent"),
        ("https://h/f{/a*}", &[text("x/.")], "", "resolve"),
        ("https://{a}.h/", &[text("a.b")], "", "not a label"),
        ("https://{a}.h/", &[text("a/b")], "", "not a label"),
        ("https://{a}.h/", &[text("ü")], "", "not a label"),
        (
            "https://h/{a}-{b}",
            &[text("x"), text("y-z")],
            "",
            "read back as other values",
        ),
        (
            "https://h/{?a!}",
            &[FieldRef::Absent],
            "",
            "\"a\" is absent",
        ),
        (
            "https://h/{a}",
            &[text("x")],
            "b=1&a=1",
            "not in canonical form",
        ),
        (
            "https://h/{a}",
            &[text("x")],
            "q=%61",
            "not in canonical form",
        ),
        (
            "https://h/{a}",
            &[text("x")],
            "q=%zz",
            "not in canonical form",
        ),
        (
            "https://h/{a}",
            &[text("x")],
            "q=a#b",
            "not in canonical form",
        ),
        ("https://h/{a}", &[text("x")], "&", "not in canonical form"),
        (
            "https://h/{?a}",
            &[text("x")],
            "a=1",
            "not in canonical form",
        ),
    ];
    for (template, fields, query, message) in cases {
        let key = RawKey::new(fields.iter().copied(), query).unwrap();
        let error = route(template).expand(&key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(
            error.message().contains(message),
            "{template} {key}: {error}"
        );
    }
}
