//! What a call takes as a key: a key, a request, or a response.

use super::{
    Repository,
    message::{Message, MessageView},
};
use crate::{
    Endpoint, Key, RawKey, Result, entry::Address, exchange::Answered, exchange::partition,
};
use http::request::Parts;

/// What the calls of a repository take as a key: the key itself, a request, or a response that came through our client.
///
/// A key is addressed in the partition of the handle's principal, without one in the public partition. A request is
/// addressed as the client would: by the principal it carries, the handle's, or its credential.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use restow::{RouteEndpoint, Text};
/// let cache = restow::connect("memory:").await?;
/// let pages = cache.create_repository(RouteEndpoint::<String, Text>::get("pages", "https://example.com/pages/{id}")?).await?;
/// pages.save("home", &"Welcome".to_string()).await?;
///
/// let request = http::Request::get("https://example.com/pages/home").body(())?;
/// assert_eq!(pages.get(&request).await?.as_deref(), Some("Welcome"));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "get_key_from_request")]
pub trait Locate<E: Endpoint>: Sync {
    /// Returns where its entries are; `None` where it has no key in this repository.
    ///
    /// # Errors
    /// [`ErrorKind::Key`](crate::ErrorKind::Key) where a key does not fit the endpoint.
    fn locate(&self, finder: &Finder<'_, E>) -> Result<Option<Address>>;
}

/// Finds the address of a key, a request or a response in one repository: what an implementation of [`Locate`] asks.
#[derive(Debug)]
pub struct Finder<'a, E>(pub(super) &'a Repository<E>);

impl<E: Endpoint> Finder<'_, E> {
    /// Returns where the entries of a key are.
    ///
    /// # Errors
    /// [`ErrorKind::Key`](crate::ErrorKind::Key) where it does not fit the endpoint.
    pub fn key(&self, key: &E::Key) -> Result<Address> {
        let key = self
            .0
            .endpoint
            .canonical(key)
            .map_err(|e| self.0.named(e))?;
        Ok(self.raw(key))
    }

    /// Returns where the entries of a request or a response are; `None` where it is not one of this repository.
    pub fn message(&self, message: &impl Message) -> Option<Address> {
        message.view(|view| match view {
            MessageView::Request(head) => {
                let repository = self.0;
                let key = repository.mount.raw_key(&head)?;
                let mount = &repository.mount;
                let named = repository.whose.named();
                let owner = partition::owner(&repository.ctx, mount, &head, named);
                Some(Address {
                    key,
                    partition: owner.partition,
                })
            }
            MessageView::Response(extensions) => {
                let answered = extensions.get::<Answered>()?;
                let (key, partition) = answered.key.clone()?;
                if answered.repository.as_deref() != Some(self.0.name()) {
                    return None;
                }
                // A handle that names a principal never reaches another's entries.
                let named = self.0.whose.named().is_some();
                Some(if named {
                    self.raw(key)
                } else {
                    Address { key, partition }
                })
            }
        })
    }

    fn raw(&self, key: RawKey) -> Address {
        Address {
            key,
            partition: self.0.partition(),
        }
    }
}

impl<E: Endpoint<Key = K>, K: Key> Locate<E> for K {
    fn locate(&self, finder: &Finder<'_, E>) -> Result<Option<Address>> {
        finder.key(self).map(Some)
    }
}

impl<E: Endpoint<Key = String>> Locate<E> for str {
    fn locate(&self, finder: &Finder<'_, E>) -> Result<Option<Address>> {
        finder.key(&self.to_owned()).map(Some)
    }
}

impl<E: Endpoint<Key = String>> Locate<E> for &str {
    fn locate(&self, finder: &Finder<'_, E>) -> Result<Option<Address>> {
        (**self).locate(finder)
    }
}

macro_rules! locate_by_message {
    ($(($($generic:tt)*) $t:ty),+ $(,)?) => {$(
        impl<E: Endpoint, $($generic)*> Locate<E> for $t {
            fn locate(&self, finder: &Finder<'_, E>) -> Result<Option<Address>> {
                Ok(finder.message(self))
            }
        }
    )+};
}
locate_by_message!(() Parts, (B: std::any::Any + Sync) http::Request<B>, (B: Sync) http::Response<B>);

#[cfg(feature = "reqwest")]
locate_by_message!(() reqwest::Request, () reqwest::Response);
