//! The packages, and what "make install" installs. Both packages are built once, with the program of
//! these tests, and installed without changing this system: in a copy of it that disappears with the
//! test. `release.rs` covers the output of "make dist".

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::Run;
use machine::Machine;

#[path = "../common/mod.rs"]
mod common;
mod failed;
mod machine;
mod release;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// Everything in the packages, except what belongs to only one of them.
const BOTH: [(&str, &str); 33] = [
    ("/usr/libexec/httpd-semguard/after-httpd", "755"),
    ("/usr/sbin/apachectl-semguard", "755"),
    ("/usr/sbin/httpd-semguard", "755"),
    ("/usr/lib/systemd/system/httpd-semguard-.service.d/10-sandbox.conf", "644"),
    ("/usr/lib/systemd/system/httpd-semguard-.service.d/20-newer.conf", "644"),
    ("/usr/lib/systemd/system/httpd-semguard-metrics.service", "644"),
    ("/usr/lib/systemd/system/httpd-semguard-metrics.timer", "644"),
    ("/usr/share/bash-completion/completions/apachectl-semguard", "644"),
    ("/usr/lib/systemd/system/httpd-semguard-metrics@.service", "644"),
    ("/usr/lib/systemd/system/httpd-semguard-metrics@.timer", "644"),
    ("/usr/share/bash-completion/completions/httpd-semguard", "644"),
    ("/usr/share/doc/httpd-semguard/README.md", "644"),
    ("/usr/share/doc/httpd-semguard/docs/install.md", "644"),
    ("/usr/share/doc/httpd-semguard/docs/monitoring.md", "644"),
    ("/usr/share/doc/httpd-semguard/docs/mutexes.md", "644"),
    ("/usr/share/doc/httpd-semguard/docs/systemd.md", "644"),
    ("/usr/share/doc/httpd-semguard/examples/10-private-ipc.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/container-entrypoint.sh", "644"),
    ("/usr/share/doc/httpd-semguard/examples/httpd-semguard.cfg", "644"),
    ("/usr/share/doc/httpd-semguard/examples/httpd-semguard.icinga2.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/httpd-semguard.nrpe.cfg", "644"),
    ("/usr/share/doc/httpd-semguard/examples/httpd-semguard.rules.yml", "644"),
    ("/usr/share/doc/httpd-semguard/examples/reload-debian.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/reload-el.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/reload-el-instance.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/reload-scl.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/reload-suse.conf", "644"),
    ("/usr/share/doc/httpd-semguard/examples/sysvinit.sh", "644"),
    ("/usr/share/fish/vendor_completions.d/apachectl-semguard.fish", "644"),
    ("/usr/share/fish/vendor_completions.d/httpd-semguard.fish", "644"),
    ("/usr/share/httpd-semguard/report-1.schema.json", "644"),
    ("/usr/share/man/man8/apachectl-semguard.8.gz", "644"),
    ("/usr/share/man/man8/httpd-semguard.8.gz", "644"),
];

const OF_DEB: [(&str, &str); 9] = [
    ("/etc/default/httpd-semguard", "644"),
    ("/usr/lib/systemd/system/apache2.service.d/20-semguard.conf", "644"),
    ("/usr/lib/systemd/system/apache2@.service.d/20-semguard.conf", "644"),
    ("/usr/share/doc/httpd-semguard/changelog.Debian.gz", "644"),
    ("/usr/share/doc/httpd-semguard/changelog.gz", "644"),
    ("/usr/share/doc/httpd-semguard/copyright", "644"),
    ("/usr/share/lintian/overrides/httpd-semguard", "644"),
    ("/usr/share/zsh/vendor-completions/_apachectl-semguard", "644"),
    ("/usr/share/zsh/vendor-completions/_httpd-semguard", "644"),
];

const OF_RPM: [(&str, &str); 11] = [
    ("/etc/sysconfig/httpd-semguard", "644"),
    ("/usr/lib/systemd/system/apache2.service.d/20-semguard.conf", "644"),
    ("/usr/lib/systemd/system/apache2@.service.d/20-semguard.conf", "644"),
    ("/usr/lib/systemd/system/httpd24-httpd.service.d/20-semguard.conf", "644"),
    ("/usr/lib/systemd/system/httpd.service.d/20-semguard.conf", "644"),
    ("/usr/lib/systemd/system/httpd@.service.d/20-semguard.conf", "644"),
    ("/usr/share/doc/httpd-semguard/CHANGELOG.md", "644"),
    ("/usr/share/licenses/httpd-semguard/LICENSE", "644"),
    ("/usr/share/licenses/httpd-semguard/THIRD-PARTY", "644"),
    ("/usr/share/zsh/site-functions/_apachectl-semguard", "644"),
    ("/usr/share/zsh/site-functions/_httpd-semguard", "644"),
];

// ---- building ----------------------------------------------------------------------------------

/// A command in the sources, without the variables of a make that runs these tests.
fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(SOURCE).env("LC_ALL", "C").stdin(Stdio::null());
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}

fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages").join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

/// Creates a target directory as "make build completions" would, from what the tests have.
fn build(name: &str) -> PathBuf {
    let target = scratch(name);
    fs::create_dir(target.join("release")).expect("a directory");
    let guard = env!("CARGO_BIN_EXE_httpd-semguard");
    let stripped = target.join("release/httpd-semguard");
    Run::of(command("strip").arg("-o").arg(stripped).arg(guard)).exits(0);
    let profile = Path::new(guard).parent().expect("a folder");
    let mut cargo = command(env!("CARGO"));
    cargo.args(["run", "--quiet", "--locked", "--example", "completions"]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.arg("--").arg(target.join("completions"));
    cargo.env("CARGO_TARGET_DIR", profile.parent().expect("a folder"));
    Run::of(&mut cargo).exits(0);
    target
}

fn built() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| build("target"))
}

/// The file named in the last line of a build script's output.
fn made(run: Run) -> PathBuf {
    let run = run.exits(0);
    PathBuf::from(run.out.lines().last().unwrap_or_else(|| panic!("no file is named\n{run}")))
}

fn deb() -> &'static Path {
    static DEB: OnceLock<PathBuf> = OnceLock::new();
    DEB.get_or_init(|| made(Run::of(command("packaging/deb/build.sh").arg(built()))))
}

/// The package, and a later version of it.
fn rpms() -> &'static [PathBuf; 2] {
    static RPMS: OnceLock<[PathBuf; 2]> = OnceLock::new();
    RPMS.get_or_init(|| {
        ["%{nil}", ".1"].map(|dist| {
            let mut build = command("packaging/rpm/build.sh");
            build.arg(built()).args(["prebuilt", "--define", &format!("dist {dist}")]);
            let rpm = made(Run::of(&mut build));
            let kept = built().join(rpm.file_name().expect("a name"));
            fs::copy(rpm, &kept).expect("copied");
            kept
        })
    })
}

/// An empty package with this name; `more` contains further header lines.
fn some_rpm(name: &str, version: &str, more: &str, options: &[&str]) -> PathBuf {
    let top = scratch(&format!("some-{name}-{version}"));
    let spec = format!(
        "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: some\nLicense: none\n{more}\
         BuildArch: noarch\n%description\nSome.\n%files\n"
    );
    fs::write(top.join("some.spec"), spec).expect("written");
    let mut build = command("rpmbuild");
    build.args(["--quiet", "--nodeps", "-bb", "--define", &format!("_topdir {}", top.display())]);
    Run::of(build.args(options).arg(top.join("some.spec"))).exits(0);
    top.join(format!("RPMS/noarch/{name}-{version}-1.noarch.rpm"))
}

// ---- what is in them ---------------------------------------------------------------------------

fn expected(own: &[(&str, &str)]) -> BTreeMap<String, String> {
    BOTH.iter().chain(own).map(|(f, m)| ((*f).to_owned(), (*m).to_owned())).collect()
}

/// "-rw-r--r--" as "644".
fn octal(mode: &str) -> String {
    let bit = |(i, c): (usize, char)| if c == '-' { 0 } else { 4 >> (i % 3) };
    let bits: Vec<u32> = mode.chars().skip(1).enumerate().map(bit).collect();
    bits.chunks(3).map(|c| c.iter().sum::<u32>().to_string()).collect()
}

#[test]
fn the_deb_contains_what_it_should_and_root_owns_all_of_it() {
    require!("dpkg-deb", "dpkg-parsechangelog", "readelf", "strip");
    let list = Run::of(command("dpkg-deb").arg("-c").arg(deb())).exits(0);
    let mut files = BTreeMap::new();
    for line in list.out.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[1], "root/root", "{line}");
        if words[0].starts_with('d') {
            assert_eq!(octal(words[0]), "755", "{line}");
        } else {
            files.insert(words[5].trim_start_matches('.').to_owned(), octal(words[0]));
        }
    }
    assert_eq!(files, expected(&OF_DEB));

    let field = |name: &str| {
        Run::of(command("dpkg-deb").arg("-f").arg(deb()).arg(name)).exits(0).out.trim().to_owned()
    };
    assert_eq!(field("Version"), format!("{}-1", env!("CARGO_PKG_VERSION")));
    // It is called as soon as it is unpacked, so what it needs must be installed before.
    assert!(field("Pre-Depends").contains("libc6 (>= "), "{}", field("Pre-Depends"));
    let conffiles = Run::of(command("dpkg-deb").arg("-I").arg(deb()).arg("conffiles")).exits(0);
    assert_eq!(conffiles.out, "/etc/default/httpd-semguard\n");
}

#[test]
fn the_rpm_contains_what_it_should_and_root_owns_all_of_it() {
    require!("rpmbuild", "rpm", "readelf", "strip");
    let format = "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} \
                  x%{FILEFLAGS:fflags}\n]";
    let list = Run::of(command("rpm").args(["-qp", "--qf", format]).arg(&rpms()[0])).exits(0);
    let (mut files, mut configuration) = (BTreeMap::new(), Vec::new());
    for line in list.out.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[2], "root/root", "{line}");
        if words[1].starts_with('d') {
            assert_eq!(octal(words[1]), "755", "{line}");
            continue;
        }
        if words[3].contains('c') {
            configuration.push((words[0], words[3]));
        }
        // Whether the directory of the licences contains the version depends on the rpm that builds.
        let version = format!("semguard-{}", env!("CARGO_PKG_VERSION"));
        files.insert(words[0].replace(&version, "semguard"), octal(words[1]));
    }
    assert_eq!(files, expected(&OF_RPM));
    assert_eq!(configuration, [("/etc/sysconfig/httpd-semguard", "xcn")], "config, noreplace");
}

#[test]
fn the_settings_file_sets_nothing_and_lists_every_variable() {
    let text = fs::read_to_string(Path::new(SOURCE).join("packaging/httpd-semguard.default"));
    let text = text.expect("read");
    assert!(text.lines().all(|l| l.is_empty() || l.starts_with('#')), "{text}");
    let command = <httpd_semguard::cli::Options as clap::CommandFactory>::command();
    for variable in command.get_arguments().filter_map(clap::Arg::get_env) {
        let line = format!("\n#{}=", variable.to_string_lossy());
        assert!(text.contains(&line), "{} is missing", variable.to_string_lossy());
    }
}

#[test]
fn the_licences_are_those_of_what_is_linked_in_and_no_others() {
    let run = Run::of(command("packaging/licences.sh").arg("THERE")).exits(0);
    for linked in ["vendor/nix/*", "vendor/libc/*", "vendor/clap_builder/*", "library/*"] {
        assert!(run.out.contains(&format!("\nFiles: {linked}\n")), "{linked}\n{run}");
    }
    for not_linked in ["proptest", "syn", "clap_derive", "clap_complete"] {
        assert!(!run.out.contains(&format!("vendor/{not_linked}/")), "{not_linked}\n{run}");
    }
    // The text of every licence that is named is included.
    let names = run.out.lines().filter_map(|l| l.strip_prefix("License: "));
    for name in names.flat_map(|n| n.split(" or ")) {
        assert!(run.out.contains(&format!("\nLicense: {name}\n ")), "{name} has no text");
    }
}

// ---- checkers ----------------------------------------------------------------------------------

#[test]
fn lintian_finds_no_error_and_no_warning() {
    require!("lintian", "dpkg-deb", "dpkg-parsechangelog", "readelf", "strip");
    let run = Run::of(command("lintian").arg("--tag-display-limit=0").arg(deb()));
    let found = |l: &str| l.starts_with("E: ") || l.starts_with("W: ");
    assert!(run.code == Some(0) && !run.out.lines().any(found), "{run}");
}

#[test]
fn rpmlint_finds_no_error_and_no_warning() {
    require!("rpmlint", "rpmbuild", "readelf", "strip");
    let args = ["-c", "packaging/rpm/rpmlint.toml", "packaging/rpm/httpd-semguard.spec"];
    let run = Run::of(command("rpmlint").args(args).arg(&rpms()[0]));
    run.exits(0).prints(" 0 errors, 0 warnings");
}

#[test]
fn sh_and_shellcheck_accept_every_script() {
    require!("shellcheck");
    let scripts = [
        "after-httpd",
        "licences.sh",
        "apachectl/apachectl-semguard",
        "deb/build.sh",
        "deb/postinst",
        "deb/postrm",
        "deb/prerm",
        "dist.sh",
        "epoch.sh",
        "examples/container-entrypoint.sh",
        "examples/sysvinit.sh",
        "install.sh",
        "needs.sh",
        "rpm/build.sh",
        "rpm/readable.sh",
        "sbom.sh",
    ]
    .map(|script| format!("packaging/{script}"));
    for script in &scripts {
        Run::of(command("sh").arg("-n").arg(script)).exits(0);
    }
    Run::of(command("shellcheck").args(&scripts)).exits(0);
}

#[test]
fn sh_and_shellcheck_accept_the_scripts_of_the_rpm() {
    require!("shellcheck", "rpmbuild", "readelf", "strip");
    for tag in ["POSTIN", "PREUN", "POSTUN", "TRIGGERSCRIPTS"] {
        let mut query = command("rpm");
        query.args(["-qp", "--qf", &format!("#!/bin/sh\n%{{{tag}}}\n")]).arg(&rpms()[0]);
        let script = Run::of(&mut query).exits(0).out;
        assert!(script.contains("|| :"), "{tag} may fail: {script}");
        let file = scratch("scripts").join(tag);
        fs::write(&file, script).expect("written");
        Run::of(command("sh").arg("-n").arg(&file)).exits(0);
        Run::of(command("shellcheck").arg(&file)).exits(0);
    }
}

#[test]
fn mandoc_reports_nothing_about_the_page_of_the_wrapper() {
    require!("mandoc");
    let page = "man/apachectl-semguard.8";
    let run = Run::of(command("mandoc").args(["-Tlint", "-W", "warning", page])).exits(0);
    assert_eq!(run.out, "", "{run}");
}

// ---- the check after an upgrade of httpd -------------------------------------------------------

/// Runs `after-httpd` with this shell script in place of the guard.
fn after_httpd(name: &str, stub: &str) -> Run {
    let dir = scratch(&format!("after-{name}"));
    let guard = dir.join("guard");
    fs::write(&guard, format!("#!/bin/sh\n{stub}\n")).expect("written");
    fs::set_permissions(&guard, fs::Permissions::from_mode(0o755)).expect("executable");
    let mut hook = command("packaging/after-httpd");
    hook.env("SEMGUARD", guard);
    Run::of(hook.env("SEMGUARD_PATIENCE", "1")).exits(0)
}

#[test]
fn the_check_after_an_upgrade_is_silent_if_httpd_would_start() {
    let run = after_httpd("fine", "echo all well");
    assert_eq!((run.out, run.err), (String::new(), String::new()));
    // The guard will make room at the next start.
    let run = after_httpd("orphans", "[ \"$1\" = guard ] || { echo full; exit 69; }");
    assert_eq!((run.out, run.err), (String::new(), String::new()));
}

#[test]
fn the_check_after_an_upgrade_reports_every_failure_and_never_fails() {
    let run = after_httpd("fails", "echo the reason >&2; exit 69");
    let run = run.prints("httpd would not start now");
    run.prints("the reason").prints("Nothing was changed");
    // What would not keep httpd from starting is not reported as such.
    for end in ["exit 78", "exit 64", "kill -SEGV $$", "exit 1"] {
        let run = after_httpd("fails", &format!("echo the reason >&2; {end}"));
        assert!(!run.out.contains("would not start"), "{run}");
        run.prints("httpd would be started anyway").prints("the reason");
    }
}

#[test]
fn the_check_after_an_upgrade_ends_in_time() {
    let began = Instant::now();
    after_httpd("slow", "sleep 60").prints("timed out");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_check_after_an_upgrade_copes_without_a_guard() {
    let mut hook = command("packaging/after-httpd");
    let run = Run::of(hook.env("SEMGUARD", "/nonexistent")).exits(0);
    assert_eq!((run.out, run.err), (String::new(), String::new()));
}

// ---- the deb on a machine ----------------------------------------------------------------------

/// The same package, packed again with a changed control file.
fn repack(deb: &Path, name: &str, from: &str, to: &str) -> PathBuf {
    let dir = scratch(&format!("repacked-{name}"));
    let (tree, again) = (dir.join("tree"), dir.join("again.deb"));
    Run::of(command("dpkg-deb").arg("-R").arg(deb).arg(&tree)).exits(0);
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("read");
    assert!(text.contains(from), "{text}");
    fs::write(&control, text.replace(from, to)).expect("written");
    Run::of(command("dpkg-deb").args(["--root-owner-group", "-Znone", "-b"]).arg(tree).arg(&again))
        .exits(0);
    again
}

/// The metrics timers have been enabled, one of them for an instance, and have written their files;
/// something has been learned.
const SWITCHED_ON: &str = "set -e; echo {} >/var/lib/httpd-semguard/starts.json; cd /etc/systemd/system; mkdir -p timers.target.wants; \
    ln -s /usr/lib/systemd/system/httpd-semguard-metrics.timer timers.target.wants; \
    ln -s /usr/lib/systemd/system/httpd-semguard-metrics@.timer \
        timers.target.wants/httpd-semguard-metrics@shop.timer; \
    for dir in prometheus/node-exporter node_exporter/textfile_collector; do \
        mkdir -p /var/lib/$dir; touch /var/lib/$dir/httpd-semguard.prom \
            /var/lib/$dir/httpd-semguard-shop.prom; done";

#[test]
fn the_deb_installs_upgrades_and_is_purged_without_a_trace() {
    require!(
        "dpkg-deb",
        "dpkg-parsechangelog",
        "readelf",
        "strip",
        "systemd-analyze",
        "apache2ctl"
    );
    let Some(machine) = Machine::new("250 32000 32 8") else { return };
    machine.with_systemd();
    let before = machine.changed();
    let reload = ["--system daemon-reload"];

    let package = machine.bring(deb(), "a.deb");
    machine.sh(&format!("dpkg -i {package}")).exits(0);
    for (file, _) in BOTH.iter().chain(&OF_DEB) {
        assert!(machine.has(file), "{file}");
    }
    assert_eq!(machine.told(), reload, "something was enabled or started, not just reloaded");
    assert!(!machine.has("/etc/systemd/system/timers.target.wants/httpd-semguard-metrics.timer"));
    machine.sh("httpd-semguard --version").exits(0).prints(env!("CARGO_PKG_VERSION"));
    let verify = "systemd-analyze --man=no verify apache2.service apache2@shop.service \
        httpd-semguard-metrics.timer httpd-semguard-metrics.service \
        httpd-semguard-metrics@shop.timer httpd-semguard-metrics@shop.service";
    let run = machine.sh(verify).exits(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", ""), "{run}");
    // systemd-analyze notices a mistake in the drop-in's call of the guard.
    machine.sh("mv /usr/sbin/httpd-semguard /usr/sbin/elsewhere").exits(0);
    assert!(
        machine.sh(verify).err.contains("httpd-semguard"),
        "verify does not check the drop-ins"
    );
    machine.sh("mv /usr/sbin/elsewhere /usr/sbin/httpd-semguard").exits(0);

    machine.sh("echo HTTPD_SEMGUARD_MIN_FREE=1 >>/etc/default/httpd-semguard").exits(0);
    let later = machine.bring(&repack(deb(), "later", "\nVersion: ", "\nVersion: 1:"), "b.deb");
    machine.sh(&format!("dpkg -i {later} </dev/null")).exits(0);
    assert_eq!(machine.told(), reload);
    let settings = fs::read_to_string(machine.path("/etc/default/httpd-semguard"));
    assert!(settings.expect("the file exists").ends_with("\nHTTPD_SEMGUARD_MIN_FREE=1\n"));

    // Enabled meanwhile, as "systemctl enable --now" does it.
    machine.sh(SWITCHED_ON).exits(0);
    machine.sh("dpkg -r httpd-semguard").exits(0);
    let told = machine.told();
    for timer in ["httpd-semguard-metrics.timer", "httpd-semguard-metrics@shop.timer"] {
        assert!(told.iter().any(|t| t.ends_with(&format!("stop {timer}"))), "{told:?}");
    }
    assert_eq!(
        told.last().map(String::as_str),
        Some(reload[0]),
        "systemd learns that the units are gone"
    );
    // The one for EL is not in this package.
    machine.sh("rm /var/lib/node_exporter/textfile_collector/httpd-semguard*.prom").exits(0);
    let left: Vec<String> = machine.changed().difference(&before).cloned().collect();
    let until_purge = ["/etc/default/httpd-semguard", "/var/lib/httpd-semguard/starts.json"];
    assert_eq!(left, until_purge, "settings, and what was learned, must be kept until a purge");

    machine.sh("dpkg -P httpd-semguard").exits(0);
    assert_eq!(machine.changed(), before);
    let traces = "find /run/o/up -name '*semguard*' ! -type c";
    assert_eq!(machine.0.sh(traces).out, "", "{}", machine.0.sh(traces));
    let state = "grep -rl httpd-semguard /var/lib/dpkg/info /var/lib/dpkg/triggers";
    assert_eq!(machine.sh(state).out, "");
}

#[test]
fn an_upgrade_of_apache_reports_a_start_that_would_fail_and_never_breaks() {
    require!("dpkg-deb", "dpkg-parsechangelog", "readelf", "strip", "apache2", "apache2ctl");
    let Some(machine) = Machine::new("250 32000 32 2") else { return };
    let package = machine.bring(deb(), "a.deb");
    machine.sh(&format!("dpkg -i {package}")).exits(0);

    // A package that contains this file, like an upgrade of one of Apache's packages.
    let upgrade_of = |file: &str| {
        let name = Path::new(file).file_stem().expect("a name").to_string_lossy().into_owned();
        let tree = scratch(&format!("some-{name}"));
        let inside = tree.join(file.trim_start_matches('/'));
        fs::create_dir_all(inside.parent().expect("a folder")).expect("a directory");
        fs::create_dir_all(tree.join("DEBIAN")).expect("a directory");
        if Path::new(file).exists() {
            fs::copy(file, inside).expect("copied");
        } else {
            fs::write(inside, "").expect("written");
        }
        let name = name.replace('_', "-");
        let control = format!(
            "Package: some-{name}\nVersion: 1\nArchitecture: all\n\
             Maintainer: nobody <nobody@example.org>\nDescription: of an httpd\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).expect("written");
        let upgrade = tree.with_extension("deb");
        Run::of(command("dpkg-deb").args(["-Znone", "-b"]).arg(&tree).arg(&upgrade)).exits(0);
        let upgrade = machine.bring(&upgrade, &format!("{name}.deb"));
        format!("dpkg -i --force-overwrite {upgrade}")
    };
    let (control, module) = ("/usr/sbin/apache2ctl", "/usr/lib/apache2/modules/mod_of_others.so");
    for file in [control, module] {
        let run = machine.sh(&upgrade_of(file)).exits(0);
        run.prints("Processing triggers for httpd-semguard");
    }
    let upgrade = upgrade_of("/usr/sbin/apache2");
    let run = machine.sh(&upgrade).exits(0).prints("Processing triggers for httpd-semguard");
    assert!(!run.out.contains("would not start"), "{run}");

    machine.sh("echo HTTPD_SEMGUARD_NEED=3 >>/etc/default/httpd-semguard").exits(0);
    let run = machine.sh(&upgrade).exits(0).prints("httpd would not start now");
    run.prints("No space left on device").prints("why:").prints("do:");

    // Sets left by a killed httpd are not reported: the next start removes them.
    machine.sh("sed -i s/NEED=3/NEED=2/ /etc/default/httpd-semguard").exits(0);
    let orphans = machine.0.orphans(2, common::WWW);
    let run = machine.sh(&upgrade).exits(0).prints("Processing triggers for httpd-semguard");
    assert!(!run.out.contains("would not start"), "{run}");
    assert_eq!(machine.0.ids(), orphans, "the check changed something");

    // A broken guard does not break anything else.
    machine.sh("printf '#!/bin/sh\\nkill -SEGV $$\\n' >/usr/sbin/httpd-semguard").exits(0);
    machine.sh(&upgrade).exits(0);
    machine.sh("rm /usr/sbin/httpd-semguard").exits(0);
    machine.sh(&upgrade).exits(0);
    machine.sh("rm -r /usr/libexec/httpd-semguard").exits(0);
    machine.sh(&upgrade).exits(0);
    let state = machine.sh("dpkg-query -W -f '${db:Status-Status}' httpd-semguard");
    assert_eq!(state.out, "installed");
}

// ---- the rpm on a machine ----------------------------------------------------------------------

#[test]
fn the_rpm_installs_upgrades_is_triggered_and_erased_without_a_trace() {
    require!("rpmbuild", "rpm", "readelf", "strip");
    let Some(machine) = Machine::new("250 32000 32 2") else { return };
    machine.with_systemd();
    let reload = ["--system daemon-reload"];
    let debian = Path::new("/etc/debian_version").exists();
    // If another package manager installed the libraries, they are not in rpm's database.
    let rpm = |what: &str| {
        let force = if debian { "--force-debian" } else { "" };
        machine.0.sh(&format!("rpm --root /run/o/root {force} {what}"))
    };
    machine.0.sh("rpm --root /run/o/root --initdb").exits(0);
    let before = machine.changed();
    let bring = |file: &Path, name: &str| format!("/run/o/root{}", machine.bring(file, name));
    let [first, second] = rpms();
    let (first, second) = (bring(first, "a.rpm"), bring(second, "b.rpm"));

    rpm(&format!("-i --nodeps {first}")).exits(0);
    for (file, _) in BOTH.iter().chain(&OF_RPM).filter(|(f, _)| !f.contains("/licenses/")) {
        assert!(machine.has(file), "{file}");
    }
    assert_eq!(machine.told(), reload);
    machine.sh("httpd-semguard --version").exits(0).prints(env!("CARGO_PKG_VERSION"));

    machine.sh("echo HTTPD_SEMGUARD_NEED=3 >>/etc/sysconfig/httpd-semguard").exits(0);
    rpm(&format!("-U --nodeps {second}")).exits(0);
    assert!(machine.told().iter().all(|t| t == reload[0]));
    assert!(machine.has("/usr/lib/systemd/system/httpd.service.d/20-semguard.conf"));
    let settings = fs::read_to_string(machine.path("/etc/sysconfig/httpd-semguard"));
    assert!(settings.expect("the file exists").ends_with("\nHTTPD_SEMGUARD_NEED=3\n"));

    // Packages with these names, as in an installation or upgrade: those of EL, SUSE and SCL.
    let [httpd, apache2, of_scl] = ["httpd", "apache2", "httpd24-httpd"]
        .map(|name| bring(&some_rpm(name, "2", "", &[]), &format!("{name}.rpm")));
    let said = |package: &str| {
        let run = rpm(&format!("-i --force {package}")).exits(0);
        run.out + &run.err
    };
    for package in [&httpd, &apache2] {
        let said = said(package);
        assert!(said.contains("httpd would not start now"), "{said}");
    }
    // SCL's httpd finds its libraries through its own script, so the script is asked, if it exists.
    assert_eq!(said(&of_scl), "");
    let script = "/opt/rh/httpd24/root/usr/sbin/httpd-scl-wrapper";
    machine
        .sh(&format!(
            "mkdir -p {0}; printf '#!/bin/sh\\necho \"$@\" >>/run/p/asked\\n' >{script}; \
             chmod 755 {script}",
            Path::new(script).parent().expect("a folder").display()
        ))
        .exits(0);
    let told = said(&of_scl);
    assert!(told.contains("httpd would not start now") && told.contains(script), "{told}");
    assert!(machine.has("/run/p/asked"));
    machine.sh("rm -r /opt/rh; sed -i s/NEED=3/NEED=2/ /etc/sysconfig/httpd-semguard").exits(0);
    for package in [&httpd, &apache2] {
        assert_eq!(said(package), "");
    }
    machine.sh("rm -r /usr/libexec/httpd-semguard/after-httpd").exits(0);
    said(&httpd);
    rpm("-e httpd apache2 httpd24-httpd").exits(0);
    machine.told();

    let metrics = "/var/lib/node_exporter/textfile_collector/httpd-semguard.prom";
    machine
        .sh(&format!("grep -q 'METRICS={metrics}$' /usr/lib/systemd/system/*metrics.service"))
        .exits(0);
    machine.sh(SWITCHED_ON).exits(0);
    rpm("-e httpd-semguard").exits(0);
    let off = ["", "@shop"];
    let off = off.map(|i| format!("--quiet --now disable httpd-semguard-metrics{i}.timer"));
    assert_eq!(machine.told(), [&off[0], &off[1], reload[0]]);
    assert!(!machine.has(metrics), "the file remains, and its age would raise an alert");
    machine
        .sh("rm /etc/systemd/system/timers.target.wants/httpd-semguard-metrics* \
                /var/lib/prometheus/node-exporter/httpd-semguard*.prom")
        .exits(0);
    let left: Vec<String> = machine.changed().difference(&before).cloned().collect();
    // An edited file is kept under another name, as rpm does with all configuration files.
    assert_eq!(left, ["/etc/sysconfig/httpd-semguard.rpmsave"]);
    assert!(!machine.has("/usr/lib/systemd/system/httpd.service.d"), "the drop-ins remain");

    rpm(&format!("-i --nodeps {first}")).exits(0);
    rpm("-e httpd-semguard").exits(0);
    let left: Vec<String> = machine.changed().difference(&before).cloned().collect();
    assert_eq!(left, ["/etc/sysconfig/httpd-semguard.rpmsave"]);
}

// ---- make install ------------------------------------------------------------------------------

#[test]
fn make_install_installs_everything_and_make_uninstall_removes_it() {
    require!("make", "strip");
    let root = scratch("root");
    let make = |what: &str| {
        let mut make = command("make");
        make.args(["--no-print-directory", what, "PREFIX=/opt/g"]);
        make.arg(format!("DESTDIR={}", root.display())).env("CARGO_TARGET_DIR", built());
        Run::of(&mut make).exits(0)
    };
    make("install");
    let read =
        |file: &str| fs::read_to_string(root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    for unit in ["apache2", "apache2@", "httpd", "httpd@", "httpd24-httpd"] {
        let text = read(&format!("opt/g/lib/systemd/system/{unit}.service.d/20-semguard.conf"));
        assert!(
            text.contains("; /opt/g/sbin/httpd-semguard guard")
                && !text.contains(" /usr/sbin/httpd-semguard"),
            "{text}"
        );
    }
    let text = read("opt/g/lib/systemd/system/httpd-semguard-metrics.service");
    assert!(text.contains("\nExecStart=/opt/g/sbin/httpd-semguard check "), "{text}");
    read("opt/g/lib/systemd/system/httpd-semguard-metrics.timer");
    let text = read("opt/g/lib/systemd/system/httpd-semguard-metrics@.service");
    assert!(text.contains("'exec /opt/g/sbin/httpd-semguard check "), "{text}");
    read("opt/g/lib/systemd/system/httpd-semguard-metrics@.timer");
    for script in ["opt/g/sbin/apachectl-semguard", "opt/g/libexec/httpd-semguard/after-httpd"] {
        let text = read(script);
        assert!(text.contains("/opt/g/sbin/httpd-semguard"), "{script}");
        assert!(!text.contains("/usr/sbin/httpd-semguard"), "{script}");
        Run::of(command("sh").arg("-n").arg(root.join(script))).exits(0);
    }
    for (page, paths) in [
        (
            "httpd-semguard.8",
            &[
                "'/opt/g/sbin/httpd-semguard guard -- ",
                "Pa /opt/g/share/httpd",
                "Pa /opt/g/share/doc/httpd-semguard/examples/",
            ][..],
        ),
        (
            "apachectl-semguard.8",
            &["Pa /opt/g/sbin/httpd-semguard .", "Pa /opt/g/share/doc/httpd-semguard/examples/"],
        ),
    ] {
        let text = read(&format!("opt/g/share/man/man8/{page}"));
        assert!(text.starts_with(".\\\"") && paths.iter().all(|p| text.contains(p)), "{page}");
    }
    for (example, path) in [
        ("sysvinit.sh", "-x /opt/g/sbin/httpd-semguard ]"),
        ("sysvinit.sh", "call /opt/g/sbin/apachectl-semguard"),
        ("container-entrypoint.sh", "\n/opt/g/sbin/httpd-semguard guard"),
        ("reload-debian.conf", " /opt/g/sbin/httpd-semguard check"),
        ("httpd-semguard.cfg", " /opt/g/sbin/httpd-semguard check"),
        ("httpd-semguard.nrpe.cfg", " /opt/g/sbin/httpd-semguard check"),
        ("httpd-semguard.icinga2.conf", "\"/opt/g/sbin/httpd-semguard\""),
    ] {
        let text = read(&format!("opt/g/share/doc/httpd-semguard/examples/{example}"));
        assert!(text.contains(path), "{example}: {path}");
    }
    // No file contains a path that only the packages use.
    let mut grep = command("grep");
    grep.args([
        "-rIlE",
        "/usr/(sbin|libexec|share|share/doc|lib/systemd/system)/(httpd|apachectl)-semguard",
    ]);
    assert_eq!(Run::of(grep.arg(&root)).exits(1).out, "");
    for name in ["httpd-semguard", "apachectl-semguard"] {
        read(&format!("opt/g/share/bash-completion/completions/{name}"));
        read(&format!("opt/g/share/zsh/site-functions/_{name}"));
        read(&format!("opt/g/share/fish/vendor_completions.d/{name}.fish"));
    }

    fs::write(root.join("etc/default/httpd-semguard"), "mine\n").expect("written");
    make("install");
    assert_eq!(read("etc/default/httpd-semguard"), "mine\n");

    fs::write(root.join("var/lib/httpd-semguard/starts.json"), "{}").expect("written");
    // The metrics of an instance have been enabled.
    let wants = root.join("etc/systemd/system/timers.target.wants");
    let link = wants.join("httpd-semguard-metrics@shop.timer");
    let metrics = root.join("var/lib/prometheus/node-exporter");
    for dir in [&wants, &metrics] {
        fs::create_dir_all(dir).expect("made");
    }
    std::os::unix::fs::symlink("/opt/g/lib/systemd/system/httpd-semguard-metrics@.timer", &link)
        .expect("made");
    fs::write(metrics.join("httpd-semguard-shop.prom"), "").expect("written");
    make("uninstall");
    assert!(!link.is_symlink());
    assert!(!root.join("var/lib/httpd-semguard").exists());
    let left = Run::of(command("find").arg(&root).args(["-type", "f"])).exits(0);
    let left: Vec<&str> = left.out.lines().collect();
    assert_eq!(left, [root.join("etc/default/httpd-semguard").to_str().expect("text")]);
}

#[test]
fn make_help_stays_aligned_with_a_longer_name() {
    require!("make", "awk");
    let more = scratch("help").join("Makefile");
    fs::write(&more, "a-name-that-is-longer-than-all: ## do nothing\n").expect("written");
    let mut make = command("make");
    make.args(["--no-print-directory", "-f", "Makefile", "-f"]).arg(more).arg("help");
    let help = Run::of(&mut make).exits(0).out;
    let column = |line: &str| {
        let name = line.strip_prefix("  make ")?.split("  ").next()?;
        let says = line["  make ".len() + name.len()..].trim_start();
        Some(line.len() - says.len())
    };
    let columns: Vec<usize> = help.lines().filter_map(column).collect();
    assert!(columns.len() > 20 && columns.iter().all(|c| *c == columns[0]), "{help}");
}
