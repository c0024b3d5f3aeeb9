#[derive(restow::Key)]
struct TrackKey {
    id: String,
}

fn main() {}
