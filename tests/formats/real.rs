//! The formats as written by the program, in a private namespace.

use std::fs;

use serde_json::Value;

use crate::common::{Namespace, Run, STRANGER};
use crate::require;
use crate::schema::{can_judge, line, wrong};

const ROOMY: &str = "250 32000 32 128";

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|e| panic!("{e}\n{run}"))
}

#[test]
fn the_programs_documents_conform_to_the_published_schema() {
    require!();
    if !can_judge() {
        return;
    }
    let ns = Namespace::new(ROOMY);
    ns.orphans(3, 33);
    let httpd =
        ns.actor("httpd", "make 2 33 detach fork { as 33 touch 1 stay worker } stay leader");
    let id = httpd.sets[0];
    let mut lines = String::new();
    for (args, code) in [
        ("check --user 33 --format json", 0),
        ("guard --dry-run --user 33 --format json", 0),
        ("list --user 33 --format json", 0),
        (&format!("list --user 33 --format json --explain {id}"), 0),
        ("check --user 33 --need 500 --format json", 69),
        ("check --user nobody_of_this_name --format json", 78),
        ("list --user 33 --explain 2147483647 --format json", 64),
        ("guard --user 33 --format json", 0),
    ] {
        let run = ns.guard(args).exits(code);
        assert_eq!(json(&run)["exit"]["code"], code);
        lines += &line(&run.out);
    }
    assert_eq!(wrong(&lines), "");
}

#[test]
fn a_document_says_what_guard_did_with_each_set() {
    require!();
    let ns = Namespace::new(ROOMY);
    let orphans = ns.orphans(3, 33);
    let php = ns.actor("php-fpm", "as 33 key 0 2 600 stay pool");
    let document = json(&ns.guard("guard --user 33 --dry-run --format json").exits(0));
    let with = |document: &Value, action: &str| -> Vec<i64> {
        let rows = document["sets"].as_array().expect("sets").iter();
        rows.filter(|r| r["action"] == action).filter_map(|r| r["semid"].as_i64()).collect()
    };
    assert_eq!(
        with(&document, "would_remove"),
        orphans.iter().map(|id| i64::from(*id)).collect::<Vec<_>>()
    );
    let document = json(&ns.guard("guard --user 33 --format json").exits(0));
    assert_eq!(
        with(&document, "removed"),
        orphans.iter().map(|id| i64::from(*id)).collect::<Vec<_>>()
    );
    assert_eq!(with(&document, "none"), [i64::from(php.sets[0])]);
    assert_eq!(ns.ids(), php.sets);
}

#[test]
fn a_plugin_answers_in_one_line_and_with_its_own_codes() {
    require!();
    let ns = Namespace::new("250 32000 32 10");
    ns.orphans(3, 33);
    let well = ns.guard("check --user 33 --format nagios").exits(0);
    assert!(well.out.starts_with("SEMGUARD OK - httpd's locks can be made"), "{well}");
    assert!(
        well.out.contains("| 'sets'=3;8;9;0;10 'semaphores'=3;25600;31999;0;32000 'orphans'=3;;;0"),
        "{well}"
    );
    assert_eq!((well.err.as_str(), well.out.lines().count()), ("", 1));
    ns.orphans(6, STRANGER);
    let filling = ns.guard("check --user 33 --format nagios").exits(1);
    assert!(filling.out.starts_with("SEMGUARD WARNING - "), "{filling}");
    assert!(filling.out.contains("9 of 10 semaphore sets are in use (90%, SEMMNI)"), "{filling}");
    ns.orphans(1, STRANGER);
    let full = ns.guard("check --user 33 --format nagios").exits(2);
    assert!(
        full.out.starts_with("SEMGUARD CRITICAL - semaphore table full: httpd would not start"),
        "{full}"
    );
    assert!(full.out.contains("'sets'=10;8;9;0;10"), "{full}");
    assert_eq!((full.err.as_str(), full.out.lines().count()), ("", 1));
    for wrong in
        ["check --user nobody_of_this_name --format nagios", "check --format nagios --nonsense"]
    {
        let run = ns.guard(wrong).exits(3);
        assert!(run.out.starts_with("SEMGUARD UNKNOWN - "), "{run}");
        assert_eq!(run.out.lines().count(), 1, "{run}");
    }
}

#[test]
fn a_setting_for_monitoring_does_not_keep_httpd_from_starting() {
    require!();
    let ns = Namespace::new("250 32000 32 10");
    ns.orphans(9, STRANGER);
    let guard = ns.guard_copy();
    let run = |command: &str| {
        ns.sh(&format!("HTTPD_SEMGUARD_FORMAT=nagios {guard} {command} --user 33 --no-ask"))
    };
    run("check").exits(1).prints("SEMGUARD WARNING");
    run("guard")
        .exits(0)
        .prints("httpd's locks can be made")
        .logs("the semaphore table is filling up");
    run("list").exits(0);
    let wrong = ns.sh(&format!("HTTPD_SEMGUARD_FORMAT=nagios HTTPD_SEMGUARD_NEED=x {guard} guard"));
    wrong.exits(0).logs("HTTPD_SEMGUARD_NEED=\"x\" (environment) has no effect");
}

#[test]
fn a_file_size_limit_does_not_end_a_guard() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 33);
    let guard = ns.guard_copy();
    let args = "--user 33 --no-ask --format json --output /run/t/report.json";
    let run = |command: &str| ns.sh(&format!("ulimit -f 0; {guard} {command} {args}"));
    run("check").exits(73).logs("EFBIG");
    run("guard").exits(0).logs("EFBIG").logs("removed semaphore set");
    assert!(!ns.sh("ls -A /run/t").out.contains("report"));
}

#[test]
fn text_in_a_file_is_preceded_by_the_log_entries() {
    require!();
    let ns = Namespace::new(ROOMY);
    let said = |args: &str, code: i32| {
        ns.guard(&format!("check --user {args} --output /run/t/said")).exits(code);
        fs::read_to_string(ns.path("/run/t/said")).expect("read")
    };
    assert!(said("33", 0).starts_with("httpd's locks can be made"));
    assert!(
        said("33 --need 500", 69).starts_with("too few semaphores free: httpd would not start")
    );
    assert!(said("no_such_user", 78).starts_with("no such user"));
}

#[test]
fn a_plugin_without_privileges_says_what_it_could_not_see() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 33);
    let run = ns.guard_under(
        "setpriv --reuid 1234 --regid 1234 --clear-groups",
        "check --user 33 --format nagios",
    );
    let run = run.exits(0);
    assert!(run.out.starts_with("SEMGUARD OK - httpd's locks can be made"), "{run}");
    assert!(
        run.out.contains("2 semaphore sets of the guarded users could not be examined"),
        "{run}"
    );
    assert!(run.out.contains("'sets'=2;"), "{run}");
}

#[test]
fn a_file_is_written_completely_and_a_failure_to_write_it_is_reported() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 33);
    let file = "/run/t/semguard.prom";
    let run = ns.guard(&format!("check --user 33 --format prometheus --output {file}")).exits(0);
    assert_eq!(run.out, "");
    let text = fs::read_to_string(ns.path(file)).expect("read");
    assert!(
        text.contains("httpd_semguard_semaphore_sets{owner=\"www-data\",state=\"orphan\"} 2"),
        "{text}"
    );
    let nowhere = "--format prometheus --output /run/nowhere/semguard.prom";
    let check = ns.guard(&format!("check --user 33 {nowhere}")).exits(73);
    check
        .logs("/run/nowhere/semguard.prom: ENOENT")
        .logs("that directory does not exist: create it");
    // A file that cannot be written does not keep httpd from starting.
    let guard = ns.guard(&format!("guard --user 33 {nowhere}")).exits(0);
    guard.logs("removed semaphore set").logs("/run/nowhere/semguard.prom");
    // There is no result, and the monitoring system is told.
    ns.guard(&format!("check --user no_such_user --format prometheus --output {file}")).exits(78);
    let text = fs::read_to_string(ns.path(file)).expect("read");
    assert!(text.contains("httpd_semguard_last_run_success 0"), "{text}");
    let names = ns.sh("ls -A /run/t").exits(0).out;
    assert!(!names.contains(".new"), "{names}");
}

#[test]
fn a_full_disk_under_the_report_does_not_keep_httpd_from_starting() {
    require!();
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 33);
    ns.sh("mkdir /run/small && mount -t tmpfs -o size=4k tmpfs /run/small && \
           head -c 4096 /dev/zero > /run/small/full")
        .exits(0);
    let args = "--user 33 --format json --output /run/small/report.json";
    ns.guard(&format!("check {args}")).exits(73).logs("ENOSPC");
    ns.guard(&format!("guard {args}")).exits(0).logs("ENOSPC").logs("removed semaphore set");
    assert_eq!(ns.sh("ls -A /run/small").out, "full\n");
}

#[test]
fn list_shows_the_requested_sets_in_the_requested_order() {
    require!();
    let ns = Namespace::new(ROOMY);
    let of_the_living = ns.actor("php-fpm", "as 33 key 0 2 600 stay pool");
    let orphans = ns.orphans(2, 33);
    let strangers = ns.orphans(1, STRANGER);
    let ids = |args: &str| -> Vec<i32> {
        let run = ns.guard(&format!("list --user 33,1234 {args}")).exits(0);
        let rows = run.out.lines().filter_map(|l| l.split_whitespace().next()?.parse().ok());
        let total = 1;
        let mut ids: Vec<i32> = rows.collect();
        ids.truncate(ids.len() - total);
        ids
    };
    let all = [of_the_living.sets.clone(), orphans.clone(), strangers.clone()].concat();
    assert_eq!(ids(""), all);
    assert_eq!(ids("--orphans"), [orphans.clone(), strangers.clone()].concat());
    assert_eq!(ids("--sort owner"), all);
    assert_eq!(ids("--sort verdict"), [orphans, strangers, of_the_living.sets.clone()].concat());
    let mine = ns.guard("list --user 1234").exits(0);
    assert!(mine.out.contains("1 semaphore set of the guarded users, 1 orphaned"), "{mine}");
}

#[test]
fn one_set_is_explained_with_the_command_that_removes_it() {
    require!();
    let ns = Namespace::new(ROOMY);
    let id = ns.orphans(1, 33)[0];
    let run = ns.guard(&format!("list --user 33 --explain {id}")).exits(0);
    run.prints(&format!("semaphore set {id} of www-data (33): orphan"))
        .prints("It looks like one of httpd's")
        .prints("No httpd is running that could use it.")
        .prints(&format!("by hand: ipcrm -s {id}\n"));
    let other = ns.orphans(1, STRANGER)[0];
    let run = ns.guard(&format!("list --user 33 --explain {other}")).exits(64);
    run.logs(&format!("there is no semaphore set {other} of www-data (33)"));
    assert_eq!(ns.ids(), [id, other], "something was removed");
}

#[test]
fn a_table_of_32768_sets_stays_aligned_and_its_log_short() {
    require!();
    let ns = Namespace::new("250 1024000000 500 32768");
    let ids = ns.orphans(32_768, 33);
    let list = ns.guard("list --user 33").exits(0);
    let mut lines = list.out.lines();
    let at = lines.next().and_then(|l| l.find("VERDICT")).expect("the header");
    let rows: Vec<&str> = lines.collect();
    assert_eq!(rows.len(), 32_768 + 1);
    assert!(rows[..32_768].iter().all(|row| row[at..].starts_with("orphan ")));
    let numbers = rows[..32_768].iter().map(|r| r[..r.find(" www").expect("owner")].trim());
    assert!(numbers.eq(ids.iter().map(ToString::to_string)));
    let guard = ns.guard("guard --user 33").exits(0);
    assert_eq!(guard.err.lines().count(), 21, "{guard}");
    guard.logs("removed 32748 more (-v lists them all)").prints("removed 32768 orphaned sets");
    assert_eq!(ns.ids(), [0; 0]);
}

#[test]
fn wide_names_keep_the_columns_aligned() {
    require!();
    let ns = Namespace::new(ROOMY);
    // Each character takes two columns on a terminal.
    let name = "番人番人";
    let passwd = ns.write("passwd", &format!("root:x:0:0::/:/bin/sh\n{name}:x:33:33::/:/bin/sh\n"));
    ns.sh(&format!("mount --bind {passwd} /etc/passwd")).exits(0);
    ns.orphans(1, 33);
    ns.orphans(1, 4_000_000_000);
    let list = ns.guard("list --user 33,4000000000").exits(0);
    let column = |line: &str, of: &str| {
        let front = &line[..line.find(of).expect(of)];
        front.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>()
    };
    let lines: Vec<&str> = list.out.lines().take(3).collect();
    let at = column(lines[0], "VERDICT");
    assert!(lines[1].contains(&format!("{name} (33)")), "{list}");
    assert_eq!(
        lines[1..].iter().map(|l| column(l, "orphan")).collect::<Vec<_>>(),
        [at, at],
        "{list}"
    );
}

#[test]
fn lines_fit_the_width_of_a_terminal() {
    require!("script");
    let ns = Namespace::new(ROOMY);
    ns.orphans(2, 33);
    let httpd = ns.actor("httpd", "make 1 33 detach stay leader");
    let guard = ns.guard_copy();
    let shown = |columns: usize, args: &str| {
        let line =
            format!("stty cols {columns} rows 40; NO_COLOR=1 {guard} {args} --user 33 --no-ask");
        ns.sh(&format!("TERM=xterm script -qec '{line}' /dev/null")).out.replace('\r', "")
    };
    let id = httpd.sets[0];
    for args in ["list", &format!("list --explain {id}"), "check --need 500"] {
        let text = shown(110, args);
        let to_be_read = text.lines().take_while(|l| !l.contains("do:"));
        // Headlines are not wrapped in a log, so that they can be searched for.
        let whole = ["httpd-semguard: ", "3 semaphore sets of the guarded"];
        for line in to_be_read.filter(|l| !whole.iter().any(|w| l.starts_with(w))) {
            assert!(line.chars().count() <= 110, "{line}\n{text}");
        }
        assert!(text.lines().count() > 3, "{text}");
    }
}

#[test]
fn colours_are_for_terminals_or_on_request() {
    require!("script");
    let ns = Namespace::new(ROOMY);
    ns.orphans(1, 33);
    let guard = ns.guard_copy();
    let colored = |line: &str| ns.sh(line).out.contains('\u{1b}');
    let list = format!("{guard} list --user 33 --no-ask");
    assert!(!colored(&list), "a pipe");
    assert!(colored(&format!("CLICOLOR_FORCE=1 {list}")), "requested");
    let terminal = |line: &str| format!("TERM=xterm script -qec '{line}' /dev/null");
    assert!(colored(&terminal(&list)), "a terminal");
    assert!(!colored(&terminal(&format!("NO_COLOR=1 {list}"))), "not wanted");
    assert!(!colored(&terminal(&format!("TERM=dumb {list}"))), "not possible");
    let check = format!("{guard} check --user 33 --need 999 --no-ask");
    assert!(colored(&terminal(&check)), "a message");
    assert!(!colored(&format!("{check} 2>&1")), "a message into a file");
    assert!(!colored(&format!("CLICOLOR_FORCE=1 {list} --format json")), "no colours for programs");
}

#[test]
fn no_name_of_a_user_breaks_a_format() {
    require!();
    let ns = Namespace::new(ROOMY);
    let evil = "x\"},{|;\\\u{1b}[31m\u{9b}1m\u{202e}'=9 {a=\"b\"} \u{7f}";
    let passwd = ns.write("passwd", &format!("root:x:0:0::/:/bin/sh\n{evil}:x:33:33::/:/bin/sh\n"));
    ns.sh(&format!("mount --bind {passwd} /etc/passwd")).exits(0);
    ns.orphans(2, 33);
    let steers = |text: &str| text.chars().any(|c| c.is_control() && c != '\n');
    let list = ns.guard("list --user 33").exits(0);
    assert_eq!(list.out.lines().count(), 1 + 2 + 1, "{list}");
    assert!(!steers(&list.out), "{list}");
    let document = json(&ns.guard("check --user 33 --format json").exits(0));
    assert_eq!(document["sets"].as_array().map(Vec::len), Some(2));
    let line = ns.guard("check --user 33 --need 500 --format nagios").exits(2);
    assert_eq!((line.out.lines().count(), line.out.matches('|').count()), (1, 1), "{line}");
    assert!(!steers(&line.out), "{line}");
    let metrics = ns.guard("check --user 33 --format prometheus").exits(0).out;
    assert!(!steers(&metrics), "{metrics}");
    for row in metrics.lines().filter(|l| l.starts_with("httpd_semguard_semaphore_sets")) {
        let value = row.strip_prefix("httpd_semguard_semaphore_sets{owner=\"").expect("the owner");
        // The value ends at the first quote without a backslash before it.
        let mut escaped = false;
        let end = value
            .find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            })
            .expect("an end");
        assert!(value[end..].starts_with("\",state=\""), "{row}");
    }
}
