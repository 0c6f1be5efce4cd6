//! A booted Debian, in namespaces of its own and with all changes in memory: the cached root file system
//! below it is not modified, and everything ends with the test, however that ends.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::common::{self, Run};

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Only a failure takes this long.
const PATIENCE: Duration = Duration::from_secs(150);

/// $1: the root file system; $2: what to set up in it; $3: the name of a control group. The machine only
/// sees control groups of version 2, which systemd 257 requires.
const BOOT: &str = "
    set -eu
    mount -t tmpfs -o mode=755 tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay overlay -o lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
    chroot /mnt/root sh -euc \"$2\" >&2
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir /sys/fs/cgroup/$3
    echo 0 >/sys/fs/cgroup/$3/cgroup.procs
    exec systemd-nspawn --directory=/mnt/root --boot --register=no --keep-unit --private-network \
        --console=passive";

/// Debian's httpd with one accept lock, which is a semaphore set: prefork, two listeners.
const HTTPD: &str = "
    a2dismod -q mpm_event
    a2enmod -q mpm_prefork
    printf 'Listen 80\\nListen 8080\\n' >/etc/apache2/ports.conf
    printf 'ServerName localhost\\nMutex sysvsem default\\n' >/etc/apache2/conf-enabled/test.conf
";

/// Waits until `done` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "timed out waiting until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Must be dropped in the thread that created it: the kernel ends it with that thread.
pub(crate) struct Machine {
    holder: Child,
    /// The PID of its systemd on this system.
    leader: u32,
    group: String,
}

impl Machine {
    /// Boots this release of Debian with its own httpd, after setting up `more`, and waits until it has
    /// booted. `None`, with a message, if it cannot run here.
    pub(crate) fn boot(release: &str, more: &str) -> Option<Machine> {
        let tools = ["systemd-nspawn", "curl", "strip", "dpkg-deb", "dpkg-shlibdeps"];
        if let Err(missing) = common::present(&tools) {
            common::skip(&missing);
            return None;
        }
        let root = match root_file_system(release) {
            Ok(root) => root,
            Err(run) => {
                common::skip(&format!("no root file system of {release}: {run}"));
                return None;
            }
        };
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let group = format!("httpd-semguard-test-{}-{number}", std::process::id());
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("boot-{number}.log"));
        let console = fs::File::create(&log).expect("created");
        let holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "sh", "-c", BOOT, "sh"])
            .args([root, format!("{HTTPD}{more}"), group.clone()])
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("duplicated"))
            .stderr(console)
            .spawn()
            .expect("setpriv runs");
        let mut machine = Machine { holder, leader: 0, group };
        if machine.runs() {
            return Some(machine);
        }
        let console = fs::read_to_string(&log).unwrap_or_default();
        drop(machine);
        common::skip(&format!("{release} could not be booted:\n{console}"));
        None
    }

    fn runs(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.holder.try_wait().expect("a child").is_some() {
                return false;
            }
            match first_child(self.holder.id()).and_then(first_child) {
                Some(leader) if is_init(leader) => self.leader = leader,
                _ => {
                    std::thread::sleep(Duration::from_millis(20));
                    continue;
                }
            }
            let state = self.sh("systemctl is-system-running").out;
            if ["running\n", "degraded\n"].contains(&state.as_str()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn enter(&self, namespaces: &[&str], program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.leader.to_string()]).args(namespaces).args(["--", program]);
        command.env_clear().env("PATH", PATH).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        command
    }

    /// A shell script on the machine, not yet started.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = self.enter(&["--all"], "sh");
        command.args(["-c", script]).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    /// Runs a shell script on the machine.
    pub(crate) fn sh(&self, script: &str) -> Run {
        Run::of(&mut self.command(script))
    }

    /// Its limits, in the order of `kernel.sem`. /proc/sys is read-only on the machine.
    pub(crate) fn limits(&self, sem: &str) {
        let set = format!("echo '{sem}' >/proc/sys/kernel/sem");
        Run::of(self.enter(&["--ipc"], "sh").args(["-c", &set])).exits(0);
    }

    /// The semaphore sets of a user.
    pub(crate) fn sets_of(&self, uid: u32) -> BTreeSet<i32> {
        let table = Run::of(self.enter(&["--ipc"], "cat").arg("/proc/sysvipc/sem")).exits(0).out;
        let number = |word: &str| word.parse::<i64>().expect("a number");
        table
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().map(number).collect::<Vec<_>>())
            .filter(|f| f[4] == i64::from(uid))
            .map(|f| f[1] as i32)
            .collect()
    }

    /// Sends a request to httpd.
    pub(crate) fn get(&self, port: u16) -> Run {
        let mut curl = self.enter(&["--net"], "curl");
        curl.args(["-sSf", "--max-time", "60", "--output", "/dev/null"]);
        Run::of(curl.arg(format!("http://127.0.0.1:{port}/")))
    }

    /// The path of a file on the machine as seen from outside.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.leader))
    }

    /// Writes a file, and creates its directory.
    pub(crate) fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// Adds a drop-in to a unit, and reloads systemd.
    pub(crate) fn drop_in(&self, unit: &str, text: &str) {
        self.write(&format!("/etc/systemd/system/{unit}.d/50-test.conf"), text);
        self.sh("systemctl daemon-reload").exits(0);
    }

    /// A property of a unit.
    pub(crate) fn show(&self, unit: &str, property: &str) -> String {
        let shown = self.sh(&format!("systemctl show --value -p {property} {unit}")).exits(0);
        shown.out.trim().to_owned()
    }

    /// The journal of a unit, including systemd's messages about it.
    pub(crate) fn journal(&self, unit: &str) -> String {
        let read = format!("journalctl --sync; journalctl -b -o cat --no-pager -u {unit}");
        self.sh(&read).exits(0).out
    }

    /// Installs the package with the guard of these tests.
    pub(crate) fn install_guard(&self) -> Run {
        self.copy_in(&deb(""), "/root/guard.deb");
        self.sh("dpkg -i /root/guard.deb").exits(0)
    }

    /// Copies a file there in another process; see `Namespace::install`.
    pub(crate) fn copy_in(&self, from: &Path, inside: &str) {
        let copied = Command::new("cp").arg(from).arg(self.path(inside)).status();
        assert!(copied.is_ok_and(|c| c.success()), "cp {inside}");
    }

    /// Kills all processes of a unit at once, as the kernel does if memory runs out; returns when systemd
    /// has noticed.
    pub(crate) fn kill(&self, unit: &str) {
        let main = self.show(unit, "MainPID");
        self.sh(&format!("systemctl kill --kill-whom=all --signal=KILL {unit}")).exits(0);
        wait_until("systemd has seen the end of the killed httpd", || {
            self.show(unit, "MainPID") != main
        });
    }

    /// Starts a unit, even if it is waiting for an automatic restart or has been started too often.
    pub(crate) fn start(&self, unit: &str) -> Run {
        self.sh(&format!("systemctl reset-failed {unit}; systemctl start {unit}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Its child is killed with it, which is the init of all processes of the machine.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let swept = format!(
            "mount -t cgroup2 cgroup2 /mnt; cd /mnt; for i in 1 2 3 4 5 6 7 8 9; do \
             [ -e {0} ] || exit 0; find {0} -depth -type d -exec rmdir {{}} \\; 2>/dev/null; \
             [ -e {0} ] || exit 0; sleep 0.2; done",
            self.group
        );
        let _ = Command::new("unshare").args(["--mount", "sh", "-c", &swept]).status();
    }
}

fn first_child(of: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Whether this is the first process of the machine and has already become systemd.
fn is_init(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let first = |l: &str| l.starts_with("NSpid:") && l.split_whitespace().nth(3) == Some("1");
    let exe = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    status.lines().any(first) && exe.ends_with("systemd/systemd")
}

fn root_file_system(release: &str) -> Result<String, Run> {
    let mut command = Command::new(Path::new(SOURCE).join("tests/rootfs.sh"));
    let run = Run::of(command.arg(release).stdin(Stdio::null()));
    if run.code == Some(0) { Ok(run.out.trim().to_owned()) } else { Err(run) }
}

/// The Debian package with the program of these tests; with a suffix to its version, a different one.
pub(crate) fn deb(suffix: &str) -> PathBuf {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    let deb = DEB.get_or_init(build);
    if suffix.is_empty() {
        return deb.clone();
    }
    let other = deb.with_file_name(format!("guard{suffix}.deb"));
    let script = "set -e; d=$(mktemp -d); dpkg-deb -R \"$1\" \"$d/r\"; \
        sed -i \"s/^Version: .*/&$2/\" \"$d/r/DEBIAN/control\"; \
        dpkg-deb --root-owner-group -Znone -b \"$d/r\" \"$3\"; rm -r \"$d\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(deb).arg(suffix).arg(&other);
    Run::of(&mut command).exits(0);
    other
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("systemd");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(target.join("release")).expect("a directory");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(target.join("release/httpd-semguard"));
    Run::of(strip.arg(env!("CARGO_BIN_EXE_httpd-semguard"))).exits(0);
    let mut command = Command::new(Path::new(SOURCE).join("packaging/deb/build.sh"));
    command.arg(&target).stdin(Stdio::null());
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    let run = Run::of(&mut command).exits(0);
    PathBuf::from(run.out.lines().last().expect("the name of the file"))
}
