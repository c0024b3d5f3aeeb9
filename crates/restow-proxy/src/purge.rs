//! What `POST /purge` of the admin listener selects, and its removal.

use crate::serve::Shared;
use restow::{
    AnyRepository, Cache, Error, ErrorKind, Field, FieldKind, Millis, Result, Scope,
    repository::{Select, Untyped},
};
use std::borrow::Cow;

/// The parameters that select.
#[derive(Debug, Default)]
struct Asked<'q> {
    repository: Option<Cow<'q, str>>,
    url: Option<Cow<'q, str>>,
    principal: Option<Cow<'q, str>>,
    /// `where`, `tag`, `status`, `since`, `until`: each narrows the selection, and each may be there several times.
    narrow: Vec<(Cow<'q, str>, Cow<'q, str>)>,
    expired: bool,
    all: bool,
}

/// Removes the entries that a query selects; returns how many.
///
/// # Errors
/// [`ErrorKind::Selection`] for what selects nothing or cannot be read, [`ErrorKind::Key`] for a URL without a key, [`ErrorKind::Name`] for what is
/// no principal, [`ErrorKind::Store`] where the store fails.
pub(crate) async fn purge(shared: &Shared, cache: &Cache, query: &str) -> Result<u64> {
    let asked = Asked::read(query)?;
    let cache = match &asked.principal {
        Some(name) => cache.principal(name)?,
        None => cache.everyone(),
    };
    if let Some(name) = &asked.repository
        && !cache.contains_repository(name)
    {
        let names: Vec<String> = cache.iter().map(|r| r.name().to_owned()).collect();
        return Err(wrong(format!(
            "there is no repository {name:?}; there are {}",
            names.join(", ")
        )));
    }
    let of_url = asked.url.as_deref().map(|url| shared.locate(url));
    let of_url = of_url.transpose()?;
    let mut removed = 0;
    for repository in cache.iter() {
        let named = |name: &str| name == repository.name();
        let elsewhere = asked.repository.as_deref().is_some_and(|name| !named(name))
            || of_url.as_ref().is_some_and(|(name, _)| !named(name));
        if elsewhere {
            continue;
        }
        let mut select = repository.select().scope(asked.scope()).scan();
        if let Some((_, key)) = &of_url {
            select = select.key(key);
        }
        if let Some(select) = asked.narrow(&repository, select)? {
            removed += select.delete().await?;
        }
    }
    tracing::info!(target: "restow", removed, "entries were purged");
    Ok(removed)
}

impl<'q> Asked<'q> {
    fn read(query: &'q str) -> Result<Self> {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "repository" => asked.repository = Some(value),
                "url" => asked.url = Some(value),
                "principal" => asked.principal = Some(value),
                "expired" => asked.expired = true,
                "all" => asked.all = true,
                "where" | "tag" | "status" | "since" | "until" => asked.narrow.push((name, value)),
                _ => {
                    return Err(wrong(format!(
                        "{name:?} selects nothing; there are repository, where, url, principal, tag, status, since, until, expired and all"
                    )));
                }
            }
        }
        let named = [&asked.repository, &asked.url, &asked.principal];
        let selects = named.iter().any(|n| n.is_some()) || !asked.narrow.is_empty();
        if selects || asked.expired || asked.all {
            Ok(asked)
        } else {
            Err(wrong(
                "nothing is selected; to remove every entry say all".to_owned(),
            ))
        }
    }

    fn scope(&self) -> Scope {
        if self.expired {
            Scope::Expired
        } else {
            Scope::All
        }
    }

    /// Narrows a selection of one repository; `None` where a condition speaks of a field that it does not have.
    fn narrow(
        &self,
        repository: &AnyRepository,
        mut select: Select<Untyped>,
    ) -> Result<Option<Select<Untyped>>> {
        let mut fits = true;
        for (name, value) in &self.narrow {
            select = match &**name {
                "tag" => select.tag(value),
                "status" => {
                    let status = value.parse();
                    select.status(status.map_err(|_| wrong(format!("{value:?} is no status")))?)
                }
                "since" => select.stored_since(moment(name, value)?),
                "until" => select.stored_before(moment(name, value)?),
                _ => {
                    let (field, value) = value.split_once('=').unwrap_or((value, ""));
                    let declaration = repository.endpoint().inner().declaration();
                    let mut fields = declaration.fields.iter();
                    let kind = fields.find(|f| f.name() == field).map(Field::kind);
                    let mut columns = declaration.columns.iter();
                    fits &= kind.is_some() || columns.any(|c| *c.name == *field);
                    match (kind, value.parse::<i64>()) {
                        (Some(FieldKind::Text), _) | (_, Err(_)) => select.eq(field, value),
                        (_, Ok(number)) => select.eq(field, number),
                    }
                }
            };
        }
        Ok(fits.then_some(select))
    }
}

fn moment(name: &str, value: &str) -> Result<Millis> {
    let at: jiff::Timestamp = value.parse().map_err(|_| {
        wrong(format!(
            "{name}: {value:?} is no moment; write it like 2026-08-01T12:00:00Z"
        ))
    })?;
    Ok(Millis(at.as_millisecond()))
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Selection, message)
}
