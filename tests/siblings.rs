//! One instance of a real httpd is killed again and again beside another of the same user, which keeps
//! serving and is restarted gracefully now and then, as by logrotate. The guard before each start
//! removes what no running process knows, so each start succeeds, the table stays nearly empty, and the
//! sibling never notices. `make kill-loop N=200` does it more often.

mod common;

#[path = "hard/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Namespace, Run};
use server::Apache;

const MODULES: &str = "/usr/lib/apache2/modules";

/// The most sets that may ever be in the table, of 128: those of two instances, and a few of a dead one
/// whose semids occur in some process by chance.
const MOST: usize = 40;

/// How often an instance is killed for each MPM.
fn kills() -> usize {
    let all = std::env::var("KILLS").map_or(30, |n| n.parse().expect("KILLS is a number"));
    usize::div_ceil(all, 3)
}

/// The directives that load the language modules installed on this machine: with them, a leader holds
/// far more memory.
fn languages(mpm: &str) -> String {
    let threaded = mpm != "prefork";
    let known = [
        ("perl_module", "mod_perl.so", false),
        ("wsgi_module", "mod_wsgi.so", false),
        ("php_module", "libphp8.2.so", true),
        ("php_module", "libphp8.4.so", true),
    ];
    let here = known.iter().filter(|(_, file, prefork_only)| {
        Path::new(MODULES).join(file).exists() && !(*prefork_only && threaded)
    });
    here.map(|(module, file, _)| format!("LoadModule {module} {MODULES}/{file}\n")).collect()
}

/// Sends requests without a pause, by http and https in turn, until it is stopped; each is answered or
/// not.
struct Client<'n> {
    ns: &'n Namespace,
    running: Child,
}

impl<'n> Client<'n> {
    fn of(ns: &'n Namespace, apache: &Apache) -> Client<'n> {
        let script = "while ! test -e /run/t/stop; do for url in $1 $2; do \
                      test \"$(curl -sk --max-time 30 $url/index.html)\" = 'it works' && echo ok || \
                      echo failed; done; done";
        let mut sh = ns.command("sh");
        sh.args(["-c", script, "sh", &apache.url("http", 0), &apache.url("https", 2)]);
        let running = sh.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh runs");
        Client { ns, running }
    }

    /// How many requests were answered, and how many were not.
    fn stop(self) -> (usize, usize) {
        fs::write(self.ns.path("/run/t/stop"), "").expect("written");
        let said = Run::end(self.running).out;
        (said.matches("ok\n").count(), said.matches("failed\n").count())
    }
}

/// Figures for those who want to see them (`make kill-loop`).
#[allow(clippy::print_stdout)]
fn say(figures: &str) {
    println!("{figures}");
}

#[track_caller]
fn starts_after_each_kill_beside_a_sibling(mpm: &str) {
    let ns = Namespace::new("250 32000 32 128");
    let proxy = format!("LoadModule proxy_module {MODULES}/mod_proxy.so\n");
    let sibling = Apache::beside(&ns, "sibling", 8080, mpm, &format!("{proxy}{}", languages(mpm)));
    let killed = Apache::beside(&ns, "killed", 8180, mpm, &proxy);
    sibling.start();
    let client = Client::of(&ns, &sibling);
    let (mut removed, mut most) = (0, 0);
    for time in 1..=kills() {
        let guard = ns.guard("guard --user 33 --need 3").exits(0);
        removed += guard.err.matches("removed semaphore set").count();
        killed.start();
        most = most.max(ns.ids().len());
        assert!(most <= MOST, "{most} sets at start {time}: {guard}");
        killed.serves_plainly();
        if time % 4 == 0 {
            sibling.graceful();
        }
        killed.kill();
    }
    let (answered, failed) = client.stop();
    say(&format!(
        "{mpm}: {} starts, {removed} sets removed, {most} in the table at most; the sibling answered \
         {answered} requests, {failed} not",
        kills()
    ));
    assert!(removed >= kills(), "{removed} sets of {} killed instances", kills());
    assert_eq!(failed, 0, "of {answered}: {}", sibling.log());
    assert!(answered > kills(), "{answered}");
    sibling.serves();
    sibling.kill();
    // No httpd is left, and so no set.
    ns.guard("guard --user 33").exits(0);
    assert_eq!(ns.ids(), []);
}

#[test]
fn with_prefork_an_instance_starts_after_each_kill_beside_a_running_sibling() {
    require!("apache2", "curl", "openssl");
    starts_after_each_kill_beside_a_sibling("prefork");
}

#[test]
fn with_worker_an_instance_starts_after_each_kill_beside_a_running_sibling() {
    require!("apache2", "curl", "openssl");
    starts_after_each_kill_beside_a_sibling("worker");
}

#[test]
fn with_event_an_instance_starts_after_each_kill_beside_a_running_sibling() {
    require!("apache2", "curl", "openssl");
    starts_after_each_kill_beside_a_sibling("event");
}
