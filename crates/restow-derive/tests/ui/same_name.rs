#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey {
    id: String,
    #[key(rename = "id")]
    track: String,
    r#type: String,
    #[key(rename = "type")]
    kind: String,
}

fn main() {}
