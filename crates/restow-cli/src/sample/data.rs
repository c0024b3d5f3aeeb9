//! The data of the sample: item 7 is the same on every machine.

use serde::Serialize;

/// How many items there are.
pub(crate) const ITEMS: u64 = 500;
/// How many items a page has.
pub(crate) const PER_PAGE: u64 = 25;
/// The token of the user `ada`; as secret as a sample can be.
pub(crate) const TOKEN: &str = "sample-token-of-ada";

const KINDS: [&str; 5] = ["lamp", "chair", "kettle", "blanket", "clock"];
const COLOURS: [&str; 7] = [
    "amber",
    "blue",
    "coral",
    "dark green",
    "ivory",
    "grey",
    "red",
];

#[derive(Debug, Serialize)]
pub(super) struct Item {
    id: u64,
    name: String,
    kind: &'static str,
    price: u64,
    in_stock: bool,
    description: String,
}

#[derive(Debug, Serialize)]
pub(super) struct User {
    pub(super) name: &'static str,
    pub(super) plan: &'static str,
}

/// Returns item `id`; `None` past the last.
pub(super) fn item(id: u64) -> Option<Item> {
    if !(1..=ITEMS).contains(&id) {
        return None;
    }
    let pick = |list: &[&'static str], by: u64| {
        let n = usize::try_from((id * by) % list.len() as u64).ok()?;
        list.get(n).copied()
    };
    let (kind, colour) = (pick(&KINDS, 3)?, pick(&COLOURS, 5)?);
    Some(Item {
        id,
        name: format!("{colour} {kind} no. {id}"),
        kind,
        price: 500 + (id * 7_919) % 9_500,
        in_stock: !id.is_multiple_of(6),
        description: format!("A {colour} {kind}, number {id} of {ITEMS}. ").repeat(4),
    })
}

/// Returns the items of a page; empty past the last.
pub(super) fn page(page: u64) -> Vec<Item> {
    let first = page
        .saturating_sub(1)
        .saturating_mul(PER_PAGE)
        .saturating_add(1);
    let last = first.saturating_add(PER_PAGE).min(ITEMS + 1);
    (first..last).filter_map(item).collect()
}

/// Returns the number of the last page.
pub(super) const fn last_page() -> u64 {
    ITEMS.div_ceil(PER_PAGE)
}
