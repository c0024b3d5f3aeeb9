//! Partitions: what is somebody's is nobody else's.

use super::{Subject, kit::*};
use crate::{
    Selection,
    entry::{Address, Partition},
};

promises! {
    nobody_reads_anothers_entry: "An entry is found in its own partition only: public, a principal's, a credential's.",
    partitions_come_back: "The partition comes back with the entry, from reads and scans.",
    principals_that_look_alike_are_apart: "Principals that differ in case, blanks or script are apart, and a principal named like a credential is no credential.",
    a_write_stays_in_its_partition: "Writing an entry leaves the same key in other partitions.",
    a_delete_stays_in_its_partition: "Deleting an address leaves the same key in other partitions.",
    a_renewal_stays_in_its_partition: "Renewing an entry leaves the same key in other partitions.",
    selections_cover_one_partition_or_all: "count and scan cover one partition, public too, or everyone's.",
    a_clear_stays_in_its_partition: "clear within a partition leaves the others.",
    partitions_are_counted_as_they_are_held: "partitions tells whose entries there are, and how many each has, after writes, renewals, deletes and clears.",
}

fn whose() -> Kept<Vec<Partition>> {
    Ok(vec![
        Partition::PUBLIC,
        Partition::principal("alice")?,
        Partition::principal("bob")?,
        Partition::credential(1),
        Partition::credential(u128::MAX),
    ])
}

fn at(partition: &Partition) -> Kept<Address> {
    Ok(Address {
        partition: partition.clone(),
        ..address("a")?
    })
}

/// Writes `a` for everybody, each with a body that says whose it is.
async fn filled(subject: &dyn Subject, whose: &[Partition]) -> Kept<Trial> {
    let t = Trial::start(subject).await?;
    for partition in whose {
        t.write(
            T0,
            [entry("a")?
                .within(partition.clone())
                .body(partition.to_string())],
        )
        .await?;
    }
    Ok(t)
}

async fn nobody_reads_anothers_entry(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    for owner in &whose {
        let t = Trial::start(subject).await?;
        t.write(T0, [entry("a")?.within(owner.clone())]).await?;
        for reader in &whose {
            let found = t.read(&at(reader)?, T0).await?.len();
            same!(
                found,
                usize::from(reader == owner),
                "what {reader} finds of {owner}"
            );
        }
    }
    Ok(())
}

async fn partitions_come_back(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    for partition in &whose {
        let got = t.one(&at(partition)?, T0).await?;
        same!(got.id.address.partition, *partition, "partition read");
        same!(got.body, partition.to_string(), "body");
    }
    for got in t.scan(&Selection::default(), T0).await? {
        same!(
            got.body,
            got.id.address.partition.to_string(),
            "body of a scanned entry"
        );
    }
    Ok(())
}

async fn principals_that_look_alike_are_apart(subject: &dyn Subject) -> Kept {
    let names = [
        "alice",
        "Alice",
        " alice",
        "alice ",
        "p:alice",
        "c:00000000000000000000000000000001",
        "public",
        "\u{e9}",
        "e\u{301}",
        "it's",
        "\"",
        "%",
        "日本",
    ];
    let mut whose = names
        .into_iter()
        .map(Partition::principal)
        .collect::<crate::Result<Vec<_>>>()?;
    whose.extend([Partition::credential(1), Partition::PUBLIC]);
    let t = filled(subject, &whose).await?;
    same!(t.all(T0).await?, whose.len() as u64, "entries held");
    for partition in &whose {
        same!(
            t.one(&at(partition)?, T0).await?.body,
            partition.to_string(),
            "body"
        );
        let which = Selection::default().within(partition.clone());
        same!(t.count(&which, T0).await?, 1, "entries of {partition}");
    }
    Ok(())
}

async fn a_write_stays_in_its_partition(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    t.write(
        T0,
        [entry("a")?
            .within(Partition::principal("alice")?)
            .body("new")],
    )
    .await?;
    same!(
        others_unchanged(&t, &whose).await?,
        4,
        "partitions left as they were"
    );
    Ok(())
}

async fn a_delete_stays_in_its_partition(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    let alice = at(&Partition::principal("alice")?)?;
    same!(t.table.delete(&[alice], T0).await?, 1, "addresses deleted");
    same!(t.all(T0).await?, 4, "entries left");
    same!(
        t.table.delete(&[at(&Partition::PUBLIC)?], T0).await?,
        1,
        "public addresses deleted"
    );
    same!(t.all(T0).await?, 3, "entries left");
    Ok(())
}

async fn a_renewal_stays_in_its_partition(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    let read = t.one(&at(&Partition::PUBLIC)?, T0).await?;
    let mut meta = read.meta.clone();
    meta.label = Some("renewed".into());
    same!(t.renew(T0, &read, meta).await?, 1, "entries renewed");
    for entry in t.scan(&Selection::default(), T0).await? {
        let wanted = entry.id.address.partition.is_public();
        same!(
            entry.meta.label.is_some(),
            wanted,
            "whether {} was renewed",
            entry.id.address.partition
        );
    }
    Ok(())
}

async fn selections_cover_one_partition_or_all(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    t.write(T0, [entry("b")?]).await?;
    same!(t.all(T0).await?, 6, "entries of everyone");
    for partition in &whose {
        let which = Selection::default().within(partition.clone());
        let wanted = if partition.is_public() { 2 } else { 1 };
        same!(t.count(&which, T0).await?, wanted, "entries of {partition}");
        let found = t.scan(&which, T0).await?;
        ensure!(
            found.iter().all(|e| e.id.address.partition == *partition),
            "a scan of {partition} gives another's entry"
        );
        same!(found.len() as u64, wanted, "entries scanned of {partition}");
    }
    let nobody = Selection::default().within(Partition::principal("carol")?);
    same!(t.count(&nobody, T0).await?, 0, "entries of carol");
    Ok(())
}

async fn a_clear_stays_in_its_partition(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    for (left, partition) in (0..5).rev().zip(&whose) {
        let which = Selection::default().within(partition.clone());
        same!(
            t.table.clear(&which, 10, T0).await?,
            1,
            "entries of {partition} cleared"
        );
        same!(t.all(T0).await?, left, "entries left");
    }
    Ok(())
}

async fn partitions_are_counted_as_they_are_held(subject: &dyn Subject) -> Kept {
    let whose = whose()?;
    let t = filled(subject, &whose).await?;
    let alice = Partition::principal("alice")?;
    // A second key for one, and a second body under a key that is there.
    t.write(T0, [entry("b")?.within(alice.clone())]).await?;
    t.write(T0, [entry("a")?.within(alice.clone()).body("new")])
        .await?;
    let count = |partition: &Partition| if *partition == alice { 2 } else { 1 };
    let mut held: Vec<_> = whose.iter().map(|p| (p.clone(), count(p))).collect();
    held.sort();
    let counted = async || -> Kept<Vec<(Partition, u64)>> {
        let mut counted = t.table.partitions(T0).await?;
        counted.sort();
        Ok(counted)
    };
    same!(counted().await?, held, "partitions and their entries");
    t.table.delete(&[at(&alice)?], T0).await?;
    let bob = Selection::default().within(Partition::principal("bob")?);
    t.table.clear(&bob, 10, T0).await?;
    held.retain(|(partition, _)| Some(partition) != bob.partition.as_ref());
    for (partition, count) in &mut held {
        if *partition == alice {
            *count = 1;
        }
    }
    same!(counted().await?, held, "partitions once some are removed");
    Ok(())
}

async fn others_unchanged(t: &Trial, whose: &[Partition]) -> Kept<usize> {
    let mut unchanged = 0;
    for partition in whose {
        let got = t.one(&at(partition)?, T0).await?;
        unchanged += usize::from(got.body == partition.to_string());
    }
    Ok(unchanged)
}
