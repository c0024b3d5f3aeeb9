#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey {
    id: String,
    tags: Vec<String>,
    offset: u64,
    market: Option<bool>,
}

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct PageKey(String, bool);

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct PageId(char);

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Generic<T> {
    id: T,
    tags: Vec<T>,
}

fn main() {}
