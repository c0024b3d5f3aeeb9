#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey {
    id: String,
    market: Option<std::option::Option<String>>,
}

fn main() {}
