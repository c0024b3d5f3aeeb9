//! What `POST /purge` of the admin listener selects, and its removal.

use crate::serve::Shared;
use restow::{
    AnyRepository, Cache, Error, ErrorKind, Millis, Result, Scope,
    repository::{Select, Untyped},
};
use std::borrow::Cow;

/// The parameters that select.
#[derive(Debug, Default)]
struct Asked<'q> {
    repository: Option<Cow<'q, str>>,
    url: Option<Cow<'q, str>>,
    principal: Option<Cow<'q, str>>,
    /// `where`, `tag`, `status`, `since`, `until`, `changed-since`: each narrows the selection, and each may be there several times.
    narrow: Vec<(Cow<'q, str>, Cow<'q, str>)>,
    expired: bool,
    live: bool,
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
    let now = shared.exchange.now();
    let named = |repository: &AnyRepository, name: &str| name == repository.name();
    let meant = |r: &AnyRepository| {
        asked
            .repository
            .as_deref()
            .is_none_or(|name| named(r, name))
            && of_url.as_ref().is_none_or(|(name, _)| named(r, name))
    };
    let meant: Vec<_> = cache.iter().filter(meant).collect();
    let has_all = |r: &AnyRepository| {
        let declaration = r.endpoint().inner().declaration();
        asked.fields().all(|field| declaration.has(field))
    };
    if !meant.iter().any(has_all) && asked.fields().next().is_some() {
        let fields: Vec<_> = asked.fields().map(|field| format!("{field:?}")).collect();
        return Err(wrong(format!(
            "no repository has the fields or columns {}",
            fields.join(", ")
        )));
    }
    let selects = meant.into_iter().filter(has_all).map(|repository| {
        let mut select = repository.select().scope(asked.scope()).scan();
        if let Some((_, key)) = &of_url {
            select = select.key(key);
        }
        asked.narrow(select, now)
    });
    // What cannot be read removes nothing anywhere.
    let selects = selects.collect::<Result<Vec<_>>>()?;
    let mut removed = 0;
    for select in &selects {
        removed += select.delete().await?;
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
                "live" => asked.live = true,
                "all" => asked.all = true,
                "where" | "tag" | "status" | "since" | "until" | "changed-since" => {
                    asked.narrow.push((name, value));
                }
                _ => {
                    return Err(wrong(format!(
                        "{name:?} selects nothing; there are repository, where, url, principal, tag, status, since, until, changed-since, expired, live and all"
                    )));
                }
            }
        }
        let named = [&asked.repository, &asked.url, &asked.principal];
        if asked.expired && asked.live {
            return Err(wrong("expired and live exclude each other".to_owned()));
        }
        let selects = named.iter().any(|n| n.is_some()) || !asked.narrow.is_empty();
        if selects || asked.expired || asked.live || asked.all {
            Ok(asked)
        } else {
            Err(wrong(
                "nothing is selected; to remove every entry say all".to_owned(),
            ))
        }
    }

    fn scope(&self) -> Scope {
        match (self.expired, self.live) {
            (true, _) => Scope::Expired,
            (_, true) => Scope::Live,
            _ => Scope::All,
        }
    }

    /// The names of the fields and columns that conditions speak of.
    fn fields(&self) -> impl Iterator<Item = &str> {
        let conditions = self.narrow.iter().filter(|(name, _)| name == "where");
        conditions.map(|(_, value)| value.split_once('=').map_or(&**value, |(field, _)| field))
    }

    /// Narrows a selection of one repository.
    fn narrow(&self, mut select: Select<Untyped>, now: Millis) -> Result<Select<Untyped>> {
        let moment = |name: &str, text: &str| {
            Millis::written(text, now).map_err(|e| wrong(format!("{name}: {}", e.message())))
        };
        for (name, value) in &self.narrow {
            select = match &**name {
                "tag" => select.tag(value),
                "status" => {
                    let status = value.parse();
                    select.status(status.map_err(|_| wrong(format!("{value:?} is no status")))?)
                }
                "since" => select.stored_since(moment(name, value)?),
                "until" => select.stored_before(moment(name, value)?),
                "changed-since" => select.changed_since(moment(name, value)?),
                _ => {
                    let condition = value.split_once('=');
                    let (field, value) = condition.map_or((&**value, None), |(f, v)| (f, Some(v)));
                    select.eq_written(field, value)?
                }
            };
        }
        Ok(select)
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Selection, message)
}
