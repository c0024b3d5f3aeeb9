//! What differs from what a case expects.

use super::{Answer, From, Step, line};
use http::{HeaderMap, HeaderName};

/// What a runner saw of a step.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The status that came back; 502 where nothing did.
    pub status: u16,
    /// The fields that came back.
    pub headers: HeaderMap,
    /// The body that came back.
    pub body: Vec<u8>,
    /// The fields of the requests that the origin got.
    pub asked: Vec<HeaderMap>,
}

/// Says what differs; nothing where all is as it should be.
pub fn check(step: &Step, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let asks = match step.from {
        From::Origin | From::Validated | From::BadGateway => true,
        From::Store | From::Refused => step.refreshes,
    };
    let times = seen.asked.len();
    let due = usize::from(asks) + usize::from(step.asked_again);
    expect(
        times == due,
        format!(
            "the origin was asked {times} times, not {due}, and the answer has to come from {:?}",
            step.from
        ),
    );
    expect(
        seen.status == step.status,
        format!("the status is {}, not {}", seen.status, step.status),
    );
    let own = matches!(step.from, From::Refused | From::BadGateway);
    expect(
        own || seen.body == step.body.as_bytes(),
        format!(
            "the body is {:?}, not {:?}",
            String::from_utf8_lossy(&seen.body),
            step.body
        ),
    );
    for (name, values) in wanted(&step.has, step.at) {
        let found = all(&seen.headers, &name);
        expect(
            found == values,
            format!("{name} is {}, not {}", text(&found), text(&values)),
        );
    }
    for name in &step.lacks {
        expect(
            !seen.headers.contains_key(*name),
            format!("there is a field {name}"),
        );
    }
    let Some(first) = seen.asked.first() else {
        return wrong;
    };
    for (name, values) in wanted(&step.asked_with, step.at) {
        let found = all(first, &name);
        expect(
            found == values,
            format!(
                "the origin was asked with {name} {}, not {}",
                text(&found),
                text(&values)
            ),
        );
    }
    for name in &step.asked_without {
        expect(
            !first.contains_key(*name),
            format!("the origin was asked with {name}"),
        );
    }
    let conditional = |asked: &HeaderMap| {
        ["if-none-match", "if-modified-since"]
            .iter()
            .any(|name| asked.contains_key(*name))
    };
    expect(
        !step.asked_again || !seen.asked.last().is_some_and(conditional),
        "the origin was asked with a condition once more".to_owned(),
    );
    let confirms = matches!(step.origin, Answer::Reply { status: 304, .. });
    expect(
        step.from != From::Validated || !confirms || conditional(first),
        "the origin was asked without a condition".to_owned(),
    );
    wrong
}

/// The lines by name, each name once.
fn wanted(templates: &[String], at: i64) -> Vec<(HeaderName, Vec<Vec<u8>>)> {
    let mut by_name: Vec<(HeaderName, Vec<Vec<u8>>)> = Vec::new();
    for template in templates {
        let (name, value) = line(template, at);
        let value = value.as_bytes().to_vec();
        match by_name.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => by_name.push((name, vec![value])),
        }
    }
    by_name
}

fn all(headers: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    let lines = headers.get_all(name).iter();
    lines.map(|v| v.as_bytes().to_vec()).collect()
}

fn text(lines: &[Vec<u8>]) -> String {
    let lines: Vec<_> = lines.iter().map(|l| String::from_utf8_lossy(l)).collect();
    format!("{lines:?}")
}
