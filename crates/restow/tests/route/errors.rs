//! What a template may not hold, and what is said of it.

use restow::{
    ErrorKind, Field, FieldValue,
    route::{QueryRules, Route, Template},
};

#[test]
fn a_wrong_template_is_refused_with_its_place_and_the_way_out() {
    let cases = [
        (
            "",
            "at byte 0, \"\": a route begins with https:// or http:// and a host",
        ),
        ("/v1/{id}", "at byte 0, \"\": a route begins with https://"),
        (
            "ftp://h/",
            "at byte 0, \"ftp:\": a route begins with https://",
        ),
        (
            "{s}://h/",
            "at byte 0, \"{s}:\": a route begins with https://",
        ),
        (
            "https:///x",
            "at byte 8, \"\": a route begins with https://",
        ),
        (
            "https://me:pw@h/",
            "at byte 8, \"me:pw@h\": leave the user and password out",
        ),
        ("https://h:x/", "at byte 10, \"x\": a port is a number"),
        (
            "https://h:{p}/",
            "at byte 10, \"{p}\": a port is a number from 0 to 65535, not a variable",
        ),
        ("https://h:/", "at byte 10, \"\": a port is a number"),
        (
            "https://h:70000/",
            "at byte 10, \"70000\": a port is a number",
        ),
        (
            "https://a..h/",
            "at byte 8, \"a..h\": a label of the host is empty",
        ),
        (
            "https://ü.de/",
            "at byte 8, \"ü\": a host holds letters, digits, - and _",
        ),
        (
            "https://[::x]/",
            "at byte 8, \"[::x]\": this is not an IPv6 address",
        ),
        ("https://[::1]x/", "at byte 13, \"x\": only :port"),
        (
            "https://{+h}/",
            "at byte 8, \"{+h}\": only {variable} may stand here",
        ),
        ("https://h/{id", "at byte 10, \"{id\": close this { with }"),
        (
            "https://h/{a{b}}",
            "at byte 10, \"{a{b}}\": close this { before the next one",
        ),
        ("https://h/a}", "at byte 11, \"}\": no { goes with this }"),
        (
            "https://h/{}",
            "at byte 11, \"\": an expression names a variable: {id}",
        ),
        (
            "https://h/{id:3}",
            "at byte 11, \"id:3\": a prefix cannot be read backwards; write id for text or id:int",
        ),
        (
            "https://h/{id:uuid}",
            "at byte 11, \"id:uuid\": the only type is int",
        ),
        (
            "https://h/{user-id}",
            "at byte 11, \"user-id\": a name holds letters, digits, _ and .,",
        ),
        ("https://h/{7}", "at byte 11, \"7\": a name holds"),
        ("https://h/{a%20}", "at byte 11, \"a%20\": a name holds"),
        (
            "https://h/{id*}",
            "at byte 11, \"id*\": * stands only in a rest-of-path",
        ),
        (
            "https://h/{id!}",
            "at byte 10, \"{id!}\": host and path are always there; drop the !",
        ),
        (
            "https://h/{a,b}",
            "at byte 10, \"{a,b}\": one variable to an expression: write {a},{b}",
        ),
        (
            "https://h/{a}{b}",
            "at byte 13, \"{b}\": two variables side by side",
        ),
        (
            "https://h/{a}/{a}",
            "at byte 15, \"a\": the variable \"a\" is there twice; rename one",
        ),
        (
            "https://{a}.h/{?a}",
            "at byte 16, \"a\": the variable \"a\" is there twice",
        ),
        (
            "https://h/{.a}",
            "at byte 10, \"{.a}\": only {variable} may stand here",
        ),
        (
            "https://h/{;a}",
            "at byte 10, \"{;a}\": only {variable} may stand here",
        ),
        (
            "https://h/x{+r}",
            "at byte 11, \"{+r}\": a rest-of-path is a whole segment",
        ),
        (
            "https://h/{+r}/x",
            "at byte 15, \"x\": nothing of the path may follow a rest-of-path",
        ),
        (
            "https://h/{+r}{/s*}",
            "at byte 14, \"{/s*}\": nothing of the path may follow",
        ),
        (
            "https://h/x{/r*}/y",
            "at byte 16, \"/y\": nothing of the path may follow",
        ),
        (
            "https://h/x/{/r*}",
            "at byte 12, \"{/r*}\": it brings its own slash",
        ),
        (
            "https://h/x{/r}",
            "at byte 11, \"{/r}\": write /{r} for one segment, {/r*} for all that follow",
        ),
        (
            "https://h/{+r:int}",
            "at byte 10, \"{+r:int}\": a rest-of-path is text",
        ),
        (
            "https://h/{+r!}",
            "at byte 10, \"{+r!}\": only a query variable is marked with !",
        ),
        (
            "https://h/a/../b",
            "at byte 12, \"..\": clients resolve . and .. away",
        ),
        (
            "https://h/%2e",
            "at byte 10, \"%2e\": clients resolve . and .. away",
        ),
        (
            "https://h/a b",
            "at byte 11, \" b\": percent-encode this character",
        ),
        (
            "https://h/a%2",
            "at byte 10, \"a%2\": a % begins two hex digits of UTF-8",
        ),
        (
            "https://h/%ff",
            "at byte 10, \"%ff\": a % begins two hex digits of UTF-8",
        ),
        (
            "https://h/#top",
            "at byte 10, \"#top\": a fragment is never sent",
        ),
        (
            "https://h/{#top}",
            "at byte 10, \"{#top}\": a fragment is never sent",
        ),
        (
            "https://h/{?a}#top",
            "at byte 14, \"#top\": a fragment is never sent",
        ),
        (
            "https://h/?a=1#top",
            "at byte 14, \"#top\": a fragment is never sent",
        ),
        (
            "https://h/?",
            "at byte 10, \"?\": write ?name=value or {?name}",
        ),
        (
            "https://h/?=1",
            "at byte 11, \"=1\": a parameter has a name",
        ),
        (
            "https://h/{&a}",
            "at byte 10, \"{&a}\": the query begins with ?: write {?..}",
        ),
        (
            "https://h/{?a}{?b}",
            "at byte 14, \"{?b}\": the query has begun: write {&..}",
        ),
        (
            "https://h/?a=1{?b}",
            "at byte 14, \"{?b}\": the query has begun: write {&..}",
        ),
        (
            "https://h/{?a}{b}",
            "at byte 14, \"{b}\": more query variables are written {&..}",
        ),
        (
            "https://h/{?a}&b=1",
            "at byte 14, \"&b=1\": literal parameters come first",
        ),
        (
            "https://h/{?a,}",
            "at byte 14, \"\": an expression names a variable",
        ),
        (
            "https://h/{?a*}",
            "at byte 12, \"a*\": * stands only in a rest-of-path",
        ),
        (
            "https://h/?{a}=1",
            "at byte 11, \"{a}\": only the value may be a variable",
        ),
        (
            "https://h/?a=x{b}",
            "at byte 13, \"x{b}\": a variable takes the whole value",
        ),
        (
            "https://h/?a={b}x",
            "at byte 13, \"{b}x\": a variable takes the whole value",
        ),
        (
            "https://h/?a=1&a=2",
            "at byte 15, \"a=2\": the parameter \"a\" is there twice",
        ),
        (
            "https://h/?a=1{&a}",
            "at byte 16, \"a\": the parameter \"a\" is there twice",
        ),
    ];
    for (template, expected) in cases {
        let error = Template::parse(template).expect_err(template);
        assert_eq!(error.kind(), ErrorKind::Route);
        let message = error.to_string();
        let start = format!("route {template:?}: ");
        assert!(message.starts_with(&start), "{message}");
        assert!(message[start.len()..].starts_with(expected), "{message}");
    }
}

#[test]
fn fields_that_do_not_fit_a_template_are_refused_by_name() {
    let id = Field::text("id");
    let template = "https://h/{id}{?m}";
    let market = Field::text("m").optional();
    let gb = ("m".into(), FieldValue::from("GB"));
    let stray = ("x".into(), FieldValue::from("GB"));
    let cases: Vec<(&str, Vec<Field>, QueryRules, &str)> = vec![
        (
            template,
            vec![id.clone()],
            rules(&[], &[]),
            "the variable \"m\" is not a field; the fields are (id)",
        ),
        (
            template,
            vec![market.clone()],
            rules(&[], &[]),
            "the variable \"id\" is not a field; the fields are (m)",
        ),
        (
            template,
            vec![id.clone(), market.clone(), Field::text("x")],
            rules(&[], &[]),
            "the field \"x\" is not in the template; add {x} or {?x}, or give it a default",
        ),
        (
            "https://h/{id}",
            vec![id.clone(), id.clone()],
            rules(&[], &[]),
            "the field \"id\" is there twice; rename one",
        ),
        (
            "https://h/{id:int}",
            vec![id.clone()],
            rules(&[], &[]),
            "{id:int} is an integer, the field \"id\" is text; make them the same",
        ),
        (
            "https://h/{+id}",
            vec![Field::integer("id")],
            rules(&[], &[]),
            "a rest-of-path is text, the field \"id\" is integer; make it text",
        ),
        (
            template,
            vec![id.clone(), Field::integer("m")],
            rules(&[gb], &[]),
            "the default GB of \"m\" is not of its kind, integer",
        ),
        (
            template,
            vec![id.clone(), market.clone()],
            rules(&[("m".into(), FieldValue::Absent)], &[]),
            "the default - of \"m\" is not of its kind, text",
        ),
        (
            template,
            vec![id.clone(), market.clone()],
            rules(&[stray], &[]),
            "the default of \"x\" is of no field; the fields are (id, m)",
        ),
        (
            template,
            vec![id, market],
            rules(&[], &["m"]),
            "the parameter \"m\" holds a credential, which is never in a key; leave it out",
        ),
    ];
    for (text, fields, rules, expected) in cases {
        let template = Template::parse(text).unwrap();
        let error = Route::new(template, &fields, rules).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Route);
        assert_eq!(error.to_string(), format!("route \"{text}\": {expected}"));
    }
}

fn rules(defaults: &[(Box<str>, FieldValue)], secret: &[&str]) -> QueryRules {
    let mut rules = QueryRules::default();
    rules.defaults = defaults.to_vec();
    rules.secret = secret.iter().map(|s| (*s).into()).collect();
    rules
}
