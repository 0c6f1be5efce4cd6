//! A message as a value: what is wrong, why, what to do. Never a text that has to be taken apart again.

/// A message in three parts, complete by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What is wrong or would happen, the cause first, in a few words.
    pub brief: String,
    /// What belongs to it and is long; may be empty.
    pub detail: String,
    /// Why, with figures and holders.
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
    /// A command that can be pasted as it stands; none: it takes a person.
    pub command: Option<String>,
    /// What it does, as a request ("remove the orphans"), or what is to be done; empty only beside a
    /// command that speaks for itself.
    pub remark: String,
    /// Done alone, it makes httpd start, as far as can be computed.
    pub cures: bool,
}

impl Remedy {
    /// A command, and what it does; it is not known to be a cure.
    #[must_use]
    pub fn command(command: impl Into<String>, remark: impl Into<String>) -> Remedy {
        Remedy { command: Some(command.into()), remark: remark.into(), cures: false }
    }

    /// Something that cannot be typed as it stands; it is not known to be a cure.
    #[must_use]
    pub fn advice(remark: impl Into<String>) -> Remedy {
        Remedy { command: None, remark: remark.into(), cures: false }
    }

    /// The same, as a cure or not.
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
