//! What this machine offers to somebody who wants to make room for semaphore sets.

use std::fmt;
use std::path::PathBuf;

use nix::unistd::Pid;

/// How `kernel.sem` can be changed here, and what else would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// How to set `kernel.sem`.
    pub sysctl: Sysctl,
    /// The table is that of this process's IPC namespace, not of the one that the run was started in:
    /// commands have to go there, too.
    pub inside: Option<Pid>,
    /// The unit that starts httpd, where its systemd can give it an IPC namespace of its own and does
    /// not do so yet.
    pub unit: Option<String>,
    /// The unit of the process whose memory could not be read, where sets stay because of that.
    pub unit_in_doubt: Option<String>,
    /// A directive with which httpd does without semaphore sets, and which this one accepts.
    pub directive: Option<&'static str>,
}

/// How to set `kernel.sem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sysctl {
    /// /proc/sys is read-only, as in most containers: only from outside.
    Outside,
    /// Here.
    Here {
        /// sysctl(8) is installed.
        has_program: bool,
        /// The places that set it at boot, each to be changed: where there is none, or none that an
        /// administrator may edit, a new file.
        lasting: Lasting,
    },
}

/// Which files make a value of `kernel.sem` last (sysctl.d(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lasting {
    /// Lines, counted from 1, that set it last today.
    pub edit: Vec<(PathBuf, usize)>,
    /// A file to be made: it comes after all others that set it.
    pub new: Option<PathBuf>,
}

/// A word as a shell takes it: in quotes where it needs them.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command that removes the orphans which a run counted: `guard` with those of the run's options that
/// decide which sets it looks at and how they are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardCommand(Vec<String>);

impl GuardCommand {
    /// With these options, each of them a word.
    #[must_use]
    pub fn new(options: impl IntoIterator<Item = String>) -> GuardCommand {
        GuardCommand(options.into_iter().collect())
    }
}

impl Default for GuardCommand {
    fn default() -> Self {
        GuardCommand::new([])
    }
}

impl fmt::Display for GuardCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("httpd-semguard guard")?;
        self.0.iter().try_for_each(|word| write!(f, " {}", quoted(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_take_apart_or_expand_is_quoted() {
        for (word, want) in [
            ("it's", r"'it'\''s'"),
            ("a b", "'a b'"),
            ("", "''"),
            ("-DX=$(reboot)", "'-DX=$(reboot)'"),
            ("~/x", "'~/x'"),
            ("/etc/a-b.conf", "/etc/a-b.conf"),
        ] {
            assert_eq!(quoted(word), want);
        }
    }

    #[test]
    fn plain_words_stay_plain() {
        assert_eq!(GuardCommand::default().to_string(), "httpd-semguard guard");
        let user = GuardCommand::new(["--user".into(), "www-data".into()]);
        assert_eq!(user.to_string(), "httpd-semguard guard --user www-data");
    }
}
