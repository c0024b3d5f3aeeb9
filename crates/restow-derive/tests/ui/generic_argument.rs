use restow::Key;

#[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Paged<T> {
    of: T,
}

fn open<K: Key>() {}

fn opens() {
    open::<Paged<Vec<u8>>>();
}

fn main() {}
