//! Whose request it is.

use crate::{
    endpoint::{Cookies, Credentials, RequestHead},
    entry::Partition,
    mode::Principal,
};
use blake3::Hasher;
use http::header::COOKIE;
use percent_encoding::percent_decode_str;
use restow_policy::Role;

/// Whose request it is, and whether it said so.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) partition: Partition,
    /// A principal is named, or a credential was shown.
    pub(crate) known: bool,
}

/// Finds the owner of a request: the principal it carries, the principal of the handle, else the digest of its credential, else the public.
pub(crate) fn owner(
    head: &RequestHead<'_>,
    view: Option<&Partition>,
    credentials: &Credentials,
    share: bool,
    secret: &[u8; 32],
) -> Owner {
    let named = head
        .extensions
        .get::<Principal>()
        .map(Principal::partition)
        .or(view);
    let digest = if named.is_some() {
        None
    } else {
        digest(head, credentials, secret)
    };
    let known = named.is_some() || digest.is_some();
    let partition = match (share, named, digest) {
        (true, ..) => Partition::PUBLIC,
        (_, Some(named), _) => named.clone(),
        (_, None, Some(digest)) => Partition::credential(digest),
        (_, None, None) => Partition::PUBLIC,
    };
    Owner { partition, known }
}

/// The keyed digest of every credential that the request shows; `None` where it shows none.
fn digest(head: &RequestHead<'_>, credentials: &Credentials, secret: &[u8; 32]) -> Option<u128> {
    let mut hash: Option<Hasher> = None;
    let mut add = |kind: u8, name: &[u8], value: &[u8]| {
        // Every part is preceded by its length: no two requests feed the digest the same bytes.
        let hash = hash.get_or_insert_with(|| Hasher::new_keyed(secret));
        hash.update(&[kind]);
        for part in [name, value] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    };
    for name in credentials.headers() {
        for value in head.headers.get_all(name) {
            add(1, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if *credentials.cookies() != Cookies::None {
        for line in head.headers.get_all(COOKIE) {
            match credentials.cookies() {
                Cookies::Whole => add(2, b"", line.as_bytes()),
                Cookies::Named(names) => {
                    for pair in line
                        .as_bytes()
                        .split(|b| *b == b';')
                        .map(<[u8]>::trim_ascii)
                    {
                        let (name, value) = pair
                            .iter()
                            .position(|b| *b == b'=')
                            .map_or((pair, &[][..]), |at| pair.split_at(at));
                        if names.iter().any(|n| n.as_bytes() == name) {
                            add(2, name, value);
                        }
                    }
                }
                Cookies::None => {}
            }
        }
    }
    if let Some(query) = head
        .target
        .query
        .filter(|_| !credentials.parameters().is_empty())
    {
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            if credentials.is_parameter(&name) {
                add(3, name.as_bytes(), value.as_bytes());
            }
        }
    }
    // RFC 3986 userinfo never reaches here: clients move it into Authorization.
    hash.and_then(|h| {
        h.finalize()
            .as_bytes()
            .first_chunk::<16>()
            .map(|c| u128::from_le_bytes(*c))
    })
}

/// What a request header named in `Vary` means here: a credential is answered by the partition, another secret by
/// nothing, so that an answer which varies on it is only for requests without it.
pub(crate) fn role(name: &str, credentials: &Credentials) -> Role {
    // Of a cookie of which only a part is the credential, the rest still selects.
    if name.eq_ignore_ascii_case("cookie") && matches!(credentials.cookies(), Cookies::Named(_)) {
        Role::Selects
    } else if credentials.is_header(name) {
        Role::Credential
    } else if Credentials::is_known_secret(name) {
        Role::Secret
    } else {
        Role::Selects
    }
}
