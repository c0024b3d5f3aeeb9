//! `restow import requests-cache FILE`.

use super::foreign::ForeignArgs;
use crate::{cli::Global, exit::Failure, output::Out, session::Session};
use clap::Args;
use restow::{Clock as _, SystemClock, moving::foreign::requests_cache};

/// Takes over the SQLite file of the Python library requests-cache: each response to the endpoint that its request belongs to.
///
/// It reads what is serialized by pickle (the default) or json. A pickle is never executed: one that holds more than plain values is left. An
/// answer belongs to the credential that its request showed, else to the public; --principal names somebody else.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  restow import requests-cache http_cache.sqlite --dry-run
  restow import requests-cache http_cache.sqlite --principal me")]
pub(super) struct RequestsCache {
    #[command(flatten)]
    common: ForeignArgs,
}

impl RequestsCache {
    pub(super) async fn run(self, global: &Global, out: &mut Out) -> Result<(), Failure> {
        let path = self.common.file.clone();
        let begin = |session: &Session, options| {
            requests_cache(&session.cache, path, options, SystemClock.now())
        };
        self.common.run(global, out, begin).await
    }
}
