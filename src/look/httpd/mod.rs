//! What httpd itself reports about its configuration. Touches the control program (through `ask`),
//! httpd 2.2's files and the resolver; what follows from the answer is up to `decide`.

pub mod ask;
pub mod binary;
pub mod dump;
pub mod httpd22;
pub mod place;

use std::net::{Ipv4Addr, ToSocketAddrs};
use std::path::PathBuf;

use nix::ifaddrs::getifaddrs;
use nix::unistd::{SysconfVar, User, geteuid, sysconf};

use crate::facts::dump::{Dump, Host};
use crate::facts::heard::{Import, NoAnswer, Told};
use crate::facts::kinds;
use crate::facts::printable::printable;
use ask::Question;

/// Asks httpd for its configuration. Also asks how it was built, if its file does not show that and
/// `needs_build` finds that the answer depends on it.
///
/// # Errors
/// [`NoAnswer`]: the need has to be assumed then.
pub fn ask(question: &Question, needs_build: fn(&Dump, &Host) -> bool) -> Result<Told, NoAnswer> {
    let control = place::control_program(question.httpd.as_deref())?;
    let server = place::server(&control);
    let built = server.as_deref().and_then(place::program).and_then(binary::build);
    let root = built.as_ref().and_then(|b| b.root.clone());
    let directories = place::module_directories(&control, &question.args, root.as_deref());
    let mod_info = directories.iter().map(|d| d.join("mod_info.so")).find(|f| f.is_file());
    let said = ask::configuration(question, &control, mod_info.as_deref())?;
    let text = String::from_utf8_lossy(&said.out);
    let mut dump = dump::parse(&text);
    if !dump.is_answer() {
        return ask22(question, control, &text);
    }
    if dump.user_is_not_used {
        dump.user_of_root = dump.user.replace(caller());
    }
    let host = host(&dump);
    // If the second call gives no answer, the first one still counts.
    let build = match built {
        None if needs_build(&dump, &host) => ask::build(question, &control)
            .ok()
            .map(|said| dump::build(&String::from_utf8_lossy(&said.out))),
        built => built,
    };
    let foreign = foreign(&dump, &directories);
    let files = place::identities(server.as_deref(), &directories, &dump.modules);
    Ok(Told { control, dump, build, host, foreign, files })
}

/// The answer of an httpd that does not know the dumps, apart from its modules: 2.2, or not an httpd at
/// all.
fn ask22(question: &Question, control: PathBuf, listed: &str) -> Result<Told, NoAnswer> {
    let said = ask::build(question, &control)?;
    let build = dump::build(&String::from_utf8_lossy(&said.out));
    if !build.version.is_some_and(|v| v.is_22()) {
        return Err(NoAnswer::Garbage(control));
    }
    let (modules, compiled_in) = dump::modules(listed);
    let mut dump = httpd22::read(&httpd22::Real, &build, &question.args, &modules, compiled_in);
    if !geteuid().is_root() {
        dump.user_of_root = dump.user.replace(caller());
    }
    let host = host(&dump);
    let files = place::identities(place::server(&control).as_deref(), &[], &[]);
    Ok(Told { control, dump, build: Some(build), host, foreign: Vec::new(), files })
}

/// The calling user: httpd ignores `User` if it is not started by root.
fn caller() -> (String, u32) {
    let uid = geteuid();
    let name = User::from_uid(uid).ok().flatten().map(|user| printable(&user.name));
    (name.unwrap_or_else(|| uid.to_string()), uid.as_raw())
}

/// The third-party modules, and the lock-making functions that their files import.
fn foreign(dump: &Dump, directories: &[PathBuf]) -> Vec<(String, Option<Import>)> {
    let unknown = |module: &&String| !kinds::is_known(module);
    dump.modules
        .iter()
        .filter(unknown)
        .map(|module| {
            let file = place::module_file(directories, module).and_then(|f| place::program(&f));
            (module.clone(), file.map_or(Some(Import::Unread), binary::import))
        })
        .collect()
}

fn host(dump: &Dump) -> Host {
    let cores = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
    let families = families();
    let addresses = dump
        .listen_names()
        .into_iter()
        .filter_map(|name| {
            let mut found: Vec<_> =
                (name.as_str(), 0).to_socket_addrs().ok()?.map(|a| a.ip()).collect();
            found.retain(|address| match families {
                (true, false) => address.is_ipv4(),
                (false, true) => address.is_ipv6(),
                _ => true,
            });
            found.sort_unstable();
            found.dedup();
            Some((name, found))
        })
        .collect();
    Host { cores: u32::try_from(cores).unwrap_or(1), addresses }
}

/// Whether there are IPv4 and IPv6 addresses besides loopback. APR resolves names with AI_ADDRCONFIG,
/// so if there is only one family, it gets only that family's addresses (glibc
/// sysdeps/posix/getaddrinfo.c, sysdeps/unix/sysv/linux/check_pf.c).
fn families() -> (bool, bool) {
    let Ok(interfaces) = getifaddrs() else { return (true, true) };
    interfaces.filter_map(|i| i.address).fold((false, false), |(v4, v6), address| {
        let is_v4 = address.as_sockaddr_in().is_some_and(|a| a.ip() != Ipv4Addr::LOCALHOST);
        let is_v6 = address.as_sockaddr_in6().is_some_and(|a| !a.ip().is_loopback());
        (v4 || is_v4, v6 || is_v6)
    })
}
