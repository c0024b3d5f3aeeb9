//! httpbin, a server that many HTTP clients are tested with.

use crate::environment::test_env;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdin, Command, Stdio},
    sync::OnceLock,
};

struct Server {
    address: SocketAddr,
    // The server ends when this is closed: at the end of this process, whatever its end is like.
    _leash: ChildStdin,
    _shell: Child,
}

/// Returns where httpbin listens. It is started once in a process.
pub fn httpbin() -> SocketAddr {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start).address
}

fn start() -> Server {
    let gunicorn = test_env().join("venv/bin/gunicorn");
    // The shell reads its input to the end and takes the server with it.
    let script = r#""$@" <&- & server=$!; trap 'kill -QUIT $server' EXIT; read -r _"#;
    let mut shell = Command::new("bash")
        .args(["-c", script, "httpbin"])
        .arg(&gunicorn)
        .args([
            "--bind",
            "127.0.0.1:0",
            "--threads",
            "80",
            "--no-control-socket",
            "httpbin:app",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bash starts");
    let leash = shell.stdin.take().expect("it is piped");
    let mut log = BufReader::new(shell.stderr.take().expect("it is piped")).lines();
    let mut said = Vec::new();
    // It listens before it says so, and from then on the system holds connections for it.
    let address = loop {
        match log.next() {
            Some(Ok(line)) => match line.split_once("Listening at: http://") {
                Some((_, rest)) => break rest.split(' ').next().unwrap_or(rest).parse().unwrap(),
                None => said.push(line),
            },
            _ => panic!(
                "httpbin does not start ({}); run ./scripts/test\n{}",
                gunicorn.display(),
                said.join("\n")
            ),
        }
    };
    // Whoever writes to a pipe that nobody reads stands still in the end.
    std::thread::spawn(move || log.for_each(drop));
    Server {
        address,
        _leash: leash,
        _shell: shell,
    }
}
