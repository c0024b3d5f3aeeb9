//! Files into stores.

use crate::kit::*;
use futures_util::TryStreamExt;
use restow::{
    ErrorKind, Result,
    moving::{Digests, ExportOptions, ImportOptions, Imported, Portion, Tally, export, import},
    store::Store,
};
use std::{io::Cursor, sync::Arc};

async fn file_of(store: &Arc<dyn Store>, with_secret: bool) -> Vec<u8> {
    let everything = Portion::everything(&**store).await.unwrap();
    let options = ExportOptions { with_secret };
    let lines: Vec<_> = export(store.clone(), everything, options, NOW)
        .try_collect()
        .await
        .unwrap();
    lines.concat()
}

async fn read_in(store: &Arc<dyn Store>, file: &[u8], options: ImportOptions) -> Result<Imported> {
    let steps = import(store.clone(), Cursor::new(file.to_vec()), options, NOW);
    let steps: Vec<_> = steps.try_collect().await?;
    Ok(steps.last().unwrap().clone())
}

fn tally(imported: &Imported) -> Tally {
    *imported.tables.get(&spec().name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_makes_the_same_store_and_does_nothing_the_second_time() {
    let from = filled(
        all_kinds()
            .into_iter()
            .chain((0..1_200).map(|n| entry(&format!("n{n}"), "{}"))),
    )
    .await;
    let file = file_of(&from, false).await;
    for to in [memory(), sqlite().await] {
        let first = read_in(&to, &file, ImportOptions::default()).await.unwrap();
        assert_eq!(
            (tally(&first).written, first.lines, first.done),
            (1_213, 1_215, true),
            "{first:?}"
        );
        assert_eq!(held(&to).await, held(&from).await);
        assert_eq!(to.tables().await.unwrap(), [spec()]);
        let second = read_in(&to, &file, ImportOptions::default()).await.unwrap();
        assert_eq!((tally(&second).present, tally(&second).written), (1_213, 0));
        // What is there by now is newer than the file.
        put(&to, [entry("n7", "newer").stored(NOW)]).await;
        let third = read_in(&to, &file, ImportOptions::default()).await.unwrap();
        assert_eq!((tally(&third).newer, tally(&third).present), (1, 1_212));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_ends_it_or_is_left_out() {
    let from = filled(all_kinds()).await;
    let mut file = file_of(&from, false).await;
    let ends: Vec<usize> = (0..file.len()).filter(|at| file[*at] == b'\n').collect();
    file[ends[6] + 60] ^= 4;
    let to = sqlite().await;
    let refused = read_in(&to, &file, ImportOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Corrupt);
    assert!(refused.to_string().starts_with("line "), "{refused}");
    let before = held(&to).await.len();
    assert!(before > 0, "what came before the line stays");
    let options = ImportOptions {
        skip_bad: true,
        ..ImportOptions::default()
    };
    let end = read_in(&to, &file, options).await.unwrap();
    // The line, and the end that knows how many there were.
    assert_eq!(end.skipped, 2, "{end:?}");
    assert_eq!(held(&to).await.len(), 12);
    assert!(end.bad[0].why.contains("checksum"), "{end:?}");
    assert_eq!(
        end.bad[0].line,
        refused.to_string()[5..]
            .split(':')
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    );
    // Of a file without its first line nothing is known.
    let headless: Vec<u8> = file
        .iter()
        .copied()
        .skip_while(|b| *b != b'\n')
        .skip(1)
        .collect();
    read_in(&to, &headless, options).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_the_secret_needs_it() {
    let from = filled(all_kinds().into_iter().chain(secret_kinds())).await;
    let (plain, secret) = (file_of(&from, false).await, file_of(&from, true).await);
    let refused = read_in(&memory(), &plain, ImportOptions::default())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert!(refused.to_string().contains("--with-secret"), "{refused}");
    // With the secret an empty store takes it all; one in use does not.
    let to = sqlite().await;
    assert_eq!(
        tally(
            &read_in(&to, &secret, ImportOptions::default())
                .await
                .unwrap()
        )
        .written,
        16
    );
    assert_eq!(held(&to).await, held(&from).await);
    assert_eq!(to.secret().await.unwrap(), from.secret().await.unwrap());
    // Now both have it.
    assert_eq!(
        tally(
            &read_in(&to, &plain, ImportOptions::default())
                .await
                .unwrap()
        )
        .present,
        16
    );
    let used = filled([entry("there", "{}")]).await;
    read_in(&used, &secret, ImportOptions::default())
        .await
        .unwrap_err();
    let options = ImportOptions {
        digests: Digests::LeaveOut,
        ..ImportOptions::default()
    };
    let end = read_in(&used, &secret, options).await.unwrap();
    assert_eq!((tally(&end).left_out, held(&used).await.len()), (3, 14));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_reads_all_and_changes_nothing() {
    let from = filled(all_kinds().into_iter().chain(secret_kinds())).await;
    let to = memory();
    let secret = to.secret().await.unwrap();
    let options = ImportOptions {
        dry_run: true,
        ..ImportOptions::default()
    };
    let end = read_in(&to, &file_of(&from, true).await, options)
        .await
        .unwrap();
    assert_eq!(tally(&end).written, 16);
    assert_eq!(to.tables().await.unwrap(), []);
    assert_eq!(to.secret().await.unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_entries_with_one_identity_the_newer_one_stays_in_whatever_order() {
    let (old, new) = (
        filled([entry("1", "old")]).await,
        filled([entry("1", "new").stored(NOW)]).await,
    );
    let (old, new) = (file_of(&old, false).await, file_of(&new, false).await);
    for file in [[&old[..], &new[..]].concat(), [&new[..], &old[..]].concat()] {
        let to = memory();
        read_in(&to, &file, ImportOptions::default()).await.unwrap();
        assert_eq!(held(&to).await[0].2, "new");
    }
}
