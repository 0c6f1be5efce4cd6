//! The guard and a real Apache httpd, that of Debian: the real thing instead of the actors in
//! tests/kernel.rs.

mod common;

use std::fs;

use common::{Namespace, Run, WWW, wait_until};

const MODULES: &str = "/usr/lib/apache2/modules";

/// What httpd logs if there is no room.
const REFUSED: &str = "(28)No space left on device: AH00023: Couldn't create the mpm-accept mutex";

/// An Apache of its own in a namespace, prefork, with two listeners and System V semaphores.
struct Apache<'n> {
    ns: &'n Namespace,
    conf: String,
}

impl<'n> Apache<'n> {
    fn new(ns: &'n Namespace, more: &str) -> Apache<'n> {
        ns.sh("mkdir -p /run/t/web && echo it works > /run/t/web/index.html").exits(0);
        let conf = ns.write(
            "httpd.conf",
            &format!(
                "ServerName localhost\n\
                 ServerRoot /run/t\n\
                 LoadModule mpm_prefork_module {MODULES}/mod_mpm_prefork.so\n\
                 LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
                 Listen 127.0.0.1:8080\n\
                 Listen 127.0.0.1:8081\n\
                 Mutex sysvsem default\n\
                 User www-data\n\
                 Group www-data\n\
                 PidFile /run/t/httpd.pid\n\
                 ErrorLog /run/t/error.log\n\
                 DocumentRoot /run/t/web\n\
                 StartServers 2\n\
                 MinSpareServers 1\n\
                 {more}\n"
            ),
        );
        Apache { ns, conf }
    }

    /// With TLS, whose session cache has a mutex that the launcher creates and that may never be used.
    fn with_tls(ns: &'n Namespace) -> Apache<'n> {
        ns.sh("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -subj /CN=localhost -keyout /run/t/key.pem -out /run/t/cert.pem 2>&1")
            .exits(0);
        Apache::new(
            ns,
            &format!(
                "LoadModule socache_shmcb_module {MODULES}/mod_socache_shmcb.so\n\
                 LoadModule ssl_module {MODULES}/mod_ssl.so\n\
                 SSLSessionCache shmcb:/run/t/ssl_cache(512000)\n\
                 Listen 127.0.0.1:8443\n\
                 <VirtualHost 127.0.0.1:8443>\n\
                 SSLEngine on\n\
                 SSLCertificateFile /run/t/cert.pem\n\
                 SSLCertificateKeyFile /run/t/key.pem\n\
                 </VirtualHost>"
            ),
        )
    }

    fn control(&self, what: &str) -> Run {
        self.ns.sh(&format!("apache2 -f {} -k {what} 2>&1", self.conf))
    }

    /// Starts it, and waits until it answers or has failed; returns whether it answers, and its messages.
    fn try_start(&self) -> (bool, String) {
        let _ = fs::remove_file(self.ns.path("/run/t/error.log"));
        let _ = fs::remove_file(self.ns.path("/run/t/httpd.pid"));
        let run = self.control("start");
        let mut up = false;
        let mut said = String::new();
        wait_until("it answers or refuses", || {
            up = self.answers("http://127.0.0.1:8080");
            // Its launcher writes to standard error until the ErrorLog is open.
            said = format!("{}{}", run.out, self.log());
            up || said.contains("AH00023")
        });
        (up, said)
    }

    #[track_caller]
    fn start(&self) {
        let (up, said) = self.try_start();
        assert!(up, "{said}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.ns.path("/run/t/error.log")).unwrap_or_default()
    }

    fn answers(&self, url: &str) -> bool {
        let curl = format!("curl -sk --max-time 20 {url}/index.html");
        self.ns.sh(&curl).out == "it works\n"
    }

    #[track_caller]
    fn goes_on_answering(&self, urls: &[&str]) {
        for url in urls {
            // Each remaining worker gets the accept mutex once.
            for _ in 0..4 {
                assert!(self.answers(url), "{url}\n{}", self.log());
            }
        }
        for sign in ["AH00144", "AH00050", "AH02818", "Identifier removed"] {
            assert!(!self.log().contains(sign), "{}", self.log());
        }
    }

    /// The parent of the workers.
    fn leader(&self) -> i32 {
        let text = fs::read_to_string(self.ns.path("/run/t/httpd.pid")).expect("its PidFile");
        text.trim().parse().expect("a number")
    }

    /// Kills all of it at once, like a stop that timed out.
    fn kill(&self) {
        self.kill_group(self.leader());
    }

    /// The workers are in the process group of their parent, whether it is running or not.
    fn kill_group(&self, leader: i32) {
        self.ns.sh(&format!("kill -s KILL -- -{leader}")).exits(0);
        wait_until("all of it is dead", || {
            self.ns.sh(&format!("kill -s 0 -- -{leader} 2>&1")).code != Some(0)
        });
    }
}

#[test]
fn a_killed_apache_that_found_no_room_starts_again_after_the_guard() {
    require!("apache2", "curl");
    let ns = Namespace::new("250 32000 32 8");
    let apache = Apache::new(&ns, "");
    let mut starts = 0;
    let refusal = loop {
        match apache.try_start() {
            (true, _) => apache.kill(),
            (false, said) => break said,
        }
        starts += 1;
        assert!(
            starts <= 8,
            "each start leaves a set behind, and eight are allowed: {:?}",
            ns.sets()
        );
    };
    assert!(starts > 0 && refusal.contains(REFUSED), "{refusal}");

    let left = ns.ids();
    assert!(!left.is_empty());
    // The guard forecasts exactly that line.
    ns.guard("check --user www-data").exits(69).logs(REFUSED).logs("SEMMNI");
    assert_eq!(ns.ids(), left);
    let guard = ns.guard("guard --user www-data").exits(0);
    assert_eq!(guard.err.matches("removed semaphore set").count(), left.len(), "{guard}");
    assert_eq!(ns.ids(), []);

    apache.start();
    apache.goes_on_answering(&["http://127.0.0.1:8080", "http://127.0.0.1:8081"]);
}

#[test]
fn a_guard_before_each_start_keeps_the_table_empty_for_ever() {
    require!("apache2", "curl");
    let ns = Namespace::new("250 32000 32 4");
    let apache = Apache::new(&ns, "");
    for _ in 0..6 {
        ns.guard("guard --user www-data").exits(0);
        apache.start();
        apache.kill();
    }
}

#[test]
fn a_healthy_apache_loses_nothing_and_keeps_answering() {
    require!("apache2", "curl", "openssl");
    let ns = Namespace::new("250 32000 32 32");
    let apache = Apache::with_tls(&ns);
    apache.start();
    let urls = ["http://127.0.0.1:8080", "http://127.0.0.1:8081", "https://127.0.0.1:8443"];

    // This is why a set with a dead last PID that was never used cannot simply be called stale.
    let sets = ns.sets();
    let like_stale = |id: i32, otime: i64| otime == 0 && !ns.lives(ns.semaphore(id).pid);
    let tempting = sets.iter().filter(|s| s.uid == WWW && like_stale(s.id, s.otime)).count();
    assert!(tempting > 0, "the set of the session cache is missing: {sets:?}");

    let ids = ns.ids();
    let guard = ns.guard("guard --user www-data").exits(0).does_not_log("removed");
    let kept = ids.len();
    guard.prints(&format!("{kept} kept"));
    assert_eq!(ns.ids(), ids);
    apache.goes_on_answering(&urls);

    // Used before, by workers that have exited.
    apache.control("graceful").exits(0);
    let resumed = || apache.log().matches("resuming normal operations").count();
    wait_until("it has restarted", || resumed() == 2);
    apache.goes_on_answering(&urls);
    let ids = ns.ids();
    ns.guard("guard --user www-data").exits(0).does_not_log("removed");
    assert_eq!(ns.ids(), ids);
    apache.goes_on_answering(&urls);
}

#[test]
fn workers_that_lost_their_parent_keep_their_sets_and_keep_answering() {
    require!("apache2", "curl", "openssl");
    let ns = Namespace::new("250 32000 32 32");
    let apache = Apache::with_tls(&ns);
    apache.start();
    let leader = apache.leader();
    ns.kill(leader);
    let ids = ns.ids();
    assert!(!ids.is_empty());
    ns.guard("guard --user www-data").exits(0).does_not_log("removed");
    assert_eq!(ns.ids(), ids);
    apache.goes_on_answering(&["http://127.0.0.1:8080", "https://127.0.0.1:8443"]);

    apache.kill_group(leader);
    ns.guard("guard --user www-data").exits(0);
    assert_eq!(ns.ids(), []);
}

#[test]
fn a_guard_during_the_start_of_apache_removes_none_of_its_sets() {
    require!("apache2", "curl", "openssl");
    let ns = Namespace::new("250 32000 32 32");
    let apache = Apache::with_tls(&ns);
    // Guards run without a pause for as long as it is starting.
    let guard = ns.guard_copy();
    let stop = ns.path("/run/t/stop");
    let mut busy = ns.command("sh");
    busy.args(["-c", "while ! test -e /run/t/stop; do \"$@\" 2>&1; done", "sh", &guard]);
    busy.args(["guard", "--user", "www-data", "--no-ask"]);
    busy.stdout(std::process::Stdio::piped());
    let busy = busy.spawn().expect("it runs");
    for _ in 0..4 {
        apache.start();
        apache.goes_on_answering(&["http://127.0.0.1:8080", "https://127.0.0.1:8443"]);
        apache.kill();
    }
    fs::write(stop, "").expect("written");
    let said = Run::end(busy).exits(0).out;
    assert!(said.contains("removed semaphore set"), "{said}");
}

/// A graceful restart frees its sets before it creates new ones: a table full of its own sets is no
/// reason to refuse it.
#[test]
fn a_running_apache_counts_its_own_sets_as_room_for_its_restart() {
    require!("apache2", "curl");
    let ns = Namespace::new("250 32000 32 1");
    let apache = Apache::new(&ns, "");
    apache.start();
    let asked = format!("--httpd /usr/sbin/apache2 -- -f {}", apache.conf);
    for command in ["check", "guard"] {
        let run = ns.guard(&format!("{command} {asked}")).exits(0);
        assert!(run.out.contains("0 of 1 free, 1 in use by the running httpd (apache2 "), "{run}");
    }
    apache.control("graceful").exits(0);
    apache.goes_on_answering(&["http://127.0.0.1:8080"]);

    // Its PidFile names a process that no longer exists.
    apache.kill();
    ns.guard(&format!("guard {asked}")).exits(0).prints("removed 1 orphaned set");
    let _stranger = ns.actor("stranger", "make 1 1234 stay here");
    ns.guard(&format!("guard {asked}")).exits(69).logs("httpd would not start");
}

/// Also the set that its dead launcher created and that was never used; if memory is not read, that one
/// is undecided.
#[test]
fn all_sets_of_a_running_apache_are_found_in_its_memory_if_it_may_be_read() {
    require!("apache2", "curl", "openssl");
    let ns = Namespace::new("250 32000 32 2");
    let apache = Apache::with_tls(&ns);
    apache.start();
    assert_eq!(ns.ids().len(), 2);
    let asked = format!("--httpd /usr/sbin/apache2 -- -f {}", apache.conf);
    let run = ns.guard(&format!("check {asked}")).exits(0).does_not_log("may not start");
    run.prints(&format!(
        "0 of 2 free, 2 in use by the running httpd (apache2 {})",
        apache.leader()
    ));
    ns.guard(&format!("check --no-memory {asked}"))
        .exits(0)
        .logs("httpd may not start (it needs 2 semaphore sets, and 0 to 2 can be made")
        .logs("stopping it frees 0 semaphore sets, and 2 more if they are its own");
    apache.control("graceful").exits(0);
    apache.goes_on_answering(&["http://127.0.0.1:8080", "https://127.0.0.1:8443"]);
}
