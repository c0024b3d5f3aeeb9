//! What a server does when its memory is full.

/// What the server of a store does when its memory is full, as it says itself: see [`Store::memory_policy`](super::Store::memory_policy).
///
/// ```
/// use restow::store::MemoryPolicy;
/// let policy = MemoryPolicy::new(900, Some(1_000), "allkeys-lru");
/// assert!(policy.removes_entries());
/// assert!(policy.advice().is_some_and(|advice| advice.contains("volatile-lru")));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPolicy {
    /// Bytes of memory it uses.
    pub used: u64,
    /// The most it may use (`maxmemory`); `None` for as much as there is.
    pub most: Option<u64>,
    /// Its `maxmemory-policy`: `noeviction`, `volatile-lru`, `allkeys-lru`, and so on; empty where it does not tell.
    pub policy: String,
}

impl MemoryPolicy {
    /// Makes one: bytes used, the most bytes, and the name of the policy.
    pub fn new(used: u64, most: Option<u64>, policy: impl Into<String>) -> Self {
        Self {
            used,
            most,
            policy: policy.into(),
        }
    }

    /// Tells whether the server may remove entries by itself before they expire.
    pub fn removes_entries(&self) -> bool {
        self.most.is_some() && !matches!(self.policy.as_str(), "noeviction" | "")
    }

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
