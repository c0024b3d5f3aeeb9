//! Derive macro for keys.
