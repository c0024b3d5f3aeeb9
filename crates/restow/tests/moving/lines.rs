//! Entries as lines, and back.

use crate::kit::*;
use futures_util::TryStreamExt;
use proptest::prelude::*;
use restow::{
    ErrorKind, Millis, Result,
    entry::{Entry, Partition, Variant},
    moving::{
        ExportOptions, Portion, export,
        ndjson::{Header, Item, Reader, end_line, entry_line},
    },
    store::Store,
};
use std::sync::Arc;

async fn file_of(store: &Arc<dyn Store>, options: ExportOptions) -> Vec<u8> {
    let everything = Portion::everything(&**store).await.unwrap();
    let lines: Vec<_> = export(store.clone(), everything, options, NOW)
        .try_collect()
        .await
        .unwrap();
    lines.concat()
}

/// Reads a file to its end.
fn read(file: &[u8]) -> Result<Vec<Item>> {
    let mut reader = Reader::new(file);
    std::iter::from_fn(|| reader.next_item().transpose()).collect()
}

/// The entries of a file: how they are, without their declarations.
fn entries(items: &[Item]) -> Vec<Entry> {
    let entries = items.iter().filter_map(|item| match item {
        Item::Entry(_, entry) => Some(Entry::clone(entry)),
        _ => None,
    });
    entries.collect()
}

fn small_file() -> Vec<u8> {
    let header = Header {
        made_at: NOW.to_string(),
        secret_id: Header::secret_id(&[1; 32]),
        secret: Some([1; 32]),
        tables: vec![spec()],
    };
    let mut file = header.line().unwrap();
    for entry in all_kinds().into_iter().chain(secret_kinds()).step_by(5) {
        file.extend(entry_line(&spec(), &entry).unwrap());
    }
    file.extend(end_line(4).unwrap());
    file
}

#[tokio::test]
async fn a_file_holds_all_that_an_entry_is() {
    let store = filled(all_kinds().into_iter().chain(secret_kinds())).await;
    let file = file_of(&store, ExportOptions::default()).await;
    let items = read(&file).unwrap();
    let mut read = entries(&items);
    read.sort_by(|a, b| a.id.cmp(&b.id));
    let read: Vec<_> = read.into_iter().map(|e| (e.id, e.meta, e.body)).collect();
    assert_eq!(read, held(&store).await);
    let Item::Header(header) = &items[0] else {
        unreachable!("{items:?}")
    };
    assert_eq!(header.tables, [spec()]);
    assert_eq!(header.secret, None);
    assert_eq!(items.last(), Some(&Item::End { entries: 16 }));
    assert_eq!(file.iter().filter(|b| **b == b'\n').count(), 18);
}

#[tokio::test]
async fn the_secret_is_in_a_file_only_where_it_was_asked_for() {
    let store = filled(secret_kinds()).await;
    let secret = store.secret().await.unwrap();
    let with = read(&file_of(&store, ExportOptions { with_secret: true }).await).unwrap();
    let Item::Header(header) = &with[0] else {
        unreachable!("{with:?}")
    };
    assert_eq!(header.secret, Some(secret));
    assert!(!format!("{with:?}").contains(&format!("{secret:?}")));
    assert_eq!(header.secret_id, Header::secret_id(&secret));
}

#[test]
fn every_bit_of_a_small_file_matters() {
    let file = small_file();
    let whole = read(&file).unwrap();
    assert_eq!(entries(&whole).len(), 4);
    let mut harmless = 0;
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            match read(&damaged) {
                Err(error) => assert!(error.to_string().starts_with("line "), "{error}"),
                Ok(items) => {
                    assert_eq!(items, whole, "bit {bit} of byte {at}");
                    harmless += 1;
                }
            }
        }
    }
    // The end of a line may not be changed either, but for what is behind the last one.
    assert!(harmless <= 8, "{harmless}");
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_not_taken_for_a_whole_one() {
    let file = small_file();
    for end in 0..file.len() - 1 {
        let error = read(&file[..end]).unwrap_err();
        assert!(error.to_string().starts_with("line "), "{end}: {error}");
    }
    // Some programs leave out the end of the last line, or end lines otherwise.
    assert_eq!(read(&file[..file.len() - 1]).unwrap(), read(&file).unwrap());
    let text = String::from_utf8(file.clone()).unwrap();
    assert_eq!(
        read(text.replace('\n', "\r\n").as_bytes()).unwrap(),
        read(&file).unwrap()
    );
}

#[test]
fn files_may_follow_each_other_and_lines_may_not_be_missing() {
    let file = small_file();
    let twice = [&file[..], &file[..]].concat();
    assert_eq!(entries(&read(&twice).unwrap()).len(), 8);
    let lines: Vec<&[u8]> = file.split_inclusive(|b| *b == b'\n').collect();
    for missing in 1..lines.len() {
        let mut left = lines.clone();
        left.remove(missing);
        let error = read(&left.concat()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let error = read(lines[1]).unwrap_err();
    assert!(error.to_string().contains("first line"), "{error}");
    let error = read(b"").unwrap_err();
    assert!(error.to_string().contains("empty"), "{error}");
}

#[test]
fn after_a_bad_line_the_next_one_is_read() {
    let mut file = small_file();
    let second = file.iter().position(|b| *b == b'\n').unwrap() + 60;
    file[second] ^= 1;
    let mut reader = Reader::new(&file[..]);
    reader.next_item().unwrap();
    let error = reader.next_item().unwrap_err();
    assert!(
        error.to_string().starts_with("line 2: ") && error.to_string().contains("checksum"),
        "{error}"
    );
    for line in 3..6 {
        assert!(matches!(reader.next_item(), Ok(Some(Item::Entry(..)))));
        assert_eq!(reader.line(), line);
    }
    let error = reader.next_item().unwrap_err();
    assert!(
        error.to_string().contains("4 entries, and 3 were read"),
        "{error}"
    );
    assert_eq!(reader.next_item().unwrap(), None);
}

#[test]
fn a_newer_version_is_said_to_be_one() {
    let file = String::from_utf8(small_file()).unwrap();
    let (_, first) = file.lines().next().unwrap().split_once(',').unwrap();
    let newer = first.replace("\"restow_export\":1", "\"restow_export\":2,\"more\":[1]");
    let sum = xxhash_rust::xxh3::xxh3_64(newer.as_bytes());
    let error = read(format!("{{\"sum\":\"{sum:016x}\",{newer}\n").as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(
        error.to_string().contains("version 2") && error.to_string().contains("update"),
        "{error}"
    );
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..64),
        any::<String>().prop_map(String::into_bytes),
        any::<i64>().prop_map(|n| format!("{{\"n\": {n}}}").into_bytes()),
    ];
    let partition = prop_oneof![
        Just(Partition::PUBLIC),
        any::<u128>().prop_map(Partition::credential),
        "[^\\p{Cc}]{1,20}".prop_map(|name| Partition::principal(&name).unwrap()),
    ];
    let times = (any::<i64>(), any::<i64>(), any::<i64>(), any::<i64>());
    let parts = (any::<String>(), body, partition, any::<u128>(), times);
    let more = (
        proptest::option::of(any::<String>()),
        proptest::collection::vec(any::<String>(), 0..3),
    );
    (parts, more).prop_map(|((id, body, partition, variant, times), (label, tags))| {
        entry("x", body).of(partition).with(|e| {
            let key = [
                restow::FieldRef::Text(&id),
                restow::FieldRef::Integer(times.0),
            ];
            e.id.address.key = restow::RawKey::new(key, &id).unwrap();
            e.id.variant = Variant(variant);
            e.meta.stored_at = Millis(times.0);
            e.meta.checked_at = Millis(times.1);
            e.meta.changed_at = Millis(times.2);
            e.meta.expires_at = Millis(times.3);
            e.meta.label = label.map(Into::into);
            e.meta.tags = tags.into_iter().map(Into::into).collect();
        })
    })
}

proptest! {
    #[test]
    fn any_entry_comes_back(entry in any_entry()) {
        let header = Header { made_at: String::new(), secret_id: String::new(), secret: None, tables: vec![spec()] };
        let file = [header.line().unwrap(), entry_line(&spec(), &entry).unwrap(), end_line(1).unwrap()].concat();
        prop_assert_eq!(entries(&read(&file).unwrap()), [entry]);
    }
}
