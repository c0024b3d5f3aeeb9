//! `restow routes test URL...` and `restow routes check`.

mod near;

use crate::{
    cli::Global,
    entries,
    exit::{Exit, Failure},
    output::Out,
    redact::{Secrets, redact},
    session::{config, declarations},
    target,
};
use clap::{Args, Subcommand};
use http::{HeaderMap, Method};
use restow::{
    Declaration, RawKey,
    route::{Route, Router, Target},
};
use serde_json::json;

/// Shows which endpoint a URL belongs to, and checks the endpoints of a configuration. Nothing is fetched.
#[derive(Debug, Args)]
pub(crate) struct Routes {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows the endpoint, the route and the key of each URL, and the URL that the key makes again; or why there is none.
    #[command(
        after_help = "Example:\n  restow routes test --config examples/github.toml https://api.github.com/repos/rust-lang/rust/issues?page=2"
    )]
    Test {
        /// The URLs.
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
        /// The method of the requests.
        #[arg(long, default_value = "GET")]
        method: Method,
    },
    /// Checks a configuration: every value, every route, and that no two routes match one request with neither more specific.
    Check,
}

impl Routes {
    pub(crate) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        match self.command {
            What::Test { urls, method } => {
                let (declarations, origin) = declarations(global).await?;
                let table = Table::new(&declarations)?;
                let mut unrouted = 0;
                for url in &urls {
                    unrouted += u64::from(!table.test(url, &method, &origin, out)?);
                }
                match unrouted {
                    0 => Ok(()),
                    _ if urls.len() == 1 => Err(Failure::not_held(
                        "the URL belongs to no endpoint, or has no key there",
                    )),
                    n => Err(Failure::not_held(format!(
                        "{n} of {} URLs belong to no endpoint, or have no key there",
                        urls.len()
                    ))),
                }
            }
            What::Check => check(global, out),
        }
    }
}

/// Declared endpoints, to route by.
pub(super) struct Table<'a> {
    router: Router<&'a Declaration>,
    secrets: Secrets,
}

/// Where a request belongs.
pub(super) enum Place<'a> {
    At {
        declaration: &'a Declaration,
        route: &'a Route,
        key: RawKey,
    },
    NoKey {
        declaration: &'a Declaration,
        route: &'a Route,
        why: String,
    },
    /// No endpoint declares it; a proxy keeps it by its URL.
    Everything {
        declaration: &'a Declaration,
        key: RawKey,
    },
    Nowhere,
}

impl<'a> Table<'a> {
    pub(super) fn new(declarations: &'a [Declaration]) -> Result<Self, Failure> {
        let mut router = Router::new();
        let mut secrets = Secrets::default();
        for declaration in declarations {
            let credentials = declaration.rules.credentials.clone().unwrap_or_default();
            secrets = secrets.and(&credentials);
            for route in declaration.routes(credentials.parameters())? {
                let named = |e: restow::Error| e.in_repository(declaration.name.shared());
                router
                    .insert(declaration.method.clone(), route, declaration)
                    .map_err(named)?;
            }
        }
        Ok(Self { router, secrets })
    }

    pub(super) fn find(&self, method: &Method, target: &Target<'_>) -> Place<'_> {
        match self.router.find(method, target) {
            None => Place::Nowhere,
            Some(found) => match found.key {
                Ok(key) => Place::At {
                    declaration: found.value,
                    route: found.route,
                    key,
                },
                Err(why) => Place::NoKey {
                    declaration: found.value,
                    route: found.route,
                    why: why.to_string(),
                },
            },
        }
    }

    /// Returns the routes most like a URL that matches none, each with what keeps it from matching.
    pub(super) fn near(&self, method: &Method, target: &Target<'_>) -> Vec<near::Near> {
        near::nearest(
            self.router.iter().map(|(m, r, d)| (m, r, *d)),
            method,
            target,
        )
    }

    /// Says where a URL belongs; `false` where it has no key.
    fn test(
        &self,
        url: &str,
        method: &Method,
        origin: &str,
        out: &mut Out,
    ) -> Result<bool, Failure> {
        let request = target::request(url, HeaderMap::new(), &self.secrets)?;
        let target = Target::from(request.uri());
        let place = self.find(method, &target);
        let shown = redact(url, &self.secrets);
        let near = match place {
            Place::Nowhere => self.near(method, &target),
            _ => Vec::new(),
        };
        if out.is_json() {
            out.json(&object(&shown, &place, &near))?;
        } else {
            out.line(out.bold(shown))?;
            for line in lines(&place, &near, origin, out) {
                out.line(line)?;
            }
        }
        Ok(matches!(place, Place::At { .. }))
    }
}

/// Writes a place for people, one fact a line.
pub(super) fn lines(
    place: &Place<'_>,
    near: &[near::Near],
    origin: &str,
    out: &Out,
) -> Vec<String> {
    let line = |name: &str, value: String| format!("  {}  {value}", out.dim(format!("{name:9}")));
    match place {
        Place::At {
            declaration,
            route,
            key,
        } => {
            let mut lines = vec![
                line("endpoint", declaration.name.to_string()),
                line(
                    "route",
                    format!("{} {}", declaration.method, route.template()),
                ),
                line("key", entries::key(declaration, key)),
            ];
            if declaration.has_body_field() {
                lines.push(line("and", "the digest of the body".to_owned()));
            }
            match route.expand(key) {
                Ok(url) => lines.push(line("makes", url)),
                Err(error) => lines.push(line("makes", format!("no URL: {error}"))),
            }
            lines
        }
        Place::NoKey {
            declaration,
            route,
            why,
        } => vec![
            line("endpoint", declaration.name.to_string()),
            line(
                "route",
                format!("{} {}", declaration.method, route.template()),
            ),
            line("key", format!("none: {why}; such a request is not kept")),
        ],
        Place::Everything { declaration, key } => vec![
            line(
                "endpoint",
                format!("{}, for none declares it", declaration.name),
            ),
            line("key", entries::key(declaration, key)),
        ],
        Place::Nowhere => {
            let mut lines = vec![line("endpoint", format!("none of {origin} matches"))];
            lines.extend(near.iter().map(|n| {
                line(
                    "nearest",
                    format!("{}  {}", n.shown, out.dim(format!("({})", n.why))),
                )
            }));
            lines
        }
    }
}

/// Writes a place as JSON.
pub(super) fn object(url: &str, place: &Place<'_>, near: &[near::Near]) -> serde_json::Value {
    let near: Vec<_> = near
        .iter()
        .map(|n| json!({ "endpoint": n.endpoint, "route": n.route, "why": n.why }))
        .collect();
    match place {
        Place::At {
            declaration,
            route,
            key,
        } => json!({
            "url": url,
            "endpoint": declaration.name.as_str(),
            "route": route.template().to_string(),
            "method": declaration.method.as_str(),
            "key": entries::key_json(declaration, key),
            "query": Some(key.query()).filter(|q| !q.is_empty()),
            "makes": route.expand(key).ok(),
        }),
        Place::NoKey {
            declaration,
            route,
            why,
        } => json!({
            "url": url,
            "endpoint": declaration.name.as_str(),
            "route": route.template().to_string(),
            "method": declaration.method.as_str(),
            "key": null,
            "why": why,
        }),
        Place::Everything { declaration, key } => json!({
            "url": url,
            "endpoint": declaration.name.as_str(),
            "route": null,
            "method": declaration.method.as_str(),
            "key": entries::key_json(declaration, key),
        }),
        Place::Nowhere => json!({ "url": url, "endpoint": null, "nearest": near }),
    }
}

fn check(global: &Global, out: &mut Out) -> Result<(), Failure> {
    let Some(config) = config(global)? else {
        return Err(Failure::usage(
            "there is no configuration to check: no --config, no RESTOW_CONFIG, and no restow.toml here",
        ));
    };
    for declaration in config.endpoints() {
        declaration.check()?;
    }
    Table::new(config.endpoints())
        .map_err(|e| Failure::new(Exit::Usage, format!("{}: {e}", config.origin())))?;
    let routes = config
        .endpoints()
        .iter()
        .map(|d| d.templates.len())
        .sum::<usize>();
    if out.is_json() {
        let endpoints: Vec<_> = config.endpoints().iter().map(|d| {
            let routes: Vec<String> = d.templates.iter().map(ToString::to_string).collect();
            let fields: Vec<String> = d.fields.iter().map(ToString::to_string).collect();
            json!({ "name": d.name.as_str(), "method": d.method.as_str(), "routes": routes, "fields": fields })
        }).collect();
        return out.json(&json!({ "config": config.origin(), "endpoints": endpoints, "routes": routes, "ok": true }));
    }
    out.line(format!(
        "{}: {} endpoints, {routes} routes, all is well",
        config.origin(),
        config.endpoints().len()
    ))
}
