#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
#[key(rename = "track")]
struct OnTheStruct {
    id: String,
}

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct TrackKey {
    #[key(renamed = "track")]
    unknown: String,
    #[key(rename = "a", rename = "b")]
    twice: String,
    #[key(rename = "")]
    empty: String,
    #[key(rename)]
    no_value: String,
    #[key(rename = 3)]
    no_string: String,
    #[key]
    bare: String,
}

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct InATuple(String, #[key(rename = "market")] String);

fn main() {}
