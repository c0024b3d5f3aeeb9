//! Everything of an endpoint that is data.

use super::rules::Rules;
use crate::{
    Error, ErrorKind, Field, FieldValue, Result,
    route::{QueryRules, Route, Template},
    store::{Column, TableName, TableSpec},
};
use http::Method;
use std::sync::Arc;

/// Everything of an endpoint that is data: the same from code, from a trait impl and from a file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Declaration {
    /// The name of its repository.
    pub name: TableName,
    /// The method of its requests; `GET` answers `HEAD` too.
    pub method: Method,
    /// The fields of its keys, in order.
    pub fields: Arc<[Field]>,
    /// The name of its codec: `json`, `text`, `binary`, `auto`, or a user's own.
    pub codec: Arc<str>,
    /// Values taken out of each JSON body, to select by.
    pub columns: Vec<Column>,
    /// JSON pointers to an answer's label; the first that is there gives it.
    pub label: Vec<Box<str>>,
    /// How its answers are kept.
    pub rules: Rules,
    /// Its URI templates; the first is canonical, the others are aliases.
    pub templates: Vec<Template>,
    /// How its query parameters are read.
    pub query: QueryRules,
}

impl Declaration {
    /// Tells whether it has a key field or a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|f| f.name() == name)
            || self.columns.iter().any(|c| *c.name == *name)
    }

    /// Declares an endpoint of `GET` requests without a route, whose keys have these fields, with text bodies.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where the name is not one a repository can have.
    pub fn new(name: &str, fields: impl Into<Arc<[Field]>>) -> Result<Self> {
        Ok(Self {
            name: TableName::new(name)?,
            method: Method::GET,
            fields: fields.into(),
            codec: "text".into(),
            columns: Vec::new(),
            label: Vec::new(),
            rules: Rules::default(),
            templates: Vec::new(),
            query: QueryRules::default(),
        })
    }

    /// Binds its templates to its fields. `secret` names query parameters that are credentials.
    ///
    /// # Errors
    /// [`ErrorKind::Route`] where a template does not fit the fields.
    pub fn routes(&self, secret: &[Box<str>]) -> Result<Vec<Route>> {
        let mut query = self.query.clone();
        query.secret.extend(secret.iter().cloned());
        let fields = self.url_fields();
        self.templates
            .iter()
            .map(|t| Route::new(t.clone(), fields, query.clone()).map_err(|e| self.named(e)))
            .collect()
    }

    /// Returns the fields that come from the URL: all but the digest of a request's body, which `POST` endpoints have last.
    pub fn url_fields(&self) -> &[Field] {
        match self.fields.split_last() {
            Some((last, rest)) if self.has_body_field() && last.name() == Self::BODY_FIELD => rest,
            _ => &self.fields,
        }
    }

    /// The name of the field that holds the digest of a request's body.
    pub const BODY_FIELD: &'static str = "body_digest";

    /// Tells whether the last field is the digest of the request's body.
    pub fn has_body_field(&self) -> bool {
        self.method == Method::POST
            && self
                .fields
                .last()
                .is_some_and(|f| f.name() == Self::BODY_FIELD)
    }

    /// Checks everything that can be wrong with a declaration.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], [`ErrorKind::Name`] or [`ErrorKind::Route`], naming the endpoint and the part.
    pub fn check(&self) -> Result<()> {
        if !matches!(self.method, Method::GET | Method::POST) {
            return Err(self.named(Error::new(
                ErrorKind::Config,
                format!(
                    "the method is {}; an endpoint has GET (answering HEAD too) or POST",
                    self.method
                ),
            )));
        }
        let pointers = self
            .columns
            .iter()
            .map(|c| &c.pointer)
            .chain(&self.label)
            .chain(&self.rules.require)
            .chain(&self.rules.reject);
        for pointer in pointers {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let message = format!(
                    "{pointer:?} is not a JSON pointer (RFC 6901); it begins with \"/\", as in \"/artists/0/id\""
                );
                return Err(self.named(Error::new(ErrorKind::Config, message)));
            }
        }
        for (name, _) in &self.query.defaults {
            if !self.fields.iter().any(|f| f.name() == &**name) {
                let known: Vec<_> = self.fields.iter().map(Field::name).collect();
                let message = format!(
                    "the default is for {name:?}, which is no field; the fields are ({})",
                    known.join(", ")
                );
                return Err(self.named(Error::new(ErrorKind::Config, message)));
            }
        }
        self.routes(&[])?;
        self.spec("", TableSpec::KEEP).map(drop)
    }

    /// Returns what a store needs to know of its table. `text` is the declaration as a file would have it; `keep` is the cache's.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] where a field's or column's name is not one a store can hold.
    pub fn spec(&self, text: &str, keep: std::time::Duration) -> Result<TableSpec> {
        let defaults: Vec<(Box<str>, FieldValue)> = self.query.defaults.clone();
        let spec = TableSpec {
            method: self.method.clone(),
            defaults: defaults.into(),
            columns: self.columns.clone().into(),
            codec: self.codec.clone(),
            keep: self.rules.keep.unwrap_or(keep),
            budget: self.rules.budget,
            compression: self.rules.compression,
            max_variants: self.rules.max_variants.max(1),
            on_schema_change: self.rules.on_schema_change,
            declaration: text.into(),
            ..TableSpec::new(self.name.as_str(), self.fields.clone())?
        };
        spec.check()?;
        Ok(spec)
    }

    pub(crate) fn named(&self, error: Error) -> Error {
        error.in_repository(self.name.shared())
    }
}
