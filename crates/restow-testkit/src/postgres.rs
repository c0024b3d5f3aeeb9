//! PostgreSQL servers: each with data of its own, on a private port.

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        mpsc::{Receiver, channel},
    },
};

/// A running server. It ends when this is dropped, and with the process, whatever its end is like.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    line: Mutex<Line>,
}

/// pgbouncer in transaction mode, before a server. It ends as that does.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    server: u16,
    _line: Mutex<Line>,
}

impl PgBouncer {
    /// Starts one.
    pub fn before(server: &Postgres) -> Self {
        for _ in 0..5 {
            let (folder, port) = (folder(), free_port());
            let settings = format!(
                "[databases]\npostgres = host=127.0.0.1 port={} user=restow\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
                 pool_mode = transaction\ndefault_pool_size = 8\nmax_client_conn = 500\n",
                server.port
            );
            fs::write(folder.join("pgbouncer.ini"), settings).expect("the folder is there");
            let mut command = as_server(Path::new("/usr/sbin/pgbouncer"));
            command.arg(folder.join("pgbouncer.ini"));
            match Line::of(&folder, &command, "process up") {
                Ok(line) => {
                    return Self {
                        port,
                        server: server.port,
                        _line: Mutex::new(line),
                    };
                }
                Err(said) => assert!(is_taken(&said), "pgbouncer does not start:\n{said}"),
            }
        }
        panic!("there is no free port for pgbouncer");
    }

    /// Returns a URL of the server that leads through it.
    pub fn through(&self, url: &str) -> String {
        url.replace(&format!(":{}/", self.server), &format!(":{}/", self.port))
    }
}

/// The way to the shell that keeps the server.
#[derive(Debug)]
struct Line {
    // When it is closed, the shell ends the server and removes its data.
    leash: Option<ChildStdin>,
    shell: Child,
    log: Receiver<String>,
    ready: &'static str,
}

/// Starts the server and, when it is told, again, and says so, and when it ends; QUIT ends PostgreSQL at once, and TERM pgbouncer, which a shell lets ignore QUIT; takes it and its data with it in the end.
const SHELL: &str = r#"
folder=$1; shift
begin() {
    rm -f "$folder/pid"; echo "the server begins" >&2
    { "$@" <&- & echo $! >"$folder/pid"; wait $!; echo "the server has ended" >&2; } & keeper=$!
}
end() {
    until [ -s "$folder/pid" ]; do sleep 0.01; done
    read -r server <"$folder/pid"
    kill -QUIT $server; kill -TERM $server; kill -CONT $server; wait $keeper; rm -rf "$folder"
} 2>/dev/null
trap end EXIT
begin "$@"
while read -r _; do wait $keeper; begin "$@"; done
"#;
const BEGINS: &str = "the server begins";
const ENDED: &str = "the server has ended";

impl Postgres {
    /// Starts a server that does not wait for the disk.
    pub fn start() -> Self {
        Self::with(&["fsync=off"])
    }

    /// Starts a server with these settings (`name=value`), such as a second one to read from.
    pub fn with(settings: &[&str]) -> Self {
        Self::begin(settings, initialise)
    }

    /// Starts a server that speaks TLS with this certificate and key (PEM) where a client wants it.
    pub fn with_tls(certificate: &str, key: &str) -> Self {
        Self::begin(
            &[
                "fsync=off",
                "ssl=on",
                "ssl_cert_file=server.crt",
                "ssl_key_file=server.key",
            ],
            |data| {
                initialise(data);
                for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                    fs::write(data.join(name), text).expect("the folder is there");
                    if is_root() {
                        run(Command::new("chown").arg(user()).arg(data.join(name)));
                    }
                    run(Command::new("chmod").arg("600").arg(data.join(name)));
                }
            },
        )
    }

    /// Starts a server that lets in a user of this name by this password alone, and whoever else it knows.
    pub fn with_user(name: &str, password: &str) -> Self {
        let rules = format!(
            "host all {name} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
        );
        let server = Self::begin(&["fsync=off"], |data| {
            initialise(data);
            fs::write(data.join("pg_hba.conf"), &rules).expect("the folder is there");
        });
        let password = password.replace('\'', "''");
        server.sql(&format!(
            "CREATE ROLE {name} LOGIN PASSWORD '{password}'; GRANT CREATE ON DATABASE postgres TO {name}"
        ));
        server
    }

    /// Returns the server that the tests of this process share. It is started once.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// Starts a server that follows this one and may be read from.
    pub fn replica(&self) -> Self {
        Self::begin(&["fsync=off"], |data| {
            run(as_server(&program("pg_basebackup"))
                .args([
                    "--write-recovery-conf",
                    "--checkpoint=fast",
                    "--no-sync",
                    "-D",
                ])
                .arg(data)
                .args([
                    "-h",
                    "127.0.0.1",
                    "-U",
                    "restow",
                    "-p",
                    &self.port.to_string(),
                ]));
        })
    }

    fn begin(settings: &[&str], fill: impl Fn(&Path)) -> Self {
        // Another process may take the port between the two; then it is another.
        for _ in 0..5 {
            let (folder, port) = (folder(), free_port());
            fill(&folder.join("data"));
            match Line::begin(&folder, port, settings) {
                Ok(line) => {
                    return Self {
                        folder,
                        port,
                        line: Mutex::new(line),
                    };
                }
                Err(said) => assert!(is_taken(&said), "PostgreSQL does not start:\n{said}"),
            }
        }
        panic!("there is no free port for PostgreSQL");
    }

    /// Returns the port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of the database that every server has.
    pub fn url(&self) -> String {
        format!("postgres://restow@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the URL of a schema that nobody has used.
    pub fn fresh(&self) -> String {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        format!(
            "{}?schema=s{}",
            self.url(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        )
    }

    /// Runs SQL and returns what it answers, a row a line.
    pub fn sql(&self, sql: &str) -> String {
        let port = self.port.to_string();
        let mut psql = Command::new(program("psql"));
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "restow",
            "-p",
            &port,
        ])
        .args(["-d", "postgres", "-c", sql]);
        let out = psql.output().expect("psql starts");
        assert!(
            out.status.success(),
            "{sql}\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout)
            .expect("it is UTF-8")
            .trim_end()
            .to_owned()
    }

    /// Kills every process of it at once, and waits until all are gone. What the kernel has, it still writes.
    pub fn kill(&self) {
        let all = self.processes();
        let ends: Vec<_> = all
            .iter()
            .filter_map(|pid| pidfd_open(*pid, PidfdFlags::empty()).ok())
            .collect();
        self.signal(Signal::KILL);
        for end in &ends {
            poll(&mut [PollFd::new(end, PollFlags::IN)], None).expect("it can be waited for");
        }
    }

    /// Lets it stand still: it holds its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again, after [`kill`](Self::kill), and waits until it takes connections.
    pub fn restart(&self) {
        let mut line = self.line.lock().unwrap();
        writeln!(line.leash.as_mut().unwrap(), "again").expect("the shell is there");
        let ready = line.ready();
        ready.unwrap_or_else(|said| panic!("PostgreSQL does not start again:\n{said}"));
    }

    /// Makes the server that it followed what it is itself: one that takes writes.
    pub fn promote(&self) {
        self.sql("SELECT pg_promote(true)");
    }

    fn signal(&self, signal: Signal) {
        for pid in self.processes() {
            // It may have ended by itself.
            _ = kill_process(pid, signal);
        }
    }

    /// The server's main process, then its children.
    fn processes(&self) -> Vec<Pid> {
        let file = self.folder.join("data/postmaster.pid");
        let text = fs::read_to_string(&file).expect("the server runs");
        let main: i32 = text
            .lines()
            .next()
            .and_then(|l| l.parse().ok())
            .expect("it has a number");
        let mut all = vec![Pid::from_raw(main).expect("it has a number")];
        for process in fs::read_dir("/proc").expect("there is /proc").flatten() {
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            // The name stands in brackets, and may hold any of them.
            let parent = stat
                .rsplit(')')
                .next()
                .and_then(|rest| rest.split_whitespace().nth(1));
            if parent == Some(&main.to_string()) {
                let pid = process.file_name().to_string_lossy().parse().ok();
                all.extend(pid.and_then(Pid::from_raw));
            }
        }
        all
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let line = self
            .line
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Ok(text) = fs::read_to_string(self.folder.join("data/postmaster.pid"))
            && let Some(pid) = text
                .lines()
                .next()
                .and_then(|l| l.parse().ok())
                .and_then(Pid::from_raw)
        {
            // A frozen one does not hear that it has to end.
            _ = kill_process(pid, Signal::CONT);
        }
        line.leash.take();
        _ = line.shell.wait();
    }
}

impl Line {
    /// What the server said where it ends before it takes connections.
    fn begin(folder: &Path, port: u16, settings: &[&str]) -> Result<Self, String> {
        let mut server = as_server(&program("postgres"));
        server
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .args(["-p", &port.to_string()])
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "shared_buffers=32MB",
                "-c",
                "max_connections=200",
            ]);
        for setting in settings {
            server.args(["-c", setting]);
        }
        Self::of(folder, &server, "ready to accept")
    }

    /// Runs a server that says so when it takes connections.
    fn of(folder: &Path, server: &Command, ready: &'static str) -> Result<Self, String> {
        let mut shell = Command::new("bash")
            .args(["-c", SHELL, "server"])
            .arg(folder)
            .arg(server.get_program())
            .args(server.get_args())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash starts");
        let leash = shell.stdin.take();
        let lines = BufReader::new(shell.stderr.take().expect("it is piped")).lines();
        let (sender, log) = channel();
        // Whoever writes to a pipe that nobody reads stands still in the end.
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| _ = sender.send(line))
        });
        let line = Self {
            leash,
            shell,
            log,
            ready,
        };
        line.ready().map(|()| line)
    }

    /// Waits until it takes connections; returns what it said where it ends before.
    fn ready(&self) -> Result<(), String> {
        let (mut begun, mut all) = (false, String::new());
        while let Ok(said) = self.log.recv() {
            // What comes before is of the one that was killed.
            begun |= said == BEGINS;
            if !begun {
                continue;
            }
            if said.contains(self.ready) {
                return Ok(());
            }
            let ended = said == ENDED;
            all = all + &said + "\n";
            if ended {
                break;
            }
        }
        Err(all)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.leash.take();
        _ = self.shell.wait();
    }
}

/// Tells whether somebody else has the port.
fn is_taken(said: &str) -> bool {
    said.contains("Address already in use") || said.contains("lock file")
}

fn initialise(data: &Path) {
    run(as_server(&program("initdb"))
        .args([
            "--no-sync",
            "--auth=trust",
            "--username=restow",
            "--locale=C",
            "--encoding=UTF8",
            "-D",
        ])
        .arg(data));
}

/// Makes a folder that the server's user may use, and nobody else.
fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("restow-postgres-{:x}", rand()));
    fs::create_dir(&folder).expect("there is a folder for temporary files");
    if is_root() {
        run(Command::new("chown").arg(user()).arg(&folder));
    }
    folder
}

/// A number that no other process or call has.
fn rand() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Returns one of PostgreSQL's programs: of the newest version there is.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut found: Vec<_> = versions
        .filter_map(|v| {
            let number: u32 = v.file_name().to_string_lossy().parse().ok()?;
            Some((number, v.path().join("bin").join(name)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    found.sort();
    found.pop().map_or_else(|| name.into(), |(_, path)| path)
}

/// A program as the server's user: PostgreSQL refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = user();
    command
        .args([format!("--reuid={user}"), "--clear-groups".to_owned()])
        .arg(format!("--regid={}", group()))
        .arg(program);
    command
}

fn user() -> &'static str {
    if fs::read_to_string("/etc/passwd").is_ok_and(|all| all.contains("\npostgres:")) {
        "postgres"
    } else {
        "nobody"
    }
}

fn group() -> &'static str {
    if user() == "postgres" {
        "postgres"
    } else {
        "nogroup"
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    listener.local_addr().expect("it has a port").port()
}

fn run(command: &mut Command) {
    let out = command.current_dir("/").output();
    let out = out.unwrap_or_else(|e| panic!("{command:?}: {e}; run ./scripts/test"));
    assert!(
        out.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no_such_setting")]
    fn a_server_that_ends_at_its_start_says_why() {
        Postgres::with(&["no_such_setting=on"]);
    }
}
