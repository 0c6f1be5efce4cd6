//! What the words for a forecast are based on: the forecast's input and its circumstances. Pure.

use crate::decide::forecast::Input;
use crate::facts::mutex::{Break, Demand};
use crate::facts::need::NeedSource;
use crate::facts::row::Undecided;
use crate::facts::settings::Setting;
use crate::facts::site::{GuardCommand, Site};

/// What the words for a forecast are based on.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    /// What the forecast was made from.
    pub input: &'a Input,
    /// The mutexes behind the need, if httpd was asked.
    pub demand: Option<&'a Demand>,
    /// Who holds the table, in words.
    pub holders: &'a str,
    /// Sets that are not httpd's: whose they seem to be and who removes them, in words.
    pub strangers: &'a [String],
    /// The table holds sets of other programs or users, too.
    pub has_others: bool,
    /// How many sets `guard` would remove now.
    pub removable: usize,
    /// The command that removes them.
    pub guard: &'a GuardCommand,
    /// Sets that stay only because a process's memory could not be read.
    pub undecided: Option<&'a Undecided>,
    /// What this machine offers; `None` if this was not examined.
    pub site: Option<&'a Site>,
    /// The setting that demands a reserve; `None` if it was given on the command line.
    pub reserve: Option<&'a Setting>,
    /// The user that httpd is started as, if that is not root.
    pub started_as: Option<&'a str>,
}

impl Situation<'_> {
    /// How many sets can be made, in words: "3 can be made".
    #[must_use]
    pub fn room_in_words(&self) -> String {
        match self.input.room() {
            Some((least, most)) if least.sets == most.sets => format!("{} can be made", most.sets),
            Some((least, most)) => format!("{} to {} can be made", least.sets, most.sets),
            None => "0 can be made".into(),
        }
    }

    /// Where the start breaks off because there is no room.
    #[must_use]
    pub fn breaks_off(&self) -> Break {
        let room = self.input.room().map_or(0, |(_, most)| most.sets);
        match (self.demand.and_then(|d| d.breaks_off(room)), self.input.need.source) {
            (Some(at), _) => at,
            // It needs more than its configuration shows.
            (None, NeedSource::Learnt(_)) => Break::at_an_unknown_one(),
            (None, _) => Break::of_2_4s_accept_mutex(),
        }
    }
}
