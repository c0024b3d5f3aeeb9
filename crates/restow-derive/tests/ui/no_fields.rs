#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Unit;

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Named {}

#[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
struct Tuple();

fn main() {}
