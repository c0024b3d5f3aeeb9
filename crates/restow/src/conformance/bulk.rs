//! Bulk calls: order, number, all or none.

use super::{Subject, kit::*};
use crate::{ErrorKind, FieldRef, RawKey, store::Parts};

promises! {
    an_unknown_address_is_empty: "Where nothing was written, nothing is found.",
    bulk_answers_keep_order_and_number: "The answers of read_many have the order and number of the questions, repeated ones too.",
    read_many_is_read_one_by_one: "read_many answers what read answers for each address, and so do read_latest and read_many_latest.",
    thousands_of_addresses_are_one_question: "read_many takes 3,000 addresses.",
    thousands_of_entries_are_one_write: "write takes 1,000 entries, and all of them are there afterwards.",
    nothing_asked_is_nothing_answered: "Bulk calls take an empty list.",
    the_last_of_duplicates_stays: "Of several entries with one identity in one write, the last stays.",
    a_write_is_all_or_none: "A write with one entry that does not fit writes none, wherever it stands, and changes none that is held.",
    a_write_replaces_the_whole_entry: "Writing an entry again replaces all of it: body, header lines, label, columns and tags.",
    the_same_body_keeps_changed_at: "Writing the same body again keeps changed_at, and takes the other times.",
    another_body_takes_changed_at: "Writing another body takes its changed_at.",
    a_delete_removes_what_it_names: "delete removes the entries at the addresses named, expired ones too, and no others.",
    a_delete_counts_addresses: "delete returns at how many addresses something was, each counted once.",
    what_was_deleted_can_be_written_again: "An address that was deleted can be written again.",
}

async fn an_unknown_address_is_empty(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    same!(t.read(&address("b")?, T0).await?.len(), 0, "entries found");
    Ok(())
}

async fn bulk_answers_keep_order_and_number(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?, entry("b")?, entry("c")?]).await?;
    let asked = ["c", "x", "a", "a", "b", "x", "c"];
    let at = asked.into_iter().map(address).collect::<Kept<Vec<_>>>()?;
    let answers = t.table.read_many(&at, Parts::Whole, T0).await?;
    same!(answers.len(), asked.len(), "answers");
    for ((id, at), found) in asked.iter().zip(&at).zip(answers) {
        let wanted = usize::from(*id != "x");
        same!(found.len(), wanted, "entries at {id}");
        ensure!(
            found.iter().all(|e| e.id.address == *at),
            "another entry was found at {id}"
        );
    }
    Ok(())
}

async fn read_many_is_read_one_by_one(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let at = ["a", "b", "c", "d"]
        .into_iter()
        .map(address)
        .collect::<Kept<Vec<_>>>()?;
    let (live, expired) = (T0.plus(2 * DAY), T0.plus(DAY / 2));
    t.write(
        T0,
        [entry("a")?.expires(live), entry("b")?.expires(expired)],
    )
    .await?;
    t.write(
        T0,
        [
            entry("a")?.variant(1),
            entry("d")?.expires(T0.minus(2 * KEEP)),
        ],
    )
    .await?;
    let now = T0.plus(DAY);
    let many = t.table.read_many(&at, Parts::Whole, now).await?;
    let latest_many = t.table.read_many_latest(&at, Parts::Whole, now).await?;
    same!(many.len(), at.len(), "answers");
    same!(latest_many.len(), at.len(), "answers of the latest");
    for ((at, many), latest_many) in at.iter().zip(many).zip(latest_many) {
        let latest = t.table.read_latest(at, Parts::Whole, now).await?;
        same!(
            sorted(latest),
            t.read(at, now).await?,
            "the latest entries at {}",
            at.key
        );
        same!(
            sorted(latest_many),
            t.read(at, now).await?,
            "the latest entries at {} of several",
            at.key
        );
        same!(
            sorted(many),
            t.read(at, now).await?,
            "entries at {}",
            at.key
        );
    }
    Ok(())
}

async fn thousands_of_addresses_are_one_question(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("7")?, entry("2999")?]).await?;
    let at = (0..3000)
        .map(|i| address(&i.to_string()))
        .collect::<Kept<Vec<_>>>()?;
    let answers = t.table.read_many(&at, Parts::Whole, T0).await?;
    let found: Vec<_> = (0..)
        .zip(&answers)
        .filter(|(_, f)| !f.is_empty())
        .map(|(i, _)| i)
        .collect();
    same!(
        (answers.len(), found),
        (3000, vec![7, 2999]),
        "answers, and which are not empty"
    );
    Ok(())
}

async fn thousands_of_entries_are_one_write(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let entries = (0..1000).map(|i| entry(&i.to_string()));
    t.write(T0, entries.collect::<Kept<Vec<_>>>()?).await?;
    same!(t.all(T0).await?, 1000, "entries held");
    for id in ["0", "500", "999"] {
        same_entry(&*t.one(&address(id)?, T0).await?, &entry(id)?)?;
    }
    Ok(())
}

async fn nothing_asked_is_nothing_answered(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    t.write(T0, []).await?;
    same!(
        t.table.read_many(&[], Parts::Whole, T0).await?.len(),
        0,
        "answers"
    );
    same!(t.table.delete(&[], T0).await?, 0, "addresses deleted");
    same!(t.table.renew(&[], T0).await?, 0, "entries renewed");
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn the_last_of_duplicates_stays(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let of = |body: &'static str| Ok::<_, Broken>(entry("a")?.body(body));
    t.write(
        T0,
        [
            of("first")?,
            entry("b")?,
            of("second")?,
            of("third")?.label("last"),
        ],
    )
    .await?;
    same_entry(
        &*t.one(&address("a")?, T0).await?,
        &of("third")?.label("last"),
    )?;
    same!(t.all(T0).await?, 2, "entries held");
    Ok(())
}

async fn a_write_is_all_or_none(subject: &dyn Subject) -> Kept {
    for place in 0..3 {
        let t = Trial::start(subject).await?;
        t.write(T0, [entry("a")?.body("before")]).await?;
        let mut entries = vec![entry("a")?.body("after"), entry("b")?];
        let bad = RawKey::new([FieldRef::Integer(1)], "")?;
        entries.insert(place, entry_at(address_of(bad)?)?);
        fails(
            t.table.write(&writes(entries), T0).await,
            ErrorKind::Key,
            "write",
        )?;
        same!(t.all(T0).await?, 1, "entries held");
        same!(t.one(&address("a")?, T0).await?.body, "before", "body");
    }
    Ok(())
}

async fn a_write_replaces_the_whole_entry(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let before = entry("a")?
        .label("l")
        .columns("x", 1)
        .tags(&["t", "u"])
        .body("long before");
    t.comes_back(before).await?;
    let after = entry("a")?
        .head(head(404, &[])?)
        .stored(T0.plus(MS))
        .body("after");
    t.comes_back(after).await?;
    let by_tag = crate::Selection {
        tag: Some("t".into()),
        ..Default::default()
    };
    same!(
        t.count(&by_tag, T0).await?,
        0,
        "entries with the tag it had"
    );
    let by_column = crate::Selection::default().eq("artist", "x");
    same!(
        t.count(&by_column, T0).await?,
        0,
        "entries with the column it had"
    );
    Ok(())
}

async fn the_same_body_keeps_changed_at(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let later = T0.plus(DAY / 2);
    t.write(later, [entry("a")?.stored(later).label("new")])
        .await?;
    let mut wanted = entry("a")?.stored(later).label("new");
    wanted.meta.changed_at = T0;
    same_entry(&*t.one(&address("a")?, later).await?, &wanted)
}

async fn another_body_takes_changed_at(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let later = T0.plus(DAY / 2);
    t.comes_back(entry("a")?.stored(later).body("other"))
        .await?;
    // Back to the first body: that is a change as well.
    t.comes_back(entry("a")?.stored(later.plus(MS))).await?;
    Ok(())
}

async fn a_delete_removes_what_it_names(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?, entry("b")?.expires(T0), entry("c")?])
        .await?;
    let at = [address("b")?, address("a")?];
    same!(t.table.delete(&at, T0).await?, 2, "addresses deleted");
    let left = t.scan(&crate::Selection::default(), T0).await?;
    same!(
        ids(left.iter().map(|e| &**e)),
        ids([&entry("c")?]),
        "entries left"
    );
    Ok(())
}

async fn a_delete_counts_addresses(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?, entry("a")?.variant(1), entry("b")?])
        .await?;
    let at = [address("a")?, address("x")?, address("a")?, address("b")?];
    same!(t.table.delete(&at, T0).await?, 2, "addresses deleted");
    same!(t.table.delete(&at, T0).await?, 0, "addresses deleted again");
    same!(t.all(T0).await?, 0, "entries left");
    Ok(())
}

async fn what_was_deleted_can_be_written_again(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.label("old").tags(&["old"])])
        .await?;
    t.table.delete(&[address("a")?], T0).await?;
    t.comes_back(entry("a")?.stored(T0.plus(MS))).await?;
    Ok(())
}
