//! The routes that a URL almost matches, and what keeps it from matching.

use http::Method;
use restow::{
    Declaration,
    route::{Place, Route, Target},
};

/// How many are shown.
const SHOWN: usize = 3;

/// A route that a URL almost matches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Near {
    pub(crate) endpoint: String,
    pub(crate) route: String,
    /// Name, method and route.
    pub(crate) shown: String,
    pub(crate) why: String,
}

/// Returns the nearest routes, the nearest first.
pub(super) fn nearest<'a>(
    routes: impl Iterator<Item = (&'a Method, &'a Route, &'a Declaration)>,
    method: &Method,
    target: &Target<'_>,
) -> Vec<Near> {
    let mut near: Vec<(i64, Near)> = routes
        .map(|(of, route, declaration)| {
            let template = route.template().to_string();
            let near = Near {
                endpoint: declaration.name.to_string(),
                shown: format!("{} ({of} {template})", declaration.name),
                why: why(of, method, route, &template, target),
                route: template,
            };
            (likeness(of, method, &near.route, target), near)
        })
        .collect();
    near.sort_by_key(|(likeness, _)| std::cmp::Reverse(*likeness));
    near.into_iter().take(SHOWN).map(|(_, n)| n).collect()
}

/// How much of a template a request has: its method, its origin, then segment by segment, literals before variables.
fn likeness(of: &Method, method: &Method, template: &str, target: &Target<'_>) -> i64 {
    // `a{/rest*}` has two segments.
    let template = template.replace("{/", "/{");
    let (host, path) = split(place_of(&template));
    let wanted: Vec<&str> = path.split('/').skip(1).collect();
    let given: Vec<&str> = target.path.split('/').skip(1).collect();
    let mut score = 0;
    score += if host.eq_ignore_ascii_case(&origin(target)) {
        10
    } else {
        0
    };
    score += if of == method { 2 } else { 0 };
    for (wanted, given) in wanted.iter().zip(&given) {
        score += match (wanted.contains('{'), wanted == given) {
            (true, _) => 2,
            (false, true) => 3,
            // A word mistyped is nearer than another word.
            (false, false) if strsim::jaro_winkler(wanted, given) > 0.8 => 1,
            (false, false) => -3,
        };
    }
    let differ = wanted.len().abs_diff(given.len());
    score - i64::try_from(differ).unwrap_or(i64::MAX).saturating_mul(2)
}

/// Says the first thing that keeps a request from matching.
fn why(of: &Method, method: &Method, route: &Route, template: &str, target: &Target<'_>) -> String {
    if of != method && !(of == Method::GET && method == Method::HEAD) {
        return format!("the method is {method}, not {of}");
    }
    let template = template.replace("{/", "/{");
    let (host, path) = split(place_of(&template));
    let asked = origin(target);
    if !host.contains('{') && !host.eq_ignore_ascii_case(&asked) {
        return format!("the origin is {asked}, not {host}");
    }
    let has_rest = route
        .template()
        .variables()
        .any(|v| v.place() == Place::Rest);
    let wanted: Vec<&str> = path
        .split('/')
        .skip(1)
        .filter(|s| !s.starts_with("{+") && !s.contains('*'))
        .collect();
    let given: Vec<&str> = target.path.split('/').skip(1).collect();
    for (wanted, given) in wanted.iter().zip(&given) {
        if !wanted.contains('{') && wanted != given {
            return format!("{given:?} is not {wanted:?}");
        }
        if let Some(name) = wanted
            .strip_prefix('{')
            .and_then(|w| w.strip_suffix(":int}"))
            && given.parse::<i64>().is_err()
        {
            return format!("{given:?} is no whole number, as {name} is");
        }
        if given.is_empty() && !wanted.is_empty() {
            return format!("there is an empty segment where {wanted:?} is expected");
        }
    }
    if given.len() != wanted.len() && !(has_rest && given.len() > wanted.len()) {
        return format!(
            "the path has {}, not {}",
            segments(given.len()),
            wanted.len()
        );
    }
    let given = |name: &str| {
        target
            .query
            .unwrap_or("")
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let mut missing = route
        .template()
        .variables()
        .filter(|v| v.place() == Place::Query && v.is_required() && !given(v.name()));
    match missing.next() {
        Some(variable) => format!("the query parameter {:?} is not there", variable.name()),
        None => "path or query differ".to_owned(),
    }
}

fn segments(count: usize) -> String {
    format!("{count} segment{}", if count == 1 { "" } else { "s" })
}

fn origin(target: &Target<'_>) -> String {
    let port = target.port.map_or(String::new(), |p| format!(":{p}"));
    format!("{}://{}{port}", target.scheme, target.host)
}

/// A template without its query.
fn place_of(template: &str) -> &str {
    let end = [template.find("{?"), template.find("{&"), template.find('?')]
        .into_iter()
        .flatten()
        .min();
    template.split_at(end.unwrap_or(template.len())).0
}

/// Origin and path of a template.
fn split(place: &str) -> (&str, &str) {
    let start = place.find("://").map_or(0, |i| i + 3);
    let path = place
        .get(start..)
        .and_then(|rest| rest.find('/').map(|i| start + i));
    place.split_at(path.unwrap_or(place.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Uri;
    use restow::route::{QueryRules, Template};

    fn of(template: &str, method: &Method, url: &str) -> String {
        let template = Template::parse(template).unwrap();
        let fields = template.fields();
        let declaration = Declaration::new("x", fields.clone()).unwrap();
        let route = Route::new(template, &fields, QueryRules::default()).unwrap();
        let uri: Uri = url.parse().unwrap();
        let found = nearest(
            [(&Method::GET, &route, &declaration)].into_iter(),
            method,
            &Target::from(&uri),
        );
        found[0].why.clone()
    }

    #[test]
    fn the_first_difference_is_said() {
        let items = "https://api.example.com/v1/items/{id:int}/parts{?page,ids!}";
        for (url, why) in [
            (
                "https://api.example.org/v1/items/7/parts?ids=1",
                "the origin is https://api.example.org, not https://api.example.com",
            ),
            (
                "http://api.example.com/v1/items/7/parts?ids=1",
                "the origin is http://api.example.com, not https://api.example.com",
            ),
            (
                "https://api.example.com/v2/items/7/parts?ids=1",
                "\"v2\" is not \"v1\"",
            ),
            (
                "https://api.example.com/v1/items/x/parts?ids=1",
                "\"x\" is no whole number, as id is",
            ),
            (
                "https://api.example.com/v1/items/7?ids=1",
                "the path has 3 segments, not 4",
            ),
            (
                "https://api.example.com/v1/items/7/parts/8?ids=1",
                "the path has 5 segments, not 4",
            ),
            (
                "https://api.example.com/v1/items/7/parts?page=1",
                "the query parameter \"ids\" is not there",
            ),
        ] {
            assert_eq!(of(items, &Method::GET, url), why, "{url}");
        }
        assert_eq!(
            of(
                items,
                &Method::POST,
                "https://api.example.com/v1/items/7/parts?ids=1"
            ),
            "the method is POST, not GET"
        );
    }
}
