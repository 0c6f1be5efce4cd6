//! The remedies work: in random tables, each command that the guard proposes is pasted into a shell, and
//! a real httpd is started afterwards. Remedies that are said to be enough on their own must be, those
//! that are said not to be must not be, and permanent ones must survive a boot.

mod common;
#[path = "agreement/server.rs"]
mod server;

use std::fs;

use common::{Namespace, Run};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use server::{APACHE, Config, Outcome};

const CONF: [&str; 2] = ["-f", "/run/t/httpd.conf"];

/// What sets `kernel.sem` at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boot {
    Nothing,
    /// A package's file.
    Vendor,
    /// An administrator's file, among other settings.
    Own,
    /// /etc/sysctl.conf, which systemd reads only through a link.
    Classic,
    /// The same, with the link that Debian has.
    Linked,
}

/// The properties of a table.
#[derive(Clone, Debug)]
struct World {
    orphans: usize,
    /// PHP's sets, with three semaphores each.
    php: usize,
    /// Another user's sets, in httpd's form.
    others: usize,
    limits: Limits,
    boot: Boot,
}

#[derive(Clone, Copy, Debug)]
enum Limits {
    /// Room for this many more sets.
    Sets(i64),
    /// Room for this many more semaphores.
    Semaphores(i64),
    /// `250 32000 32 512` with a lost space.
    LostSpace,
    Zeros,
    NoOperations,
}

fn world() -> impl Strategy<Value = World> {
    let limits = prop_oneof![
        3 => (0i64..2).prop_map(Limits::Sets),
        2 => (0i64..2).prop_map(Limits::Semaphores),
        1 => Just(Limits::LostSpace),
        1 => Just(Limits::Zeros),
        1 => Just(Limits::NoOperations),
    ];
    let boot = prop_oneof![
        Just(Boot::Nothing),
        Just(Boot::Vendor),
        Just(Boot::Own),
        Just(Boot::Classic),
        Just(Boot::Linked),
    ];
    (0usize..4, 0usize..3, 0usize..3, limits, boot).prop_map(
        |(orphans, php, others, limits, boot)| World { orphans, php, others, limits, boot },
    )
}

/// The world, and a configuration that needs two sets.
fn make(world: &World) -> Namespace {
    let ns = Namespace::new("250 32000 32 4096");
    server::furnish(&ns);
    let mut config = Config::new("prefork");
    config.load(&["proxy"]);
    config.add("Mutex sysvsem default\nListen 127.0.0.1:8081");
    ns.write("httpd.conf", &config.text());
    ns.guard_copy();
    if world.orphans > 0 {
        ns.orphans(world.orphans, common::WWW);
    }
    for n in 0..world.php {
        ns.dead_actor("php-fpm", &format!("as 33 key 0x{:x} 3 666 exit", 0x100 + n));
    }
    if world.others > 0 {
        ns.orphans(world.others, common::STRANGER);
    }
    // Changes in /etc are visible only in this namespace.
    ns.sh(
        "for dir in /etc /usr/lib/sysctl.d; do mkdir -p /run/t/over$dir/up /run/t/over$dir/work && \
         mount -t overlay -o lowerdir=$dir,upperdir=/run/t/over$dir/up,workdir=/run/t/over$dir/work \
         overlay $dir || exit 1; done; rm -rf /etc/sysctl.d /etc/sysctl.conf; mkdir /etc/sysctl.d",
    )
    .exits(0);
    let file = match world.boot {
        Boot::Nothing => None,
        Boot::Vendor => Some("/usr/lib/sysctl.d/99-vendor.conf"),
        Boot::Own => Some("/etc/sysctl.d/50-database.conf"),
        Boot::Classic | Boot::Linked => Some("/etc/sysctl.conf"),
    };
    let sem = limits(world, &ns);
    if let Some(file) = file {
        let text = format!("# ours\n\nvm.dirty_ratio = 20\nkernel.sem = {sem}\n# end\n");
        fs::write(ns.path(file), text).expect("written");
    }
    if world.boot == Boot::Linked {
        ns.sh("ln -s ../sysctl.conf /etc/sysctl.d/99-sysctl.conf").exits(0);
    }
    ns.sh(&format!("echo {sem} > /proc/sys/kernel/sem")).exits(0);
    ns
}

fn limits(world: &World, ns: &Namespace) -> String {
    let sets = ns.sets();
    let semaphores: i64 = sets.iter().map(|set| set.nsems).sum();
    let count = sets.len() as i64;
    match world.limits {
        Limits::Sets(more) => format!("250 32000 32 {}", count + more),
        Limits::Semaphores(more) => format!("250 {} 32 4096", semaphores + more),
        Limits::LostSpace => format!("25032000 {} 512 512", semaphores.max(32)),
        Limits::Zeros => "0 0 0 0".into(),
        Limits::NoOperations => "250 32000 0 128".into(),
    }
}

/// What a check proposes: command, remark, and whether it is said to be a solution.
fn remedies(ns: &Namespace) -> Vec<(String, String, bool)> {
    let run = server::ask(ns, &["check", "--format", "json"], APACHE, &CONF);
    let json: Value = serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("{e}\n{run}"));
    let list = json["message"]["do"].as_array().cloned().unwrap_or_default();
    list.iter()
        .filter_map(|remedy| {
            let command = remedy["command"].as_str()?.to_owned();
            Some((command, remedy["remark"].as_str()?.into(), remedy["cures"].as_bool()?))
        })
        .collect()
}

/// Pastes a command into root's shell.
fn paste(ns: &Namespace, command: &str) -> Run {
    ns.sh(&format!("PATH=/run/t:$PATH; {command}"))
}

/// Tries each remedy for a world in a world of its own; returns how many worked.
fn try_each(world: &World) -> usize {
    let proposed = remedies(&make(world));
    let mut cured = 0;
    for (place, (command, remark, cures)) in proposed.iter().enumerate() {
        // systemd is not running in these namespaces; tests/systemd tries commands for it.
        let can_be_tried = !command.contains("systemctl") && command != "httpd-semguard list";
        if !can_be_tried {
            continue;
        }
        let ns = make(world);
        assert_eq!(remedies(&ns)[place].1, *remark, "the same world must propose the same");
        let run = paste(&ns, command);
        assert_eq!(
            run.code,
            Some(if *cures { 0 } else { run.code.unwrap_or(0) }),
            "{command}\n{run}"
        );
        if remark.contains("for good") {
            let wanted = ns.sh("cat /proc/sys/kernel/sem").out;
            ns.sh("echo 1 1 1 1 > /proc/sys/kernel/sem").exits(0);
            ns.sh("/usr/lib/systemd/systemd-sysctl --prefix=/kernel/sem").exits(0);
            assert_eq!(ns.sh("cat /proc/sys/kernel/sem").out, wanted, "{world:?}\n{command}");
            let kept = |file: &str| fs::read_to_string(ns.path(file)).unwrap_or_default();
            for file in ["/etc/sysctl.conf", "/etc/sysctl.d/50-database.conf"] {
                let text = kept(file);
                assert!(
                    text.is_empty() || text.contains("vm.dirty_ratio = 20"),
                    "{command}\n{text}"
                );
            }
        }
        let start = server::start(&ns, APACHE, &CONF);
        let want = if *cures { Outcome::Serves } else { Outcome::Dead };
        assert_eq!(start.outcome, want, "{world:?}\n{command}\n{remark}\n{}", start.said);
        cured += usize::from(*cures);
    }
    cured
}

/// Tries this many worlds from this seed.
fn try_worlds(seed: u8, count: usize) {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Cases::default(), rng);
    let mut cured = 0;
    for _ in 0..count {
        let world = world().new_tree(&mut runner).expect("a world").current();
        let of_world = try_each(&world);
        assert!(of_world > 0, "no remedy works for {world:?}: {:?}", remedies(&make(&world)));
        cured += of_world;
    }
    assert!(cured >= 2 * count, "only {cured} working remedies for {count} tables");
}

#[test]
fn remedies_work_exactly_if_they_are_said_to() {
    require!("apache2", "openssl", "bash", "sysctl");
    try_worlds(1, 4);
}

#[test]
fn remedies_work_in_other_tables_too() {
    require!("apache2", "openssl", "bash", "sysctl");
    try_worlds(2, 4);
}

#[test]
fn the_typo_of_the_outage_is_fixed_in_its_own_line_permanently() {
    require!("apache2", "openssl", "bash", "sysctl");
    let world =
        World { orphans: 31, php: 0, others: 0, limits: Limits::LostSpace, boot: Boot::Own };
    assert!(try_each(&world) >= 3);
    let ns = make(&world);
    let (command, ..) = remedies(&ns).swap_remove(2);
    paste(&ns, &command).exits(0);
    let text = fs::read_to_string(ns.path("/etc/sysctl.d/50-database.conf")).expect("read");
    assert_eq!(text, "# ours\n\nvm.dirty_ratio = 20\nkernel.sem = 250 32000 32 512\n# end\n");
}

#[test]
fn orphans_that_do_not_make_enough_room_are_said_not_to() {
    require!("apache2", "openssl", "bash", "sysctl");
    let world =
        World { orphans: 1, php: 1, others: 1, limits: Limits::Sets(0), boot: Boot::Nothing };
    let first = remedies(&make(&world)).swap_remove(0);
    assert!(first.0.starts_with("httpd-semguard guard") && !first.2, "{first:?}");
    assert!(first.1.contains("not enough"), "{first:?}");
    try_each(&world);
}

#[test]
fn if_proc_sys_is_read_only_the_message_says_what_to_do_outside() {
    require!("apache2", "openssl", "bash");
    let world =
        World { orphans: 0, php: 0, others: 2, limits: Limits::Sets(0), boot: Boot::Nothing };
    let ns = make(&world);
    ns.sh("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys").exits(0);
    let check = server::ask(&ns, &["check"], APACHE, &CONF).exits(69);
    check
        .logs("outside this container, in which /proc/sys is read-only")
        .logs("--sysctl kernel.sem=\"250 32000 32 128\"")
        .logs("on the host, if this container")
        .does_not_log("until the next boot");
}

#[test]
fn the_owners_of_the_sets_in_a_full_table_are_named_with_how_to_remove_them() {
    require!("apache2", "openssl", "bash");
    let world =
        World { orphans: 0, php: 2, others: 1, limits: Limits::Sets(0), boot: Boot::Nothing };
    let ns = make(&world);
    let php = ns.sets().iter().filter(|set| set.nsems == 3).map(|set| set.id).min().expect("PHP's");
    server::ask(&ns, &["check"], APACHE, &CONF).exits(69).logs(&format!(
        "not httpd's: 2 semaphore sets of www-data (33) look like PHP's sem_get(): a script has to call \
         sem_remove(), or, if no script uses them, ipcrm -s {php}"
    ));
    let list = ns.guard("list --all --user 33").exits(0);
    let strangers = ns.sets().iter().find(|set| set.uid == common::STRANGER).map(|set| set.id);
    assert!(
        list.verdict(strangers.expect("a stranger's")).starts_with("-        not guarded"),
        "{list}"
    );
    assert!(list.verdict(php).contains("looks like PHP's sem_get()"), "{list}");
    assert_eq!(list.out.lines().count(), 1 + ns.ids().len() + 1, "{list}");
    let json = ns.guard("list --all --user 33 --format json").exits(0);
    let json: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(json["other_sets"].as_array().map(Vec::len), Some(1), "{json}");
}

#[test]
fn the_mutex_directive_is_proposed_if_httpd_accepts_it_and_then_no_sets_are_needed() {
    require!("apache2", "openssl", "bash");
    const SAID: &str = "\"Mutex pthread default\" in httpd's configuration";
    let world =
        World { orphans: 0, php: 0, others: 2, limits: Limits::Sets(0), boot: Boot::Nothing };
    let ns = make(&world);
    server::ask(&ns, &["check"], APACHE, &CONF).exits(69).logs(SAID);
    // An httpd whose APR lacks that mechanism rejects the directive.
    let control = ns.write(
        "apache2",
        "#!/bin/sh\ncase \"$*\" in *pthread*) echo 'Invalid Mutex argument pthread' >&2; exit 1 ;; esac\n\
         exec /usr/sbin/apache2 \"$@\"\n",
    );
    ns.sh(&format!("chmod 755 {control}")).exits(0);
    server::ask(&ns, &["check"], &control, &CONF).exits(69).does_not_log(SAID);
    ns.sh("sed -i 's/Mutex sysvsem default/Mutex pthread default/' /run/t/httpd.conf").exits(0);
    server::ask(&ns, &["check"], APACHE, &CONF).exits(0).prints("it needs no semaphore set");
    assert_eq!(server::start(&ns, APACHE, &CONF).outcome, Outcome::Serves);
}
