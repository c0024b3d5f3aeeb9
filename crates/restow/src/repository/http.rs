//! Answers of an API that the program itself hands over.

use super::{keeps_out, view::Whose};
use crate::{
    Millis, Mode, RawKey, Result,
    context::{Context, Mount},
    endpoint::{Rejection, RequestHead},
    entry::{Address, Entry},
    exchange::{
        Asked, origin, partition,
        save::{self, Arrived},
    },
    store::{self, Write},
};
use bytes::Bytes;
use http::{header::CONTENT_LENGTH, request::Parts};
use std::sync::Arc;

/// What it takes to store an answer: the endpoint, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) mount: &'a Mount,
    pub(crate) whose: &'a Whose,
    pub(crate) now: Millis,
}

impl Offer<'_> {
    /// Makes the entry of an answer, or says which rule refuses it.
    pub(crate) async fn entry(
        &self,
        request: &Parts,
        key: RawKey,
        response: &http::Response<Bytes>,
    ) -> Result<Result<Entry, Rejection>> {
        let Self {
            ctx, mount, now, ..
        } = *self;
        ctx.check_secret().map_err(|e| self.named(e))?;
        let head = RequestHead::from(request);
        let owner = partition::owner(ctx, mount, &head, self.whose.named());
        let mode = request
            .extensions
            .get::<Mode>()
            .copied()
            .unwrap_or_else(|| ctx.mode());
        if keeps_out(mode) {
            return Ok(Err(Rejection::Mode));
        }
        let asked = Asked {
            keyed: true,
            method: request.method.clone(),
            headers: request.headers.clone(),
            origin: origin(&head.target),
            host: head.target.host.to_ascii_lowercase().into(),
            // The program's own word counts more than what a mode says of fetching.
            mode: Mode::Live,
            known: owner.known,
            shared: owner.shared,
            common: owner.common,
            limited: partition::limited(ctx, mount, &head, &owner),
            coding: None,
            at: now,
            removals: ctx.removals.count(),
        };
        let address = Address {
            key,
            partition: owner.partition,
        };
        let facts = ctx.facts(response.status(), response.headers(), now, now);
        let mut arrived = Arrived {
            status: response.status(),
            headers: response.headers().clone(),
            url: None,
            at: now,
            facts,
        };
        let body = response.body();
        if body.len() as u64 > mount.rules().max_body {
            return Ok(Err(Rejection::TooLarge));
        }
        let announced = arrived
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|len| len != body.len()) {
            return Ok(Err(Rejection::Policy(restow_policy::rule::PARTIAL)));
        }
        let found = mount
            .table
            .read(&address, store::Parts::Meta, now)
            .await
            .map_err(|e| self.named(e))?;
        let held = found.iter().max_by_key(|e| e.meta.stored_at);
        if let Some(rule) = save::refused_by_head(mount, &asked, &arrived, held.map(|e| &**e)) {
            return Ok(Err(rule));
        }
        // The request's own URL may hold a credential; the key holds none.
        arrived.url = mount
            .endpoint
            .request(&address.key)
            .ok()
            .map(|r| r.uri().to_string());
        Ok(save::entry(
            ctx,
            mount,
            &asked,
            &address,
            &arrived,
            body.clone(),
        ))
    }

    /// Stores entries, all or none.
    pub(crate) async fn store(&self, entries: Vec<Entry>) -> Result<()> {
        let writes: Vec<Write> = entries
            .into_iter()
            .map(|entry| Write {
                entry: Arc::new(entry),
                fence: None,
            })
            .collect();
        if writes.is_empty() {
            return Ok(());
        }
        self.mount
            .table
            .write(&writes, self.now)
            .await
            .map_err(|e| self.named(e))?;
        self.mount.stored(writes.iter().map(|w| &*w.entry));
        Ok(())
    }

    fn named(&self, error: crate::Error) -> crate::Error {
        self.mount.endpoint.declaration().named(error)
    }
}
