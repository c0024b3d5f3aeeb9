//! Replacing the settings of a proxy that runs: by SIGHUP, by a change of a file, or by an operator.

use super::{
    setup::{Fixed, Plan, Setup},
    watch::Watch,
};
use crate::exit::{Exit, Failure};
use restow::{Mode, client::BoxError};
use restow_proxy::{Admin, Proxy as Server};
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Lets an operator ask for a reload, and be told what came of it.
#[derive(Clone, Debug)]
pub(super) struct Ask(mpsc::Sender<oneshot::Sender<Told>>);

/// The settings that stay as they are, or what is wrong.
type Told = Result<Vec<String>, String>;

impl Ask {
    pub(super) async fn reload(self) -> Result<Vec<String>, BoxError> {
        let (tell, told) = oneshot::channel();
        let gone = |_| BoxError::from("the proxy is about to stop");
        self.0
            .send(tell)
            .await
            .map_err(|_| BoxError::from("the proxy is about to stop"))?;
        Ok(told.await.map_err(gone)??)
    }
}

/// Replaces the settings of a proxy.
pub(super) struct Reloader {
    setup: Setup,
    server: Server,
    fixed: Fixed,
    mode: Option<Mode>,
    watch: Watch,
    asked: mpsc::Receiver<oneshot::Sender<Told>>,
    hangup: Hangup,
    quiet: bool,
}

impl Reloader {
    pub(super) fn new(
        setup: Setup,
        server: Server,
        fixed: Fixed,
        mode: Option<Mode>,
        watch: Watch,
        quiet: bool,
    ) -> Result<(Self, Ask), Failure> {
        let (ask, asked) = mpsc::channel(1);
        let reloader = Self {
            setup,
            server,
            fixed,
            mode,
            watch,
            asked,
            hangup: Hangup::new()?,
            quiet,
        };
        Ok((reloader, Ask(ask)))
    }

    /// Waits for reasons to reload, until the proxy stops.
    pub(super) async fn run(mut self, admin: Admin, mut stopped: watch::Receiver<bool>) {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = self.hangup.heard() => { _ = self.reload(&admin).await; }
                Some(tell) = self.asked.recv() => {
                    // Whoever asked may have gone.
                    _ = tell.send(self.reload(&admin).await);
                }
                _ = look.tick() => if self.watch.changed().await {
                    _ = self.reload(&admin).await;
                }
            }
        }
    }

    /// Reloads, and tells of it.
    async fn reload(&mut self, admin: &Admin) -> Told {
        match self.replace(admin).await {
            Ok(kept) => {
                for name in &kept {
                    tracing::warn!(target: "restow", "{name} was changed, and is as it was until the proxy is started again");
                }
                if !self.quiet {
                    anstream::eprintln!("the settings were read anew");
                }
                Ok(kept)
            }
            Err(failure) => {
                let why = failure.line();
                tracing::error!(target: "restow", %why, "the new settings are refused, and those before stay");
                Err(why)
            }
        }
    }

    async fn replace(&mut self, admin: &Admin) -> Result<Vec<String>, Failure> {
        let opened = async {
            let plan = self.setup.watched(&mut self.watch).await?;
            let cache = plan.open_over(&self.server.cache()).await?;
            Ok((plan, cache))
        };
        let (plan, cache) = opened
            .await
            .inspect_err(|_: &Failure| self.server.refuse_reload())?;
        let Plan {
            upstreams,
            options,
            fixed,
            mode,
            token,
            ..
        } = plan;
        self.server.reload(cache, upstreams, options).await?;
        // An operator's mode stays until the configuration says another.
        if mode != self.mode {
            self.server.cache().set_mode(mode.unwrap_or_default());
            self.mode = mode;
        }
        let kept = self.fixed.changed(&fixed);
        if let Some(token) = token
            && self.fixed.has_token == fixed.has_token
        {
            admin.set_token(&token);
        }
        Ok(kept)
    }
}

/// SIGHUP, where there is such a thing.
struct Hangup(#[cfg(unix)] tokio::signal::unix::Signal);

impl Hangup {
    fn new() -> Result<Self, Failure> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let hangup = signal(SignalKind::hangup()).map_err(|e| {
                Failure::new(Exit::Store, "the signal to reload cannot be heard").because(e)
            })?;
            Ok(Self(hangup))
        }
        #[cfg(not(unix))]
        Ok(Self())
    }

    async fn heard(&mut self) {
        #[cfg(unix)]
        if self.0.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}
