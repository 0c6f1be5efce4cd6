//! What this machine offers for making room for semaphore sets: examined only if a start is in doubt.
//! Touches what `sysctl` and `unit` touch, and httpd's control program; reads only.

use std::path::Path;

use nix::unistd::Pid;

use crate::facts::request::Instance;
use crate::facts::site::Site;
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
    /// A process in the IPC namespace of the table, if that is not this one.
    pub inside: Option<Pid>,
    /// A directive that would make httpd do without semaphore sets.
    pub directive: Option<&'static str>,
}

/// What this machine offers for this httpd; `question` is how to ask it.
#[must_use]
pub fn site(subject: &Subject<'_>, question: &Question) -> Site {
    let Subject { control, instance, running, in_doubt, inside, directive } = *subject;
    let of_control = || control.map(|control| unit::of_control(control, instance));
    // In httpd's own unit, this run is one of its processes.
    let own = || unit::of(Pid::this()).filter(|unit| unit::is_httpds(unit));
    let of_httpd = running.and_then(unit::of).or_else(own).or_else(of_control);
    let is_accepted =
        |directive: &&str| control.is_some_and(|control| accepts(question, control, directive));
    Site {
        sysctl: sysctl(),
        inside,
        unit: of_httpd.filter(|unit| unit::could_have_private_ipc(unit)),
        unit_in_doubt: in_doubt.and_then(unit::of),
        directive: directive.filter(is_accepted),
    }
}
