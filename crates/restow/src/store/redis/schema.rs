//! The store's own hash: format, secret, and what each repository is. Everything in it changes by compare and swap.

use super::{
    core::Core,
    keys::{Names, Place},
    link::Lost,
    script::{ADOPT, BEGIN, Call, SWAP},
};
use crate::{
    Error, ErrorKind, Result,
    store::{Change, TableName, TableSpec, declared},
};
use redis::{Cmd, Value, cmd};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64;

/// The format of what this program writes, and the only one that it reads.
pub(super) const FORMAT: u32 = 1;

const REPOSITORY: &str = "repository:";
const PENDING: &str = "pending:";
const ENDING: &str = "ending:";
/// No server has more of anything: sums of what it counts stay numbers.
pub(super) const MOST: u64 = 1 << 48;

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
    let repositories = fields.iter().filter_map(|(field, raw)| {
        let name = field.strip_prefix(REPOSITORY)?;
        Some(read(core, name, raw))
    });
    repositories.collect()
}

/// Returns a repository.
pub(super) async fn find(core: &Core, name: &TableName) -> Result<Option<Stored>> {
    let raw = raw(core, name).await?;
    raw.map(|raw| read(core, name.as_str(), &raw)).transpose()
}

/// Returns what is stored of a repository, whether it can be read or not.
pub(super) async fn raw(core: &Core, name: &TableName) -> Result<Option<Vec<u8>>> {
    get(core, &field(name.as_str())).await
}

/// Returns the places that are being removed: their number and buckets. One that a repository has is damaged: it is left alone.
pub(super) async fn ending(core: &Core) -> Result<Vec<Place>> {
    let fields = hash(core).await?;
    let repositories = fields.iter().filter(|(f, _)| f.starts_with(REPOSITORY));
    let mut alive = BTreeSet::new();
    for (_, raw) in repositories {
        // Of which number a repository is that cannot be read is not known.
        let Some((number, ..)) = parts(raw) else {
            return Ok(Vec::new());
        };
        alive.insert(number);
    }
    let ending = fields.iter().filter_map(|(field, buckets)| {
        let number = field.strip_prefix(ENDING)?.parse().ok()?;
        let buckets = std::str::from_utf8(buckets).ok()?.parse().ok()?;
        let is_sound = is_sound(buckets) && !alive.contains(&number);
        is_sound.then(|| core.names.place(number, buckets))
    });
    Ok(ending.collect())
}

/// Tells whether a place was removed.
pub(super) async fn is_ended(core: &Core, place: &Place) -> Result<bool> {
    let mut ask = cmd("HEXISTS");
    ask.arg(place.counts(0)).arg("x");
    from(core, core.link.ask(&ask, Lost::Again).await?, "HEXISTS")
}

/// Returns a new place. Where it is not known which number was the last, it is any: what is left of old repositories has hardly that one.
pub(super) async fn new_place(core: &Core) -> Result<Place> {
    let mut number = [0; 4];
    random(&mut number)?;
    let mut first = cmd("HSETNX");
    first
        .arg(core.names.meta())
        .arg("next")
        .arg(u32::from_be_bytes(number) >> 1);
    core.link.ask(&first, Lost::Again).await?;
    let mut next = cmd("HINCRBY");
    next.arg(core.names.meta()).arg("next").arg(1);
    let number = from(core, core.link.ask(&next, Lost::Fails).await?, "HINCRBY")?;
    Ok(core.names.place(number, core.link.options().buckets))
}

/// Does all swaps or none; tells whether they were done.
pub(super) async fn swap(core: &Core, swaps: Vec<Swap>) -> Result<bool> {
    exchange(core, swaps, Vec::new()).await
}

/// The same, and others hear at once that anything in a repository may have changed.
pub(super) async fn swap_told(core: &Core, swaps: Vec<Swap>, name: &TableName) -> Result<bool> {
    let message = core.message(&Change::Table(name.clone()));
    exchange(core, swaps, message).await
}

async fn exchange(core: &Core, swaps: Vec<Swap>, message: Vec<u8>) -> Result<bool> {
    let flagged = |value: Option<Vec<u8>>| match value {
        None => b"-".to_vec(),
        Some(mut value) => {
            value.insert(0, b'=');
            value
        }
    };
    let mut call = Call::default();
    call.key(core.names.meta())
        .arg(core.names.channel())
        .arg(message);
    for Swap { field, from, to } in swaps {
        call.arg(field).arg(flagged(from)).arg(flagged(to));
    }
    let done: u64 = from(core, SWAP.run(&core.link, &call).await?, "a script")?;
    Ok(done == 1)
}

/// A repository that is there becomes another spec, at a place.
pub(super) fn becomes(stored: Option<&Stored>, spec: &TableSpec, place: &Place) -> Swap {
    Swap {
        field: field(spec.name.as_str()),
        from: stored.map(|s| s.raw.clone()),
        to: Some(write(spec, place)),
    }
}

/// A repository is forgotten.
pub(super) fn forgets(name: &TableName, raw: Vec<u8>) -> Swap {
    Swap {
        field: field(name.as_str()),
        from: Some(raw),
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

fn field(name: &str) -> String {
    format!("{REPOSITORY}{name}")
}

/// Writes number, buckets, a sum and the spec. The sum is of all of it with the name: by another number a repository would have another's entries.
fn write(spec: &TableSpec, place: &Place) -> Vec<u8> {
    let (number, buckets, json) = (place.number, place.buckets, declared::write(spec));
    let sum = sum(spec.name.as_str(), number, buckets, &json);
    format!("{number} {buckets} {sum} {json}").into()
}

fn sum(name: &str, number: u64, buckets: u32, json: &str) -> String {
    let whole = format!("{name} {number} {buckets} {json}");
    format!("{:016x}", xxh3_64(whole.as_bytes()))
}

fn read(core: &Core, name: &str, raw: &[u8]) -> Result<Stored> {
    let (number, buckets, json) = sound(name, raw).ok_or_else(|| {
        let meta = core.names.meta();
        let message = format!(
            "what {meta} holds of it is damaged; remove it (drop_repository, or HDEL {meta} {REPOSITORY}{name}), and it begins anew"
        );
        Error::new(ErrorKind::Corrupt, message).in_repository(name)
    })?;
    Ok(Stored {
        spec: declared::read(json).map_err(|e| e.in_repository(name))?,
        place: core.names.place(number, buckets),
        raw: raw.to_owned(),
    })
}

/// Returns where the entries of a repository are; `None` where that is damaged.
pub(super) fn place(core: &Core, name: &TableName, raw: &[u8]) -> Option<Place> {
    let (number, buckets, _) = sound(name.as_str(), raw)?;
    Some(core.names.place(number, buckets))
}

/// The same as [`parts`] where the sum is right.
fn sound<'a>(name: &str, raw: &'a [u8]) -> Option<(u64, u32, &'a str)> {
    let (number, buckets, stored_sum, json) = parts(raw)?;
    (*stored_sum == *sum(name, number, buckets, json)).then_some((number, buckets, json))
}

/// Takes apart what is stored of a repository: number, buckets, sum, spec.
fn parts(raw: &[u8]) -> Option<(u64, u32, &str, &str)> {
    let mut parts = std::str::from_utf8(raw).ok()?.splitn(4, ' ');
    let number = parts.next()?.parse().ok()?;
    let buckets = parts.next()?.parse().ok()?;
    let (sum, json) = (parts.next()?, parts.next()?);
    is_sound(buckets).then_some((number, buckets, sum, json))
}

fn is_sound(buckets: u32) -> bool {
    buckets.is_power_of_two() && buckets <= 16384
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

/// Reads a number of things.
pub(super) fn count(core: &Core, value: Value, what: &str) -> Result<u64> {
    match from(core, value, what)? {
        more if more > MOST => Err(core.link.strange(what)),
        count => Ok(count),
    }
}

/// Reads an answer.
pub(super) fn from<T: redis::FromRedisValue>(core: &Core, value: Value, what: &str) -> Result<T> {
    redis::from_redis_value(value).map_err(|_| core.link.strange(what))
}
