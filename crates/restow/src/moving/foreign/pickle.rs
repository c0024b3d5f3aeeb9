//! Pickles of plain values: read, and never executed.
//!
//! A pickle is a program for a small machine that may call any function of Python. The one that is written of dictionaries, lists, texts,
//! bytes and numbers needs none of that: only the instructions for those are known here, and every other one is refused by name. Values lie in
//! one list and name each other by their places, so that a value that is meant many times is held once, however deep it lies, and nothing
//! recurses. The time and memory it takes grow with the length of the pickle.

use std::{borrow::Cow, fmt};

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Place,
}

/// Where a value is.
pub(super) type Place = usize;

#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    List(Vec<Place>),
    Dict(Vec<(Place, Place)>),
}

/// Why it is none that is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(Cow<'static, str>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Pickle<'a> {
    /// Reads a pickle.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refused> {
        Machine {
            rest: bytes,
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Vec::new(),
        }
        .run()
    }

    pub(super) fn root(&self) -> Place {
        self.root
    }

    pub(super) fn value(&self, at: Place) -> Option<&Value<'a>> {
        self.values.get(at)
    }

    /// Returns what a dictionary has under a name.
    pub(super) fn get(&self, dict: Place, name: &str) -> Option<Place> {
        self.pairs(dict)?
            .iter()
            .rev()
            .find(|(key, _)| self.text(*key) == Some(name))
            .map(|(_, value)| *value)
    }

    pub(super) fn pairs(&self, dict: Place) -> Option<&[(Place, Place)]> {
        match self.value(dict)? {
            Value::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    pub(super) fn text(&self, at: Place) -> Option<&'a str> {
        match self.value(at)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The machine, as far as it may go.
struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<Place>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: Vec<Option<Place>>,
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Pickle<'a>, Refused> {
        loop {
            let [instruction] = *self.take()?;
            match instruction {
                // PROTO and FRAME say nothing about values.
                0x80 => {
                    let [version] = *self.take()?;
                    if !(2..=5).contains(&version) {
                        return Err(Refused(
                            format!("it is a pickle of protocol {version}").into(),
                        ));
                    }
                }
                0x95 => _ = self.take::<8>()?,
                b'.' => return self.end(),
                b'(' => self.marks.push(self.stack.len()),
                b'N' => self.push(Value::None),
                0x88 => self.push(Value::Bool(true)),
                0x89 => self.push(Value::Bool(false)),
                b'K' => {
                    let [n] = *self.take()?;
                    self.push(Value::Integer(n.into()));
                }
                b'M' => {
                    let n = u16::from_le_bytes(*self.take()?);
                    self.push(Value::Integer(n.into()));
                }
                b'J' => {
                    let n = i32::from_le_bytes(*self.take()?);
                    self.push(Value::Integer(n.into()));
                }
                0x8a => {
                    let [length] = *self.take()?;
                    let number = integer(self.bytes(length.into())?)?;
                    self.push(Value::Integer(number));
                }
                b'G' => {
                    let number = f64::from_be_bytes(*self.take()?);
                    self.push(Value::Float(number));
                }
                0x8c => {
                    let [length] = *self.take()?;
                    self.text(length.into())?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(*self.take()?);
                    self.text(length.into())?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(*self.take()?);
                    self.text(length)?;
                }
                b'C' => {
                    let [length] = *self.take()?;
                    let bytes = self.bytes(length.into())?;
                    self.push(Value::Bytes(bytes));
                }
                b'B' => {
                    let length = u32::from_le_bytes(*self.take()?);
                    let bytes = self.bytes(length.into())?;
                    self.push(Value::Bytes(bytes));
                }
                0x8e => {
                    let length = u64::from_le_bytes(*self.take()?);
                    let bytes = self.bytes(length)?;
                    self.push(Value::Bytes(bytes));
                }
                b'}' => self.push(Value::Dict(Vec::new())),
                // Of a tuple nothing but its items matters here.
                b']' | b')' => self.push(Value::List(Vec::new())),
                b't' => {
                    let items = self.marked()?;
                    self.push(Value::List(items));
                }
                0x85..=0x87 => {
                    let items = self.pop_many(usize::from(instruction - 0x84))?;
                    self.push(Value::List(items));
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b'e' => {
                    let items = self.marked()?;
                    self.extend(items)?;
                }
                b's' => {
                    let pair = self.pop_many(2)?;
                    self.set(&pair)?;
                }
                b'u' => {
                    let pairs = self.marked()?;
                    self.set(&pairs)?;
                }
                0x94 => {
                    let top = self.top()?;
                    self.memo.push(Some(top));
                }
                b'q' => {
                    let [at] = *self.take()?;
                    self.remember(at.into())?;
                }
                b'r' => {
                    let at = u32::from_le_bytes(*self.take()?);
                    self.remember(at)?;
                }
                b'h' => {
                    let [at] = *self.take()?;
                    self.recall(at.into())?;
                }
                b'j' => {
                    let at = u32::from_le_bytes(*self.take()?);
                    self.recall(at)?;
                }
                other => return Err(refused(other)),
            }
        }
    }

    fn end(mut self) -> Result<Pickle<'a>, Refused> {
        let root = self.pop()?;
        if !self.rest.is_empty() {
            return Err(Refused(
                "something stands behind the pickle, such as a signature".into(),
            ));
        }
        Ok(Pickle {
            values: self.values,
            root,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], Refused> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Refused> {
        let length = usize::try_from(length).map_err(|_| cut_off())?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self, length: u64) -> Result<(), Refused> {
        let text = std::str::from_utf8(self.bytes(length)?);
        self.push(Value::Text(text.map_err(|_| {
            Refused("it holds a text that is not UTF-8".into())
        })?));
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn top(&self) -> Result<Place, Refused> {
        self.stack.last().copied().ok_or_else(malformed)
    }

    /// Takes the topmost value, not beyond the last mark.
    fn pop(&mut self) -> Result<Place, Refused> {
        if self
            .marks
            .last()
            .is_some_and(|mark| self.stack.len() <= *mark)
        {
            return Err(malformed());
        }
        self.stack.pop().ok_or_else(malformed)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Place>, Refused> {
        let mut items = (0..count)
            .map(|_| self.pop())
            .collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        Ok(items)
    }

    /// Takes what lies above the last mark.
    fn marked(&mut self) -> Result<Vec<Place>, Refused> {
        let mark = self.marks.pop().ok_or_else(malformed)?;
        if mark > self.stack.len() {
            return Err(malformed());
        }
        Ok(self.stack.split_off(mark))
    }

    fn extend(&mut self, items: Vec<Place>) -> Result<(), Refused> {
        let at = self.top()?;
        match self.values.get_mut(at) {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(malformed()),
        }
    }

    fn set(&mut self, items: &[Place]) -> Result<(), Refused> {
        let (pairs, []) = items.as_chunks::<2>() else {
            return Err(malformed());
        };
        let at = self.top()?;
        match self.values.get_mut(at) {
            Some(Value::Dict(dict)) => {
                dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
                Ok(())
            }
            _ => Err(malformed()),
        }
    }

    fn remember(&mut self, at: u32) -> Result<(), Refused> {
        let (at, top) = (at as usize, self.top()?);
        // They are numbered one by one: a large number in a short pickle is none that Python writes.
        if at > self.values.len() {
            return Err(malformed());
        }
        if self.memo.len() <= at {
            self.memo.resize(at + 1, None);
        }
        if let Some(place) = self.memo.get_mut(at) {
            *place = Some(top);
        }
        Ok(())
    }

    fn recall(&mut self, at: u32) -> Result<(), Refused> {
        let place = self
            .memo
            .get(at as usize)
            .copied()
            .flatten()
            .ok_or_else(malformed)?;
        self.stack.push(place);
        Ok(())
    }
}

fn integer(bytes: &[u8]) -> Result<i64, Refused> {
    if bytes.len() > 8 {
        return Err(Refused("it holds a number beyond 64 bits".into()));
    }
    let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let mut wide = [fill; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(i64::from_le_bytes(wide))
}

fn refused(instruction: u8) -> Refused {
    let name =
        match instruction {
            b'c' | 0x93 => "GLOBAL, which names a function or a class",
            b'R' => "REDUCE, which calls a function",
            b'i' | b'o' | 0x81 | 0x92 => "an instruction that makes an object",
            b'b' => "BUILD, which changes an object",
            b'P' | b'Q' => "a persistent id",
            0x82..=0x84 => "an extension",
            _ => return Refused(
                format!(
                    "it holds the instruction {instruction:#04x}, which plain values do not need"
                )
                .into(),
            ),
        };
    Refused(format!("it holds {name}; a pickle that may run code is not read").into())
}

fn cut_off() -> Refused {
    Refused("the pickle is cut off".into())
}

fn malformed() -> Refused {
    Refused("it is no pickle that Python writes".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `pickle.dumps({"a": [1, -2, 300, None, True, 1.5, b"\xff"], "b": "é", "c": {}}, protocol=4)`
    const PLAIN: &[u8] = b"\x80\x04\x95\x3c\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffM\x2c\x01N\x88G\x3f\xf8\0\0\0\0\0\0C\x01\xff\x94e\x8c\x01b\x94\x8c\x02\xc3\xa9\x94\x8c\x01c\x94}\x94u.";

    #[test]
    fn plain_values_are_read() {
        let pickle = Pickle::read(PLAIN).unwrap();
        let root = pickle.root();
        assert_eq!(pickle.text(pickle.get(root, "b").unwrap()), Some("é"));
        let Some(Value::List(items)) = pickle.value(pickle.get(root, "a").unwrap()) else {
            unreachable!("{pickle:?}")
        };
        let items: Vec<_> = items.iter().map(|at| pickle.value(*at).unwrap()).collect();
        assert_eq!(
            items,
            [
                &Value::Integer(1),
                &Value::Integer(-2),
                &Value::Integer(300),
                &Value::None,
                &Value::Bool(true),
                &Value::Float(1.5),
                &Value::Bytes(b"\xff"),
            ]
        );
        assert_eq!(pickle.pairs(pickle.get(root, "c").unwrap()), Some(&[][..]));
    }

    #[test]
    fn what_may_run_code_is_refused() {
        // `os.system("true")`, in two protocols, and an object of a class.
        for pickle in [
            &b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."[..],
            b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
            b"\x80\x02cbuiltins\nobject\n)\x81.",
        ] {
            let why = Pickle::read(pickle).unwrap_err().to_string();
            assert!(why.contains("GLOBAL"), "{why}");
        }
    }

    #[test]
    fn damage_is_refused_and_never_panics() {
        for end in 0..PLAIN.len() {
            Pickle::read(&PLAIN[..end]).unwrap_err();
        }
        for at in 0..PLAIN.len() {
            for byte in 0..=255 {
                let mut damaged = PLAIN.to_vec();
                damaged[at] = byte;
                _ = Pickle::read(&damaged);
            }
        }
        // A list that holds itself, and one that would be 2^60 values if each were copied.
        let circle = Pickle::read(b"\x80\x04]\x94h\0a.").unwrap();
        assert_eq!(circle.value(circle.root()), Some(&Value::List(vec![0])));
        let mut bomb = b"\x80\x04]\x94".to_vec();
        for n in 0..60 {
            bomb.extend([b']', 0x94, b'(', b'h', n, b'h', n, b'e']);
        }
        bomb.push(b'.');
        assert_eq!(Pickle::read(&bomb).unwrap().values.len(), 61);
        let deep = [
            b"\x80\x04".as_slice(),
            &b"]".repeat(100_000),
            &b"a".repeat(99_999),
            b".",
        ]
        .concat();
        Pickle::read(&deep).unwrap();
        Pickle::read(b"\x80\x04]r\xff\xff\xff\xff.").unwrap_err();
    }
}
