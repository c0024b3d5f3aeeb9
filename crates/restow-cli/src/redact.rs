//! URLs without secrets: what is printed of a URL, whoever wrote it.

use percent_encoding::percent_decode_str;
use restow::Credentials;

/// The names of the parameters whose values are never printed: those that usually hold a secret, and those that an endpoint declares.
#[derive(Clone, Debug)]
pub(crate) struct Secrets(Vec<Box<str>>);

impl Secrets {
    /// Adds what an endpoint, or a configuration, declares.
    pub(crate) fn and(mut self, credentials: &Credentials) -> Self {
        self.0.extend(credentials.parameters().iter().cloned());
        self
    }

    fn has(&self, name: &str) -> bool {
        let name = name.replace('+', " ");
        let name = percent_decode_str(&name).decode_utf8_lossy();
        self.0.iter().any(|p| p.eq_ignore_ascii_case(&name))
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self(Credentials::default().parameters().to_vec())
    }
}

/// Writes a URL without the values of credentials, its password and its user name.
pub(crate) fn redact(url: &str, secrets: &Secrets) -> String {
    let (url, fragment) = match url.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (url, None),
    };
    let (place, query) = match url.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (url, None),
    };
    let mut out = without_user(place);
    if let Some(query) = query {
        out.push('?');
        let pairs: Vec<String> = query.split('&').map(|p| pair(p, secrets)).collect();
        out.push_str(&pairs.join("&"));
    }
    // A fragment is where an OAuth flow puts its token; it is never sent, so nothing is lost.
    if fragment.is_some_and(|f| !f.is_empty()) {
        out.push_str("#…");
    }
    out
}

fn pair(pair: &str, secrets: &Secrets) -> String {
    match pair.split_once('=') {
        Some((name, _)) if secrets.has(name) => format!("{name}=…"),
        _ => pair.to_owned(),
    }
}

fn without_user(place: &str) -> String {
    let Some((scheme, rest)) = place.split_once("://") else {
        return place.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        let secrets = Secrets::default().and(&Credentials::parse(["query:key"]).unwrap());
        for (url, shown) in [
            ("https://a.example/x?b=1", "https://a.example/x?b=1"),
            (
                "https://a.example/x?b=1&key=s3",
                "https://a.example/x?b=1&key=…",
            ),
            ("https://a.example/x?KEY=s3", "https://a.example/x?KEY=…"),
            (
                "https://a.example/x?%6bey=s3&c",
                "https://a.example/x?%6bey=…&c",
            ),
            (
                "https://a.example/?access_token=s3",
                "https://a.example/?access_token=…",
            ),
            ("https://u:s3@a.example/x@y", "https://…@a.example/x@y"),
            ("https://a.example/u@v", "https://a.example/u@v"),
            ("https://a.example/#access_token=s3", "https://a.example/#…"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(redact(url, &secrets), shown);
        }
    }
}
