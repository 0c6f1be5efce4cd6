//! A wall clock that was stepped while httpd runs.

use std::path::PathBuf;

use crate::common::Namespace;
use crate::server::{Apache, tempting};
use crate::{ROOMY, case};

/// libfaketime, which Debian's `faketime` loads.
fn library() -> Option<PathBuf> {
    let dirs = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    dirs.map(|d| d.path().join("faketime/libfaketime.so.1")).find(|p| p.exists())
}

#[test]
fn a_stepped_clock_takes_nothing_from_the_living() {
    let mut case = case!("stepped clock", "apache2", "curl", "faketime", "openssl");
    let ns = Namespace::new(ROOMY);
    let library = library().expect("faketime is installed").display().to_string();
    let fake = |step: &str| {
        format!(
            "env LD_PRELOAD={library} FAKETIME={step} FAKETIME_DONT_FAKE_MONOTONIC=1 \
                 DONT_FAKE_MONOTONIC=1"
        )
    };
    let seconds = |wrapper: &str| -> i64 {
        ns.sh(&format!("{wrapper} date +%s")).exits(0).out.trim().parse().expect("seconds")
    };
    // Only an unused set of a dead launcher: no set tells that it is the living one's.
    let apache = Apache::with_tls(&ns, "event", "");
    apache.start();
    assert_eq!(tempting(&ns), ns.ids());
    // Far and near: further than the uptime, past every window, inside some.
    let steps = ["+10h", "-10h", "+20m", "-20m", "+3m", "-3m", "+40", "-40", "+10", "-10"];
    for step in steps {
        let off = seconds(&fake(step)) - seconds("");
        assert!(off.abs() > 5, "the guard's clock is stepped by {step}, not by {off} s");
        let alive = ns.ids();
        let guard = || ns.guard_under(&fake(step), "guard --user 33");
        case.guard(&ns, &alive, &[], guard).exits(0);
    }
    apache.serves();
    apache.kill();

    // Now one with sets that do tell: an accept mutex that its workers use, before and after a
    // graceful restart.
    for id in ns.ids() {
        ns.sh(&format!("ipcrm -s {id}")).exits(0);
    }
    let apache = Apache::with_tls(&ns, "prefork", "");
    apache.start();
    for _ in 0..2 {
        for step in steps {
            let alive = ns.ids();
            let guard = || ns.guard_under(&fake(step), "guard --user 33");
            case.guard(&ns, &alive, &[], guard).exits(0);
        }
        apache.serves();
        apache.graceful();
    }
    apache.kill();
    // The dead lose all, whatever the clock says.
    let left = ns.ids();
    case.guard(&ns, &[], &left, || ns.guard_under(&fake("+10h"), "guard --user 33")).exits(0);
}
