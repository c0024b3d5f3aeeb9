//! The record of an entry: what was written comes back, and of anything else nothing is believed.

use super::{Target, headers, input::Input};
use anyhow::{Result, ensure};
use http::StatusCode;
use restow::{
    Millis, RawKey,
    entry::{Address, Entry, EntryId, Head, Partition, Record, Variant},
};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const TARGET: Target = Target {
    name: "record",
    check,
    words: headers::WORDS,
};

fn check(data: &[u8]) -> Result<()> {
    read(data);
    // The same with a right checksum, so that what is behind it is read as well.
    let mut sealed = data.to_vec();
    sealed.extend(xxh3_64(data).to_le_bytes());
    read(&sealed);

    let mut input = Input::new(data);
    let entry = take(&mut input)?;
    let record = Record::encode(&entry.meta, &entry.id, "tracks", &[])?;
    let (status, lines) = (entry.meta.head.status(), entry.meta.head.lines().clone());
    let url = || entry.meta.head.url().map(Into::into);
    let back = Record::decode(&record)?;
    back.verify_body(&entry.body)?;
    ensure!(back.seal() == entry.meta.seal, "another seal came back");
    let head = back
        .clone()
        .into_head(status.as_u16(), url(), lines.clone())?;
    ensure!(
        head == *entry.meta.head,
        "{head:?} came back of {:?}",
        entry.meta.head
    );

    let other = input.rest();
    ensure!(
        *other == *entry.body || back.verify_body(other).is_err(),
        "another body was taken for the one that was stored"
    );
    let taken = back
        .clone()
        .into_head(status.as_u16(), url(), other.to_vec().into());
    ensure!(
        *other == *lines || taken.is_err(),
        "other header lines were taken for those that were stored"
    );
    let other = String::from_utf8_lossy(other);
    let taken = back.into_head(status.as_u16(), Some(other.as_ref().into()), lines);
    ensure!(
        *other == *entry.meta.head.url().unwrap_or("") || taken.is_err(),
        "another URL was taken for the one that was stored"
    );
    Ok(())
}

/// Reads bytes as a record, and looks at all that it says.
fn read(data: &[u8]) {
    let Ok(record) = Record::decode(data) else {
        return;
    };
    let _ = (record.status(), record.seal());
    let head = record.clone().into_bare_head();
    let _ = (
        head.etag(),
        head.last_modified(),
        head.vary(),
        head.headers(),
    );
    let _ = (head.facts().age_ms(0), head.facts().age_seconds(i64::MAX));
    for status in [200, record.status().as_u16()] {
        if let Ok(head) = record.clone().into_head(status, None, data.to_vec().into()) {
            let _ = (head.etag(), head.last_modified(), head.headers());
        }
    }
}

/// Makes an entry.
pub(super) fn take(input: &mut Input<'_>) -> Result<Entry> {
    let status = 200 + u16::from(input.byte());
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let headers = headers::take(input);
    let url = input.text();
    let url = (!url.is_empty()).then_some(url);
    let (asked, came) = (Millis(input.number()), Millis(input.number()));
    let head = Head::new(status, &headers, url.as_deref(), asked, came);
    let id = EntryId {
        address: Address {
            key: RawKey::new([], "")?,
            partition: Partition::PUBLIC,
        },
        variant: Variant::NONE,
    };
    let body = input.bytes().to_vec();
    Ok(Entry::new(id, head, body.into(), came, came))
}
