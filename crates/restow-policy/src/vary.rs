//! `Vary` (RFC 9111 4.1): the names an answer varies on, and the digest of what a request says under them.

use std::fmt;

use http::HeaderMap;
use http::header::VARY;

use crate::control::{list_of_names, trim};

/// What an answer varies on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum VaryNames {
    /// Nothing: every request under the key selects it.
    None,
    /// Something that no request can show, so it is never reused: `*`, or a field that cannot be read.
    Star,
    /// These request fields: lower-case, sorted, each once, separated by commas.
    Names(String),
}

impl VaryNames {
    /// The form in which the names are stored: empty for nothing, `*` for [`Star`](Self::Star).
    pub fn as_str(&self) -> &str {
        match self {
            Self::None => "",
            Self::Star => "*",
            Self::Names(names) => names,
        }
    }
}

impl fmt::Display for VaryNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one of the named request fields means to the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its value selects the variant.
    Selects,
    /// It is a credential that the partition has already answered, so its value selects nothing.
    Credential,
    /// It is a secret that no partition answers: what varies on it is never reused for a request that shows it.
    Secret,
    /// The cache says it itself to the API, in place of every client: it counts as absent.
    Settled,
}

/// Reads the `Vary` of an answer **as it was received**.
pub fn vary_names(headers: &HeaderMap) -> VaryNames {
    let mut names = Vec::new();
    for line in headers.get_all(VARY) {
        for name in list_of_names(line.as_bytes()) {
            match name {
                // `*` is a valid token, and so a name for the parser.
                Some(name) if name.as_str() != "*" => names.push(name),
                _ => return VaryNames::Star,
            }
        }
    }
    names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    names.dedup();
    let Some(first) = names.first() else {
        return VaryNames::None;
    };
    let mut canonical = String::from(first.as_str());
    for name in names.iter().skip(1) {
        canonical.push(',');
        canonical.push_str(name.as_str());
    }
    VaryNames::Names(canonical)
}

/// The variant that `request` selects, as a keyed digest; `None` where no request selects it.
///
/// `vary` is the canonical form that [`VaryNames::as_str`] gives. The answer is 0 where nothing selects: there is no `Vary`, or it
/// names only credentials, and secrets that the request does not show. A field that is absent differs from one that is empty; the members of a list are
/// joined by `, ` without the whitespace around them, so a list in two lines equals the same list in one, and `1,2` equals `1, 2`. The case of
/// `Accept-Language`, `Accept-Encoding` and `Accept-Charset` does not count. Nothing is allocated.
pub fn variant(
    vary: &str,
    request: &HeaderMap,
    role: &dyn Fn(&str) -> Role,
    key: &[u8; 32],
) -> Option<u128> {
    match vary {
        "" => return Some(0),
        "*" => return None,
        _ => {}
    }
    let mut digest = None;
    let nothing = HeaderMap::new();
    for name in vary.split(',') {
        let request = match role(name) {
            Role::Secret if request.contains_key(name) => return None,
            // All requests that get this far without the secret are alike: it is absent.
            Role::Secret | Role::Credential => continue,
            Role::Settled => &nothing,
            Role::Selects => request,
        };
        let digest = digest.get_or_insert_with(|| blake3::Hasher::new_keyed(key));
        add(digest, name, request);
    }
    let Some(digest) = digest else { return Some(0) };
    let hash = digest.finalize();
    let first = hash.as_bytes().first_chunk::<16>()?;
    // 0 is taken: it means that nothing selects.
    Some(u128::from_le_bytes(*first).max(1))
}

/// Every part is preceded by its length, so that no two different requests feed the digest the same bytes.
fn add(digest: &mut blake3::Hasher, name: &str, request: &HeaderMap) {
    digest.update(&length(name.len()));
    digest.update(name.as_bytes());
    let lines = request.get_all(name);
    if lines.iter().next().is_none() {
        digest.update(&[0]);
        return;
    }
    let members = || lines.iter().flat_map(|line| members(line.as_bytes()));
    let count = members().count();
    let joined = members().map(<[u8]>::len).sum::<usize>() + count.saturating_sub(1) * 2;
    digest.update(&[1]);
    digest.update(&length(joined));
    let in_any_case = IN_ANY_CASE.contains(&name);
    for (nth, member) in members().enumerate() {
        if nth > 0 {
            digest.update(b", ");
        }
        if !in_any_case {
            digest.update(member);
            continue;
        }
        for chunk in member.chunks(64) {
            let mut lower = [0; 64];
            if let Some(lower) = lower.get_mut(..chunk.len()) {
                lower.copy_from_slice(chunk);
                lower.make_ascii_lowercase();
                digest.update(lower);
            }
        }
    }
}

/// Fields whose values mean the same in any case (RFC 9110 12.5).
const IN_ANY_CASE: [&str; 3] = ["accept-charset", "accept-encoding", "accept-language"];

/// The members of a list, without the whitespace around them and without empty ones (RFC 9110 5.6.1). A comma in quotes separates nothing.
fn members(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'"' if !was_escaped => quoted = !quoted,
            b'\\' if quoted && !was_escaped => escaped = true,
            _ => {}
        }
        *byte == b',' && !quoted
    })
    .map(trim)
    .filter(|member| !member.is_empty())
}

fn length(bytes: usize) -> [u8; 8] {
    (bytes as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const KEY: &[u8; 32] = &[7; 32];

    fn map(lines: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn select(vary: &str, lines: &[(&'static str, &[u8])]) -> Option<u128> {
        let role = |name: &str| match name {
            "authorization" => Role::Credential,
            "x-secret" => Role::Secret,
            "x-settled" => Role::Settled,
            _ => Role::Selects,
        };
        variant(vary, &map(lines), &role, KEY)
    }

    #[test]
    fn names_are_canonical_and_what_cannot_be_read_is_a_star() {
        let cases: &[(&[&[u8]], &str)] = &[
            (&[], ""),
            (&[b""], ""),
            (&[b" , "], ""),
            (&[b"Accept"], "accept"),
            (&[b"b, A ,b", b"C"], "a,b,c"),
            (&[b"*"], "*"),
            (&[b", *"], "*"),
            (&[b"*, *"], "*"),
            (&[b"", b"*"], "*"),
            (&[b"*, foo"], "*"),
            (&[b"foo, *"], "*"),
            (&[b"foo bar"], "*"),
            (&[b"foo; bar"], "*"),
            (&[b"\"foo\""], "*"),
            (&[b"foo, \xff"], "*"),
        ];
        for (lines, expected) in cases {
            let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
            assert_eq!(vary_names(&map(&lines)).as_str(), *expected, "{lines:?}");
        }
    }

    #[test]
    fn nothing_selects_without_vary_or_when_the_partition_answers() {
        assert_eq!(select("", &[("accept", b"a")]), Some(0));
        assert_eq!(select("authorization", &[("authorization", b"a")]), Some(0));
        assert_eq!(select("*", &[]), None);
        assert_eq!(select("x-secret", &[]), Some(0));
        assert_eq!(select("x-secret", &[("x-secret", b"")]), None);
        assert_eq!(select("accept,x-secret", &[("x-secret", b"1")]), None);
        assert_eq!(
            select("accept,authorization", &[("authorization", b"a")]),
            select("accept,authorization", &[])
        );
    }

    #[test]
    fn what_is_settled_counts_as_absent() {
        let settled = select("a,x-settled", &[("x-settled", b"1")]);
        assert_eq!(settled, select("a,x-settled", &[]));
        let role = |_: &str| Role::Selects;
        let absent = variant("a,x-settled", &map(&[]), &role, KEY);
        assert_eq!(settled, absent, "as for one who sent none");
        assert_ne!(settled, select("a,x-settled", &[("a", b"1")]));
    }

    #[test]
    fn the_same_values_select_the_same_variant() {
        type Lines = &'static [(&'static str, &'static [u8])];
        let same: &[(Lines, Lines)] = &[
            (&[("a", b"1"), ("b", b"2")], &[("b", b"2"), ("a", b"1")]),
            (&[("a", b"  1\t")], &[("a", b"1")]),
            (&[("a", b"1"), ("a", b"2")], &[("a", b"1, 2")]),
            (&[("a", b"\xff")], &[("a", b"\xff"), ("c", b"unnamed")]),
            (&[("a", b"1,2")], &[("a", b" 1 , ,2 ")]),
            (&[("a", b"")], &[("a", b" , ")]),
        ];
        for (one, other) in same {
            assert_eq!(
                select("a,b", one),
                select("a,b", other),
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn different_values_select_different_variants() {
        let requests: &[&[(&'static str, &[u8])]] = &[
            &[],
            &[("a", b"")],
            &[("a", b"1")],
            &[("b", b"1")],
            &[("a", b"b"), ("b", b"c, d")],
            &[("a", b"b, c"), ("b", b"d")],
            &[("a", b"1, 2")],
            &[("a", b"\"1,2\"")],
            &[("a", b"\"1, 2\"")],
            &[("a", b"A")],
            &[("a", b"a")],
            &[("a", b"2"), ("a", b"1")],
            &[("a", b"1"), ("b", b"")],
            &[("a", b"\xfe")],
            &[("a", b"\xff")],
        ];
        let digests: std::collections::HashSet<_> =
            requests.iter().map(|lines| select("a,b", lines)).collect();
        assert_eq!(digests.len(), requests.len());
        assert!(!digests.contains(&Some(0)));
        assert_ne!(
            select("a", &[("a", b"1")]),
            select("a,b", &[("a", b"1")]),
            "the names count too"
        );
        let role = |_: &str| Role::Selects;
        assert_ne!(
            variant("a", &map(&[]), &role, &[1; 32]),
            variant("a", &map(&[]), &role, &[2; 32]),
            "and so does the key"
        );
    }

    #[test]
    fn languages_and_encodings_are_the_same_in_any_case() {
        let long: &[u8] = &[b'A'; 200];
        let lower: &[u8] = &[b'a'; 200];
        for name in IN_ANY_CASE {
            for (one, other) in [(&b"en-GB, De"[..], &b"EN-gb,de"[..]), (long, lower)] {
                assert_eq!(select(name, &[(name, one)]), select(name, &[(name, other)]));
            }
            assert_ne!(
                select(name, &[(name, b"en")]),
                select(name, &[(name, b"de")])
            );
        }
    }

    #[test]
    fn the_digest_is_frozen_for_it_is_stored() {
        let lines: &[(&'static str, &[u8])] = &[("a", b"1"), ("a", b"2"), ("b", b"")];
        let digest = select("a,b,c", lines).unwrap();
        assert_eq!(format!("{digest:032x}"), "99b6720625653a9716535f6208fa4260");
    }
}
