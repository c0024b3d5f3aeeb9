//! `docs/REFERENCE.md` keeps its word: every item of the reference has a row, and what the rows name exists.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "what tests share is no test to clippy"
)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every class of the reference, with its attributes and methods.
const REFERENCE: &[(&str, &[&str])] = &[
    (
        "ResponseRepositorySettings",
        &["name", "payload_handler", "fields", "get_key", "get_name"],
    ),
    (
        "ResponseRepository",
        &[
            "expire",
            "logger",
            "settings",
            "connection",
            "create",
            "commit",
            "close",
            "closed",
            "count",
            "contains",
            "clear",
            "serialize",
            "deserialize",
            "get_key_from_request",
            "get_response",
            "get_responses",
            "save_response",
            "save_responses",
            "delete_response",
            "delete_responses",
            "__aiter__",
        ],
    ),
    (
        "ResponseCache",
        &[
            "type",
            "cache_name",
            "repository_getter",
            "expire",
            "connect",
            "commit",
            "close",
            "create_repository",
            "get_repository_from_url",
            "get_repository_from_requests",
            "get_response",
            "get_responses",
            "save_response",
            "save_responses",
            "delete_response",
            "delete_responses",
            "__getitem__",
            "__setitem__",
            "__delitem__",
            "__iter__",
            "__len__",
        ],
    ),
];

struct Row {
    item: String,
    home: String,
    changed: String,
    tests: Vec<String>,
}

#[test]
fn every_item_of_the_reference_has_one_row() {
    let rows = rows();
    for (class, members) in REFERENCE {
        let items = members.iter().map(|member| format!("`{class}.{member}`"));
        for item in items.chain([format!("`{class}`")]) {
            let found = rows.iter().filter(|row| row.item == item).count();
            assert_eq!(found, 1, "rows of {item}");
        }
    }
}

#[test]
fn every_row_names_a_home_and_tests_that_are_there() {
    let tests = tests();
    for row in rows() {
        assert!(!row.home.is_empty(), "{} has no home", row.item);
        assert!(!row.tests.is_empty(), "{} names no test", row.item);
        for test in &row.tests {
            assert!(tests.contains(test), "{}: no test {test:?}", row.item);
        }
    }
}

#[test]
fn every_name_of_ours_is_in_the_sources() {
    let sources = sources();
    let words: BTreeSet<&str> = sources
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    for row in rows() {
        for code in code(&row.home).into_iter().chain(code(&row.changed)) {
            // What is written as a call or an assignment of the reference's is no name of ours.
            let Some(name) = code.rsplit("::").next().filter(|_| is_name_of_ours(&code)) else {
                continue;
            };
            let (member, ours) = (code.contains("::"), words.contains(name));
            assert!(ours, "{}: nothing is called {code:?}", row.item);
            let declared = ["fn", "struct", "enum", "trait"]
                .iter()
                .any(|what| declares(&sources, what, name));
            let variant = name.starts_with(char::is_uppercase);
            assert!(
                declared || (member && variant),
                "{}: {code:?} is not declared",
                row.item
            );
        }
    }
}

#[test]
fn every_name_of_the_reference_is_found_by_search() {
    let sources = sources();
    for (class, members) in REFERENCE {
        for name in members.iter().chain([class]) {
            let alias = sources.contains(&format!("doc(alias = \"{name}\")"));
            assert!(
                alias
                    || declares(&sources, "fn", name)
                    || sources.contains(&format!("pub {name}:")),
                "{class}: {name}"
            );
        }
    }
}

/// Tells a path or a type of this crate from a field, a literal, or something of the reference's.
fn is_name_of_ours(code: &str) -> bool {
    let path = code
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == ':');
    path && (code.contains("::") || code.starts_with(char::is_uppercase))
        && code != "None"
        && code != "Err"
}

fn sources() -> String {
    files(&root().join("crates/restow/src"))
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

fn declares(sources: &str, what: &str, name: &str) -> bool {
    let head = format!("{what} {name}");
    sources.match_indices(&head).any(|(at, _)| {
        let next = sources[at + head.len()..].chars().next();
        !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(root().join("docs/REFERENCE.md")).unwrap();
    let rows: Vec<Row> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line
                .strip_prefix('|')?
                .strip_suffix('|')?
                .split('|')
                .map(str::trim)
                .collect();
            let [item, home, changed, tests] = cells[..] else {
                panic!("a row of another length: {line}");
            };
            let is_head = matches!(item, "reference" | "fault") || item.starts_with("---");
            (!is_head).then(|| Row {
                item: item.to_owned(),
                home: home.to_owned(),
                changed: changed.to_owned(),
                tests: code(tests),
            })
        })
        .collect();
    assert!(rows.len() > 40, "the page was read");
    rows
}

/// What stands between backquotes.
fn code(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(String::from)
        .collect()
}

/// The functions that stand below a test's attribute.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files(&root().join("crates")) {
        let text = fs::read_to_string(&file).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                is_test = true;
            } else if let Some((_, signature)) = line.split_once("fn ").filter(|_| is_test) {
                names.extend(signature.split('(').next().map(String::from));
                is_test = false;
            }
        }
    }
    names
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
    all
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
