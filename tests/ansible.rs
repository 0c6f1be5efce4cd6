//! The Ansible role: checked by Ansible's own tools, and run twice on a copy of this system that
//! disappears with the test; with this system's ansible-core, and with the newest supported one, which
//! is installed with pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::{Namespace, Run};

mod common;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// A substitute for systemd: it records what is enabled and what is running, as files.
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
fn ansible_accepts_the_playbook_and_ansible_lint_has_no_remarks() {
    require!("ansible-playbook", "ansible-lint");
    let syntax = ["-i", "httpd,prometheus,", "--syntax-check", "playbook.yml"];
    ansible("ansible-playbook", &syntax).exits(0);
    let args = ["--offline", "--strict", "--nocolor", "playbook.yml", "roles/httpd_semguard"];
    let run = ansible("ansible-lint", &args).exits(0);
    assert!(
        (run.out.clone() + &run.err).contains("0 failure(s), 0 warning(s) on 8 files"),
        "{run}"
    );
}

/// A value from the command line is a string. This test does not need Ansible.
#[test]
fn no_condition_assumes_that_a_switch_is_a_boolean() {
    let mut seen = 0;
    for file in ["tasks/main.yml", "templates/settings.j2"] {
        let text = common::read(&format!("packaging/ansible/roles/httpd_semguard/{file}"));
        for at in text.match_indices("httpd_semguard_metrics").map(|(at, _)| at) {
            let rest = &text[at + "httpd_semguard_metrics".len()..];
            assert!(rest.starts_with(" | bool"), "{file}: {}", rest.lines().next().unwrap_or(""));
            seen += 1;
        }
    }
    assert!(seen >= 5);
}

/// The Debian package with the program of these tests.
fn deb() -> &'static Path {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    DEB.get_or_init(build)
}

fn build() -> PathBuf {
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
    PathBuf::from(run.out.lines().last().unwrap_or_else(|| panic!("no file is named: {run}")))
}

/// This system, with all changes in memory, and with the role and the package in it.
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
    // The mount point of another ansible-core.
    fs::create_dir(inside("/run/p/core")).expect("a directory");
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

/// Runs the playbook with the ansible-core that is mounted, or else with this system's.
fn with(ns: &Namespace, options: &str) -> Run {
    let call = "cd /run/p/packaging/ansible && export LC_ALL=C.UTF-8 ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1; \
                play=ansible-playbook; core=/run/p/core/bin/python3; \
                [ ! -e $core ] || play=\"$core -m ansible playbook\"; $play -i /run/p/inventory";
    within(ns, &format!("{call} {options} playbook.yml"))
}

fn playbook(ns: &Namespace, variables: &str, how: &str) -> Run {
    with(ns, &format!("-e @/run/p/{variables} {how}"))
}

/// Runs the playbook; either both hosts change, or neither.
#[track_caller]
fn play(ns: &Namespace, variables: &str, how: &str, changes: bool) {
    changed(playbook(ns, variables, how), changes);
}

#[track_caller]
fn changed(run: Run, changes: bool) {
    let run = run.exits(0);
    assert!(!run.out.contains("WARNING") && !run.err.contains("WARNING"), "{run}");
    let recap = run.out.split("PLAY RECAP").nth(1).unwrap_or_else(|| panic!("{run}"));
    let counts: Vec<&str> = recap.lines().skip(1).filter(|l| l.contains("changed=")).collect();
    assert_eq!(counts.len(), 2, "{run}");
    for count in counts {
        assert!(count.contains("failed=0") && count.contains("unreachable=0"), "{run}");
        assert_eq!(!count.contains("changed=0"), changes, "{run}");
    }
}

/// What the settings file contains.
fn settings(ns: &Namespace) -> String {
    within(ns, "grep -v '^#' /etc/default/httpd-semguard | grep .").out
}

/// This version of ansible-core in a Python environment of its own, which is kept for the next run.
fn core(version: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ansible-core-{version}"));
    if dir.join("complete").exists() {
        return Some(dir);
    }
    let _ = fs::remove_dir_all(&dir);
    let made = Run::of(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&dir));
    let mut pip = Command::new(dir.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    pip.arg(format!("ansible-core=={version}.*")).stdin(Stdio::null());
    let got = if made.code == Some(0) { Run::of(&mut pip) } else { made };
    if got.code != Some(0) {
        common::skip(&format!("ansible-core {version} could not be installed with pip: {got}"));
        return None;
    }
    fs::write(dir.join("complete"), "").expect("written");
    Some(dir)
}

#[test]
fn the_playbook_sets_up_a_host_a_second_run_changes_nothing_and_check_mode_only_reports() {
    require!("ansible-playbook", "dpkg-deb", "dpkg-shlibdeps", "strip", "make", "promtool");
    let Some(ns) = machine() else { return };
    let has = |path: &str| within(&ns, &format!("test -e {path}")).code == Some(0);

    play(&ns, "on.yml", "--check", true);
    for file in ["/usr/sbin/httpd-semguard", "/etc/default/httpd-semguard", "/etc/prometheus/rules"]
    {
        assert!(!has(file), "check mode created {file}");
    }

    play(&ns, "on.yml", "", true);
    within(&ns, "httpd-semguard --version").exits(0).prints(env!("CARGO_PKG_VERSION"));
    let file = "/var/lib/prometheus/node-exporter/httpd-semguard.prom";
    let wanted = format!("HTTPD_SEMGUARD_MIN_FREE=2\nSEMGUARD_METRICS={file}\n");
    assert_eq!(settings(&ns), wanted);
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
    // Asking whether it has failed does not touch it.
    let mut orders = told.lines().filter(|line| !line.contains("list-units"));
    let touches = |line: &str| line.contains("restart") || line.contains("apache2");
    assert!(!orders.any(touches), "httpd is touched: {told}");

    play(&ns, "on.yml", "", false);
    play(&ns, "on.yml", "--check", false);

    // Mistakes are reported, and not rolled out.
    let wrong = "httpd_semguard_package: /run/p/httpd-semguard.deb\nhttpd_semguard_metrics: true\n\
                 httpd_semguard_settings: {HTTPD_SEMGUARD_STRCIT: 'yes', \
                 HTTPD_SEMGUARD_STRICT: maybe, HTTPD_SEMGUARD_USER: www-dat}\n";
    within(&ns, &format!("cat >/run/p/wrong.yml <<'E'\n{wrong}E\n")).exits(0);
    let run = playbook(&ns, "wrong.yml", "--limit httpd").exits(2);
    run.prints("did you mean HTTPD_SEMGUARD_STRICT?")
        .prints("write yes or no")
        .prints("no such user");
    assert_eq!(settings(&ns), wanted);

    // Disabled again: no old metrics remain, and no setting that was removed.
    within(&ns, &format!("touch {file}")).exits(0);
    playbook(&ns, "off.yml", "--limit httpd").exits(0).prints("changed=3");
    assert!(!has(&format!("/run/p/enabled.{TIMER}")) && !has(&format!("/run/p/on.{TIMER}")));
    assert!(!has(file));
    assert_eq!(settings(&ns), "");
    playbook(&ns, "off.yml", "--limit httpd").exits(0).prints("changed=0");
}

/// Variables from the command line are strings: "false" counts as true if that is forgotten, and is an
/// error from 2.19 on.
#[track_caller]
fn the_lines_of_the_readme_work(ns: &Namespace) {
    let has = |path: &str| within(ns, &format!("test -e {path}")).code == Some(0);
    let package = "-e httpd_semguard_package=/run/p/httpd-semguard.deb";
    let on = format!("{package} -e httpd_semguard_metrics=true");
    changed(with(ns, &on), true);
    assert!(has("/usr/sbin/httpd-semguard") && has(&format!("/run/p/on.{TIMER}")));
    assert!(settings(ns).starts_with("SEMGUARD_METRICS=/var/lib/"), "{}", settings(ns));
    changed(with(ns, &on), false);

    // A manual change in a file that belongs to the role.
    within(ns, "echo HTTPD_SEMGUARD_NEED=7 >>/etc/default/httpd-semguard").exits(0);
    let set = r#"-e '{"httpd_semguard_settings": {"HTTPD_SEMGUARD_STRICT": true, "HTTPD_SEMGUARD_MIN_FREE": 2}}'"#;
    with(ns, &format!("{package} -e httpd_semguard_metrics=false {set} --limit httpd")).exits(0);
    assert!(!has(&format!("/run/p/on.{TIMER}")));
    assert_eq!(settings(ns), "HTTPD_SEMGUARD_STRICT=yes\nHTTPD_SEMGUARD_MIN_FREE=2\n");
    with(ns, &format!("{package} --limit httpd")).exits(0);
    assert_eq!(settings(ns), "");

    // By name, with a package that the host already has; check mode shows it.
    with(ns, "--limit httpd --check").exits(0).prints("changed=0");
}

#[test]
fn variables_may_be_given_on_the_command_line_and_a_removed_setting_disappears() {
    require!("ansible-playbook", "dpkg-deb", "dpkg-shlibdeps", "strip", "make", "promtool");
    let Some(ns) = machine() else { return };
    the_lines_of_the_readme_work(&ns);
}

/// `ANSIBLE_CORES="2.15 2.16"` tries these versions; the default is the newest, which is the strictest.
#[test]
fn newer_versions_of_ansible_do_the_same() {
    require!("dpkg-deb", "dpkg-shlibdeps", "strip", "make", "promtool", "python3");
    let versions = std::env::var("ANSIBLE_CORES").unwrap_or("2.19".into());
    for version in versions.split_whitespace() {
        let Some(core) = core(version) else { continue };
        let Some(ns) = machine() else { return };
        ns.sh(&format!("mount --bind {} /run/o/root/run/p/core", core.display())).exits(0);
        within(&ns, "LC_ALL=C.UTF-8 /run/p/core/bin/python3 -m ansible playbook --version")
            .exits(0)
            .prints(&format!("[core {version}."));
        the_lines_of_the_readme_work(&ns);
    }
}
