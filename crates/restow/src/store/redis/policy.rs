//! What the server does when its memory is full.

use super::{core::Core, link::Lost, schema::from};
use crate::{Result, store::MemoryPolicy};
use redis::cmd;

/// Asks the server; of a cluster, one of them.
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
    Ok(MemoryPolicy::new(
        number("used_memory").unwrap_or_default(),
        number("maxmemory").filter(|most| *most > 0),
        field("maxmemory_policy").unwrap_or_default(),
    ))
}
