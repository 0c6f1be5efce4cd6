//! Shared by the tests on a real kernel: a private namespace, with the guard and actors in it. Nothing
//! outside the namespace is touched, and everything in it ends with the test, however that ends.

// Every test file is a crate of its own and uses only a part of this.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use std::{fmt, fs};

/// The user that httpd runs as in these tests, Debian's www-data.
pub const WWW: u32 = 33;

/// A user with nothing to do with httpd.
pub const STRANGER: u32 = 1234;

/// Long enough for the slowest machine: only a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// From here on, semids can be distinguished from other numbers in memory: from 32,768 on, one in a
/// thousand still occurs in a process by coincidence, and more of the first ones after that.
const FIRST_NUMBER: i32 = 50 << 15;

/// The directory for a namespace's own files, which disappears with it.
const OWN: &str = "/run/t";

/// What a guard installed on this machine has saved; a namespace has its own.
const KEPT: &str = "/var/lib/httpd-semguard";

/// Ends the test with a message if this machine cannot run it; with `REQUIRE_ALL=1`, as a failure.
#[macro_export]
macro_rules! require {
    ($($tool:expr),* $(,)?) => {
        if let Err(missing) = $crate::common::present(&[$($tool),*]) {
            $crate::common::skip(&missing);
            return;
        }
    };
}

/// Whether this process is root and the tools are installed; otherwise, what is missing.
pub fn present(tools: &[&str]) -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("needs root, for namespaces and limits of its own".into());
    }
    let found = |tool: &str| PATH.split(':').any(|dir| Path::new(dir).join(tool).exists());
    let always = ["setpriv", "unshare", "nsenter", "mount", "ip"];
    match always.iter().chain(tools).find(|tool| !found(tool)) {
        Some(tool) => Err(format!("{tool} is not installed")),
        None => Ok(()),
    }
}

/// Reports that a test did not run. Written directly to standard error, which the test harness does not
/// capture.
pub fn skip(missing: &str) {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(io::stderr(), "SKIPPED: {test}: {missing}");
    assert!(std::env::var_os("REQUIRE_ALL").is_none_or(|v| v != "1"), "SKIPPED: {missing}");
}

/// A file of the sources.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of a file of the sources.
pub fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// A directory for one test, readable by everybody; removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("semguard-{name}-{}", std::process::id()));
        fs::create_dir(&dir).expect("a directory");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("chmod");
        Folder(dir)
    }

    /// Creates a program there that anybody may run.
    pub fn program(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.0.join(name);
        fs::write(&file, content).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("chmod");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits until `done` holds.
#[track_caller]
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The helper program of these tests, built if `cargo test --test NAME` did not do so.
fn actor_program() -> &'static Path {
    static ACTOR: OnceLock<PathBuf> = OnceLock::new();
    ACTOR.get_or_init(|| {
        let profile = Path::new(env!("CARGO_BIN_EXE_httpd-semguard")).parent().expect("a folder");
        let actor = profile.join("examples/actor");
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let time = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
        if actor.exists() && time(&actor) >= time(&source.join("tests/actor/actor.rs")) {
            return actor;
        }
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "--example", "actor"]).current_dir(source);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.env("CARGO_TARGET_DIR", profile.parent().expect("a folder")).status();
        assert!(built.is_ok_and(|b| b.success()), "cargo build --example actor failed");
        actor
    })
}

/// Namespaces of one test: System V IPC, processes, mounts (with a /run of its own) and network.
/// Must be dropped in the thread that created it: the kernel ends it with that thread.
pub struct Namespace {
    holder: Child,
}

impl Namespace {
    /// With these limits, in the order of `kernel.sem`. Its first set gets a semid that does not occur in
    /// memory by coincidence, as on a machine that has been running for a long time.
    pub fn new(sem: &str) -> Namespace {
        Namespace::numbered(sem, FIRST_NUMBER)
    }

    /// The same as after a boot: its first set gets the semid 0.
    pub fn fresh(sem: &str) -> Namespace {
        Namespace::numbered(sem, 0)
    }

    fn numbered(sem: &str, first: i32) -> Namespace {
        let actor = actor_program().display();
        // Before the test's limits are set, which may leave no room for a set; in a process that ends, so
        // that no running process has ever known these semids.
        let set_up = format!(
            "mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 {OWN} && ip link set lo up && \
             {{ ! test -d {KEPT} || mount -t tmpfs -o mode=755 tmpfs {KEPT}; }} && \
             {{ test {first} = 0 || {actor} number {first}; }} && \
             echo {sem} > /proc/sys/kernel/sem && exec {actor} stay ready"
        );
        let mut holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--ipc", "--pid", "--mount", "--net"])
            .args(["--fork", "--kill-child", "--mount-proc", "sh", "-c", &set_up])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("setpriv runs");
        let mut line = String::new();
        let out = holder.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("an answer");
        assert_eq!(line, "ready 1\n", "the namespace could not be created");
        Namespace { holder }
    }

    /// A command inside, with an environment that contains only PATH and the locale.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let pid = self.holder.id();
        let mut command = Command::new("nsenter");
        command
            .args(["-t", &pid.to_string(), "--ipc", "--mount", "--net"])
            .arg(format!("--pid=/proc/{pid}/ns/pid_for_children"))
            .arg("--")
            .arg(program)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs a shell script inside.
    pub fn sh(&self, script: &str) -> Run {
        Run::of(self.command("sh").args(["-c", script]))
    }

    /// The guard inside, with these arguments and without asking httpd.
    pub fn guard_command(&self, args: &str) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_httpd-semguard"));
        command.args(args.split_whitespace()).arg("--no-ask");
        command
    }

    /// Runs the guard inside, without asking httpd.
    pub fn guard(&self, args: &str) -> Run {
        Run::of(&mut self.guard_command(args))
    }

    /// Runs the guard inside as the last part of a command line, without asking httpd.
    pub fn guard_under(&self, wrapper: &str, args: &str) -> Run {
        let guard = self.guard_copy();
        self.sh(&format!("{wrapper} {guard} {args} --no-ask"))
    }

    /// The words before a program that trace it: in an IPC namespace of its own, so that the tracer cannot
    /// be a process that uses a set, whatever numbers it reads in the traced calls.
    pub fn strace(args: &str) -> String {
        format!("unshare --ipc strace {args} nsenter -t 1 --ipc --")
    }

    /// A copy of the guard that every user can reach.
    pub fn guard_copy(&self) -> String {
        self.install("httpd-semguard", Path::new(env!("CARGO_BIN_EXE_httpd-semguard")))
    }

    /// A copy of the actor under this name.
    pub fn actor_copy(&self, name: &str) -> String {
        self.install(name, actor_program())
    }

    fn install(&self, name: &str, from: &Path) -> String {
        let inside = format!("{OWN}/{name}");
        let outside = self.path(&inside);
        if !outside.exists() {
            // In another process: a child forked by us meanwhile would inherit the file open for writing,
            // and the kernel does not execute such a file (ETXTBSY).
            let copied = Command::new("cp").arg(from).arg(outside).status();
            assert!(copied.is_ok_and(|c| c.success()), "cp {inside}");
        }
        inside
    }

    /// Gives the namespace a /dev of its own, without a log socket.
    pub fn own_dev(&self) {
        self.sh("set -e; mkdir /run/dev; mount -t tmpfs -o mode=755 tmpfs /run/dev; cd /run/dev; \
             for d in null zero full random urandom; do touch $d; mount --bind /dev/$d $d; done; \
             ln -s /proc/self/fd fd; mkdir -m 1777 shm; cd /; mount --move /run/dev /dev")
            .exits(0);
    }

    /// The path of a file in the namespace as seen from outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.holder.id()))
    }

    /// Writes a file in the namespace's own directory; returns its path inside.
    pub fn write(&self, name: &str, text: &str) -> String {
        let inside = format!("{OWN}/{name}");
        fs::write(self.path(&inside), text).expect("written");
        inside
    }

    /// Starts an actor under the name `exe` and waits until each verb in its script that prints a name has
    /// been reached.
    pub fn actor(&self, exe: &str, script: &str) -> Actor<'_> {
        self.actor_under("", exe, script)
    }

    /// The same, as the last part of a command line.
    pub fn actor_under(&self, wrapper: &str, exe: &str, script: &str) -> Actor<'_> {
        let program = self.actor_copy(exe);
        let words: Vec<&str> = wrapper
            .split_whitespace()
            .chain([program.as_str()])
            .chain(script.split_whitespace())
            .collect();
        let child = self
            .command(words[0])
            .args(&words[1..])
            .stdout(Stdio::piped())
            .spawn()
            .expect("nsenter runs");
        let mut actor = Actor::new(self, child);
        let script: Vec<&str> = script.split_whitespace().collect();
        let speaks = ["say", "stay", "neglect", "shed", "part"];
        let names = script.windows(2).filter(|w| speaks.contains(&w[0])).map(|w| w[1]);
        let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
        for name in names {
            *expected.entry(name).or_default() += 1;
        }
        while expected.iter().any(|(name, n)| actor.pids.get(*name).map_or(0, Vec::len) < *n) {
            assert!(actor.hear(), "{exe} ended before it had printed all of {expected:?}");
        }
        actor
    }

    /// Runs an actor whose script ends by itself, and waits for its end; returns the sets it made. Their
    /// last pid is then dead.
    pub fn dead_actor(&self, exe: &str, script: &str) -> Vec<i32> {
        let mut actor = self.actor(exe, script);
        while actor.hear() {}
        assert!(actor.child.wait().expect("waited").success(), "{exe} {script}");
        std::mem::take(&mut actor.sets)
    }

    /// Sets as left behind by a killed httpd.
    pub fn orphans(&self, count: usize, uid: u32) -> Vec<i32> {
        self.dead_actor("httpd", &format!("make {count} {uid} exit"))
    }

    /// The table, as the kernel prints it.
    pub fn sets(&self) -> Vec<Set> {
        let table = self.sh("cat /proc/sysvipc/sem").exits(0).out;
        table
            .lines()
            .skip(1)
            .map(|line| {
                let f: Vec<i64> =
                    line.split_whitespace().map(|w| w.parse().expect("a number")).collect();
                Set {
                    key: f[0] as i32,
                    id: f[1] as i32,
                    nsems: f[3],
                    uid: f[4] as u32,
                    cuid: f[6] as u32,
                    otime: f[8],
                }
            })
            .collect()
    }

    /// The identifiers of all sets, in order.
    pub fn ids(&self) -> Vec<i32> {
        let mut ids: Vec<i32> = self.sets().iter().map(|s| s.id).collect();
        ids.sort_unstable();
        ids
    }

    /// What the kernel reports about the first semaphore of a set.
    pub fn semaphore(&self, id: i32) -> Semaphore {
        let text = self.sh(&format!("ipcs -s -i {id}")).exits(0).out;
        let row = text.lines().skip_while(|l| !l.starts_with("semnum")).nth(1).expect("a row");
        let f: Vec<i32> = row.split_whitespace().map(|w| w.parse().expect("a number")).collect();
        Semaphore { value: f[1], growing: f[2], zero: f[3], pid: f[4] }
    }

    /// Whether a process with this PID is running inside; a zombie is not.
    pub fn lives(&self, pid: i32) -> bool {
        fs::read_to_string(self.path(&format!("/proc/{pid}/stat")))
            .is_ok_and(|s| !s.rsplit(')').next().is_some_and(|f| f.trim_start().starts_with('Z')))
    }

    /// Kills a process inside and waits for its end.
    pub fn kill(&self, pid: i32) {
        self.sh(&format!("kill -KILL {pid}"));
        wait_until("the killed process is dead", || !self.lives(pid));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its child is killed with it, which is the init of all processes inside.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A semaphore set, from /proc/sysvipc/sem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub key: i32,
    pub id: i32,
    pub nsems: i64,
    pub uid: u32,
    pub cuid: u32,
    pub otime: i64,
}

/// One semaphore, from `ipcs -i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Semaphore {
    pub value: i32,
    pub growing: i32,
    pub zero: i32,
    pub pid: i32,
}

/// A running actor: all processes of its script.
pub struct Actor<'n> {
    namespace: &'n Namespace,
    child: Child,
    lines: Receiver<String>,
    /// The processes by the name they printed, with their PIDs in the namespace.
    pub pids: BTreeMap<String, Vec<i32>>,
    /// The sets it made.
    pub sets: Vec<i32>,
}

impl<'n> Actor<'n> {
    fn new(namespace: &'n Namespace, mut child: Child) -> Actor<'n> {
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        Actor { namespace, child, lines, pids: BTreeMap::new(), sets: Vec::new() }
    }

    /// Reads one line; false at the end.
    fn hear(&mut self) -> bool {
        let Ok(line) = self.lines.recv_timeout(PATIENCE) else { return false };
        let (word, number) = line.split_once(' ').expect("two words");
        let number: i32 = number.parse().expect("a number");
        match word {
            "set" => self.sets.push(number),
            name => self.pids.entry(name.to_owned()).or_default().push(number),
        }
        true
    }

    /// The only process that printed this name.
    pub fn pid(&self, name: &str) -> i32 {
        self.pids[name][0]
    }

    /// Kills the processes that printed this name.
    pub fn kill(&self, name: &str) {
        for pid in &self.pids[name] {
            self.namespace.kill(*pid);
        }
    }

    /// Kills all its processes, parents first.
    pub fn kill_all(&self) {
        for pid in self.pids.values().flatten() {
            self.namespace.sh(&format!("kill -STOP {pid}"));
        }
        for pid in self.pids.values().flatten() {
            self.namespace.kill(*pid);
        }
    }
}

impl Drop for Actor<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(out: ChildStdout) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What a command did.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or("a signal".into(), |c| c.to_string());
        write!(f, "exit {code}\n-- stdout\n{}-- stderr\n{}--", self.out, self.err)
    }
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Run {
        Run::end(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs"))
    }

    /// Waits for the end of a command that was started with pipes.
    pub fn end(child: Child) -> Run {
        let output = child.wait_with_output().expect("waited");
        Run {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    #[track_caller]
    pub fn logs(self, text: &str) -> Run {
        assert!(self.err.contains(text), "not in stderr: {text}\n{self}");
        self
    }

    #[track_caller]
    pub fn does_not_log(self, text: &str) -> Run {
        assert!(!self.err.contains(text), "in stderr: {text}\n{self}");
        self
    }

    #[track_caller]
    pub fn prints(self, text: &str) -> Run {
        assert!(self.out.contains(text), "not in stdout: {text}\n{self}");
        self
    }

    /// The line of `list` for a set, starting at its verdict.
    #[track_caller]
    pub fn verdict(&self, id: i32) -> String {
        let id = id.to_string();
        let row = self.out.lines().find(|l| l.split_whitespace().next() == Some(id.as_str()));
        let row = row.unwrap_or_else(|| panic!("no set {id}\n{self}"));
        let at = self.out.lines().next().and_then(|h| h.find("VERDICT")).expect("the header");
        row.chars().skip(at).collect()
    }
}
