//! Lifetimes: live before `expires_at`, expired within `keep`, gone from then on.

use super::{Subject, kit::*};
use crate::{
    Millis, Scope, Selection,
    entry::Entry,
    store::{Parts, TableSpec},
};
use futures_util::future::join_all;
use std::time::Duration;

promises! {
    an_entry_is_live_before_its_expiry: "An entry counts as live until the millisecond before expires_at, and as expired at it.",
    an_expired_entry_is_read: "read gives expired entries: what to do with them is not the store's to decide.",
    past_keep_an_entry_is_gone: "An entry is retained until the millisecond before expires_at + keep, and gone at it.",
    what_is_gone_is_not_read: "read and read_many do not give what is past its keep.",
    who_reads_at_once_sees_his_own_time: "Reads that are under way at once each see what is retained at the time they were told.",
    what_is_gone_is_not_counted: "count, scan and stats do not see what is past its keep, in any scope.",
    what_is_gone_is_not_removed_twice: "clear and delete return 0 for what is past its keep.",
    what_is_gone_cannot_be_renewed: "renew leaves what is past its keep where it is.",
    what_is_gone_can_be_written: "An address whose entry is past its keep can be written again.",
    a_keep_of_zero_keeps_nothing: "With a keep of zero an entry is gone when it expires.",
    a_keep_may_have_no_end: "With the longest keep, an expired entry is never gone.",
    an_entry_may_never_expire: "An entry without expiry is live at any time.",
    what_expired_before_it_was_written_is_kept: "An entry that is written with an expiry in the past is kept like any other.",
    everything_is_live_or_expired: "count(All) is count(Live) + count(Expired), at any time.",
    scopes_select_by_the_time_given: "scan and clear follow the scope at the time they are told.",
    the_clock_may_go_back: "An entry that was seen expired is live at an earlier time.",
}

fn scope(scope: Scope) -> Selection {
    Selection::new(scope)
}

async fn counts(t: &Trial, now: Millis) -> Kept<[u64; 3]> {
    Ok([
        t.count(&scope(Scope::All), now).await?,
        t.count(&scope(Scope::Live), now).await?,
        t.count(&scope(Scope::Expired), now).await?,
    ])
}

fn gone(id: &str) -> Kept<Entry> {
    Ok(entry(id)?.stored(T0.minus(2 * DAY).minus(KEEP)))
}

async fn an_entry_is_live_before_its_expiry(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let expiry = T0.plus(DAY);
    t.write(T0, [entry("a")?.expires(expiry)]).await?;
    same!(
        counts(&t, expiry.minus(MS)).await?,
        [1, 1, 0],
        "all, live, expired before"
    );
    same!(
        counts(&t, expiry).await?,
        [1, 0, 1],
        "all, live, expired at expires_at"
    );
    Ok(())
}

async fn an_expired_entry_is_read(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let now = T0.plus(2 * DAY);
    same_entry(&*t.one(&address("a")?, now).await?, &entry("a")?)
}

async fn past_keep_an_entry_is_gone(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let end = T0.plus(DAY).plus(KEEP);
    same!(
        counts(&t, end.minus(MS)).await?,
        [1, 0, 1],
        "all, live, expired before the end of keep"
    );
    same!(
        t.read(&address("a")?, end.minus(MS)).await?.len(),
        1,
        "entries read before the end of keep"
    );
    same!(
        counts(&t, end).await?,
        [0, 0, 0],
        "all, live, expired at the end of keep"
    );
    same!(
        t.read(&address("a")?, end).await?.len(),
        0,
        "entries read at the end of keep"
    );
    Ok(())
}

async fn what_is_gone_is_not_read(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [gone("a")?, entry("a")?.variant(1), gone("b")?])
        .await?;
    let at = [address("a")?, address("b")?];
    let many = t.table.read_many(&at, Parts::Meta, T0).await?;
    let lens: Vec<_> = many.iter().map(crate::entry::Found::len).collect();
    same!(lens, [1, 0], "entries found by read_many");
    same!(
        t.one(&address("a")?, T0).await?.id.variant.0,
        1,
        "variant read"
    );
    same!(t.read(&address("b")?, T0).await?.len(), 0, "entries read");
    Ok(())
}

async fn who_reads_at_once_sees_his_own_time(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let (at, end) = (address("a")?, T0.plus(DAY).plus(KEEP));
    let times = [end, end, end.minus(MS), end, end.minus(MS)];
    let read = join_all(times.map(|now| t.read(&at, now))).await;
    let read: Vec<_> = read.into_iter().collect::<Kept<_>>()?;
    let lens: Vec<_> = read.iter().map(Vec::len).collect();
    same!(lens, [0, 0, 1, 0, 1], "entries found by each");
    Ok(())
}

async fn what_is_gone_is_not_counted(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [gone("a")?, gone("b")?]).await?;
    same!(counts(&t, T0).await?, [0, 0, 0], "all, live, expired");
    for which in [Scope::All, Scope::Live, Scope::Expired] {
        same!(t.scan(&scope(which), T0).await?.len(), 0, "entries scanned");
    }
    let stats = t.table.stats(T0).await?;
    if stats.exact {
        same!(
            (stats.entries, stats.bytes, stats.oldest),
            (0, 0, None),
            "entries, bytes, oldest"
        );
    }
    Ok(())
}

async fn what_is_gone_is_not_removed_twice(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [gone("a")?, gone("b")?]).await?;
    same!(
        t.table.delete(&[address("a")?], T0).await?,
        0,
        "addresses deleted"
    );
    same!(
        t.table.clear(&scope(Scope::All), 10, T0).await?,
        0,
        "entries cleared"
    );
    Ok(())
}

async fn what_is_gone_cannot_be_renewed(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let read = t.one(&address("a")?, T0).await?;
    let now = T0.plus(DAY).plus(KEEP);
    let mut meta = read.meta.clone();
    meta.expires_at = Millis::MAX;
    same!(t.renew(now, &read, meta).await?, 0, "entries renewed");
    same!(t.all(now).await?, 0, "entries held");
    Ok(())
}

async fn what_is_gone_can_be_written(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [gone("a")?.body("old")]).await?;
    t.comes_back(entry("a")?).await?;
    same!(t.all(T0).await?, 1, "entries held");
    Ok(())
}

async fn a_keep_of_zero_keeps_nothing(subject: &dyn Subject) -> Kept {
    let spec = TableSpec {
        keep: Duration::ZERO,
        ..spec()?
    };
    let t = Trial::with(subject, &spec).await?;
    t.write(T0, [entry("a")?]).await?;
    let expiry = T0.plus(DAY);
    same!(
        counts(&t, expiry.minus(MS)).await?,
        [1, 1, 0],
        "all, live, expired before"
    );
    same!(
        counts(&t, expiry).await?,
        [0, 0, 0],
        "all, live, expired at expires_at"
    );
    same!(
        t.read(&address("a")?, expiry).await?.len(),
        0,
        "entries read"
    );
    Ok(())
}

async fn a_keep_may_have_no_end(subject: &dyn Subject) -> Kept {
    let spec = TableSpec {
        keep: Duration::MAX,
        ..spec()?
    };
    let t = Trial::with(subject, &spec).await?;
    t.write(T0, [entry("a")?]).await?;
    let late = Millis(i64::MAX - 1);
    same!(counts(&t, late).await?, [1, 0, 1], "all, live, expired");
    same!(t.table.sweep(10, late).await?, 0, "entries swept");
    t.one(&address("a")?, late).await?;
    Ok(())
}

async fn an_entry_may_never_expire(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.expires(Millis::MAX)]).await?;
    let late = Millis(i64::MAX - 1);
    same!(counts(&t, late).await?, [1, 1, 0], "all, live, expired");
    same!(t.table.sweep(10, late).await?, 0, "entries swept");
    t.one(&address("a")?, late).await?;
    Ok(())
}

async fn what_expired_before_it_was_written_is_kept(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?.expires(T0.minus(DAY))]).await?;
    same!(counts(&t, T0).await?, [1, 0, 1], "all, live, expired");
    t.one(&address("a")?, T0).await?;
    Ok(())
}

async fn everything_is_live_or_expired(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let entries = (0..12).map(|i| Ok(entry(&i.to_string())?.expires(T0.plus(i * DAY))));
    t.write(T0, entries.collect::<Kept<Vec<_>>>()?).await?;
    for day in 0..25_u64 {
        let now = T0.plus(Duration::from_secs(day * 86_400));
        let [all, live, expired] = counts(&t, now).await?;
        same!(all, live + expired, "count(All) on day {day}");
        // Entry i expires on day i and is kept for ten days.
        let wanted = (
            11_u64.saturating_sub(day),
            21_u64.saturating_sub(day).min(12),
        );
        same!((live, all), wanted, "live and all on day {day}");
    }
    Ok(())
}

async fn scopes_select_by_the_time_given(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    let (short, long) = (entry("short")?, entry("long")?.expires(T0.plus(5 * DAY)));
    t.write(T0, [short.clone(), long.clone()]).await?;
    let now = T0.plus(2 * DAY);
    for (which, wanted) in [(Scope::Live, &long), (Scope::Expired, &short)] {
        let found = t.scan(&scope(which), now).await?;
        same!(
            ids(found.iter().map(|e| &**e)),
            ids([wanted]),
            "entries in {which:?}"
        );
    }
    same!(
        t.table.clear(&scope(Scope::Expired), 10, now).await?,
        1,
        "entries cleared"
    );
    let left = t.scan(&scope(Scope::All), now).await?;
    same!(ids(left.iter().map(|e| &**e)), ids([&long]), "entries left");
    same!(
        t.table.clear(&scope(Scope::Live), 10, now).await?,
        1,
        "entries cleared"
    );
    Ok(())
}

async fn the_clock_may_go_back(subject: &dyn Subject) -> Kept {
    let t = Trial::start(subject).await?;
    t.write(T0, [entry("a")?]).await?;
    let later = T0.plus(2 * DAY);
    same!(
        counts(&t, later).await?,
        [1, 0, 1],
        "all, live, expired later"
    );
    t.one(&address("a")?, later).await?;
    same!(
        counts(&t, T0.minus(DAY)).await?,
        [1, 1, 0],
        "all, live, expired earlier"
    );
    Ok(())
}
