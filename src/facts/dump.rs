//! What httpd says of its configuration: its mutex types, modules and directives. As it was read; the
//! rules are in `decide`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::mutex::Mechanism;

/// How one line of DUMP_RUN_CFG says that a mutex is made (server/core.c, `ap_dump_mutexes`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mutex {
    /// Its type.
    pub name: String,
    /// How it is made.
    pub setting: Setting,
}

/// One directive, or one section's opening line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// It says that this user is not used, because it is not root that asks.
    pub user_is_not_used: bool,
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

    /// Where httpd writes its number when it runs.
    #[must_use]
    pub fn pid_file(&self) -> Option<PathBuf> {
        let root = Path::new(self.server_root.as_deref().unwrap_or_default());
        self.pid_file.as_ref().map(|file| root.join(file))
    }

    /// The host names in `Listen` lines, which only the resolver can turn into addresses.
    #[must_use]
    pub fn listen_names(&self) -> HashSet<String> {
        let name = |(_, d): (usize, &Directive)| {
            let words = d.words();
            let (addr, _) = words.first()?.rsplit_once(':')?;
            let addr = addr.trim_start_matches('[').trim_end_matches(']');
            let plain = addr != "*" && !addr.is_empty() && addr.parse::<IpAddr>().is_err();
            plain.then(|| addr.to_owned())
        };
        self.all("Listen").filter_map(name).collect()
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

/// What the configuration leaves to the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Processors online (`_SC_NPROCESSORS_ONLN`, as server/listen.c counts them).
    pub cores: u32,
    /// The addresses of the host names in `Listen` lines, as httpd gets them.
    pub addresses: HashMap<String, Vec<IpAddr>>,
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
