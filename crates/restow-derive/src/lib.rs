//! The derive macro behind `#[derive(restow::Key)]`.
//!
//! Programs use it through the crate `restow`, which re-exports it beside the trait and which the generated code refers to as
//! `::restow`. See the [`Key`](derive@Key) macro for what it takes.

mod expand;
mod input;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives the trait `restow::Key` for a struct, so that it identifies the answers of an endpoint.
///
/// The trait asks for `Clone`, `Debug`, `Eq` and `Hash`; derive them in the same line.
///
/// # Structs with names
///
/// The fields of the struct are the fields of the key: same names, same order as in the endpoint's route. A field of `Option<T>`
/// may be absent, which is not the same as empty. `#[key(rename = "..")]` gives a field another name in the key, for a name that
/// Rust cannot write or that reads better otherwise; a raw identifier such as `r#type` is named `type` without it.
///
/// ```
/// use restow::{Field, Key, key::Shape};
///
/// #[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
/// struct SearchKey {
///     r#type: String,
///     #[key(rename = "pageSize")]
///     page_size: u16,
///     market: Option<String>,
/// }
///
/// // For a route such as `https://api.example.com/v1/search/{type}{?pageSize,market}`.
/// const FIELDS: &[Field] = &[Field::text("type"), Field::integer("pageSize"), Field::text("market").optional()];
/// assert_eq!(SearchKey::shape(), Shape::Named(FIELDS));
///
/// let key = SearchKey { r#type: "track".into(), page_size: 50, market: None };
/// assert_eq!(SearchKey::from_raw(&key.to_raw()?)?, key);
/// # Ok::<(), restow::Error>(())
/// ```
///
/// # Tuple structs
///
/// Without names the struct fixes only the number of fields, their kinds and their order; the names come from the route. One with
/// a single field, a newtype, implements `restow::key::KeyField` as well: it can be a field of another key.
///
/// ```
/// use restow::{FieldRef, Key};
///
/// #[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
/// struct AlbumId(String);
///
/// #[derive(Key, Clone, Debug, PartialEq, Eq, Hash)]
/// struct AlbumPage(AlbumId, Option<u32>);
///
/// let raw = AlbumPage(AlbumId("6".into()), None).to_raw()?;
/// assert_eq!(raw.fields().collect::<Vec<_>>(), [FieldRef::Text("6"), FieldRef::Absent]);
/// # Ok::<(), restow::Error>(())
/// ```
///
/// # Types of fields
///
/// Whatever implements `restow::key::KeyField`: `String`, `Box<str>`, `Arc<str>`, `i64`, `i32`, `i16`, `i8`, `u32`, `u16`, `u8`, newtypes
/// that derive `Key`, and an `Option` of any of these. A generic struct is a key for each argument that makes all its fields such types.
///
/// ```
/// #[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
/// struct Page<Id> {
///     id: Id,
///     offset: i64,
/// }
///
/// fn is_key<K: restow::Key>() {}
/// is_key::<Page<String>>();
/// is_key::<Page<u32>>();
/// ```
///
/// # What does not compile
///
/// Enums, unions, structs without fields, fields that borrow, two fields of one name, an `Option` of an `Option`, and unknown
/// options. The error points at the field and names it.
///
/// ```compile_fail
/// #[derive(restow::Key, Clone, Debug, PartialEq, Eq, Hash)]
/// struct TrackKey {
///     id: String,
///     #[key(rename = "id")]
///     other: String, // the fields `id` and `other` have the same name in the key
/// }
/// ```
#[proc_macro_derive(Key, attributes(key))]
pub fn derive_key(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    input::KeyStruct::parse(&item)
        .map(|key| expand::expand(&key))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
