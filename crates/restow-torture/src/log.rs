//! SQLite's write-ahead log, read as a file.

/// The header of a log, and of each frame in it.
const HEAD: usize = 32;
const FRAME: usize = 24;

/// Says where each frame of a log ends, in order, and whether it ends a commit. What an older log left behind is no part of it.
pub(crate) fn frames(log: &[u8]) -> Vec<(usize, bool)> {
    let (Some(page), Some(salt)) = (number(log, 8), log.get(16..24)) else {
        return Vec::new();
    };
    let step = FRAME + page as usize;
    let mut found = Vec::new();
    let mut at = HEAD;
    while let (Some(size), Some(theirs)) = (number(log, at + 4), log.get(at + 8..at + 16)) {
        if theirs != salt || at + step > log.len() {
            break;
        }
        at += step;
        found.push((at, size != 0));
    }
    found
}

/// Says where the last commit of a log ends.
pub(crate) fn end(log: &[u8]) -> usize {
    let ends = frames(log).into_iter().rev();
    let mut commits = ends.filter_map(|(end, commits)| commits.then_some(end));
    commits.next().unwrap_or(0)
}

fn number(log: &[u8], at: usize) -> Option<u32> {
    let bytes = log.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}
