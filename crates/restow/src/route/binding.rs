//! Which variable of a template gives which field.

use super::{
    query::QueryRules,
    template::{Place, Template, Variable},
};
use crate::{
    Error, ErrorKind, Result,
    key::{Field, FieldKind, FieldRef, FieldValue},
};
use std::fmt;

/// Where a field's value comes from.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) field: Field,
    /// The index of its variable; without one it is always the default.
    pub(super) variable: Option<usize>,
    pub(super) default: Option<FieldValue>,
}

impl Binding {
    pub(super) fn default_field(&self) -> FieldRef<'_> {
        let default = self.default.as_ref();
        default.map_or(FieldRef::Absent, FieldValue::as_ref)
    }
}

/// Finds the place of each field, and refuses what fits none.
pub(super) fn bindings(
    template: &Template,
    fields: &[Field],
    rules: &QueryRules,
) -> Result<Box<[Binding]>> {
    let fail = |what: fmt::Arguments<'_>| {
        let message = format!("route \"{template}\": {what}");
        Err(Error::new(ErrorKind::Route, message))
    };
    let is_field = |name: &str| fields.iter().any(|f| f.name() == name);
    let list = || {
        fields
            .iter()
            .map(Field::name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(stray) = template.variables().find(|v| !is_field(v.name())) {
        let (name, list) = (stray.name(), list());
        return fail(format_args!(
            "the variable {name:?} is not a field; the fields are ({list})"
        ));
    }
    if let Some((stray, _)) = rules.defaults.iter().find(|(name, _)| !is_field(name)) {
        let list = list();
        return fail(format_args!(
            "the default of {stray:?} is of no field; the fields are ({list})"
        ));
    }
    let mut parameters = template.query.iter();
    if let Some(secret) = parameters.find(|p| rules.secret.contains(&p.name)) {
        let name = &secret.name;
        return fail(format_args!(
            "the parameter {name:?} holds a credential, which is never in a key; leave it out"
        ));
    }
    let mut bindings = Vec::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let name = field.name();
        if fields.iter().take(at).any(|f| f.name() == name) {
            return fail(format_args!(
                "the field {name:?} is there twice; rename one"
            ));
        }
        let variable = template.variables().position(|v| v.name() == name);
        let default = rules.default_of(name).cloned();
        let place = variable.and_then(|index| template.variables.get(index));
        if let Err(what) = check(field, place, default.as_ref()) {
            return fail(format_args!("{what}"));
        }
        bindings.push(Binding {
            field: field.clone(),
            variable,
            default,
        });
    }
    Ok(bindings.into())
}

/// Says what is wrong with a field in its place.
fn check(
    field: &Field,
    variable: Option<&Variable>,
    default: Option<&FieldValue>,
) -> Result<(), String> {
    let (name, kind) = (field.name(), field.kind());
    match variable {
        None if default.is_none() => {
            return Err(format!(
                "the field {name:?} is not in the template; add {{{name}}} or {{?{name}}}, or give it a default"
            ));
        }
        Some(v) if v.kind == FieldKind::Integer && kind != FieldKind::Integer => {
            return Err(format!(
                "{{{v}}} is an integer, the field {name:?} is {kind}; make them the same"
            ));
        }
        Some(v) if v.place == Place::Rest && kind != FieldKind::Text => {
            return Err(format!(
                "a rest-of-path is text, the field {name:?} is {kind}; make it text"
            ));
        }
        _ => {}
    }
    match default {
        Some(value) if value.as_ref().kind() != Some(kind) => Err(format!(
            "the default {value} of {name:?} is not of its kind, {kind}"
        )),
        _ => Ok(()),
    }
}
