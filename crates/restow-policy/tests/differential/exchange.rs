//! Made-up exchanges: of a few words that matter, put together at random.

use fastrand::Rng;
use http::{HeaderMap, Method, header};
use restow_testkit::cases::{START, lines};

/// A request, its answer, and a later request for the same.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) shared: bool,
    pub(crate) method: Method,
    /// The lines of the first request.
    pub(crate) request: Vec<&'static str>,
    pub(crate) status: u16,
    /// The directives of the answer.
    pub(crate) control: Vec<&'static str>,
    /// Its other lines.
    pub(crate) answer: Vec<&'static str>,
    pub(crate) later_method: Method,
    /// The lines of the later request.
    pub(crate) later: Vec<&'static str>,
    /// Seconds between the answer and the later request.
    pub(crate) after: i64,
}

const STATUSES: &[u16] = &[
    200, 200, 200, 200, 203, 204, 206, 299, 300, 301, 302, 303, 304, 307, 308, 400, 403, 404, 410,
    500, 501, 503, 599,
];

const CONTROL: &[&str] = &[
    "max-age=60",
    "max-age=60",
    "max-age=600",
    "max-age=0",
    "max-age=\"60\"",
    "Max-Age=60",
    "max-age=x",
    "max-age=+60",
    "max-age",
    "max-age=99999999999",
    "max-age=99999999999999999999",
    "max-age=60;",
    "max-age = 60",
    "s-maxage=30",
    "s-maxage=120",
    "s-maxage=x",
    "S-MaxAge=30",
    "no-store",
    "No-Store",
    "no-store;",
    "no-cache",
    "No-Cache",
    "no-cache=\"x-a\"",
    "private",
    "Private",
    "private=\"x-a\"",
    "public",
    "Public",
    "must-revalidate",
    "Must-Revalidate",
    "proxy-revalidate",
    "must-understand",
    "must-understand, no-store",
    "immutable",
    "ext",
    "ext=\"a, max-age=600\"",
    "ext=\"a, no-store, b\"",
    FOREIGN,
];
/// On a line of its own: the other policy does not see a line that is not ASCII.
pub(crate) const FOREIGN: &str = "\u{ff}, no-store";
pub(crate) const MALFORMED: &[&str] = &["max-age=60;", "max-age = 60", "no-store;", FOREIGN];
pub(crate) const LONG_AGO: &str = "last-modified: {date-20000000}";

/// Lines of an answer: of each row at most one.
const ANSWER: &[&[&str]] = &[
    &[
        "date: {date+0}",
        "date: {date-60}",
        "date: {date-3600}",
        "date: {date+60}",
    ],
    &["age: 0", "age: 30", "age: 100", "age: x", "age: 30, 0"],
    &[
        "expires: {date+60}",
        "expires: {date-60}",
        "expires: 0",
        "expires: Thursday, 18-Aug-50 02:01:18 GMT",
    ],
    &[
        "last-modified: {date-600}",
        "last-modified: {date+0}",
        LONG_AGO,
    ],
    &["etag: \"a\"", "etag: W/\"a\""],
    &[
        "vary: x-lang",
        "vary: X-Lang, accept",
        "vary: *",
        "vary: accept, *",
        "vary: a b",
    ],
    &["set-cookie: a=b"],
    &["pragma: no-cache"],
    &["expires: {date+90}"],
];

const REQUEST: &[&[&str]] = &[
    &["x-lang: de", "x-lang: de, en"],
    &["authorization: a"],
    &["cache-control: no-store", "cache-control: No-Store"],
];

const LATER: &[&[&str]] = &[
    &["x-lang: de", "x-lang: en", "x-lang: de,en"],
    &["x-lang: en"],
    &["authorization: b"],
    &["if-match: \"a\""],
    &["pragma: no-cache"],
    &[
        "cache-control: no-cache",
        "cache-control: No-Cache",
        "cache-control: no-store",
        "cache-control: max-age=0",
        "cache-control: max-age=45",
        "cache-control: max-age=x",
        "cache-control: min-fresh=10",
        "cache-control: min-fresh=x",
        "cache-control: max-stale",
        "cache-control: max-stale=30",
        "cache-control: max-stale=x",
        "cache-control: only-if-cached",
        "cache-control: ext=\"a, no-cache, b\"",
        "cache-control: ext",
    ],
];

const AFTER: &[i64] = &[
    0, 0, 1, 10, 29, 30, 31, 45, 59, 60, 61, 90, 119, 120, 121, 599, 600, 700, 3_600, 90_000, -2,
    -3_600,
];

impl Exchange {
    pub(crate) fn make(random: &mut Rng) -> Self {
        if random.bool() {
            Self::any(random)
        } else {
            Self::held(random)
        }
    }

    /// One whose answer is mostly stored for a minute, so that it is the later request that decides.
    fn held(random: &mut Rng) -> Self {
        const BESIDE: &[&str] = &[
            "immutable",
            "max-age=0",
            "must-revalidate",
            "no-cache",
            "proxy-revalidate",
            "s-maxage=30",
        ];
        const VARIES: &[&str] = &["vary: x-lang", "vary: X-Lang, accept"];
        let mut maybe = |of: &[&'static str]| random.choice(of).copied().filter(|_| random.bool());
        let lifetime = maybe(&["max-age=60"]).or(maybe(&["max-age=60"]));
        let control = [lifetime, maybe(BESIDE)];
        let answer = [maybe(VARIES), maybe(&["age: 30"]), maybe(&["etag: \"a\""])];
        let request = maybe(&["x-lang: de", "x-lang: de, en"]);
        let [langs, .., demands] = LATER else {
            panic!("a later request has languages and demands");
        };
        let later = [maybe(langs), maybe(&["x-lang: en"]), maybe(demands)];
        Self {
            shared: random.bool(),
            method: Method::GET,
            request: request.into_iter().collect(),
            status: 200,
            control: control.into_iter().flatten().collect(),
            answer: answer.into_iter().flatten().collect(),
            later_method: Method::GET,
            later: later.into_iter().flatten().collect(),
            after: random
                .choice([0, 0, 1, 10, 45, 59, 60, 61, 90, 91])
                .unwrap(),
        }
    }

    fn any(random: &mut Rng) -> Self {
        let mut some = |of: &'static [&'static [&'static str]]| {
            let mut chosen = Vec::new();
            for row in of {
                if random.usize(..4) == 0 {
                    chosen.extend(random.choice(*row));
                }
            }
            chosen
        };
        let (request, answer, later) = (some(REQUEST), some(ANSWER), some(LATER));
        // One directive is what most questions turn on.
        let count = random.choice([0, 1, 1, 1, 2, 3]).unwrap();
        let control = (0..count).filter_map(|_| random.choice(CONTROL).copied());
        let control = control.collect();
        let method = match random.u8(..16) {
            0 => Method::HEAD,
            1 => Method::POST,
            2 => Method::PUT,
            _ => Method::GET,
        };
        Self {
            shared: random.bool(),
            method,
            request,
            status: *random.choice(STATUSES).unwrap(),
            control,
            answer,
            later_method: match random.u8(..8) {
                0 => Method::HEAD,
                _ => Method::GET,
            },
            later,
            after: *random.choice(AFTER).unwrap(),
        }
    }

    pub(crate) fn request_headers(&self) -> HeaderMap {
        headers(&self.request)
    }

    pub(crate) fn later_headers(&self) -> HeaderMap {
        headers(&self.later)
    }

    pub(crate) fn answer_headers(&self) -> HeaderMap {
        let mut all = headers(&self.answer);
        let (foreign, plain): (Vec<&str>, Vec<&str>) =
            self.control.iter().partition(|piece| **piece == FOREIGN);
        for line in [plain, foreign].iter().filter(|line| !line.is_empty()) {
            all.extend(headers(&[&format!("cache-control: {}", line.join(", "))]));
        }
        all
    }

    pub(crate) fn now(&self) -> i64 {
        START + self.after * 1_000
    }

    pub(crate) fn credential(&self, headers: &HeaderMap) -> bool {
        !self.shared || headers.contains_key(header::AUTHORIZATION)
    }
}

fn headers(said: &[&str]) -> HeaderMap {
    let said: Vec<String> = said.iter().map(|line| (*line).to_owned()).collect();
    let mut all = HeaderMap::new();
    for (name, value) in &lines(&said, 0) {
        all.append(name, value.clone());
    }
    all
}

/// What the known differences look at.
impl Exchange {
    pub(crate) fn controls(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|piece| self.control.contains(piece))
    }

    pub(crate) fn answers(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|line| self.answer.contains(line))
    }

    pub(crate) fn asks(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|line| self.request.contains(line))
    }

    pub(crate) fn asks_later(&self, any_of: &[&str]) -> bool {
        any_of.iter().any(|line| self.later.contains(line))
    }

    /// A directive is there twice, not both times alike.
    pub(crate) fn conflicts(&self) -> bool {
        let name = |piece: &str| {
            piece
                .split(['=', ';'])
                .next()
                .unwrap_or("")
                .trim()
                .to_ascii_lowercase()
        };
        // That policy takes what is quoted twice for two different values.
        let twice = |piece: &&str| self.control.iter().filter(|other| *other == piece).count() > 1;
        if self
            .control
            .iter()
            .any(|piece| piece.contains('"') && twice(piece))
        {
            return true;
        }
        self.control.iter().any(|one| {
            let differ = |other: &&&str| name(one) == name(other) && one != *other;
            self.control.iter().any(|other| differ(&other))
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.answer.iter().any(|line| line.starts_with(name))
    }

    pub(crate) fn has_explicit(&self) -> bool {
        self.has("expires:")
            || self
                .control
                .iter()
                .any(|piece| piece.starts_with("max-age"))
            || self.shared
                && self
                    .control
                    .iter()
                    .any(|piece| piece.starts_with("s-maxage"))
    }
}
