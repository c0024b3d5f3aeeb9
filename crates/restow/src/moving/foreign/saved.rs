//! A response as requests-cache saves it: a dictionary, pickled or as JSON.

use super::pickle::{Pickle, Place, Value};
use crate::Millis;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A saved response.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) request_headers: HeaderMap,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) created_at: Millis,
    /// `None` for never.
    pub(super) expires_at: Option<Millis>,
}

/// How to save a file anew so that it can be read.
const ADVICE: &str = "open the file in Python with the serializer that wrote it, and save its responses in one with serializer='json'";

impl Saved {
    /// Reads a saved response; says why it cannot be.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        match bytes.first() {
            Some(0x80) => {
                let pickle = Pickle::read(bytes).map_err(|why| format!("{why}; {ADVICE}"))?;
                Self::of_pickle(&pickle).ok_or_else(|| {
                    format!("its pickle is no response of requests-cache 1.0 or newer; {ADVICE}")
                })
            }
            Some(b'{') => {
                let json: Json = serde_json::from_slice(bytes)
                    .map_err(|_| "it is no response of requests-cache in JSON".to_owned())?;
                Self::of_json(json).ok_or_else(|| {
                    "its JSON is no response of requests-cache 1.0 or newer".to_owned()
                })
            }
            _ => Err(format!(
                "it was written by another serializer than pickle or json; {ADVICE}"
            )),
        }
    }

    fn of_pickle(pickle: &Pickle<'_>) -> Option<Self> {
        let root = pickle.root();
        // Python leaves out what has its default.
        let text = |dict, name: &str| pickle.get(dict, name).and_then(|at| pickle.text(at));
        let headers = |dict: Place| {
            pickle
                .get(dict, "headers")
                .map_or_else(|| Some(HeaderMap::new()), |at| pickled_headers(pickle, at))
        };
        let request = pickle.get(root, "request")?;
        let body = match pickle.get(root, "_content").and_then(|at| pickle.value(at)) {
            Some(Value::Bytes(bytes)) => Bytes::copy_from_slice(bytes),
            None | Some(Value::None) => match text(root, "_decoded_content") {
                Some(decoded) => Bytes::copy_from_slice(decoded.as_bytes()),
                None if pickle.get(root, "_decoded_content").is_some() => return None,
                None => Bytes::new(),
            },
            Some(_) => return None,
        };
        let status = match pickle.value(pickle.get(root, "status_code")?)? {
            Value::Integer(status) => u16::try_from(*status).ok()?,
            _ => return None,
        };
        Some(Self {
            method: text(request, "method").unwrap_or("GET").to_owned(),
            url: text(request, "url")
                .or_else(|| text(root, "url"))?
                .to_owned(),
            request_headers: headers(request)?,
            status,
            headers: headers(root)?,
            body,
            created_at: moment(text(root, "created_at")?)?,
            expires_at: match text(root, "expires") {
                Some(expires) => Some(moment(expires)?),
                None => None,
            },
        })
    }

    fn of_json(json: Json) -> Option<Self> {
        let body = match (json.content, json.decoded) {
            (Some(content), _) => STANDARD.decode(content).ok()?.into(),
            (None, Some(serde_json::Value::String(text))) => text.into(),
            (None, Some(value)) => serde_json::to_vec(&value).ok()?.into(),
            (None, None) => Bytes::new(),
        };
        Some(Self {
            method: json.request.method.unwrap_or_else(|| "GET".to_owned()),
            url: json.request.url.or(json.url)?,
            request_headers: headers(
                json.request
                    .headers
                    .iter()
                    .map(|(n, v)| (n.as_str(), v.as_str())),
            )?,
            status: json.status_code,
            headers: headers(json.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())))?,
            body,
            created_at: moment(&json.created_at)?,
            expires_at: match json.expires {
                Some(expires) => Some(moment(&expires)?),
                None => None,
            },
        })
    }
}

#[derive(Deserialize)]
struct Json {
    #[serde(rename = "_content")]
    content: Option<String>,
    #[serde(rename = "_decoded_content")]
    decoded: Option<serde_json::Value>,
    created_at: String,
    expires: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    request: Request,
    status_code: u16,
    url: Option<String>,
}

#[derive(Deserialize)]
struct Request {
    method: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn pickled_headers(pickle: &Pickle<'_>, at: Place) -> Option<HeaderMap> {
    let pairs = pickle.pairs(at)?.iter();
    let pairs: Vec<_> = pairs
        .map(|(name, value)| Some((pickle.text(*name)?, pickle.text(*value)?)))
        .collect::<Option<_>>()?;
    headers(pairs.into_iter())
}

fn headers<'t>(pairs: impl Iterator<Item = (&'t str, &'t str)>) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        map.append(name, HeaderValue::from_bytes(&latin(value)).ok()?);
    }
    Some(map)
}

/// The bytes of a value: Python reads them as ISO 8859-1.
fn latin(value: &str) -> Vec<u8> {
    let bytes: Option<Vec<u8>> = value
        .chars()
        .map(|c| u8::try_from(u32::from(c)).ok())
        .collect();
    bytes.unwrap_or_else(|| value.as_bytes().to_vec())
}

/// Reads a time; one without an offset is in UTC.
fn moment(text: &str) -> Option<Millis> {
    let at = text.parse::<Timestamp>();
    at.or_else(|_| format!("{text}Z").parse())
        .ok()
        .map(Millis::from)
}
