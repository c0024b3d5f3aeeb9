//! Selections: all conditions hold for what is covered, and for nothing else.

use super::{Subject, kit::*};
use crate::{
    FieldRef, FieldValue, Millis, Scope, Selection,
    entry::{Entry, Partition},
    store::Parts,
};
use futures_util::StreamExt;
use std::time::Duration;

promises! {
    a_selection_by_the_first_field: "A condition on the first field covers the entries with this value.",
    a_selection_by_another_field: "A condition on any field covers the entries with this value, of text or integer.",
    a_selection_by_an_absent_field: "A condition that a field is absent covers the entries in which it is, not the empty ones.",
    a_selection_by_a_column: "A condition on a column covers the entries with this value, of text or integer.",
    a_selection_by_an_absent_column: "A condition that a column is absent covers the entries in which it is, not the empty ones.",
    values_are_compared_exactly: "Values are compared with their kind, case and blanks, and hold no wildcards.",
    a_selection_by_the_query: "A selection by the undeclared query covers it exactly, the empty one too.",
    a_selection_by_a_tag: "A selection by tag covers the entries that have it, exactly.",
    a_selection_by_the_status: "A selection by status covers the answers with it.",
    a_selection_by_the_time_stored: "stored_since covers the moment itself, stored_before does not.",
    a_selection_by_the_time_changed: "changed_since covers the moment itself, changed_before does not.",
    all_conditions_hold: "Any two conditions together cover what both cover.",
    many_conditions_hold: "All kinds of condition together cover what all of them cover.",
    an_empty_selection_covers_everything: "The default selection covers all that is retained, of everyone.",
    a_selection_of_nothing_changes_nothing: "A selection that covers nothing counts 0, scans nothing and clears nothing.",
    a_clear_returns_what_a_count_said: "clear returns what count said, and then count says 0 and the rest is left.",
    a_clear_stops_at_its_limit: "clear removes up to its limit; called until it returns 0, it removes all.",
    a_limit_of_zero_clears_nothing: "clear with a limit of 0 removes nothing.",
    a_scan_gives_each_entry_once: "A scan gives each entry once, out of hundreds.",
    a_scan_may_be_dropped: "A scan that is dropped halfway leaves the table usable.",
    a_scan_may_meet_a_write: "Entries can be written and deleted while a scan is under way.",
}

fn second(n: u64) -> Millis {
    T0.plus(Duration::from_secs(n))
}

/// Entries that differ in everything a selection may name.
fn entries() -> Kept<Vec<Entry>> {
    let markets = [
        FieldRef::Absent,
        FieldRef::Text(""),
        FieldRef::Text("GB"),
        FieldRef::Text("gb"),
    ];
    let pages = [FieldRef::Absent, FieldRef::Integer(0), FieldRef::Integer(1)];
    let artists: [FieldValue; 5] = [
        FieldValue::Absent,
        "".into(),
        "1".into(),
        1.into(),
        "it's 100%".into(),
    ];
    let years: [FieldValue; 3] = [1959.into(), FieldValue::Absent, (-1).into()];
    let tags: [&[&str]; 4] = [&[], &["jazz"], &["jazz", "modal"], &["Jazz", ""]];
    let whose = [
        Partition::PUBLIC,
        Partition::principal("alice")?,
        Partition::credential(9),
    ];
    let statuses = [200, 203, 404];
    let queries = ["", "a=1", "a=1&b=2"];
    let mut entries = Vec::new();
    for n in 0..60_usize {
        // Each list has another length, so that every two of their values meet.
        let pick = |len: usize, step: usize| (n / step) % len;
        let key = key(
            ["x", "y", "X", "x "]
                .get(pick(4, 3))
                .copied()
                .unwrap_or_default(),
            markets.get(pick(4, 1)).copied().unwrap_or(FieldRef::Absent),
            pages.get(pick(3, 1)).copied().unwrap_or(FieldRef::Absent),
            queries.get(pick(3, 4)).copied().unwrap_or_default(),
        )?;
        let mut entry = entry_at(address_of(key)?)?
            .within(whose.get(pick(3, 5)).cloned().unwrap_or_default())
            .variant(n as u128)
            .head(head(statuses.get(pick(3, 2)).copied().unwrap_or(200), &[])?)
            .stored(second(n as u64 % 7))
            .expires(second(if n % 2 == 0 { 50 } else { 200 }))
            .columns(
                artists.get(pick(5, 1)).cloned().unwrap_or_default(),
                years.get(pick(3, 1)).cloned().unwrap_or_default(),
            )
            .tags(tags.get(pick(4, 1)).copied().unwrap_or_default());
        entry.meta.changed_at = second(n as u64 % 11);
        entries.push(entry);
    }
    Ok(entries)
}

/// At this moment half of the entries have expired.
const NOW: Millis = Millis(T0.0 + 100_000);

async fn filled(subject: &dyn Subject) -> Kept<(Trial, Vec<Entry>)> {
    let (t, entries) = (Trial::start(subject).await?, entries()?);
    t.write(T0, entries.iter().cloned()).await?;
    Ok((t, entries))
}

/// Checks that count and scan cover what the selection says of each entry.
async fn agrees(t: &Trial, entries: &[Entry], which: &Selection) -> Kept<u64> {
    let covered = entries
        .iter()
        .filter(|e| which.covers(e, t.table.spec(), NOW));
    let wanted = ids(covered);
    same!(
        t.count(which, NOW).await?,
        wanted.len() as u64,
        "entries counted in {which:?}"
    );
    let found = t.scan(which, NOW).await?;
    same!(
        ids(found.iter().map(|e| &**e)),
        wanted,
        "entries scanned in {which:?}"
    );
    Ok(wanted.len() as u64)
}

/// Checks selections, of which the first `some` cover some entries and not all, the others none.
async fn agree(subject: &dyn Subject, some: &[Selection], none: &[Selection]) -> Kept {
    let (t, entries) = filled(subject).await?;
    for which in some {
        let covered = agrees(&t, &entries, which).await?;
        ensure!(
            covered > 0 && covered < entries.len() as u64,
            "the suite's {which:?} covers {covered}"
        );
    }
    for which in none {
        same!(
            agrees(&t, &entries, which).await?,
            0,
            "entries in {which:?}"
        );
    }
    Ok(())
}

fn eq(name: &str, value: impl Into<FieldValue>) -> Selection {
    Selection::default().eq(name, value).scan()
}

fn with(change: impl FnOnce(&mut Selection)) -> Selection {
    let mut which = Selection::default().scan();
    change(&mut which);
    which
}

async fn a_selection_by_the_first_field(subject: &dyn Subject) -> Kept {
    agree(
        subject,
        &[eq("id", "x"), eq("id", "y"), eq("id", "X")],
        &[eq("id", "z"), eq("id", "")],
    )
    .await
}

async fn a_selection_by_another_field(subject: &dyn Subject) -> Kept {
    let some = [
        eq("market", "GB"),
        eq("market", ""),
        eq("page", 0),
        eq("page", 1),
    ];
    agree(subject, &some, &[eq("market", "FR"), eq("page", 2)]).await
}

async fn a_selection_by_an_absent_field(subject: &dyn Subject) -> Kept {
    let some = [
        eq("market", FieldValue::Absent),
        eq("page", FieldValue::Absent),
    ];
    agree(subject, &some, &[eq("id", FieldValue::Absent)]).await
}

async fn a_selection_by_a_column(subject: &dyn Subject) -> Kept {
    let some = [
        eq("artist", "1"),
        eq("artist", 1),
        eq("artist", "it's 100%"),
        eq("year", 1959),
        eq("year", -1),
    ];
    agree(subject, &some, &[eq("artist", "2"), eq("year", 0)]).await
}

async fn a_selection_by_an_absent_column(subject: &dyn Subject) -> Kept {
    let some = [
        eq("artist", FieldValue::Absent),
        eq("artist", ""),
        eq("year", FieldValue::Absent),
    ];
    agree(subject, &some, &[eq("year", "")]).await
}

async fn values_are_compared_exactly(subject: &dyn Subject) -> Kept {
    let some = [
        eq("id", "x "),
        eq("market", "gb"),
        eq("artist", "1"),
        eq("artist", 1),
    ];
    let none = [
        eq("id", "x  "),
        eq("id", "%"),
        eq("id", "_"),
        eq("id", "*"),
        eq("market", "Gb"),
        eq("artist", "1.0"),
        eq("artist", "01"),
        eq("artist", "it's%"),
        eq("year", "1959"),
        eq("page", "0"),
        eq("page", ""),
    ];
    agree(subject, &some, &none).await
}

async fn a_selection_by_the_query(subject: &dyn Subject) -> Kept {
    let query = |q: &str| with(|s| s.query = Some(q.into()));
    agree(
        subject,
        &[query(""), query("a=1"), query("a=1&b=2")],
        &[query("a"), query("b=2")],
    )
    .await
}

async fn a_selection_by_a_tag(subject: &dyn Subject) -> Kept {
    let tag = |t: &str| with(|s| s.tag = Some(t.into()));
    let some = [tag("jazz"), tag("modal"), tag("Jazz"), tag("")];
    agree(
        subject,
        &some,
        &[tag("jaz"), tag("JAZZ"), tag("%"), tag("jazz,modal")],
    )
    .await
}

async fn a_selection_by_the_status(subject: &dyn Subject) -> Kept {
    let status = |code| with(|s| s.status = Some(code));
    agree(
        subject,
        &[status(200), status(203), status(404)],
        &[status(500)],
    )
    .await
}

async fn a_selection_by_the_time_stored(subject: &dyn Subject) -> Kept {
    let since = |n| with(|s| s.stored_since = Some(second(n)));
    let before = |n| with(|s| s.stored_before = Some(second(n)));
    let between = with(|s| {
        s.stored_since = Some(second(2));
        s.stored_before = Some(second(4));
    });
    agree(
        subject,
        &[since(3), since(6), before(1), before(4), between],
        &[since(7), before(0)],
    )
    .await
}

async fn a_selection_by_the_time_changed(subject: &dyn Subject) -> Kept {
    let since = |n| with(|s| s.changed_since = Some(second(n)));
    let before = |n| with(|s| s.changed_before = Some(second(n)));
    let between = with(|s| {
        s.changed_since = Some(second(5));
        s.changed_before = Some(second(6));
    });
    agree(
        subject,
        &[since(1), since(10), before(1), before(8), between],
        &[since(11), before(0)],
    )
    .await
}

/// One condition of each kind.
fn conditions() -> Kept<Vec<Selection>> {
    Ok(vec![
        eq("id", "x"),
        eq("market", "GB"),
        eq("page", FieldValue::Absent),
        eq("artist", 1),
        eq("year", FieldValue::Absent),
        with(|s| s.scope = Scope::Live),
        with(|s| s.scope = Scope::Expired),
        Selection::default().within(Partition::PUBLIC).scan(),
        Selection::default()
            .within(Partition::principal("alice")?)
            .scan(),
        with(|s| s.query = Some("a=1".into())),
        with(|s| s.tag = Some("jazz".into())),
        with(|s| s.status = Some(203)),
        with(|s| s.stored_since = Some(second(2))),
        with(|s| s.stored_before = Some(second(5))),
        with(|s| s.changed_since = Some(second(3))),
        with(|s| s.changed_before = Some(second(9))),
    ])
}

fn both(a: &Selection, b: &Selection) -> Selection {
    with(|s| {
        s.scope = if a.scope == Scope::All {
            b.scope
        } else {
            a.scope
        };
        s.partition = a.partition.clone().or_else(|| b.partition.clone());
        s.conditions = [a.conditions.as_slice(), &b.conditions].concat();
        s.query = a.query.clone().or_else(|| b.query.clone());
        s.tag = a.tag.clone().or_else(|| b.tag.clone());
        s.status = a.status.or(b.status);
        s.stored_since = a.stored_since.or(b.stored_since);
        s.stored_before = a.stored_before.or(b.stored_before);
        s.changed_since = a.changed_since.or(b.changed_since);
        s.changed_before = a.changed_before.or(b.changed_before);
    })
}

async fn all_conditions_hold(subject: &dyn Subject) -> Kept {
    let (t, entries) = filled(subject).await?;
    let all = conditions()?;
    let mut some = 0;
    for (i, a) in all.iter().enumerate() {
        for b in all.iter().skip(i + 1) {
            some += u64::from(agrees(&t, &entries, &both(a, b)).await? > 0);
        }
    }
    ensure!(
        some > 80,
        "only {some} of the suite's pairs cover something"
    );
    Ok(())
}

async fn many_conditions_hold(subject: &dyn Subject) -> Kept {
    let (t, entries) = filled(subject).await?;
    let mut which = Selection::default().scan();
    for condition in conditions()? {
        which = both(&which, &condition);
        agrees(&t, &entries, &which).await?;
    }
    // The same with the values that one entry has.
    for entry in entries.iter().take(8) {
        let address = &entry.id.address;
        let mut which = with(|s| {
            s.partition = Some(address.partition.clone());
            s.query = Some(address.key.query().into());
            s.status = Some(entry.meta.head.status().as_u16());
            s.stored_since = Some(entry.meta.stored_at);
            s.changed_since = Some(entry.meta.changed_at);
            s.tag = entry.meta.tags.first().cloned();
        });
        for (name, value) in ["id", "market", "page"].iter().zip(address.key.fields()) {
            which = which.eq(name, value.to_value());
        }
        for (name, value) in ["artist", "year"].iter().zip(entry.meta.columns.iter()) {
            which = which.eq(name, value.clone());
        }
        ensure!(
            agrees(&t, &entries, &which).await? > 0,
            "nothing is in {which:?}"
        );
    }
    Ok(())
}

async fn an_empty_selection_covers_everything(subject: &dyn Subject) -> Kept {
    let (t, entries) = filled(subject).await?;
    same!(
        agrees(&t, &entries, &Selection::default()).await?,
        entries.len() as u64,
        "entries covered"
    );
    Ok(())
}

async fn a_selection_of_nothing_changes_nothing(subject: &dyn Subject) -> Kept {
    let (t, entries) = filled(subject).await?;
    let which = eq("id", "nothing");
    same!(agrees(&t, &entries, &which).await?, 0, "entries covered");
    same!(
        t.table.clear(&which, 1000, NOW).await?,
        0,
        "entries cleared"
    );
    same!(t.all(NOW).await?, entries.len() as u64, "entries left");
    Ok(())
}

async fn a_clear_returns_what_a_count_said(subject: &dyn Subject) -> Kept {
    let (t, entries) = (Trial::start(subject).await?, entries()?);
    for which in &conditions()? {
        t.write(T0, entries.iter().cloned()).await?;
        let said = t.count(which, NOW).await?;
        same!(
            t.table.clear(which, 1000, NOW).await?,
            said,
            "entries cleared in {which:?}"
        );
        same!(t.count(which, NOW).await?, 0, "entries left in {which:?}");
        let left = entries
            .iter()
            .filter(|e| !which.covers(e, t.table.spec(), NOW));
        let found = t.scan(&Selection::default(), NOW).await?;
        same!(
            ids(found.iter().map(|e| &**e)),
            ids(left),
            "entries left after {which:?}"
        );
        t.table.clear(&Selection::default(), 1000, NOW).await?;
    }
    Ok(())
}

async fn a_clear_stops_at_its_limit(subject: &dyn Subject) -> Kept {
    let (t, _) = filled(subject).await?;
    let which = Selection::default();
    let mut cleared = Vec::new();
    loop {
        match t.table.clear(&which, 25, NOW).await? {
            0 => break,
            n => cleared.push(n),
        }
        ensure!(
            cleared.len() < 100,
            "it does not come to an end: {cleared:?}"
        );
    }
    ensure!(
        cleared.iter().all(|n| *n <= 25),
        "more than the limit of 25 was cleared: {cleared:?}"
    );
    same!(cleared.iter().sum::<u64>(), 60, "entries cleared");
    same!(t.all(NOW).await?, 0, "entries left");
    Ok(())
}

async fn a_limit_of_zero_clears_nothing(subject: &dyn Subject) -> Kept {
    let (t, entries) = filled(subject).await?;
    same!(
        t.table.clear(&Selection::default(), 0, NOW).await?,
        0,
        "entries cleared"
    );
    same!(t.all(NOW).await?, entries.len() as u64, "entries left");
    Ok(())
}

async fn a_scan_gives_each_entry_once(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let many = (0..700)
        .map(|i| entry(&i.to_string()))
        .collect::<Kept<Vec<_>>>()?;
    t.write(T0, many.iter().cloned()).await?;
    let found = t.scan(&Selection::default(), T0).await?;
    same!(
        ids(found.iter().map(|e| &**e)),
        ids(&many),
        "entries scanned"
    );
    Ok(())
}

async fn a_scan_may_be_dropped(subject: &dyn Subject) -> Kept {
    let (t, entries) = filled(subject).await?;
    let which = Selection::default();
    for taken in 0..20 {
        let mut scan = t.table.scan(&which, Parts::Whole, NOW);
        for _ in 0..taken {
            scan.next().await.transpose()?;
        }
    }
    agrees(&t, &entries, &which).await?;
    t.write(NOW, [entry("after")?]).await
}

async fn a_scan_may_meet_a_write(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let many = (0..300)
        .map(|i| entry(&i.to_string()))
        .collect::<Kept<Vec<_>>>()?;
    t.write(T0, many).await?;
    let which = Selection::default();
    let mut seen = Vec::new();
    {
        let mut scan = t.table.scan(&which, Parts::Whole, T0);
        while let Some(entry) = scan.next().await.transpose()? {
            if seen.len() == 10 {
                t.write(T0, [self::entry("late")?]).await?;
                t.table.delete(&[address("299")?], T0).await?;
            }
            seen.push(entry.id.clone());
        }
    }
    let scanned = seen.len();
    seen.sort();
    seen.dedup();
    same!(seen.len(), scanned, "different entries in the scan");
    ensure!(
        (299..=301).contains(&scanned),
        "{scanned} of 300 entries were scanned"
    );
    same!(t.all(T0).await?, 300, "entries held");
    Ok(())
}
