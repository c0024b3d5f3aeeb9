//! An address as bytes: what a script can read of it, and what only this program does.
//!
//! The value of its key: version (1 byte), length of the address (4), the address (length of the key (4), key, partition), then a block for
//! each variant, then four zero bytes, then the bodies, in the order of the blocks. A block, big-endian: its length (4), variant (16),
//! generation (8), stored, checked, changed and expires (8 each), size (8), seal (length and sum of the body, 8 each), length of the body in this
//! value (4; [`APART`] where it is not); then record, label, URL, columns, tags, header lines, each with its length; then the checksum of
//! the block without what a script may put in: its generation, its changed (8 each), and the length of the body. It depends on the number of the
//! repository too: others have entries of the same address.
//!
//! A body of more than [`WITHIN`] bytes is in the hash beside, under its variant: whatever changes another variant leaves it alone.

use super::schema::MOST;
use crate::{
    FieldValue, Millis, RawKey,
    entry::{
        self, Address, Entry, EntryId, Found, Generation, Meta, Partition, Record, Seal, Variant,
    },
    store::{Parts, TableSpec},
};
use bytes::Bytes;
use smallvec::SmallVec;
use std::{ops::Range, sync::Arc};
use xxhash_rust::xxh3::Xxh3;

pub(super) const VERSION: u8 = 1;
/// Bytes of a block before its record.
pub(super) const HEAD: usize = 88;
/// The largest body that is in the value of its address.
pub(super) const WITHIN: usize = 32 << 10;
/// Stands for the length of a body that is in the hash beside.
pub(super) const APART: u32 = u32::MAX;
/// So much of a value is read where no body is wanted: more than most metas take.
pub(super) const BEGINNING: usize = 2_048;

/// What is stored at an address: its value, and the bodies beside it that were asked for.
#[derive(Debug, Default)]
pub(super) struct Fields {
    value: Option<Bytes>,
    bodies: Vec<([u8; 16], Bytes)>,
}

impl Fields {
    /// Takes the value; an empty one is none.
    pub(super) fn of(value: Vec<u8>) -> Self {
        Self {
            value: (!value.is_empty()).then(|| value.into()),
            bodies: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.value.is_none()
    }

    pub(super) fn value(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// Tells whether the end of the metas is not within the [`BEGINNING`] that was read.
    pub(super) fn is_cut(&self) -> bool {
        let value = self.value.as_ref();
        value.is_some_and(|v| v.len() == BEGINNING && !Layout::of(v).is_whole)
    }

    /// Reads the numbers of all entries.
    pub(super) fn heads(&self) -> SmallVec<[BlockHead; 1]> {
        let layout = self.value.as_deref().map(Layout::of).unwrap_or_default();
        layout.parts.into_iter().map(|part| part.head).collect()
    }

    /// Tells whether a body beside is not the one that the metas say: somebody may have written between two reads.
    pub(super) fn is_torn(&self) -> bool {
        let layout = self.value.as_deref().map(Layout::of).unwrap_or_default();
        let mut apart = layout.parts.iter().filter(|part| part.body.is_none());
        apart.any(|part| {
            let body = self.bodies.iter().find(|(of, _)| *of == part.head.variant);
            body.is_none_or(|(_, body)| Seal::of(body) != part.head.seal)
        })
    }

    /// Returns the variants whose bodies are beside the value.
    pub(super) fn apart(&self) -> Vec<[u8; 16]> {
        let layout = self.value.as_deref().map(Layout::of).unwrap_or_default();
        let apart = layout.parts.iter().filter(|part| part.body.is_none());
        apart.map(|part| part.head.variant).collect()
    }

    /// How many bytes these bodies have.
    pub(super) fn bytes_apart(&self) -> u64 {
        let layout = self.value.as_deref().map(Layout::of).unwrap_or_default();
        let apart = layout.parts.iter().filter(|part| part.body.is_none());
        let bytes = apart.map(|part| part.head.seal.len);
        bytes.fold(0, u64::saturating_add)
    }

    /// Takes the body of such a variant.
    pub(super) fn put_body(&mut self, variant: [u8; 16], body: Vec<u8>) {
        self.bodies.push((variant, body.into()));
    }

    /// Reads whose they are; `None` where that is damaged.
    pub(super) fn address(&self) -> Option<Address> {
        let (version, key, partition) = address_of(self.value.as_ref()?)?;
        if version != VERSION {
            return None;
        }
        Some(Address {
            key: RawKey::from_bytes(key).ok()?,
            partition: Partition::parse(std::str::from_utf8(partition).ok()?).ok()?,
        })
    }

    /// Tells whether they are those of an address.
    pub(super) fn are_of(&self, address: &Address) -> bool {
        let parts = self.value.as_deref().and_then(address_of);
        parts.is_some_and(|(version, key, partition)| {
            version == VERSION
                && key == address.key.as_bytes()
                && partition == address.partition.as_str().as_bytes()
        })
    }

    /// Reads the entries that are retained, of a repository with its number.
    pub(super) fn entries(
        &self,
        address: &Address,
        (spec, number): (&TableSpec, u64),
        parts: Parts,
        now: Millis,
    ) -> Read {
        let mut read = Read::default();
        let Some(value) = &self.value else {
            return read;
        };
        let layout = Layout::of(value);
        read.is_damaged = !layout.is_whole;
        for part in &layout.parts {
            let head = &part.head;
            if head.expires_at.plus(spec.keep) <= now {
                continue;
            }
            match self.entry(value, part, address, (spec, number), parts) {
                Some(entry) => read.found.push(Arc::new(entry)),
                None => read.damaged.push((head.variant, head.generation)),
            }
        }
        read
    }

    fn entry(
        &self,
        value: &Bytes,
        part: &Part,
        address: &Address,
        (spec, number): (&TableSpec, u64),
        parts: Parts,
    ) -> Option<Entry> {
        let head = &part.head;
        let bytes = value.get(part.block.clone())?;
        let (checked, stored_sum) = bytes.split_last_chunk::<8>()?;
        if sum(number, checked)? != u64::from_be_bytes(*stored_sum) {
            return None;
        }
        let mut rest = checked.get(HEAD..)?;
        let record = Record::decode(take_block(&mut rest)?).ok()?;
        let id = EntryId {
            address: address.clone(),
            variant: Variant(u128::from_be_bytes(head.variant)),
        };
        let name = spec.name.sealed();
        record.verify_id(&id, name, &spec.fields).ok()?;
        let seal = record.seal();
        if seal != head.seal {
            return None;
        }
        let body = match parts {
            Parts::Meta => Bytes::new(),
            Parts::Body | Parts::Whole => {
                let body = match &part.body {
                    Some(within) if within.end <= value.len() => value.slice(within.clone()),
                    Some(_) => return None,
                    None => {
                        let mut bodies = self.bodies.iter();
                        bodies.find(|(of, _)| *of == head.variant)?.1.clone()
                    }
                };
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
                .into_head(status, url.map(Arc::from), value.slice_ref(lines))
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

/// Where an entry is in a value.
#[derive(Debug)]
struct Part {
    head: BlockHead,
    block: Range<usize>,
    /// `None` where the body is beside.
    body: Option<Range<usize>>,
}

/// What is where in a value.
#[derive(Debug, Default)]
struct Layout {
    parts: SmallVec<[Part; 1]>,
    /// Whether its metas are there to their end.
    is_whole: bool,
}

impl Layout {
    fn of(value: &[u8]) -> Self {
        let mut layout = Self::default();
        let mut rest = value.get(1..).unwrap_or_default();
        if take_block(&mut rest).is_none() {
            return layout;
        }
        let mut at = value.len() - rest.len();
        loop {
            let Some(len) = rest.first_chunk().map(|len| u32::from_be_bytes(*len)) else {
                return layout;
            };
            if len == 0 {
                break;
            }
            let Some((head, within, after)) = block_head(rest, len) else {
                return layout;
            };
            let end = value.len() - after.len();
            // Where a body begins is known behind the last block.
            let body = (within != APART).then_some(0..within as usize);
            layout.parts.push(Part {
                head,
                block: at..end,
                body,
            });
            (at, rest) = (end, after);
        }
        let mut from = at + 4;
        for body in layout
            .parts
            .iter_mut()
            .filter_map(|part| part.body.as_mut())
        {
            let end = from.saturating_add(body.end);
            *body = from..end;
            from = end;
        }
        layout.is_whole = !layout.parts.is_empty();
        layout
    }
}

/// Reads the numbers of the block that is here, and of its body; returns what follows too.
fn block_head(at: &[u8], len: u32) -> Option<(BlockHead, u32, &[u8])> {
    let (block, after) = at.split_at_checked(usize::try_from(len).ok()?)?;
    let mut rest = block.get(4..)?;
    let head = BlockHead {
        variant: *take(&mut rest)?,
        generation: u64::from_be_bytes(*take(&mut rest)?),
        stored_at: take_time(&mut rest)?,
        checked_at: take_time(&mut rest)?,
        changed_at: take_time(&mut rest)?,
        expires_at: take_time(&mut rest)?,
        size: u64::from_be_bytes(*take(&mut rest)?).min(MOST),
        seal: Seal {
            len: u64::from_be_bytes(*take(&mut rest)?),
            sum: u64::from_be_bytes(*take(&mut rest)?),
        },
    };
    Some((head, u32::from_be_bytes(*take(&mut rest)?), after))
}

/// The version, the key and the partition that a value begins with.
fn address_of(value: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (version, mut rest) = value.split_first()?;
    let mut partition = take_block(&mut rest)?;
    let key = take_block(&mut partition)?;
    Some((*version, key, partition))
}

/// The sum of a block in the repository of this number, without its generation, its changed, and the length of its body.
pub(super) fn sum(number: u64, block: &[u8]) -> Option<u64> {
    let mut hash = Xxh3::with_seed(number);
    hash.update(block.get(..20)?);
    hash.update(block.get(28..44)?);
    hash.update(block.get(52..84)?);
    hash.update(block.get(HEAD..)?);
    Some(hash.digest())
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
    use super::{super::blocks, *};
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
        let (value, apart) = blocks::value(&entry, entry.generation, (&spec, 3)).unwrap();
        assert!(!apart);
        (spec, entry, Fields::of(value))
    }

    #[test]
    fn what_is_written_reads_back() {
        let (spec, entry, fields) = written();
        assert_eq!(fields.address().unwrap(), entry.id.address);
        assert!(fields.are_of(&entry.id.address));
        let read = fields.entries(&entry.id.address, (&spec, 3), Parts::Whole, Millis(2));
        assert_eq!(**read.found.iter().next().unwrap(), entry);
        // Another repository has none of it.
        let read = fields.entries(&entry.id.address, (&spec, 4), Parts::Whole, Millis(2));
        assert_eq!((read.found.len(), read.damaged.len()), (0, 1));
    }

    #[test]
    fn no_bit_can_flip_unseen() {
        let (spec, entry, fields) = written();
        let value = fields.value.unwrap();
        for bit in 0..value.len() * 8 {
            let mut damaged = value.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let fields = Fields::of(damaged);
            let address = &entry.id.address;
            let read = fields.entries(address, (&spec, 3), Parts::Whole, Millis(2));
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
        for cut in 0..value.len() {
            let fields = Fields::of(value[..cut].to_vec());
            let read = fields.entries(&entry.id.address, (&spec, 3), Parts::Whole, Millis(2));
            assert!(read.found.is_empty(), "cut at {cut}");
        }
    }

    #[test]
    fn a_large_body_is_beside_the_value() {
        let (spec, mut entry, _) = written();
        let body = Bytes::from(vec![b'x'; WITHIN + 1]);
        (entry.meta.seal, entry.body) = (Seal::of(&body), body);
        let (value, apart) = blocks::value(&entry, entry.generation, (&spec, 3)).unwrap();
        assert!(apart && value.len() < WITHIN);
        let mut fields = Fields::of(value);
        let variant = 5_u128.to_be_bytes();
        assert_eq!(fields.apart(), [variant]);
        let address = &entry.id.address;
        let read = fields.entries(address, (&spec, 3), Parts::Whole, Millis(2));
        assert_eq!((read.found.len(), read.damaged.len()), (0, 1));
        fields.put_body(variant, entry.body.to_vec());
        let read = fields.entries(address, (&spec, 3), Parts::Whole, Millis(2));
        assert_eq!(**read.found.iter().next().unwrap(), entry);
    }
}
