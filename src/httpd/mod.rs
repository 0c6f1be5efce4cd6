//! What httpd itself says of its configuration: asked, read, and turned into a need. Touches the
//! control program (by `ask`) and the resolver; the rules are in `demand`.

pub mod ask;
pub mod demand;
pub mod dump;
pub mod old;

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use ask::{NoAnswer, Question};
use demand::{Demand, Host};
use dump::Dump;
use nix::unistd::{SysconfVar, sysconf};

/// What httpd said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who was asked.
    pub control: PathBuf,
    /// The mutexes it will make.
    pub demand: Demand,
    /// The user that its workers run as: name and number.
    pub user: Option<(String, u32)>,
    /// Further users whose processes share mutexes, by name or "#" and number.
    pub further_users: Vec<String>,
    /// Where it writes its number when it runs.
    pub pid_file: Option<PathBuf>,
    /// Whether it printed its configuration (mod_info could be loaded).
    pub has_config: bool,
}

/// Asks httpd what it will make.
///
/// # Errors
/// [`NoAnswer`]: then the need has to be assumed.
pub fn ask(question: &Question) -> Result<Answer, NoAnswer> {
    let control = ask::control_program(question.httpd.as_deref())?;
    let said = ask::configuration(question, &control)?;
    let dump = dump::parse(&String::from_utf8_lossy(&said.out));
    if !dump.is_answer() {
        return ask_old(question, control);
    }
    let host = host(&dump);
    // A second call only where its answer matters, and no answer to it is an answer, too.
    let build = if demand::depends_on_build(&dump, &host) {
        ask::build(question, &control).ok().map(|s| dump::build(&String::from_utf8_lossy(&s.out)))
    } else {
        None
    };
    Ok(Answer {
        demand: demand::demand(&dump, build.as_ref(), &host),
        further_users: demand::further_users(&dump),
        pid_file: dump
            .pid_file
            .map(|f| PathBuf::from(dump.server_root.unwrap_or_default()).join(f)),
        user: dump.user,
        has_config: dump.has_config,
        control,
    })
}

/// Asks a httpd that does not know the dumps: 2.2, or no httpd at all.
fn ask_old(question: &Question, control: PathBuf) -> Result<Answer, NoAnswer> {
    let said = ask::build(question, &control)?;
    let build = dump::build(&String::from_utf8_lossy(&said.out));
    match build.version {
        Some((2, 0..=3, _)) => {}
        _ => return Err(NoAnswer::Garbage(control)),
    }
    let config = old::read(&build, &question.args);
    let mut users = config.directives.iter().filter(|d| d.is("User") && d.parent.is_none());
    Ok(Answer {
        demand: old::demand(&config, &build),
        user: None,
        pid_file: None,
        further_users: users
            .next_back()
            .and_then(|d| d.words().into_iter().next())
            .into_iter()
            .collect(),
        has_config: config.complete,
        control,
    })
}

fn host(dump: &Dump) -> Host {
    let cores = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or(1);
    let addresses = demand::listen_names(dump)
        .into_iter()
        .filter_map(|name| {
            let mut found: Vec<_> =
                (name.as_str(), 0).to_socket_addrs().ok()?.map(|a| a.ip()).collect();
            found.sort_unstable();
            found.dedup();
            Some((name, found))
        })
        .collect();
    Host { cores: u32::try_from(cores).unwrap_or(1), addresses }
}
