//! A message as a value: what is wrong, why, and what to do. Never as text that would have to be parsed
//! again.

/// A message in three parts, complete in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What is wrong or would happen, in a few words, the cause first.
    pub brief: String,
    /// Longer details about that; may be empty.
    pub detail: String,
    /// Why, with figures and the owners of the sets.
    pub why: Vec<String>,
    /// What to do, the least harmful first.
    pub remedies: Vec<Remedy>,
}

impl Message {
    /// What is wrong, in one line.
    #[must_use]
    pub fn headline(&self) -> String {
        if self.detail.is_empty() {
            self.brief.clone()
        } else {
            format!("{} ({})", self.brief, self.detail)
        }
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// A command that can be pasted as it stands; `None` if no command can do it.
    pub command: Option<String>,
    /// What it does, as a request ("remove the orphans"), or what is to be done; empty only with a
    /// self-explanatory command.
    pub remark: String,
    /// On its own, it makes httpd start, as far as can be computed.
    pub cures: bool,
}

impl Remedy {
    /// A command, and what it does; not known to be a solution.
    #[must_use]
    pub fn command(command: impl Into<String>, remark: impl Into<String>) -> Remedy {
        Remedy { command: Some(command.into()), remark: remark.into(), cures: false }
    }

    /// Something that cannot be pasted as a command; not known to be a solution.
    #[must_use]
    pub fn advice(remark: impl Into<String>) -> Remedy {
        Remedy { command: None, remark: remark.into(), cures: false }
    }

    /// The same, marked as a solution or not.
    #[must_use]
    pub fn that_cures(self, cures: bool) -> Remedy {
        Remedy { cures, ..self }
    }

    /// In one line: what it does, and the command.
    #[must_use]
    pub fn in_line(&self) -> String {
        match &self.command {
            Some(command) if self.remark.is_empty() => command.clone(),
            Some(command) => format!("{}: {command}", self.remark),
            None => self.remark.clone(),
        }
    }
}
