//! What this machine offers for making room for semaphore sets: examined only if a start is in doubt.
//! Touches what `sysctl` and `unit` touch, and httpd's control program; reads only.

use std::path::Path;

use nix::unistd::Pid;

use crate::facts::request::Instance;
use crate::facts::site::{Site, TableOf};
use crate::look::httpd::ask::{Question, accepts};
use crate::look::sysctl::sysctl;
use crate::look::unit;

/// The httpd in question, and what surrounds it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// httpd's control program, if it answered.
    pub control: Option<&'a Path>,
    /// Its instance, if it is one of several.
    pub instance: Option<&'a Instance>,
    /// That httpd, if it is running.
    pub running: Option<Pid>,
    /// A process whose memory could not be read, if sets are kept because of that.
    pub in_doubt: Option<Pid>,
    /// The IPC namespace of the table.
    pub table: TableOf,
    /// A directive that would make httpd do without semaphore sets.
    pub directive: Option<&'static str>,
}

/// What this machine offers for this httpd; `question` is how to ask it.
#[must_use]
pub fn site(subject: &Subject<'_>, question: &Question) -> Site {
    let Subject { control, instance, running, in_doubt, table, directive } = *subject;
    let of_control = || control.map(|control| unit::of_control(control, instance));
    let of_process = |pid| unit::of(pid).filter(|unit| unit::is_httpds(unit));
    // In httpd's own unit, this run is one of its processes.
    let own = || of_process(Pid::this());
    // If anything else started a running httpd, it is left alone.
    let of_httpd = match running {
        Some(pid) => of_process(pid),
        None => own().or_else(of_control),
    };
    let is_accepted =
        |directive: &&str| control.is_some_and(|control| accepts(question, control, directive));
    Site {
        sysctl: sysctl(),
        table,
        unit: of_httpd.filter(|unit| unit::could_have_private_ipc(unit)),
        unit_in_doubt: in_doubt.and_then(of_process),
        directive: directive.filter(is_accepted),
    }
}
