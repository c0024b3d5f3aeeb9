//! The SQLite file of aiorequestful: a table for each repository, with local times that name no zone.

use super::{
    ForeignOptions, ask,
    intake::{Foreign, Intake},
    rows,
};
use crate::{
    BoxStream, Cache, Endpoint as _, Error, ErrorKind, Field, FieldKind, FieldValue, Millis,
    RawKey, Result,
    entry::{Address, Partition},
    repository::AnyRepository,
    store::sqlite::{SqlValue, foreign::ForeignTable},
};
use bytes::Bytes;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use std::{path::PathBuf, str::FromStr};

/// The columns that every one of its tables has, besides those of the key.
const METHOD: &str = "method";
const OWN: [&str; 5] = [METHOD, "cached_at", "expires_at", "payload", "name"];

/// A column of a table that holds the values of a field with another name: `tracks:id=track_id`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldMap {
    /// The table, which is the repository.
    pub table: String,
    /// The column.
    pub column: String,
    /// The field of the endpoint's key.
    pub field: String,
}

impl FromStr for FieldMap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(':').and_then(|(table, rest)| {
            let (column, field) = rest.split_once('=')?;
            Some([table.trim(), column.trim(), field.trim()])
        });
        match parts {
            Some([table, column, field])
                if !table.is_empty() && !column.is_empty() && !field.is_empty() =>
            {
                Ok(Self {
                    table: table.to_owned(),
                    column: column.to_owned(),
                    field: field.to_owned(),
                })
            }
            _ => {
                let message = format!(
                    "{text:?} is no mapping; write REPOSITORY:COLUMN=FIELD, such as tracks:id=track_id"
                );
                Err(Error::new(ErrorKind::Config, message))
            }
        }
    }
}

/// Which rows of a file are taken over, and how they are understood.
#[derive(Clone, Debug)]
pub struct LocalRows {
    /// The file.
    pub path: PathBuf,
    /// The zone whose local time the program that wrote it had.
    ///
    /// Where the clocks were set back, a local time was there twice, and where they were set forward, it never was: then it is the earlier of the
    /// two moments that it may be, so that no entry lives longer than it did there.
    pub zone: TimeZone,
    /// Fields whose columns have other names.
    pub maps: Vec<FieldMap>,
    /// The tables; empty for all.
    pub tables: Vec<String>,
}

/// Takes over the entries of an SQLite file that aiorequestful wrote. Each of its tables goes to the open repository of the same name.
///
/// A row without a payload is left, and so is one of another method than the endpoint's. A field of the key that has no column gets its default,
/// or is absent. Each item tells how far it is; the stream has to be read to its end.
///
/// # Errors
/// [`NoSuchRepository`](ErrorKind::NoSuchRepository) where a table has no open repository, [`Config`](ErrorKind::Config) where a field has no column, or a mapping names
/// none; [`Store`](ErrorKind::Store), [`Format`](ErrorKind::Format) and their kin where the file cannot be read.
///
/// # Cancel safety
/// Dropped, some rows are taken over, each whole.
pub fn aiorequestful(
    cache: &Cache,
    from: LocalRows,
    options: ForeignOptions,
    now: Millis,
) -> BoxStream<'static, Result<Foreign>> {
    let mut intake = Intake::new(cache, options, now);
    Box::pin(async_stream::try_stream! {
        let (place, tables) = ask(from.path.clone(), |file| Ok((file.place().to_owned(), file.tables()?))).await?;
        let plans = plans(&intake.cache, &from, &place, tables)?;
        for plan in &plans {
            intake.open(&plan.repository).await?;
        }
        let wanted = plans.iter().map(|plan| (plan.repository.name().to_owned(), plan.columns.clone()));
        let mut rows = rows(from.path.clone(), wanted.collect());
        while let Some(row) = rows.next().await {
            let (nth, row) = row?;
            let Some(plan) = plans.get(nth) else { continue };
            let name = plan.repository.name();
            match plan.entry(row, &from.zone, &intake)? {
                Ok(entry) => {
                    if intake.take(name, *entry).await? {
                        yield intake.told();
                    }
                }
                Err(why) => intake.leave(Some(name), why),
            }
        }
        yield intake.end().await?;
    })
}

/// How the rows of a table become entries.
struct Plan {
    repository: AnyRepository,
    /// The columns of [`OWN`], then those of the key.
    columns: Vec<String>,
    fields: Vec<Source>,
}

/// Where the values of a field come from.
enum Source {
    /// The column at this place among those of the key.
    Column(usize),
    Always(FieldValue),
}

fn plans(
    cache: &Cache,
    from: &LocalRows,
    place: &str,
    tables: Vec<ForeignTable>,
) -> Result<Vec<Plan>> {
    let config = |message: String| Error::new(ErrorKind::Config, message);
    let is_ours = |table: &ForeignTable| {
        OWN.iter()
            .all(|name| table.columns.iter().any(|c| c == name))
    };
    let tables: Vec<_> = tables.into_iter().filter(is_ours).collect();
    let names: Vec<&str> = tables.iter().map(|t| t.name.as_str()).collect();
    if tables.is_empty() {
        let message = format!(
            "{place} has no table of aiorequestful: with the columns {}",
            OWN.join(", ")
        );
        return Err(Error::new(ErrorKind::Format, message));
    }
    let asked = from
        .tables
        .iter()
        .chain(from.maps.iter().map(|map| &map.table));
    if let Some(unknown) = asked
        .into_iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(config(format!(
            "{place} has no table {unknown:?}; there are {}",
            names.join(", ")
        )));
    }
    let chosen = tables
        .iter()
        .filter(|t| from.tables.is_empty() || from.tables.contains(&t.name));
    chosen.map(|table| Plan::of(cache, from, table)).collect()
}

impl Plan {
    fn of(cache: &Cache, from: &LocalRows, table: &ForeignTable) -> Result<Self> {
        let name = &table.name;
        let repository = cache.repository(name).ok_or_else(|| {
            let message = "the file has a table of this name, and no endpoint is declared for it; declare one in the configuration, or choose the tables to take over with --repository";
            Error::new(ErrorKind::NoSuchRepository, message).in_repository(name.as_str())
        })?;
        let config =
            |message: String| Error::new(ErrorKind::Config, message).in_repository(name.as_str());
        let declaration = repository.endpoint().inner().declaration();
        let maps: Vec<_> = from.maps.iter().filter(|map| map.table == *name).collect();
        let fields: Vec<&str> = declaration.fields.iter().map(Field::name).collect();
        for map in &maps {
            if !fields.contains(&map.field.as_str()) {
                return Err(config(format!(
                    "there is no field {:?} to map to; the fields are ({})",
                    map.field,
                    fields.join(", ")
                )));
            }
            if !table.columns.contains(&map.column) {
                return Err(config(format!(
                    "the file's table has no column {:?}; there are ({})",
                    map.column,
                    table.columns.join(", ")
                )));
            }
        }
        let mut columns: Vec<String> = OWN.iter().map(ToString::to_string).collect();
        let mut sources = Vec::with_capacity(fields.len());
        for field in declaration.fields.iter() {
            let mapped = maps
                .iter()
                .find(|map| map.field == field.name())
                .map(|map| map.column.as_str());
            let named = || {
                table
                    .columns
                    .iter()
                    .map(String::as_str)
                    .find(|c| *c == field.name() && !OWN.contains(c))
            };
            if let Some(column) = mapped.or_else(named) {
                sources.push(Source::Column(columns.len()));
                columns.push(column.to_owned());
                continue;
            }
            let mut defaults = declaration.query.defaults.iter();
            let default = defaults
                .find(|(name, _)| **name == *field.name())
                .map(|(_, value)| value.clone());
            sources.push(Source::Always(match default {
                Some(value) => value,
                None if field.is_optional() => FieldValue::Absent,
                None => {
                    return Err(config(format!(
                        "the field {:?} has no column in the file's table, which has ({}); name it with --map {name}:COLUMN={}",
                        field.name(),
                        table.columns.join(", "),
                        field.name()
                    )));
                }
            }));
        }
        Ok(Self {
            repository,
            columns,
            fields: sources,
        })
    }

    /// Makes the entry of a row; says why it is none.
    fn entry(
        &self,
        row: Vec<SqlValue>,
        zone: &TimeZone,
        intake: &Intake,
    ) -> Result<Result<Box<crate::entry::Entry>, String>> {
        let declaration = self.repository.endpoint().inner().declaration();
        let mut key = Vec::with_capacity(self.fields.len());
        for (field, source) in declaration.fields.iter().zip(&self.fields) {
            let value = match source {
                Source::Always(value) => Some(value.clone()),
                Source::Column(at) => row.get(*at).and_then(|value| field_value(field, value)),
            };
            let Some(value) = value else {
                return Ok(Err(format!(
                    "a value of {:?} is not {}",
                    field.name(),
                    field.kind()
                )));
            };
            key.push(value);
        }
        let mut row = row.into_iter();
        let mut next = || row.next().unwrap_or(SqlValue::Null);
        let [method, cached_at, expires_at, payload, name] =
            [next(), next(), next(), next(), next()];
        if !matches!(&method, SqlValue::Text(m) if m.eq_ignore_ascii_case(declaration.method.as_str()))
        {
            return Ok(Err("another method".to_owned()));
        }
        let body = match payload {
            SqlValue::Text(text) => Bytes::from(text),
            SqlValue::Blob(bytes) => Bytes::from(bytes),
            _ => return Ok(Err("no payload".to_owned())),
        };
        let (Some(stored_at), Some(expires_at)) =
            (moment(&cached_at, zone), moment(&expires_at, zone))
        else {
            return Ok(Err("a time that is none".to_owned()));
        };
        let key = RawKey::new(key.iter().map(FieldValue::as_ref), "")?;
        let Ok(key) = self.repository.endpoint().canonical(&key) else {
            return Ok(Err("no key of the endpoint".to_owned()));
        };
        let partition = match &intake.options.principal {
            Some(name) if !self.repository.mount().rules().share => Partition::principal(name)?,
            _ => Partition::PUBLIC,
        };
        let at = Address { key, partition };
        let made = self.repository.entry_at(at, &body, stored_at, expires_at)?;
        Ok(made
            .map_err(|rule| format!("rejected: {rule}"))
            .map(|mut entry| {
                if let (None, SqlValue::Text(name)) = (&entry.meta.label, name) {
                    entry.meta.label = Some(name.into());
                }
                Box::new(entry)
            }))
    }
}

/// Reads a value of a key as the field wants it. SQLite keeps `INT` and `VARCHAR` as far as it can be done.
fn field_value(field: &Field, value: &SqlValue) -> Option<FieldValue> {
    match (value, field.kind()) {
        (SqlValue::Null, _) if field.is_optional() => Some(FieldValue::Absent),
        (SqlValue::Integer(n), FieldKind::Integer) => Some((*n).into()),
        (SqlValue::Integer(n), FieldKind::Text) => Some(n.to_string().into()),
        (SqlValue::Text(text), FieldKind::Integer) => text.parse::<i64>().ok().map(Into::into),
        (SqlValue::Text(text), FieldKind::Text) => Some(text.as_str().into()),
        _ => None,
    }
}

/// Reads a time: with an offset where it has one, else a local time of the zone.
fn moment(value: &SqlValue, zone: &TimeZone) -> Option<Millis> {
    let SqlValue::Text(text) = value else {
        return None;
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.into());
    }
    let local: DateTime = text.parse().ok()?;
    zone.to_ambiguous_timestamp(local)
        .earlier()
        .ok()
        .map(Millis::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, zone: &TimeZone) -> Option<String> {
        moment(&SqlValue::Text(text.to_owned()), zone).map(|at| at.to_string())
    }

    #[test]
    fn a_local_time_is_one_of_its_zone() {
        // 1 hour ahead of UTC in winter, 2 in summer; as POSIX writes it.
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (text, said) in [
            (
                "2026-01-15T12:00:00.123456",
                Some("2026-01-15T11:00:00.123Z"),
            ),
            ("2026-07-15T12:00:00", Some("2026-07-15T10:00:00Z")),
            ("2026-07-15 12:00:00", Some("2026-07-15T10:00:00Z")),
            // It was there twice: the first time, in summer time.
            ("2026-10-25T02:30:00", Some("2026-10-25T00:30:00Z")),
            // It never was: as if the clocks had been set forward before.
            ("2026-03-29T02:30:00", Some("2026-03-29T00:30:00Z")),
            ("2026-07-15T12:00:00+00:00", Some("2026-07-15T12:00:00Z")),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(at(text, &berlin).as_deref(), said, "{text}");
        }
        assert_eq!(moment(&SqlValue::Integer(7), &berlin), None);
    }

    #[test]
    fn a_mapping_has_three_parts() {
        let map: FieldMap = "tracks:id=track_id".parse().unwrap();
        assert_eq!(
            (map.table.as_str(), map.column.as_str(), map.field.as_str()),
            ("tracks", "id", "track_id")
        );
        for wrong in [
            "",
            "tracks",
            "tracks:id",
            "id=track_id",
            ":id=x",
            "tracks:=x",
            "tracks:id=",
        ] {
            let error = wrong.parse::<FieldMap>().unwrap_err();
            assert!(
                error.to_string().contains("REPOSITORY:COLUMN=FIELD"),
                "{error}"
            );
        }
    }
}
