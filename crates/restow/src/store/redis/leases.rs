//! Leases: a hash beside the entry, and a number that grows with each of them.

use super::{
    core::Core,
    error,
    keys::{Digest, Place},
    schema::{self, from},
    script::{Call, LEASE, RELEASE, RENEW_LEASE},
};
use crate::{
    BoxFuture, Millis, Result,
    entry::Address,
    store::{Fence, Lease, Leases, TableName, lease::REMEMBERED},
};
use std::{sync::Arc, time::Duration};

#[derive(Debug)]
pub(super) struct RedisLeases(pub(super) Arc<Core>);

impl RedisLeases {
    async fn place(&self, table: &TableName) -> Result<Place> {
        self.0.ready().await?;
        if let Some(place) = self.0.place_of(table) {
            return Ok(place);
        }
        let found = schema::find(&self.0, table).await?;
        found
            .map(|stored| stored.place)
            .ok_or_else(|| error::gone().in_repository(table.shared()))
    }
}

impl Leases for RedisLeases {
    fn acquire<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<Lease>> {
        Box::pin(async move {
            let place = self.place(table).await?;
            let digest = Digest::of(at);
            let held = Millis(0).plus(hold).0;
            let mut call = Call::default();
            call.key(place.lease(&digest))
                .key(place.counts(place.bucket(&digest)))
                .number(now.0)
                .number(held)
                .number(remembered(hold));
            let answer = LEASE.run(&self.0.link, &call).await?;
            let (fence, ends): (u64, i64) = from(&self.0, answer, "the wish for a lease")?;
            Ok(match fence {
                0 => Lease::Busy {
                    until: Millis(ends),
                },
                fence => Lease::Held(Fence(fence)),
            })
        })
    }

    fn renew<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
        hold: Duration,
        now: Millis,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let place = self.place(table).await?;
            let mut call = Call::default();
            call.key(place.lease(&Digest::of(at)))
                .number(fence.0)
                .number(now.plus(hold).0)
                .number(remembered(hold));
            let answer = RENEW_LEASE.run(&self.0.link, &call).await?;
            let renewed: u64 = from(&self.0, answer, "the renewal of a lease")?;
            Ok(renewed == 1)
        })
    }

    fn release<'a>(
        &'a self,
        table: &'a TableName,
        at: &'a Address,
        fence: Fence,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let place = self.place(table).await?;
            let mut call = Call::default();
            call.key(place.lease(&Digest::of(at))).number(fence.0);
            RELEASE.run(&self.0.link, &call).await.map(drop)
        })
    }
}

/// How long the hash of a lease stays, in ms.
fn remembered(hold: Duration) -> i64 {
    let stays = Millis(0).plus(hold.saturating_add(REMEMBERED));
    stays.0.min(1 << 50)
}
