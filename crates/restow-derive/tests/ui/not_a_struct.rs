#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
enum Either {
    Id(String),
}

#[derive(restow::Key, Clone, Copy)]
union Bits {
    id: u32,
    offset: i32,
}

fn main() {}
