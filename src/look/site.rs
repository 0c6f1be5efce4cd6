//! What this machine offers for making room for semaphore sets: examined only if a start is in doubt.
//! Touches what `sysctl` and `unit` touch; reads only.

use std::path::Path;

use nix::unistd::Pid;

use crate::facts::request::Instance;
use crate::facts::site::Site;
use crate::look::sysctl::sysctl;
use crate::look::unit;

/// What there is for the httpd of this control program, or for this instance of it. `running` is that
/// httpd, `in_doubt` a process whose memory could not be read, and `inside` a process in the IPC
/// namespace of the table.
#[must_use]
pub fn site(
    control: Option<&Path>,
    instance: Option<&Instance>,
    running: Option<Pid>,
    in_doubt: Option<Pid>,
    inside: Option<Pid>,
) -> Site {
    let of_control = || control.map(|control| unit::of_control(control, instance));
    // In httpd's own unit, this run is one of its processes.
    let own = || unit::of(Pid::this()).filter(|unit| unit::is_httpds(unit));
    let of_httpd = running.and_then(unit::of).or_else(own).or_else(of_control);
    Site {
        sysctl: sysctl(),
        inside,
        unit: of_httpd.filter(|unit| unit::could_have_private_ipc(unit)),
        unit_in_doubt: in_doubt.and_then(unit::of),
    }
}
