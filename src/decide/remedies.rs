//! What to do if the semaphore table has too little room: which remedies there are, what each of them
//! changes, and whether it makes httpd start on its own. Pure.

use nix::errno::Errno;

use crate::decide::forecast::{Forecast, Input};
use crate::decide::kernel_sem::{self, Oddity};
use crate::decide::situation::Situation;
use crate::facts::capacity::{self, Capacity, Limits, Usage};
use crate::facts::kinds;
use crate::facts::message::Remedy;
use crate::facts::mutex::{Demand, LogLine, Mechanism, Mutexes};
use crate::facts::need::{Need, NeedSource, sets};
use crate::facts::printable::printable;
use crate::facts::site::{Lasting, Site, Sysctl, TableOf, quoted};
use crate::facts::state;
use crate::facts::trial::{LOCKING, Trial};

/// The limits of a new IPC namespace (include/uapi/linux/sem.h; Linux 3.19 and newer). Every systemd
/// with PrivateIPC= has such a kernel.
const OF_A_NEW_NAMESPACE: Limits =
    Limits { semmsl: 32_000, semmns: 1_024_000_000, semopm: 500, semmni: 32_000 };

/// The remedies, the least harmful first; stopping a running server comes last.
#[must_use]
pub(super) fn remedies(s: &Situation<'_>) -> Vec<Remedy> {
    let Some(now) = s.input.capacity else { return Vec::new() };
    let mut remedies: Vec<Remedy> = Vec::new();
    remedies.extend(orphans(s, now));
    remedies.extend(limits(s, now));
    remedies.extend(forget(s));
    remedies.extend(own_table(s));
    remedies.extend(no_sets(s));
    remedies.extend(others(s));
    remedies.extend(undecided(s));
    remedies
}

/// Whether httpd would start on this table.
fn cures(input: &Input, capacity: Capacity) -> bool {
    // A trial that failed because SEMOPM is 0 says nothing about a table that allows operations.
    let trial = match input.trial {
        Trial::Refused(LOCKING, Errno::E2BIG) if capacity.limits.semopm > 0 => {
            Trial::Skipped("with other limits")
        }
        trial => trial,
    };
    let then = Input { capacity: Some(capacity), trial, ..input.clone() };
    then.forecast() == Forecast::Starts
}

/// A command that runs where it has an effect: in the IPC namespace of the table.
fn there(site: Option<&Site>, command: &str) -> String {
    match site.map(|site| site.table) {
        Some(TableOf::Process(pid)) => format!("nsenter -t {pid} -i {command}"),
        _ => command.to_owned(),
    }
}

/// Removing the orphans, if that makes room.
fn orphans(s: &Situation<'_>, now: Capacity) -> Option<Remedy> {
    let then = now.without(s.removable);
    if then.room().sets == now.room().sets {
        return None;
    }
    let cures = cures(s.input, then);
    let alone = if cures { "" } else { ", which alone is not enough" };
    let count = sets(capacity::count(s.removable));
    let remark = format!("remove the {count} that a dead httpd left{alone}");
    Some(Remedy::command(there(s.site, &s.guard.to_string()), remark).that_cures(cures))
}

/// Raising the limits: now, and for good.
fn limits(s: &Situation<'_>, now: Capacity) -> Vec<Remedy> {
    let missing = s.input.need.at_most + s.input.min_free;
    let better = kernel_sem::better(&now, missing);
    if now.with_limits(better).room().sets < missing {
        return vec![Remedy::advice(format!(
            "no kernel.sem has room for {missing} more: a kernel has {} sets at most \
             (\"ipcmni_extend\" on its command line raises that)",
            capacity::IPCMNI
        ))];
    }
    let is_mended = matches!(kernel_sem::oddity(&now.limits), Some(Oddity::LostSpace { .. }));
    let what = if is_mended { "set kernel.sem to the intended value," } else { "raise the limits" };
    let (has_program, lasting) = match s.site.map(|site| &site.sysctl) {
        Some(Sysctl::Outside) => {
            let cures = cures(s.input, now.with_limits(better));
            return outside(better).map(|remedy| remedy.that_cures(cures)).to_vec();
        }
        Some(Sysctl::Here { has_program, lasting }) => (*has_program, Some(lasting)),
        None => (true, None),
    };
    let set = there(s.site, &set_now(better, has_program));
    let remedies = match s.site.map(|site| site.table) {
        // A new namespace gets the kernel's default limits.
        Some(TableOf::NextStart) => Vec::new(),
        Some(TableOf::Process(_)) => {
            let until = format!("{what} for as long as that IPC namespace exists");
            vec![Remedy::command(set, until)]
        }
        Some(TableOf::Here) | None => {
            let now = Remedy::command(set, format!("{what} until the next boot"));
            let for_good = lasting.map(|lasting| for_good(what, better, has_program, lasting));
            std::iter::once(now).chain(for_good.flatten()).collect()
        }
    };
    let cures = cures(s.input, now.with_limits(better));
    remedies.into_iter().map(|remedy| remedy.that_cures(cures)).collect()
}

/// The command that sets `kernel.sem` now.
fn set_now(limits: Limits, has_program: bool) -> String {
    if has_program {
        format!("sysctl -w kernel.sem=\"{limits}\"")
    } else {
        // In a shell of its own, so that nsenter, if it precedes this, applies to the redirection, too.
        format!("sh -c 'echo \"{limits}\" > /proc/sys/kernel/sem'")
    }
}

/// The command that sets it now, and at every boot from now on.
fn for_good(what: &str, limits: Limits, has_program: bool, lasting: &Lasting) -> Option<Remedy> {
    let line = format!("kernel.sem = {limits}");
    if lasting.edit.is_empty() && lasting.new.is_none() {
        return None;
    }
    let mut commands = Vec::new();
    let mut places = Vec::new();
    for (file, number) in &lasting.edit {
        let path = file.to_string_lossy();
        places.push(format!("line {number} of {}", printable(&path)));
        commands.push(format!("sed -i '{number}s/.*/{line}/' {}", quoted(&path)));
    }
    if let Some(file) = &lasting.new {
        let path = file.to_string_lossy();
        if lasting.needs_folder {
            let folder = file.parent().map(|folder| folder.to_string_lossy());
            commands.extend(folder.map(|folder| format!("mkdir -p {}", quoted(&folder))));
        }
        commands.push(format!("echo '{line}' > {}", quoted(&path)));
    }
    // sysctl -p is used only with a new file, which contains nothing else; an existing one may set much
    // more.
    let now = match &lasting.new {
        Some(file) if has_program => format!("sysctl -p {}", quoted(&file.to_string_lossy())),
        _ => set_now(limits, has_program),
    };
    commands.push(now);
    let remark = match (places.is_empty(), places.len()) {
        (true, _) => format!("{what} for good, in a new file"),
        (_, 1) => format!("{what} for good: {} sets kernel.sem at boot", places[0]),
        _ => format!("{what} for good: {} set kernel.sem at boot", places.join(" and ")),
    };
    Some(Remedy::command(commands.join(" && "), remark))
}

/// What to do if /proc/sys is read-only, as in most containers.
fn outside(limits: Limits) -> [Remedy; 3] {
    [
        Remedy::advice(format!(
            "outside this container, in which /proc/sys is read-only: start it with the option --sysctl \
             kernel.sem=\"{limits}\" (docker, podman)"
        )),
        Remedy::advice(format!(
            "in Kubernetes: set kernel.sem to \"{limits}\" in the pod's securityContext.sysctls"
        )),
        Remedy::command(
            format!("sysctl -w kernel.sem=\"{limits}\""),
            "on the host, if this container shares its host's IPC namespace",
        ),
    ]
}

/// Forgetting what earlier starts showed.
fn forget(s: &Situation<'_>) -> Option<Remedy> {
    let is_learnt = matches!(s.input.need.source, NeedSource::Learnt(l) if l.is_certain());
    is_learnt.then(|| {
        Remedy::command(
            format!("rm {}", state::FILE),
            "only if httpd needs fewer by now, for a reason that its configuration does not show: \
             forget how many its last starts made",
        )
    })
}

/// Giving each start a table of its own.
fn own_table(s: &Situation<'_>) -> Option<Remedy> {
    let unit = s.site?.unit.as_deref()?;
    let own = Capacity { limits: OF_A_NEW_NAMESPACE, usage: Usage::default() };
    let folder = quoted(&format!("/etc/systemd/system/{unit}.d"));
    let command = format!(
        "mkdir -p {folder} && printf '[Service]\\nPrivateIPC=yes\\n' > {folder}/10-private-ipc.conf && \
         systemctl daemon-reload"
    );
    let remark = "remove the cause for good, from the next start on: give httpd a table of its own, unless it \
                  shares System V IPC with other services";
    Some(Remedy::command(command, remark).that_cures(cures(s.input, own)))
}

/// The directive that makes httpd do without those sets that depend on its configuration, and
/// how many sets it still needs then, at least and at most.
#[must_use]
pub fn without_sets(demand: &Demand) -> Option<(&'static str, i64, i64)> {
    let rest = |stays: &dyn Fn(&Mutexes) -> bool| {
        let rows = demand.rows.iter().filter(|row| stays(row)).cloned().collect();
        Demand { rows }.sets()
    };
    let is_of_24 =
        |row: &Mutexes| row.words == LogLine::Ah00023 && !kinds::named(&row.mutex, None).is_empty();
    let is_accept = |row: &Mutexes| matches!(row.words, LogLine::AcceptLock { .. });
    let (directive, (least, most)) = if demand.by(Mechanism::SysVSem).any(is_of_24) {
        ("Mutex pthread default", rest(&|row| !is_of_24(row)))
    } else if demand.by(Mechanism::SysVSem).any(is_accept) {
        ("AcceptMutex pthread", rest(&|row| !is_accept(row)))
    } else {
        return None;
    };
    Some((directive, least, most))
}

/// Configuring httpd so that it makes no sets.
fn no_sets(s: &Situation<'_>) -> Option<Remedy> {
    let (directive, at_least, at_most) = without_sets(s.demand?)?;
    s.site?.directive.filter(|accepted| *accepted == directive)?;
    let (first, _) = directive.split_once(' ')?;
    // Its starts may show more than its configuration, and --need does not say which mutexes it means.
    let is_all = s.input.need.source == NeedSource::Asked;
    let need = Need { at_least, at_most, source: NeedSource::Asked };
    let then = Input { need, ..s.input.clone() };
    let rest = match at_most {
        0 if is_all => "it then needs no semaphore set",
        _ => "its other locks still need sets",
    };
    let remark = format!(
        "remove the cause for good: \"{directive}\" in httpd's configuration, in place of any \
         \"{first} sysvsem\"; {rest}"
    );
    Some(Remedy::advice(remark).that_cures(is_all && then.forecast() == Forecast::Starts))
}

/// Finding out who fills the table, if it is others.
fn others(s: &Situation<'_>) -> Option<Remedy> {
    s.has_others.then(|| {
        Remedy::command(
            there(s.site, "httpd-semguard list --all"),
            "see whose sets are in the table, which removes nothing",
        )
    })
}

/// For sets that are kept because the memory of a process could not be read: finding out why; and, as a
/// last resort, stopping that process, if this could make enough room.
fn undecided(s: &Situation<'_>) -> Vec<Remedy> {
    let (Some(undecided), Some(now)) = (s.undecided, s.input.capacity) else { return Vec::new() };
    if let Some(user) = s.started_as {
        return vec![Remedy::advice(format!(
            "run this as root: {user} may not read the memory of {}, so {} of the sets cannot be judged",
            undecided.process, undecided.sets
        ))];
    }
    let mut remedies = vec![Remedy::command(
        "httpd-semguard list",
        format!(
            "see why the memory of {} could not be read in full, which removes nothing by itself: {} of \
             the sets may be its own, or orphans",
            undecided.process, undecided.sets
        ),
    )];
    let most = now.without(s.removable + undecided.of_process);
    let unit = s.site.and_then(|site| site.unit_in_doubt.as_deref());
    if let Some(unit) = unit.filter(|_| cures(s.input, most)) {
        let unit = quoted(unit);
        remedies.push(Remedy::command(
            format!("systemctl stop {unit}; {}; systemctl start {unit}", s.guard),
            format!(
                "as a last resort, interrupt {unit}: that decides on those {} sets, and frees those of \
                 them that are orphans",
                undecided.of_process
            ),
        ));
    }
    remedies
}

#[cfg(test)]
mod tests;
