//! Where httpd and its modules are on the systems that have it. Touches the file system.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::ask::Question;
use crate::facts::heard::{FileId, NoAnswer};
use crate::facts::request::Instance;
use crate::look::file;
use crate::look::processes::is_httpd;

/// Servers, and the program to ask for each: the script that reads their environment first, if there is
/// one and it passes arguments on; otherwise httpd itself, because newer apachectl scripts refuse
/// arguments. SUSE, whose own script passes on the modules and files named in /etc/sysconfig/apache2;
/// Debian and Ubuntu; Fedora, EL, Amazon, cPanel, Alpine; Arch; manual builds; Software Collections.
const CONTROLS: [(&str, &str); 10] = [
    ("/usr/sbin/start_apache2", "/usr/sbin/start_apache2"),
    ("/usr/sbin/apache2", "/usr/sbin/apache2ctl"),
    ("/usr/sbin/httpd", "/usr/sbin/httpd"),
    ("/usr/bin/httpd", "/usr/bin/httpd"),
    ("/usr/local/apache2/bin/httpd", "/usr/local/apache2/bin/httpd"),
    ("/usr/local/httpd/bin/httpd", "/usr/local/httpd/bin/httpd"),
    ("/usr/local/sbin/httpd", "/usr/local/sbin/httpd"),
    ("/opt/apache2/bin/httpd", "/opt/apache2/bin/httpd"),
    ("/opt/httpd/bin/httpd", "/opt/httpd/bin/httpd"),
    ("/opt/rh/httpd24/root/usr/sbin/httpd", "/opt/rh/httpd24/root/usr/sbin/httpd-scl-wrapper"),
];

/// Where distributions put modules: Debian and Gentoo, Fedora and EL, cPanel, SUSE (also per MPM),
/// Alpine, Arch.
const MODULES: [&str; 14] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
    "/etc/httpd/modules",
    "/usr/lib64/apache2/modules",
    "/etc/apache2/modules",
    "/usr/lib64/apache2",
    "/usr/lib64/apache2-prefork",
    "/usr/lib64/apache2-worker",
    "/usr/lib64/apache2-event",
    "/usr/lib/apache2",
    "/usr/lib/apache2-prefork",
    "/usr/lib/apache2-worker",
    "/usr/lib/apache2-event",
];

/// Relative to the parent of a control program's directory.
const OWN_MODULES: [&str; 7] = [
    "modules",
    "lib64/httpd/modules",
    "lib/httpd/modules",
    "lib64/apache2/modules",
    "lib/apache2/modules",
    "libexec/apache2",
    "libexec",
];

/// The control program to ask: the given one, or else the first that exists.
///
/// # Errors
/// [`NoAnswer::NotFound`], [`NoAnswer::NotAbsolute`].
pub fn control_program(named: Option<&Path>) -> Result<PathBuf, NoAnswer> {
    if let Some(path) = named {
        return if path.is_absolute() {
            Ok(path.to_owned())
        } else {
            Err(NoAnswer::NotAbsolute(path.to_owned()))
        };
    }
    CONTROLS
        .into_iter()
        .find(|(server, control)| is_executable(server.as_ref()) && is_executable(control.as_ref()))
        .map(|(_, control)| PathBuf::from(control))
        .ok_or(NoAnswer::NotFound)
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Has a question be about one of several httpds, by what the distributions' units start it with:
/// Debian's apache2@NAME, SUSE's, httpd@NAME of EL and Fedora. What is set or given already stays.
pub fn of_instance(question: &mut Question, instance: &Instance) {
    let Ok(control) = control_program(question.httpd.as_deref()) else { return };
    let name = instance.name();
    // apachectl is a link to it on Debian.
    let control = control.canonicalize().unwrap_or(control);
    let is_debians = control.ends_with("apache2ctl");
    let (variable, value) = match is_debians {
        true => ("APACHE_CONFDIR", format!("/etc/apache2-{name}")),
        false => ("HTTPD_INSTANCE", name.to_owned()),
    };
    let is_set = |variable: &str| std::env::var_os(variable).is_some();
    if !is_set(variable) {
        question.variables.push((variable, value));
    }
    // A script has its own way to find the file; httpd itself is started with it.
    let has_file = question.args.iter().any(|arg| arg.as_bytes().starts_with(b"-f"));
    if is_httpd(&control, None) && !has_file && !is_set("APACHE_CONFDIR") {
        question.args.extend(["-f".into(), format!("conf/{name}.conf").into()]);
    }
}

/// The server that a control program runs: the program itself or, if it is a script with a known name,
/// the server next to it.
#[must_use]
pub fn server(control: &Path) -> Option<PathBuf> {
    let name = control.file_name()?.to_str()?;
    let servers: &[&str] = match name {
        "apache2ctl" | "apachectl" | "start_apache2" => &["apache2", "httpd"],
        "httpd-scl-wrapper" => &["httpd"],
        _ => return Some(control.to_owned()),
    };
    servers.iter().map(|s| control.with_file_name(s)).find(|s| is_executable(s))
}

/// The directories that may contain a server's modules, most likely first: below the ServerRoot that it
/// is given or was built with, next to its control program, where distributions put them.
#[must_use]
pub fn module_directories(control: &Path, args: &[OsString], root: Option<&str>) -> Vec<PathBuf> {
    let given = args.iter().position(|a| a == "-d").and_then(|i| args.get(i + 1));
    let roots = given.map(PathBuf::from).into_iter().chain(root.map(PathBuf::from));
    let above = control.parent().and_then(Path::parent).map(Path::to_path_buf);
    let mut dirs: Vec<PathBuf> = roots.map(|root| root.join("modules")).collect();
    dirs.extend(OWN_MODULES.iter().filter_map(|own| Some(above.as_ref()?.join(own))));
    dirs.extend(MODULES.iter().map(PathBuf::from));
    dirs.retain(|dir| dir.is_absolute() && dir.is_dir());
    dirs
}

/// The file of a module, by the name under which it is loaded.
#[must_use]
pub fn module_file(directories: &[PathBuf], module: &str) -> Option<PathBuf> {
    let names = [format!("mod_{module}.so"), format!("lib{module}.so"), format!("{module}.so")];
    directories
        .iter()
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)))
        .find(|file| file.is_file())
}

/// The files of a server and its modules, as they are now.
#[must_use]
pub fn identities(server: Option<&Path>, dirs: &[PathBuf], modules: &[String]) -> Vec<FileId> {
    let of_modules = modules.iter().filter_map(|module| module_file(dirs, module));
    let files = server.map(Path::to_path_buf).into_iter().chain(of_modules);
    files
        .filter_map(|path| {
            let meta = fs::metadata(&path).ok()?;
            Some(FileId {
                path,
                place: (meta.dev(), meta.ino()),
                size: meta.len(),
                changed: (meta.ctime(), meta.ctime_nsec()),
            })
        })
        .collect()
}

/// The largest program that is read, in bytes: httpd is below 1 MiB, the largest modules about 20, and
/// httpd's start is waiting.
const MOST_BYTES: u64 = 24 << 20;

/// A reader of a program, if it is one; after the mark that it begins with.
#[must_use]
pub fn program(path: &Path) -> Option<File> {
    let (mut file, meta) = file::regular(path, 0).ok()??;
    if meta.len() > MOST_BYTES {
        return None;
    }
    let mut mark = [0; 4];
    file.read_exact(&mut mark).ok()?;
    (mark == *b"\x7fELF").then_some(file)
}
