//! A parsed URI template.

use super::{
    parse,
    pattern::{Part, Pattern},
    percent,
    target::Scheme,
};
use crate::{Error, Result, key::Field, key::FieldKind};
use std::{fmt, str::FromStr};

/// A URI template that is read both ways; [the module](super) says what it may hold.
///
/// `Display` writes it in canonical form, which reads back as the same template.
///
/// ```
/// use restow::route::Template;
/// let template = Template::parse("HTTPS://API.example.com:443/v1/tracks/{id}{?market,limit:int}")?;
/// assert_eq!(template.to_string(), "https://api.example.com/v1/tracks/{id}{?market,limit:int}");
/// let names: Vec<_> = template.variables().map(|v| v.name()).collect();
/// assert_eq!(names, ["id", "market", "limit"]);
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    pub(super) segments: Box<[Pattern]>,
    pub(super) rest: Option<Rest>,
    pub(super) query: Box<[Parameter]>,
    /// Those of the host, then of the segments, then the rest, then of the query: each in the order of the text.
    pub(super) variables: Box<[Variable]>,
}

/// A variable of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variable {
    pub(super) name: Box<str>,
    pub(super) kind: FieldKind,
    pub(super) place: Place,
    pub(super) required: bool,
}

/// Where in a template a variable stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Place {
    /// In a label of the host.
    Host,
    /// In a segment of the path.
    Path,
    /// At the end of the path, for all that follows.
    Rest,
    /// In the query.
    Query,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// [`ErrorKind::Route`](crate::ErrorKind::Route) with the offending part, its position in bytes, and what to write instead.
    pub fn parse(text: &str) -> Result<Self> {
        parse::template(text)
    }

    /// Returns the variables: of the host, of the path, of the query, each in the order of the text.
    pub fn variables(&self) -> impl ExactSizeIterator<Item = &Variable> {
        self.variables.iter()
    }

    /// Returns one field for each variable: what an endpoint's fields are unless it declares others.
    pub fn fields(&self) -> Vec<Field> {
        self.variables.iter().map(Variable::to_field).collect()
    }

    /// Gives the patterns the kinds that the variables have now.
    pub(super) fn retype(&mut self) {
        let mut kinds = self.variables.iter().map(|v| v.kind);
        if let Host::Labels(labels) = &mut self.host {
            labels.iter_mut().for_each(|label| label.retype(&mut kinds));
        }
        for segment in &mut self.segments {
            segment.retype(&mut kinds);
        }
    }

    /// Returns the variable of a rest-of-path, with how it is written.
    pub(super) fn rest_variable(&self) -> Option<(Rest, &Variable)> {
        let variable = self.variables.iter().find(|v| v.place == Place::Rest)?;
        Some((self.rest?, variable))
    }
}

impl FromStr for Template {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut variables = self.variables.iter();
        write!(f, "{}://", self.scheme)?;
        match &self.host {
            Host::Literal(host) => f.write_str(host)?,
            Host::Labels(labels) => {
                for (i, label) in labels.iter().enumerate() {
                    f.write_str(if i > 0 { "." } else { "" })?;
                    write_pattern(f, label, &mut variables)?;
                }
            }
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for segment in &self.segments {
            f.write_str("/")?;
            write_pattern(f, segment, &mut variables)?;
        }
        match self.rest_variable() {
            Some((Rest::AfterSlash, v)) => write!(f, "/{{+{}}}", v.name)?,
            Some((Rest::WithSlash, v)) => write!(f, "{{/{}*}}", v.name)?,
            None => {}
        }
        self.write_query(f)
    }
}

impl Template {
    fn write_query(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = '?';
        let mut listed = false;
        for parameter in &self.query {
            let variable = parameter
                .variable()
                .and_then(|index| self.variables.get(index));
            match (&parameter.value, variable) {
                (Expected::Listed(_), Some(v)) => {
                    if listed {
                        f.write_str(",")?;
                    } else {
                        write!(f, "{{{lead}")?;
                    }
                    listed = true;
                    write!(f, "{v}{}", if v.required { "!" } else { "" })?;
                }
                (Expected::Named(_), Some(v)) => {
                    write!(f, "{lead}{}={{{v}}}", parameter.encoded_name())?;
                }
                (Expected::Literal(value), _) => {
                    write!(f, "{lead}{}={}", parameter.encoded_name(), encoded(value))?;
                }
                _ => write!(f, "{lead}{}", parameter.encoded_name())?,
            }
            lead = '&';
        }
        f.write_str(if listed { "}" } else { "" })
    }
}

impl Variable {
    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the kind of its values.
    pub fn kind(&self) -> FieldKind {
        self.kind
    }

    /// Returns where it stands.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Tells whether a request without it does not match.
    pub fn is_required(&self) -> bool {
        self.required
    }

    fn to_field(&self) -> Field {
        let field = Field::new(self.name.to_string(), self.kind);
        if self.required {
            field
        } else {
            field.optional()
        }
    }
}

impl fmt::Display for Variable {
    /// Writes the name, with the kind where it is not text: `id`, `offset:int`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        f.write_str(match self.kind {
            FieldKind::Integer => ":int",
            FieldKind::Text => "",
        })
    }
}

/// A host, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    Literal(Box<str>),
    Labels(Box<[Pattern]>),
}

/// How a rest-of-path variable is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rest {
    /// `/{+rest}`: what follows the slash, maybe nothing.
    AfterSlash,
    /// `{/rest*}`: slash and what follows it, or neither.
    WithSlash,
}

/// A declared parameter of the query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parameter {
    /// Decoded.
    pub(super) name: Box<str>,
    pub(super) value: Expected,
}

/// What a declared parameter's value is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Expected {
    /// `name`: there, without a value.
    Bare,
    /// `name=value`, decoded.
    Literal(Box<str>),
    /// `name={variable}`: the variable's index.
    Named(usize),
    /// `{?variable}`: the variable's index.
    Listed(usize),
}

impl Parameter {
    /// Returns the index of the variable that takes the value.
    pub(super) fn variable(&self) -> Option<usize> {
        match self.value {
            Expected::Named(index) | Expected::Listed(index) => Some(index),
            Expected::Bare | Expected::Literal(_) => None,
        }
    }

    pub(super) fn encoded_name(&self) -> String {
        encoded(&self.name)
    }
}

/// Encodes a literal of a query.
pub(super) fn encoded(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    percent::encode(&mut out, literal, percent::QUERY_LITERAL);
    out
}

fn write_pattern<'v>(
    f: &mut fmt::Formatter<'_>,
    pattern: &Pattern,
    variables: &mut impl Iterator<Item = &'v Variable>,
) -> fmt::Result {
    for part in pattern.parts() {
        match (part, part.variable().and_then(|_| variables.next())) {
            (Part::Literal(text), _) => {
                let mut out = String::new();
                percent::encode(&mut out, text, percent::LITERAL);
                f.write_str(&out)?;
            }
            (Part::Variable(_), Some(v)) => write!(f, "{{{v}}}")?,
            (Part::Variable(_), None) => {}
        }
    }
    Ok(())
}
