//! Values that may be secret.

use crate::{Error, ErrorKind, Result};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

/// A value that may be secret: written out, or in an environment variable, or in a file. Neither `Debug` nor `Display` shows it.
///
/// In a configuration file: `"text"`, `{ env = "NAME" }` or `{ file = "path" }`.
///
/// ```
/// use restow::config::Secret;
/// let secret = Secret::new("hunter2");
/// assert_eq!(secret.reveal()?, "hunter2");
/// assert_eq!(format!("{secret} {secret:?}"), "*** Secret(***)");
/// # Ok::<(), restow::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Value(Box<str>),
    Env(Box<str>),
    File(PathBuf),
}

impl Secret {
    /// Holds a value.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(Source::Value(value.into()))
    }

    /// Names the environment variable that holds it.
    pub fn env(name: impl Into<Box<str>>) -> Self {
        Self(Source::Env(name.into()))
    }

    /// Names the file that holds it, less line ends behind it; a relative path is relative to the working directory.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// Returns the file that holds it, where one does.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Source::File(path) => Some(path),
            Source::Value(_) | Source::Env(_) => None,
        }
    }

    /// Returns the value, as it is now.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the variable is not set, or the file cannot be read, or there is nothing in it.
    pub fn reveal(&self) -> Result<String> {
        let value = match &self.0 {
            Source::Value(value) => value.to_string(),
            Source::Env(name) => env::var(&**name).map_err(|e| match e {
                // The other kind of this error shows the value.
                env::VarError::NotUnicode(_) => {
                    wrong(format!("the environment variable {name} is not UTF-8"))
                }
                env::VarError::NotPresent => wrong(format!(
                    "the environment variable {name} is not set; set it, or write the value"
                )),
            })?,
            Source::File(path) => {
                let text = fs::read_to_string(path).map_err(|e| {
                    wrong(format!("the file {} cannot be read", path.display())).with_source(e)
                })?;
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
        };
        if value.is_empty() {
            Err(wrong(format!("there is nothing in {self}")))
        } else {
            Ok(value)
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Value(value) if value.is_empty() => f.write_str("the value"),
            Source::Value(_) => f.write_str("***"),
            Source::Env(name) => write!(f, "the environment variable {name}"),
            Source::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({self})")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Secret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(FORMS)
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<Secret, E> {
                Ok(Secret::new(value))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let found = match map.next_key::<String>()?.as_deref() {
                    Some("env") => Secret::env(map.next_value::<String>()?),
                    Some("file") => Secret::file(map.next_value::<String>()?),
                    _ => return Err(de::Error::custom(format_args!("write {FORMS}"))),
                };
                match map.next_key::<String>()? {
                    None => Ok(found),
                    Some(_) => Err(de::Error::custom(format_args!("write {FORMS}"))),
                }
            }

            // The values of other types would be shown by the errors that come of themselves.
            fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
                Err(E::custom(format_args!("write {FORMS}")))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom(format_args!("write {FORMS}")))
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
                Err(E::custom(format_args!("write {FORMS}")))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

const FORMS: &str = "text in quotes, { env = \"NAME\" } or { file = \"path\" }";

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Config, message)
}
