//! Metas as bytes: what a script can read of them, and what only this program does.
//!
//! The value of field `m`: version (1 byte), length of the address (4), the address (length of the key (4), key, partition), then a block for
//! each variant. A block, big-endian: its length (4), variant (16), generation (8), stored, checked, changed and expires (8 each), size (8),
//! seal (length and sum of the body, 8 each); then record, label, URL, columns, tags, header lines, each with its length; then the
//! checksum of the block without its generation and its changed (8), which the script that writes it puts in.
//! The value of a field `b` + variant: a byte `B`, the variant (16), the body.

use crate::{
    Error, ErrorKind, FieldValue, Millis, RawKey, Result,
    entry::{
        self, Address, Entry, EntryId, Found, Generation, Meta, Partition, Record, Seal, Variant,
    },
    store::{Parts, TableSpec},
};
use bytes::Bytes;
use std::sync::Arc;
use xxhash_rust::xxh3::Xxh3;

const VERSION: u8 = 1;
const BODY: u8 = b'B';
/// Bytes of a block before its record.
const HEAD: usize = 84;
/// Bytes before a body.
const BODY_HEAD: usize = 17;
/// The largest entry: Redis takes no value of more than 512 MiB.
const MOST: usize = 500 << 20;
/// The scores of an index are exact up to here, and infinite beyond.
const EXACT: i64 = 1 << 52;

/// The field of the metas.
pub(super) const METAS: &[u8] = b"m";

/// The score of an entry in its index.
pub(super) fn score(expires_at: Millis) -> String {
    if expires_at.0 >= EXACT {
        "+inf".to_owned()
    } else {
        expires_at.0.max(-EXACT).to_string()
    }
}

/// What the metas of an address begin with.
pub(super) fn address_bytes(address: &Address) -> Vec<u8> {
    let (key, partition) = (address.key.as_bytes(), address.partition.as_str());
    let len = 4 + key.len() + partition.len();
    let mut out = Vec::with_capacity(5 + len);
    out.push(VERSION);
    put_len(&mut out, len);
    put_len(&mut out, key.len());
    out.extend_from_slice(key);
    out.extend_from_slice(partition.as_bytes());
    out
}

/// Writes the block of an entry.
///
/// # Errors
/// [`ErrorKind::TooLarge`].
pub(super) fn block(id: &EntryId, meta: &Meta, spec: &TableSpec) -> Result<Vec<u8>> {
    let record = Record::encode(meta, id, &spec.fields)?;
    let lines = meta.head.lines();
    let mut out = Vec::with_capacity(HEAD + record.len() + lines.len() + 96);
    put_len(&mut out, 0);
    out.extend_from_slice(&id.variant.0.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
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
    put(&mut out, &record);
    put_text(&mut out, meta.label.as_deref());
    put_text(&mut out, meta.head.url());
    put_len(&mut out, meta.columns.len());
    for value in meta.columns.iter() {
        match value {
            FieldValue::Absent => out.push(0),
            FieldValue::Integer(i) => {
                out.push(1);
                out.extend_from_slice(&i.to_be_bytes());
            }
            FieldValue::Text(text) => {
                out.push(2);
                put(&mut out, text.as_bytes());
            }
        }
    }
    put_len(&mut out, meta.tags.len());
    for tag in meta.tags.iter() {
        put(&mut out, tag.as_bytes());
    }
    put(&mut out, lines);
    let len = out.len() + 8;
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
    if let (Some(place), Ok(len)) = (out.first_chunk_mut::<4>(), u32::try_from(len)) {
        *place = len.to_be_bytes();
    }
    let sum = sum(&out).unwrap_or_default();
    out.extend_from_slice(&sum.to_be_bytes());
    Ok(out)
}

/// Writes the value of a body's field.
pub(super) fn body(variant: &[u8; 16], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(BODY_HEAD + body.len());
    out.push(BODY);
    out.extend_from_slice(variant);
    out.extend_from_slice(body);
    out
}

/// The values of an address's fields.
#[derive(Debug, Default)]
pub(super) struct Fields {
    metas: Option<Bytes>,
    bodies: Vec<Bytes>,
}

impl Fields {
    /// Takes the values in any order: each says what it is.
    pub(super) fn of(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut fields = Self::default();
        for value in values {
            match value.first() {
                Some(&BODY) => fields.bodies.push(value.into()),
                Some(_) => fields.metas = Some(value.into()),
                None => {}
            }
        }
        fields
    }

    pub(super) fn is_empty(&self) -> bool {
        self.metas.is_none() && self.bodies.is_empty()
    }

    pub(super) fn metas(&self) -> Option<&Bytes> {
        self.metas.as_ref()
    }

    /// Reads whose they are; `None` where that is damaged.
    pub(super) fn address(&self) -> Option<Address> {
        let metas = self.metas.as_ref()?;
        let (version, mut rest) = metas.split_first()?;
        if *version != VERSION {
            return None;
        }
        let mut address = take_block(&mut rest)?;
        let key = take_block(&mut address)?;
        Some(Address {
            key: RawKey::from_bytes(key).ok()?,
            partition: Partition::parse(std::str::from_utf8(address).ok()?).ok()?,
        })
    }

    /// Tells whether they are those of an address.
    pub(super) fn are_of(&self, address: &Address) -> bool {
        let parts = || {
            let (version, mut rest) = self.metas.as_ref()?.split_first()?;
            let mut held = take_block(&mut rest)?;
            let key = take_block(&mut held)?;
            Some((*version, key, held))
        };
        parts().is_some_and(|(version, key, partition)| {
            version == VERSION
                && key == address.key.as_bytes()
                && partition == address.partition.as_str().as_bytes()
        })
    }

    /// Reads the entries that are retained.
    pub(super) fn entries(
        &self,
        address: &Address,
        spec: &TableSpec,
        parts: Parts,
        now: Millis,
    ) -> Read {
        let mut read = Read::default();
        let Some(metas) = &self.metas else {
            return read;
        };
        let mut rest = metas.get(1..).unwrap_or_default();
        if take_block(&mut rest).is_none() {
            read.is_damaged = true;
            return read;
        }
        let mut at = metas.len() - rest.len();
        while at < metas.len() {
            let Some(block) = Block::at(metas, at) else {
                read.is_damaged = true;
                return read;
            };
            at += block.0.len();
            let Some(head) = block.head() else {
                read.is_damaged = true;
                return read;
            };
            if head.expires_at.plus(spec.keep) <= now {
                continue;
            }
            match self.entry(&block, &head, address, spec, parts) {
                Some(entry) => read.found.push(Arc::new(entry)),
                None => read.damaged.push((head.variant, head.generation)),
            }
        }
        read
    }

    fn entry(
        &self,
        block: &Block,
        head: &BlockHead,
        address: &Address,
        spec: &TableSpec,
        parts: Parts,
    ) -> Option<Entry> {
        let bytes = &block.0;
        let (checked, stored_sum) = bytes.split_last_chunk::<8>()?;
        if sum(checked)? != u64::from_be_bytes(*stored_sum) {
            return None;
        }
        let mut rest = checked.get(HEAD..)?;
        let record = Record::decode(take_block(&mut rest)?).ok()?;
        let id = EntryId {
            address: address.clone(),
            variant: Variant(u128::from_be_bytes(head.variant)),
        };
        record.verify_id(&id, &spec.fields).ok()?;
        let seal = record.seal();
        if seal != head.seal {
            return None;
        }
        let body = match parts {
            Parts::Meta => Bytes::new(),
            Parts::Body | Parts::Whole => {
                let mut bodies = self.bodies.iter();
                let body = bodies.find(|b| b.get(1..BODY_HEAD) == Some(&head.variant))?;
                let body = body.slice(BODY_HEAD..);
                record.verify_body(&body).ok()?;
                body
            }
        };
        let bare = parts == Parts::Body;
        let label = take_text(&mut rest)?;
        let url = take_text(&mut rest)?;
        let columns = take_columns(&mut rest)?;
        let tags = take_tags(&mut rest)?;
        let lines = take_block(&mut rest)?;
        let stored_head = if bare {
            record.into_bare_head()
        } else {
            let status = record.status().as_u16();
            record
                .into_head(status, url.map(Arc::from), bytes.slice_ref(lines))
                .ok()?
        };
        Some(Entry {
            id,
            generation: Generation(head.generation),
            meta: Meta {
                head: Arc::new(stored_head),
                seal,
                label: label.filter(|_| !bare).map(Arc::from),
                stored_at: head.stored_at,
                checked_at: head.checked_at,
                changed_at: head.changed_at,
                expires_at: head.expires_at,
                columns,
                tags,
            },
            body,
        })
    }
}

/// What was read of an address.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) found: Found,
    /// Variants that are damaged, with their generation.
    pub(super) damaged: Vec<([u8; 16], u64)>,
    /// Whether the metas as a whole are.
    pub(super) is_damaged: bool,
}

/// The numbers of an entry, without the rest.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockHead {
    pub(super) variant: [u8; 16],
    pub(super) generation: u64,
    pub(super) stored_at: Millis,
    pub(super) checked_at: Millis,
    changed_at: Millis,
    pub(super) expires_at: Millis,
    pub(super) size: u64,
    seal: Seal,
}

/// Reads the numbers of all entries in metas.
pub(super) fn heads(metas: &[u8]) -> Vec<BlockHead> {
    let metas = Bytes::copy_from_slice(metas);
    let mut rest = metas.get(1..).unwrap_or_default();
    if take_block(&mut rest).is_none() {
        return Vec::new();
    }
    let mut at = metas.len() - rest.len();
    let mut heads = Vec::new();
    while let Some(block) = Block::at(&metas, at) {
        at += block.0.len();
        heads.extend(block.head());
    }
    heads
}

struct Block(Bytes);

impl Block {
    fn at(metas: &Bytes, at: usize) -> Option<Self> {
        let len = u32::from_be_bytes(*metas.get(at..)?.first_chunk()?);
        let end = at.checked_add(usize::try_from(len).ok()?)?;
        (end <= metas.len() && end - at >= HEAD).then(|| Self(metas.slice(at..end)))
    }

    fn head(&self) -> Option<BlockHead> {
        let mut rest = self.0.get(4..)?;
        Some(BlockHead {
            variant: *take(&mut rest)?,
            generation: u64::from_be_bytes(*take(&mut rest)?),
            stored_at: take_time(&mut rest)?,
            checked_at: take_time(&mut rest)?,
            changed_at: take_time(&mut rest)?,
            expires_at: take_time(&mut rest)?,
            size: u64::from_be_bytes(*take(&mut rest)?),
            seal: Seal {
                len: u64::from_be_bytes(*take(&mut rest)?),
                sum: u64::from_be_bytes(*take(&mut rest)?),
            },
        })
    }
}

/// The sum of a block without its generation and its changed.
fn sum(block: &[u8]) -> Option<u64> {
    let mut hash = Xxh3::new();
    hash.update(block.get(..20)?);
    hash.update(block.get(28..44)?);
    hash.update(block.get(52..)?);
    Some(hash.digest())
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

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(chunk)
}

fn take_time(rest: &mut &[u8]) -> Option<Millis> {
    take(rest).map(|b| Millis(i64::from_be_bytes(*b)))
}

fn take_len(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(*take(rest)?)).ok()
}

fn take_block<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_len(rest)?;
    let (block, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(block)
}

/// `None` where it is damaged.
fn take_text<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a str>> {
    match *take(rest)? {
        [0] => Some(None),
        [_] => std::str::from_utf8(take_block(rest)?).ok().map(Some),
    }
}

fn take_columns(rest: &mut &[u8]) -> Option<Arc<[FieldValue]>> {
    let number = take_len(rest)?;
    if number == 0 {
        return Some(entry::no_columns());
    }
    (0..number)
        .map(|_| match *take(rest)? {
            [0] => Some(FieldValue::Absent),
            [1] => take(rest).map(|i| FieldValue::Integer(i64::from_be_bytes(*i))),
            [_] => std::str::from_utf8(take_block(rest)?)
                .ok()
                .map(FieldValue::from),
        })
        .collect()
}

fn take_tags(rest: &mut &[u8]) -> Option<Arc<[Box<str>]>> {
    let number = take_len(rest)?;
    if number == 0 {
        return Some(entry::no_tags());
    }
    (0..number)
        .map(|_| std::str::from_utf8(take_block(rest)?).ok().map(Box::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, FieldRef, entry::Head};
    use http::{HeaderMap, HeaderValue, StatusCode, header};

    fn written() -> (TableSpec, Entry, Fields) {
        let spec = TableSpec::new("t", [Field::text("id")]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        let head = Head::new(
            StatusCode::OK,
            &headers,
            Some("https://x.example/"),
            Millis(0),
            Millis(0),
        );
        let id = EntryId {
            address: Address {
                key: RawKey::new([FieldRef::Text("a")], "").unwrap(),
                partition: Partition::principal("alice").unwrap(),
            },
            variant: Variant(5),
        };
        let mut entry = Entry::new(id, head, Bytes::from_static(b"body"), Millis(1), Millis(9));
        entry.meta.label = Some("l".into());
        entry.meta.columns = [1.into(), FieldValue::Absent, "x".into()].into();
        entry.meta.tags = ["t".into(), "".into()].into();
        let mut metas = address_bytes(&entry.id.address);
        metas.extend(block(&entry.id, &entry.meta, &spec).unwrap());
        let variant = 5_u128.to_be_bytes();
        let fields = Fields::of([body(&variant, b"body"), metas]);
        (spec, entry, fields)
    }

    #[test]
    fn what_is_written_reads_back() {
        let (spec, entry, fields) = written();
        assert_eq!(fields.address().unwrap(), entry.id.address);
        assert!(fields.are_of(&entry.id.address));
        let read = fields.entries(&entry.id.address, &spec, Parts::Whole, Millis(2));
        assert_eq!(**read.found.iter().next().unwrap(), entry);
    }

    #[test]
    fn no_bit_can_flip_unseen() {
        let (spec, entry, fields) = written();
        let (metas, bodies) = (fields.metas.unwrap(), fields.bodies);
        for bit in 0..metas.len() * 8 {
            let mut damaged = metas.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let fields = Fields {
                metas: Some(damaged.into()),
                bodies: bodies.clone(),
            };
            let address = &entry.id.address;
            let read = fields.entries(address, &spec, Parts::Whole, Millis(2));
            // The generation and the time of a change are the script's; an address that differs is not the one asked for.
            for found in read.found.iter().filter(|_| fields.are_of(address)) {
                let same = Entry {
                    generation: found.generation,
                    meta: Meta {
                        changed_at: found.meta.changed_at,
                        ..entry.meta.clone()
                    },
                    ..entry.clone()
                };
                assert_eq!(**found, same, "bit {bit}");
            }
        }
        for cut in 0..metas.len() {
            let fields = Fields {
                metas: Some(metas.slice(..cut)),
                bodies: bodies.clone(),
            };
            let read = fields.entries(&entry.id.address, &spec, Parts::Whole, Millis(2));
            assert!(read.found.is_empty(), "cut at {cut}");
        }
    }
}
