//! Whose request it is.

use crate::{
    context::{Context, Mount},
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
    /// Whether the rules for shared caches apply: the entry is one that several users may get.
    pub(crate) shared: bool,
    /// The credential's own partition, where the entry does not lie in it.
    pub(crate) who: Partition,
}

/// Finds the owner of a request: the principal it carries, the principal of the handle, else the digest of its credential, else the public.
///
/// In a `shared` cache of answers that decide for themselves, who shows a credential reads and writes what is everyone's, as far as
/// RFC 9111 section 3.5 allows it.
pub(crate) fn owner(
    ctx: &Context,
    mount: &Mount,
    head: &RequestHead<'_>,
    view: Option<&Partition>,
) -> Owner {
    let share = mount.rules().share;
    let shared = ctx.defaults.shared && mount.is_http();
    let named = head
        .extensions
        .get::<Principal>()
        .map(Principal::partition)
        .or(view);
    let digest = if named.is_some() {
        None
    } else {
        digest(head, &mount.credentials, ctx.secret.get())
    };
    let known = named.is_some() || digest.is_some();
    let shared = shared && !share && named.is_none();
    let own = digest.map_or(Partition::PUBLIC, Partition::credential);
    let (partition, who) = match (share, named) {
        (true, _) => (Partition::PUBLIC, Partition::PUBLIC),
        (false, Some(named)) => (named.clone(), Partition::PUBLIC),
        (false, None) if shared => (Partition::PUBLIC, own),
        (false, None) => (own, Partition::PUBLIC),
    };
    Owner {
        partition,
        known,
        shared,
        who,
    }
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
