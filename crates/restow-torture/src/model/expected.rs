//! What a cache is expected to hold: a map, and the rules in a few lines each.

use super::op::{Answer, BRIEF, KEEP, KEYS, LIFE, Who};
use restow::{Millis, Scope};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Key, owner, and what the request accepted where the answer varies on it.
pub(super) type Id = (usize, Who, u8);

/// One stored answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Held {
    pub(super) body: u8,
    pub(super) negative: bool,
    pub(super) tagged: bool,
    pub(super) stored: Millis,
    pub(super) checked: Millis,
    pub(super) changed: Millis,
    pub(super) expires: Millis,
    /// The last one seen, until the entry changes.
    pub(super) generation: Option<u64>,
}

impl Held {
    pub(super) fn is_live(&self, now: Millis) -> bool {
        self.expires > now
    }

    fn is_in(&self, scope: Scope, now: Millis) -> bool {
        match scope {
            Scope::All => true,
            Scope::Live => self.is_live(now),
            Scope::Expired => !self.is_live(now),
        }
    }

    pub(super) fn kind(&self) -> Option<&'static str> {
        if self.negative { None } else { kind(self.body) }
    }
}

/// The value of the column in a body.
pub(super) fn kind(body: u8) -> Option<&'static str> {
    match body {
        3 => None,
        body if body % 2 == 0 => Some("even"),
        _ => Some("odd"),
    }
}

pub(super) fn lifetime(negative: bool) -> Duration {
    if negative { BRIEF } else { LIFE }
}

#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) held: BTreeMap<Id, Held>,
    /// What is past its keep and may still be in the store, to be swept.
    pub(super) gone: BTreeSet<Id>,
}

impl Expected {
    /// Lets go of what is past its keep.
    pub(super) fn pass(&mut self, now: Millis) {
        let gone = &mut self.gone;
        self.held.retain(|id, held| {
            let kept = held.expires.plus(KEEP) > now;
            if !kept {
                gone.insert(*id);
            }
            kept
        });
    }

    /// What a handle sees.
    pub(super) fn seen(&self, who: Who) -> impl Iterator<Item = (&Id, &Held)> {
        self.held
            .iter()
            .filter(move |(id, _)| who == Who::Everyone || id.1 == who)
    }

    /// What a handle sees under a key, the newest first.
    pub(super) fn at(&self, who: Who, key: usize) -> Vec<(&Id, &Held)> {
        let mut found: Vec<_> = self.seen(who).filter(|(id, _)| id.0 == key).collect();
        found.sort_by_key(|(_, held)| std::cmp::Reverse(held.stored));
        found
    }

    /// What a typed read answers.
    pub(super) fn get(&self, who: Who, key: usize, now: Millis) -> Option<u8> {
        self.at(who, key)
            .into_iter()
            .find(|(_, held)| held.is_live(now) && !held.negative)
            .map(|(_, held)| held.body)
    }

    pub(super) fn save(&mut self, who: Who, key: usize, body: u8, now: Millis) {
        let answer = Answer {
            body,
            negative: false,
            tagged: false,
            accepts: 0,
            fetched: false,
        };
        self.store(who, key, answer, now);
    }

    pub(super) fn store(&mut self, who: Who, key: usize, answer: Answer, now: Millis) {
        let Answer {
            body,
            negative,
            tagged,
            accepts,
            ..
        } = answer;
        let id = (key, who, accepts);
        let before = self.held.get(&id).filter(|held| held.body == body);
        let changed = before.map_or(now, |held| held.changed);
        self.gone.remove(&id);
        self.held.insert(
            id,
            Held {
                body,
                negative,
                tagged,
                stored: now,
                checked: now,
                changed,
                expires: now.plus(lifetime(negative)),
                generation: None,
            },
        );
    }

    /// What a request selects: what does not vary, or varies on what it accepts; the last confirmed of them.
    pub(super) fn selected(&mut self, who: Who, key: usize, accepts: u8) -> Option<&mut Held> {
        self.held
            .iter_mut()
            .filter(|(id, _)| id.0 == key && id.1 == who && (id.2 == 0 || id.2 == accepts))
            .max_by_key(|(_, held)| held.checked)
            .map(|(_, held)| held)
    }

    /// Deletes all under a key; tells whether there was something.
    pub(super) fn delete(&mut self, who: Who, key: usize) -> bool {
        self.remove(who, |id, _| id.0 == key) > 0
    }

    pub(super) fn clear(&mut self, who: Who, scope: Scope, now: Millis) -> u64 {
        self.remove(who, |_, held| held.is_in(scope, now))
    }

    pub(super) fn remove(&mut self, who: Who, which: impl Fn(&Id, &Held) -> bool) -> u64 {
        let before = self.held.len();
        self.held.retain(|id, held| {
            let seen = who == Who::Everyone || id.1 == who;
            !(seen && which(id, held))
        });
        (before - self.held.len()) as u64
    }

    pub(super) fn count(&self, who: Who, scope: Scope, now: Millis) -> u64 {
        self.seen(who)
            .filter(|(_, held)| held.is_in(scope, now))
            .count() as u64
    }

    /// What a stream gives: successes, whatever they vary on.
    pub(super) fn stream(&self, who: Who, scope: Scope, now: Millis) -> Vec<(usize, u8)> {
        let mut pairs: Vec<_> = self
            .seen(who)
            .filter(|(_, held)| held.is_in(scope, now) && !held.negative)
            .map(|(id, held)| (id.0, held.body))
            .collect();
        pairs.sort_unstable();
        pairs
    }
}

/// Tells whether two keys have the same first field.
pub(super) fn same_field(one: usize, other: usize) -> bool {
    KEYS.get(one).map(|key| key.0) == KEYS.get(other).map(|key| key.0)
}
