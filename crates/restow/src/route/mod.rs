//! Routes: URI templates read both ways, request to key and key to request, and a router over many of them.
//!
//! A template is [RFC 6570](https://www.rfc-editor.org/rfc/rfc6570) as far as it can be read backwards without doubt:
//!
//! ```text
//! https://{region}.api.example.com:8443/v1/tracks/{id}/x-{name}.{ext}{/rest*}?type=track{&market,limit:int,ids!}
//! ```
//!
//! - **Origin**: `http` or `https`, in any case; the scheme's own port is the same as none. A variable matches within one label of the host.
//! - **Path**: case-exact. A variable never matches an empty segment; a segment may mix literals and variables, and where several
//!   readings are possible the leftmost variable takes the most (a segment of many thousand readings does not match). `{+rest}` (after a
//!   `/`) and `{/rest*}` take the rest of the path; where nothing follows, `{/rest*}` is absent.
//! - **Query**: `{?a,b}`, `{&c}`; `?type=track` must be there with that value; `?user-id={user}` gives a parameter another name, and requires it.
//! - **Extensions to RFC 6570**: `{offset:int}` matches canonical decimal only (`7`, not `007` or `+7`), where the RFC's `:` is a prefix length;
//!   `{?ids!}` must be present.
//!
//! Percent-escapes are decoded once, so `%61` is `a`, and `%2F` is data of its segment. A path with a `.` or `..` segment, plain or encoded, matches
//! nothing, since clients resolve those before they send. In a query, `+` in the value of a declared parameter is a space, as browsers, Python and reqwest
//! write it; `%2B` is a plus. Were both a plus, a search for `rock roll` and one for `rock+roll` would share an answer.
//!
//! Parameters that the template does not name go by [`Undeclared`]; kept, they are one hidden part of the key: sorted by name, repeated names in their
//! order, `a` and `a=` told apart, `+` and `%20` told apart (a needless miss is better than a wrong hit).

mod binding;
mod bound;
mod expand;
mod matching;
mod parse;
mod path;
mod pattern;
mod percent;
mod precedence;
mod query;
mod router;
mod target;
mod template;

pub use bound::{Matched, NoKey, Route};
pub use query::{QueryRules, Undeclared};
pub use router::{Found, Router};
pub use target::Target;
pub use template::{Place, Template, Variable};
