//! Whether files have changed: looked up, so that it is all one how they are written, renamed over, or reached by links.

use std::{
    collections::BTreeMap,
    fs::{self, Metadata},
    path::PathBuf,
    time::SystemTime,
};

/// The files that are looked at.
#[derive(Debug, Default)]
pub(super) struct Watch(BTreeMap<PathBuf, Seen>);

/// What a file was like when it was last taken over, and when it was last looked at.
#[derive(Debug)]
struct Seen {
    taken: Mark,
    last: Mark,
}

/// What differs where a file was changed or replaced; `None` where it is not there.
type Mark = Option<(Option<SystemTime>, u64, u64)>;

impl Watch {
    /// Looks at all of them; tells whether one is another than was taken over, and no more being written: it is as it was a look before.
    pub(super) async fn changed(&mut self) -> bool {
        let now = marks(self.0.keys().cloned().collect()).await;
        let mut changed = false;
        for (path, mark) in now {
            if let Some(seen) = self.0.get_mut(&path) {
                changed |= mark != seen.taken && mark == seen.last;
                seen.last = mark;
            }
        }
        changed
    }

    /// Notes that these are about to be taken over as they are; from now on they are looked at, and no others.
    pub(super) async fn take(&mut self, files: Vec<PathBuf>) {
        let seen = |mark| Seen {
            taken: mark,
            last: mark,
        };
        let marked = marks(files).await.into_iter();
        self.0 = marked.map(|(path, mark)| (path, seen(mark))).collect();
    }
}

/// Looks at files, in a thread that may wait for a disk.
async fn marks(files: Vec<PathBuf>) -> Vec<(PathBuf, Mark)> {
    let look = move || {
        let marked = files.into_iter().map(|path| {
            let mark = fs::metadata(&path).ok().map(|m| mark(&m));
            (path, mark)
        });
        marked.collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}

fn mark(metadata: &Metadata) -> (Option<SystemTime>, u64, u64) {
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let number = 0;
    (metadata.modified().ok(), metadata.len(), number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_has_changed_once_it_is_written_and_until_it_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        let mut watch = Watch::default();
        watch.take(vec![path.clone()]).await;
        assert!(!watch.changed().await);
        fs::write(&path, "22").unwrap();
        assert!(!watch.changed().await, "it may be being written");
        fs::write(&path, "333").unwrap();
        assert!(!watch.changed().await, "it is being written");
        assert!(watch.changed().await);
        watch.take(vec![path.clone()]).await;
        assert!(!watch.changed().await);
        // Away, and there again: an editor may do so.
        fs::rename(&path, folder.path().join("b")).unwrap();
        assert!(!watch.changed().await);
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert!(!watch.changed().await);
        assert!(!watch.changed().await);
        // Another of the same length and time.
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let other = folder.path().join("c");
        fs::write(&other, "444").unwrap();
        let file = fs::File::options().append(true).open(&other).unwrap();
        file.set_modified(before).unwrap();
        fs::rename(&other, &path).unwrap();
        watch.changed().await;
        assert!(watch.changed().await);
    }
}
