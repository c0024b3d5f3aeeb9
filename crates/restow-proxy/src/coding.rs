//! Content codings: what an answer is encoded by, and what a client accepts (RFC 9110 sections 8.4 and 12.5.3).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, Entry, VARY},
};

/// A coding that can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
    Deflate,
}

/// How the content of an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Not at all.
    Plain,
    /// Once, by a coding that can be undone.
    Coded(Coding),
    /// By another coding, or several times.
    Strange,
}

impl Coding {
    /// Those that answers are encoded by, the better first.
    const MADE: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }

    fn read(name: &str) -> Option<Self> {
        let all = [Self::Zstd, Self::Brotli, Self::Gzip, Self::Deflate];
        // The second name of gzip is to be taken for the first (RFC 9110 section 8.4.1.3).
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        let is = |coding: &Self| name.eq_ignore_ascii_case(coding.name());
        all.into_iter().find(is)
    }
}

impl Content {
    /// Reads `Content-Encoding`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut content = Self::Plain;
        for line in headers.get_all(CONTENT_ENCODING) {
            let Ok(line) = line.to_str() else {
                return Self::Strange;
            };
            let names = line.split(',').map(str::trim);
            for name in names.filter(|n| !n.is_empty() && !n.eq_ignore_ascii_case(IDENTITY)) {
                content = match (content, Coding::read(name)) {
                    (Self::Plain, Some(coding)) => Self::Coded(coding),
                    _ => return Self::Strange,
                };
            }
        }
        content
    }
}

const IDENTITY: &str = "identity";

/// What a client accepts, in thousandths; `None` where it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepts {
    codings: [Option<u16>; 4],
    identity: Option<u16>,
    all_others: Option<u16>,
}

impl Accepts {
    /// Reads `Accept-Encoding`; `None` where there is none, so that nothing is known.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(ACCEPT_ENCODING) {
            return None;
        }
        let mut accepts = Self::default();
        let lines = headers.get_all(ACCEPT_ENCODING).iter();
        for member in lines.flat_map(|l| l.to_str().unwrap_or("").split(',')) {
            let (name, weight) = member.split_once(';').unwrap_or((member, ""));
            // What cannot be read says nothing.
            let Some(weight) = quality(weight) else {
                continue;
            };
            let name = name.trim();
            if name == "*" {
                accepts.all_others = Some(weight);
            } else if name.eq_ignore_ascii_case(IDENTITY) {
                accepts.identity = Some(weight);
            } else if let Some(coding) = Coding::read(name)
                && let Some(slot) = accepts.codings.get_mut(coding as usize)
            {
                *slot = Some(weight);
            }
        }
        Some(accepts)
    }

    fn named(&self, coding: Coding) -> Option<u16> {
        self.codings.get(coding as usize).copied().flatten()
    }

    /// Tells whether an answer in this coding can be read.
    pub(crate) fn takes(&self, coding: Coding) -> bool {
        self.named(coding).or(self.all_others).unwrap_or(0) > 0
    }

    /// Tells whether the client cannot do with a plain answer.
    pub(crate) fn refuses_plain(&self) -> bool {
        self.identity.or(self.all_others) == Some(0)
    }

    /// The coding that the client likes best, unless it likes a plain answer better.
    pub(crate) fn best(&self) -> Option<Coding> {
        let weight = |coding: Coding| match coding {
            // Who takes anything most likely knows this one.
            Coding::Gzip => self.named(coding).or(self.all_others),
            _ => self.named(coding),
        };
        let mut best = None;
        for coding in Coding::MADE {
            let weight = weight(coding).unwrap_or(0);
            if weight > best.map_or(0, |(_, w)| w) {
                best = Some((coding, weight));
            }
        }
        let (coding, weight) = best?;
        (self.identity.is_none_or(|plain| plain <= weight)).then_some(coding)
    }
}

/// The weight of a list's member in thousandths (RFC 9110 section 12.4.2): 1 where there is none, `None` where it is none.
fn quality(parameters: &str) -> Option<u16> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1_000);
    }
    let (name, value) = parameters.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, rest) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{rest:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1_000),
        _ => None,
    }
}

/// The length that a message says its content has.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The kind of content that a message says it has: lower case, without parameters.
pub(crate) fn kind(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.and_then(|k| k.split(';').next()).unwrap_or("");
    kind.trim().to_ascii_lowercase()
}

/// Fields that are true of the very bytes of a body: where these change, they go.
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Tells whether a field says what the very bytes of the body are.
pub(crate) fn has_digest(headers: &HeaderMap) -> bool {
    DIGESTS.iter().any(|name| headers.contains_key(*name))
}

/// Takes out what is only true of the encoded bytes. The validators stay: they are what the API knows the answer by.
pub(crate) fn undo(headers: &mut HeaderMap) {
    headers.remove(CONTENT_ENCODING);
    changed(headers);
}

/// The bytes of the body are others than those that came.
pub(crate) fn changed(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
    for name in DIGESTS {
        headers.remove(name);
    }
}

/// Makes the entity tag a weak one: it stands for the same answer in other bytes (RFC 9110 section 8.8.1).
pub(crate) fn weaken(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut tag) = headers.entry(ETAG)
        && tag.get().as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.get().as_bytes()].concat())
    {
        tag.insert(weak);
    }
}

/// Says that the answer depends on what the client accepts.
pub(crate) fn vary(headers: &mut HeaderMap) {
    let names = |line: &HeaderValue, name: &HeaderName| {
        let mut names = line.to_str().unwrap_or("").split(',');
        names.any(|n| n.trim() == "*" || n.trim().eq_ignore_ascii_case(name.as_str()))
    };
    let mut lines = headers.get_all(VARY).iter();
    if !lines.any(|line| names(line, &ACCEPT_ENCODING)) {
        let name = HeaderValue::from_static("accept-encoding");
        _ = headers.try_append(VARY, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, lines: &[&'static str]) -> HeaderMap {
        let lines = lines.iter().copied().map(HeaderValue::from_static);
        lines.map(|line| (name.clone(), line)).collect()
    }

    fn accepts(lines: &[&'static str]) -> Accepts {
        Accepts::of(&headers(&ACCEPT_ENCODING, lines)).unwrap()
    }

    #[test]
    fn the_weights_of_a_client_decide_and_ties_are_the_proxys() {
        let cases: &[(&[&'static str], Option<Coding>, bool)] = &[
            (&["gzip"], Some(Coding::Gzip), false),
            (&["x-gzip"], Some(Coding::Gzip), false),
            (&["GZIP;Q=0.5"], Some(Coding::Gzip), false),
            (&["gzip, deflate"], Some(Coding::Gzip), false),
            (&["gzip, deflate, br"], Some(Coding::Brotli), false),
            (&["deflate, gzip, br, zstd"], Some(Coding::Zstd), false),
            (&["gzip", "zstd"], Some(Coding::Zstd), false),
            (
                &["gzip;q=1.0, zstd;q=0.9, br;q=0"],
                Some(Coding::Gzip),
                false,
            ),
            (&["gzip ; q=0.001"], Some(Coding::Gzip), false),
            (&["deflate"], None, false),
            (&[""], None, false),
            (&["identity"], None, false),
            (&["gzip;q=0"], None, false),
            (&["gzip;q=0.5, identity"], None, false),
            (&["gzip;q=0.5, identity;q=0.5"], Some(Coding::Gzip), false),
            (&["*"], Some(Coding::Gzip), false),
            (&["gzip;q=0, *"], None, false),
            (&["*;q=0"], None, true),
            (&["identity;q=0"], None, true),
            (&["identity;q=0, *;q=0.1"], Some(Coding::Gzip), true),
            (&["br, *;q=0"], Some(Coding::Brotli), true),
            (&["br, identity, *;q=0"], Some(Coding::Brotli), false),
            // What cannot be read says nothing.
            (&["gzip;q=2"], None, false),
            (&["gzip;q=1.001"], None, false),
            (&["gzip;q=0.1234"], None, false),
            (&["gzip;q=x, br;level=1, zstd;q="], None, false),
            (&["gzip;q=-1"], None, false),
        ];
        for (lines, best, refuses) in cases {
            let accepts = accepts(lines);
            assert_eq!(accepts.best(), *best, "{lines:?}");
            assert_eq!(accepts.refuses_plain(), *refuses, "{lines:?}");
        }
        assert_eq!(Accepts::of(&HeaderMap::new()), None);
        assert!(accepts(&["*"]).takes(Coding::Zstd));
        assert!(!accepts(&["zstd;q=0, *"]).takes(Coding::Zstd));
        assert!(!accepts(&["gzip"]).takes(Coding::Zstd));
    }

    #[test]
    fn one_known_coding_can_be_undone() {
        let cases: &[(&[&'static str], Content)] = &[
            (&[], Content::Plain),
            (&["identity"], Content::Plain),
            (&["", " , Identity"], Content::Plain),
            (&["X-Gzip"], Content::Coded(Coding::Gzip)),
            (&["identity, br"], Content::Coded(Coding::Brotli)),
            (&["zstd"], Content::Coded(Coding::Zstd)),
            (&["deflate"], Content::Coded(Coding::Deflate)),
            (&["compress"], Content::Strange),
            (&["gzip, gzip"], Content::Strange),
            (&["gzip", "br"], Content::Strange),
        ];
        for (lines, content) in cases {
            let map = headers(&CONTENT_ENCODING, lines);
            assert_eq!(Content::of(&map), *content, "{lines:?}");
        }
    }

    #[test]
    fn a_strong_tag_becomes_weak_and_a_weak_one_stays() {
        for (tag, weak) in [
            ("\"a\"", "W/\"a\""),
            ("W/\"a\"", "W/\"a\""),
            ("33a64df5", "33a64df5"),
        ] {
            let mut map = headers(&ETAG, &[tag]);
            weaken(&mut map);
            assert_eq!(map[ETAG], weak);
        }
    }

    #[test]
    fn what_it_varies_on_is_said_once() {
        for (before, after) in [
            ("accept", "accept, accept-encoding"),
            ("Accept-Encoding, accept", "Accept-Encoding, accept"),
            ("*", "*"),
        ] {
            let mut map = headers(&VARY, &[before]);
            vary(&mut map);
            let lines: Vec<_> = map
                .get_all(VARY)
                .iter()
                .map(|l| l.to_str().unwrap())
                .collect();
            assert_eq!(lines.join(", "), after);
        }
    }
}
