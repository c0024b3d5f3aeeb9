//! The store's own hash: format, secret, and what each repository is. Everything in it changes by compare and swap.

use super::{
    core::Core,
    error,
    keys::{Names, Place},
    link::Lost,
    script::{ADOPT, BEGIN, Call, SWAP},
};
use crate::{
    Error, ErrorKind, Result,
    store::{TableName, TableSpec, declared},
};
use redis::{Cmd, Value, cmd};
use std::collections::BTreeMap;

/// The format of what this program writes, and the only one that it reads.
pub(super) const FORMAT: u32 = 1;

const REPOSITORY: &str = "repository:";
const PENDING: &str = "pending:";
const ENDING: &str = "ending:";

/// A repository as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) spec: TableSpec,
    pub(super) place: Place,
    raw: Vec<u8>,
}

/// A field of the store's own hash: what it has to be, and what it becomes.
pub(super) struct Swap {
    field: String,
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
}

/// Makes what a new place needs, and returns the secret.
///
/// # Errors
/// [`ErrorKind::Format`] where another format is there.
pub(super) async fn begin(core: &Core) -> Result<[u8; 32]> {
    let mut secret = [0; 32];
    random(&mut secret)?;
    let mut call = Call::default();
    call.key(core.names.meta()).number(FORMAT).arg(secret);
    let held: (String, Vec<u8>) = from(core, BEGIN.run(&core.link, &call).await?, "a script")?;
    let place = core.link.place();
    check_format(place, &held.0)?;
    held.1.try_into().map_err(|_| {
        let message = format!(
            "{place} has a secret of another length than ours; delete the field `secret` of {}, and all entries of credentials are fetched anew",
            core.names.meta()
        );
        Error::new(ErrorKind::Corrupt, message)
    })
}

/// Returns the format of what is there; `None` where nothing is.
pub(super) async fn format(core: &Core) -> Result<Option<u32>> {
    let held = core.link.ask(&ask_format(&core.names), Lost::Again).await?;
    let held: Option<String> = from(core, held, "HGET")?;
    Ok(held.map(|format| format.parse().unwrap_or_default()))
}

/// Fails where the format is another one. Where nothing is there, nobody has made it another.
pub(super) async fn look(core: &Core) -> Result<()> {
    let held = core.link.ask(&ask_format(&core.names), Lost::Again).await?;
    let held: Option<String> = from(core, held, "HGET")?;
    held.map_or(Ok(()), |format| check_format(core.link.place(), &format))
}

/// The command that asks for the format.
pub(super) fn ask_format(names: &Names) -> Cmd {
    let mut ask = cmd("HGET");
    ask.arg(names.meta()).arg("format");
    ask
}

pub(super) fn check_format(place: &str, format: &str) -> Result<()> {
    if format == FORMAT.to_string() {
        return Ok(());
    }
    let message = format!(
        "{place} has format {format:?}, and this program reads format {FORMAT}; `restow migrate` of the newest program that uses it brings it to its own, or name another prefix"
    );
    Err(Error::new(ErrorKind::Format, message))
}

/// Takes over a secret where there is no table; tells whether it is the store's now.
pub(super) async fn adopt(core: &Core, secret: &[u8; 32]) -> Result<bool> {
    begin(core).await?;
    let mut call = Call::default();
    call.key(core.names.meta()).arg(*secret);
    let done: u64 = from(core, ADOPT.run(&core.link, &call).await?, "a script")?;
    Ok(done == 1)
}

pub(super) fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| {
        Error::new(ErrorKind::Store, "the system gave no random numbers").with_source(e)
    })
}

/// Returns all repositories, ordered by name.
pub(super) async fn all(core: &Core) -> Result<Vec<Stored>> {
    let fields = hash(core).await?;
    let repositories = fields
        .iter()
        .filter(|(field, _)| field.starts_with(REPOSITORY));
    repositories.map(|(_, raw)| read(core, raw)).collect()
}

/// Returns a repository.
pub(super) async fn find(core: &Core, name: &TableName) -> Result<Option<Stored>> {
    let raw = get(core, &field(name)).await?;
    raw.map(|raw| read(core, &raw)).transpose()
}

/// Returns the places that are being removed: their number and buckets.
pub(super) async fn ending(core: &Core) -> Result<Vec<Place>> {
    let fields = hash(core).await?;
    let ending = fields.iter().filter_map(|(field, buckets)| {
        let number = field.strip_prefix(ENDING)?.parse().ok()?;
        let buckets: u32 = std::str::from_utf8(buckets).ok()?.parse().ok()?;
        (buckets.is_power_of_two() && buckets <= 16384).then(|| core.names.place(number, buckets))
    });
    Ok(ending.collect())
}

/// Returns a new place.
pub(super) async fn new_place(core: &Core) -> Result<Place> {
    let mut next = cmd("HINCRBY");
    next.arg(core.names.meta()).arg("next").arg(1);
    let number = from(core, core.link.ask(&next, Lost::Fails).await?, "HINCRBY")?;
    Ok(core.names.place(number, core.link.options().buckets))
}

/// Does all swaps or none; tells whether they were done.
pub(super) async fn swap(core: &Core, swaps: Vec<Swap>) -> Result<bool> {
    let flagged = |value: Option<Vec<u8>>| match value {
        None => b"-".to_vec(),
        Some(mut value) => {
            value.insert(0, b'=');
            value
        }
    };
    let mut call = Call::default();
    call.key(core.names.meta());
    for Swap { field, from, to } in swaps {
        call.arg(field).arg(flagged(from)).arg(flagged(to));
    }
    let done: u64 = from(core, SWAP.run(&core.link, &call).await?, "a script")?;
    Ok(done == 1)
}

/// A repository that is there becomes another spec, at a place.
pub(super) fn becomes(stored: Option<&Stored>, spec: &TableSpec, place: &Place) -> Swap {
    Swap {
        field: field(&spec.name),
        from: stored.map(|s| s.raw.clone()),
        to: Some(write(spec, place)),
    }
}

/// A repository is forgotten.
pub(super) fn forgets(stored: &Stored) -> Swap {
    Swap {
        field: field(&stored.spec.name),
        from: Some(stored.raw.clone()),
        to: None,
    }
}

/// A place is remembered as one to be removed.
pub(super) fn ends(place: &Place) -> Swap {
    Swap {
        field: format!("{ENDING}{}", place.number),
        from: None,
        to: Some(place.buckets.to_string().into_bytes()),
    }
}

/// A place is removed.
pub(super) async fn ended(core: &Core, place: &Place) -> Result<()> {
    let mut forget = cmd("HDEL");
    forget
        .arg(core.names.meta())
        .arg(format!("{ENDING}{}", place.number));
    core.link.ask(&forget, Lost::Again).await.map(drop)
}

/// The columns that older entries have no values for, as they are stored.
pub(super) async fn pending(core: &Core, name: &TableName) -> Result<Pending> {
    let raw = get(core, &format!("{PENDING}{name}")).await?;
    let columns = raw
        .as_deref()
        .and_then(|raw| serde_json::from_slice(raw).ok());
    Ok(Pending {
        columns: columns.unwrap_or_default(),
        raw,
    })
}

pub(super) struct Pending {
    pub(super) columns: Vec<Box<str>>,
    raw: Option<Vec<u8>>,
}

impl Pending {
    /// They become others.
    pub(super) fn becomes(&self, name: &TableName, mut columns: Vec<Box<str>>) -> Swap {
        columns.sort();
        columns.dedup();
        let names = columns.iter().map(|c| &**c);
        Swap {
            field: format!("{PENDING}{name}"),
            from: self.raw.clone(),
            to: (!columns.is_empty())
                .then(|| serde_json::Value::from_iter(names).to_string().into()),
        }
    }
}

fn field(name: &TableName) -> String {
    format!("{REPOSITORY}{name}")
}

fn write(spec: &TableSpec, place: &Place) -> Vec<u8> {
    let (number, buckets) = (place.number, place.buckets);
    format!("{number} {buckets} {}", declared::write(spec)).into()
}

fn read(core: &Core, raw: &[u8]) -> Result<Stored> {
    let parts = || {
        let text = std::str::from_utf8(raw).ok()?;
        let (number, rest) = text.split_once(' ')?;
        let (buckets, json) = rest.split_once(' ')?;
        let buckets: u32 = buckets.parse().ok()?;
        let sound = buckets.is_power_of_two() && buckets <= 16384;
        sound.then_some((number.parse::<u64>().ok()?, buckets, json))
    };
    let (number, buckets, json) = parts().ok_or_else(|| {
        let message = format!(
            "{} holds a repository that cannot be read; delete its field, and it begins anew",
            core.names.meta()
        );
        Error::new(ErrorKind::Corrupt, message)
    })?;
    Ok(Stored {
        spec: declared::read(json)?,
        place: core.names.place(number, buckets),
        raw: raw.to_owned(),
    })
}

async fn get(core: &Core, field: &str) -> Result<Option<Vec<u8>>> {
    let mut get = cmd("HGET");
    get.arg(core.names.meta()).arg(field);
    from(core, core.link.ask(&get, Lost::Again).await?, "HGET")
}

async fn hash(core: &Core) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut get = cmd("HGETALL");
    get.arg(core.names.meta());
    from(core, core.link.ask(&get, Lost::Again).await?, "HGETALL")
}

/// Reads an answer.
pub(super) fn from<T: redis::FromRedisValue>(core: &Core, value: Value, what: &str) -> Result<T> {
    redis::from_redis_value(value).map_err(|_| error::strange(core.link.place(), what))
}
