//! Salvage: what can still be read of a damaged file comes into a new one, as it was, and the damaged one is not touched.

use crate::support::*;
use futures_util::TryStreamExt;
use restow::{
    ErrorKind, FieldValue, Selection,
    entry::{Entry, Partition, Variant},
    store::{
        Column, Parts, Store, Table, TableSpec,
        sqlite::{Salvage, SqliteStore},
    },
};
use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

const COUNT: u64 = 300;
const PAGE: usize = 16_384;

fn spec() -> TableSpec {
    let mut spec = tracks();
    spec.columns = [Column {
        name: "artist".into(),
        pointer: "/artist".into(),
    }]
    .into();
    spec
}

/// Fills a file: entries of 2 KB and some of 40 KB, for several users, with all that an entry can have.
async fn fill(store: &SqliteStore) -> Arc<dyn Table> {
    let table = store.open(&spec()).await.unwrap();
    for id in 0..COUNT {
        let mut entry = entry(at(&id.to_string()), body_of(id));
        if id % 3 == 0 {
            entry.id.address.partition = Partition::principal("ada").unwrap();
        }
        entry.id.variant = Variant(u128::from(id % 2));
        entry.meta.label = Some(format!("Track {id}").into());
        entry.meta.columns = [FieldValue::from(format!("artist {id}").as_str())].into();
        entry.meta.tags = ["pop".into(), format!("{id}").into()].into();
        entry.meta.expires_at = T0.plus(HOUR * u32::try_from(id).unwrap());
        // Some are written twice: their generation is another.
        for _ in 0..=id % 2 {
            table.write(&[write(entry.clone())], T0).await.unwrap();
        }
    }
    table
}

fn body_of(id: u64) -> String {
    let times = if id % 50 == 7 { 10_000 } else { 500 };
    format!("{id:04}").repeat(times)
}

async fn filled(path: &Path) {
    let store = open(path).await;
    fill(&store).await;
    store.close().await.unwrap();
}

async fn entries(store: &SqliteStore) -> BTreeMap<String, Arc<Entry>> {
    let table = store.open(&spec()).await.unwrap();
    let everything = Selection::default();
    let all = table.scan(&everything, Parts::Whole, T0);
    let all: Vec<_> = all.try_collect().await.unwrap();
    let keyed = all.into_iter().map(|e| (format!("{:?}", e.id), e));
    keyed.collect()
}

/// Everything in a folder, byte for byte.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let all = fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        let name = file.file_name().to_string_lossy().into_owned();
        (name, fs::read(file.path()).unwrap())
    });
    all.collect()
}

/// Salvages into another folder, and checks that the damaged file's is as it was.
async fn salvage(from: &Path, to: &Path) -> restow::Result<Salvage> {
    let before = files(from.parent().unwrap());
    let done = SqliteStore::salvage(from, to).await;
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        files(from.parent().unwrap()).keys().collect::<Vec<_>>()
    );
    assert!(
        before == files(from.parent().unwrap()),
        "the damaged file was touched"
    );
    done
}

/// Salvages a file that was damaged like this, and checks that all that was saved is as it was.
async fn after(damage: impl FnOnce(&Path)) -> Salvage {
    let (whole, broken) = (folder(), folder());
    let path = whole.path().join("a.db");
    filled(&path).await;
    let copy = broken.path().join("a.db");
    fs::copy(&path, &copy).unwrap();
    damage(&copy);
    let to = whole.path().join("new.db");
    let done = salvage(&copy, &to).await.unwrap();
    let before = entries(&open(&path).await).await;
    let saved = open(&to).await;
    let found = entries(&saved).await;
    for (id, entry) in &found {
        assert_eq!(before.get(id), Some(entry), "{id}");
    }
    if let Some(repository) = done.repositories.first() {
        assert_eq!(repository.saved, found.len() as u64);
    }
    let sound = SqliteStore::check(
        restow::store::sqlite::SqliteOptions::file(&to),
        restow::store::sqlite::Depth::Whole,
    );
    assert_eq!(sound.await.unwrap().findings, []);
    done
}

fn numbers(done: &Salvage) -> (u64, u64, u64) {
    let of = &done.repositories[0];
    (of.saved, of.damaged, of.unreadable)
}

fn garble(path: &Path, pages: impl IntoIterator<Item = usize>) {
    let mut bytes = fs::read(path).unwrap();
    for page in pages {
        let at = (page - 1) * PAGE;
        bytes[at..at + PAGE]
            .iter_mut()
            .for_each(|b| *b = b.wrapping_mul(7) ^ 0x5A);
    }
    fs::write(path, bytes).unwrap();
}

/// The pages of a table or an index: the root first, then the leaves.
fn pages(path: &Path, name: &str) -> (Vec<usize>, Vec<usize>) {
    let conn = plain(path);
    let root: i64 = conn
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name LIKE ?1",
            [name],
            |r| r.get(0),
        )
        .unwrap();
    let bytes = fs::read(path).unwrap();
    let (mut inner, mut leaves) = (Vec::new(), Vec::new());
    let mut todo = vec![root as usize];
    while let Some(page) = todo.pop() {
        let at = &bytes[(page - 1) * PAGE..page * PAGE];
        // As https://sqlite.org/fileformat.html has it: a kind, and for inner pages a pointer in each cell and one at the end.
        if at[0] == 0x0D || at[0] == 0x0A {
            leaves.push(page);
            continue;
        }
        inner.push(page);
        let number = |i: usize| u32::from_be_bytes(at[i..i + 4].try_into().unwrap()) as usize;
        let cells = usize::from(u16::from_be_bytes([at[3], at[4]]));
        for cell in 0..cells {
            let i = 12 + 2 * cell;
            todo.push(number(usize::from(u16::from_be_bytes([at[i], at[i + 1]]))));
        }
        todo.push(number(8));
    }
    (inner, leaves)
}

#[tokio::test]
async fn a_sound_file_is_saved_as_a_whole_and_as_it_was() {
    let folder = folder();
    let (path, to) = (folder.path().join("a.db"), folder.path().join("new/new.db"));
    filled(&path).await;
    fs::create_dir(folder.path().join("old")).unwrap();
    let copy = folder.path().join("old/a.db");
    fs::copy(&path, &copy).unwrap();
    let done = salvage(&copy, &to).await.unwrap();
    assert_eq!(numbers(&done), (COUNT, 0, 0));
    assert!(done.secret && done.log && done.lost.is_empty());
    let (old, new) = (open(&path).await, open(&to).await);
    assert_eq!(old.secret().await.unwrap(), new.secret().await.unwrap());
    assert_eq!(old.tables().await.unwrap(), new.tables().await.unwrap());
    assert_eq!(entries(&old).await, entries(&new).await);
    let mut tagged = Selection::default();
    tagged.tag = Some("7".into());
    let table = new.open(&spec()).await.unwrap();
    assert_eq!(table.count(&tagged, T0).await.unwrap(), 1);
    let stats = table.stats(T0).await.unwrap();
    assert_eq!(stats.entries, COUNT);
}

#[tokio::test]
async fn what_only_the_log_holds_is_saved_too_and_a_broken_log_does_no_harm() {
    let (here, killed) = (folder(), folder());
    let path = here.path().join("a.db");
    let store = open(&path).await;
    fill(&store).await;
    // As a killed program leaves it.
    for end in ["", "-wal"] {
        let name = format!("a.db{end}");
        fs::copy(here.path().join(&name), killed.path().join(&name)).unwrap();
    }
    let left = killed.path().join("a.db");
    let done = salvage(&left, &here.path().join("b.db")).await.unwrap();
    assert_eq!((numbers(&done), done.log), ((COUNT, 0, 0), true));
    store.close().await.unwrap();
    fs::copy(&path, &left).unwrap();
    for (n, log) in [&[0x5A; 70_000][..], b"short"].into_iter().enumerate() {
        fs::write(killed.path().join("a.db-wal"), log).unwrap();
        let to = here.path().join(format!("broken-{n}.db"));
        let done = salvage(&left, &to).await.unwrap();
        assert_eq!(numbers(&done), (COUNT, 0, 0));
    }
}

#[tokio::test]
async fn around_damaged_pages_every_entry_is_saved() {
    let done = after(|path| {
        let (_, leaves) = pages(path, "tracks");
        garble(path, leaves.into_iter().step_by(5));
    })
    .await;
    let (saved, damaged, unreadable) = numbers(&done);
    assert_eq!((saved + unreadable, damaged), (COUNT, 0));
    assert!((COUNT / 2..COUNT).contains(&saved), "{done:?}");
}

#[tokio::test]
async fn both_ends_of_a_table_may_be_damaged() {
    let done = after(|path| {
        let (_, leaves) = pages(path, "tracks");
        let conn = plain(path);
        let ends = [leaves.iter().min().unwrap(), leaves.iter().max().unwrap()];
        drop(conn);
        garble(path, ends.into_iter().copied());
    })
    .await;
    let (saved, _, unreadable) = numbers(&done);
    assert!(
        saved + unreadable == COUNT && (1..20).contains(&unreadable),
        "{done:?}"
    );
}

#[tokio::test]
async fn a_table_without_its_root_is_unreadable_and_says_how_much_that_was() {
    let done = after(|path| {
        let (inner, _) = pages(path, "tracks");
        garble(path, [inner[0]]);
    })
    .await;
    assert_eq!(numbers(&done), (0, 0, COUNT));
}

#[tokio::test]
async fn a_broken_index_costs_no_entry() {
    for index in ["restow_ \"tracks\" (%", "restow_ \"tracks\" \"expires_at\""] {
        let done = after(|path| {
            let (inner, leaves) = pages(path, index);
            garble(path, inner.into_iter().chain(leaves));
        })
        .await;
        assert_eq!(numbers(&done), (COUNT, 0, 0), "{index}");
    }
}

#[tokio::test]
async fn what_does_not_verify_is_left_out_and_counted() {
    let done = after(|path| {
        let sql = "UPDATE tracks SET body = replace(body, '0003', '0004') WHERE id = '3';
                   UPDATE tracks SET facts = x'01' WHERE id = '4';
                   UPDATE tracks SET id = x'00' WHERE id = '5';";
        plain(path).execute_batch(sql).unwrap();
    })
    .await;
    assert_eq!(numbers(&done), (COUNT - 3, 3, 0));
}

#[tokio::test]
async fn a_file_that_was_cut_off_gives_what_is_left_of_it() {
    let done = after(|path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .await;
    let (saved, damaged, _) = numbers(&done);
    // The cut may go through the middle of one entry.
    assert!(
        damaged <= 1 && (COUNT / 4..COUNT * 3 / 4).contains(&saved),
        "{done:?}"
    );
}

#[tokio::test]
async fn what_belongs_to_the_file_as_a_whole_may_be_lost() {
    let done = after(|path| {
        let sql = "DELETE FROM restow_meta WHERE key = 'secret'; DROP TABLE restow_tags";
        plain(path).execute_batch(sql).unwrap();
    })
    .await;
    assert_eq!((numbers(&done), done.secret), ((COUNT, 0, 0), false));
    let done = after(|path| {
        let sql = "UPDATE restow_meta SET value = '{' WHERE key = 'repository:tracks'";
        plain(path).execute_batch(sql).unwrap();
    })
    .await;
    assert_eq!(
        (done.repositories, done.lost),
        (vec![], vec!["tracks".to_owned()])
    );
}

#[tokio::test]
async fn any_damaged_page_is_survived() {
    let whole = folder();
    let path = whole.path().join("a.db");
    filled(&path).await;
    let count = fs::metadata(&path).unwrap().len() as usize / PAGE;
    let before = entries(&open(&path).await).await;
    let (mut rounds, mut most) = (0, 0);
    for page in (2..=count).step_by(3) {
        rounds += 1;
        let broken = folder();
        let copy = broken.path().join("a.db");
        fs::copy(&path, &copy).unwrap();
        garble(&copy, [page]);
        let to = broken.path().join("new.db");
        match SqliteStore::salvage(&copy, &to).await {
            Ok(done) => {
                for (id, entry) in entries(&open(&to).await).await {
                    assert_eq!(before.get(&id), Some(&entry), "{page}: {id}");
                }
                let saved = done.repositories.first().map_or(0, |r| r.saved);
                most += u64::from(saved > COUNT * 9 / 10);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{page}: {error:?}"),
        }
    }
    assert!(most > rounds * 3 / 4, "{most} of {rounds}");
}

#[tokio::test]
async fn what_cannot_be_salvaged_makes_no_file() {
    let folder = folder();
    let (path, to) = (folder.path().join("a.db"), folder.path().join("new.db"));
    let none = SqliteStore::salvage(&path, &to).await.unwrap_err();
    assert!(
        none.kind() == ErrorKind::Store && none.to_string().contains("is not there"),
        "{none}"
    );
    fs::write(&path, "hello ".repeat(5_000)).unwrap();
    let text = SqliteStore::salvage(&path, &to).await.unwrap_err();
    assert_eq!(text.kind(), ErrorKind::Format, "{text}");
    fs::remove_file(&path).unwrap();
    plain(&path)
        .execute_batch("CREATE TABLE songs (a)")
        .unwrap();
    let other = SqliteStore::salvage(&path, &to).await.unwrap_err();
    assert!(
        other.kind() == ErrorKind::Format && other.to_string().contains("songs"),
        "{other}"
    );
    assert!(!to.exists());
    fs::write(&to, "mine").unwrap();
    let there = SqliteStore::salvage(&path, &to).await.unwrap_err();
    assert!(
        there.kind() == ErrorKind::Config && there.to_string().contains("new.db"),
        "{there}"
    );
    assert_eq!(fs::read(&to).unwrap(), b"mine");
}
