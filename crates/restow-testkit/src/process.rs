//! A process that does a part of a test, and what it says.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A child process that says it is ready, does its part when it is told to, and ends. It ends with its handle at the latest.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it, and waits until it is ready.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take().unwrap();
        let mut process = Self {
            child,
            stdin,
            lines,
        };
        process.says("ready");
        process
    }

    /// Waits until it [says](say) this.
    pub fn says(&mut self, what: &str) {
        let line = said(what);
        let mut others = Vec::new();
        for next in self.lines.by_ref().map_while(Result::ok) {
            if next == line {
                return;
            }
            others.push(next);
        }
        panic!("it never said {what:?}:\n{}", others.join("\n"));
    }

    /// Tells it to do its part, and waits until it has asked.
    pub fn go(&mut self) {
        self.stdin.write_all(b"go\n").unwrap();
        self.says("asked");
    }

    /// Waits until it ends well.
    pub fn ends(&mut self) {
        for _ in self.lines.by_ref() {}
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Says something to whoever started this process.
pub fn say(what: &str) {
    println!("\n{}", said(what));
    std::io::stdout().flush().unwrap();
}

/// Says that this process is ready, and waits until it is told to do its part.
pub fn wait_to_go() {
    say("ready");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// A line that is nothing else that a process prints.
fn said(what: &str) -> String {
    format!("child: {what}")
}
