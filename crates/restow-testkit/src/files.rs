//! How many files a test may have open.

/// Lets this process have so many files open, sockets too, where the system lets it.
pub fn allow_files(many: u64) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current.is_none_or(|now| now >= many) {
            return;
        }
        let limit = Rlimit {
            current: Some(many),
            maximum,
        };
        setrlimit(Resource::Nofile, limit)
            .unwrap_or_else(|e| panic!("{many} open files are needed ({e}); raise ulimit -n"));
    }
    #[cfg(not(unix))]
    let _ = many;
}
