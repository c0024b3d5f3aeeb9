//! What a command is about: a URL, or a repository and a key.

use crate::{
    args::RequestArgs,
    entries,
    exit::Failure,
    output::note,
    redact::{Secrets, redact},
    session::Session,
};
use clap::Args;
use http::{HeaderMap, Request};
use restow::{
    AnyRepository, FieldKind, FieldValue, RawKey, RequestHead,
    endpoint::Account,
    entry::{Entry, Partition},
};
use std::{collections::BTreeSet, sync::Arc};

/// A URL, or a repository and a key.
#[derive(Clone, Debug, Args)]
pub(crate) struct TargetArgs {
    /// A URL, or the name of a repository.
    #[arg(value_name = "URL|REPOSITORY")]
    target: String,
    /// The key in that repository: a value for each field, in order; '-' for an absent one, '?a=b' for an undeclared query.
    #[arg(value_name = "KEY")]
    key: Vec<String>,
    #[command(flatten)]
    request: RequestArgs,
}

/// What is held of a target.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) repository: AnyRepository,
    pub(crate) key: RawKey,
    /// The entries of one user, the newest first.
    pub(crate) entries: Vec<Arc<Entry>>,
}

impl TargetArgs {
    /// Finds what is held: the principal's or the credential's where the command names one, else the only user's.
    pub(crate) async fn find(&self, session: &Session) -> Result<Held, Failure> {
        let headers = self.request.headers()?;
        let shows_whose = session.named || !headers.is_empty();
        let (repository, key, mut entries) = if self.target.contains("://") {
            if !self.key.is_empty() {
                return Err(Failure::usage(
                    "a URL has its key in it; leave out what follows",
                ));
            }
            let request = request_of(session, &self.target, headers)?;
            let (repository, key) = route(session, &request)?;
            let is_of_account = request.extensions().get::<Account>().is_some();
            let mut entries = Vec::new();
            if shows_whose || is_of_account {
                entries = repository.variants(&request).await?;
            }
            // Where nobody is named, the account's come before others'.
            if !shows_whose && entries.is_empty() {
                entries = repository.everyone().variants(&key).await?;
            }
            (repository, key, entries)
        } else {
            let repository = session.repository(&self.target)?;
            let key = parse_key(&repository, &self.key)?;
            let entries = session.seen(&repository).variants(&key).await?;
            (repository, key, entries)
        };
        if !shows_whose {
            keep_one_user(&mut entries)?;
        }
        entries.sort_by_key(|e| std::cmp::Reverse((e.meta.stored_at, e.id.variant)));
        Ok(Held {
            repository,
            key,
            entries,
        })
    }
}

impl Held {
    /// Says that nothing is held.
    pub(crate) fn missing(&self, what: &str) -> Failure {
        let declaration = self.repository.endpoint().inner().declaration();
        let key = entries::key(declaration, &self.key);
        Failure::not_held(format!(
            "repository {:?} holds {what} for {key}",
            self.repository.name()
        ))
    }
}

/// Makes the request of a URL.
pub(crate) fn request(
    url: &str,
    headers: HeaderMap,
    secrets: &Secrets,
) -> Result<Request<()>, Failure> {
    // Parsed as a client would, so that the key is the one that a fetch has.
    let wrong = || {
        Failure::usage(format!(
            "{:?} is not a URL; write it whole, as in https://api.example.com/v1/items",
            redact(url, secrets)
        ))
    };
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong())?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(wrong());
    }
    let mut request = Request::get(parsed.as_str())
        .body(())
        .map_err(|_| wrong())?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// Makes the request of a URL by the account of the upstream that it is below. A secret that is not there is told of, and left out: nothing is
/// asked.
pub(crate) fn request_of(
    session: &Session,
    url: &str,
    headers: HeaderMap,
) -> Result<Request<()>, Failure> {
    let mut request = request(url, headers, &session.secrets)?;
    match session.upstreams.account(request.uri(), request.headers()) {
        Ok(Some(account)) => _ = request.extensions_mut().insert(account),
        Ok(None) => {}
        Err(failure) => note(format_args!(
            "note: what is held for the [[upstream]] of this URL is not found: {}",
            failure.line()
        )),
    }
    Ok(request)
}

/// Finds the repository and the key of a request.
pub(crate) fn route(
    session: &Session,
    request: &Request<()>,
) -> Result<(AnyRepository, RawKey), Failure> {
    let url = redact(&request.uri().to_string(), &session.secrets);
    let repository = session.view(request).route(request).ok_or_else(|| {
        Failure::not_held(format!(
            "{url} belongs to no repository in {}; `restow routes test URL` tells why",
            session.place()
        ))
    })?;
    let (parts, ()) = request.clone().into_parts();
    let key = repository
        .raw_key(&RequestHead::from(&parts))
        .ok_or_else(|| {
            Failure::usage(format!(
                "{url} is one of {:?}, but has no key there; `restow routes test URL` tells why",
                repository.name()
            ))
        })?;
    Ok((repository, key))
}

/// Reads the values of a key.
fn parse_key(repository: &AnyRepository, values: &[String]) -> Result<RawKey, Failure> {
    let fields = &repository.endpoint().inner().declaration().fields;
    let listed: Vec<String> = fields.iter().map(ToString::to_string).collect();
    let wrong = |why: String| {
        Failure::usage(format!(
            "{why}; the key of {:?} is ({})",
            repository.name(),
            listed.join(", ")
        ))
    };
    let (values, query) = match values.split_last() {
        Some((query, values)) if query.starts_with('?') => (values, query.trim_start_matches('?')),
        _ => (values, ""),
    };
    if values.len() > fields.len() {
        return Err(wrong(format!("there are {} values", values.len())));
    }
    let mut parsed = Vec::with_capacity(fields.len());
    for (i, field) in fields.iter().enumerate() {
        let value = values.get(i).map_or("-", String::as_str);
        parsed.push(match (value, field.kind()) {
            ("-", _) if field.is_optional() => FieldValue::Absent,
            ("-", _) if values.get(i).is_none() => {
                return Err(wrong(format!("there is no value for {:?}", field.name())));
            }
            (value, FieldKind::Integer) => value
                .parse::<i64>()
                .map(FieldValue::Integer)
                .map_err(|_| wrong(format!("{value:?} is no whole number")))?,
            (value, _) => value.into(),
        });
    }
    Ok(RawKey::new(parsed.iter().map(FieldValue::as_ref), query)?)
}

/// Where nobody is named: the public's entries, else those of the only user who has some.
fn keep_one_user(entries: &mut Vec<Arc<Entry>>) -> Result<(), Failure> {
    let users: BTreeSet<Partition> = entries
        .iter()
        .map(|e| e.id.address.partition.clone())
        .collect();
    let of = match users.first() {
        Some(first) if users.len() == 1 || first.is_public() => first.clone(),
        Some(_) => {
            let users: Vec<String> = users.iter().map(entries::owner).collect();
            return Err(Failure::usage(format!(
                "it is held for several users ({}); choose one with --principal NAME, --bearer-env VAR or --header",
                users.join(", ")
            )));
        }
        None => return Ok(()),
    };
    entries.retain(|e| e.id.address.partition == of);
    Ok(())
}
