//! The portable program: what it requires of a system, system calls that an old kernel lacks, Debian 11
//! with its own httpd, and aarch64 under emulation. Builds it first, as "make portable" does.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::{Namespace, Run, WWW, wait_until};
use serde_json::Value;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// The last system call of x86-64 in Linux 3.10: `finit_module` (v3.10,
/// arch/x86/syscalls/syscall_64.tbl). Numbers are assigned in order, so each call with a larger one was
/// added later.
const LAST_OF_3_10: u32 = 313;

/// Room for what a test creates, and little more.
const SEM: &str = "250 32000 32 64";

/// Where the libraries of aarch64 are (Debian's libc6-arm64-cross).
const AARCH64: &str = "/usr/aarch64-linux-gnu";

/// What building needs; zig and Rust's library are downloaded.
const BUILDING: [&str; 4] = ["debootstrap", "python3", "readelf", "chroot"];

macro_rules! require_building {
    ($($tool:expr),* $(,)?) => {
        require!(BUILDING[0], BUILDING[1], BUILDING[2], BUILDING[3] $(, $tool)*);
    };
}

fn script(args: &[&str]) -> Run {
    let mut command = Command::new(Path::new(SOURCE).join("packaging/portable.sh"));
    Run::of(command.args(args).stdin(Stdio::null()))
}

/// The portable program for a machine, rebuilt if anything has changed.
fn portable(machine: &str) -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder");
        script(&[target.to_str().expect("its name")]).exits(0);
        target.join("portable")
    });
    made.join(machine).join("httpd-semguard")
}

fn gate(program: &Path) -> Run {
    script(&["gate", program.to_str().expect("its name")])
}

/// A file for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Scratch {
        let path = std::env::temp_dir().join(format!("semguard-{}-{name}", std::process::id()));
        fs::write(&path, bytes).expect("written");
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

// ---- what it needs --------------------------------------------------------------------------------

#[test]
fn it_is_small_and_needs_only_glibc_2_17() {
    require_building!();
    for machine in ["x86_64", "aarch64"] {
        gate(&portable(machine)).exits(0).prints("GLIBC_2.17 at most");
    }
}

#[test]
fn a_program_that_needs_more_is_rejected_for_each_excess() {
    require_building!();
    let ordinary = gate(Path::new(env!("CARGO_BIN_EXE_httpd-semguard"))).exits(1);
    ordinary.logs("needs GLIBC_2.").logs("libgcc_s.so.1").logs("@GCC_").logs(", more than ");

    let bytes = fs::read(portable("aarch64")).expect("read");
    let large = Scratch::new("large", &[&bytes[..], &[0; 512 << 10]].concat());
    let run = gate(&large.0).exits(1).logs(", more than ");
    assert_eq!(run.err.lines().count(), 1, "{run}");

    // p_align of the first program header with type PT_LOAD (elf(5)).
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
    let headers = word(32) as usize;
    let load = (headers..).step_by(56).find(|at| word(*at) as u32 == 1).expect("one");
    let mut packed = bytes.clone();
    packed[load + 48..load + 56].copy_from_slice(&0x1000_u64.to_le_bytes());
    let packed = Scratch::new("packed", &packed);
    gate(&packed.0).exits(1).logs("is not aligned for pages of 64 KiB");
}

// ---- system calls ---------------------------------------------------------------------------------

const MODULES: &str = "/usr/lib/apache2/modules";

/// Prefork with two listeners and System V semaphores, which needs one set.
fn configuration(more: &str) -> String {
    format!(
        "ServerName localhost\nServerRoot /run/t\nDocumentRoot /run/t\n\
         LoadModule mpm_prefork_module {MODULES}/mod_mpm_prefork.so\n\
         LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
         Listen 127.0.0.1:8080\nListen 127.0.0.1:8081\nMutex sysvsem default\n\
         User www-data\nGroup www-data\nPidFile /run/t/pid\nErrorLog /run/t/log\n{more}"
    )
}

/// How it is run: whether httpd is running, and the arguments.
const RUNS: [(bool, &str); 6] = [
    (false, "guard --httpd /usr/sbin/apache2 -- -f /run/t/httpd.conf"),
    (true, "guard --httpd /usr/sbin/apache2 -- -f /run/t/httpd.conf"),
    (false, "guard --dry-run --format json --output /run/t/report --no-ask --user www-data"),
    (true, "check --format prometheus --output /run/t/report --no-ask --user www-data"),
    (true, "list --format json --no-ask --user www-data"),
    (false, "guard --log syslog --no-ask --need 65 --user www-data"),
];

/// The result of a run: exit code, output, log, report, syslog, and the sets that are left. Without times
/// and PIDs, which are never the same twice.
type Answer = (Option<i32>, String, String, String, Vec<String>, Vec<i32>);

/// Runs the portable program in a world of its own, under a command.
fn run(wrapper: &[&str], (living, args): (bool, &str)) -> Answer {
    let ns = Namespace::new(SEM);
    ns.own_dev();
    ns.write("httpd.conf", &configuration(""));
    let _living = living.then(|| ns.actor("httpd", "make 1 33 detach stay leader"));
    ns.orphans(2, WWW);
    let syslog = std::os::unix::net::UnixDatagram::bind(ns.path("/dev/log")).expect("bound");
    let program = portable("x86_64");
    let words: Vec<&str> = wrapper
        .iter()
        .copied()
        .chain([program.to_str().expect("its name")])
        .chain(args.split_whitespace())
        .collect();
    let run = Run::of(ns.command(words[0]).args(&words[1..]));
    syslog.set_nonblocking(true).expect("set");
    let mut logged = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n) = syslog.recv(&mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..n]).into_owned();
        logged.push(ageless(line.split_once("]: ").map_or(&line, |(_, said)| said)));
    }
    let report = fs::read_to_string(ns.path("/run/t/report")).unwrap_or_default();
    let log = run.err.lines().map(ageless).collect::<Vec<_>>().join("\n");
    (run.code, timeless(&run.out), log, timeless(&report), logged, ns.ids())
}

/// A line of the log without the age of a set at its end.
fn ageless(line: &str) -> String {
    line.split_once(", age ").map_or(line, |(front, _)| front).to_owned()
}

/// A report without times and PIDs.
fn timeless(report: &str) -> String {
    if let Ok(mut json) = serde_json::from_str::<Value>(report) {
        scrub(&mut json);
        return format!("{json:#}");
    }
    let timed = |l: &&str| !l.starts_with("httpd_semguard_") || !l.contains("_seconds");
    report.lines().filter(timed).flat_map(|l| [l, "\n"]).collect()
}

fn scrub(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for name in ["rfc3339", "seconds", "pid"] {
                fields.remove(name);
            }
            fields.values_mut().for_each(scrub);
        }
        Value::Array(values) => values.iter_mut().for_each(scrub),
        _ => {}
    }
}

/// System calls by name, with their numbers.
type Calls = BTreeMap<String, u32>;

/// The calls of the guard, and those of its children until each executes another program.
fn calls(trace: &str) -> (Calls, Calls) {
    let lines: Vec<(&str, &str)> =
        trace.lines().filter_map(|l| l.split_once(' ')).map(|(p, l)| (p, l.trim())).collect();
    let guard = lines[0].0;
    let mut children: BTreeSet<&str> = BTreeSet::new();
    for (pid, line) in &lines {
        let forks = ["clone", "clone3", "fork", "vfork"].iter().any(|name| {
            line.contains(&format!("] {name}(")) || line.contains(&format!("<... {name} resumed>"))
        });
        if *pid == guard && forks {
            children.extend(line.rsplit_once(" = ").map(|(_, child)| child));
        }
    }
    let (mut own, mut theirs) = (Calls::new(), Calls::new());
    for (pid, line) in lines {
        let Some((number, rest)) = line.strip_prefix('[').and_then(|l| l.split_once(']')) else {
            continue;
        };
        // Not "<... NAME resumed>", not "--- SIGNAL".
        let name = rest.trim().split('(').next().unwrap_or_default();
        let named = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let (true, Ok(number)) = (named, number.trim().parse()) else { continue };
        if pid == guard {
            own.insert(name.to_owned(), number);
        } else if children.contains(pid) {
            theirs.insert(name.to_owned(), number);
        }
        if name == "execve" {
            children.remove(pid);
        }
    }
    (own, theirs)
}

#[test]
fn refusing_any_system_call_that_linux_3_10_lacks_changes_no_result() {
    require_building!("strace", "apache2", "mount");
    let mut all = BTreeMap::new();
    let mut refused = BTreeSet::new();
    for how in RUNS {
        let trace = Scratch::new("trace", b"");
        let file = trace.0.to_str().expect("its name");
        let plain = run(&["strace", "-f", "-n", "-qq", "-o", file], how);
        let (own, theirs) = calls(&fs::read_to_string(&trace.0).expect("read"));
        assert!(theirs.values().all(|number| *number <= LAST_OF_3_10), "{how:?}: {theirs:?}");
        let newer = own.iter().filter(|(_, number)| **number > LAST_OF_3_10);
        let newer: Vec<&str> = newer.map(|(name, _)| name.as_str()).collect();
        for name in newer.iter().copied().chain([newer.join(",").as_str()]) {
            let inject = format!("inject={name}:error=ENOSYS");
            // Without -f: the httpd that is asked is not affected.
            let answer = run(&["strace", "-qq", "-o", "/dev/null", "-e", &inject], how);
            assert_eq!(answer, plain, "{how:?}, without {name}");
            refused.insert(name.to_owned());
        }
        all.extend(own.into_iter().chain(theirs));
    }
    // The purpose of these runs: everything was asked, removed, written and logged using these calls.
    for call in ["semctl", "semget", "getdents64", "execve", "setpgid", "rename", "flock"] {
        assert!(all.contains_key(call), "no {call} in {all:?}");
    }
    assert!(["clone", "clone3", "vfork"].iter().any(|c| all.contains_key(*c)), "{all:?}");
    // Rust's library uses both if they exist.
    assert!(refused.contains("getrandom") && refused.contains("statx"), "{refused:?}");
}

#[test]
fn these_runs_have_different_results() {
    require_building!("apache2");
    let [removed, beside, dry, checked, listed, logged] = RUNS.map(|how| run(&["env"], how));
    assert_eq!((removed.0, removed.5.as_slice()), (Some(0), &[][..]), "{removed:?}");
    assert!(removed.1.contains("it needs 1 semaphore set"), "{removed:?}");
    assert!(beside.0 == Some(0) && beside.5.len() == 1, "{beside:?}");
    assert!(dry.3.contains("\"would_remove\": 2") && dry.5.len() == 2, "{dry:?}");
    assert!(checked.3.contains("httpd_semguard_used{name=\"semmni\"} 3"), "{checked:?}");
    assert!(listed.1.contains("\"judged\": 3"), "{listed:?}");
    assert!(logged.0 == Some(69) && logged.4[2].contains("httpd would not start"), "{logged:?}");
}

// ---- Debian 11 ------------------------------------------------------------------------------------

/// Its path in a namespace.
const OLD: &str = "/run/old";

/// Debian 11 in a namespace, with the portable program installed, and with the namespace's /dev, /proc
/// and own files.
fn debian_11(ns: &Namespace) {
    let made = Run::of(
        Command::new(Path::new(SOURCE).join("tests/rootfs.sh"))
            .arg("bullseye")
            .stdin(Stdio::null()),
    );
    let root = made.exits(0).out;
    ns.own_dev();
    ns.sh(&format!(
        "set -e; cd /run; mkdir -m 755 upper work {OLD}
         mount -t overlay -o lowerdir={},upperdir=upper,workdir=work overlay {OLD}
         cp {} {OLD}/usr/sbin/
         mkdir -p {OLD}/run/t; mount --bind t {OLD}/run/t
         mount --rbind /dev {OLD}/dev; mount --bind /proc {OLD}/proc",
        root.trim(),
        portable("x86_64").display()
    ))
    .exits(0);
    ns.sh(&format!("chroot {OLD} ldd --version")).prints("GLIBC 2.31");
}

#[test]
fn results_on_debian_11_are_the_same_as_on_the_build_host() {
    require_building!("apache2", "mount");
    let asks = "--httpd /usr/sbin/apache2 -- -f /run/t/httpd.conf";
    let runs = [
        (4, false, "list --no-ask --user www-data".to_owned()),
        (4, true, "list --no-ask --user www-data".to_owned()),
        (4, false, format!("guard {asks}")),
        (4, true, format!("guard {asks}")),
        (64, false, format!("check --strict --min-free 60 {asks}")),
        // There is room for httpd's one set only after a removal.
        (2, false, format!("guard --dry-run {asks}")),
        (2, false, format!("guard {asks}")),
        (2, false, format!("guard --need 3 {asks}")),
    ];
    for (semmni, living, args) in runs {
        let answer = |old: bool| {
            let ns = Namespace::new(&format!("250 32000 32 {}", semmni + u32::from(living)));
            debian_11(&ns);
            ns.write("httpd.conf", &configuration(""));
            let _living = living.then(|| ns.actor("httpd", "make 1 33 detach stay leader"));
            ns.orphans(2, WWW);
            let program = if old {
                format!("chroot {OLD} /usr/sbin/httpd-semguard")
            } else {
                env!("CARGO_BIN_EXE_httpd-semguard").to_owned()
            };
            let run = ns.sh(&format!("exec {program} --format json {args}"));
            (run.code, timeless(&run.out), ns.ids())
        };
        let (here, there) = (answer(false), answer(true));
        assert!(here.1.contains("\"schema_version\""), "{args}: {here:?}");
        assert_eq!(there, here, "{semmni} sets, {args}");
    }
}

/// Debian 11's own httpd, started by its own scripts.
struct Apache2<'n>(&'n Namespace);

impl Apache2<'_> {
    fn new(ns: &Namespace) -> Apache2<'_> {
        debian_11(ns);
        ns.sh(&format!(
            "exec chroot {OLD} sh -ec '
                a2dismod -q mpm_event; a2enmod -q mpm_prefork
                echo Listen 127.0.0.1:8080 > /etc/apache2/ports.conf
                echo Listen 127.0.0.1:8081 >> /etc/apache2/ports.conf
                echo Mutex sysvsem default > /etc/apache2/conf-enabled/mutex.conf
                echo ServerName localhost >> /etc/apache2/conf-enabled/mutex.conf
                echo it works > /var/www/html/index.html
                sed -i s/:80/:8080/ /etc/apache2/sites-available/000-default.conf'"
        ))
        .exits(0);
        Apache2(ns)
    }

    /// Starts it; returns whether it answers, and the messages.
    fn start(&self) -> (bool, String) {
        let log = format!("{OLD}/var/log/apache2/error.log");
        let run = self.0.sh(&format!(": > {log}; chroot {OLD} apachectl start 2>&1"));
        let (mut up, mut said) = (false, String::new());
        wait_until("it answers or refuses", || {
            let page = "curl -s --max-time 20 http://127.0.0.1:8080/index.html";
            up = self.0.sh(page).out == "it works\n";
            said = run.out.clone() + &self.0.sh(&format!("cat {log}")).out;
            up || said.contains("AH00023")
        });
        (up, said)
    }

    /// Kills all of it, like a stop that timed out.
    fn kill(&self) {
        let pid_file = format!("{OLD}/run/apache2/apache2.pid");
        let leader = self.0.sh(&format!("cat {pid_file}; rm {pid_file}")).exits(0).out;
        let leader = leader.trim();
        self.0.sh(&format!("kill -s KILL -- -{leader}")).exits(0);
        wait_until("all of it is dead", || {
            self.0.sh(&format!("kill -s 0 -- -{leader} 2>&1")).code != Some(0)
        });
    }

    fn guard(&self, args: &str) -> Run {
        self.0.sh(&format!("exec chroot {OLD} httpd-semguard {args} 2>&1"))
    }
}

#[test]
fn on_debian_11_an_httpd_that_is_killed_repeatedly_starts_every_time() {
    require_building!("curl", "mount");
    let ns = Namespace::new("250 32000 32 6");
    let apache = Apache2::new(&ns);
    // Without the guard, it fails eventually: each start leaves one set behind, and six are allowed.
    let mut starts = 0;
    let refusal = loop {
        match apache.start() {
            (true, _) => apache.kill(),
            (false, said) => break said,
        }
        starts += 1;
        assert!(starts <= 6, "{:?}", ns.sets());
    };
    assert!(starts > 3 && refusal.contains("(28)No space left on device"), "{refusal}");
    apache.guard("check").exits(69).prints("a dead httpd left 6 semaphore sets");

    for round in 0..24 {
        let guard = apache.guard("guard").exits(0).prints("it needs 1 semaphore set");
        let removed = if round == 0 { "removed 6 orphaned" } else { "removed 1 orphaned" };
        let guard = guard.prints(removed);
        let (up, said) = apache.start();
        assert!(up, "round {round}: {guard}\n{said}");
        assert_eq!(ns.ids().len(), 1, "round {round}");
        // While httpd is running, it removes nothing.
        let ids = ns.ids();
        apache.guard("guard").exits(0).does_not_log("removed");
        assert_eq!(ns.ids(), ids, "round {round}");
        apache.kill();
    }
}

// ---- aarch64 --------------------------------------------------------------------------------------

/// Runs the program for aarch64 under Debian's user-mode emulator.
fn emulated(ns: &Namespace, args: &str) -> Run {
    let program = portable("aarch64");
    ns.sh(&format!("exec qemu-aarch64 -L {AARCH64} {} {args}", program.display()))
}

#[test]
fn on_aarch64_it_lists_and_removes_an_orphan() {
    require_building!("qemu-aarch64");
    if !Path::new(AARCH64).join("lib/ld-linux-aarch64.so.1").exists() {
        return common::skip("libc6-arm64-cross is not installed");
    }
    let ns = Namespace::new(SEM);
    emulated(&ns, "--version").exits(0).prints(env!("CARGO_PKG_VERSION"));
    let living = ns.actor("perl", "as 1234 make 1 1234 stay stranger");
    let orphans = ns.orphans(2, WWW);
    let list = emulated(&ns, "list --user www-data --no-ask").exits(0);
    for id in orphans {
        assert!(list.verdict(id).starts_with("orphan"), "{list}");
    }
    let here = Run::of(&mut ns.guard_command("list --user www-data --format json"));
    let there = emulated(&ns, "list --user www-data --no-ask --format json").exits(0);
    assert_eq!(timeless(&there.out), timeless(&here.out));
    let removed = emulated(&ns, "guard --user www-data --no-ask").exits(0);
    let removed = removed.prints("removed 2 orphaned sets");
    assert_eq!(ns.ids(), living.sets, "{removed}");
}
