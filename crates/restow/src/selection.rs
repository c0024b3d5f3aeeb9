//! Selections: which entries an operation covers.

use crate::{
    Error, ErrorKind, Field, FieldValue, Millis, RawKey, Result,
    entry::{Address, Entry, Partition},
    store::TableSpec,
};

/// Entries by their age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Live and expired ones.
    #[default]
    All,
    /// Those that have not expired.
    Live,
    /// Those that have expired and are still kept.
    Expired,
}

/// A condition on a key field or a declared column: that it has this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The field or column.
    pub name: Box<str>,
    /// The value; [`FieldValue::Absent`] selects entries in which it is absent.
    pub value: FieldValue,
}

/// Which entries an operation covers: those that all conditions hold for. The default covers everything, of everyone.
///
/// ```
/// use restow::{Scope, Selection};
/// let selection = Selection::new(Scope::Live).eq("artist", "0OdU");
/// assert_eq!(selection.conditions.len(), 1);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Selection {
    /// By age.
    pub scope: Scope,
    /// Whose entries; `None` for everyone's.
    pub partition: Option<Partition>,
    /// By values of fields and columns.
    pub conditions: Vec<Condition>,
    /// By the undeclared query, in its canonical form.
    pub query: Option<Box<str>>,
    /// By tag.
    pub tag: Option<Box<str>>,
    /// By status code.
    pub status: Option<u16>,
    /// Stored at or after this moment.
    pub stored_since: Option<Millis>,
    /// Stored before this moment.
    pub stored_before: Option<Millis>,
    /// With a body that changed at or after this moment.
    pub changed_since: Option<Millis>,
    /// With a body that changed before this moment.
    pub changed_before: Option<Millis>,
    /// Whether the operation may read every entry to find those it covers.
    pub scan: bool,
}

impl Selection {
    /// Selects everyone's entries in `scope`.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }

    /// Narrows it to one partition.
    #[must_use]
    pub fn within(mut self, partition: Partition) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Adds the condition that a field or column has this value.
    #[must_use]
    pub fn eq(mut self, name: &str, value: impl Into<FieldValue>) -> Self {
        self.conditions.push(Condition {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Narrows it to the entries of a key, whose `fields` are those of its endpoint.
    #[must_use]
    pub fn key(mut self, fields: &[Field], key: &RawKey) -> Self {
        for (field, value) in fields.iter().zip(key.fields()) {
            self = self.eq(field.name(), value.to_value());
        }
        self.query = Some(key.query().into());
        self
    }

    /// Lets the operation read every entry.
    #[must_use]
    pub fn scan(mut self) -> Self {
        self.scan = true;
        self
    }

    /// Tells whether only age and partition select.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "redis")),
        expect(dead_code, reason = "one store counts so")
    )]
    pub(crate) fn is_plain(&self) -> bool {
        let Self {
            scope,
            partition,
            scan,
            ..
        } = self;
        let plain = Self {
            scope: *scope,
            partition: partition.clone(),
            scan: *scan,
            ..Self::default()
        };
        *self == plain
    }

    /// Checks that a table has what the selection names, and that it is found by an index unless scanning is allowed.
    ///
    /// # Errors
    /// [`ErrorKind::Selection`] naming the condition, what there is, and `scan()`.
    pub fn check(&self, spec: &TableSpec) -> Result<()> {
        let mut unindexed = None;
        let mut indexed = self.tag.is_some();
        for condition in &self.conditions {
            let name = &*condition.name;
            match spec.fields.iter().position(|f| f.name() == name) {
                Some(0) => indexed = true,
                Some(_) => unindexed = Some(name),
                None if spec.columns.iter().any(|c| *c.name == *name) => indexed = true,
                None => return Err(self.unknown(name, spec)),
            }
        }
        if self.status.is_some() {
            unindexed = Some("status");
        }
        if self.stored_since.is_some() || self.stored_before.is_some() {
            unindexed = Some("stored_at");
        }
        if self.changed_since.is_some() || self.changed_before.is_some() {
            unindexed = Some("changed_at");
        }
        if self.query.is_some() {
            unindexed = Some("query");
        }
        match unindexed {
            Some(name) if !indexed && !self.scan => {
                let message = format!(
                    "{name:?} has no index, so this selection reads every entry; allow it with scan(), or declare a column"
                );
                Err(Error::new(ErrorKind::Selection, message).in_repository(spec.name.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Tells whether it covers an entry of this table at `now`: what a store without an index asks of each one.
    ///
    /// An entry past its `keep` is covered by nothing, and neither is any entry by a condition on a name that the table does not have.
    pub fn covers(&self, entry: &Entry, spec: &TableSpec, now: Millis) -> bool {
        let meta = &entry.meta;
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::Live => meta.is_live(now),
            Scope::Expired => !meta.is_live(now),
        };
        let address = &entry.id.address;
        in_scope
            && meta.is_retained(spec.keep, now)
            && self
                .partition
                .as_ref()
                .is_none_or(|p| *p == address.partition)
            && self.conditions.iter().all(|c| c.holds(entry, spec))
            && self
                .query
                .as_ref()
                .is_none_or(|q| **q == *address.key.query())
            && self.tag.as_ref().is_none_or(|t| meta.tags.contains(t))
            && self.status.is_none_or(|s| s == meta.head.status().as_u16())
            && self.stored_since.is_none_or(|at| meta.stored_at >= at)
            && self.stored_before.is_none_or(|at| meta.stored_at < at)
            && self.changed_since.is_none_or(|at| meta.changed_at >= at)
            && self.changed_before.is_none_or(|at| meta.changed_at < at)
    }

    /// Tells whether it could cover an entry at an address, by what the address tells.
    pub(crate) fn may_cover(&self, address: &Address, fields: &[Field]) -> bool {
        let is_key = |condition: &Condition| {
            let at = fields.iter().position(|f| *f.name() == *condition.name);
            at.is_none_or(|i| address.key.fields().nth(i) == Some(condition.value.as_ref()))
        };
        let Self {
            partition, query, ..
        } = self;
        partition.as_ref().is_none_or(|p| *p == address.partition)
            && query.as_ref().is_none_or(|q| **q == *address.key.query())
            && self.conditions.iter().all(is_key)
    }

    fn unknown(&self, name: &str, spec: &TableSpec) -> Error {
        let fields = spec.fields.iter().map(|f| f.name());
        let known: Vec<_> = fields
            .chain(spec.columns.iter().map(|c| &*c.name))
            .collect();
        let message = format!(
            "there is no field or column {name:?}; there are ({})",
            known.join(", ")
        );
        Error::new(ErrorKind::Selection, message).in_repository(spec.name.as_str())
    }
}

impl Condition {
    fn holds(&self, entry: &Entry, spec: &TableSpec) -> bool {
        if let Some(i) = spec.fields.iter().position(|f| *f.name() == *self.name) {
            return entry.id.address.key.fields().nth(i) == Some(self.value.as_ref());
        }
        // An entry without columns has every one of them absent.
        let column = spec.columns.iter().position(|c| c.name == self.name);
        column.is_some_and(|i| {
            entry.meta.columns.get(i).unwrap_or(&FieldValue::Absent) == &self.value
        })
    }
}
