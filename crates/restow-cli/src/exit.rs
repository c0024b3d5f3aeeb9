//! How the program ends: exit codes by kind, and the error message.

use restow::ErrorKind;
use std::{error::Error as StdError, fmt, io, iter, process::ExitCode};

/// The exit codes, as `--help` shows them.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  some of the URLs failed, or lines were left out
  2  the command line, the configuration or a name in it is wrong
  3  the store (or the output) failed
  4  not held: no such cache, repository, endpoint or entry, also in offline mode
  5  the API failed, for every URL";

/// Why the program ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Whoever reads the output has enough.
    Quiet,
    SomeFailed,
    Usage,
    Store,
    NotHeld,
    Upstream,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Quiet => 0,
            Self::SomeFailed => 1,
            Self::Usage => 2,
            Self::Store => 3,
            Self::NotHeld => 4,
            Self::Upstream => 5,
        }
    }
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn not_held(message: impl Into<String>) -> Self {
        Self::new(Exit::NotHeld, message)
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says what it is about, before the message.
    pub(crate) fn name(&mut self, what: &str) {
        self.message = format!("{what}: {}", self.message);
    }

    /// Returns the message with its causes, in one line.
    pub(crate) fn line(&self) -> String {
        let whys = self.whys().into_iter();
        let whys = whys.map(|why| format!("; because: {why}"));
        format!("{self}{}", whys.collect::<String>())
    }

    /// Writes the message with its causes to stderr, and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            let mut text = format!("{red}error:{red:#} {self}\n");
            for why in self.whys() {
                text.push_str(&format!("  because: {why}\n"));
            }
            // Nobody is left to be told that stderr is closed.
            _ = io::Write::write_all(&mut anstream::stderr(), text.as_bytes());
        }
        ExitCode::from(self.exit.code())
    }

    /// The causes. Some errors say theirs themselves: what was said before is left out.
    fn whys(&self) -> Vec<String> {
        let mut whys: Vec<String> = Vec::new();
        let mut cause = self.source.as_deref().map(|e| e as &dyn StdError);
        while let Some(error) = cause {
            let why = error.to_string();
            let mut said = iter::once(&self.message).chain(&whys);
            if !said.any(|text| text.contains(&why)) {
                whys.push(why);
            }
            cause = error.source();
        }
        whys
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<restow::Error> for Failure {
    fn from(error: restow::Error) -> Self {
        Self::of(&error)
    }
}

impl Failure {
    /// The failure of an error that is kept.
    pub(crate) fn of(error: &restow::Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Config
            | ErrorKind::Name
            | ErrorKind::Route
            | ErrorKind::Key
            | ErrorKind::Codec
            | ErrorKind::Selection
            | ErrorKind::SchemaMismatch
            | ErrorKind::RepositoryExists
            | ErrorKind::MixedRepositories
            | ErrorKind::Unsupported => Exit::Usage,
            ErrorKind::NoSuchRepository | ErrorKind::NotRouted | ErrorKind::Offline => {
                Exit::NotHeld
            }
            ErrorKind::Upstream => Exit::Upstream,
            _ => Exit::Store,
        };
        let mut failure = Self::new(exit, error.to_string());
        failure.source = Causes::of(error);
        failure
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(Exit::Quiet, "");
        }
        Self::new(Exit::Store, "the output cannot be written").because(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// The causes of an error, written out: an error's own cause cannot be taken out of it.
#[derive(Debug)]
struct Causes {
    message: String,
    next: Option<Box<Causes>>,
}

impl Causes {
    fn of(error: &dyn StdError) -> Option<Box<dyn StdError + Send + Sync>> {
        Self::chain(error.source()).map(|c| c as Box<dyn StdError + Send + Sync>)
    }

    fn chain(error: Option<&dyn StdError>) -> Option<Box<Self>> {
        let error = error?;
        Some(Box::new(Self {
            message: error.to_string(),
            next: Self::chain(error.source()),
        }))
    }
}

impl fmt::Display for Causes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Causes {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.next.as_deref().map(|c| c as &(dyn StdError + 'static))
    }
}
