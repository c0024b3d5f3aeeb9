//! What an export holds, as `restow import` reads it.

use super::Target;
use anyhow::{Context, Result, ensure};
use restow::{
    ErrorKind,
    moving::foreign::saved_response,
    moving::ndjson::{Header, Item, Reader, end_line, entry_line},
};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const TARGET: Target = Target {
    name: "import",
    check,
    words: &[
        "{\"sum\":\"0000000000000000\",",
        "\"restow_export\":1",
        "\"repositories\":[",
        "\"repository\":\"items\"",
        "\"end\":{\"entries\":1}}",
        "\"key\":{",
        "\"id\":null",
        "\"partition\":\"c:0123456789abcdef0123456789abcdef\"",
        "\"variant\":\"00000000000000000000000000000001\"",
        "\"headers\":[]",
        "\"headers\":[\"a: b\\r\\nc: d\"]",
        "\"headers_base64\":\"/w==\"",
        "\"body\":{\"json\":[[1e999]]}",
        "\"body\":{\"text\":\"\\u0000\"}",
        "\"body\":{\"base64\":\"=\"}",
        "\"stored_at\":-9223372036854775808",
        "\"expires_at\":\"9999-12-31T23:59:59.999Z\"",
        "\"columns\":{\"kind\":1}",
        "\"tags\":[\"\"]",
        "\\ud800",
        "}(",
        "u.",
        "h\0",
        "]a",
        "\n",
        "\r\n",
    ],
};

fn check(data: &[u8]) -> Result<()> {
    foreign(data)?;
    read(data)?;
    // A checksum keeps out nearly everything: behind it stands what a file may hold that somebody made on purpose.
    read(&sealed(data))
}

/// A response of another cache is read, or refused with a reason.
fn foreign(data: &[u8]) -> Result<()> {
    if let Err(error) = saved_response(data) {
        ensure!(error.kind() == ErrorKind::Codec, "{error}");
        ensure!(!error.to_string().is_empty(), "it does not say why");
    }
    Ok(())
}

/// Reads a file to its end, over every bad line.
fn read(data: &[u8]) -> Result<()> {
    let mut reader = Reader::new(data);
    let lines = data.iter().filter(|byte| **byte == b'\n').count() as u64;
    loop {
        let item = reader.next_item();
        ensure!(
            reader.line() <= lines + 3,
            "line {} of {lines}",
            reader.line()
        );
        match item {
            Ok(None) => return Ok(()),
            Ok(Some(item)) => same_again(&item)?,
            Err(error) => {
                let said = error.to_string();
                ensure!(said.starts_with("line "), "{said:?} names no line");
                ensure!(
                    error.kind() != ErrorKind::Store,
                    "{said:?} is no failure of the store"
                );
            }
        }
    }
}

/// What was read is written so that it is read as the same.
fn same_again(item: &Item) -> Result<()> {
    let Item::Entry(spec, entry) = item else {
        return Ok(());
    };
    ensure!(entry.is_intact(), "the body is not the one that was sealed");
    spec.check_key(&entry.id.address.key)?;
    let header = Header {
        made_at: String::new(),
        secret_id: String::new(),
        secret: None,
        tables: vec![(**spec).clone()],
    };
    let file = [header.line()?, entry_line(spec, entry)?, end_line(1)?].concat();
    let mut reader = Reader::new(&file[..]);
    reader.next_item().context("the header")?;
    let back = reader.next_item().context("the entry")?;
    ensure!(back.as_ref() == Some(item), "{item:?} became {back:?}");
    reader.next_item().context("the end")?;
    Ok(())
}

/// The same lines, each with the checksum of what it holds.
fn sealed(data: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(data.len());
    for line in data.split(|byte| *byte == b'\n') {
        let content = line.get(26..).unwrap_or_default();
        file.extend_from_slice(format!("{{\"sum\":\"{:016x}\",", xxh3_64(content)).as_bytes());
        file.extend_from_slice(content);
        file.push(b'\n');
    }
    file
}
