//! A running httpd as its own witness: modules that make sets that its answer does not mention, what
//! the guard learns from its starts, and what discards that.

mod common;
#[path = "agreement/server.rs"]
mod server;

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

use common::{Namespace, Run, wait_until};
use server::{APACHE, Config, Outcome, World};

const ARGS: [&str; 4] = ["-d", "/run/t", "-f", "/run/t/httpd.conf"];

/// Where the state is kept.
const FILE: &str = "/var/lib/httpd-semguard/starts.json";

/// Room for everything.
const ROOMY: usize = 128;

/// Builds a module from tests/witness/module.c.
fn module(name: &str) -> Vec<u8> {
    let file = std::env::temp_dir().join(format!("semguard-{name}-{}.so", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/witness/module.c");
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Werror", "-shared", "-fPIC", source, "-o"]).arg(&file);
    cc.args([format!("-DNAME={name}_module"), format!("-DFILE_NAME=\"mod_{name}.c\"")]);
    if name == "python" {
        cc.arg("-DPYTHON");
    }
    let run = Run::of(&mut cc);
    let library = fs::read(&file);
    let _ = fs::remove_file(&file);
    library.unwrap_or_else(|e| panic!("cc made no module ({e}): {run}"))
}

/// An httpd with one of these modules, with prefork and two listeners: its accept mutex is a set too.
struct Site {
    ns: Namespace,
    module: &'static str,
}

impl Site {
    fn with(module: &'static str, directives: &str) -> Site {
        static SECRET: OnceLock<Vec<u8>> = OnceLock::new();
        static PYTHON: OnceLock<Vec<u8>> = OnceLock::new();
        let made = if module == "python" { &PYTHON } else { &SECRET };
        let library = made.get_or_init(|| self::module(module));
        let site = Site { ns: Namespace::new("250 32000 32 128"), module };
        // What the packages provide, instead of this machine's own.
        site.ns
            .sh("mount -t tmpfs -o mode=755 tmpfs /var/lib && mkdir /var/lib/httpd-semguard && \
                 mkdir /run/t/modules")
            .exits(0);
        let file = site.ns.path(&format!("/run/t/modules/mod_{module}.so"));
        fs::write(file, library).expect("written");
        site.configure(directives);
        site
    }

    /// With three sets that the module gives to httpd's user.
    fn with_three() -> Site {
        Site::with("secret", "SecretSets 3\nSecretUser 33")
    }

    fn configure(&self, directives: &str) {
        let module = self.module;
        let mut config = Config::new("prefork");
        config.add("Listen 127.0.0.1:8081\nMutex sysvsem default");
        config.add(&format!("LoadModule {module}_module /run/t/modules/mod_{module}.so"));
        config.add(directives);
        self.ns.write("httpd.conf", &config.text());
    }

    fn ask(&self, args: &[&str]) -> Run {
        server::ask(&self.ns, args, APACHE, &ARGS)
    }

    /// Leaves room for this many more sets.
    fn leave_room(&self, sets: usize) {
        let semmni = self.ns.ids().len() + sets;
        self.ns.sh(&format!("echo 250 32000 32 {semmni} > /proc/sys/kernel/sem")).exits(0);
    }

    fn try_start(&self) -> Outcome {
        server::start(&self.ns, APACHE, &ARGS).outcome
    }

    /// Starts it as its unit does.
    #[track_caller]
    fn start(&self) -> Run {
        let run = self.ask(&["guard"]).exits(0);
        assert_eq!(self.try_start(), Outcome::Serves);
        run
    }

    fn leader(&self) -> String {
        let text = fs::read_to_string(self.ns.path("/run/t/httpd.pid")).expect("its PidFile");
        text.trim().to_owned()
    }

    /// Sends this signal to all of it, and waits until it is dead.
    fn end(&self, signal: &str) {
        let leader = self.leader();
        let to = if signal == "KILL" { format!("-- -{leader}") } else { leader.clone() };
        self.ns.sh(&format!("kill -s {signal} {to}")).exits(0);
        wait_until("all of it is dead", || {
            let group = self
                .ns
                .sh(&format!("ps -o stat= -o pgid= -A | grep -v '^Z' | awk '$2 == {leader}'"));
            group.out.is_empty()
        });
    }

    fn reload(&self) {
        let log = || {
            let log = fs::read_to_string(self.ns.path("/run/t/error.log")).unwrap_or_default();
            log.matches("resuming normal operations").count()
        };
        let before = log();
        self.ns.sh(&format!("{APACHE} -d /run/t -f /run/t/httpd.conf -k graceful")).exits(0);
        wait_until("it has read its configuration again", || log() > before);
    }

    /// A start, a check of it, and its end.
    #[track_caller]
    fn shows_a_start(&self, signal: &str) {
        self.start();
        self.ask(&["check"]).exits(0);
        self.end(signal);
    }

    fn kept(&self) -> String {
        fs::read_to_string(self.ns.path(FILE)).unwrap_or_default()
    }

    /// Checks that the guard takes this to be httpd's need.
    #[track_caller]
    fn needs(&self, need: &str) {
        self.ask(&["check", "-v"]).logs(&format!("need: {need}\n"));
    }
}

/// A module's own sets, given to httpd's user or left to root: first in doubt, then at risk, then
/// known.
#[track_caller]
fn is_learnt(site: &Site, signal: &str) {
    site.leave_room(2);
    site.ask(&["guard"])
        .exits(0)
        .logs("httpd may not start (it needs 1 to 9 semaphore sets, and 2 can be made")
        .logs("in doubt: secret, 0 to 8 (third-party module mod_secret: it imports semget");
    site.leave_room(ROOMY);
    site.shows_a_start(signal);

    site.ask(&["guard"]).exits(0);
    site.leave_room(3);
    site.ask(&["guard"])
        .exits(0)
        .logs("it needs 1 to 9 semaphore sets (4 at its last start), and 3 can be made")
        .logs("when it was last started like this, it made 4 semaphore sets");
    site.leave_room(ROOMY);
    site.shows_a_start(signal);

    site.ask(&["guard"]).exits(0).prints("it needs 4 semaphore sets, as at its last starts");
    site.leave_room(3);
    site.ask(&["guard"])
        .exits(69)
        .logs("httpd would not start (it would log: (28)No space left on device")
        .logs("each of the last 2 times it was started like this, it made 4 semaphore sets")
        .logs("rm /var/lib/httpd-semguard/starts.json");
    assert_eq!(site.try_start(), Outcome::Dead);
    site.ask(&["guard"]).exits(69);
    site.leave_room(4);
    site.ask(&["guard", "--strict"]).exits(0);
    assert_eq!(site.try_start(), Outcome::Serves);
}

#[test]
fn sets_that_a_module_makes_behind_httpds_back_are_known_after_two_starts() {
    require!("apache2", "cc");
    is_learnt(&Site::with_three(), "KILL");
}

#[test]
fn sets_that_a_module_leaves_to_root_are_known_after_two_starts() {
    require!("apache2", "cc");
    // After a kill, its sets would stay: it could not be told whose they are.
    is_learnt(&Site::with("secret", "SecretSets 3"), "TERM");
}

#[test]
fn a_module_that_makes_none_is_no_doubt_after_two_starts() {
    require!("apache2", "cc");
    let site = Site::with("secret", "SecretSets 0");
    site.needs("1 to 9 semaphore sets");
    site.shows_a_start("KILL");
    site.shows_a_start("KILL");
    site.needs("1 semaphore set, as at its last starts");
}

#[test]
fn mod_pythons_locks_are_known_after_two_starts() {
    require!("apache2", "cc");
    let site = Site::with("python", "PythonOption mod_python.mutex_locks 32");
    server::enter(&site.ns, World::SysVSem);
    site.needs("3 to 33 semaphore sets");
    site.shows_a_start("KILL");
    site.ask(&["guard"]).exits(0);
    site.leave_room(20);
    site.ask(&["guard"]).exits(0).logs("needs 3 to 33 semaphore sets (33 at its last start)");
    site.leave_room(ROOMY);
    site.shows_a_start("KILL");
    site.needs("33 semaphore sets, as at its last starts");
    site.ask(&["guard"]).exits(0);
    site.leave_room(32);
    site.ask(&["guard"]).exits(69);
    assert_eq!(site.try_start(), Outcome::Dead);
}

#[test]
fn a_changed_configuration_or_build_discards_what_was_learnt() {
    require!("apache2", "cc");
    let site = Site::with_three();
    site.shows_a_start("KILL");
    site.shows_a_start("KILL");
    site.needs("4 semaphore sets, as at its last starts");
    site.configure("SecretSets 6\nSecretUser 33");
    site.needs("1 to 9 semaphore sets");
    site.configure("SecretSets 3\nSecretUser 33");
    site.needs("4 semaphore sets, as at its last starts");
    // Another build of the module, with the same bytes.
    site.ns.sh("cd /run/t/modules && cp mod_secret.so new && mv new mod_secret.so").exits(0);
    site.needs("1 to 9 semaphore sets");
    site.ask(&["guard"]).exits(0);
    site.configure("SecretSets 6\nSecretUser 33");
    site.shows_a_start("KILL");
    site.needs("1 to 9 semaphore sets (7 at its last start)");
}

/// A reload with another configuration, which is changed back before anything looks.
#[test]
fn a_start_followed_by_a_reload_teaches_nothing() {
    require!("apache2", "cc");
    let site = Site::with_three();
    for _ in 0..2 {
        site.start();
        site.configure("SecretSets 1\nSecretUser 33");
        site.reload();
        site.configure("SecretSets 3\nSecretUser 33");
        site.ask(&["check"]).exits(0);
        site.ask(&["check"]).exits(0);
        site.end("KILL");
        site.needs("1 to 9 semaphore sets");
    }
    // Checked before its reload, a start does teach.
    site.start();
    site.ask(&["check"]).exits(0);
    site.configure("SecretSets 1\nSecretUser 33");
    site.reload();
    site.configure("SecretSets 3\nSecretUser 33");
    site.needs("1 to 9 semaphore sets (4 at its last start)");
    site.end("KILL");
}

/// httpd reads its configuration when it starts, not when the guard asks.
#[test]
fn a_start_that_no_guard_saw_teaches_nothing() {
    require!("apache2", "cc");
    let site = Site::with_three();
    assert_eq!(site.try_start(), Outcome::Serves);
    site.ask(&["check"]).exits(0);
    site.ask(&["guard"]).exits(0);
    site.ask(&["check"]).exits(0);
    site.needs("1 to 9 semaphore sets");
    assert_eq!(site.kept(), "");
}

#[test]
fn its_workers_sets_spoil_the_count() {
    require!("apache2", "cc");
    let site = Site::with_three();
    site.start();
    site.ns.dead_actor("other", "as 33 make 1 33 exit");
    site.ask(&["check"]).exits(0);
    site.end("KILL");
    site.needs("1 to 9 semaphore sets");
}

#[test]
fn a_file_with_a_wrong_count_or_another_owner_is_ignored() {
    require!("apache2", "cc");
    let site = Site::with_three();
    site.shows_a_start("KILL");
    site.shows_a_start("KILL");
    site.needs("4 semaphore sets, as at its last starts");
    let sound = site.kept();
    let put = |text: &str| fs::write(site.ns.path(FILE), text).expect("written");
    for wrong in ["40", "1", "0"] {
        put(&sound.replace("\"sets\":4", &format!("\"sets\":{wrong}")));
        assert_ne!(site.kept(), sound);
        site.needs("1 to 9 semaphore sets");
        let plain = site.ask(&["check"]).exits(0);
        assert_eq!(plain.err, "", "it raises no alarm: {plain}");
    }
    put(&sound[..sound.len() / 2]);
    site.ask(&["check", "-v"])
        .exits(0)
        .logs("ignoring what earlier starts showed of httpd's need: its file is damaged");
    put(&sound);
    site.needs("4 semaphore sets, as at its last starts");
    site.ns.sh(&format!("chown 33 {FILE}")).exits(0);
    site.ask(&["check", "-v"]).exits(0).logs("ignoring what earlier starts showed of httpd's need: its file is not owned by root, or others");
    site.needs("1 to 9 semaphore sets");
    // The next guard replaces it with its own.
    site.ask(&["guard"]).exits(0);
    site.ns.sh(&format!("test $(stat -c %u:%a {FILE}) = 0:644")).exits(0);
}

#[test]
fn a_check_without_root_reads_the_state_and_writes_nothing() {
    require!("apache2", "cc");
    let site = Site::with_three();
    site.shows_a_start("KILL");
    site.shows_a_start("KILL");
    site.start();
    let before = site.kept();
    let guard = site.ns.guard_copy();
    site.ns.sh("rm -f /run/t/error.log; chmod 777 /run/t").exits(0);
    let check = |who: &str| {
        site.ns.sh(&format!(
            "{who} {guard} check -v --log stderr --httpd {APACHE} -- {}",
            ARGS.join(" ")
        ))
    };
    let www = "setpriv --reuid 33 --regid 33 --clear-groups";
    check(www).logs("need: 4 semaphore sets, as at its last starts");
    assert_eq!(site.kept(), before);
    check("").exits(0);
    assert_ne!(site.kept(), before, "root's check is the third");
}

/// If no check is run by hand, systemd/httpd-semguard-metrics.service does the looking.
#[test]
fn a_check_with_the_rights_of_the_metrics_unit_is_enough() {
    require!("apache2", "cc");
    let site = Site::with_three();
    let unit = common::read("systemd/httpd-semguard-metrics.service");
    let set = unit.lines().find_map(|l| l.strip_prefix("CapabilityBoundingSet=")).expect("its set");
    let caps: Vec<String> =
        set.split_whitespace().map(|c| c.replace("CAP_", "+").to_lowercase()).collect();
    let guard = site.ns.guard_copy();
    for _ in 0..2 {
        site.start();
        let before = site.kept();
        let check = format!(
            "setpriv --bounding-set=-all,{} {guard} check -q --format prometheus --output \
             /run/t/x.prom --httpd {APACHE} -- {}",
            caps.join(","),
            ARGS.join(" ")
        );
        site.ns.sh(&check).exits(0);
        assert_ne!(site.kept(), before);
        site.end("KILL");
    }
    site.needs("4 semaphore sets, as at its last starts");
}

#[test]
fn if_nothing_can_be_kept_nothing_stops() {
    require!("apache2", "cc");
    let site = Site::with_three();
    site.ask(&["guard", "--dry-run"]).exits(0);
    assert_eq!(site.kept(), "", "a dry run");
    site.ns.sh("mount -t tmpfs -o ro,mode=755 tmpfs /var/lib/httpd-semguard").exits(0);
    let run = site.ask(&["guard", "-v"]).exits(0);
    run.logs(
        "what this run showed of httpd's need could not be saved: EROFS (Read-only file system)",
    );
    assert_eq!(site.ask(&["guard"]).exits(0).err, "");
    site.ns.sh("umount /var/lib/httpd-semguard && rmdir /var/lib/httpd-semguard").exits(0);
    assert_eq!(site.ask(&["guard"]).exits(0).err, "");
    assert_eq!(site.kept(), "", "it creates no directory");
}
