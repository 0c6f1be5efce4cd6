//! Whom the run is about: asks httpd what it will make and which user it runs as, and finds the users.

use std::time::Duration;

use super::witness::Witness;
use crate::cli::Options;
use crate::decide::demand;
use crate::facts::error::Error;
use crate::facts::event::Event;
use crate::facts::heard::Heard;
use crate::facts::need::Need;
use crate::facts::request::Command;
use crate::facts::settings::Complaint;
use crate::facts::users::{Guarded, Source};
use crate::look::httpd::ask::Question;
use crate::look::{httpd, namespace, users};

/// What is known before anything is looked at.
pub(super) struct Asked {
    /// httpd's answer.
    pub(super) heard: Heard,
    /// The guarded users.
    pub(super) users: Vec<Guarded>,
    /// Where they came from.
    pub(super) source: Source,
    /// What is kept about its starts.
    pub(super) witness: Option<Witness>,
    /// What it needs, according to all of this.
    pub(super) need: Need,
}

/// The question to httpd, whose time starts now.
pub(super) fn question(options: &Options) -> Question {
    let patience = Duration::from_secs(options.ask_timeout.into());
    let mut question = Question::new(options.httpd.clone(), options.httpd_args.clone(), patience);
    if let Some(instance) = &options.instance {
        httpd::place::of_instance(&mut question, instance);
    }
    question
}

/// Asks httpd and finds the users to guard.
///
/// # Errors
/// No user can be guarded, or the users could not be looked up. This ends only a check or list; a guard
/// goes on, because the user that httpd runs as has no bearing on whether it starts.
pub(super) fn ask(options: &Options, events: &mut Vec<Event>) -> Result<Asked, Error> {
    let given = given(options, events);
    let heard = hear(options, &given);
    if options.command != Command::Guard {
        // A guard runs where httpd will run; a check or list has to go where httpd is.
        let (asked, instance) = (options.httpd.as_deref(), options.instance.as_ref());
        let enter = |control| namespace::enter(heard.pid_file(), control, asked, instance);
        events.extend(heard.control().and_then(enter));
    }
    let mut further = heard.further_users().to_vec();
    if options.command != Command::Guard {
        // A monitor's user looks at the httpd that root starts, not at one of its own.
        further.extend(heard.user_of_root().map(|uid| format!("#{uid}")));
    }
    let (users, source) = match users::guarded(&given, heard.user(), &further) {
        Err(e) if options.command == Command::Guard && (given.is_empty() || is_silence(&e)) => {
            events.push(Event::NobodyGuarded(e));
            (Vec::new(), Source::Account)
        }
        answer => answer?,
    };
    let witness = Witness::read(options, &heard, events);
    let need = heard.need(options.need);
    let need = match &witness {
        Some(witness) => witness.need(need),
        None => need,
    };
    Ok(Asked { heard, users, source, witness, need })
}

/// Whether the user database gave no answer at all, rather than an unwelcome one.
fn is_silence(error: &Error) -> bool {
    matches!(error, Error::UserDatabase(..))
}

/// The users that were given. If a variable gave them, one that cannot be guarded is left out: it is no
/// reason to stop httpd.
fn given(options: &Options, events: &mut Vec<Event>) -> Vec<String> {
    let Some(setting) = &options.given.user else { return options.user.clone() };
    let (fit, errors) = users::sort_out(&options.user);
    let complaint = |e: Error| Complaint::User(setting.clone(), e.to_string());
    events.extend(errors.into_iter().map(complaint).map(Event::SettingInDoubt));
    fit
}

/// Asks httpd, if there is reason to.
fn hear(options: &Options, given: &[String]) -> Heard {
    let only_users = options.command == Command::List;
    if options.no_ask || (only_users && !given.is_empty()) {
        return Heard::NotAsked;
    }
    let question = question(options);
    match httpd::ask(&question, demand::depends_on_build) {
        Ok(told) => Heard::Answered(Box::new(demand::answer(told, &question.args))),
        Err(why) => Heard::Refused(why),
    }
}
