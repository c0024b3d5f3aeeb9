//! The derive macro behind `#[derive(restow::Key)]`; use it through the crate `restow`.

mod expand;
mod input;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Derives `restow::Key` for a struct.
#[proc_macro_derive(Key, attributes(key))]
pub fn derive_key(item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    input::KeyStruct::parse(&item)
        .map(|key| expand::expand(&key))
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
