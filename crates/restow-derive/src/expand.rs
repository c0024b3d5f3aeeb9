//! What the macro writes: the implementations of `Key`, and for a newtype of `KeyField`.

use crate::input::{Form, KeyField, KeyStruct};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{Type, WhereClause, parse_quote, parse_quote_spanned, spanned::Spanned};

/// Writes the implementations.
pub(crate) fn expand(key: &KeyStruct<'_>) -> TokenStream {
    let key_impl = key_impl(key);
    let field_impl = match (key.form, key.fields.as_slice()) {
        (Form::Newtype, [field]) => field_impl(key, field),
        _ => TokenStream::new(),
    };
    quote!(#key_impl #field_impl)
}

fn key_impl(key: &KeyStruct<'_>) -> TokenStream {
    let name = key.ident;
    let (params, args, _) = key.generics.split_for_impl();
    let bounds = bounds(key);
    let shape = shape(key);
    let writes = key.fields.iter().map(|KeyField { member, ty, .. }| {
        quote!(writer.push(<#ty as ::restow::key::KeyField>::as_field(&self.#member));)
    });
    let reads = key
        .fields
        .iter()
        .map(|KeyField { member, name, ty }| quote!(#member: reader.read::<#ty>(#name)?));
    quote! {
        #[automatically_derived]
        impl #params ::restow::key::Key for #name #args #bounds {
            fn shape() -> ::restow::key::Shape {
                #shape
            }

            fn to_raw(&self) -> ::restow::Result<::restow::key::RawKey> {
                let mut writer = ::restow::key::KeyWriter::new();
                #(#writes)*
                writer.finish("")
            }

            fn from_raw(raw: &::restow::key::RawKey) -> ::restow::Result<Self> {
                let mut reader = ::restow::key::KeyReader::new(raw);
                let key = Self { #(#reads),* };
                reader.finish()?;
                ::core::result::Result::Ok(key)
            }
        }
    }
}

fn field_impl(key: &KeyStruct<'_>, KeyField { member, ty, .. }: &KeyField<'_>) -> TokenStream {
    let name = key.ident;
    let (params, args, _) = key.generics.split_for_impl();
    let bounds = bounds(key);
    quote! {
        #[automatically_derived]
        impl #params ::restow::key::KeyField for #name #args #bounds {
            const KIND: ::restow::key::FieldKind = <#ty as ::restow::key::KeyField>::KIND;
            const OPTIONAL: bool = <#ty as ::restow::key::KeyField>::OPTIONAL;

            fn as_field(&self) -> ::restow::key::FieldRef<'_> {
                <#ty as ::restow::key::KeyField>::as_field(&self.#member)
            }

            fn from_field(field: ::restow::key::FieldRef<'_>) -> ::core::option::Option<Self> {
                <#ty as ::restow::key::KeyField>::from_field(field).map(|value| Self { #member: value })
            }
        }
    }
}

fn shape(key: &KeyStruct<'_>) -> TokenStream {
    let (shape, fields): (_, Vec<_>) = match key.form {
        Form::Named => (
            quote!(Named),
            key.fields
                .iter()
                .map(|KeyField { name, ty, .. }| quote!(::restow::key::Field::of::<#ty>(#name)))
                .collect(),
        ),
        Form::Tuple | Form::Newtype => (
            quote!(Slots),
            key.fields
                .iter()
                .map(|KeyField { ty, .. }| quote!(::restow::key::Slot::of::<#ty>()))
                .collect(),
        ),
    };
    quote!(::restow::key::Shape::#shape(const { &[#(#fields),*] }))
}

/// Bounds each field's type, at the type, so that the compiler's error for one that does not fit points there.
fn bounds(key: &KeyStruct<'_>) -> WhereClause {
    let mut bounds = key.generics.where_clause.clone().unwrap_or(WhereClause {
        where_token: Default::default(),
        predicates: Default::default(),
    });
    for KeyField { ty, .. } in &key.fields {
        let key_field = key_field_at(ty);
        bounds.predicates.push(parse_quote!(#ty: #key_field));
    }
    if key.generics.type_params().next().is_some() {
        // What a field's type says of a parameter is not enough for the struct's own `Clone`, `Eq` and so on.
        bounds.predicates.push(parse_quote_spanned! {key.ident.span()=>
            Self: ::core::clone::Clone + ::core::fmt::Debug + ::core::cmp::Eq + ::core::hash::Hash
                + ::core::marker::Send + ::core::marker::Sync + 'static
        });
    }
    bounds
}

/// Returns the path of the trait `KeyField` with the place of the whole of `ty`.
fn key_field_at(ty: &Type) -> TokenStream {
    // A span over several tokens cannot be made on stable Rust; the compiler joins those of a path's first and last token.
    let spans = || ty.to_token_stream().into_iter().map(|token| token.span());
    let first = quote_spanned!(spans().next().unwrap_or_else(|| ty.span())=> ::restow::key::);
    let last = quote_spanned!(spans().last().unwrap_or_else(|| ty.span())=> KeyField);
    quote!(#first #last)
}
