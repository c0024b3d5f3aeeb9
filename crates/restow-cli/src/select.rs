//! From the options of a selection to the entries it covers.

use crate::{
    args::{SelectArgs, moment},
    exit::Failure,
    session::Session,
    target,
};
use http::HeaderMap;
use restow::{
    AnyRepository, Clock as _, Millis, RawKey, SystemClock,
    moving::Portion,
    repository::{Select, Untyped},
    store::TableName,
};

/// What a selection covers, as it is in the store; of these repositories, or of all that it fits.
pub(crate) async fn portions(
    session: &Session,
    repositories: &[String],
    args: &SelectArgs,
) -> Result<Vec<Portion>, Failure> {
    let names: Vec<Option<&str>> = match repositories {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut portions: Vec<Portion> = Vec::new();
    for name in names {
        for (repository, select) in select(session, name, args).await? {
            let portion = Portion {
                table: TableName::new(repository.name())?,
                which: select.selection().clone(),
            };
            if !portions.contains(&portion) {
                portions.push(portion);
            }
        }
    }
    Ok(portions)
}

/// A selection in each of some repositories.
pub(crate) async fn select(
    session: &Session,
    repository: Option<&str>,
    args: &SelectArgs,
) -> Result<Vec<(AnyRepository, Select<Untyped>)>, Failure> {
    let of_url = match &args.url {
        Some(url) => Some(target::route(
            session,
            &target::request(url, HeaderMap::new(), &session.secrets)?,
        )?),
        None => None,
    };
    let mut repositories = session.repositories(repository)?;
    if let Some((of_url, _)) = &of_url {
        repositories.retain(|r| r.name() == of_url.name());
        if repositories.is_empty() {
            return Err(Failure::usage(format!(
                "the URL is one of {:?}, not of {:?}",
                of_url.name(),
                repository.unwrap_or_default()
            )));
        }
    }
    let conditions: Vec<(&str, Option<&str>)> = args
        .conditions
        .iter()
        .map(|c| match c.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value)),
            None => (c.trim(), None),
        })
        .collect();
    if repository.is_none() && !conditions.is_empty() {
        // Without a name: those that have what the conditions speak of.
        let having: Vec<AnyRepository> = repositories
            .iter()
            .filter(|r| {
                let declaration = r.endpoint().inner().declaration();
                conditions.iter().all(|(name, _)| declaration.has(name))
            })
            .cloned()
            .collect();
        if having.is_empty() {
            let names: Vec<String> = conditions.iter().map(|(n, _)| format!("{n:?}")).collect();
            return Err(Failure::usage(format!(
                "no repository has the fields or columns {}",
                names.join(", ")
            )));
        }
        repositories = having;
    }
    let now = SystemClock.now();
    repositories
        .into_iter()
        .map(|r| {
            let selected = narrow(
                &session.seen(&r),
                args,
                &conditions,
                of_url.as_ref().map(|(_, key)| key),
                now,
            )?;
            Ok((r, selected))
        })
        .collect()
}

fn narrow(
    repository: &AnyRepository,
    args: &SelectArgs,
    conditions: &[(&str, Option<&str>)],
    key: Option<&RawKey>,
    now: Millis,
) -> Result<Select<Untyped>, Failure> {
    // People who type a selection mean it, also where every entry has to be looked at.
    let mut select = repository.select().scope(args.scope()).scan();
    for (name, value) in conditions {
        select = select
            .eq_written(name, *value)
            .map_err(|e| Failure::usage(format!("--where {}", e.message())))?;
    }
    if let Some(key) = key {
        select = select.key(key);
    }
    if let Some(status) = args.status {
        let status = http::StatusCode::from_u16(status)
            .map_err(|_| Failure::usage(format!("{status} is no status")))?;
        select = select.status(status);
    }
    if let Some(tag) = &args.tag {
        select = select.tag(tag);
    }
    if let Some(since) = &args.since {
        select = select.stored_since(moment("since", since, now)?);
    }
    if let Some(until) = &args.until {
        select = select.stored_before(moment("until", until, now)?);
    }
    if let Some(since) = &args.changed_since {
        select = select.changed_since(moment("changed-since", since, now)?);
    }
    Ok(select)
}
