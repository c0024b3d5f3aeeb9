//! What the server does when its memory is full.

use super::{core::Core, link::Lost, schema::from};
use crate::Result;
use redis::cmd;

/// What the server does when its memory is full, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPolicy {
    /// Bytes of memory it uses.
    pub used: u64,
    /// The most it may use; `None` for as much as there is.
    pub most: Option<u64>,
    /// Its `maxmemory-policy`: `noeviction`, `volatile-lru`, `allkeys-lru`, and so on.
    pub policy: String,
}

impl MemoryPolicy {
    /// Returns what a policy does to a cache where that is not what one wants, and the way out; `None` where it is fine.
    pub fn advice(&self) -> Option<&'static str> {
        match (self.most, self.policy.as_str()) {
            (None, _) => None,
            (Some(_), "noeviction") => Some(
                "when its memory is full, the server refuses to save; set maxmemory-policy to volatile-lru, or budgets of repositories that fit into it",
            ),
            (Some(_), policy) if policy.starts_with("allkeys") => Some(
                "when its memory is full, the server may remove the indexes and declarations as well as entries; set maxmemory-policy to volatile-lru, which removes entries alone",
            ),
            _ => None,
        }
    }
}

/// Asks the server.
pub(super) async fn read(core: &Core) -> Result<MemoryPolicy> {
    core.ready().await?;
    let mut info = cmd("INFO");
    info.arg("memory");
    let text = core.link.ask(&info, Lost::Again).await?;
    let text: String = from(core, text, "INFO")?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
    };
    let number = |name| field(name).and_then(|n| n.parse::<u64>().ok());
    Ok(MemoryPolicy {
        used: number("used_memory").unwrap_or_default(),
        most: number("maxmemory").filter(|most| *most > 0),
        policy: field("maxmemory_policy").unwrap_or_default().to_owned(),
    })
}
