//! Content: what an answer says comes back as it was.

use super::{Subject, kit::*};
use crate::{
    FieldValue, Millis, Selection,
    entry::Generation,
    store::{Column, Parts, TableSpec},
};
use bytes::Bytes;
use std::sync::Arc;

promises! {
    a_whole_entry_comes_back: "An entry with a label, columns, tags, header lines and all times comes back as it was written.",
    an_empty_body_comes_back: "An empty body comes back, and is held.",
    a_binary_body_comes_back: "A body of all byte values comes back.",
    a_large_body_comes_back: "A body of 1 MiB comes back.",
    header_lines_come_back: "Header lines come back with their bytes: repeated, in order, empty, long, not UTF-8.",
    no_header_lines_come_back: "An answer without header lines comes back without any.",
    every_status_comes_back: "Every status code comes back.",
    the_url_comes_back: "The final URL comes back, or that there is none.",
    labels_come_back: "Labels come back: none, empty, any script, with NUL, long.",
    columns_come_back: "Values of columns come back with their kind: texts that look like numbers, the largest integers, absent.",
    columns_may_have_any_name: "Columns may have the names of a store's own columns, of SQL words, and of any text.",
    tags_come_back: "Tags come back: none, many, any text.",
    any_moment_comes_back: "Times come back to the millisecond: before 1970, far ahead, never.",
    what_caching_needs_comes_back: "Validators, Vary and what caching needs of the headers come back.",
    meta_is_enough_for_a_listing: "Reading metas gives identity, generation and the whole meta.",
    a_body_can_be_read_alone: "Reading bodies gives identity, generation, times, status, label and the body.",
    scans_give_the_parts_asked_for: "A scan gives at least the parts asked for.",
}

async fn a_whole_entry_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let mut full = full()?;
    full.meta.checked_at = T0.plus(MS);
    full.meta.changed_at = T0.minus(DAY);
    t.comes_back(full).await?;
    Ok(())
}

async fn an_empty_body_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.comes_back(entry("a")?.body("")).await?;
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn a_binary_body_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let bytes: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    t.comes_back(entry("a")?.body(bytes)).await?;
    t.comes_back(entry("nul")?.body(vec![0])).await?;
    Ok(())
}

async fn a_large_body_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let bytes: Vec<u8> = (0..1_u32 << 18)
        .flat_map(|i| (i ^ 0xA5A5).to_le_bytes())
        .collect();
    same!(bytes.len(), 1 << 20, "bytes");
    let got = t.comes_back(entry("a")?.body(bytes)).await?;
    ensure!(got.is_intact(), "the body does not fit its seal");
    Ok(())
}

async fn header_lines_come_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let long = vec![b'v'; 50_000];
    let lines: &[(&str, &[u8])] = &[
        ("link", b"<https://api.example.com/?page=2>; rel=\"next\""),
        ("x-b", b"2"),
        ("x-a", b"1"),
        ("x-b", b""),
        ("x-b", b"a: b, c"),
        ("x-latin", b"caf\xe9 \xff\x80"),
        ("x-utf8", "日本".as_bytes()),
        ("x-long", &long),
    ];
    let got = t.comes_back(entry("a")?.head(head(200, lines)?)).await?;
    let headers = got.meta.head.headers();
    let back: Vec<_> = headers
        .get_all("x-b")
        .iter()
        .map(|v| v.as_bytes())
        .collect();
    same!(back, [&b"2"[..], b"", b"a: b, c"], "values of x-b");
    Ok(())
}

async fn no_header_lines_come_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let got = t.comes_back(entry("a")?.head(head(200, &[])?)).await?;
    ensure!(got.meta.head.lines().is_empty(), "there are header lines");
    Ok(())
}

async fn every_status_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    for status in [
        100, 200, 203, 204, 206, 299, 301, 304, 404, 410, 451, 500, 503, 599, 999,
    ] {
        t.comes_back(entry(&status.to_string())?.head(head(status, &[])?))
            .await?;
    }
    Ok(())
}

async fn the_url_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let long = format!("https://api.example.com/?{}", "q".repeat(20_000));
    let urls = [
        None,
        Some("https://api.example.com/ü?q=日本#f"),
        Some(&*long),
    ];
    for (i, url) in urls.into_iter().enumerate() {
        let head = head_from(200, &[("x", b"1")], url)?;
        t.comes_back(entry(&i.to_string())?.head(head)).await?;
    }
    Ok(())
}

async fn labels_come_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let long = "l".repeat(10_000);
    for label in ["", " ", "Blue in Green", "青", "a\0b", "it's", &long] {
        t.comes_back(entry("a")?.label(label)).await?;
    }
    t.comes_back(entry("a")?).await?;
    Ok(())
}

async fn columns_come_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let values: [FieldValue; 12] = [
        "1".into(),
        1.into(),
        "".into(),
        0.into(),
        "1.0".into(),
        "1e3".into(),
        " 1".into(),
        "a\0b".into(),
        "青".into(),
        i64::MIN.into(),
        i64::MAX.into(),
        FieldValue::Absent,
    ];
    for (i, value) in values.iter().enumerate() {
        let id = i.to_string();
        t.comes_back(entry(&id)?.columns(value.clone(), value.clone()))
            .await?;
    }
    t.comes_back(entry("last")?.columns(FieldValue::Absent, 2))
        .await?;
    t.comes_back(entry("none")?).await?;
    Ok(())
}

async fn columns_may_have_any_name(subject: &dyn Subject) -> Kept {
    let names = [
        "order",
        "body",
        "status",
        "generation",
        "partition",
        "rowid",
        "expires_at",
        "a b",
        "a\"b",
        "a'b",
        "日本",
        "%",
        "0",
        "label",
        "url",
        "query",
    ];
    let columns = names.iter().map(|name| Column {
        name: (*name).into(),
        pointer: "/x".into(),
    });
    let spec = TableSpec {
        columns: columns.collect(),
        ..spec()?
    };
    let t = Trial::with(subject, &spec).await?;
    let mut wide = entry("a")?;
    wide.meta.columns = names.iter().map(|n| FieldValue::from(*n)).collect();
    t.comes_back(wide).await?;
    t.comes_back(entry("b")?).await?;
    for name in names {
        let which = Selection::default().eq(name, name);
        same!(
            t.count(&which, T0).await?,
            1,
            "entries whose column {name:?} is its name"
        );
    }
    Ok(())
}

async fn tags_come_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let many: Vec<_> = (0..100).map(|i| format!("tag-{i}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for tags in [
        &[][..],
        &["", " ", "a,b", "日本", "a\0b", "it's", "A", "a"],
        &many,
    ] {
        t.comes_back(entry("a")?.tags(tags)).await?;
    }
    t.comes_back(entry("a")?.tags(&["one"])).await?;
    Ok(())
}

async fn any_moment_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let far = Millis(253_402_300_799_999);
    for at in [Millis(-1), Millis(0), Millis(1), T0.plus(MS), far] {
        t.comes_back(entry(&at.0.to_string())?.stored(at)).await?;
    }
    t.comes_back(entry("never")?.expires(Millis::MAX)).await?;
    Ok(())
}

async fn what_caching_needs_comes_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let lines: &[(&str, &[u8])] = &[
        ("date", b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (
            "cache-control",
            b"max-age=60, stale-while-revalidate=30, must-revalidate",
        ),
        ("age", b"7"),
        ("vary", b"Accept-Language, accept"),
        ("etag", b"W/\"a\""),
        ("last-modified", b"Sun, 06 Nov 1994 08:00:00 GMT"),
    ];
    let written = entry("a")?.head(head(203, lines)?);
    let got = t.comes_back(written.clone()).await?;
    let (got, wanted) = (&got.meta.head, &written.meta.head);
    same!(got.facts(), wanted.facts(), "facts");
    same!(got.vary(), wanted.vary(), "Vary");
    same!(got.etag(), wanted.etag(), "ETag");
    same!(got.last_modified(), wanted.last_modified(), "Last-Modified");
    Ok(())
}

async fn meta_is_enough_for_a_listing(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let written = full()?;
    t.write(T0, [written.clone()]).await?;
    let found = sorted(t.table.read(&written.id.address, Parts::Meta, T0).await?);
    same!(
        ids(found.iter().map(|e| &**e)),
        ids([&written]),
        "identities"
    );
    for got in found {
        same_meta(&got.meta, &written.meta)?;
        ensure!(
            got.generation != Generation::UNKNOWN,
            "there is no generation"
        );
    }
    Ok(())
}

async fn a_body_can_be_read_alone(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let written = full()?;
    t.write(T0, [written.clone()]).await?;
    let found = sorted(t.table.read(&written.id.address, Parts::Body, T0).await?);
    same!(
        ids(found.iter().map(|e| &**e)),
        ids([&written]),
        "identities"
    );
    for got in found {
        let (meta, wanted) = (&got.meta, &written.meta);
        same!(got.body, written.body, "body");
        same!(meta.head.status(), wanted.head.status(), "status");
        same!(meta.head.facts(), wanted.head.facts(), "facts");
        same!(meta.head.vary(), wanted.head.vary(), "Vary");
        same!(meta.expires_at, wanted.expires_at, "expires_at");
        same!(meta.stored_at, wanted.stored_at, "stored_at");
        same!(meta.seal, wanted.seal, "seal");
        ensure!(
            got.generation != Generation::UNKNOWN,
            "there is no generation"
        );
    }
    Ok(())
}

async fn scans_give_the_parts_asked_for(subject: &dyn Subject) -> Kept {
    use futures_util::TryStreamExt;
    let t = Trial::start(subject).await?;
    let written = full()?;
    t.write(T0, [written.clone()]).await?;
    let which = Selection::default();
    for parts in [Parts::Meta, Parts::Body, Parts::Whole] {
        let found: Vec<Arc<_>> = t.table.scan(&which, parts, T0).try_collect().await?;
        same!(
            ids(found.iter().map(|e| &**e)),
            ids([&written]),
            "identities"
        );
        for got in found {
            if parts != Parts::Body {
                same_meta(&got.meta, &written.meta)?;
            }
            if parts != Parts::Meta {
                same!(got.body, written.body, "body");
            }
        }
    }
    Ok(())
}

fn full() -> Kept<crate::entry::Entry> {
    let lines: &[(&str, &[u8])] = &[("content-type", b"text/plain"), ("vary", b"accept")];
    Ok(entry("full")?
        .head(head(203, lines)?)
        .body(Bytes::from_static(b"the body"))
        .label("a label")
        .columns("0OdU", 1959)
        .tags(&["jazz", "modal"]))
}
