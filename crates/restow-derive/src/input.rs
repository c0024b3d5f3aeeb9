//! What the macro reads: a struct whose fields are all fit for a key, or the errors that say which are not.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, GenericArgument, Generics, Ident, Index,
    LitStr, Member, PathArguments, Result, Type, ext::IdentExt, spanned::Spanned,
};

/// A struct to implement `Key` for.
pub(crate) struct KeyStruct<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) generics: &'a Generics,
    pub(crate) form: Form,
    pub(crate) fields: Vec<KeyField<'a>>,
}

/// What kind of struct it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Fields with names, which the key takes over.
    Named,
    /// Several fields without names.
    Tuple,
    /// One field without a name: a key, and a field of other keys.
    Newtype,
}

/// One field of the struct.
pub(crate) struct KeyField<'a> {
    pub(crate) member: Member,
    /// Its name in the key; in a tuple, its place counted from one, for messages only.
    pub(crate) name: LitStr,
    pub(crate) ty: &'a Type,
}

impl<'a> KeyStruct<'a> {
    /// Reads the item; every fault of it is reported at once.
    pub(crate) fn parse(item: &'a DeriveInput) -> Result<Self> {
        let fields = struct_fields(item)?;
        let mut faults = Faults::default();
        faults.note(no_options(&item.attrs));
        let key = Self {
            ident: &item.ident,
            generics: &item.generics,
            form: match fields {
                Fields::Unnamed(tuple) if tuple.unnamed.len() == 1 => Form::Newtype,
                Fields::Unnamed(_) => Form::Tuple,
                _ => Form::Named,
            },
            fields: fields
                .iter()
                .enumerate()
                .filter_map(|(place, field)| faults.note(KeyField::parse(field, place)))
                .collect(),
        };
        faults.note(key.distinct_names());
        if let (true, Some(lifetime)) = (faults.none(), item.generics.lifetimes().next()) {
            let message = "a key owns its data: remove this lifetime";
            faults.note::<()>(Err(Error::new_spanned(lifetime, message)));
        }
        faults.or(key)
    }

    fn distinct_names(&self) -> Result<()> {
        let mut faults = Faults::default();
        for (place, field) in self.fields.iter().enumerate() {
            let name = field.name.value();
            let earlier = self.fields.iter().take(place);
            if let Some(twin) = earlier.into_iter().find(|f| f.name.value() == name) {
                let message = format!(
                    "the fields `{}` and `{}` have the same name in the key, {name:?}: rename one of them",
                    label(&twin.member),
                    label(&field.member),
                );
                faults.note::<()>(Err(Error::new(field.name.span(), message)));
            }
        }
        faults.or(())
    }
}

impl<'a> KeyField<'a> {
    fn parse(field: &'a Field, place: usize) -> Result<Self> {
        let member = field
            .ident
            .clone()
            .map_or_else(|| Index::from(place).into(), Member::from);
        let mut faults = Faults::default();
        faults.note(type_fits(field, &member));
        let rename = faults.note(rename(field, &member)).flatten();
        let name = rename.unwrap_or_else(|| match &field.ident {
            Some(ident) => LitStr::new(&ident.unraw().to_string(), ident.span()),
            None => LitStr::new(&(place + 1).to_string(), field.ty.span()),
        });
        faults.or(Self {
            member,
            name,
            ty: &field.ty,
        })
    }
}

/// Errors gathered, so that one build shows all of them.
#[derive(Default)]
struct Faults(Option<Error>);

impl Faults {
    fn note<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                match &mut self.0 {
                    Some(first) => first.combine(fault),
                    None => self.0 = Some(fault),
                }
                None
            }
        }
    }

    fn none(&self) -> bool {
        self.0.is_none()
    }

    fn or<T>(self, value: T) -> Result<T> {
        self.0.map_or(Ok(value), Err)
    }
}

fn struct_fields(item: &DeriveInput) -> Result<&Fields> {
    let name = &item.ident;
    let (token, what) = match &item.data {
        Data::Struct(data) if data.fields.is_empty() => {
            let message = format!(
                "`{name}` has no fields: a key needs at least one, such as `struct {name} {{ id: String }}`"
            );
            return Err(Error::new(name.span(), message));
        }
        Data::Struct(data) => return Ok(&data.fields),
        Data::Enum(data) => (data.enum_token.span(), "an enum"),
        Data::Union(data) => (data.union_token.span(), "a union"),
    };
    let message = format!("`{name}` is {what}: `Key` can be derived for a struct only");
    Err(Error::new(token, message))
}

fn no_options(attrs: &[Attribute]) -> Result<()> {
    key_attributes(attrs).try_for_each(|attr| {
        attr.parse_nested_meta(|meta| {
            let option = meta.path.to_token_stream();
            Err(meta.error(format!(
                "a struct has no option `{option}`: `#[key(rename = \"..\")]` belongs on a field"
            )))
        })
    })
}

fn rename(field: &Field, member: &Member) -> Result<Option<LitStr>> {
    let label = label(member);
    let mut found: Option<LitStr> = None;
    for attr in key_attributes(&field.attrs) {
        attr.parse_nested_meta(|meta| {
            if !meta.path.is_ident("rename") {
                let option = meta.path.to_token_stream();
                return Err(meta.error(format!(
                    "field `{label}` has an unknown option `{option}`: the one there is, is `rename = \"..\"`"
                )));
            }
            if field.ident.is_none() {
                return Err(meta.error(format!(
                    "field `{label}` has no name to change: in a tuple struct the names come from the route"
                )));
            }
            let name: LitStr = meta.value()?.parse()?;
            if name.value().is_empty() {
                let message = format!("field `{label}` cannot be renamed to nothing");
                return Err(Error::new(name.span(), message));
            }
            match found.replace(name) {
                Some(_) => Err(meta.error(format!("field `{label}` is renamed twice"))),
                None => Ok(()),
            }
        })?;
    }
    Ok(found)
}

fn key_attributes(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("key"))
}

/// Refuses what no bound explains as well: a reference, a lifetime, an `Option` of an `Option`.
fn type_fits(field: &Field, member: &Member) -> Result<()> {
    let label = label(member);
    let borrowed = match inside_option(&field.ty).unwrap_or(&field.ty) {
        Type::Reference(reference) => Some(reference.to_token_stream()),
        ty => borrowed_lifetime(ty.to_token_stream()),
    };
    if let Some(borrowed) = borrowed {
        let message = format!(
            "field `{label}` borrows its value: a key owns its data, so use `String`, `Box<str>` or `Arc<str>`"
        );
        return Err(Error::new_spanned(borrowed, message));
    }
    if inside_option(&field.ty).and_then(inside_option).is_some() {
        let message = format!(
            "field `{label}` is an `Option` of an `Option`: `None` and `Some(None)` would be one key, so use one `Option`"
        );
        return Err(Error::new_spanned(&field.ty, message));
    }
    Ok(())
}

/// Returns `T` of an `Option<T>`, however its path is written.
fn inside_option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    match &last.arguments {
        PathArguments::AngleBracketed(args) if last.ident == "Option" => match args.args.first()? {
            GenericArgument::Type(inside) => Some(inside),
            _ => None,
        },
        _ => None,
    }
}

/// Finds a lifetime other than `'static`.
fn borrowed_lifetime(tokens: TokenStream) -> Option<TokenStream> {
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        let found = match token {
            TokenTree::Group(group) => borrowed_lifetime(group.stream()),
            TokenTree::Punct(quote) if quote.as_char() == '\'' => tokens
                .next()
                .filter(|name| name.to_string() != "static")
                .map(|name| TokenStream::from_iter([quote.into(), name])),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn label(member: &Member) -> String {
    match member {
        Member::Named(ident) => ident.unraw().to_string(),
        Member::Unnamed(index) => index.index.to_string(),
    }
}
