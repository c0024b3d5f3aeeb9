//! Opening, taking and forgetting repositories.

use super::Cache;
use crate::{
    Binary, Codec, Declaration, DeclaredEndpoint, Endpoint, Error, ErrorKind, Key, Result,
    RouteEndpoint,
    context::Mount,
    registry::Unfit,
    repository::{AnyRepository, Repository, open_mount, open_stored},
    store::{TableName, TableSpec},
};
use std::sync::Arc;

impl Cache {
    /// Opens the repository of an endpoint; its table is made where there is none. From then on requests find it.
    ///
    /// Where declared columns were added to a table that is there, they are filled in from the stored bodies.
    ///
    /// # Errors
    /// [`ErrorKind::RepositoryExists`] where one of this name is open, [`ErrorKind::SchemaMismatch`] where the table has other fields or
    /// columns, [`ErrorKind::Route`] where a route is as specific as another's, [`ErrorKind::Closed`], [`ErrorKind::Store`],
    /// [`ErrorKind::Corrupt`] where what is stored of it is damaged. Of a store on a network the last two are no errors here: the repository
    /// is opened as soon as it can be, and until then its requests go to the API.
    ///
    /// # Cancel safety
    /// Dropped, the repository is not open; its table is there as a whole or not at all.
    #[doc(alias = "create")]
    #[doc(alias = "add_repository")]
    pub async fn create_repository<E: Endpoint>(&self, endpoint: E) -> Result<Repository<E>> {
        let _one_at_a_time = self.shared.opening.lock().await;
        self.create(Arc::new(endpoint)).await
    }

    /// Returns the open repository of an endpoint, or opens it.
    ///
    /// # Errors
    /// As [`create_repository`](Self::create_repository), where [`ErrorKind::RepositoryExists`] says that the open one was declared otherwise.
    ///
    /// # Cancel safety
    /// As [`create_repository`](Self::create_repository).
    pub async fn open_or_get<E: Endpoint>(&self, endpoint: E) -> Result<Repository<E>> {
        let _one_at_a_time = self.shared.opening.lock().await;
        self.shared.ctx.check_open()?;
        let name = endpoint.declaration().name.clone();
        let Some(mount) = self.mount(name.as_str()) else {
            return self.create(Arc::new(endpoint)).await;
        };
        if mount.endpoint.declaration() != endpoint.declaration() {
            let message = "it is open already and was declared otherwise; remove it first, or give one of them another name";
            return Err(
                Error::new(ErrorKind::RepositoryExists, message).in_repository(name.shared())
            );
        }
        self.downcast(&mount)
    }

    /// Opens the repository of an endpoint where its table fits; where it does not, lets the endpoint's requests bypass the cache, and
    /// returns `None`: a program that serves others starts all the same, and no other endpoint's rules are applied to them.
    ///
    /// That is logged as a warning with the way out. It ends when the repository is [opened](Self::create_repository) after all, or
    /// [removed](Self::remove).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{RouteEndpoint, Text};
    /// type Pages = RouteEndpoint<String, Text>;
    /// let cache = restow::connect("memory:").await?;
    /// cache.create_repository(Pages::get("pages", "https://example.com/pages/{id}")?).await?;
    /// cache.remove("pages");
    /// let renamed = Pages::get("pages", "https://example.com/pages/{name}")?;
    /// assert!(cache.open_or_bypass(renamed).await?.is_none());
    /// assert_eq!(cache.bypassed()[0].repository(), Some("pages"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create_repository`](Self::create_repository), but for [`ErrorKind::SchemaMismatch`].
    ///
    /// # Cancel safety
    /// As [`create_repository`](Self::create_repository).
    pub async fn open_or_bypass<E: Endpoint>(&self, endpoint: E) -> Result<Option<Repository<E>>> {
        let _one_at_a_time = self.shared.opening.lock().await;
        let endpoint = Arc::new(endpoint);
        match self.create(endpoint.clone()).await {
            Err(error) if error.kind() == ErrorKind::SchemaMismatch => {
                tracing::warn!(target: "restow", %error, "its requests bypass the cache; another name for the endpoint helps as well");
                let credentials = endpoint.declaration().rules.credentials.clone();
                let unfit = Unfit {
                    credentials: credentials
                        .unwrap_or_else(|| self.shared.ctx.defaults.credentials.clone()),
                    endpoint,
                    why: Arc::new(error),
                };
                self.shared.registry.insert_unfit(&Arc::new(unfit))?;
                Ok(None)
            }
            end => end.map(Some),
        }
    }

    /// Returns why each endpoint whose requests [bypass](Self::open_or_bypass) the cache does not fit its table; an error names its
    /// [repository](Error::repository).
    pub fn bypassed(&self) -> Vec<Arc<Error>> {
        let mounts = self.shared.registry.mounts();
        mounts.bypassed().map(|unfit| unfit.why.clone()).collect()
    }

    /// Returns the open repository of this name, as the endpoint type it was opened with.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchRepository`], or [`ErrorKind::SchemaMismatch`] where it was opened with another type.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{RouteEndpoint, Text};
    /// type Pages = RouteEndpoint<String, Text>;
    /// let cache = restow::connect("memory:").await?;
    /// cache.create_repository(Pages::get("pages", "https://example.com/pages/{id}")?).await?;
    /// let pages = cache.repository_as::<Pages>("pages")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn repository_as<E: Endpoint>(&self, name: &str) -> Result<Repository<E>> {
        let mount = self.mount(name).ok_or_else(|| self.no_such(name))?;
        self.downcast(&mount)
    }

    /// Returns the open repository of this name with a key type and a codec, whatever it was opened with: a typed view over an endpoint of a file.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchRepository`], or [`ErrorKind::SchemaMismatch`] with both lists where the key type has other fields.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> restow::Result<()> {
    /// use restow::{DeclaredEndpoint, Text};
    /// let cache = restow::connect("memory:").await?;
    /// cache.create_repository(DeclaredEndpoint::get("pages", "https://example.com/pages/{id}")?).await?;
    /// let pages = cache.typed::<String, Text>("pages")?;
    /// pages.save("home", &"Welcome".to_string()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn typed<K: Key, C: Codec + Default>(
        &self,
        name: &str,
    ) -> Result<Repository<RouteEndpoint<K, C>>> {
        let mount = self.mount(name).ok_or_else(|| self.no_such(name))?;
        let endpoint =
            RouteEndpoint::from_declaration(mount.endpoint.declaration().clone(), C::default())?;
        Ok(self.handle(Arc::new(endpoint), &mount))
    }

    /// Takes a repository of the same store into this cache, under its own name: one that was [removed](Self::remove).
    ///
    /// # Errors
    /// [`ErrorKind::RepositoryExists`], [`ErrorKind::Route`], [`ErrorKind::Closed`], or [`ErrorKind::Unsupported`] where it lives in another store.
    #[doc(alias = "__setitem__")]
    pub fn insert<E>(&self, repository: &Repository<E>) -> Result<()> {
        self.shared.ctx.check_open()?;
        if !Arc::ptr_eq(repository.store(), self.store()) {
            let message = format!(
                "it lives in {}, this cache in {}; create it here",
                repository.store(),
                self.store()
            );
            return Err(
                Error::new(ErrorKind::Unsupported, message).in_repository(repository.name())
            );
        }
        self.shared.registry.insert(repository.mount())
    }

    /// Forgets a repository: requests do not find it any more. Its table and its handles stay.
    #[doc(alias = "__delitem__")]
    #[doc(alias = "pop")]
    pub fn remove(&self, name: &str) -> Option<AnyRepository> {
        self.shared
            .registry
            .remove(name)
            .map(|mount| self.over(&mount))
    }

    /// Removes a repository with all its entries, open or not; `false` where there is none of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Name`] where no repository can have this name, [`ErrorKind::ReadOnly`], [`ErrorKind::Store`].
    ///
    /// # Cancel safety
    /// Dropped, the repository is forgotten, and its table is there as a whole or not at all.
    pub async fn drop_repository(&self, name: &str) -> Result<bool> {
        let _one_at_a_time = self.shared.opening.lock().await;
        self.shared.ctx.check_open()?;
        let table = TableName::new(name)?;
        if !self.mode().stores() {
            let message = format!(
                "nothing is removed in the mode {}; set_mode(Mode::Live) allows it",
                self.mode()
            );
            return Err(Error::new(ErrorKind::ReadOnly, message).in_repository(name));
        }
        self.shared.registry.remove(name);
        self.store()
            .remove(&table)
            .await
            .map_err(|e| e.in_repository(name))
    }

    /// Opens every repository that the store holds and this cache has not open yet, as it was declared when it was last
    /// opened: a store is of use without the program or the file that made it. Returns them all, ordered by name, but for those whose
    /// requests [bypass](Self::open_or_bypass) the cache.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, some of them may be open.
    pub async fn open_stored(&self) -> Result<Vec<AnyRepository>> {
        self.open_all(Routes::Stored).await
    }

    /// The same without their routes: they are there to be read, counted and removed, and are tidied up, but no request finds them.
    ///
    /// # Errors
    /// As [`open_stored`](Self::open_stored).
    ///
    /// # Cancel safety
    /// As [`open_stored`](Self::open_stored).
    pub async fn open_stored_unrouted(&self) -> Result<Vec<AnyRepository>> {
        self.open_all(Routes::None).await
    }

    /// Opens the repository of this name as the store holds it, with an endpoint that the program makes of the stored declaration, and changes
    /// nothing of its table; `None` where the store has no such repository, or `endpoint` makes nothing of it.
    ///
    /// # Errors
    /// [`ErrorKind::RepositoryExists`] where one of this name is open, [`ErrorKind::Route`], [`ErrorKind::Closed`], or [`ErrorKind::Store`] where the store fails.
    ///
    /// # Cancel safety
    /// Dropped, the repository is not open.
    pub async fn open_stored_as<E: Endpoint>(
        &self,
        name: &str,
        endpoint: impl FnOnce(Declaration) -> Option<E> + Send,
    ) -> Result<Option<Repository<E>>> {
        let _one_at_a_time = self.shared.opening.lock().await;
        self.shared.ctx.check_open()?;
        let tables = self.store().tables().await?;
        let Some(spec) = tables.iter().find(|spec| spec.name.as_str() == name) else {
            return Ok(None);
        };
        let Some(endpoint) = endpoint(declared_in(spec)?).map(Arc::new) else {
            return Ok(None);
        };
        let mount = open_stored(&self.shared.ctx, endpoint.clone(), spec).await?;
        self.shared.registry.insert(&mount)?;
        Ok(Some(self.handle(endpoint, &mount)))
    }

    async fn open_all(&self, routes: Routes) -> Result<Vec<AnyRepository>> {
        let _one_at_a_time = self.shared.opening.lock().await;
        self.shared.ctx.check_open()?;
        let bypassed = self.bypassed();
        let mut all = Vec::new();
        for spec in self.store().tables().await? {
            let named = |why: &Arc<Error>| why.repository() == Some(spec.name.as_str());
            let mount = match self.mount(spec.name.as_str()) {
                Some(mount) => mount,
                None if bypassed.iter().any(named) => continue,
                None => self.open_spec(&spec, routes).await?,
            };
            all.push(self.over(&mount));
        }
        Ok(all)
    }

    async fn open_spec(&self, spec: &TableSpec, routes: Routes) -> Result<Arc<Mount>> {
        let mut declaration = declared_in(spec)?;
        if routes == Routes::None {
            declaration.templates.clear();
        }
        let endpoint = DeclaredEndpoint::from_declaration(declaration.clone(), Binary)?;
        let mount = open_stored(&self.shared.ctx, Arc::new(endpoint), spec).await?;
        match self.shared.registry.insert(&mount) {
            Err(error) if error.kind() == ErrorKind::Route => {
                // An older table whose routes clash with another's is still there to be read.
                tracing::warn!(target: "restow", repository = spec.name.as_str(), %error, "opened without its routes");
                declaration.templates.clear();
                let endpoint = DeclaredEndpoint::from_declaration(declaration, Binary)?;
                let mount = open_stored(&self.shared.ctx, Arc::new(endpoint), spec).await?;
                self.shared.registry.insert(&mount)?;
                Ok(mount)
            }
            end => end.map(|()| mount),
        }
    }

    async fn create<E: Endpoint>(&self, endpoint: Arc<E>) -> Result<Repository<E>> {
        self.shared.ctx.check_open()?;
        let name = &endpoint.declaration().name;
        if self.contains_repository(name.as_str()) {
            let message = "it is open already; use open_or_get for the handle, or remove it first";
            return Err(
                Error::new(ErrorKind::RepositoryExists, message).in_repository(name.shared())
            );
        }
        let mount = open_mount(&self.shared.ctx, endpoint.clone()).await?;
        self.shared.registry.insert(&mount)?;
        Ok(self.handle(endpoint, &mount))
    }

    fn mount(&self, name: &str) -> Option<Arc<Mount>> {
        self.shared.registry.mounts().get(name).cloned()
    }

    fn downcast<E: Endpoint>(&self, mount: &Arc<Mount>) -> Result<Repository<E>> {
        let endpoint = mount
            .endpoint
            .clone()
            .into_any()
            .downcast::<E>()
            .map_err(|_| {
                let message = format!(
                    "it was not opened as a {}; use typed() for a view of it",
                    std::any::type_name::<E>()
                );
                mount
                    .endpoint
                    .declaration()
                    .named(Error::new(ErrorKind::SchemaMismatch, message))
            })?;
        Ok(self.handle(endpoint, mount))
    }

    fn handle<E>(&self, endpoint: Arc<E>, mount: &Arc<Mount>) -> Repository<E> {
        Repository::new(
            endpoint,
            mount.clone(),
            self.shared.ctx.clone(),
            self.whose.clone(),
        )
    }

    fn no_such(&self, name: &str) -> Error {
        let open: Vec<_> = self.iter().map(|r| format!("{:?}", r.name())).collect();
        let message = format!(
            "there is no open repository {name:?}; open are ({})",
            open.join(", ")
        );
        Error::new(ErrorKind::NoSuchRepository, message)
    }
}

/// By which routes requests find what is opened as it is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Routes {
    Stored,
    None,
}

/// The declaration of a table's endpoint, as it was when it was last opened.
pub(crate) fn declared_in(spec: &TableSpec) -> Result<Declaration> {
    let text = Some(&*spec.declaration).filter(|text| !text.is_empty());
    let declaration = match text.map(Declaration::from_json) {
        Some(Ok(declaration)) if declaration.fields == spec.fields => Some(declaration),
        Some(Err(error)) => {
            // Written by a newer version: what the table itself says is enough to read it.
            tracing::warn!(target: "restow", repository = spec.name.as_str(), %error, "opened without its declaration");
            None
        }
        _ => None,
    };
    declaration.map_or_else(|| declaration_of(spec), Ok)
}

/// What a table says by itself of the endpoint it is of.
fn declaration_of(spec: &TableSpec) -> Result<Declaration> {
    let mut declaration = Declaration::new(spec.name.as_str(), spec.fields.clone())?;
    declaration.method = spec.method.clone();
    declaration.codec = spec.codec.clone();
    declaration.columns = spec.columns.to_vec();
    declaration.query.defaults = spec.defaults.to_vec();
    declaration.rules.keep = Some(spec.keep);
    declaration.rules.budget = spec.budget;
    declaration.rules.max_variants = spec.max_variants;
    Ok(declaration)
}
