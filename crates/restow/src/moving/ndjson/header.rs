//! The first line, and the last.

use super::{VERSION, line};
use crate::{
    Error, ErrorKind, Result,
    store::{TableSpec, declared},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// What an export says of itself.
#[derive(Clone, PartialEq)]
pub struct Header {
    /// When it was made, in ISO 8601.
    pub made_at: String,
    /// Tells apart caches with different secrets; see [`secret_id`](Self::secret_id).
    pub secret_id: String,
    /// The secret itself, where the export was asked for it.
    pub secret: Option<[u8; 32]>,
    /// The repositories that its entries are of, as they were declared.
    pub tables: Vec<TableSpec>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine<'a> {
    restow_export: u32,
    made_at: String,
    secret_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(borrow)]
    repositories: Vec<&'a RawValue>,
}

/// Of a header of whatever version.
#[derive(Deserialize)]
struct AnyVersion {
    restow_export: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) end: End,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) entries: u64,
}

impl Header {
    /// Returns what tells a secret apart from others, and does not give it away.
    pub fn secret_id(secret: &[u8; 32]) -> String {
        let digest = blake3::derive_key(
            "restow 2026-11-26 what tells secrets of caches apart",
            secret,
        );
        digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Writes the first line.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] where a declaration has no form in JSON.
    pub fn line(&self) -> Result<Vec<u8>> {
        let specs: Vec<String> = self.tables.iter().map(declared::write).collect();
        let specs = specs
            .iter()
            .map(|json| serde_json::from_str::<&RawValue>(json));
        let repositories = specs.collect::<Result<_, _>>().map_err(|e| {
            Error::new(ErrorKind::Codec, "a declaration cannot be written as JSON").with_source(e)
        })?;
        line::write(&HeaderLine {
            restow_export: VERSION,
            made_at: self.made_at.clone(),
            secret_id: self.secret_id.clone(),
            secret: self.secret.map(|secret| super::body::base64(&secret)),
            repositories,
        })
    }

    /// Reads the object of a first line.
    pub(super) fn read(object: &[u8]) -> Result<Self> {
        let not_one = |e: serde_json::Error| {
            wrong("it is not the first line of a restow export").with_source(e)
        };
        let AnyVersion { restow_export } = serde_json::from_slice(object).map_err(not_one)?;
        if restow_export > VERSION {
            let message = format!(
                "the file has version {restow_export} of the export format, and this program reads up to {VERSION}; update it"
            );
            return Err(Error::new(ErrorKind::Format, message));
        }
        let header: HeaderLine<'_> = serde_json::from_slice(object).map_err(not_one)?;
        let secret = header.secret.map(|text| {
            let bytes = super::body::from_base64(&text);
            bytes
                .and_then(|b| b.try_into().ok())
                .ok_or_else(|| wrong("its secret is none"))
        });
        let tables = header.repositories.iter().map(|json| {
            declared::read(json.get())
                .map_err(|e| wrong("it holds a declaration that is none").with_source(e))
        });
        Ok(Self {
            made_at: header.made_at,
            secret_id: header.secret_id,
            secret: secret.transpose()?,
            tables: tables.collect::<Result<_>>()?,
        })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("made_at", &self.made_at)
            .field("secret_id", &self.secret_id)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

fn wrong(what: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, what)
}
