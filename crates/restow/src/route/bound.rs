//! A template bound to the fields of an endpoint.

use super::{
    binding::{Binding, bindings},
    expand,
    path::Path,
    pattern::Captures,
    query::QueryRules,
    target::Target,
    template::{Place, Template},
};
use crate::{
    Result,
    key::{Field, FieldRef, FieldValue, RawKey},
};
use smallvec::SmallVec;
use std::fmt;

/// A template bound to an endpoint's fields: it reads the key from a request, and the request from a key.
///
/// ```
/// use restow::{Field, route::{Matched, QueryRules, Route, Target, Template}};
/// let template = Template::parse("https://api.example.com/v1/tracks/{id}{?market}")?;
/// let fields = [Field::text("id"), Field::text("market").optional()];
/// let route = Route::new(template, &fields, QueryRules::default())?;
///
/// let uri: http::Uri = "https://api.example.com/v1/tracks/6?market=GB".parse()?;
/// let Matched::Key(key) = route.key(&Target::from(&uri)) else { panic!("no key") };
/// assert_eq!(route.expand(&key)?, "https://api.example.com/v1/tracks/6?market=GB");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Route {
    pub(super) template: Template,
    pub(super) bindings: Box<[Binding]>,
    pub(super) rules: QueryRules,
}

/// What a route says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// The request is not of this route.
    No,
    /// The request has this key.
    Key(RawKey),
    /// The request is of this route, but no key can tell its answer from others.
    Bypass(NoKey),
}

/// Why a request of a route has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoKey {
    /// It has an undeclared parameter, and the endpoint bypasses those.
    Undeclared,
    /// A declared parameter is there more than once.
    Repeated,
    /// A declared parameter has no `=`, which is neither absent nor empty.
    NoValue,
    /// A name or value of its query is not percent-encoded UTF-8.
    Encoding,
    /// The key is longer than [`MAX_KEY_BYTES`](crate::key::MAX_KEY_BYTES).
    TooLong,
}

impl fmt::Display for NoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undeclared => "it has a query parameter that the endpoint does not declare",
            Self::Repeated => "a declared query parameter is there more than once",
            Self::NoValue => "a declared query parameter has no =",
            Self::Encoding => "its query is not percent-encoded UTF-8",
            Self::TooLong => "its key is too long",
        })
    }
}

impl Route {
    /// Binds a template to an endpoint's fields, in their order.
    ///
    /// An integer field makes its variable typed. A field that may not be absent and has no default makes its variable required. A field
    /// that has a default may be missing from the template: it is always the default then.
    ///
    /// # Errors
    /// [`ErrorKind::Route`](crate::ErrorKind::Route) where fields and variables are not the same, a kind or a default does not fit, or a variable names a credential.
    pub fn new(mut template: Template, fields: &[Field], rules: QueryRules) -> Result<Self> {
        let bindings = bindings(&template, fields, &rules)?;
        for (index, variable) in template.variables.iter_mut().enumerate() {
            if let Some(binding) = bindings.iter().find(|b| b.variable == Some(index)) {
                variable.kind = binding.field.kind();
                variable.required |= !binding.field.is_optional() && binding.default.is_none();
            }
        }
        template.retype();
        Ok(Self {
            template,
            bindings,
            rules,
        })
    }

    /// Returns the template as it is bound: with the kinds and requirements of the fields.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Reads the key of a request.
    pub fn key(&self, target: &Target<'_>) -> Matched {
        let Some((origin, path)) = target.origin().zip(Path::parse(target.path)) else {
            return Matched::No;
        };
        let mut captures = Captures::new();
        if self.captures_origin(&origin, &mut captures) && self.captures_path(&path, &mut captures)
        {
            self.finish(&captures, target.query)
        } else {
            Matched::No
        }
    }

    /// Returns the key that a request made of `key` has: defaults filled in, values of the host in lower case.
    ///
    /// # Errors
    /// [`ErrorKind::Key`](crate::ErrorKind::Key) where it is longer than [`MAX_KEY_BYTES`](crate::key::MAX_KEY_BYTES).
    pub fn canonical(&self, key: RawKey) -> Result<RawKey> {
        let canonical_field =
            |binding: &Binding, field: FieldRef<'_>| match (field, &binding.default) {
                (FieldRef::Absent, Some(default)) => Some(default.clone()),
                (FieldRef::Text(text), _) if self.place(binding) == Some(Place::Host) => {
                    let upper = text.bytes().any(|b| b.is_ascii_uppercase());
                    upper.then(|| text.to_ascii_lowercase().into())
                }
                _ => None,
            };
        let mut bindings = self.bindings.iter();
        let changed: SmallVec<[_; 8]> = key
            .fields()
            .map(|field| canonical_field(bindings.next()?, field))
            .collect();
        if changed.iter().all(Option::is_none) {
            return Ok(key);
        }
        let fields = key.fields().zip(&changed);
        let fields = fields.map(|(old, new)| new.as_ref().map_or(old, FieldValue::as_ref));
        RawKey::new(fields, key.query())
    }

    /// Writes the absolute URL of a key; a request to it has the key that [`canonical`](Self::canonical) returns.
    ///
    /// # Errors
    /// [`ErrorKind::Key`](crate::ErrorKind::Key) where the key does not fit the fields, or no client would send its URL as it is: an empty segment, `.` or `..`, a
    /// value that its neighbours in the segment would be read into.
    pub fn expand(&self, key: &RawKey) -> Result<String> {
        let key = self.canonical(key.clone())?;
        expand::expand(self, &key)
    }

    fn place(&self, binding: &Binding) -> Option<Place> {
        let variable = self.template.variables.get(binding.variable?)?;
        Some(variable.place)
    }
}
