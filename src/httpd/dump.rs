//! Reads what httpd prints of itself (`-t -D DUMP_RUN_CFG -D DUMP_MODULES -D DUMP_CONFIG`, and
//! `-V`). Pure; passes over what it does not know, because other versions print more.

use crate::facts::printable::printable;

/// How a cross-process mutex is made (apr apr_lock.h, `apr_lockmech_e`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// System V semaphore set.
    SysVSem,
    /// POSIX semaphore, a file in /dev/shm.
    PosixSem,
    /// Process-shared pthread mutex.
    Pthread,
    /// fcntl(2) lock on a file.
    Fcntl,
    /// flock(2) lock on a file.
    Flock,
    /// No mutex at all.
    None,
}

impl Mechanism {
    /// The name that the `Mutex` directive has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::SysVSem => "sysvsem",
            Mechanism::PosixSem => "posixsem",
            Mechanism::Pthread => "pthread",
            Mechanism::Fcntl => "fcntl",
            Mechanism::Flock => "flock",
            Mechanism::None => "none",
        }
    }

    fn of(name: &str) -> Option<Mechanism> {
        [
            Mechanism::SysVSem,
            Mechanism::PosixSem,
            Mechanism::Pthread,
            Mechanism::Fcntl,
            Mechanism::Flock,
            Mechanism::None,
        ]
        .into_iter()
        .find(|m| m.name() == name)
    }
}

/// How one line of DUMP_RUN_CFG says that a mutex is made (server/core.c, `ap_dump_mutexes`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// As `Mutex default` says.
    UsingDefaults,
    /// Compiled-in choice, with this directory for files.
    Default {
        /// The directory.
        dir: String,
    },
    /// This mechanism, with this directory for files.
    Set {
        /// The mechanism; none: one that this program does not know.
        mechanism: Option<Mechanism>,
        /// The directory.
        dir: String,
    },
}

/// One mutex type that a module registered, or "default".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutex {
    /// Its type.
    pub name: String,
    /// How it is made.
    pub setting: Setting,
}

/// One directive, or one section's opening line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name as written, without "<" for a section.
    pub name: String,
    /// Its arguments as written.
    pub args: String,
    /// The section it stands in, as a place in [`Dump::directives`].
    pub parent: Option<usize>,
    /// Whether it opens a section.
    pub section: bool,
}

impl Directive {
    /// Whether it is this one; names of directives have no case.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Its arguments, word by word.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        words(&self.args)
    }
}

/// What DUMP_RUN_CFG, DUMP_MODULES and DUMP_CONFIG say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The user that workers run as: name and number.
    pub user: Option<(String, u32)>,
    /// `ServerRoot`.
    pub server_root: Option<String>,
    /// `PidFile`, perhaps relative to it.
    pub pid_file: Option<String>,
    /// Every registered mutex type, and "default".
    pub mutexes: Vec<Mutex>,
    /// Every loaded module, without "_module".
    pub modules: Vec<String>,
    /// The configuration, in order, as httpd resolved it (Include, IfModule, IfDefine, Macro);
    /// empty without mod_info.
    pub directives: Vec<Directive>,
    /// Whether mod_info printed the configuration.
    pub has_config: bool,
}

impl Dump {
    /// Whether this is httpd's answer at all.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        !self.modules.is_empty() && self.mutexes.iter().any(|m| m.name == "default")
    }

    /// Whether the module is loaded.
    #[must_use]
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|m| m == name)
    }

    /// Every directive of this name, with its place.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a Directive)> {
        self.directives.iter().enumerate().filter(move |(_, d)| !d.section && d.is(name))
    }

    /// The last directive of this name outside every virtual host.
    #[must_use]
    pub fn last_global(&self, name: &str) -> Option<&Directive> {
        let global = |i: usize, d: &&Directive| d.is(name) && self.virtual_host(i).is_none();
        let mut directives = self.directives.iter().enumerate().filter(|(_, d)| !d.section).rev();
        directives.find(|(i, d)| global(*i, d)).map(|(_, d)| d)
    }

    /// The `<VirtualHost>` that the directive at `place` stands in.
    #[must_use]
    pub fn virtual_host(&self, place: usize) -> Option<usize> {
        self.enclosing(place, "VirtualHost")
    }

    /// The nearest section of this name around the directive at `place`.
    #[must_use]
    pub fn enclosing(&self, place: usize, section: &str) -> Option<usize> {
        let mut at = self.directives.get(place)?.parent;
        while let Some(i) = at {
            if self.directives[i].is(section) {
                return Some(i);
            }
            at = self.directives[i].parent;
        }
        None
    }
}

/// What `-V` says of the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// Version, as (2, 4, 71).
    pub version: Option<(u32, u32, u32)>,
    /// The mechanism that APR was built to use by default.
    pub default: Option<Mechanism>,
    /// `SINGLE_LISTEN_UNSERIALIZED_ACCEPT`: one listener needs no accept mutex.
    pub unserialized_single_listen: bool,
    /// `HTTPD_ROOT`.
    pub root: Option<String>,
    /// `SERVER_CONFIG_FILE`, relative to it.
    pub config_file: Option<String>,
    /// IPv4-mapped addresses are disabled: a wildcard takes a listener for each family.
    pub splits_wildcard: bool,
}

/// Parses the answer to `-V` (server/main.c, `show_compile_settings`).
#[must_use]
pub fn build(text: &str) -> Build {
    let mut build = Build::default();
    for line in text.lines() {
        let line = line.trim();
        if let Some(version) = line.strip_prefix("Server version:") {
            build.version = version_of(version);
        }
        let Some(define) = line.strip_prefix("-D ") else { continue };
        build.unserialized_single_listen |= define == "SINGLE_LISTEN_UNSERIALIZED_ACCEPT";
        build.splits_wildcard |= define.starts_with("APR_HAVE_IPV6") && define.contains("disabled");
        match define.split_once('=') {
            Some(("HTTPD_ROOT", path)) => build.root = Some(unquote(path)),
            Some(("SERVER_CONFIG_FILE", path)) => build.config_file = Some(unquote(path)),
            _ => {}
        }
        let default = match define {
            "APR_USE_SYSVSEM_SERIALIZE" => Some(Mechanism::SysVSem),
            "APR_USE_POSIXSEM_SERIALIZE" => Some(Mechanism::PosixSem),
            "APR_USE_PROC_PTHREAD_SERIALIZE" => Some(Mechanism::Pthread),
            "APR_USE_FCNTL_SERIALIZE" => Some(Mechanism::Fcntl),
            "APR_USE_FLOCK_SERIALIZE" => Some(Mechanism::Flock),
            _ => None,
        };
        build.default = build.default.or(default);
    }
    build
}

/// "Apache/2.4.71 (Debian)" as (2, 4, 71).
fn version_of(text: &str) -> Option<(u32, u32, u32)> {
    let (_, rest) = text.split_once('/')?;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let mut parts = digits.split('.').map(|p| p.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// Parses the dumps. No line of it can fail: what is not understood is passed over.
#[must_use]
pub fn parse(text: &str) -> Dump {
    let mut dump = Dump::default();
    let mut open: Vec<usize> = Vec::new();
    let mut in_config = false;
    let mut in_modules = false;
    for line in text.lines() {
        let plain = line.trim();
        if in_modules {
            if let Some((name, _)) = plain.split_once("_module (") {
                dump.modules.push(printable(name));
                continue;
            }
            in_modules = false;
        }
        if plain == "Loaded Modules:" {
            (in_modules, in_config) = (true, false);
        } else if line.starts_with("# In file: ") {
            (in_config, dump.has_config) = (true, true);
        } else if run_line(line, &mut dump) {
            // DUMP_RUN_CFG follows the configuration; nothing of that comes after it.
            in_config = false;
        } else if in_config {
            config_line(plain, &mut dump, &mut open);
        }
    }
    dump
}

/// Parses a configuration file as it stands: directives and sections, lines that end in a backslash
/// joined, nothing resolved.
#[must_use]
pub fn directives(text: &str) -> Vec<Directive> {
    let mut dump = Dump::default();
    let mut open = Vec::new();
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").lines() {
        config_line(line.trim(), &mut dump, &mut open);
    }
    dump.directives
}

/// A line of DUMP_RUN_CFG (server/core.c, server/mpm_unix.c, modules/arch/unix/mod_unixd.c).
fn run_line(line: &str, dump: &mut Dump) -> bool {
    if let Some(rest) = line.strip_prefix("ServerRoot: ") {
        dump.server_root = Some(unquote(rest));
    } else if dump.server_root.is_none() {
        // Still in the configuration, which holds look-alikes.
        return false;
    } else if let Some(rest) = line.strip_prefix("PidFile: ") {
        dump.pid_file = Some(unquote(rest));
    } else if let Some(rest) = line.strip_prefix("User: name=") {
        dump.user = rest
            .rsplit_once(" id=")
            .and_then(|(name, id)| Some((printable(&unquote(name)), first_number(id)?)));
    } else if let Some((name, setting)) = line.strip_prefix("Mutex ").and_then(mutex) {
        dump.mutexes.push(Mutex { name: printable(name), setting });
    } else {
        return ["Main DocumentRoot: ", "Main ErrorLog: ", "Define: ", "Group: name="]
            .iter()
            .any(|p| line.starts_with(p));
    }
    true
}

fn mutex(rest: &str) -> Option<(&str, Setting)> {
    let (name, how) = rest.split_once(": ")?;
    let how = how.trim();
    if name.contains(char::is_whitespace) {
        return None;
    }
    if how == "using_defaults" {
        return Some((name, Setting::UsingDefaults));
    }
    if how == "none" {
        let setting = Setting::Set { mechanism: Some(Mechanism::None), dir: String::new() };
        return Some((name, setting));
    }
    let (dir, mechanism) = how.strip_prefix("dir=")?.rsplit_once(" mechanism=")?;
    let dir = unquote(dir);
    let mechanism = mechanism.split_whitespace().next().unwrap_or_default();
    Some((
        name,
        match mechanism {
            "default" => Setting::Default { dir },
            other => Setting::Set { mechanism: Mechanism::of(other), dir },
        },
    ))
}

/// A line of DUMP_CONFIG (modules/generators/mod_info.c): a directive, the opening or the closing
/// of a section, or a comment with a line number.
fn config_line(line: &str, dump: &mut Dump, open: &mut Vec<usize>) {
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    if line.starts_with("</") {
        open.pop();
        return;
    }
    let (text, section) = match line.strip_prefix('<') {
        Some(rest) => (rest.strip_suffix('>').unwrap_or(rest), true),
        None => (line, false),
    };
    let (name, args) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    dump.directives.push(Directive {
        name: name.to_owned(),
        args: args.trim().to_owned(),
        parent: open.last().copied(),
        section,
    });
    if section {
        open.push(dump.directives.len() - 1);
    }
}

fn unquote(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix('"').unwrap_or(text);
    text.strip_suffix('"').unwrap_or(text).to_owned()
}

fn first_number(text: &str) -> Option<u32> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Words as httpd cuts them (server/util.c, `ap_getword_conf`): by white space; a word that begins
/// with a quote ends with the same one, and a backslash before it keeps it.
#[must_use]
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let mut word = String::new();
            let mut chars = rest[1..].char_indices();
            let mut end = rest.len();
            while let Some((i, c)) = chars.next() {
                if c == first {
                    end = 1 + i + 1;
                    break;
                }
                if c == '\\' {
                    match chars.clone().next() {
                        Some((_, next)) if next == first || next == '\\' => {
                            word.push(next);
                            chars.next();
                            continue;
                        }
                        _ => {}
                    }
                }
                word.push(c);
            }
            words.push(word);
            rest = rest[end..].trim_start();
        } else {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
    }
    words
}

#[cfg(test)]
mod tests;
