//! A real httpd in a namespace: its files, a configuration built piece by piece, one start, and whether
//! it then serves requests.

// Each test uses only a part of this.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::common::{Namespace, Run};

/// httpd's own directory in a namespace.
pub const DIR: &str = "/run/t";

/// The directory named in `Mutex file:…` in these tests.
pub const LOCKS: &str = "/run/t/locks";

/// httpd itself.
pub const APACHE: &str = "/usr/sbin/apache2";

/// Debian's control program, which reads envvars first.
pub const CONTROL: &str = "/usr/sbin/apache2ctl";

const MODULES: &str = "/usr/lib/apache2/modules";

/// Whether a module is installed.
pub fn has_module(name: &str) -> bool {
    Path::new(MODULES).join(format!("mod_{name}.so")).exists()
}

/// Where to answer plain HTTP: the main server, in no virtual host.
pub const LISTEN: &str = "127.0.0.1:8080";

/// A configuration: modules first, then directives.
#[derive(Clone, Debug)]
pub struct Config {
    mpm: &'static str,
    modules: Vec<&'static str>,
    directives: String,
}

impl Config {
    /// A minimal configuration that serves requests, with this MPM.
    pub fn new(mpm: &'static str) -> Config {
        let mut config = Config { mpm, modules: Vec::new(), directives: String::new() };
        config.load(&["authz_core"]);
        config
    }

    /// Loads modules, each once, and after those that they need.
    pub fn load(&mut self, modules: &[&'static str]) {
        for module in modules {
            if !self.has(module) {
                self.modules.push(module);
            }
        }
    }

    pub fn has(&self, module: &str) -> bool {
        self.modules.contains(&module)
    }

    /// Whether httpd creates named shared memory, which takes room in /dev/shm, too; without that room,
    /// it is killed by SIGBUS, not stopped by a missing lock.
    pub fn shares_memory(&self) -> bool {
        ["proxy_balancer", "heartmonitor"].iter().any(|m| self.has(m))
            || ["shmcb", "AuthnCache"].iter().any(|d| self.directives.contains(d))
    }

    /// Adds lines.
    pub fn add(&mut self, lines: &str) {
        self.directives.push_str(lines);
        self.directives.push('\n');
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text = format!(
            "ServerRoot {DIR}\nServerName example.test\nPidFile {DIR}/httpd.pid\n\
             ErrorLog {DIR}/error.log\nDocumentRoot {DIR}\nUser www-data\nGroup www-data\n"
        );
        for module in
            std::iter::once(&format!("mpm_{}", self.mpm)[..]).chain(self.modules.iter().copied())
        {
            text.push_str(&format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n"));
        }
        text.push_str("StartServers 1\n");
        text.push_str(match self.mpm {
            "prefork" => "MinSpareServers 1\nMaxSpareServers 2\n",
            _ => "MinSpareThreads 2\nMaxSpareThreads 75\nThreadsPerChild 5\nMaxRequestWorkers 20\n",
        });
        text.push_str(&format!("Listen {LISTEN}\n"));
        text + &self.directives
    }
}

/// A certificate that can be stapled (it names an OCSP responder, and its issuer is in the same file),
/// and its key, both in PEM format.
pub fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("semguard-pem-{}", std::process::id()));
        fs::create_dir(&dir).expect("a directory");
        let script = "set -e
            key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
            openssl req -x509 $key -keyout ca.key -out ca.pem -days 3650 -subj /CN=test-issuer
            openssl req $key -keyout key.pem -out csr.pem -subj /CN=example.test
            printf 'authorityInfoAccess=OCSP;URI:http://127.0.0.1:9/\n' >ext
            openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
                -extfile ext -out cert.pem
            cat ca.pem >>cert.pem";
        let made = Run::of(Command::new("sh").args(["-c", script]).current_dir(&dir));
        let read = |name: &str| fs::read_to_string(dir.join(name));
        let pems = (read("cert.pem"), read("key.pem"));
        let _ = fs::remove_dir_all(&dir);
        match (made.code, pems) {
            (Some(0), (Ok(cert), Ok(key))) => (cert, key),
            _ => panic!("openssl created no certificate: {made}"),
        }
    })
}

/// The directives that use it.
pub const TLS: &str = "SSLCertificateFile /run/t/cert.pem\nSSLCertificateKeyFile /run/t/key.pem\n";

/// Creates the files and directories that these configurations refer to, and a /dev/shm of its own.
pub fn furnish(ns: &Namespace) {
    let (cert, key) = certificate();
    ns.write("cert.pem", cert);
    ns.write("key.pem", key);
    ns.write("map.txt", "a b\n");
    ns.write("map.sh", "#!/bin/sh\nexec cat\n");
    ns.write("none.lua", "");
    let run = ns.sh(&format!(
        "chmod 755 {DIR}/map.sh && mkdir -m 777 {DIR}/data && mkdir {LOCKS} && \
         mkdir -p /run/lock /run/apache2/socks && chown www-data /run/apache2/socks && \
         mount -t tmpfs -o mode=1777 tmpfs /dev/shm"
    ));
    run.exits(0);
}

/// The result of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answers HTTP.
    Serves,
    /// None of its processes is left.
    Dead,
    /// It is running and does not answer.
    Stuck,
}

/// One start of a real httpd.
#[derive(Clone, Debug)]
pub struct Start {
    pub outcome: Outcome,
    /// The exit code of the start command.
    pub code: i32,
    /// How many more semaphore sets there are than before.
    pub sets: i64,
    /// Standard error, and the ErrorLog.
    pub said: String,
}

/// Starts httpd in the usual way, and waits until it answers or is dead. All in one shell without other
/// programs, because there are thousands of starts.
const START: &str = r#"
sets() { mapfile -t table </proc/sysvipc/sem; echo $((${#table[@]} - 1)); }
lives() {
    local stat
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        [[ $line == *' (apache2) '[!ZX]* ]] && return 0
    done
    return 1
}
answers() {
    { exec 3<>/dev/tcp/127.0.0.1/8080; } 2>/dev/null || return 1
    printf 'GET / HTTP/1.0\r\n\r\n' >&3 2>/dev/null
    IFS= read -r -t 10 line <&3 2>/dev/null
    exec 3>&-
    [[ $line == HTTP/* ]]
}
before=$(sets)
"$@" >/run/t/start.out 2>/run/t/start.err
code=$?
trap '' PIPE
exec {never}<> <(:)
outcome=Stuck
while ((SECONDS < 20)); do
    line=
    if answers; then outcome=Serves; break; fi
    if ! lives; then outcome=Dead; break; fi
    read -r -t 0.01 -u "$never"
done
echo "$outcome $code $(($(sets) - before))"
"#;

/// The mechanism that APR uses by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum World {
    /// That of Debian's APR: a process-shared pthread mutex.
    Debian,
    /// That of APR up to 1.6: a System V semaphore set.
    SysVSem,
}

/// Where the library of [`World::SysVSem`] is in a namespace.
const PRELOADED: &str = "/run/t/sysvsem.so";

/// The library, and an httpd that reports the default that the library gives it.
fn sysvsem() -> &'static (Vec<u8>, Vec<u8>) {
    static MADE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let file = std::env::temp_dir().join(format!("semguard-sysvsem-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agreement/sysvsem.c");
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-Werror", "-shared", "-fPIC", "-o"]).arg(&file).arg(source).arg("-ldl");
        let compiled = Run::of(&mut cc);
        let library = fs::read(&file);
        let _ = fs::remove_file(&file);
        let library = match (compiled.code, library) {
            (Some(0), Ok(library)) => library,
            _ => panic!("cc created no library: {compiled}"),
        };
        let mut httpd = fs::read(APACHE).expect("httpd");
        let (theirs, ours) = (b"APR_USE_PROC_PTHREAD_SERIALIZE", b"APR_USE_SYSVSEM_SERIALIZE");
        let is_theirs = |at: &usize| httpd[*at..].starts_with(theirs);
        let places: Vec<usize> = (0..httpd.len()).filter(is_theirs).collect();
        let [place] = places[..] else { panic!("{APACHE} says its default {places:?}") };
        httpd[place..place + theirs.len()].fill(0);
        httpd[place..place + ours.len()].copy_from_slice(ours);
        (library, httpd)
    })
}

/// Sets up the namespace for this world.
pub fn enter(ns: &Namespace, world: World) {
    if world == World::SysVSem {
        let (library, httpd) = sysvsem();
        fs::write(ns.path(PRELOADED), library).expect("written");
        fs::write(ns.path("/run/t/apache2"), httpd).expect("written");
        ns.sh(&format!("chmod 755 /run/t/apache2 && mount --bind /run/t/apache2 {APACHE}"))
            .exits(0);
    }
}

/// Starts httpd in the namespace with `control`, these arguments and `-k start`.
pub fn start(ns: &Namespace, control: &str, args: &[&str]) -> Start {
    let mut command = ns.command("bash");
    command.args(["-c", START, "start", control]).args(args).args(["-k", "start"]);
    if ns.path(PRELOADED).exists() {
        command.env("LD_PRELOAD", PRELOADED);
    }
    let run = Run::of(&mut command).exits(0);
    let words: Vec<&str> = run.out.split_whitespace().collect();
    let read = |name: &str| fs::read(ns.path(&format!("{DIR}/{name}"))).unwrap_or_default();
    let said = [read("start.out"), read("start.err"), read("error.log")].concat();
    Start {
        outcome: match words[0] {
            "Serves" => Outcome::Serves,
            "Dead" => Outcome::Dead,
            _ => Outcome::Stuck,
        },
        code: words[1].parse().expect("a code"),
        sets: words[2].parse().expect("a number"),
        said: String::from_utf8_lossy(&said).into_owned(),
    }
}

/// Runs the guard in the namespace, asking `control` about the configuration `httpd.conf`.
pub fn ask(ns: &Namespace, args: &[&str], control: &str, httpd_args: &[&str]) -> Run {
    let mut command = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    command.args(args).args(["--log", "stderr", "--httpd", control, "--"]).args(httpd_args);
    Run::of(&mut command)
}

/// One line of the guard's `check -v`: "need: proxy: 1 by sysvsem (mod_proxy)".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub mutex: String,
    pub least: i64,
    pub most: i64,
    pub mechanism: String,
}

/// The needs reported by `check -v`, mutex by mutex.
pub fn needs(run: &Run) -> Vec<Need> {
    let row = |line: &str| {
        let (_, rest) = line.split_once("need: ")?;
        let (mutex, rest) = rest.split_once(": ")?;
        let (number, rest) = rest.split_once(" by ")?;
        let (least, most) = number.split_once(" to ").unwrap_or((number, number));
        let mechanism = rest.split_once(" (").map_or(rest, |(m, _)| m);
        Some(Need {
            mutex: mutex.to_owned(),
            least: least.parse().ok()?,
            most: most.parse().ok()?,
            mechanism: mechanism.to_owned(),
        })
    };
    run.err.lines().filter_map(row).collect()
}
