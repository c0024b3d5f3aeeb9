//! The keys that need no derive: text, integers, tuples, and raw keys.

use super::{
    raw::{KeyWriter, RawKey},
    reader::KeyReader,
    typed::{Key, KeyField, Shape, Slot},
};
use crate::Result;
use std::sync::Arc;

impl Key for RawKey {
    fn shape() -> Shape {
        Shape::Any
    }

    fn to_raw(&self) -> Result<RawKey> {
        Ok(self.clone())
    }

    fn from_raw(raw: &RawKey) -> Result<Self> {
        Ok(raw.clone())
    }
}

macro_rules! one_field_key {
    ($($t:ty),*) => {$(impl Key for $t {
        fn shape() -> Shape { Shape::Slots(const { &[Slot::of::<$t>()] }) }
        fn to_raw(&self) -> Result<RawKey> { RawKey::new([self.as_field()], "") }
        fn from_raw(raw: &RawKey) -> Result<Self> {
            let mut reader = KeyReader::new(raw);
            let value = reader.read("1")?;
            reader.finish().map(|()| value)
        }
    })*};
}
one_field_key!(String, Box<str>, Arc<str>, i64, i32, u32);

macro_rules! tuple_key {
    ($($t:ident $v:ident $name:literal),+) => {
        impl<$($t: KeyField),+> Key for ($($t,)+) {
            fn shape() -> Shape { Shape::Slots(const { &[$(Slot::of::<$t>()),+] }) }
            fn to_raw(&self) -> Result<RawKey> {
                let ($($v,)+) = self;
                let mut writer = KeyWriter::new();
                $(writer.push($v.as_field());)+
                writer.finish("")
            }
            fn from_raw(raw: &RawKey) -> Result<Self> {
                let mut reader = KeyReader::new(raw);
                let key = ($(reader.read::<$t>($name)?,)+);
                reader.finish().map(|()| key)
            }
        }
    };
}
tuple_key!(A a "1");
tuple_key!(A a "1", B b "2");
tuple_key!(A a "1", B b "2", C c "3");
tuple_key!(A a "1", B b "2", C c "3", D d "4");
tuple_key!(A a "1", B b "2", C c "3", D d "4", E e "5");
tuple_key!(A a "1", B b "2", C c "3", D d "4", E e "5", F f "6");
