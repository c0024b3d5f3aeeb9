//! Requests and responses, of whatever client.

use crate::endpoint::{Account, RequestHead};
use bytes::Bytes;
use http::{Extensions, Method, request::Parts};
use std::any::Any;

/// A request, or a response that came through our client: what a cache finds an entry by.
///
/// Implemented for [`http::request::Parts`], [`http::Request`] and [`http::Response`], and with the feature `reqwest` for its requests and responses.
pub trait Message: Sync {
    /// Shows what the cache needs of it.
    fn view<R>(&self, look: impl FnOnce(MessageView<'_>) -> R) -> R;
}

/// What a cache needs of a request or a response.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum MessageView<'a> {
    /// A request.
    Request(RequestHead<'a>),
    /// The extensions of a response: an [`Answered`](crate::exchange::Answered) among them says which entry it is.
    Response(&'a Extensions),
}

impl Message for Parts {
    fn view<R>(&self, look: impl FnOnce(MessageView<'_>) -> R) -> R {
        look(MessageView::Request(self.into()))
    }
}

impl<B: Any + Sync> Message for http::Request<B> {
    fn view<R>(&self, look: impl FnOnce(MessageView<'_>) -> R) -> R {
        let body = whole(self.body());
        look(MessageView::Request(RequestHead {
            method: self.method(),
            target: self.uri().into(),
            headers: self.headers(),
            extensions: self.extensions(),
            body,
            // Of another type of body nobody knows what it holds.
            streams: body.is_none() && *self.method() == Method::POST,
            account: Account::of(self.extensions()),
        }))
    }
}

impl<B: Sync> Message for http::Response<B> {
    fn view<R>(&self, look: impl FnOnce(MessageView<'_>) -> R) -> R {
        look(MessageView::Response(self.extensions()))
    }
}

#[cfg(feature = "reqwest")]
mod of_reqwest {
    use super::{Message, MessageView};
    use crate::{endpoint::RequestHead, route::Target};
    use http::Extensions;

    impl Message for reqwest::Request {
        fn view<R>(&self, look: impl FnOnce(MessageView<'_>) -> R) -> R {
            let url = self.url();
            let body = self.body().and_then(reqwest::Body::as_bytes);
            look(MessageView::Request(RequestHead {
                method: self.method(),
                target: Target {
                    scheme: url.scheme(),
                    host: url.host_str().unwrap_or(""),
                    port: url.port(),
                    path: url.path(),
                    query: url.query(),
                },
                headers: self.headers(),
                // reqwest shows nobody the extensions of a request.
                extensions: &Extensions::new(),
                body,
                streams: self.body().is_some() && body.is_none(),
                account: &[],
            }))
        }
    }

    impl Message for reqwest::Response {
        fn view<R>(&self, look: impl FnOnce(MessageView<'_>) -> R) -> R {
            look(MessageView::Response(self.extensions()))
        }
    }
}

/// The body where its type is one that holds it as a whole.
fn whole(body: &dyn Any) -> Option<&[u8]> {
    let bytes = body.downcast_ref::<Bytes>().map(|b| &**b);
    let vec = || body.downcast_ref::<Vec<u8>>().map(Vec::as_slice);
    let text = || body.downcast_ref::<String>().map(String::as_bytes);
    let slice = || body.downcast_ref::<&'static str>().map(|s| s.as_bytes());
    bytes.or_else(vec).or_else(text).or_else(slice)
}
