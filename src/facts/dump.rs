//! What httpd reports about its configuration: mutex types, modules and directives, as read.
//! The rules are in `decide`.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::mutex::Mechanism;

/// How a mutex is made, according to its line of DUMP_RUN_CFG (server/core.c, `ap_dump_mutexes`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Setting {
    /// As `Mutex default` says.
    UsingDefaults,
    /// The compiled-in default, with this directory for lock files.
    Default {
        /// The directory.
        dir: String,
    },
    /// This mechanism, with this directory for lock files.
    Set {
        /// The mechanism; `None` if this program does not know it.
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

/// One directive, or the opening line of a section.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Directive {
    /// Its name as written, without the "<" of a section.
    pub name: String,
    /// Its arguments as written.
    pub args: String,
    /// The enclosing section, as an index into [`Dump::directives`].
    pub parent: Option<usize>,
    /// Whether it opens a section.
    pub section: bool,
}

impl Directive {
    /// Whether this is the directive `name`; directive names are case-insensitive.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Its arguments, split into words.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        words(&self.args)
    }
}

/// The output of DUMP_RUN_CFG, DUMP_MODULES and DUMP_CONFIG.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The user that workers run as: name and uid.
    pub user: Option<(String, u32)>,
    /// httpd says that this user is not used, because it was not root that asked.
    pub user_is_not_used: bool,
    /// The user of its configuration, where another one counts because it was not root that asked.
    pub user_of_root: Option<(String, u32)>,
    /// `ServerRoot`.
    pub server_root: Option<String>,
    /// `PidFile`; may be relative to `server_root`.
    pub pid_file: Option<String>,
    /// Every registered mutex type, and "default".
    pub mutexes: Vec<Mutex>,
    /// Every loaded module, without its "_module" suffix.
    pub modules: Vec<String>,
    /// The configuration, in order, as resolved by httpd (Include, IfModule, IfDefine, Macro); empty
    /// without mod_info.
    pub directives: Vec<Directive>,
    /// Whether mod_info printed the configuration.
    pub has_config: bool,
}

impl Dump {
    /// Whether this is an answer from httpd at all.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        !self.modules.is_empty() && self.mutexes.iter().any(|m| m.name == "default")
    }

    /// Whether the module is loaded.
    #[must_use]
    pub fn has_module(&self, name: &str) -> bool {
        self.modules.iter().any(|m| m == name)
    }

    /// Every directive of this name, with its index.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (usize, &'a Directive)> {
        self.directives.iter().enumerate().filter(move |(_, d)| !d.section && d.is(name))
    }

    /// The last directive of this name outside any virtual host.
    #[must_use]
    pub fn last_global(&self, name: &str) -> Option<&Directive> {
        let global = |i: usize, d: &&Directive| d.is(name) && self.virtual_host(i).is_none();
        let mut directives = self.directives.iter().enumerate().filter(|(_, d)| !d.section).rev();
        directives.find(|(i, d)| global(*i, d)).map(|(_, d)| d)
    }

    /// The `<VirtualHost>` enclosing the directive at index `place`.
    #[must_use]
    pub fn virtual_host(&self, place: usize) -> Option<usize> {
        self.enclosing(place, "VirtualHost")
    }

    /// The file that a running httpd writes its pid to.
    #[must_use]
    pub fn pid_file(&self) -> Option<PathBuf> {
        let root = Path::new(self.server_root.as_deref().unwrap_or_default());
        self.pid_file.as_ref().map(|file| root.join(file))
    }

    /// The host names in `Listen` lines; only the resolver can turn these into addresses.
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

    /// The nearest section of this name that encloses the directive at index `place`.
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

/// What the configuration leaves to the machine to decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Processors online (`_SC_NPROCESSORS_ONLN`, which is what server/listen.c counts).
    pub cores: u32,
    /// The addresses of the host names in `Listen` lines, resolved as httpd resolves them.
    pub addresses: HashMap<String, Vec<IpAddr>>,
}

/// Splits text into words as httpd does (server/util.c, `ap_getword_conf`): at white space. A word that
/// starts with a quote ends at the next quote of the same kind; a backslash escapes that quote.
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
