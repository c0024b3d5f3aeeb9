//! Many routes, matched at once.

use super::{
    bound::{Matched, NoKey, Route},
    matching::{capture_labels, capture_rest},
    path::Path,
    pattern::{Captures, Pattern, Rank},
    precedence,
    target::{Scheme, Target},
    template::{Host, Template},
};
use crate::{Error, ErrorKind, Result, key::RawKey};
use http::Method;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

/// Many routes, each with a value; a request finds the most specific one in a time that does not grow with their number.
///
/// Segment by segment from the left, the first difference decides: literal, then mixed (the longer literal part, then more typed variables), typed
/// variable, variable, rest-of-path; a host without variables goes before one that has some. Where host and path are alike, a required or literal
/// query goes before an optional one.
///
/// ```
/// use http::Method;
/// use restow::{Field, route::{QueryRules, Route, Router, Target, Template}};
/// let mut router = Router::new();
/// for (name, template) in [("me", "https://api.example.com/users/me"), ("user", "https://api.example.com/users/{id}")] {
///     let template = Template::parse(template)?;
///     let fields = template.fields();
///     router.insert(Method::GET, Route::new(template, &fields, QueryRules::default())?, name)?;
/// }
/// let uri: http::Uri = "https://api.example.com/users/me".parse()?;
/// assert_eq!(*router.find(&Method::GET, &Target::from(&uri)).unwrap().value, "me");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Router<T> {
    entries: Vec<Entry<T>>,
    origins: Origins,
}

/// What a router found for a request.
#[derive(Clone, Debug)]
pub struct Found<'r, T> {
    /// The value of the route.
    pub value: &'r T,
    /// The route.
    pub route: &'r Route,
    /// The key of the request, or why it has none.
    pub key: Result<RawKey, NoKey>,
}

impl<T> Router<T> {
    /// Makes a router without routes, which finds nothing.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            origins: Origins::default(),
        }
    }

    /// Adds a route for requests of `method`; one of `GET` answers `HEAD` too.
    ///
    /// It is compared with every route there is: adding is for the start of a program, finding for every request.
    ///
    /// # Errors
    /// [`ErrorKind::Route`] that names both where another route matches one of its requests and neither is more specific.
    pub fn insert(&mut self, method: Method, route: Route, value: T) -> Result<()> {
        if let Some(other) = self.rival(&method, &route) {
            let message = format!(
                "the routes {} {} and {method} {} match one request, and neither is more specific; \
                 change one, or require a query parameter that tells them apart",
                other.method,
                other.route.template(),
                route.template()
            );
            return Err(Error::new(ErrorKind::Route, message));
        }
        let index = self.entries.len();
        let template = route.template().clone();
        let weight = precedence::weight(&template);
        self.entries.push(Entry {
            method,
            route,
            value,
            weight,
        });
        let row = self.origins.row(&template);
        row.push(index);
        row.sort_by_key(|i| Reverse(self.entries.get(*i).map_or(0, |e| e.weight)));
        Ok(())
    }

    /// Finds the most specific route of a request.
    pub fn find(&self, method: &Method, target: &Target<'_>) -> Option<Found<'_, T>> {
        let origin = target.origin()?;
        let path = Path::parse(target.path)?;
        let mut search = Search {
            entries: &self.entries,
            method,
            path: &path,
            query: target.query,
            captures: Captures::new(),
        };
        let place = (origin.scheme, origin.port);
        let literal = self.origins.literal.get(&*origin.host);
        if let Some(node) = literal.and_then(|places| places.get(&place))
            && let Some(found) = search.node(node, 0)
        {
            return Some(found);
        }
        let mut labels = self.origins.labels.iter();
        labels.find_map(|((_, labels, of), node)| {
            search.captures.clear();
            let matched =
                *of == place && capture_labels(labels, &origin.host, &mut search.captures);
            matched.then(|| search.node(node, 0)).flatten()
        })
    }

    /// Returns the routes with their methods and values, in the order they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Method, &Route, &T)> {
        self.entries.iter().map(|e| (&e.method, &e.route, &e.value))
    }

    /// Returns how many routes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether there are no routes.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn rival(&self, method: &Method, route: &Route) -> Option<&Entry<T>> {
        self.entries.iter().find(|other| {
            (answers(method, &other.method) || answers(&other.method, method))
                && precedence::clash(other.route.template(), route.template())
        })
    }
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug)]
struct Entry<T> {
    method: Method,
    route: Route,
    value: T,
    weight: usize,
}

/// Tells whether a route of one method answers requests of another.
fn answers(route: &Method, request: &Method) -> bool {
    route == request || (*route == Method::GET && *request == Method::HEAD)
}

/// A tree of routes for each origin.
#[derive(Clone, Debug, Default)]
struct Origins {
    literal: HashMap<Box<str>, HashMap<SchemeAndPort, Node>>,
    /// Hosts with variables, the most specific first.
    labels: BTreeMap<LabelsKey, Node>,
}

type SchemeAndPort = (Scheme, Option<u16>);
type LabelsKey = (Reverse<Vec<Rank>>, Box<[Pattern]>, SchemeAndPort);

/// What may follow the same segments.
#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    /// Segments with variables, the most specific first.
    patterns: BTreeMap<(Reverse<Rank>, Pattern), Node>,
    /// Entries that end here, the most specific query first.
    ends: Vec<usize>,
    /// Entries whose rest-of-path begins here, likewise.
    rests: Vec<usize>,
}

impl Origins {
    /// Returns the entries at the same place as `template`.
    fn row(&mut self, template: &Template) -> &mut Vec<usize> {
        let place = (template.scheme, template.port);
        let mut node = match &template.host {
            Host::Literal(host) => {
                let places = self.literal.entry(host.clone()).or_default();
                places.entry(place).or_default()
            }
            Host::Labels(labels) => {
                let ranks = labels.iter().map(Pattern::rank).collect();
                let key = (Reverse(ranks), labels.clone(), place);
                self.labels.entry(key).or_default()
            }
        };
        for segment in &template.segments {
            node = match segment.literal() {
                Some(literal) => node.literals.entry(literal.into()).or_default(),
                None => {
                    let key = (Reverse(segment.rank()), segment.clone());
                    node.patterns.entry(key).or_default()
                }
            };
        }
        match template.rest {
            Some(_) => &mut node.rests,
            None => &mut node.ends,
        }
    }
}

/// A walk through the tree of an origin, the most specific branch first. It sees each node at most once.
struct Search<'r, 's, 'a, T> {
    entries: &'r [Entry<T>],
    method: &'a Method,
    path: &'s Path<'a>,
    query: Option<&'a str>,
    captures: Captures<'s>,
}

impl<'r, T> Search<'r, '_, '_, T> {
    /// Finds the most specific entry below `node`, where the segments before `depth` have matched.
    fn node(&mut self, node: &'r Node, depth: usize) -> Option<Found<'r, T>> {
        let path = self.path;
        let Some(segment) = path.segments().get(depth) else {
            let end = node.ends.iter().find_map(|index| self.entry(*index));
            return end.or_else(|| self.rests(node, depth));
        };
        let below = depth.saturating_add(1);
        if let Some(child) = node.literals.get(&**segment)
            && let Some(found) = self.node(child, below)
        {
            return Some(found);
        }
        let before = self.captures.len();
        for ((_, pattern), child) in &node.patterns {
            if pattern.capture(segment, &mut self.captures)
                && let Some(found) = self.node(child, below)
            {
                return Some(found);
            }
            self.captures.truncate(before);
        }
        self.rests(node, depth)
    }

    fn rests(&mut self, node: &'r Node, depth: usize) -> Option<Found<'r, T>> {
        let before = self.captures.len();
        node.rests.iter().find_map(|index| {
            let route = &self.entries.get(*index)?.route;
            let (rest, variable) = route.template().rest_variable()?;
            let matched = capture_rest(rest, variable, self.path, depth, &mut self.captures);
            let found = matched.then(|| self.entry(*index)).flatten();
            self.captures.truncate(before);
            found
        })
    }

    /// Reads the key, now that host and path have matched.
    fn entry(&self, index: usize) -> Option<Found<'r, T>> {
        let entry = self.entries.get(index)?;
        if !answers(&entry.method, self.method) {
            return None;
        }
        let key = match entry.route.finish(&self.captures, self.query) {
            Matched::No => return None,
            Matched::Key(key) => Ok(key),
            Matched::Bypass(why) => Err(why),
        };
        Some(Found {
            value: &entry.value,
            route: &entry.route,
            key,
        })
    }
}
