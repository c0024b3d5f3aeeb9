//! Writes the value of an address, as [`metas`](super::metas) tells it.

use super::metas::{APART, HEAD, VERSION, WITHIN, sum};
use crate::{
    Error, ErrorKind, FieldValue, Millis, Result,
    entry::{Address, Entry, EntryId, Generation, Meta, Record},
    store::TableSpec,
};

/// The largest entry: Redis takes no value of more than 512 MiB.
const MOST: usize = 500 << 20;
/// The scores of an index are exact up to here, and infinite beyond.
const EXACT: i64 = 1 << 52;

/// The score of an entry in its index.
pub(super) fn score(expires_at: Millis) -> String {
    if expires_at.0 >= EXACT {
        "+inf".to_owned()
    } else {
        expires_at.0.max(-EXACT).to_string()
    }
}

/// What the value of an address begins with.
pub(super) fn address_bytes(address: &Address) -> Vec<u8> {
    let mut out = Vec::with_capacity(address_len(address));
    put_address(&mut out, address);
    out
}

fn address_len(address: &Address) -> usize {
    9 + address.key.as_bytes().len() + address.partition.as_str().len()
}

fn put_address(out: &mut Vec<u8>, address: &Address) {
    let (key, partition) = (address.key.as_bytes(), address.partition.as_str());
    out.push(VERSION);
    put_len(out, 4 + key.len() + partition.len());
    put_len(out, key.len());
    out.extend_from_slice(key);
    out.extend_from_slice(partition.as_bytes());
}

/// Writes the value of an address that has this entry alone, in a repository with its number; tells whether its body goes beside it.
///
/// # Errors
/// [`ErrorKind::TooLarge`].
pub(super) fn value(
    Entry { id, meta, body, .. }: &Entry,
    generation: Generation,
    repository: (&TableSpec, u64),
) -> Result<(Vec<u8>, bool)> {
    let apart = body.len() > WITHIN;
    let len = if apart { 0 } else { body.len() };
    let lines = meta.head.lines().len();
    let mut out = Vec::with_capacity(address_len(&id.address) + HEAD + 384 + lines + len);
    put_address(&mut out, &id.address);
    let within = if apart { None } else { Some(len) };
    put_block(&mut out, id, meta, repository, generation, within)?;
    put_len(&mut out, 0);
    if !apart {
        out.extend_from_slice(body);
    }
    Ok((out, apart))
}

/// Writes the block of an entry whose body is there already.
///
/// # Errors
/// [`ErrorKind::TooLarge`].
pub(super) fn block(id: &EntryId, meta: &Meta, repository: (&TableSpec, u64)) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(HEAD + 384 + meta.head.lines().len());
    put_block(&mut out, id, meta, repository, Generation(0), None)?;
    Ok(out)
}

fn put_block(
    out: &mut Vec<u8>,
    id: &EntryId,
    meta: &Meta,
    (spec, number): (&TableSpec, u64),
    generation: Generation,
    within: Option<usize>,
) -> Result<()> {
    let begin = out.len();
    let record = Record::encode(meta, id, spec.name.sealed(), &spec.fields)?;
    let lines = meta.head.lines();
    put_len(out, 0);
    out.extend_from_slice(&id.variant.0.to_be_bytes());
    out.extend_from_slice(&generation.0.to_be_bytes());
    for at in [
        meta.stored_at,
        meta.checked_at,
        meta.changed_at,
        meta.expires_at,
    ] {
        out.extend_from_slice(&at.0.to_be_bytes());
    }
    for number in [meta.size(), meta.seal.len, meta.seal.sum] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    put_len(out, within.unwrap_or(APART as usize));
    put(out, &record);
    put_text(out, meta.label.as_deref());
    put_text(out, meta.head.url());
    put_len(out, meta.columns.len());
    for value in meta.columns.iter() {
        match value {
            FieldValue::Absent => out.push(0),
            FieldValue::Integer(i) => {
                out.push(1);
                out.extend_from_slice(&i.to_be_bytes());
            }
            FieldValue::Text(text) => {
                out.push(2);
                put(out, text.as_bytes());
            }
        }
    }
    put_len(out, meta.tags.len());
    for tag in meta.tags.iter() {
        put(out, tag.as_bytes());
    }
    put(out, lines);
    let len = out.len() - begin + 8;
    if len > MOST || meta.seal.len > MOST as u64 {
        return Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "an entry of {} bytes is larger than Redis can hold",
                meta.size()
            ),
        )
        .in_repository(spec.name.shared()));
    }
    let written = out.get_mut(begin..).unwrap_or_default();
    if let (Some(place), Ok(len)) = (written.first_chunk_mut::<4>(), u32::try_from(len)) {
        *place = len.to_be_bytes();
    }
    let sum = sum(number, written).unwrap_or_default();
    out.extend_from_slice(&sum.to_be_bytes());
    Ok(())
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    // What is longer was refused, or is refused when all is put together.
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => out.push(0),
        Some(text) => {
            out.push(1);
            put(out, text.as_bytes());
        }
    }
}
