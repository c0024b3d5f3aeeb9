//! Entries as text and as JSON, the same in every command.

use crate::{
    output::{Out, duration, iso, relative, size},
    redact::{Secrets, redact},
};
use http::header::SET_COOKIE;
use restow::{
    AnyRepository, Declaration, FieldRef, FieldValue, Millis, RawKey,
    entry::{Entry, Partition, Variant},
};
use serde_json::{Map, Value, json};

/// Writes a key: `id=7, market=-`, with its undeclared query behind.
pub(crate) fn key(declaration: &Declaration, key: &RawKey) -> String {
    let fields = declaration.fields.iter().zip(key.fields());
    let shown = |value| url_in(declaration, value).unwrap_or_else(|| shown(value));
    let fields: Vec<String> = match declaration.fields.len() {
        // One field needs no name.
        1 => fields.map(|(_, value)| shown(value)).collect(),
        0 => vec!["(no fields)".to_owned()],
        _ => fields
            .map(|(field, value)| format!("{}={}", field.name(), shown(value)))
            .collect(),
    };
    let fields = fields.join(", ");
    match key.query() {
        "" => fields,
        query => format!("{fields} ?{query}"),
    }
}

/// The value of a key that is a URL, without secrets.
fn url_in(declaration: &Declaration, value: FieldRef<'_>) -> Option<String> {
    let FieldRef::Text(url) = value else {
        return None;
    };
    let is_url = url.starts_with("http://") || url.starts_with("https://");
    is_url.then(|| {
        let declared = declaration.rules.credentials.iter();
        redact(url, &declared.fold(Secrets::default(), Secrets::and))
    })
}

fn shown(value: FieldRef<'_>) -> String {
    match value {
        FieldRef::Absent => "-".to_owned(),
        FieldRef::Text("") => "\"\"".to_owned(),
        other => other.to_string(),
    }
}

/// Writes a key as an object of its fields.
pub(crate) fn key_json(declaration: &Declaration, key: &RawKey) -> Value {
    let fields = declaration.fields.iter().zip(key.fields());
    Value::Object(
        fields
            .map(|(f, v)| {
                let url = url_in(declaration, v).map(Value::from);
                (f.name().to_owned(), url.unwrap_or_else(|| value_json(v)))
            })
            .collect::<Map<_, _>>(),
    )
}

fn value_json(value: FieldRef<'_>) -> Value {
    match value {
        FieldRef::Text(text) => text.into(),
        FieldRef::Integer(n) => n.into(),
        _ => Value::Null,
    }
}

/// Returns the URL of an entry, without secrets: where it came from, else what its key makes.
pub(crate) fn url(repository: &AnyRepository, entry: &Entry) -> Option<String> {
    let endpoint = repository.endpoint().inner();
    let made = || {
        endpoint
            .request(&entry.id.address.key)
            .ok()
            .map(|r| r.uri().to_string())
    };
    let url = entry.meta.head.url().map(str::to_owned).or_else(made)?;
    Some(redact(
        &url,
        &Secrets::default().and(repository.credentials()),
    ))
}

/// Says whose an entry is.
pub(crate) fn owner(partition: &Partition) -> String {
    partition.to_string()
}

/// The entry as JSON, without header lines and body.
pub(crate) fn json(repository: &AnyRepository, entry: &Entry, now: Millis) -> Map<String, Value> {
    let declaration = repository.endpoint().inner().declaration();
    let meta = &entry.meta;
    let address = &entry.id.address;
    let columns = declaration.columns.iter().zip(meta.columns.iter());
    let columns: Map<String, Value> = columns
        .map(|(c, v)| (c.name.to_string(), value_json(FieldValue::as_ref(v))))
        .collect();
    let query = Some(address.key.query()).filter(|q| !q.is_empty());
    let variant =
        (entry.id.variant != Variant::NONE).then(|| format!("{:032x}", entry.id.variant.0));
    let object = json!({
        "repository": repository.name(),
        "key": key_json(declaration, &address.key),
        "query": query,
        "partition": owner(&address.partition),
        "variant": variant,
        "url": url(repository, entry),
        "status": meta.head.status().as_u16(),
        "label": meta.label.as_deref(),
        "live": meta.is_live(now),
        "stored_at": iso(meta.stored_at),
        "checked_at": iso(meta.checked_at),
        "changed_at": iso(meta.changed_at),
        "expires_at": iso(meta.expires_at),
        "size": meta.size(),
        "body_size": meta.seal.len,
        "columns": columns,
        "tags": meta.tags.to_vec(),
    });
    match object {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The header lines of an entry; cookies are secrets.
pub(crate) fn headers(entry: &Entry) -> Vec<(String, String)> {
    let headers = entry.meta.head.headers();
    let lines = headers.iter().map(|(name, value)| {
        let secret = *name == SET_COOKIE || name.as_str() == "set-cookie2";
        let value = if secret {
            "…".into()
        } else {
            String::from_utf8_lossy(value.as_bytes())
        };
        (name.to_string(), value.into_owned())
    });
    lines.collect()
}

/// Writes the times, sizes and facts of an entry for people, one a line.
pub(crate) fn facts(
    out: &Out,
    repository: &AnyRepository,
    entry: &Entry,
    now: Millis,
) -> Vec<String> {
    let meta = &entry.meta;
    let facts = meta.head.facts();
    let took = Millis(facts.received_at).since(Millis(facts.requested_at));
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| {
        lines.push(format!("  {}  {value}", out.dim(format!("{name:11}"))))
    };
    let time = |at: Millis| match iso(at) {
        Some(iso) => format!("{iso}  ({})", relative(at, now)),
        None => "never".to_owned(),
    };
    if let Some(url) = url(repository, entry) {
        line("url", url);
    }
    if let Some(label) = &meta.label {
        line("label", label.to_string());
    }
    line("whose", owner(&entry.id.address.partition));
    if entry.id.variant != Variant::NONE {
        line("varies on", meta.head.vary().to_owned());
    }
    line("stored", time(meta.stored_at));
    if meta.checked_at != meta.stored_at {
        line("confirmed", time(meta.checked_at));
    }
    if meta.changed_at != meta.stored_at {
        line("changed", time(meta.changed_at));
    }
    line(
        if meta.is_live(now) {
            "expires"
        } else {
            "expired"
        },
        time(meta.expires_at),
    );
    line("body", size(meta.seal.len));
    if !took.is_zero() {
        line("took", duration(took));
    }
    let validator = meta.head.etag().or_else(|| meta.head.last_modified());
    line(
        "validator",
        validator.map_or("none: once expired it is fetched anew".to_owned(), |v| {
            String::from_utf8_lossy(v).into_owned()
        }),
    );
    let columns = repository
        .endpoint()
        .inner()
        .declaration()
        .columns
        .iter()
        .zip(meta.columns.iter());
    for (column, value) in columns {
        line(&column.name, shown(value.as_ref()));
    }
    if !meta.tags.is_empty() {
        line("tags", meta.tags.join(", "));
    }
    lines
}
