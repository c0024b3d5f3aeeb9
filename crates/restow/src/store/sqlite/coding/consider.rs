//! When a dictionary is made without being asked for, and what follows.

use super::{
    super::{
        counts,
        engine::{Engine, Pace},
        error::Attempt,
        rows::Rows,
    },
    dictionary::{self, Made},
    rewrite::rewrite,
    train::{Trained, Turn, train},
};
use crate::{Millis, Result};
use futures_util::TryStreamExt;
use rusqlite::Connection;
use std::sync::Arc;

/// A repository gets its first dictionary when it holds so many entries.
const ENOUGH: i64 = 500;
/// What came before the first dictionary is coded anew, where it is no more than this.
const CATCH_UP: i64 = 20_000;
/// A dictionary is made anew when the repository has grown so many times.
const GROWTH: i64 = 100;

/// Makes a dictionary where it is time for one; what fails is tried again later.
pub(in super::super) async fn consider(engine: Arc<Engine>, turn: Turn, now: Millis) {
    let rows = &turn.0;
    let at = rows.clone();
    let wanted = engine
        .read_later(Pace::Scan, move |conn| is_wanted(conn, &at))
        .await;
    let done = match wanted {
        Ok(Wanted::No) => return,
        Ok(Wanted::First) => match train(&engine, rows, now).await {
            Ok(Some(trained)) if trained.dictionary.is_some() => {
                catch_up(&engine, rows).await.map(|()| Some(trained))
            }
            done => done,
        },
        Ok(Wanted::Another) => train(&engine, rows, now).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(Some(Trained {
            dictionary: Some(_),
            ..
        })) => {}
        Ok(_) => rows.coder.watched().was_futile(),
        Err(error) => {
            tracing::debug!(%error, "no dictionary was made; it is tried again later");
        }
    }
}

/// Codes what came before the first dictionary: who fills a repository fast is ahead of the training.
async fn catch_up(engine: &Engine, rows: &Arc<Rows>) -> Result<()> {
    let at = rows.clone();
    let held = engine
        .read_later(Pace::Scan, move |conn| counts::total(conn, &at, None))
        .await?;
    if held.0 <= CATCH_UP {
        rewrite(engine, rows.clone())
            .try_for_each(|_| std::future::ready(Ok(())))
            .await?;
    }
    Ok(())
}

/// Whether it is time for a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    No,
    First,
    Another,
}

fn is_wanted(conn: &Connection, rows: &Rows) -> Attempt<Wanted> {
    let (held, _) = counts::total(conn, rows, None)?;
    let made = dictionary::made(conn, rows.spec.name.as_str())?;
    let usable = match made {
        Some(Made { id, .. }) => dictionary::load(conn, id)?.is_some(),
        None => false,
    };
    let Some(Made { entries, .. }) = made.filter(|_| usable) else {
        return Ok(match held >= ENOUGH {
            true => Wanted::First,
            false => Wanted::No,
        });
    };
    let worse = rows.coder.watched().take_worse();
    Ok(
        match worse || held >= entries.max(ENOUGH).saturating_mul(GROWTH) {
            true => Wanted::Another,
            false => Wanted::No,
        },
    )
}
