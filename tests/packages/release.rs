//! The output of "make dist": identical wherever it is made, readable for the package managers of old
//! systems, and working on Debian 11, 12 and 13.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::common::{self, Run};
use crate::machine::Machine;
use crate::require;
use crate::{SOURCE, SWITCHED_ON, built, command, repack, scratch, some_rpm};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes a release from what has been built, in this directory of sources.
fn make(sources: &Path, programs: &Path, name: &str, how: &str) -> PathBuf {
    let target = scratch(name);
    symlink(programs, target.join("portable")).expect("linked");
    symlink(built().join("completions"), target.join("completions")).expect("linked");
    fs::write(target.join("httpd-semguard.cdx.json"), "{}\n").expect("written");
    let mut dist = command("unshare");
    dist.args(["--uts", "sh", "-c", how, "sh"]).arg(sources.join("packaging/dist.sh"));
    Run::of(dist.arg(&target).current_dir(sources)).exits(0);
    target.join("dist")
}

/// The release with the portable programs; `None`, with a message, if it cannot be made here.
fn release() -> Option<&'static Path> {
    static RELEASE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let tools = ["chroot", "debootstrap", "dpkg-deb", "groff", "python3", "readelf", "rpmbuild"];
    if let Err(missing) = common::present(&tools) {
        common::skip(&missing);
        return None;
    }
    // If it cannot be built, this is not tried again for each test.
    let release = RELEASE.get_or_init(|| {
        // tests/portable.rs builds them in the same place.
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a folder");
        let run = Run::of(command("packaging/portable.sh").arg(target));
        if run.code != Some(0) {
            return Err(run.to_string());
        }
        Ok(make(Path::new(SOURCE), &target.join("portable"), "release", "exec \"$@\""))
    });
    Some(release.as_ref().unwrap_or_else(|failed| panic!("packaging/portable.sh: {failed}")))
}

fn deb(arch: &str) -> String {
    format!("httpd-semguard_{VERSION}-1_{arch}.deb")
}

fn rpm(arch: &str) -> String {
    format!("httpd-semguard-{VERSION}-1.{arch}.rpm")
}

fn archive(arch: &str) -> String {
    format!("httpd-semguard-{VERSION}-{arch}.tar.gz")
}

// ---- what is in it -----------------------------------------------------------------------------

#[test]
fn a_release_is_identical_wherever_and_by_whomever_it_is_made() {
    let Some(first) = release() else { return };
    let sources = scratch("elsewhere");
    let copy = "umask 077; tar -c --exclude=./target --exclude=.git --exclude=./tests/corpus . | \
                tar -x --no-same-permissions -C \"$0\"";
    Run::of(command("sh").args(["-c", copy]).arg(&sources)).exits(0);
    let programs = first.parent().expect("a folder").join("portable");
    let how = "umask 077; hostname elsewhere; export TZ=Asia/Tokyo LC_ALL=C.UTF-8; exec \"$@\"";
    let second = make(&sources, &programs, "release-elsewhere", how);
    let run = Run::of(command("diff").arg("-r").arg(first).arg(second));
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{run}");
}

#[test]
fn a_release_has_an_archive_and_two_packages_for_each_architecture() {
    let Some(dist) = release() else { return };
    let mut expected = vec![
        "SHA256SUMS".to_owned(),
        "httpd-semguard.8.txt".into(),
        "apachectl-semguard.8.txt".into(),
    ];
    expected.push("httpd-semguard.cdx.json".into());
    for (arch, of_debian) in [("x86_64", "amd64"), ("aarch64", "arm64")] {
        expected.extend([archive(arch), deb(of_debian), rpm(arch)]);
        let program =
            dist.parent().expect("a folder").join(format!("portable/{arch}/httpd-semguard"));
        let inside = scratch(&format!("inside-{arch}"));
        let unpack = format!(
            "set -e; cd {}; mkdir deb rpm; tar -xf {dist}/{}; dpkg-deb -x {dist}/{} deb; \
             rpm2cpio {dist}/{} | (cd rpm && cpio --quiet -id ./usr/sbin/httpd-semguard)",
            inside.display(),
            archive(arch),
            deb(of_debian),
            rpm(arch),
            dist = dist.display(),
        );
        Run::of(command("sh").args(["-c", &unpack])).exits(0);
        let program = fs::read(program).expect("read");
        let in_archive = format!("httpd-semguard-{VERSION}-{arch}/httpd-semguard");
        for file in
            [in_archive.as_str(), "deb/usr/sbin/httpd-semguard", "rpm/usr/sbin/httpd-semguard"]
        {
            assert!(fs::read(inside.join(file)).expect("read") == program, "{file} of {arch}");
        }

        let field = |name: &str| {
            let mut query = command("dpkg-deb");
            Run::of(query.arg("-f").arg(dist.join(deb(of_debian))).arg(name)).exits(0).out
        };
        assert_eq!(field("Architecture").trim(), of_debian);
        assert_eq!(field("Pre-Depends").trim(), "libc6 (>= 2.17)");
        assert_eq!(field("Depends").trim(), "");
        let members = Run::of(command("ar").arg("t").arg(dist.join(deb(of_debian)))).exits(0);
        assert_eq!(members.out, "debian-binary\ncontrol.tar.gz\ndata.tar.gz\n");

        let query = ["-qp", "--qf", "%{ARCH} %{BUILDHOST}\n[%{REQUIRENAME} %{REQUIREVERSION}\n]"];
        let run = Run::of(command("rpm").args(query).arg(dist.join(rpm(arch)))).exits(0);
        let mut needs: Vec<&str> = run.out.lines().filter(|l| !l.starts_with("rpmlib(")).collect();
        needs.dedup();
        assert_eq!(needs[0], format!("{arch} localhost"));
        assert_eq!(needs[1..], ["/bin/sh ", "glibc 2.17"]);
    }
    let files = fs::read_dir(dist).expect("read").map(|f| f.expect("read").file_name());
    let mut files: Vec<String> = files.map(|f| f.to_string_lossy().into_owned()).collect();
    files.sort();
    expected.sort();
    assert_eq!(files, expected);
    let mut check = command("sha256sum");
    let run = Run::of(check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(dist)).exits(0);
    assert_eq!(run.out.lines().count(), files.len() - 1, "{run}");
    let page = fs::read_to_string(dist.join("httpd-semguard.8.txt")).expect("read");
    assert!(page.contains("\nNAME\n") && !page.contains(['\x1b', '\x08']), "{page}");
}

#[test]
fn a_release_accepts_no_program_that_needs_more_than_glibc_2_17() {
    require!("dpkg-deb", "readelf", "rpmbuild", "groff", "strip");
    let target = scratch("too-new");
    for arch in ["x86_64", "aarch64"] {
        fs::create_dir_all(target.join("portable").join(arch)).expect("a directory");
        fs::copy(
            built().join("release/httpd-semguard"),
            target.join("portable").join(arch).join("httpd-semguard"),
        )
        .expect("copied");
    }
    fs::write(target.join("httpd-semguard.cdx.json"), "").expect("written");
    let run = Run::of(command("packaging/dist.sh").arg(&target)).exits(1);
    assert!(run.err.contains("not just x86_64 2.17"), "{run}");
}

#[test]
fn rpm_4_11_can_read_the_packages_and_unreadable_ones_are_detected() {
    let Some(dist) = release() else { return };
    let mut readable = command("packaging/rpm/readable.sh");
    Run::of(readable.args(["x86_64", "aarch64"].map(|a| dist.join(rpm(a))))).exits(0);
    let (zstd, gzip) = ("_binary_payload w3.zstdio", "_binary_payload w9.gzdio");
    let faults = [
        (zstd, "", "the format of the payload"),
        (gzip, "Requires: (a or b)\n", "(a or b)"),
        (gzip, "Recommends: a\n", "the list of weak dependencies"),
    ];
    for (payload, line, said) in faults {
        let package = some_rpm("new", "1", line, &["--define", payload]);
        let run = Run::of(command("packaging/rpm/readable.sh").arg(package)).exits(1);
        assert!(run.err.contains(said), "{line}: {run}");
    }
    let package = some_rpm("new", "1", "", &["--define", gzip]);
    Run::of(command("packaging/rpm/readable.sh").arg(package)).exits(0);
}

#[test]
fn the_release_workflow_uses_targets_of_the_makefile_and_actions_pinned_by_commit() {
    let read = |file: &str| fs::read_to_string(Path::new(SOURCE).join(file)).expect("read");
    let (workflow, makefile) = (read(".github/workflows/release.yml"), read("Makefile"));
    let after = |mark| workflow.lines().filter_map(move |l| l.split_once(mark).map(|(_, w)| w));
    let targets: Vec<&str> = after("- run: make ").collect();
    assert!(targets.contains(&"dist"), "{targets:?}");
    for target in targets {
        assert!(makefile.contains(&format!("\n{target}: ")), "the Makefile has no {target}");
    }
    for action in after("- uses: ") {
        let (_, commit) = action.split_once('@').expect("a version");
        let commit = commit.split(' ').next().expect("a commit");
        assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{action}");
    }
}

// ---- at work -----------------------------------------------------------------------------------

/// Runs what the unit runs before httpd.
const BEFORE_A_START: &str = "set -e; \
    before=$(sed -e :a -e '/[\\]$/N; s/[\\]\\n//; ta' \
        /usr/lib/systemd/system/apache2.service.d/20-semguard.conf | \
        sed -n 's/^ExecStartPre=//p' | sed 's/[$][$]/$/g'); \
    [ -n \"$before\" ]; sh -c \"$before\"";

/// Debian's httpd with one accept lock, which is a semaphore set: prefork, two listeners.
const SEMAPHORES: &str = "set -e; a2dismod -q mpm_event; a2enmod -q mpm_prefork; \
    printf 'Listen 80\\nListen 8080\\n' >/etc/apache2/ports.conf; \
    printf 'ServerName localhost\\nMutex sysvsem default\\n' >/etc/apache2/conf-enabled/test.conf";

fn works_on(debian: &str) {
    let Some(dist) = release() else { return };
    let Some(machine) = Machine::of_debian(debian, "250 32000 32 8") else { return };
    machine.with_systemd();
    machine.sh(SEMAPHORES).exits(0);
    let before = machine.changed();
    let reload = ["--system daemon-reload"];
    let package = machine.bring(&dist.join(deb("amd64")), "a.deb");
    machine.sh(&format!("dpkg -i {package}")).exits(0);
    assert_eq!(machine.told(), reload);
    machine
        .sh("httpd-semguard check")
        .exits(0)
        .prints("httpd's locks can be made: it needs 1 semaphore set");
    machine.0.orphans(3, common::WWW);
    machine.sh(BEFORE_A_START).exits(0);
    assert!(machine.0.ids().is_empty(), "orphans are left");

    let later = repack(&dist.join(deb("amd64")), debian, "\nVersion: ", "\nVersion: 1:");
    let later = machine.bring(&later, "b.deb");
    machine.sh(&format!("dpkg -i {later}")).exits(0);
    assert_eq!(machine.told(), reload);
    machine.sh("httpd-semguard check").exits(0);

    machine.sh(SWITCHED_ON).exits(0);
    machine.sh("dpkg -P httpd-semguard").exits(0);
    assert_eq!(machine.told().last().map(String::as_str), Some(reload[0]));
    machine.sh("rm /var/lib/node_exporter/textfile_collector/httpd-semguard*.prom").exits(0);
    assert_eq!(machine.changed(), before);
}

#[test]
fn the_deb_installs_works_upgrades_and_is_purged_on_debian_11() {
    works_on("bullseye");
}

#[test]
fn the_deb_installs_works_upgrades_and_is_purged_on_debian_12() {
    works_on("bookworm");
}

#[test]
fn the_deb_installs_works_upgrades_and_is_purged_on_debian_13() {
    works_on("trixie");
}

#[test]
fn a_half_installed_deb_does_not_keep_httpd_from_starting() {
    let Some(dist) = release() else { return };
    let Some(machine) = Machine::of_debian("bullseye", "250 32000 32 8") else { return };
    let before = machine.changed();

    // If the program could not run, nothing is unpacked.
    let newer = repack(&dist.join(deb("amd64")), "newer", "libc6 (>= 2.17)", "libc6 (>= 9)");
    let newer = machine.bring(&newer, "newer.deb");
    let run = machine.sh(&format!("dpkg -i {newer}"));
    assert_ne!(run.code, Some(0), "{run}");
    assert_eq!(machine.changed(), before, "{run}");

    // Unpacked but not configured, it works.
    let package = machine.bring(&dist.join(deb("amd64")), "a.deb");
    machine.sh(&format!("dpkg --unpack {package}")).exits(0);
    let state = machine.sh("dpkg-query -W -f '${db:Status-Status}' httpd-semguard");
    assert_eq!(state.out, "unpacked");
    machine.0.orphans(3, common::WWW);
    machine.sh(BEFORE_A_START).exits(0);
    assert!(machine.0.ids().is_empty(), "orphans are left");
}

#[test]
fn the_rpm_can_be_installed_with_glibc_2_17_and_is_refused_with_an_older_one() {
    let Some(dist) = release() else { return };
    let Some(machine) = Machine::new("250 32000 32 8") else { return };
    let force = if Path::new("/etc/debian_version").exists() { "--force-debian" } else { "" };
    let rpm_in = |what: &str| machine.0.sh(&format!("rpm --root /run/o/root {force} {what}"));
    machine.0.sh("rpm --root /run/o/root --initdb").exits(0);
    let package = format!("/run/o/root{}", machine.bring(&dist.join(rpm("x86_64")), "guard.rpm"));
    let foreign =
        format!("/run/o/root{}", machine.bring(&dist.join(rpm("aarch64")), "foreign.rpm"));
    // A system according to its database: with the glibc of EL 6, then with that of EL 7.
    for (glibc, code) in [("2.12", 1), ("2.17", 0)] {
        let base = some_rpm("glibc", glibc, "Provides: /bin/sh\n", &[]);
        let base = format!("/run/o/root{}", machine.bring(&base, "glibc.rpm"));
        rpm_in(&format!("-U {base}")).exits(0);
        rpm_in(&format!("-i --test --ignorearch {foreign}")).exits(code);
        let run = rpm_in(&format!("-i {package}")).exits(code);
        assert_eq!(run.err.contains("glibc >= 2.17 is needed"), code != 0, "{run}");
        assert_eq!(machine.has("/usr/lib/systemd/system/httpd.service.d"), code == 0);
    }
    machine.sh("httpd-semguard check").exits(0);
    rpm_in("-e httpd-semguard").exits(0);
    assert!(!machine.has("/usr/lib/systemd/system/httpd.service.d"));
}

#[test]
fn the_archive_installs_itself_says_what_it_guards_and_is_removed_without_a_trace() {
    let Some(dist) = release() else { return };
    let Some(machine) = Machine::new("250 32000 32 8") else { return };
    machine.with_systemd();
    machine
        .sh("mkdir -p /run/systemd/system/httpd24-httpd.service.d /etc/systemd/system; \
        touch /run/systemd/system/httpd24-httpd.service")
        .exits(0);
    let before = machine.changed();
    let package = machine.bring(&dist.join(archive("x86_64")), "guard.tar.gz");
    let tree = format!("/run/p/httpd-semguard-{VERSION}-x86_64");
    machine.sh(&format!("tar -xf {package} -C /run/p")).exits(0);

    // A program that does not run on this machine is not installed.
    let broken = format!(
        "cd {tree}; mv httpd-semguard kept; echo 'exit 1' >httpd-semguard; \
        chmod 755 httpd-semguard; ./install.sh; code=$?; mv kept httpd-semguard; exit $code"
    );
    let run = machine.sh(&broken).exits(1);
    assert!(run.err.contains("does not run here") && run.err.contains("glibc 2.17"), "{run}");
    assert_eq!(machine.changed(), before);
    assert_eq!(machine.told(), [] as [&str; 0]);

    let run = machine.sh(&format!("{tree}/install.sh")).exits(0);
    assert_eq!(machine.told(), ["--system daemon-reload"]);
    let guarded = run
        .out
        .lines()
        .find(|l| l.contains("guarded from"))
        .expect("a line that says what is guarded");
    assert!(guarded.contains("httpd24-httpd.service"), "{run}");
    assert!(!guarded.contains("httpd@"), "{run}");
    let installed: BTreeMap<&str, &str> = BTreeMap::from([
        (
            "/usr/local/lib/systemd/system/httpd.service.d/20-semguard.conf",
            "/usr/local/sbin/httpd-semguard",
        ),
        ("/usr/local/libexec/httpd-semguard/after-httpd", "/usr/local/sbin/httpd-semguard"),
        ("/usr/local/share/man/man8/httpd-semguard.8", "/usr/local/share/httpd-semguard"),
    ]);
    for (file, names) in installed {
        machine
            .sh(&format!("grep -q {names} {file} && ! grep -q /usr/sbin/httpd-semguard {file}"))
            .exits(0);
    }
    machine.sh("/usr/local/sbin/httpd-semguard check").exits(0);

    machine.sh(&format!("{tree}/install.sh uninstall")).exits(0);
    assert_eq!(machine.told().last().map(String::as_str), Some("--system daemon-reload"));
    let left: Vec<String> = machine.changed().difference(&before).cloned().collect();
    assert_eq!(left, ["/etc/default/httpd-semguard"], "only the settings must be kept");
}
