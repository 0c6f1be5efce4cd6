//! A complete system in which to install packages: a copy of this one, or one from `tests/rootfs.sh`.
//! All changes disappear with the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command;
use crate::common::{self, Namespace, Run};

/// This system or another one, in namespaces of its own and with all changes in memory.
pub(crate) struct Machine(pub(crate) Namespace);

impl Machine {
    pub(crate) fn new(sem: &str) -> Option<Machine> {
        Machine::over("/", sem)
    }

    /// One of the root file systems from `tests/rootfs.sh` instead of this one.
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

    /// Copies a file in, to a place where it does not count as a change.
    pub(crate) fn bring(&self, file: &Path, name: &str) -> String {
        fs::copy(file, self.path(&format!("/run/p/{name}"))).expect("copied");
        format!("/run/p/{name}")
    }

    /// A substitute for a running systemd, for scripts; the commands it was given are in `/run/p/told`.
    /// If asked for failed units, it lists those lines in `/run/p/failed` whose units match the patterns.
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

    /// The commands given to systemd since the last call of this; queries do not count.
    pub(crate) fn told(&self) -> Vec<String> {
        let told = self.sh("cat /run/p/told && rm /run/p/told").out;
        told.lines().map(str::to_owned).collect()
    }

    /// The files that have changed, except logs, caches and those of the package managers.
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
