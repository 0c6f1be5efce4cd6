//! Whether there is room for what httpd needs: the figures for the forecast, and what is tried for it.

use super::ask::Asked;
use crate::act::{resources, trial};
use crate::cli::Options;
use crate::decide::forecast::Input;
use crate::facts::capacity::Capacity;
use crate::facts::event::Event;
use crate::facts::request::Command;
use crate::facts::table::Table;
use crate::facts::trial::Trial;

/// Whether there is anything to forecast: not for a list, nor for a table that is not httpd's.
pub(super) fn is_asked_for(options: &Options, events: &[Event]) -> bool {
    let is_elsewhere = events.iter().any(|event| matches!(event, Event::TableOfNobody(..)));
    options.command != Command::List && !is_elsewhere
}

/// The input to the forecast, before anything was tried.
pub(super) fn input(
    options: &Options,
    asked: &Asked,
    table: Option<&Table>,
    events: &[Event],
) -> Input {
    let is_unknown = events.iter().any(|event| matches!(event, Event::TableUnknown(_)));
    Input {
        capacity: table.map(|t| t.left).or(is_unknown.then_some(Capacity::UNKNOWN)),
        need: asked.need.clone(),
        running: table.and_then(|t| t.running.clone()),
        min_free: options.min_free.into(),
        trial: Trial::Skipped("no forecast was asked for"),
        locks: asked.heard.locks(options.need),
        shortage: None,
        refused_directory: asked.heard.mutex_directory(),
    }
}

/// Tries a set of the guard's own, and what mutexes of other mechanisms need.
pub(super) fn try_out(input: &mut Input, options: &Options, asked: &Asked, table: Option<&Table>) {
    let Asked { heard, users, need, .. } = asked;
    input.trial = match (table, input.capacity) {
        (Some(t), _) => trial::run(users, need, &t.found, &t.left, input.locks, options.removes()),
        (None, None) => Trial::Skipped("this kernel has no semaphores"),
        (None, Some(_)) if options.removes() => trial::blind(users, need, input.locks),
        (None, Some(_)) => Trial::Skipped("the table could not be read"),
    };
    let demand = heard.demand().zip(users.first());
    input.shortage = demand.and_then(|(demand, user)| resources::shortage(demand, user));
}
