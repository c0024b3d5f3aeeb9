//! Scripts: what has to happen at once on the server.

use super::link::{Link, Lost};
use crate::Result;
use redis::{Cmd, ErrorKind, ServerErrorKind, Value};
use std::sync::LazyLock;

/// A script, known to the servers by its digest once one of them was given it.
pub(super) struct Script {
    code: String,
    name: String,
    lost: Lost,
}

macro_rules! scripts {
    ($($name:ident: $lost:ident $file:literal $($before:literal)?,)+) => {
        $(pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!($(include_str!($before),)? include_str!($file)), Lost::$lost)
        });)+
    };
}

scripts! {
    WRITE: Again "lua/write.lua" "lua/metas.lua",
    CHECK: Again "lua/check.lua",
    RENEW: Fails "lua/renew.lua" "lua/metas.lua",
    REMOVE: Fails "lua/remove.lua" "lua/metas.lua",
    NOTE: Again "lua/note.lua" "lua/metas.lua",
    RECOUNT: Again "lua/recount.lua",
    LEASE: Fails "lua/lease.lua",
    RENEW_LEASE: Again "lua/renew_lease.lua",
    RELEASE: Again "lua/release.lua",
    BEGIN: Again "lua/begin.lua",
    SWAP: Fails "lua/swap.lua",
    ADOPT: Again "lua/adopt.lua",
    END: Again "lua/end.lua",
}

impl Script {
    fn new(code: &str, lost: Lost) -> Self {
        Self {
            code: code.to_owned(),
            name: redis::Script::new(code).get_hash().to_owned(),
            lost,
        }
    }

    /// Runs it. Where the connection is lost before the answer, it may have run; what leads to the same when it runs twice is run again.
    pub(super) async fn run(&self, link: &Link, call: &Call) -> Result<Value> {
        let known = self.command("EVALSHA", &self.name, call);
        match link.try_ask(&known, self.lost).await {
            Err(e) if e.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let whole = self.command("EVAL", &self.code, call);
                link.ask(&whole, self.lost).await
            }
            answer => answer.map_err(|e| link.failed(e)),
        }
    }

    fn command(&self, verb: &str, script: &str, call: &Call) -> Cmd {
        let bytes: usize = call.keys.iter().chain(&call.args).map(Vec::len).sum();
        let mut cmd = Cmd::with_capacity(3 + call.keys.len() + call.args.len(), bytes + 64);
        cmd.arg(verb).arg(script).arg(call.keys.len());
        for part in call.keys.iter().chain(&call.args) {
            cmd.arg(part.as_slice());
        }
        cmd
    }
}

/// Keys and arguments of a script.
#[derive(Debug, Default)]
pub(super) struct Call {
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Call {
    pub(super) fn with_capacity(keys: usize, args: usize) -> Self {
        Self {
            keys: Vec::with_capacity(keys),
            args: Vec::with_capacity(args),
        }
    }

    pub(super) fn key(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.keys.push(key.into());
        self
    }

    pub(super) fn arg(&mut self, arg: impl Into<Vec<u8>>) -> &mut Self {
        self.args.push(arg.into());
        self
    }

    pub(super) fn number(&mut self, number: impl Into<i128>) -> &mut Self {
        self.arg(number.into().to_string())
    }

    pub(super) fn count(&mut self, count: usize) -> &mut Self {
        self.arg(count.to_string())
    }
}
