//! Installation while httpd has failed: the administrator is told the command that starts it.

use std::path::Path;

use crate::common::Run;
use crate::machine::Machine;
use crate::{built, command, deb, require, rpms, scratch};

/// The output of "systemctl list-units --state=failed", with these units and others.
const FAILED: &str = "apache2.service loaded failed failed The Apache HTTP Server\n\
                      apache2@shop.service loaded failed failed The Apache HTTP Server\n\
                      httpd-semguard-metrics.service loaded failed failed Metrics\n\
                      nginx.service loaded failed failed nginx\n";

/// The beginning of the last line of an installation that found that httpd has failed.
const SAYS: &str = ": httpd has failed and is not running; to start it: systemctl start ";

/// Installs twice: while no unit has failed, and while these have. The last line of the second
/// installation names the command, and the first has no such line; neither starts anything.
#[track_caller]
fn ends_with_the_command(machine: &Machine, says: &str, install: impl Fn() -> Run) {
    let run = install().exits(0);
    assert!(!(run.out.clone() + &run.err).contains("systemctl start"), "{run}");
    assert!(!machine.told().iter().any(|t| t.contains("start")));

    std::fs::write(machine.path("/run/p/failed"), FAILED).expect("written");
    let run = install().exits(0);
    let last = format!("{says}{SAYS}apache2 apache2@shop");
    assert_eq!(run.out.lines().last(), Some(last.as_str()), "{run}");
    assert!(!machine.told().iter().any(|t| t.contains("start")), "something was started");
}

#[test]
fn the_deb_ends_with_the_command_that_starts_a_failed_httpd() {
    require!("dpkg-deb", "dpkg-parsechangelog", "readelf", "strip");
    let Some(machine) = Machine::new("250 32000 32 8") else { return };
    machine.with_systemd();
    let package = machine.bring(deb(), "a.deb");
    ends_with_the_command(&machine, "httpd-semguard", || {
        // The lines of triggers belong to other packages.
        machine.sh(&format!("dpkg --no-triggers -i {package} </dev/null"))
    });
}

#[test]
fn the_rpm_ends_with_the_command_that_starts_a_failed_httpd() {
    require!("rpmbuild", "rpm", "readelf", "strip");
    let Some(machine) = Machine::new("250 32000 32 8") else { return };
    machine.with_systemd();
    let force = if Path::new("/etc/debian_version").exists() { "--force-debian" } else { "" };
    machine.0.sh("rpm --root /run/o/root --initdb").exits(0);
    let package = machine.bring(&rpms()[0], "a.rpm");
    ends_with_the_command(&machine, "httpd-semguard", || {
        machine
            .0
            .sh(&format!("rpm --root /run/o/root {force} -i --force --nodeps /run/o/root{package}"))
    });
}

#[test]
fn install_sh_ends_with_the_command_that_starts_a_failed_httpd() {
    require!("strip");
    let Some(machine) = Machine::new("250 32000 32 8") else { return };
    machine.with_systemd();
    // As in the archive of a release: everything next to the program.
    let archive = scratch("archive");
    let files = format!(
        "set -e; cp -r --parents README.md docs man systemd packaging {0}; cp -r {1}/completions \
         {1}/release/httpd-semguard packaging/install.sh {0}; tar -C {0} -cf {0}.tar .",
        archive.display(),
        built().display()
    );
    Run::of(command("sh").args(["-c", &files])).exits(0);
    let archive = archive.with_extension("tar");
    machine.bring(&archive, "archive.tar");
    machine.sh("mkdir /tmp/archive; tar -C /tmp/archive -xf /run/p/archive.tar").exits(0);
    ends_with_the_command(&machine, "install.sh", || machine.sh("/tmp/archive/install.sh"));
    let nowhere = machine.sh("/tmp/archive/install.sh DESTDIR=/tmp/stage").exits(0);
    assert!(!nowhere.out.contains("systemctl start"), "with DESTDIR: {nowhere}");
}
