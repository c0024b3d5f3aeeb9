//! A body whose length the head does not tell: its bytes are counted on their way.

use crate::metrics::Metrics;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use restow::{
    client::{Body, BoxError},
    exchange::OutcomeKind,
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// A body that is counted while it goes to its client.
#[derive(Debug)]
pub(crate) struct Counted {
    body: Body,
    metrics: Arc<Metrics>,
    outcome: Option<OutcomeKind>,
}

impl Counted {
    /// Lets a body pass that belongs to the answers of this outcome.
    pub(crate) fn new(body: Body, metrics: Arc<Metrics>, outcome: Option<OutcomeKind>) -> Self {
        Self {
            body,
            metrics,
            outcome,
        }
    }
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.metrics.sent(self.outcome, bytes);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
