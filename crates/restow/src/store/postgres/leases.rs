//! Leases: rows that say who fetches what, each with a number that grows.

use super::{
    engine::{Engine, Of, Query, Way},
    layout::Area,
    values::{Place, Values},
};
use crate::{
    BoxFuture, Millis, Result,
    entry::Address,
    store::{Fence, Lease, Leases, TableName},
};
use std::{sync::Arc, time::Duration};
use tokio_postgres::types::Type;

/// The leases of a store.
#[derive(Debug)]
pub(super) struct PostgresLeases {
    engine: Arc<Engine>,
    acquire: Arc<Query>,
    renew: Arc<Query>,
    release: Arc<Query>,
}

impl PostgresLeases {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        let (leases, fences) = (engine.area.own("leases"), engine.area.own("fences"));
        let acquire = format!(
            "WITH taken AS (INSERT INTO {leases} AS l (repository, place, fence, until, free) \
             VALUES ($1, $2, nextval($5::regclass), $4, false) \
             ON CONFLICT (repository, place) DO UPDATE SET fence = excluded.fence, until = excluded.until, free = false \
             WHERE l.free OR l.until <= $3 RETURNING fence) \
             SELECT true, fence FROM taken UNION ALL \
             SELECT false, until FROM {leases} WHERE repository = $1 AND place = $2 AND NOT EXISTS (SELECT FROM taken)"
        );
        // Where somebody takes it at the same moment, this waits for the row and then looks at it again.
        let renew = format!(
            "UPDATE {leases} SET until = $4 WHERE repository = $1 AND place = $2 AND fence = $3 AND NOT free RETURNING true"
        );
        let release = format!(
            "UPDATE {leases} SET free = true WHERE repository = $1 AND place = $2 AND fence = $3"
        );
        Self {
            acquire: Arc::new(Query::new(
                acquire.replace(
                    "$5::regclass",
                    &format!("'{}'::regclass", fences.replace('\'', "''")),
                ),
                [Type::TEXT, Type::BYTEA, Type::INT8, Type::INT8],
            )),
            renew: Arc::new(Query::new(
                renew,
                [Type::TEXT, Type::BYTEA, Type::INT8, Type::INT8],
            )),
            release: Arc::new(Query::new(release, [Type::TEXT, Type::BYTEA, Type::INT8])),
            engine,
        }
    }
}

impl Leases for PostgresLeases {
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        let until = now.plus(hold);
        let (query, key) = (
            self.acquire.clone(),
            (table.as_str().to_owned(), Place::of(at)),
        );
        Box::pin(self.engine.change(Of::Itself, move |engine| async move {
            loop {
                let values: Values = vec![
                    Box::new(key.0.clone()),
                    Box::new(key.1),
                    Box::new(now.0),
                    Box::new(until.0),
                ];
                let answer = engine.run(Way::Once, &query, &values).await?;
                let answer = answer
                    .first()
                    .map(|row| (row.try_get(0), row.try_get::<_, i64>(1)));
                match answer {
                    Some((Ok(true), Ok(fence))) => {
                        return Ok(Lease::Held(Fence(fence.cast_unsigned())));
                    }
                    Some((Ok(false), Ok(until))) => {
                        return Ok(Lease::Busy {
                            until: Millis(until),
                        });
                    }
                    // Somebody took it for the first time between the two looks; it is there at the next.
                    _ => {}
                }
            }
        }))
    }

    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>> {
        let values: Values = vec![
            Box::new(table.as_str().to_owned()),
            Box::new(Place::of(at)),
            Box::new(fence.0.cast_signed()),
            Box::new(now.plus(hold).0),
        ];
        let query = self.renew.clone();
        Box::pin(self.engine.change(Of::Itself, move |engine| async move {
            let renewed = engine.run(Way::Change, &query, &values).await?;
            Ok(!renewed.is_empty())
        }))
    }

    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        let values: Values = vec![
            Box::new(table.as_str().to_owned()),
            Box::new(Place::of(at)),
            Box::new(fence.0.cast_signed()),
        ];
        let query = self.release.clone();
        Box::pin(self.engine.change(Of::Itself, move |engine| async move {
            engine.run(Way::Change, &query, &values).await.map(drop)
        }))
    }
}

/// The statement that forgets leases that ended until the moment that is its parameter.
pub(super) fn forget(area: &Area) -> Query {
    let leases = area.own("leases");
    let sql = format!(
        "DELETE FROM {leases} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {leases} WHERE until <= $1 LIMIT 1000 FOR UPDATE SKIP LOCKED))"
    );
    Query::new(sql, [Type::INT8])
}
