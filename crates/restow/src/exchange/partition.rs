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
    /// Whether others than this user may get the entry: by the rules for shared caches, by a principal that stands for several clients of a
    /// gateway, or since it is everyone's.
    pub(crate) common: bool,
    /// The credential's own partition, where the entry does not lie in it.
    pub(crate) who: Partition,
}

/// Finds the owner of a request: the principal it carries, the principal of the handle, else the digest of its credential, else the public.
/// Under a gateway's account the public is whoever comes through it, and the digest of a credential holds that of the account.
///
/// In a `shared` cache of answers that decide for themselves, who shows a credential reads and writes what is everyone's, as far as
/// RFC 9111 section 3.5 allows it. Where the URL is the key, a secret in its query is a part of what is asked for, as it is to the RFC: left
/// out of the key, it keeps the answers apart here, and is no credential beside.
pub(crate) fn owner(
    ctx: &Context,
    mount: &Mount,
    head: &RequestHead<'_>,
    view: Option<&Partition>,
) -> Owner {
    let share = mount.rules().share;
    let shared = is_shared(ctx, mount, head, view);
    let named = head
        .extensions
        .get::<Principal>()
        .map(Principal::partition)
        .or(view);
    let mut digest = Digest::new(ctx.secret.get());
    if named.is_none() && mount.credentials != Credentials::none() {
        digest.add_account(head);
    }
    let in_url = shared && !mount.is_routed();
    if in_url {
        digest.add_parameters(head, &mount.credentials);
    }
    let everyone = digest.partition();
    let shows = named.is_none() && {
        let beside = digest.add_credentials(head, &mount.credentials);
        let inside = !in_url && digest.add_parameters(head, &mount.credentials);
        beside || inside
    };
    let known = named.is_some() || shows;
    let (partition, who) = match (share, named) {
        (true, _) => (Partition::PUBLIC, Partition::PUBLIC),
        (false, Some(named)) => (named.clone(), Partition::PUBLIC),
        (false, None) if !shows => (everyone, Partition::PUBLIC),
        (false, None) if shared => (everyone, digest.partition()),
        (false, None) => (digest.partition(), Partition::PUBLIC),
    };
    Owner {
        common: ctx.defaults.shared || !known || share,
        partition,
        known,
        shared,
        who,
    }
}

/// Tells whether the rules for shared caches apply to a request: nobody is named, and the cache of several users lets answers decide for themselves.
pub(crate) fn is_shared(
    ctx: &Context,
    mount: &Mount,
    head: &RequestHead<'_>,
    view: Option<&Partition>,
) -> bool {
    let is_named = view.is_some() || head.extensions.get::<Principal>().is_some();
    ctx.defaults.shared && mount.is_http() && !mount.rules().share && !is_named
}

/// Whose limits an answer speaks of that refuses a request for the sake of its credential (429, say).
#[derive(Clone, Debug)]
pub(crate) struct Limited {
    /// Who it is: the public where nobody is named.
    pub(crate) whose: Partition,
    /// Whether the entry is others' too, who come by other credentials: what this one may not, they may.
    pub(crate) is_one_of_many: bool,
}

/// Finds out whose limits count for a request: those of the gateway's account by which it is made, else of the client's credential, else of
/// whoever has the entry.
pub(crate) fn limited(
    ctx: &Context,
    mount: &Mount,
    head: &RequestHead<'_>,
    owner: &Owner,
) -> Limited {
    let mut digest = Digest::new(ctx.secret.get());
    if !head.account.is_empty() {
        digest.add_account(head);
        return Limited {
            whose: digest.partition(),
            is_one_of_many: false,
        };
    }
    let known = Credentials::default();
    let credentials = match mount.credentials == Credentials::none() {
        // To the endpoint nothing is one; to the API it is.
        true => &known,
        false => &mount.credentials,
    };
    let is_everyones = owner.partition.is_public() || owner.who != Partition::PUBLIC;
    let is_one_of_many = is_everyones && {
        let beside = digest.add_credentials(head, credentials);
        digest.add_parameters(head, credentials) || beside
    };
    Limited {
        whose: match is_one_of_many {
            true => digest.partition(),
            false => owner.partition.clone(),
        },
        is_one_of_many,
    }
}

/// A keyed digest of what tells whose a request is; of nothing there is none.
struct Digest<'s> {
    secret: &'s [u8; 32],
    hash: Option<Hasher>,
}

impl<'s> Digest<'s> {
    fn new(secret: &'s [u8; 32]) -> Self {
        Self { secret, hash: None }
    }

    fn add(&mut self, kind: u8, name: &[u8], value: &[u8]) {
        // Every part is preceded by its length: no two requests feed the digest the same bytes.
        let hash = self
            .hash
            .get_or_insert_with(|| Hasher::new_keyed(self.secret));
        hash.update(&[kind]);
        for part in [name, value] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }

    /// The partition of whoever has this digest; everyone's where nothing was added.
    fn partition(&self) -> Partition {
        let digest = self.hash.as_ref().and_then(|hash| {
            let digest = hash.finalize();
            let half = digest.as_bytes().first_chunk::<16>();
            half.map(|half| u128::from_le_bytes(*half))
        });
        digest.map_or(Partition::PUBLIC, Partition::credential)
    }

    /// Adds the headers of whoever passes the request on.
    fn add_account(&mut self, head: &RequestHead<'_>) {
        for (name, value) in head.account {
            self.add(4, name.as_str().as_bytes(), value.as_bytes());
        }
    }

    /// Adds every credential that the request's headers show; tells whether there is one.
    fn add_credentials(&mut self, head: &RequestHead<'_>, credentials: &Credentials) -> bool {
        let mut shows = false;
        let mut add = |kind: u8, name: &[u8], value: &[u8]| {
            shows = true;
            self.add(kind, name, value);
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
        // RFC 3986 userinfo never reaches here: clients move it into Authorization.
        shows
    }

    /// Adds every credential of the query; tells whether there is one.
    fn add_parameters(&mut self, head: &RequestHead<'_>, credentials: &Credentials) -> bool {
        let mut shows = false;
        let Some(query) = head
            .target
            .query
            .filter(|_| !credentials.parameters().is_empty())
        else {
            return false;
        };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent_decode_str(name).decode_utf8_lossy();
            if credentials.is_parameter(&name) {
                self.add(3, name.as_bytes(), value.as_bytes());
                shows = true;
            }
        }
        shows
    }
}

/// What a request header named in `Vary` means here: a credential is answered by the partition, another secret by
/// nothing, so that an answer which varies on it is only for requests without it. Where users share a partition it answers nothing,
/// and the credential selects as any other field.
pub(crate) fn role(name: &str, credentials: &Credentials, shared: bool) -> Role {
    if shared && credentials.is_header(name) {
        return Role::Selects;
    }
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
