//! What this machine offers for making room for semaphore sets.

use std::fmt;
use std::path::PathBuf;

use nix::unistd::Pid;

/// How `kernel.sem` can be changed here, and what else would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How to set `kernel.sem`.
    pub sysctl: Sysctl,
    /// The IPC namespace of the table.
    pub table: TableOf,
    /// The unit that starts httpd, if systemd can give it an IPC namespace of its own and does not do
    /// so yet.
    pub unit: Option<String>,
    /// The unit of the process whose memory could not be read, if sets are kept because of that.
    pub unit_in_doubt: Option<String>,
    /// A directive with which httpd does without semaphore sets, and which this one accepts.
    pub directive: Option<&'static str>,
}

/// The IPC namespace of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableOf {
    /// The one in which the run was started.
    Here,
    /// That of this process: commands must enter it, too.
    Process(Pid),
    /// A new one, like that of httpd's next start: nothing that is done now changes it.
    NextStart,
}

/// How to set `kernel.sem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sysctl {
    /// Only from outside: /proc/sys is read-only here, as in most containers.
    Outside,
    /// From here.
    Here {
        /// sysctl(8) is installed.
        has_program: bool,
        /// The places that set it at boot, each of which must be changed; if there is none, or none
        /// that an administrator should edit, a new file.
        lasting: Lasting,
    },
}

/// Which files make a value of `kernel.sem` last (sysctl.d(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lasting {
    /// The lines, counted from 1, that currently take effect.
    pub edit: Vec<(PathBuf, usize)>,
    /// A file to be created, which is read after all others that set it.
    pub new: Option<PathBuf>,
    /// Its directory must be created first.
    pub needs_folder: bool,
}

/// A word for a shell: in quotes if it needs them.
#[must_use]
pub fn quoted(word: &str) -> String {
    if word.chars().any(char::is_control) {
        let escaped = |c: char| match c {
            '\'' | '\\' => format!("\\{c}"),
            c if c.is_control() => format!("\\{:03o}", u32::from(c)),
            c => c.to_string(),
        };
        return format!("$'{}'", word.chars().map(escaped).collect::<String>());
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The command that removes the orphans counted by a run: `guard` with those of the run's options that
/// determine which sets it looks at and how they are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCommand {
    words: Vec<String>,
    /// A variable asks for dry runs, but this command is meant to remove.
    in_earnest: bool,
}

impl GuardCommand {
    /// With these options, each of which is one word.
    #[must_use]
    pub fn new(words: impl IntoIterator<Item = String>, in_earnest: bool) -> GuardCommand {
        GuardCommand { words: words.into_iter().collect(), in_earnest }
    }
}

impl Default for GuardCommand {
    fn default() -> Self {
        GuardCommand::new([], false)
    }
}

impl fmt::Display for GuardCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.in_earnest {
            // By a program, so that another one (nsenter) may start it.
            f.write_str("env HTTPD_SEMGUARD_DRY_RUN=no ")?;
        }
        f.write_str("httpd-semguard guard")?;
        self.words.iter().try_for_each(|word| write!(f, " {}", quoted(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_split_or_expand_is_quoted() {
        for (word, want) in [
            ("it's", r"'it'\''s'"),
            ("a b", "'a b'"),
            ("", "''"),
            ("-DX=$(reboot)", "'-DX=$(reboot)'"),
            ("~/x", "'~/x'"),
            ("a\n'b", r"$'a\012\'b'"),
            ("/etc/a-b.conf", "/etc/a-b.conf"),
        ] {
            assert_eq!(quoted(word), want);
        }
    }

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(GuardCommand::default().to_string(), "httpd-semguard guard");
        let user = GuardCommand::new(["--user".into(), "www-data".into()], false);
        assert_eq!(user.to_string(), "httpd-semguard guard --user www-data");
        let in_earnest = GuardCommand::new([], true);
        assert_eq!(in_earnest.to_string(), "env HTTPD_SEMGUARD_DRY_RUN=no httpd-semguard guard");
    }
}
