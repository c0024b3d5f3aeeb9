//! One `[[endpoint]]` table of a configuration file, and the same as JSON.

use super::{
    credentials::Credentials,
    declaration::Declaration,
    form::{
        DefaultValue, FieldText, Many, Origin, Pairs, Pointer, RouteText, Size, Status, Text,
        Whole, is_false,
    },
    rules::{Coalesce, Coding, Freshness, Rules},
};
use crate::{
    Error, ErrorKind, Expiry, Field, FieldKind, Result,
    route::{QueryRules, Template, Undeclared},
    store::{Budget, Column, Compression, OnSchemaChange, TableName},
};
use http::Method;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

/// One `[[endpoint]]` table: every key is what a [`Declaration`] holds, in the form that people write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EndpointFile {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Text<TableName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Text<Method>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Text<RouteText>>,
    #[serde(skip_serializing_if = "Many::is_empty")]
    routes: Many<Text<RouteText>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codec: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<Many<FieldText>>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    defaults: Pairs<Box<str>, DefaultValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undeclared: Option<Text<Undeclared>>,
    #[serde(skip_serializing_if = "Many::is_empty")]
    ignore: Many<Box<str>>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    columns: Pairs<Box<str>, Text<Pointer>>,
    #[serde(skip_serializing_if = "Many::is_empty")]
    label: Many<Text<Pointer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freshness: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_after: Option<Text<Expiry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<Text<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_if_error: Option<Text<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stale_while_revalidate: Option<Text<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_statuses: Option<Many<Status>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statuses: Option<Many<Status>>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    negative: Pairs<Status, Text<Expiry>>,
    #[serde(skip_serializing_if = "Many::is_empty")]
    require: Many<Text<Pointer>>,
    #[serde(skip_serializing_if = "Many::is_empty")]
    reject: Many<Text<Pointer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_body: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Credentials>,
    #[serde(skip_serializing_if = "is_false")]
    share: bool,
    #[serde(skip_serializing_if = "is_false")]
    force: bool,
    #[serde(skip_serializing_if = "Many::is_empty")]
    redirect_origins: Many<Text<Origin>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_schema_change: Option<Text<OnSchemaChange>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_entries: Option<Whole<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_variants: Option<Whole<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<Text<Compression>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coalesce: Option<Text<Coalesce>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Text<Duration>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_encoding: Option<Text<Option<Coding>>>,
}

/// What is wrong with a table whose values are right one by one, and the key to look at.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) key: &'static str,
    pub(crate) error: Error,
}

impl EndpointFile {
    /// Makes the declaration.
    pub(crate) fn into_declaration(self) -> Result<Declaration, Wrong> {
        let freshness = self.freshness()?;
        let name = self.name.ok_or_else(|| {
            config(
                "name",
                "there is no name; every endpoint has one, such as name = \"tracks\"",
            )
        })?;
        let (method, templates) = routes(self.method, self.route, self.routes)?;
        let fields = match self.fields {
            Some(fields) => fields.0.into_iter().map(|f| f.0).collect(),
            None => fields_of(&method, &templates),
        };
        let defaults = Rules::default();
        Ok(Declaration {
            name: name.0,
            method,
            fields,
            codec: self
                .codec
                .as_deref()
                .unwrap_or(Declaration::AUTO_CODEC)
                .into(),
            columns: self
                .columns
                .0
                .into_iter()
                .map(|(name, pointer)| Column {
                    name,
                    pointer: pointer.0.0,
                })
                .collect(),
            label: pointers(self.label),
            rules: Rules {
                freshness,
                expire_after: self.expire_after.map(|t| t.0),
                keep: self.keep.map(|t| t.0),
                stale_if_error: self.stale_if_error.map(|t| t.0),
                stale_while_revalidate: self.stale_while_revalidate.map(|t| t.0),
                error_statuses: self.error_statuses.map(statuses),
                statuses: self.statuses.map(statuses),
                negative: self
                    .negative
                    .0
                    .into_iter()
                    .map(|(s, e)| (s.0, e.0))
                    .collect(),
                require: pointers(self.require),
                reject: pointers(self.reject),
                max_body: self.max_body.map_or(defaults.max_body, |s| s.0),
                credentials: self.credentials,
                share: self.share,
                force: self.force,
                redirect_origins: self.redirect_origins.0.into_iter().map(|o| o.0.0).collect(),
                on_schema_change: self.on_schema_change.map(|t| t.0).unwrap_or_default(),
                budget: Budget {
                    bytes: self.max_bytes.map(|s| s.0),
                    entries: self.max_entries.map(|n| n.0),
                },
                compression: self.compression.map(|t| t.0).unwrap_or_default(),
                max_variants: self.max_variants.map_or(defaults.max_variants, |n| n.0),
                coalesce: self.coalesce.map(|t| t.0).unwrap_or_default(),
                lease: self.lease.map_or(defaults.lease, |t| t.0),
                upstream_encoding: self
                    .upstream_encoding
                    .map_or(defaults.upstream_encoding, |t| t.0),
            },
            templates,
            query: QueryRules {
                undeclared: self.undeclared.map(|t| t.0).unwrap_or_default(),
                ignore: self.ignore.0,
                defaults: self
                    .defaults
                    .0
                    .into_iter()
                    .map(|(name, v)| (name, v.0))
                    .collect(),
                ..QueryRules::default()
            },
        })
    }

    fn freshness(&self) -> Result<Freshness, Wrong> {
        match self.freshness.as_deref() {
            None | Some("expire_after") => Ok(Freshness::ExpireAfter),
            Some("http") => Ok(Freshness::Http),
            Some(other) => Err(config(
                "freshness",
                format!(
                    "{other:?} is no rule of freshness; write \"expire_after\", where this file decides, or \"http\", where the answers do"
                ),
            )),
        }
    }
}

impl From<&Declaration> for EndpointFile {
    fn from(d: &Declaration) -> Self {
        let rules = &d.rules;
        let route = |template: &Template| {
            let method = (d.method != Method::GET).then(|| d.method.clone());
            Text(RouteText {
                method,
                template: template.clone(),
            })
        };
        let (route, routes) = match &*d.templates {
            [only] => (Some(route(only)), Many::default()),
            all => (None, all.iter().map(route).collect()),
        };
        Self {
            name: Some(Text(d.name.clone())),
            method: (d.templates.is_empty() && d.method != Method::GET)
                .then(|| Text(d.method.clone())),
            route,
            routes,
            codec: (*d.codec != *Declaration::AUTO_CODEC).then(|| (*d.codec).into()),
            fields: Some(d.fields.iter().cloned().map(FieldText).collect()),
            defaults: d
                .query
                .defaults
                .iter()
                .map(|(name, v)| (name.clone(), DefaultValue(v.clone())))
                .collect(),
            undeclared: unless_default(d.query.undeclared),
            ignore: d.query.ignore.iter().cloned().collect(),
            columns: d
                .columns
                .iter()
                .map(|c| (c.name.clone(), pointer(&c.pointer)))
                .collect(),
            label: d.label.iter().map(|p| pointer(p)).collect(),
            freshness: (rules.freshness == Freshness::Http).then(|| "http".into()),
            expire_after: rules.expire_after.map(Text),
            keep: rules.keep.map(Text),
            stale_if_error: rules.stale_if_error.map(Text),
            stale_while_revalidate: rules.stale_while_revalidate.map(Text),
            error_statuses: rules
                .error_statuses
                .as_ref()
                .map(|s| s.iter().copied().map(Status).collect()),
            statuses: rules
                .statuses
                .as_ref()
                .map(|s| s.iter().copied().map(Status).collect()),
            negative: rules
                .negative
                .iter()
                .map(|(s, e)| (Status(*s), Text(*e)))
                .collect(),
            require: rules.require.iter().map(|p| pointer(p)).collect(),
            reject: rules.reject.iter().map(|p| pointer(p)).collect(),
            max_body: (rules.max_body != Rules::MAX_BODY).then_some(Size(rules.max_body)),
            credentials: rules.credentials.clone(),
            share: rules.share,
            force: rules.force,
            redirect_origins: rules
                .redirect_origins
                .iter()
                .map(|o| Text(Origin(o.clone())))
                .collect(),
            on_schema_change: unless_default(rules.on_schema_change),
            max_bytes: rules.budget.bytes.map(Size),
            max_entries: rules.budget.entries.map(Whole),
            max_variants: (rules.max_variants != Rules::default().max_variants)
                .then_some(Whole(rules.max_variants)),
            compression: unless_default(rules.compression),
            coalesce: unless_default(rules.coalesce),
            lease: (rules.lease != Rules::LEASE).then_some(Text(rules.lease)),
            upstream_encoding: (rules.upstream_encoding != Rules::default().upstream_encoding)
                .then_some(Text(rules.upstream_encoding)),
        }
    }
}

impl Declaration {
    /// The name of the codec of an endpoint that leaves it to the content type.
    pub const AUTO_CODEC: &'static str = "auto";

    /// Writes it as JSON, in the shape that a configuration file has. It holds no secret.
    ///
    /// [`QueryRules::secret`] is left out, for it comes from the credentials.
    pub fn to_json(&self) -> String {
        // Text, numbers, lists and tables with text for keys: JSON has a form for all of it.
        serde_json::to_string(&EndpointFile::from(self)).unwrap_or_default()
    }

    /// Reads what [`to_json`](Self::to_json) wrote. It checks the form alone: [`check`](Self::check) does the rest.
    ///
    /// ```
    /// use restow::{Declaration, Field};
    /// let declaration = Declaration::new("tracks", [Field::text("id")])?;
    /// assert_eq!(declaration.to_json(), r#"{"name":"tracks","codec":"text","fields":["id"]}"#);
    /// assert_eq!(Declaration::from_json(&declaration.to_json())?, declaration);
    /// # Ok::<(), restow::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Format`] where it is not of this form: of a newer version, or no declaration.
    pub fn from_json(text: &str) -> Result<Self> {
        let wrong = || {
            let message = "this is no declaration of an endpoint that this version can read; a newer version may";
            Error::new(ErrorKind::Format, message)
        };
        let file: EndpointFile = serde_json::from_str(text).map_err(|e| wrong().with_source(e))?;
        file.into_declaration()
            .map_err(|w| wrong().with_source(w.error))
    }
}

/// The one method and the templates.
fn routes(
    method: Option<Text<Method>>,
    route: Option<Text<RouteText>>,
    routes: Many<Text<RouteText>>,
) -> Result<(Method, Vec<Template>), Wrong> {
    let key = if route.is_some() { "route" } else { "routes" };
    if route.is_some() && !routes.is_empty() {
        return Err(config(
            "routes",
            "route and routes are both there; list all in routes, the canonical one first",
        ));
    }
    let mut method = method.map(|t| t.0);
    let mut templates = Vec::new();
    for Text(route) in route.into_iter().chain(routes.0) {
        match (&method, &route.method) {
            (Some(one), Some(other)) if one != other => {
                let message = format!(
                    "an endpoint has one method, and here are {one} and {other}; make two endpoints of it"
                );
                return Err(config(key, message));
            }
            (None, Some(_)) => method = route.method,
            _ => {}
        }
        templates.push(route.template);
    }
    Ok((method.unwrap_or(Method::GET), templates))
}

/// The fields where none are declared: one for each variable of the canonical route, and the body's digest.
fn fields_of(method: &Method, templates: &[Template]) -> Arc<[Field]> {
    let variables = templates.first().map(Template::fields).unwrap_or_default();
    let body =
        (*method == Method::POST).then(|| Field::new(Declaration::BODY_FIELD, FieldKind::Text));
    variables.into_iter().chain(body).collect()
}

fn statuses(list: Many<Status>) -> Arc<[http::StatusCode]> {
    list.0.into_iter().map(|s| s.0).collect()
}

fn pointers(list: Many<Text<Pointer>>) -> Vec<Box<str>> {
    list.0.into_iter().map(|p| p.0.0).collect()
}

fn pointer(text: &str) -> Text<Pointer> {
    Text(Pointer(text.into()))
}

fn unless_default<T: Default + PartialEq>(value: T) -> Option<Text<T>> {
    (value != T::default()).then_some(Text(value))
}

fn config(key: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Wrong {
    Wrong {
        key,
        error: Error::new(ErrorKind::Config, message),
    }
}
