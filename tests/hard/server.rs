//! A real httpd in a namespace, Debian's, with System V semaphores: its files, its start, whether it
//! serves.

// Each test uses only a part of this.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::fs;
use std::process::{Child, Stdio};

use crate::common::{Namespace, Run, wait_until};

const MODULES: &str = "/usr/lib/apache2/modules";

/// Debian's httpd.
pub const APACHE: &str = "/usr/sbin/apache2";

/// A command prefix that starts it as the web user rather than root.
pub const AS_WWW: &str = "setpriv --reuid 33 --regid 33 --clear-groups";

/// One instance. It listens on `port`, `port + 1` and, with TLS, `port + 2`.
pub struct Apache<'n> {
    ns: &'n Namespace,
    dir: String,
    port: u32,
    /// The program's path inside the namespace.
    pub program: String,
    /// The prefix of its command line.
    pub wrapper: String,
}

impl<'n> Apache<'n> {
    /// An instance with this MPM and further directives.
    pub fn new(ns: &'n Namespace, mpm: &str, more: &str) -> Apache<'n> {
        Apache::instance(ns, "one", 8080, mpm, more)
    }

    /// An instance with TLS: its session cache has a mutex that is made by the launcher and may never
    /// be used.
    pub fn with_tls(ns: &'n Namespace, mpm: &str, more: &str) -> Apache<'n> {
        Apache::instance(ns, "one", 8080, mpm, &format!("{}{more}", tls("one", 8080)))
    }

    /// A further instance with TLS, beside others.
    pub fn another(ns: &'n Namespace, name: &str, port: u32) -> Apache<'n> {
        Apache::instance(ns, name, port, "prefork", &tls(name, port))
    }

    /// A further instance with TLS, this MPM and further directives.
    pub fn beside(ns: &'n Namespace, name: &str, port: u32, mpm: &str, more: &str) -> Apache<'n> {
        Apache::instance(ns, name, port, mpm, &format!("{}{more}", tls(name, port)))
    }

    fn instance(ns: &'n Namespace, name: &str, port: u32, mpm: &str, more: &str) -> Apache<'n> {
        let dir = format!("/run/t/{name}");
        ns.sh(&format!("mkdir -p {dir}/web && echo it works > {dir}/web/index.html")).exits(0);
        if more.contains("SSLEngine") {
            ns.sh(&format!(
                "cd {dir} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                 -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem 2>&1 && chmod 644 *.pem"
            ))
            .exits(0);
        }
        // Few workers, so that each gets its turn with the accept mutex.
        let size = match mpm {
            "prefork" => "StartServers 2\nMinSpareServers 1\nMaxSpareServers 4\n",
            _ => "StartServers 1\nMinSpareThreads 2\nThreadsPerChild 5\nMaxRequestWorkers 20\n",
        };
        let conf = format!(
            "ServerName localhost\n\
             ServerRoot {dir}\n\
             LoadModule mpm_{mpm}_module {MODULES}/mod_mpm_{mpm}.so\n\
             LoadModule authz_core_module {MODULES}/mod_authz_core.so\n\
             Listen 127.0.0.1:{port}\n\
             Listen 127.0.0.1:{}\n\
             Mutex sysvsem default\n\
             User www-data\n\
             Group www-data\n\
             PidFile {dir}/httpd.pid\n\
             ErrorLog {dir}/error.log\n\
             DocumentRoot {dir}/web\n\
             {size}{more}\n",
            port + 1
        );
        fs::write(ns.path(&format!("{dir}/httpd.conf")), conf).expect("written");
        Apache { ns, dir, port, program: APACHE.into(), wrapper: String::new() }
    }

    /// Gives its files to the web user, and starts it as that user.
    pub fn not_by_root(mut self) -> Apache<'n> {
        self.ns.sh(&format!("chown -R 33:33 {}", self.dir)).exits(0);
        AS_WWW.clone_into(&mut self.wrapper);
        self
    }

    /// The command line up to and including the configuration file.
    pub fn words(&self) -> String {
        format!("{} {} -f {}/httpd.conf", self.wrapper, self.program, self.dir)
    }

    pub fn control(&self, what: &str) -> Run {
        self.ns.sh(&format!("{} -k {what} 2>&1", self.words()))
    }

    /// Starts it under a tracer or the like, and returns immediately.
    pub fn begin_under(&self, tracer: &str) -> Child {
        let mut command = self.ns.command("sh");
        command.args(["-c", &format!("{tracer} {} -k start 2>&1", self.words())]);
        command.stdout(Stdio::null()).spawn().expect("it runs")
    }

    /// Starts it, waits until it answers, and returns the new sets.
    #[track_caller]
    pub fn start(&self) -> Vec<i32> {
        let before = self.ns.ids();
        let run = self.control("start");
        assert_eq!(run.code, Some(0), "{run}\n{}", self.log());
        self.comes_up();
        self.ns.ids().into_iter().filter(|id| !before.contains(id)).collect()
    }

    #[track_caller]
    pub fn comes_up(&self) {
        wait_until("httpd answers", || {
            assert!(!self.log().contains("AH00023"), "{}", self.log());
            self.answers("http", 0) && self.pid_file().is_some()
        });
    }

    /// Restarts it gracefully, and waits until that is done.
    #[track_caller]
    pub fn graceful(&self) {
        let resumed = || self.log().matches("resuming normal operations").count();
        let before = resumed();
        self.control("graceful").exits(0);
        wait_until("it has restarted", || resumed() > before);
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.ns.path(&format!("{}/error.log", self.dir))).unwrap_or_default()
    }

    pub fn url(&self, scheme: &str, nth: u32) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port + nth)
    }

    fn answers(&self, scheme: &str, nth: u32) -> bool {
        self.gets(&format!("{}/index.html", self.url(scheme, nth)))
    }

    pub fn gets(&self, url: &str) -> bool {
        self.ns.sh(&format!("curl -sk --max-time 20 {url}")).out == "it works\n"
    }

    fn has_tls(&self) -> bool {
        self.ns.path(&format!("{}/key.pem", self.dir)).exists()
    }

    /// Checks that each remaining worker gets its turn with each lock, and that none complains.
    #[track_caller]
    pub fn serves(&self) {
        for _ in 0..4 {
            assert!(self.answers("http", 0) && self.answers("http", 1), "{}", self.log());
            assert!(!self.has_tls() || self.answers("https", 2), "{}", self.log());
        }
        self.complains_of_no_lock();
    }

    /// The same without TLS, whose lock stays unused.
    #[track_caller]
    pub fn serves_plainly(&self) {
        for _ in 0..4 {
            assert!(self.answers("http", 0) && self.answers("http", 1), "{}", self.log());
        }
    }

    #[track_caller]
    pub fn complains_of_no_lock(&self) {
        let log = self.log();
        for sign in ["AH00144", "AH00050", "AH02818", "AH02026", "AH02027", "(43)", "(22)"] {
            assert!(!log.contains(sign), "{sign}:\n{log}");
        }
    }

    fn pid_file(&self) -> Option<i32> {
        let text = fs::read_to_string(self.ns.path(&format!("{}/httpd.pid", self.dir))).ok()?;
        text.trim().parse().ok()
    }

    /// The parent of the workers.
    pub fn leader(&self) -> i32 {
        self.pid_file().expect("its PidFile")
    }

    /// The workers of a leader.
    pub fn workers(&self, leader: i32) -> Vec<i32> {
        let out = self.ns.sh(&format!("pgrep -P {leader}")).out;
        out.lines().filter_map(|l| l.parse().ok()).collect()
    }

    /// Kills all of it at once, as a stop job that times out does.
    pub fn kill(&self) {
        self.kill_group(self.leader());
    }

    /// Kills a process group: that of the workers' parent, whether it is alive or dead.
    pub fn kill_group(&self, leader: i32) {
        self.ns.sh(&format!("kill -s KILL -- -{leader}")).exits(0);
        wait_until("all of it is dead", || {
            let left = self
                .ns
                .sh(&format!("ps -o stat= -o pgid= -A | grep -v '^Z' | awk '$2 == {leader}'"));
            left.out.is_empty()
        });
        let _ = fs::remove_file(self.ns.path(&format!("{}/httpd.pid", self.dir)));
    }
}

/// The directives of a TLS host in the instance of this name.
pub fn tls(name: &str, port: u32) -> String {
    let dir = format!("/run/t/{name}");
    let tls = port + 2;
    format!(
        "LoadModule socache_shmcb_module {MODULES}/mod_socache_shmcb.so\n\
         LoadModule ssl_module {MODULES}/mod_ssl.so\n\
         SSLSessionCache shmcb:{dir}/ssl_cache(512000)\n\
         Listen 127.0.0.1:{tls}\n\
         <VirtualHost 127.0.0.1:{tls}>\n\
         SSLEngine on\n\
         SSLCertificateFile {dir}/cert.pem\n\
         SSLCertificateKeyFile {dir}/key.pem\n\
         </VirtualHost>\n"
    )
}

/// The sets that the naive rule "its last pid is dead, and it was never used" would remove.
pub fn tempting(ns: &Namespace) -> Vec<i32> {
    let sets = ns.sets().into_iter();
    sets.filter(|s| s.uid == 33 && s.otime == 0)
        .map(|s| s.id)
        .filter(|id| !ns.lives(ns.semaphore(*id).pid))
        .collect()
}
