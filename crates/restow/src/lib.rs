//! A response cache for REST APIs.
