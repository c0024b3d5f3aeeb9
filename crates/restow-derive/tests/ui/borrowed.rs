#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey<'a> {
    id: &'a str,
    market: Option<&'a str>,
    region: String,
}

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Literal {
    name: &'static str,
    other: Option<&'static str>,
}

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct PageKey<'a>(i64, std::borrow::Cow<'a, str>);

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Unused<'a> {
    id: String,
}

fn main() {}
