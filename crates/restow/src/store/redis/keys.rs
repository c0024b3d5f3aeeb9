//! The names of keys, and how an address becomes one.
//!
//! All of a bucket is in one slot of a cluster, for its number is the hash tag. `restow{3.1f}` is bucket 31 of the repository with number 3:
//!
//! | key | holds |
//! |---|---|
//! | `restow:meta` | a hash: the format, the secret, each repository's number and declaration |
//! | `restow{3.1f}e` + digest | a string: an address with the metas of its variants, and their bodies |
//! | `restow{3.1f}b` + digest | a hash, where there are large bodies: each by its variant |
//! | `restow{3.1f}i` | a sorted set, the index: digest + variant, by `expires_at` |
//! | `restow{3.1f}u` | a sorted set, where the order of use matters: digest + variant, by the last use |
//! | `restow{3.1f}c` | a hash: entries `n`, bytes `b`, whose they are `w`, whether uses are noted `r`, whether the bytes are a guess `s`, the last fence `f`, whether all was removed `x` |
//! | `restow{3.1f}l` + digest | a hash: a lease's fence `f`, and until when `u` |

use crate::{
    FieldRef,
    entry::{Address, Partition, Variant},
};
use std::sync::{Arc, LazyLock};
use xxhash_rust::xxh3::xxh3_64;

/// What stands for an address: the beginning of digests of its partition and of its first field, so that an index can be searched for
/// either; then that of its whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Digest(pub(super) [u8; 20]);

pub(super) type Whose = [u8; 6];
pub(super) type FirstField = [u8; 4];

impl Digest {
    pub(super) fn of(address: &Address) -> Self {
        let whose = whose(&address.partition);
        let field = address.key.fields().next().map_or([0; 4], first_field);
        let mut hash = blake3::Hasher::new();
        let key = address.key.as_bytes();
        // A key says where it ends.
        hash.update(key);
        hash.update(address.partition.as_str().as_bytes());
        let mut digest = [0; 20];
        let parts = whose.into_iter().chain(field);
        let rest = hash.finalize();
        for (to, from) in digest
            .iter_mut()
            .zip(parts.chain(rest.as_bytes().iter().copied()))
        {
            *to = from;
        }
        Self(digest)
    }

    pub(super) fn whose(&self) -> Whose {
        let [a, b, c, d, e, f, ..] = self.0;
        [a, b, c, d, e, f]
    }

    pub(super) fn first_field(&self) -> FirstField {
        let [_, _, _, _, _, _, a, b, c, d, ..] = self.0;
        [a, b, c, d]
    }

    /// The bucket among so many, a power of two.
    pub(super) fn bucket(&self, buckets: u32) -> u32 {
        let [.., a, b] = self.0;
        u32::from(u16::from_be_bytes([a, b])) & (buckets - 1)
    }

    /// What the index calls an entry.
    pub(super) fn member(&self, variant: Variant) -> Vec<u8> {
        let mut member = self.0.to_vec();
        member.extend_from_slice(suffix(&variant.0.to_be_bytes()));
        member
    }

    /// Reads what the index calls an entry.
    pub(super) fn split(member: &[u8]) -> Option<(Self, Variant)> {
        let (digest, variant) = member.split_first_chunk()?;
        let variant = match variant {
            [] => Variant::NONE,
            bytes => Variant(u128::from_be_bytes(bytes.try_into().ok()?)),
        };
        Some((Self(*digest), variant))
    }
}

/// What stands for a variant behind a digest or the name of a field: nothing for the one that most entries have.
pub(super) fn suffix(variant: &[u8; 16]) -> &[u8] {
    if *variant == [0; 16] { &[] } else { variant }
}

/// What stands for a partition.
pub(super) fn whose(partition: &Partition) -> Whose {
    static PUBLIC: LazyLock<Whose> = LazyLock::new(|| digest_of(""));
    if partition.is_public() {
        *PUBLIC
    } else {
        digest_of(partition.as_str())
    }
}

fn digest_of(partition: &str) -> Whose {
    let hash = blake3::hash(partition.as_bytes());
    let [a, b, c, d, e, f, ..] = *hash.as_bytes();
    [a, b, c, d, e, f]
}

/// What stands for a first field: who is covered by it is looked at in any case.
pub(super) fn first_field(value: FieldRef<'_>) -> FirstField {
    let hash = match value {
        FieldRef::Absent => 0,
        FieldRef::Integer(i) => xxh3_64(&i.to_le_bytes()),
        FieldRef::Text(text) => !xxh3_64(text.as_bytes()),
    };
    let [a, b, c, d, ..] = hash.to_le_bytes();
    [a, b, c, d]
}

/// The store's own names.
#[derive(Clone, Debug)]
pub(super) struct Names {
    prefix: Arc<str>,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
        }
    }

    pub(super) fn meta(&self) -> String {
        format!("{}:meta", self.prefix)
    }

    /// Where changes are published.
    pub(super) fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    pub(super) fn place(&self, number: u64, buckets: u32) -> Place {
        Place {
            names: self.clone(),
            number,
            buckets,
        }
    }
}

/// Where the entries of a repository are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) names: Names,
    /// Repositories are numbered: a new one of an old name is another.
    pub(super) number: u64,
    pub(super) buckets: u32,
}

impl Place {
    /// The bucket of an address.
    pub(super) fn bucket(&self, digest: &Digest) -> u32 {
        digest.bucket(self.buckets)
    }

    pub(super) fn index(&self, bucket: u32) -> String {
        format!("{}{{{}.{bucket:x}}}i", self.names.prefix, self.number)
    }

    pub(super) fn counts(&self, bucket: u32) -> String {
        format!("{}{{{}.{bucket:x}}}c", self.names.prefix, self.number)
    }

    pub(super) fn uses(&self, bucket: u32) -> String {
        format!("{}{{{}.{bucket:x}}}u", self.names.prefix, self.number)
    }

    pub(super) fn entry(&self, digest: &Digest) -> Vec<u8> {
        self.of(digest, 'e')
    }

    /// What the keys of a bucket's entries begin with, before the digest.
    pub(super) fn entries(&self, bucket: u32) -> String {
        format!("{}{{{}.{bucket:x}}}e", self.names.prefix, self.number)
    }

    /// What all keys of its buckets begin with.
    pub(super) fn all(&self) -> String {
        format!("{}{{{}.", self.names.prefix, self.number)
    }

    /// Where the large bodies of an address are; the scripts know that too.
    pub(super) fn beside(&self, digest: &Digest) -> Vec<u8> {
        self.of(digest, 'b')
    }

    pub(super) fn lease(&self, digest: &Digest) -> Vec<u8> {
        self.of(digest, 'l')
    }

    fn of(&self, digest: &Digest, kind: char) -> Vec<u8> {
        use std::io::Write;
        let mut key = Vec::with_capacity(self.names.prefix.len() + 40);
        // Memory takes whatever is written to it.
        let _ = write!(
            key,
            "{}{{{}.{:x}}}{kind}",
            self.names.prefix,
            self.number,
            self.bucket(digest)
        );
        key.extend_from_slice(&digest.0);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawKey;

    fn address(id: &str, partition: Partition) -> Address {
        Address {
            key: RawKey::new([FieldRef::Text(id)], "").unwrap(),
            partition,
        }
    }

    #[test]
    fn a_digest_says_whose_and_of_which_first_field_it_is() {
        let alice = Partition::principal("alice").unwrap();
        let digest = Digest::of(&address("a", alice.clone()));
        assert_eq!(digest.whose(), whose(&alice));
        assert_eq!(digest.first_field(), first_field(FieldRef::Text("a")));
        assert_ne!(digest, Digest::of(&address("a", Partition::PUBLIC)));
        assert_ne!(digest, Digest::of(&address("b", alice)));
        for variant in [Variant::NONE, Variant(7)] {
            let member = digest.member(variant);
            assert_eq!(Digest::split(&member), Some((digest, variant)));
        }
        assert_eq!(digest.member(Variant::NONE).len(), 20);
    }

    #[test]
    fn all_of_a_bucket_is_in_one_slot() {
        let place = Names::new("restow").place(3, 256);
        let digest = Digest::of(&address("a", Partition::PUBLIC));
        let bucket = place.bucket(&digest);
        let tag = format!("{{3.{bucket:x}}}");
        for key in [
            place.entry(&digest),
            place.beside(&digest),
            place.lease(&digest),
        ] {
            assert!(String::from_utf8_lossy(&key).contains(&tag));
        }
        assert!(place.index(bucket).contains(&tag));
    }
}
