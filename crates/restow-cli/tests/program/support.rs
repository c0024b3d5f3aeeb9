//! Runs the program in a folder of its own.

#![allow(
    clippy::unwrap_used,
    reason = "where a test cannot run the program, it has to fail"
)]

use restow_testkit::{Call, Origin, Reply};
use serde_json::Value;
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A folder in which the program runs.
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        }
    }

    /// Sets a variable for the runs to come.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// Makes a command that knows nothing of the machine's settings.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for name in [
            "RESTOW_CONFIG",
            "RESTOW_CACHE",
            "RESTOW_PRINCIPAL",
            "RESTOW_MODE",
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Runs the program.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(env!("CARGO_BIN_EXE_restow")).args(arguments))
    }

    /// Runs the program with this on its stdin.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Done {
        let mut command = self.command(env!("CARGO_BIN_EXE_restow"));
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs the program, which must succeed, and returns what it writes.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 0, "{arguments:?}: {done:?}");
        done.out
    }

    /// Runs the program with --json, which must succeed, and returns its lines.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        self.ok(&all)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Runs the program, which must fail like this, and say so once.
    #[track_caller]
    pub(crate) fn fails(&self, arguments: &[&str], code: i32, says: &str) -> Done {
        let done = self.run(arguments);
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        assert!(
            done.err.contains(says),
            "{arguments:?} does not say {says:?}: {}",
            done.err
        );
        assert!(!done.err.contains("panicked"), "{}", done.err);
        done
    }
}

impl Done {
    pub(crate) fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }
}

impl From<std::process::Output> for Done {
    fn from(output: std::process::Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// An API of items: `/items/N` with an entity tag, `/me` for whoever shows a token, 404 for the rest.
pub(crate) async fn api() -> Origin {
    Origin::start(|call: &Call| {
        let path = call.target.split('?').next().unwrap_or_default();
        match path.strip_prefix("/items/") {
            Some(id) if call.header("if-none-match") == format!("\"{id}\"") => {
                Reply::status(304).header("etag", &format!("\"{id}\""))
            }
            Some(id) => Reply::ok(format!(
                "{{\"id\":{id:?},\"kind\":\"lamp\",\"name\":\"Item {id}\"}}"
            ))
            .header("content-type", "application/json")
            .header("etag", &format!("\"{id}\"")),
            None if path == "/me" && !call.header("authorization").is_empty() => {
                Reply::ok("{\"name\":\"ada\"}").header("content-type", "application/json")
            }
            None if path == "/text" => {
                Reply::ok("plain words\n").header("content-type", "text/plain")
            }
            None => Reply::status(404).then("nothing"),
        }
    })
    .await
}

/// A configuration with the items of an API.
pub(crate) fn config(api: &Origin) -> String {
    let root = api.url("");
    format!(
        r#"cache = "items.db"
[[endpoint]]
name = "items"
route = "GET {root}/items/{{id}}{{?lang}}"
codec = "json"
columns = {{ kind = "/kind" }}
label = ["/name"]
[[endpoint]]
name = "me"
route = "GET {root}/me"
"#
    )
}
