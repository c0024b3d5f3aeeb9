//! From store to store.

use crate::kit::*;
use futures_util::TryStreamExt;
use restow::{
    ErrorKind, Field, Millis, Selection,
    entry::Partition,
    moving::{CopyOptions, Digests, Portion, copy},
    store::{MemoryOptions, MemoryStore, Store, TableSpec},
};
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_as_it_was_whatever_the_stores() {
    let all = || all_kinds().into_iter().chain(secret_kinds());
    let from = filled(all()).await;
    let (one, two) = (sqlite().await, memory());
    let end = copied(&from, &one).await;
    assert_eq!((end.total, end.tally.written), (16, 16), "{end:?}");
    copied(&one, &two).await;
    let before = held(&from).await;
    assert_eq!(before.len(), 16);
    assert_eq!(held(&one).await, before);
    assert_eq!(held(&two).await, before);
    assert_eq!(one.tables().await.unwrap(), [spec()]);
    assert_eq!(two.secret().await.unwrap(), from.secret().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_broken_off_goes_on_and_what_is_there_is_not_copied_twice() {
    let numbered = (0..2_000).map(|n| entry(&n.to_string(), format!("{{\"n\":{n}}}")));
    let (from, to) = (filled(numbered).await, sqlite().await);
    let everything = Portion::everything(&*from).await.unwrap();
    let mut steps = copy(
        from.clone(),
        to.clone(),
        everything,
        CopyOptions::default(),
        NOW,
    );
    while let Some(step) = steps.try_next().await.unwrap() {
        if step.tally.written > 0 {
            break;
        }
    }
    drop(steps);
    let there = held(&to).await.len() as u64;
    assert!(there > 0 && there < 2_000, "{there}");
    let end = copied(&from, &to).await;
    assert_eq!(
        (end.tally.present, end.tally.written),
        (there, 2_000 - there)
    );
    let again = copied(&from, &to).await;
    assert_eq!((again.tally.present, again.tally.bytes), (2_000, 0));
    assert_eq!(held(&to).await, held(&from).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_newer_is_replaced_and_what_is_older_is_brought_up_to_date() {
    let (old, new) = (NOW.minus(9 * DAY), NOW.minus(DAY));
    let from = filled([
        entry("newer there", "from").stored(old),
        entry("older there", "from").stored(new),
        entry("same body", "same")
            .stored(old)
            .with(|e| e.meta.checked_at = new),
        entry("as new", "from").stored(new),
    ])
    .await;
    for to in [memory(), sqlite().await] {
        put(
            &to,
            [
                entry("newer there", "to").stored(new),
                entry("older there", "to").stored(old),
                entry("same body", "same").stored(old),
                entry("as new", "to").stored(new),
                entry("only there", "to").stored(old),
            ],
        )
        .await;
        let options = CopyOptions {
            digests: Digests::Carry,
            dry_run: false,
        };
        let end = try_copy(&from, &to, options).await.unwrap();
        let tally = end.tally;
        assert_eq!(
            (tally.newer, tally.written, tally.renewed, tally.present),
            (2, 1, 1, 0),
            "{end:?}"
        );
        // Of one moment and with two bodies: it is said, and nothing is replaced.
        let verified = end.verified.unwrap();
        assert_eq!(
            (verified.differing, verified.missing),
            (1, 0),
            "{verified:?}"
        );
        assert!(verified.which[0].contains("as new"), "{verified:?}");
        let held = held(&to).await;
        let of = |id: &str| {
            let mut found = held
                .iter()
                .filter(|(at, ..)| at.address.key.to_string().starts_with(id));
            let (_, meta, body) = found.next().unwrap();
            (meta.clone(), body.clone())
        };
        assert_eq!(of("newer there").1, "to");
        assert_eq!(of("older there").1, "from");
        assert_eq!(of("only there").1, "to");
        assert_eq!(of("as new").1, "to");
        let (meta, body) = of("same body");
        assert_eq!(
            (meta.checked_at, meta.stored_at, &body[..]),
            (new, old, &b"same"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_the_source_meanwhile_is_copied_as_it_is_in_the_end() {
    let numbered = (0..1_500).map(|n| entry(&n.to_string(), "old"));
    let (from, to) = (filled(numbered).await, memory());
    let everything = Portion::everything(&*from).await.unwrap();
    let mut steps = copy(
        from.clone(),
        to.clone(),
        everything,
        CopyOptions::default(),
        NOW,
    );
    let (mut end, mut changed) = (None, false);
    while let Some(step) = steps.try_next().await.unwrap() {
        if step.tally.written > 0 && !changed {
            changed = true;
            // The memory store gives a scan what there was when it began.
            put(
                &from,
                (0..1_500)
                    .step_by(500)
                    .map(|n| entry(&n.to_string(), "new").stored(NOW)),
            )
            .await;
            table(&from)
                .await
                .delete(&[entry("1499", "").id.address], NOW)
                .await
                .unwrap();
        }
        end = Some(step);
    }
    let verified = end.unwrap().verified.unwrap();
    assert!(verified.is_clean(), "{verified:?}");
    assert_eq!(verified.again, 3, "{verified:?}");
    let held = held(&to).await;
    assert_eq!(held.iter().filter(|(.., body)| body == "new").count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_on_the_secret_goes_only_where_the_secret_goes() {
    for of_secret in secret_kinds() {
        let from = filled([entry("1", "{}"), of_secret]).await;
        for to in [memory(), sqlite().await] {
            put(&to, [entry("2", "{}")]).await;
            let secret = to.secret().await.unwrap();
            let refused = try_copy(&from, &to, CopyOptions::default())
                .await
                .unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unsupported);
            assert!(
                refused.to_string().contains("--without-digests"),
                "{refused}"
            );
            let options = CopyOptions {
                digests: Digests::LeaveOut,
                dry_run: false,
            };
            let end = try_copy(&from, &to, options).await.unwrap();
            assert_eq!((end.tally.written, end.tally.left_out), (1, 1));
            assert!(end.verified.unwrap().is_clean());
            assert_eq!(held(&to).await.len(), 2);
            assert_eq!(to.secret().await.unwrap(), secret);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_with_another_secret_takes_what_does_not_hang_on_it() {
    let (from, to) = (
        filled(all_kinds()).await,
        filled([entry("there", "{}")]).await,
    );
    let secret = to.secret().await.unwrap();
    assert_eq!(copied(&from, &to).await.tally.written, 13);
    assert_eq!(to.secret().await.unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_do_not_fit_are_said_before_anything_is_copied() {
    let from = filled(all_kinds()).await;
    let other = TableSpec::new("aaa", [Field::text("id")]).unwrap();
    from.open(&other).await.unwrap();
    let to = memory();
    let mut held_otherwise = spec();
    held_otherwise.fields = [Field::text("id")].into();
    to.open(&held_otherwise).await.unwrap();
    let refused = try_copy(&from, &to, CopyOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.repository()),
        (ErrorKind::SchemaMismatch, Some("items"))
    );
    assert!(refused.to_string().contains("size:int?"), "{refused}");
    let names: Vec<_> = to
        .tables()
        .await
        .unwrap()
        .into_iter()
        .map(|t| t.name)
        .collect();
    assert_eq!(names, [held_otherwise.name]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_there_keeps_its_own_rules() {
    let from = filled([
        entry("kept", "{}"),
        entry("gone", "{}").with(|e| e.meta.expires_at = NOW.minus(2 * DAY)),
    ])
    .await;
    let to = sqlite().await;
    let own = TableSpec {
        keep: DAY,
        ..spec()
    };
    to.open(&own).await.unwrap();
    let end = copied(&from, &to).await;
    assert_eq!((end.tally.written, end.tally.gone), (1, 1));
    assert_eq!(to.tables().await.unwrap(), [own]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_hold_it_all_is_told() {
    let numbered = (0..50).map(|n| entry(&n.to_string(), "{}"));
    let from = filled(numbered).await;
    let options = MemoryOptions::parse("memory:?max_entries=20").unwrap();
    let to: Arc<dyn Store> = Arc::new(MemoryStore::new(options));
    let end = try_copy(&from, &to, CopyOptions::default()).await.unwrap();
    let verified = end.verified.unwrap();
    assert!(
        verified.missing >= 30 && !verified.is_clean(),
        "{verified:?}"
    );
    assert_eq!(verified.which.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_and_changes_nothing() {
    let from = filled(all_kinds().into_iter().chain(secret_kinds())).await;
    let (empty, used) = (memory(), filled([entry("1", "{}").stored(NOW)]).await);
    let secret = empty.secret().await.unwrap();
    let dry = |digests| CopyOptions {
        digests,
        dry_run: true,
    };
    let end = try_copy(&from, &empty, dry(Digests::Carry)).await.unwrap();
    assert_eq!((end.tally.written, end.verified), (16, None));
    assert_eq!(empty.tables().await.unwrap(), []);
    assert_eq!(empty.secret().await.unwrap(), secret);
    try_copy(&from, &used, dry(Digests::Carry))
        .await
        .unwrap_err();
    let end = try_copy(&from, &used, dry(Digests::LeaveOut))
        .await
        .unwrap();
    assert_eq!(
        (end.tally.written, end.tally.newer, end.tally.left_out),
        (12, 1, 3)
    );
    assert_eq!(held(&used).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_selected_is_copied() {
    let alice = Partition::principal("alice").unwrap();
    let from = filled([
        entry("1", "{}"),
        entry("2", "{}").of(alice.clone()),
        entry("3", "{}").of(Partition::credential(1)),
    ])
    .await;
    let to = filled([]).await;
    let which = Selection::default().within(alice.clone());
    let portion = Portion {
        table: spec().name,
        which,
    };
    // Nobody else's entries are in the way.
    let steps = copy(
        from.clone(),
        to.clone(),
        vec![portion],
        CopyOptions::default(),
        NOW,
    );
    let steps: Vec<_> = steps.try_collect().await.unwrap();
    assert_eq!(steps.last().unwrap().tally.seen, 1);
    let held = held(&to).await;
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].0.address.partition, alice);
    let unknown = Portion {
        table: spec().name,
        which: Selection::default().eq("colour", "red"),
    };
    let refused = copy(
        from.clone(),
        to.clone(),
        vec![unknown],
        CopyOptions::default(),
        NOW,
    )
    .try_next()
    .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Selection);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_is_copied_too() {
    let (from, to) = (memory(), memory());
    let steps = copy(
        from.clone(),
        to.clone(),
        Vec::new(),
        CopyOptions::default(),
        Millis(0),
    );
    assert_eq!(steps.try_collect::<Vec<_>>().await.unwrap(), []);
    assert_eq!(to.secret().await.unwrap(), from.secret().await.unwrap());
}
