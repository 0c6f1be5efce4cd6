//! systemd units: which one a process belongs to, which one starts httpd, and what systemd can do for
//! it. Touches /proc, systemd's folders and systemctl(1); only reads.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;

use crate::facts::request::Instance;
use crate::look::httpd::ask::{self, Question};

/// How long systemctl may take to describe a unit.
const PATIENCE: Duration = Duration::from_secs(5);

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// The unit that starts the httpd of this control program, or this instance of it, if no process shows
/// which one it is.
#[must_use]
pub(super) fn of_control(control: &Path, instance: Option<&Instance>) -> String {
    let name = control.to_string_lossy();
    let [httpd, apache2, scl] = HTTPDS;
    let unit = match &*name {
        _ if name.contains("/httpd24/") => scl,
        _ if name.contains("apache2") && !name.starts_with("/usr/local/") => apache2,
        _ => httpd,
    };
    instance.map_or(format!("{unit}.service"), |i| format!("{unit}@{}.service", i.name()))
}

/// The unit that a process belongs to.
#[must_use]
pub(super) fn of(pid: Pid) -> Option<String> {
    of_cgroup(&fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?)
}

/// The unit in a process's control groups (cgroups(7)): a service of this machine's own systemd, not of a
/// user's, and not one inside a container, which belongs to another unit here.
fn of_cgroup(text: &str) -> Option<String> {
    let unit = |line: &str| {
        let (_, path) = line.rsplit_once(':')?;
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        if parts.clone().next() == Some("user.slice") {
            return None;
        }
        let unit = parts.find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
        unit.ends_with(".service").then(|| unit.to_owned())
    };
    text.lines().find_map(unit)
}

/// The units that start httpd on the various distributions.
const HTTPDS: [&str; 3] = ["httpd", "apache2", "httpd24-httpd"];

/// Whether a unit is one of httpd's, or of an instance of it.
#[must_use]
pub(super) fn is_httpds(unit: &str) -> bool {
    let name = unit.trim_end_matches(".service").split('@').next().unwrap_or_default();
    HTTPDS.contains(&name)
}

/// Whether this machine was booted with systemd (sd_booted(3)).
#[must_use]
pub(super) fn is_booted() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// Whether systemd starts a unit in an IPC namespace of its own (systemd.exec(5)).
#[must_use]
pub(super) fn has_private_ipc(unit: &str) -> bool {
    show(unit).contains("PrivateIPC=yes")
}

/// Whether systemd could do so: it has loaded the unit and shows the property (since version 248), but
/// does not do so yet.
#[must_use]
pub(super) fn could_have_private_ipc(unit: &str) -> bool {
    let shown = show(unit);
    shown.contains("LoadState=loaded") && shown.contains("PrivateIPC=no")
}

/// systemd's description of a unit; empty if there is none.
fn show(unit: &str) -> String {
    if !is_booted() {
        return String::new();
    }
    let args = ["show", "--property=LoadState", "--property=PrivateIPC", "--", unit];
    let question = Question::new(None, Vec::new(), PATIENCE);
    let said = ask::run(Path::new(SYSTEMCTL), &args.map(OsString::from), &question);
    said.map_or_else(|_| String::new(), |said| String::from_utf8_lossy(&said.out).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_that_of_the_control_program() {
        for (control, name) in [
            ("/usr/sbin/apache2ctl", "apache2.service"),
            ("/usr/sbin/start_apache2", "apache2.service"),
            ("/usr/sbin/httpd", "httpd.service"),
            ("/opt/rh/httpd24/root/usr/sbin/httpd-scl-wrapper", "httpd24-httpd.service"),
            ("/usr/local/apache2/bin/httpd", "httpd.service"),
        ] {
            assert_eq!(of_control(Path::new(control), None), name);
            let shop = "shop".parse().expect("a name");
            let of_shop = name.replace(".service", "@shop.service");
            assert_eq!(of_control(Path::new(control), Some(&shop)), of_shop);
        }
    }

    #[test]
    fn the_unit_of_a_process_is_a_service_of_this_machine() {
        for (text, unit) in [
            ("0::/system.slice/apache2.service\n", Some("apache2.service")),
            (
                "0::/system.slice/system-apache2.slice/apache2@shop.service\n",
                Some("apache2@shop.service"),
            ),
            (
                "11:pids:/system.slice/httpd.service\n1:name=systemd:/system.slice/httpd.service\n",
                Some("httpd.service"),
            ),
            ("0::/system.slice/apache2.service/sub\n", Some("apache2.service")),
            ("0::/user.slice/user-0.slice/user@0.service/app.slice/x.service/sub\n", None),
            ("0::/machine.slice/libpod-1.scope/container/system.slice/httpd.service\n", None),
            ("0::/user.slice/user-0.slice/session-1.scope\n", None),
            ("", None),
        ] {
            assert_eq!(of_cgroup(text).as_deref(), unit, "{text}");
        }
    }
}
