//! The output for monitoring systems: the plugin's line is checked against the Monitoring Plugins'
//! guidelines by a separate parser, the metrics by promtool, node_exporter and Prometheus, and the
//! examples for Nagios and Icinga by these programs themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Namespace, Run, WWW, wait_until};

mod common;

/// Room for everything.
const ROOMY: &str = "250 32000 32 128";

/// Room for six sets.
const SMALL: &str = "250 32000 32 6";

const RULES: &str = include_str!("../packaging/prometheus/httpd-semguard.rules.yml");

const NOBODY: u32 = 65534;

/// The name of a state, its limits and orphans, the arguments of the check, and the exit codes of the
/// plugin and of the check in all other formats.
type World = (&'static str, &'static str, usize, &'static str, i32, i32);

const WORLDS: [World; 8] = [
    ("nothing", ROOMY, 0, "--no-ask", 0, 0),
    ("orphans", ROOMY, 3, "--no-ask", 0, 0),
    ("nearly full", SMALL, 5, "--no-ask", 1, 0),
    ("full", SMALL, 6, "--no-ask", 2, 69),
    ("full, and no matter", SMALL, 6, "--no-ask --need 0", 0, 0),
    ("at risk", SMALL, 6, "--httpd /bin/false", 1, 0),
    ("at risk, strictly", SMALL, 6, "--httpd /bin/false --strict", 2, 69),
    ("no answer", ROOMY, 0, "--no-ask --user no-such-user", 3, 78),
];

fn inhabited((_, sem, orphans, ..): &World) -> Namespace {
    let ns = Namespace::new(sem);
    if *orphans > 0 {
        ns.orphans(*orphans, WWW);
    }
    ns
}

fn check(ns: &Namespace, args: &str) -> Run {
    let mut command = ns.command(env!("CARGO_BIN_EXE_httpd-semguard"));
    Run::of(command.arg("check").args(args.split_whitespace()))
}

// ---- the plugin's line ---------------------------------------------------------------------------

/// One figure of the performance data: 'label'=value[UOM];[warn];[crit];[min];[max].
#[derive(Debug)]
struct Figure {
    value: f64,
    warn: Option<f64>,
    crit: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Debug)]
struct Plugin {
    code: i32,
    text: String,
    figures: BTreeMap<String, Figure>,
}

/// Parses the line according to the guidelines (monitoring-plugins.org/doc/guidelines.html, "Plugin
/// Output for Nagios", "Performance data"), and as Nagios does, which reads 4 KB at most.
#[track_caller]
fn plugin(run: &Run) -> Plugin {
    assert_eq!(run.err, "", "a plugin writes nothing to stderr: {run}");
    assert!(run.out.len() <= 4096, "{} bytes: {run}", run.out.len());
    let line = run.out.strip_suffix('\n').unwrap_or_else(|| panic!("no end of line: {run}"));
    assert!(!line.contains(|c: char| c.is_control()), "more than a line of text: {run}");
    let (text, figures) = match line.split_once('|') {
        Some((text, figures)) => (text.trim_end(), figures.trim()),
        None => (line, ""),
    };
    assert!(!figures.contains('|'), "{run}");
    let code = run.code.unwrap_or_else(|| panic!("{run}"));
    let word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][usize::try_from(code).expect("0 to 3")];
    assert!(text.starts_with(&format!("SEMGUARD {word} - ")), "exit {code}: {run}");
    Plugin { code, text: text.to_owned(), figures: read_figures(figures) }
}

fn read_figures(mut rest: &str) -> BTreeMap<String, Figure> {
    let mut figures = BTreeMap::new();
    while !rest.is_empty() {
        let (label, behind) = if let Some(quoted) = rest.strip_prefix('\'') {
            // A quote in a label is doubled.
            let mut end = 0;
            loop {
                end += quoted[end..].find('\'').unwrap_or_else(|| panic!("no end: {rest}"));
                if !quoted[end + 1..].starts_with('\'') {
                    break;
                }
                end += 2;
            }
            (quoted[..end].replace("''", "'"), &quoted[end + 1..])
        } else {
            let end = rest.find('=').unwrap_or_else(|| panic!("no value: {rest}"));
            (rest[..end].to_owned(), &rest[end..])
        };
        assert!(!label.is_empty() && !label.contains('='), "label {label:?}");
        let behind = behind.strip_prefix('=').unwrap_or_else(|| panic!("no value: {rest}"));
        let (fields, next) = behind.split_once(' ').unwrap_or((behind, ""));
        let fields: Vec<&str> = fields.split(';').collect();
        assert!(fields.len() <= 5, "{fields:?}");
        // No unit, and only digits: "class [-0-9.]".
        let number = |i: usize| {
            let field = fields.get(i).filter(|f| !f.is_empty())?;
            assert!(field.chars().all(|c| c.is_ascii_digit() || c == '.' || c == '-'), "{field}");
            Some(field.parse::<f64>().unwrap_or_else(|_| panic!("{field} is not a number")))
        };
        let figure = Figure {
            value: number(0).unwrap_or_else(|| panic!("no value: {rest}")),
            warn: number(1),
            crit: number(2),
            min: number(3),
            max: number(4),
        };
        assert!(figures.insert(label.clone(), figure).is_none(), "{label} twice");
        rest = next.trim_start();
    }
    figures
}

#[test]
fn the_parser_of_these_tests_distinguishes_quoted_labels_from_broken_ones() {
    let read = read_figures("'it''s'=1;2;3;0;9 plain=-0.5 'a b'=7;;;0");
    assert_eq!(read.keys().collect::<Vec<_>>(), ["a b", "it's", "plain"]);
    assert_eq!((read["it's"].warn, read["it's"].max), (Some(2.0), Some(9.0)));
    assert_eq!((read["a b"].crit, read["a b"].min), (None, Some(0.0)));
    for broken in ["'a=1", "a", "=1", "'a'=x", "'a'=1;2;3;4;5;6", "'a'=1 'a'=2"] {
        assert!(std::panic::catch_unwind(|| read_figures(broken)).is_err(), "{broken}");
    }
}

#[test]
fn the_plugins_line_follows_the_guidelines_in_every_state() {
    require!();
    for world in &WORLDS {
        let (name, sem, orphans, args, code, _) = *world;
        let ns = inhabited(world);
        let run = check(&ns, &format!("--format nagios {args}"));
        let plugin = plugin(&run);
        assert_eq!(plugin.code, code, "{name}: {run}");
        if code == 3 {
            assert!(plugin.figures.is_empty() && plugin.text.contains("do: "), "{name}: {run}");
            continue;
        }
        let labels: Vec<&str> = plugin.figures.keys().map(String::as_str).collect();
        assert_eq!(labels, ["free", "kept", "orphans", "semaphores", "sets"], "{name}");
        let most: Vec<f64> = sem.split(' ').map(|n| n.parse().expect("a number")).collect();
        let (sets, semaphores) = (&plugin.figures["sets"], &plugin.figures["semaphores"]);
        assert_eq!((sets.max, semaphores.max), (Some(most[3]), Some(most[1])), "{name}: {run}");
        assert_eq!(sets.value, orphans as f64, "{name}: {run}");
        assert_eq!(plugin.figures["orphans"].value, orphans as f64, "{name}: {run}");
        assert_eq!(plugin.figures["free"].value, most[3] - orphans as f64, "{name}: {run}");
        assert!(plugin.figures.values().all(|f| f.min == Some(0.0)), "{name}: {run}");
        // A graph with the thresholds shows the same alert: it is raised above them.
        let above = |limit: fn(&Figure) -> Option<f64>| {
            [sets, semaphores].iter().any(|f| limit(f).is_some_and(|limit| f.value > limit))
        };
        if !args.contains("--httpd") {
            assert_eq!(above(|f| f.crit), code == 2, "{name}: {run}");
            assert_eq!(above(|f| f.warn), code >= 1, "{name}: {run}");
        }
    }
}

#[test]
fn a_mistake_in_the_command_line_gives_unknown_and_one_line() {
    require!();
    let ns = Namespace::new(ROOMY);
    for args in ["--format nagios --bogus", "--format nagios --need x", "--need x --format=nagios"]
    {
        let plugin = plugin(&check(&ns, args));
        assert_eq!(plugin.code, 3, "{args}: {plugin:?}");
    }
}

#[test]
fn without_root_the_line_says_how_full_the_table_is_and_what_could_not_be_seen() {
    require!();
    let ns = Namespace::new(SMALL);
    ns.orphans(6, WWW);
    let under = format!("setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups");
    let run = ns.guard_under(&under, "check --format nagios");
    let plugin = plugin(&run);
    assert_eq!(plugin.code, 2, "{run}");
    assert_eq!(plugin.figures["sets"].value, 6.0, "{run}");
    assert_eq!(plugin.figures["orphans"].value, 0.0, "it cannot know: {run}");
    assert!(
        plugin.text.contains("6 semaphore sets of the guarded users could not be examined"),
        "{run}"
    );
    assert!(plugin.text.contains("run as root"), "{run}");
}

#[test]
fn the_line_for_a_crowded_table_with_long_names_fits_into_what_nagios_reads() {
    require!();
    let ns = Namespace::new("250 32000 32 400");
    for uid in 0..400 {
        ns.sh(&format!("setpriv --reuid {} ipcmk -S 1", 4_000_000_000_u32 + uid)).exits(0);
    }
    plugin(&check(&ns, "--format nagios --no-ask"));
}

// ---- the metrics -----------------------------------------------------------------------------------

/// The series of a text exposition, by their names and labels as written.
#[track_caller]
fn read_metrics(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let (mut families, mut told, mut helped) = (BTreeSet::new(), String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
            assert!(!words.trim().is_empty(), "{line}");
            helped = name.to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert_eq!(kind, "gauge", "{line}");
            assert_eq!(name, helped, "the help must come first: {line}");
            assert!(
                families.insert(name.to_owned()),
                "OpenMetrics wants a family in one piece: {line}"
            );
            // OpenMetrics reserves these for other types.
            for kept in ["_total", "_count", "_sum", "_bucket", "_created"] {
                assert!(!name.ends_with(kept), "{line}");
            }
            told = name.to_owned();
            continue;
        }
        assert!(!line.starts_with('#') && !line.trim().is_empty(), "{line:?}");
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        assert_eq!(name.split('{').next(), Some(told.as_str()), "not with its family: {line}");
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        assert!(series.insert(name.to_owned(), value).is_none(), "twice: {line}");
    }
    assert!(text.ends_with('\n'), "{text}");
    series
}

fn promtool_on(text: &str) -> Run {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = promtool.stderr(Stdio::piped()).spawn().expect("promtool runs");
    let mut input = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut input, text.as_bytes()).expect("written");
    drop(input);
    Run::end(child)
}

#[test]
fn promtool_accepts_the_metrics_in_every_state_without_remarks() {
    require!("promtool");
    for world in &WORLDS {
        let (name, sem, orphans, args, _, code) = *world;
        let ns = inhabited(world);
        let run = check(&ns, &format!("--format prometheus {args}"));
        assert_eq!(run.code, Some(code), "{name}: {run}");
        let remarks = promtool_on(&run.out);
        assert_eq!((remarks.code, remarks.err.as_str()), (Some(0), ""), "{name}: {remarks}\n{run}");
        assert_eq!(remarks.out, "", "{name}");

        let series = read_metrics(&run.out);
        let answered = f64::from(u8::from(code != 78));
        assert_eq!(series["httpd_semguard_last_run_success"], answered, "{name}: {run}");
        if code == 78 {
            assert_eq!(series.len(), 3, "only the failure, its time, and the version: {run}");
            continue;
        }
        let of = |owner: &str, state: &str| {
            series[&format!("httpd_semguard_semaphore_sets{{owner=\"{owner}\",state=\"{state}\"}}")]
        };
        assert_eq!(of("www-data", "orphan"), orphans as f64, "{name}: {run}");
        for state in ["in_use", "undecided", "not_httpd", "unknown"] {
            assert_eq!(of("www-data", state), 0.0, "{name}: {state}: {run}");
        }
        for (place, limit) in ["semmsl", "semmns", "semopm", "semmni"].iter().enumerate() {
            let value = series[&format!("httpd_semguard_limit{{name=\"{limit}\"}}")];
            assert_eq!(
                Some(value),
                sem.split(' ').nth(place).and_then(|n| n.parse().ok()),
                "{run}"
            );
        }
        let forecast = ["starts", "at_risk", "fails"]
            .map(|s| series[&format!("httpd_semguard_start_forecast{{state=\"{s}\"}}")]);
        assert_eq!(forecast.iter().sum::<f64>(), 1.0, "exactly one must be 1: {run}");
        let is_mute = args.contains("--httpd");
        came_of_asking(&series, if is_mute { "no_answer" } else { "not_asked" });
    }
}

#[track_caller]
fn came_of_asking(series: &BTreeMap<String, f64>, what: &str) {
    for state in ["answered", "no_answer", "not_found", "not_asked"] {
        let is = series[&format!("httpd_semguard_httpd_asked{{state=\"{state}\"}}")];
        assert_eq!(is, f64::from(u8::from(state == what)), "{state}, not {what}");
    }
}

#[test]
fn the_metrics_distinguish_an_httpd_that_could_not_be_asked_from_one_that_was_not_found() {
    require!("apache2");
    let ns = Namespace::new(ROOMY);
    let modules = "/usr/lib/apache2/modules";
    ns.write(
        "httpd.conf",
        &format!(
            "ServerName a\nUser www-data\nGroup www-data\nErrorLog /dev/null\n\
             DefaultRuntimeDir /run/t\nPidFile /run/t/pid\nListen 127.0.0.1:81\n\
             LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n"
        ),
    );
    let series = |args: &str| {
        let run = check(&ns, &format!("--format prometheus --user 33 {args}"));
        read_metrics(&run.exits(0).out)
    };
    let httpd = "--httpd /usr/sbin/apache2 -- -f /run/t";
    came_of_asking(&series(&format!("{httpd}/httpd.conf")), "answered");
    came_of_asking(&series(&format!("{httpd}/nowhere.conf")), "no_answer");
    came_of_asking(&series("--no-ask"), "not_asked");
    ns.sh("mount -t tmpfs tmpfs /usr/sbin").exits(0);
    came_of_asking(&series(""), "not_found");
}

#[test]
fn a_metrics_file_is_complete_at_every_moment_and_readable_by_everybody() {
    require!("promtool");
    let ns = Namespace::new(ROOMY);
    ns.sh("mkdir -m 755 /run/t/textfile").exits(0);
    let output = "--no-ask --format prometheus --output /run/t/textfile/httpd-semguard.prom";
    check(&ns, output).exits(0);
    let reader = ns
        .command("sh")
        .args(["-c", "umask 077; exec \"$0\" check $1"])
        .arg(env!("CARGO_BIN_EXE_httpd-semguard"))
        .arg(output)
        .spawn()
        .expect("it runs");
    assert!(reader.wait_with_output().expect("waited").status.success());
    ns.sh("ls /run/t/textfile").exits(0).prints("httpd-semguard.prom\n");
    let list = ns.sh("stat -c '%a %n' /run/t/textfile/*").exits(0);
    assert_eq!(list.out, "644 /run/t/textfile/httpd-semguard.prom\n", "and no other file");

    // Read repeatedly while it is written repeatedly.
    let path = ns.path("/run/t/textfile/httpd-semguard.prom");
    let first = fs::read_to_string(&path).expect("read");
    let names = |text: &str| read_metrics(text).into_keys().collect::<Vec<_>>();
    let mut writer = ns
        .command("sh")
        .args(["-c", "for i in 1 2 3 4 5 6 7 8 9; do \"$0\" check $1 || exit; done"])
        .arg(env!("CARGO_BIN_EXE_httpd-semguard"))
        .arg(output)
        .spawn()
        .expect("it runs");
    let mut reads = 0;
    while writer.try_wait().expect("a child").is_none() {
        assert_eq!(names(&fs::read_to_string(&path).expect("always there")), names(&first));
        reads += 1;
    }
    assert!(reads > 10, "only {reads} reads");
}

// ---- the alerts --------------------------------------------------------------------------------------

fn source(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

#[test]
fn promtool_accepts_the_rules_and_each_fires_when_it_should_and_not_before() {
    require!("promtool");
    let promtool = |what: &str, file: &str| {
        let mut command = Command::new("promtool");
        command.args([what, "rules", file]).current_dir(source("packaging/prometheus"));
        Run::of(command.stdin(Stdio::null())).exits(0)
    };
    promtool("check", "httpd-semguard.rules.yml");
    promtool("test", "httpd-semguard.rules.test.yml");
    let tests = fs::read_to_string(source("packaging/prometheus/httpd-semguard.rules.test.yml"));
    let tests = tests.expect("read");
    for alert in RULES.lines().filter_map(|l| l.trim().strip_prefix("- alert: ")) {
        let fires = |end| format!("alertname: {alert}\n        exp_alerts:{end}");
        // An anchor refers to alerts that are expected again.
        let times = tests.matches(&fires("\n")).count() + tests.matches(&fires(" &")).count();
        assert!(times > 0, "no test makes {alert} fire");
    }
}

#[test]
fn every_metric_and_label_in_the_rules_is_written_by_the_program() {
    require!();
    let ns = Namespace::new(ROOMY);
    let series = read_metrics(&check(&ns, "--no-ask --format prometheus").exits(0).out);
    let mut seen = 0;
    for piece in RULES.split("httpd_semguard_").skip(1) {
        let name: String =
            piece.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
        let family = format!("httpd_semguard_{name}");
        let with = |part: &str| {
            series.keys().any(|s| s.split('{').next() == Some(&family) && s.contains(part))
        };
        assert!(with(""), "nobody writes {family}");
        let selector = piece[name.len()..].strip_prefix('{').and_then(|s| s.split('}').next());
        for matcher in selector.unwrap_or("").split(',').filter(|m| !m.is_empty()) {
            let (label, values) = matcher.split_once('=').expect("a matcher");
            for value in values.trim_start_matches('~').trim_matches('"').split('|') {
                assert!(with(&format!("{label}=\"{value}\"")), "{family} has no {label}={value}");
                seen += 1;
            }
        }
    }
    assert!(seen > 6, "only {seen} labels were checked");
}

/// A program of the namespace that ends with the test.
struct Daemon(Child);

impl Daemon {
    fn start(ns: &Namespace, program: &str, args: &str, log: &str) -> Daemon {
        let log = fs::File::create(ns.path(log)).expect("created");
        let mut command = ns.command(program);
        command.args(args.split_whitespace()).stdout(log.try_clone().expect("a file")).stderr(log);
        Daemon(command.spawn().expect("it runs"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The whole path: the check writes, node_exporter reads as its own user, and Prometheus scrapes it and
/// raises the alert. The waiting times of the rules are left out; their own tests cover them.
#[test]
fn a_full_table_raises_an_alert_in_prometheus_that_ends_when_there_is_room() {
    require!("prometheus", "prometheus-node-exporter", "curl");
    let ns = Namespace::new(SMALL);
    let sets = ns.orphans(6, WWW);
    ns.sh("cd /run/t; mkdir -m 755 textfile; mkdir -m 777 data").exits(0);
    let rules: Vec<&str> = RULES.lines().filter(|l| !l.trim().starts_with("for:")).collect();
    ns.write("rules.yml", &rules.join("\n"));
    ns.write(
        "prometheus.yml",
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n\
         rule_files: [rules.yml]\n\
         scrape_configs:\n\
         - job_name: node\n  static_configs: [{targets: ['127.0.0.1:9100']}]\n",
    );
    let output = "--no-ask --format prometheus --output /run/t/textfile/httpd-semguard.prom";
    check(&ns, output).exits(69);
    // An instance has a file next to it, with the same figures, which differ by the instance's name.
    let of_shop = "--no-ask --instance shop --format prometheus --output \
                   /run/t/textfile/httpd-semguard-shop.prom";
    check(&ns, of_shop).exits(69);
    let as_nobody = format!("--reuid {NOBODY} --regid {NOBODY} --clear-groups");
    let _exporter = Daemon::start(
        &ns,
        "setpriv",
        &format!(
            "{as_nobody} prometheus-node-exporter --web.listen-address=127.0.0.1:9100 \
             --collector.disable-defaults --collector.textfile \
             --collector.textfile.directory=/run/t/textfile"
        ),
        "/run/t/exporter.log",
    );
    let _prometheus = Daemon::start(
        &ns,
        "setpriv",
        &format!(
            "{as_nobody} prometheus --config.file=/run/t/prometheus.yml \
             --storage.tsdb.path=/run/t/data --web.listen-address=127.0.0.1:9090"
        ),
        "/run/t/prometheus.log",
    );
    let alerts = || ns.sh("curl -s http://127.0.0.1:9090/api/v1/alerts").out;
    wait_until("both alarms are raised", || {
        alerts().matches("\"alertname\":\"HttpdStartWouldFail\"").count() == 2
    });
    let raised = alerts();
    for part in [
        "httpd on 127.0.0.1:9100 would not start again",
        "httpd shop on 127.0.0.1:9100 would not start again",
        "\\\"httpd-semguard check --instance shop\\\"",
        "\"severity\":\"critical\"",
        "\"firing\"",
    ] {
        assert!(raised.contains(part), "{part}: {raised}");
    }
    let scrape = || ns.sh("curl -s http://127.0.0.1:9100/metrics");
    scrape().prints("\nnode_textfile_scrape_error 0\n");

    ns.guard("guard").exits(0);
    assert!(ns.ids().iter().all(|id| !sets.contains(id)));
    check(&ns, output).exits(0);
    check(&ns, of_shop).exits(0);
    wait_until("the alarms are over", || !alerts().contains("HttpdStartWouldFail"));

    // Without that name, the figures in the second file would be rejected.
    let refused = || ns.sh("cat /run/t/exporter.log").out.contains("was collected before with");
    assert!(!refused());
    ns.sh("cd /run/t/textfile; cp httpd-semguard.prom httpd-semguard-shop.prom").exits(0);
    scrape();
    wait_until("node_exporter refuses them", refused);
}

// ---- Nagios and Icinga -------------------------------------------------------------------------------

/// The example, changed to call the program of these tests, immediately.
fn example(ns: &Namespace, name: &str) -> String {
    let text = fs::read_to_string(source(&format!("packaging/nagios/{name}"))).expect("read");
    assert!(text.contains("/usr/sbin/httpd-semguard"), "{name} does not call the program");
    text.replace("/usr/sbin/httpd-semguard", &ns.guard_copy())
        .replace("check --format nagios", "check --format nagios --no-ask")
        .replace("\"--format\", \"nagios\"", "\"--format\", \"nagios\", \"--no-ask\"")
        .replace("check_interval          5", "check_interval 1")
        .replace("check_interval = 5m", "check_interval = 1s")
}

#[test]
fn nagios_accepts_the_example_and_reads_the_result_of_the_check() {
    require!("nagios4");
    let ns = Namespace::new(SMALL);
    ns.orphans(6, WWW);
    ns.sh("mkdir -p /run/t/n/spool && chown -R nagios /run/t/n && chmod 755 /run/t").exits(0);
    ns.write("service.cfg", &example(&ns, "httpd-semguard.cfg"));
    ns.write(
        "host.cfg",
        "define host {\n host_name localhost\n address 127.0.0.1\n active_checks_enabled 0\n\
         max_check_attempts 1\n contact_groups admins\n check_period 24x7\n notification_period 24x7\n}\n",
    );
    let objects = ["commands", "contacts", "timeperiods", "templates"]
        .map(|o| format!("cfg_file=/etc/nagios4/objects/{o}.cfg\n"));
    let main = ns.write(
        "nagios.cfg",
        &format!(
            "{}cfg_file=/run/t/host.cfg\ncfg_file=/run/t/service.cfg\nnagios_user=nagios\n\
             nagios_group=nagios\nlog_file=/run/t/n/log\nobject_cache_file=/run/t/n/objects\n\
             status_file=/run/t/n/status\nlock_file=/run/t/n/lock\ntemp_file=/run/t/n/temp\n\
             check_result_path=/run/t/n/spool\ncommand_file=/run/t/n/command\n\
             state_retention_file=/run/t/n/retention\nretain_state_information=1\n\
             service_inter_check_delay_method=n\ninterval_length=1\nenable_notifications=0\n\
             execute_service_checks=1\ncheck_for_updates=0\n\
             illegal_macro_output_chars=`~$&|'\"<>\n",
            objects.concat()
        ),
    );
    let run = ns.sh(&format!("nagios4 -v {main}")).exits(0);
    run.prints("Total Warnings: 0\n").prints("Total Errors:   0\n");
    // It saves what it read when it ends.
    ns.sh(&format!("timeout 4 nagios4 {main}"));
    let kept = fs::read_to_string(ns.path("/run/t/n/retention")).unwrap_or_else(|e| {
        panic!("{e}: {}", fs::read_to_string(ns.path("/run/t/n/log")).unwrap_or_default())
    });
    let service = kept.split("service {").nth(1).unwrap_or_else(|| panic!("{kept}"));
    assert!(service.contains("\ncurrent_state=2\n"), "{service}");
    assert!(
        service.contains(
            "\nplugin_output=SEMGUARD CRITICAL - semaphore table full: httpd would not start"
        ),
        "{service}"
    );
    assert!(service.contains("\nperformance_data='sets'=6;"), "{service}");
    assert!(service.contains("\nlong_plugin_output=\n"), "{service}");
}

#[test]
fn icinga_accepts_the_example_and_reads_the_result_of_the_check() {
    require!("icinga2");
    let ns = Namespace::new(SMALL);
    ns.orphans(6, WWW);
    ns.sh("cd /run/t; mkdir -p i/data i/log i/run i/cache i/spool; chown -R nagios i; chmod 755 .")
        .exits(0);
    ns.write("example.conf", &example(&ns, "httpd-semguard.icinga2.conf"));
    let main = ns.write(
        "icinga2.conf",
        "const NodeName = \"localhost\"\ninclude <itl>\nlibrary \"methods\"\n\
         object CheckerComponent \"checker\" { }\n\
         object Host \"localhost\" {\n check_command = \"dummy\"\n vars.httpd_semguard = true\n}\n\
         object PerfdataWriter \"figures\" {\n\
           service_perfdata_path = \"/run/t/i/spool/service\"\n\
           service_temp_path = \"/run/t/i/spool/.service\"\n\
           host_perfdata_path = \"/run/t/i/spool/host\"\n\
           host_temp_path = \"/run/t/i/spool/.host\"\n\
           rotation_interval = 1s\n\
           service_format_template = \"$service.state$ $service.output$ FIGURES $service.perfdata$\"\n}\n\
         include \"/run/t/example.conf\"\n",
    );
    let icinga = |how: &str| {
        let dirs = ["Data data", "Log log", "InitRun run", "Cache cache", "Spool spool"].map(|d| {
            let (name, dir) = d.split_once(' ').expect("two words");
            format!("-D {name}Dir=/run/t/i/{dir} ")
        });
        format!("daemon {how} -c {main} {}-D RunAsUser=nagios -D RunAsGroup=nagios", dirs.concat())
    };
    let run = ns.sh(&format!("icinga2 {}", icinga("-C"))).exits(0);
    assert!(!run.out.contains("warning"), "{run}");
    let _daemon = Daemon::start(&ns, "icinga2", &icinga(""), "/run/t/icinga.log");
    let said = || ns.sh("cat /run/t/i/spool/service.* /run/t/i/spool/.service").out;
    wait_until("it has checked", || said().contains("FIGURES"));
    let said = said();
    assert!(
        said.contains("CRITICAL SEMGUARD CRITICAL - semaphore table full: httpd would not start"),
        "{said}"
    );
    // It parses each figure and writes it again.
    assert!(said.contains("FIGURES sets=6;4;5;0;6 semaphores=6;"), "{said}");
}

#[test]
fn the_example_for_nrpe_runs_the_check_as_sudo_would() {
    let text =
        fs::read_to_string(source("packaging/nagios/httpd-semguard.nrpe.cfg")).expect("read");
    let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).collect();
    assert_eq!(lines.len(), 1, "{text}");
    let (name, call) = lines[0].split_once("]=/usr/bin/sudo -n ").expect("a command");
    assert_eq!(name, "command[check_httpd_semguard");
    // sudo allows exactly the command that is called.
    let cfg = fs::read_to_string(source("packaging/nagios/httpd-semguard.cfg")).expect("read");
    assert!(cfg.contains(&format!("#     nagios ALL=(root) NOPASSWD: {call}\n")), "{call}");
    assert!(cfg.contains(&format!("command_line    {call}\n")), "{call}");
}
