//! A whole system, to install packages in: a copy of this one or one of `tests/rootfs.sh`, whose
//! changes are gone with the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command;
use crate::common::{self, Namespace, Run};

/// This system or another, in namespaces of its own and with every change in memory.
pub(crate) struct Machine(pub(crate) Namespace);

impl Machine {
    pub(crate) fn new(sem: &str) -> Option<Machine> {
        Machine::over("/", sem)
    }

    /// One of the root file systems of `tests/rootfs.sh` instead of this one.
    pub(crate) fn of_debian(release: &str, sem: &str) -> Option<Machine> {
        let run = Run::of(command("tests/rootfs.sh").arg(release));
        if run.code == Some(0) {
            return Machine::over(run.out.trim(), sem);
        }
        common::skip(&format!("no root file system of {release}: {run}"));
        None
    }

    fn over(root: &str, sem: &str) -> Option<Machine> {
        let ns = Namespace::new(sem);
        let run = ns.sh(&format!(
            "set -e; mkdir /run/o; mount -t tmpfs tmpfs /run/o; cd /run/o; \
             mkdir up work root; \
             mount -t overlay overlay -o lowerdir={root},upperdir=up,workdir=work root; \
             mount --rbind /proc root/proc; mount --rbind /dev root/dev; \
             mount -t tmpfs -o mode=755 tmpfs root/run; mkdir root/run/lock root/run/p; \
             mount -t tmpfs tmpfs root/tmp"
        ));
        if run.code == Some(0) {
            return Some(Machine(ns));
        }
        common::skip(&format!("no overlay of the root file system {root}: {run}"));
        None
    }

    pub(crate) fn sh(&self, script: &str) -> Run {
        Run::of(self.0.command("chroot").args(["/run/o/root", "sh", "-c", script]))
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.path(&format!("/run/o/root{inside}"))
    }

    /// Brings a file in, where it counts as no change.
    pub(crate) fn bring(&self, file: &Path, name: &str) -> String {
        fs::copy(file, self.path(&format!("/run/p/{name}"))).expect("copied");
        format!("/run/p/{name}")
    }

    /// A systemd that runs, as far as scripts can see; what it was told is in `/run/p/told`. Asked for
    /// failed units, it lists those lines of `/run/p/failed` whose units the patterns match.
    pub(crate) fn with_systemd(&self) {
        const SYSTEMCTL: &str = r#"#!/bin/sh
case " $* " in
*" show "*) ;;
*" list-units --state=failed "*)
    while read -r unit rest; do
        for pattern; do
            case $unit in $pattern) echo "$unit $rest" ;; esac
        done
    done </run/p/failed
    ;;
*) echo "$@" >>/run/p/told ;;
esac
"#;
        fs::write(self.path("/run/p/failed"), "").expect("written");
        fs::write(self.path("/run/p/systemctl"), SYSTEMCTL).expect("written");
        self.sh(
            "set -e; mkdir -p /run/systemd/system; rm -f /usr/bin/systemctl /usr/sbin/policy-rc.d; \
                 mv /run/p/systemctl /usr/bin; chmod 755 /usr/bin/systemctl",
        )
        .exits(0);
    }

    /// What systemd was told since it was asked for last; a question is nothing told.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.sh("cat /run/p/told && rm /run/p/told").out;
        told.lines().map(str::to_owned).collect()
    }

    /// The files that are not as they were, but for logs, caches and the package managers' own.
    pub(crate) fn changed(&self) -> BTreeSet<String> {
        let run = self.0.sh("cd /run/o/up && find . ! -type d ! -type c").exits(0);
        let own =
            ["/var/lib/dpkg/", "/var/lib/rpm/", "/var/log/", "/var/cache/", "/usr/lib/sysimage/"];
        let files = run.out.lines().map(|l| l.trim_start_matches('.').to_owned());
        files.filter(|f| !own.iter().any(|o| f.starts_with(o))).collect()
    }

    pub(crate) fn has(&self, file: &str) -> bool {
        self.sh(&format!("test -e {file}")).code == Some(0)
    }
}
