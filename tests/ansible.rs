//! The Ansible role: checked by Ansible's own tools, and run, twice, on a copy of this system that is
//! gone with the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Namespace, Run};

mod common;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// A systemd as far as the role can see: it keeps what is switched on and what runs, as files.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$@" >>/run/p/told
unit=$2
case "$*" in
*show*) echo "Id=$unit"; echo LoadState=loaded; echo UnitFileState=x
    [ -e "/run/p/on.$unit" ] && echo ActiveState=active || echo ActiveState=inactive ;;
*is-enabled*) [ -e "/run/p/enabled.$unit" ] && echo enabled || { echo disabled; exit 1; } ;;
*disable*) rm -f "/run/p/enabled.$unit" ;;
*enable*) touch "/run/p/enabled.$unit" ;;
*start*) touch "/run/p/on.$unit" ;;
*stop*) rm -f "/run/p/on.$unit" ;;
*is-system-running*) echo running ;;
esac
exit 0
"#;

const TIMER: &str = "httpd-semguard-metrics.timer";

fn role() -> PathBuf {
    Path::new(SOURCE).join("packaging/ansible")
}

fn ansible(program: &str, args: &[&str]) -> Run {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ansible");
    fs::create_dir_all(&home).expect("a directory");
    let mut command = Command::new(program);
    command.args(args).current_dir(role()).stdin(Stdio::null());
    command.env("LC_ALL", "C.UTF-8").env("HOME", &home).env("ANSIBLE_HOME", &home);
    command.env("ANSIBLE_NOCOLOR", "1").env("NO_COLOR", "1");
    Run::of(&mut command)
}

#[test]
fn ansible_takes_the_playbook_and_ansible_lint_has_nothing_to_remark() {
    require!("ansible-playbook", "ansible-lint");
    let syntax = ["-i", "httpd,prometheus,", "--syntax-check", "playbook.yml"];
    ansible("ansible-playbook", &syntax).exits(0);
    let args = ["--offline", "--strict", "--nocolor", "playbook.yml", "roles/httpd_semguard"];
    let run = ansible("ansible-lint", &args).exits(0);
    assert!(
        (run.out.clone() + &run.err).contains("0 failure(s), 0 warning(s) on 7 files"),
        "{run}"
    );
}

/// Makes the Debian package around the program of these tests.
fn deb() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ansible-deb");
    let _ = fs::remove_dir_all(&target);
    fs::create_dir_all(target.join("release")).expect("a directory");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(target.join("release/httpd-semguard"));
    Run::of(strip.arg(env!("CARGO_BIN_EXE_httpd-semguard"))).exits(0);
    let mut build = Command::new("packaging/deb/build.sh");
    build.arg(&target).current_dir(SOURCE).stdin(Stdio::null());
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "CARGO_TARGET_DIR"] {
        build.env_remove(name);
    }
    let run = Run::of(&mut build).exits(0);
    PathBuf::from(run.out.lines().last().unwrap_or_else(|| panic!("it names no file: {run}")))
}

/// This system with every change in memory, and the role and the package in it.
fn machine() -> Option<Namespace> {
    let ns = Namespace::new("250 32000 32 8");
    let run = ns.sh("set -e; mkdir /run/o; mount -t tmpfs tmpfs /run/o; cd /run/o; mkdir up work root; \
         mount -t overlay overlay -o lowerdir=/,upperdir=up,workdir=work root; \
         mount --rbind /proc root/proc; mount --rbind /dev root/dev; \
         mount -t tmpfs -o mode=755 tmpfs root/run; mkdir -p root/run/lock root/run/p root/run/systemd/system; \
         mount -t tmpfs tmpfs root/tmp; rm -f root/usr/bin/systemctl root/usr/sbin/policy-rc.d; \
         rm -rf root/var/lib/prometheus root/etc/prometheus/rules");
    if run.code != Some(0) {
        common::skip(&format!("no overlay of the root file system: {run}"));
        return None;
    }
    let inside = |path: &str| ns.path(&format!("/run/o/root{path}"));
    fs::write(inside("/run/p/systemctl"), SYSTEMCTL).expect("written");
    let mut copy = Command::new("cp");
    Run::of(copy.args(["-r", &format!("{SOURCE}/packaging")]).arg(inside("/run/p"))).exits(0);
    Run::of(Command::new("cp").arg(deb()).arg(inside("/run/p/httpd-semguard.deb"))).exits(0);
    fs::write(
        inside("/run/p/inventory"),
        "[httpd]\nwww ansible_connection=local\n[prometheus]\nmonitor ansible_connection=local\n\
         [all:vars]\nansible_python_interpreter=/usr/bin/python3\n",
    )
    .expect("written");
    fs::write(
        inside("/run/p/on.yml"),
        "httpd_semguard_package: /run/p/httpd-semguard.deb\nhttpd_semguard_metrics: true\n\
         httpd_semguard_settings: {HTTPD_SEMGUARD_MIN_FREE: 2}\n",
    )
    .expect("written");
    fs::write(inside("/run/p/off.yml"), "httpd_semguard_package: /run/p/httpd-semguard.deb\n")
        .expect("written");
    let running = "install -m 755 /run/p/systemctl /usr/bin/systemctl; touch /run/p/on.prometheus";
    within(&ns, running).exits(0);
    Some(ns)
}

fn within(ns: &Namespace, script: &str) -> Run {
    Run::of(ns.command("chroot").args(["/run/o/root", "sh", "-c", script]).env("HOME", "/root"))
}

fn playbook(ns: &Namespace, variables: &str, how: &str) -> Run {
    let call = "cd /run/p/packaging/ansible && LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1 \
                ansible-playbook -i /run/p/inventory";
    within(ns, &format!("{call} -e @/run/p/{variables} {how} playbook.yml"))
}

/// Runs the playbook; each of the two hosts changed, or none.
#[track_caller]
fn play(ns: &Namespace, variables: &str, how: &str, changes: bool) {
    let run = playbook(ns, variables, how).exits(0);
    assert!(!run.out.contains("WARNING") && !run.err.contains("WARNING"), "{run}");
    let recap = run.out.split("PLAY RECAP").nth(1).unwrap_or_else(|| panic!("{run}"));
    let counts: Vec<&str> = recap.lines().skip(1).filter(|l| l.contains("changed=")).collect();
    assert_eq!(counts.len(), 2, "{run}");
    for count in counts {
        assert!(count.contains("failed=0") && count.contains("unreachable=0"), "{run}");
        assert_eq!(!count.contains("changed=0"), changes, "{variables} {how}: {run}");
    }
}

#[test]
fn the_playbook_sets_a_host_up_a_second_run_changes_nothing_and_a_trial_run_only_tells() {
    require!("ansible-playbook", "dpkg-deb", "dpkg-shlibdeps", "strip", "make", "promtool");
    let Some(ns) = machine() else { return };
    let has = |path: &str| within(&ns, &format!("test -e {path}")).code == Some(0);

    play(&ns, "on.yml", "--check", true);
    for file in ["/usr/sbin/httpd-semguard", "/etc/default/httpd-semguard", "/etc/prometheus/rules"]
    {
        assert!(!has(file), "a trial run made {file}");
    }

    play(&ns, "on.yml", "", true);
    within(&ns, "httpd-semguard --version").exits(0).prints(env!("CARGO_PKG_VERSION"));
    let settings = within(&ns, "grep -v '^#' /etc/default/httpd-semguard | grep .").exits(0).out;
    let file = "/var/lib/prometheus/node-exporter/httpd-semguard.prom";
    assert_eq!(settings, format!("HTTPD_SEMGUARD_MIN_FREE=2\nSEMGUARD_METRICS={file}\n"));
    assert!(has(&format!("/run/p/enabled.{TIMER}")) && has(&format!("/run/p/on.{TIMER}")));
    within(
        &ns,
        "cmp /etc/prometheus/rules/httpd-semguard.rules.yml \
                 /run/p/packaging/prometheus/httpd-semguard.rules.yml",
    )
    .exits(0);
    within(&ns, &format!("test -d $(dirname {file})")).exits(0);
    let told = within(&ns, "cat /run/p/told").out;
    assert!(told.contains("reload prometheus"), "{told}");
    assert!(!told.contains("restart") && !told.contains("apache2"), "no httpd is touched: {told}");

    play(&ns, "on.yml", "", false);
    play(&ns, "on.yml", "--check", false);

    // What is not right is told, and not rolled out.
    let wrong = "httpd_semguard_package: /run/p/httpd-semguard.deb\nhttpd_semguard_metrics: true\n\
                 httpd_semguard_settings: {HTTPD_SEMGUARD_STRCIT: 'yes', \
                 HTTPD_SEMGUARD_STRICT: maybe, HTTPD_SEMGUARD_USER: www-dat}\n";
    within(&ns, &format!("cat >/run/p/wrong.yml <<'E'\n{wrong}E\n")).exits(0);
    let run = playbook(&ns, "wrong.yml", "--limit httpd").exits(2);
    run.prints("is HTTPD_SEMGUARD_STRICT meant?").prints("write yes or no").prints("no such user");
    let now = within(&ns, "grep -v '^#' /etc/default/httpd-semguard | grep .").exits(0).out;
    assert_eq!(now, settings);

    // Off again: no old figures stay.
    within(&ns, &format!("touch {file}")).exits(0);
    playbook(&ns, "off.yml", "--limit httpd").exits(0).prints("changed=2");
    assert!(!has(&format!("/run/p/enabled.{TIMER}")) && !has(&format!("/run/p/on.{TIMER}")));
    assert!(!has(file));
}
