//! What a run costs, compared with the cost of the kernel alone (bench/floor.c): every row in
//! docs/performance.md, in namespaces of its own. `make bench` runs it as root.
//!
//! The sides of a row are measured alternately, so that a disturbance affects all of them. It fails only
//! if a run is broken, never because of a figure.
#![allow(missing_docs, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use httpd_semguard::act;
use nix::unistd::{Gid, Uid};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const GUARD: &str = env!("CARGO_BIN_EXE_httpd-semguard");

/// httpd's user, and an unrelated one.
const WWW: u32 = 33;
const STRANGER: u32 = 1234;

/// The maximum number of sets without special kernel parameters (SEMMNI, ipc/util.h `IPCMNI`).
const MOST: usize = 32_768;

const SETS: [usize; 6] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
const PROCESSES: [usize; 5] = [500, 1_000, 2_000, 5_000, 10_000];

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["make", count, uid] => make(count.parse()?, uid.parse()?),
        ["hold", count, uid] => {
            make(count.parse()?, uid.parse()?)?;
            println!("ready");
            nix::unistd::pause();
            Ok(())
        }
        ["inside", row, dir] => inside(row, &Bench::new(dir)?),
        [dir] => outside(&Bench::new(dir)?),
        _ => Err("usage: cargo bench --bench cost -- DIRECTORY".into()),
    }
}

/// Sets like httpd's mutexes. Their last PID is this process, which either exits or holds them.
fn make(count: usize, uid: u32) -> Result<()> {
    for _ in 0..count {
        let id = act::sysv::create(0)?;
        act::sysv::set_value(id, 1)?;
        act::sysv::chown(id, Uid::from_raw(uid), Gid::from_raw(uid))?;
    }
    Ok(())
}

struct Bench {
    /// The directory for the report, and for everything that is built for it.
    dir: PathBuf,
    /// The number of runs of each side.
    runs: usize,
}

/// What is measured, and what is done before each run.
struct Side {
    name: String,
    before: Vec<String>,
    command: Vec<String>,
}

fn side(name: &str, command: &[&str]) -> Side {
    let command = command.iter().map(|w| (*w).to_owned()).collect();
    Side { name: name.to_owned(), before: Vec::new(), command }
}

impl Side {
    /// Before each run, create this many new sets of this user.
    fn with_new(mut self, count: usize, uid: u32) -> Side {
        self.before = vec![own_path(), "make".into(), count.to_string(), uid.to_string()];
        self
    }
}

fn own_path() -> String {
    env::current_exe().map(|p| p.display().to_string()).unwrap_or_default()
}

/// The figures of one side.
#[derive(Clone, Debug, Default)]
struct Figures {
    nanoseconds: Vec<u64>,
    processor: Vec<u64>,
    kib: Vec<u64>,
}

fn sorted(figures: &[u64]) -> Vec<u64> {
    let mut sorted = figures.to_vec();
    sorted.sort_unstable();
    sorted
}

/// In milliseconds, from nanoseconds.
fn median(figures: &[u64]) -> f64 {
    let sorted = sorted(figures);
    let half = sorted.len() / 2;
    (sorted[half] + sorted[(sorted.len() - 1) / 2]) as f64 / 2e6
}

impl Figures {
    /// In milliseconds.
    fn median(&self) -> f64 {
        median(&self.nanoseconds)
    }

    /// CPU time, in milliseconds.
    fn processor(&self) -> f64 {
        median(&self.processor)
    }

    fn peak(&self) -> u64 {
        self.kib.iter().copied().max().unwrap_or_default()
    }

    /// "median (least to most) ms".
    fn words(&self) -> String {
        let sorted = sorted(&self.nanoseconds);
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        let ms = |ns: u64| short(ns as f64 / 1e6);
        format!("{} ({} to {}) ms", short(self.median()), ms(least), ms(most))
    }
}

fn short(n: f64) -> String {
    match n {
        n if n < 10.0 => format!("{n:.2}"),
        n if n < 100.0 => format!("{n:.1}"),
        _ => format!("{n:.0}"),
    }
}

// Inside: one row, in namespaces of its own.

fn inside(row: &str, bench: &Bench) -> Result<()> {
    shell("mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/lock")?;
    fs::write("/proc/sys/kernel/sem", format!("250 1000000 32 {MOST}"))?;
    let floor = bench.floor();
    let floor = floor.as_str();
    let guard = [GUARD, "guard", "--no-ask", "--user", "www-data"];
    let dry = [GUARD, "guard", "--dry-run", "--no-ask", "--user", "www-data"];
    let check = [GUARD, "check", "--no-ask", "--user", "www-data"];
    let (name, number) = row.split_once(' ').unwrap_or((row, "0"));
    let number: usize = number.parse()?;
    match name {
        "nothing" => bench.measure(
            bench.runs,
            &[side("guard", &[GUARD, "guard", "--no-ask"]), side("floor", &["ipcs", "-s"])],
        ),
        "asking" => bench.measure(
            bench.runs,
            &[
                side("guard", &[GUARD, "guard"]),
                side("floor", &["apachectl", "-t"]),
                side("same", &["sh", "-c", QUESTION]),
            ],
        ),
        "orphans" => bench.measure(
            bench.runs,
            &[
                side("guard", &guard).with_new(number, WWW),
                side("floor", &[floor, "orphans"]).with_new(number, WWW),
                side("same", &[floor, "same-orphans"]).with_new(number, WWW),
            ],
        ),
        "loop" => {
            let script = "for i in $(ipcs -s | awk '/www-data/ {print $2}'); do ipcrm -s $i; done";
            bench.measure(bench.runs, &[side("floor", &["sh", "-c", script]).with_new(number, WWW)])
        }
        "foreign" => {
            make_apart(number, STRANGER)?;
            make_apart(100, WWW)?;
            bench.measure(bench.runs, &[side("guard", &dry), side("floor", &[floor, "sets"])])
        }
        "processes" | "root-processes" => {
            make_apart(1, WWW)?;
            let uid = if name == "processes" { STRANGER } else { 0 };
            let _crowd = ready(&bench.floor(), "crowd", number, uid)?;
            let whose = if uid == 0 { "root" } else { "others" };
            bench.measure(
                bench.runs,
                &[
                    side("guard", &dry),
                    side("floor", &[floor, "processes"]),
                    side("same", &[floor, "same-processes", whose]),
                ],
            )
        }
        "memory" => {
            make_apart(MOST - 1, WWW)?;
            bench.measure(5, &[side("check", &check), side("dry run", &dry)])
        }
        "memory-removed" => bench.measure(5, &[side("guard", &guard).with_new(MOST - 1, WWW)]),
        "kept" => {
            let _holder = ready(&own_path(), "hold", number, WWW)?;
            bench.measure(5, &[side("guard", &guard)])
        }
        // The leader of an httpd with mod_php, mod_perl and mod_wsgi has 8.5 MB in use (docs/performance.md).
        "healthy" => {
            move_on()?;
            let _httpd = bench.httpd(8_704, 2)?;
            bench.measure(bench.runs, &read_or_not(&check))
        }
        "workers" => {
            move_on()?;
            let _httpd = bench.httpd(8_704, number)?;
            make_apart(1, WWW)?;
            bench.measure(bench.runs, &read_or_not(&dry))
        }
        "leader" => {
            move_on()?;
            let _httpd = bench.httpd(number * 1024, 0)?;
            make_apart(1, WWW)?;
            bench.measure(5, &read_or_not(&dry))
        }
        _ => Err(format!("there is no row called {row}").into()),
    }
}

/// Advances the semids to those that can be recognized in memory, as on a machine that has been running
/// for a long time.
fn move_on() -> Result<()> {
    loop {
        let id = act::sysv::create(0)?;
        act::sysv::remove(id)?;
        if id.0 >= 50 << 15 {
            return Ok(());
        }
    }
}

/// A run that reads memory, and the same run without.
fn read_or_not(command: &[&str]) -> [Side; 2] {
    [side("guard", command), side("floor", &[command, &["--no-memory"]].concat())]
}

fn make_apart(count: usize, uid: u32) -> Result<()> {
    let made = Command::new(own_path())
        .args(["make".to_owned(), count.to_string(), uid.to_string()])
        .status()?;
    if made.success() { Ok(()) } else { Err(format!("{count} sets could not be made").into()) }
}

/// A program that creates this many sets or processes for this user, and then waits until the namespace
/// ends.
fn ready(program: &str, what: &str, count: usize, uid: u32) -> Result<Child> {
    let mut command = Command::new(program);
    when_ready(command.args([what.to_owned(), count.to_string(), uid.to_string()]))
}

fn when_ready(command: &mut Command) -> Result<Child> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
    if line == "ready\n" { Ok(child) } else { Err(format!("not ready: {command:?}").into()) }
}

fn shell(script: &str) -> Result<()> {
    let done = Command::new("sh").args(["-c", script]).status()?;
    if done.success() { Ok(()) } else { Err(format!("failed: {script}").into()) }
}

impl Bench {
    fn new(dir: &str) -> Result<Bench> {
        let runs = env::var("BENCH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
        Ok(Bench { dir: fs::canonicalize(dir)?, runs })
    }

    fn floor(&self) -> String {
        self.dir.join("floor").display().to_string()
    }

    /// An httpd started in the usual way, with this much memory in use and this many workers.
    fn httpd(&self, kib: usize, workers: usize) -> Result<Child> {
        fs::copy(self.floor(), "/run/httpd")?;
        let mut httpd = Command::new("/run/httpd");
        httpd.args(["httpd".to_owned(), kib.to_string(), workers.to_string(), WWW.to_string()]);
        when_ready(&mut httpd)
    }

    /// Runs all sides alternately, once without measuring, and prints a line for each run.
    fn measure(&self, runs: usize, sides: &[Side]) -> Result<()> {
        for run in 0..=runs {
            for side in sides {
                if let Some((program, args)) = side.before.split_first() {
                    Command::new(program).args(args).status()?;
                }
                let timed =
                    Command::new(self.floor()).arg("time").args(&side.command).output()?.stdout;
                let timed = String::from_utf8(timed)?;
                let [ns, processor, kib, code] = timed.split_whitespace().collect::<Vec<_>>()[..]
                else {
                    return Err(format!("{:?} did not run", side.command).into());
                };
                if code != "0" {
                    return Err(format!("{:?} exits {code}", side.command).into());
                }
                if run > 0 {
                    println!("{}\t{ns}\t{processor}\t{kib}", side.name);
                }
            }
        }
        Ok(())
    }

    // Outside: all rows, and the report.

    /// The figures of a row, by side.
    fn row(&self, row: &str) -> Result<BTreeMap<String, Figures>> {
        eprint(&format!("bench: {row}"));
        let out = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--ipc", "--pid", "--mount", "--fork"])
            .args(["--kill-child", "--mount-proc", &own_path(), "inside", row])
            .arg(&self.dir)
            .stderr(Stdio::inherit())
            .output()?;
        if !out.status.success() {
            return Err(format!("the row {row:?} is broken").into());
        }
        let mut figures: BTreeMap<String, Figures> = BTreeMap::new();
        for line in String::from_utf8(out.stdout)?.lines() {
            let [name, ns, processor, kib] = line.split('\t').collect::<Vec<_>>()[..] else {
                return Err(format!("the row {row:?} says {line:?}").into());
            };
            let side = figures.entry(name.to_owned()).or_default();
            side.nanoseconds.push(ns.parse()?);
            side.processor.push(processor.parse()?);
            side.kib.push(kib.parse()?);
        }
        Ok(figures)
    }

    /// Writes a plot of the cost in milliseconds against a number, with one line for each side.
    fn plot(&self, name: &str, of: &str, points: &[(usize, f64, f64)]) -> Result<()> {
        let data: String = points.iter().map(|(n, g, f)| format!("{n} {g} {f}\n")).collect();
        fs::write(self.dir.join(format!("{name}.dat")), data)?;
        let script = format!(
            "set terminal svg size 640,400 background rgb 'white'\nset output '{name}.svg'\n\
             set xlabel '{of}'\nset ylabel 'milliseconds (median)'\nset key left top\nset grid\n\
             set xrange [0:]\nset yrange [0:]\n\
             plot '{name}.dat' using 1:2 with linespoints title 'httpd-semguard', \
             '{name}.dat' using 1:3 with linespoints title 'bare C loop'\n"
        );
        let script_file = self.dir.join(format!("{name}.gnuplot"));
        fs::write(&script_file, script)?;
        let plotted = Command::new("gnuplot").arg(script_file).current_dir(&self.dir).status()?;
        if plotted.success() { Ok(()) } else { Err("gnuplot failed".into()) }
    }
}

fn eprint(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line in the report.
struct Line {
    case: &'static str,
    measured: String,
    against: String,
    ratio: String,
    /// The same for CPU time, which is less affected by other load.
    processor: String,
    target: &'static str,
    met: bool,
}

fn at_most(
    case: &'static str,
    (guard, against, what): (&Figures, &Figures, &str),
    most: f64,
    target: &'static str,
) -> Line {
    let ratio = guard.median() / against.median();
    Line {
        case,
        measured: guard.words(),
        against: format!("{what}: {}", against.words()),
        ratio: short(ratio),
        processor: short(guard.processor() / against.processor()),
        target,
        met: ratio <= most,
    }
}

/// The side that makes the guard's own calls, and nothing else: what it takes is the kernel's, or httpd's.
const SAME: &str = "same";

/// A line that says how much of a row is the guard's own.
fn same(case: &'static str, sides: (&Figures, &Figures, &str)) -> Line {
    at_most(case, sides, 1.5, "≤ 1.5")
}

/// What the guard asks of httpd's control program, where mod_info is installed.
const QUESTION: &str = "info=/usr/lib/apache2/modules/mod_info.so; \
    exec apachectl -t -D DUMP_RUN_CFG -D DUMP_MODULES -D DUMP_CONFIG -c \"LoadModule info_module $info\"";

fn outside(bench: &Bench) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err("it needs root, for namespaces and limits of its own".into());
    }
    let mut lines = Vec::new();
    let nothing = bench.row("nothing")?;
    let (guard, floor) = ("guard", "floor");
    lines.push(at_most(
        "nothing to do, `--no-ask`",
        (&nothing[guard], &nothing[floor], "`ipcs -s`"),
        1.5,
        "≤ 1.5",
    ));
    if Path::new("/usr/sbin/apachectl").exists() {
        let row = bench.row("asking")?;
        lines.push(at_most(
            "nothing to do, asking httpd",
            (&row[guard], &row[floor], "`apachectl -t`"),
            1.15,
            "≤ 1.15",
        ));
        lines.push(same("the same", (&row[guard], &row[SAME], "the same question by hand")));
    } else {
        eprint("bench: no apachectl: nothing is asked");
    }

    let mut orphans = BTreeMap::new();
    for n in SETS {
        orphans.insert(n, bench.row(&format!("orphans {n}"))?);
    }
    let of = |n: usize, side: &str| orphans[&n][side].clone();
    let points: Vec<(usize, f64, f64)> =
        SETS.iter().map(|n| (*n, of(*n, guard).median(), of(*n, floor).median())).collect();
    bench.plot("sets", "orphaned sets, all removed", &points)?;
    lines.push(at_most(
        "32,000 orphans removed",
        (&of(32_000, guard), &of(32_000, floor), "the bare loop in C"),
        2.0,
        "≤ 2",
    ));
    let calls = (&of(32_000, guard), &of(32_000, SAME), "the guard's own calls in C");
    lines.push(same("the same", calls));
    let (one, two) = (bench.row("loop 1000")?, bench.row("loop 2000")?);
    let (one, two) = (&one[floor], &two[floor]);
    let by = one.median() / of(1_000, guard).median();
    lines.push(Line {
        case: "1,000 orphans removed",
        measured: of(1_000, guard).words(),
        against: format!("the loop over `ipcrm`: {}", one.words()),
        ratio: format!("{} × faster", short(by)),
        processor: short(one.processor() / of(1_000, guard).processor()),
        target: "≥ 200 × faster",
        met: by >= 200.0,
    });
    let shell = carried_on(one.median(), two.median());
    let by = shell / of(32_000, guard).median();
    lines.push(Line {
        case: "32,000 orphans removed",
        measured: of(32_000, guard).words(),
        against: format!(
            "the loop over `ipcrm`: {} s, carried on from 1,000 and 2,000 ({})",
            short(shell / 1e3),
            two.words()
        ),
        ratio: format!("{} × faster", short(by)),
        processor: short(
            carried_on(one.processor(), two.processor()) / of(32_000, guard).processor(),
        ),
        target: "≥ 200 × faster",
        met: by >= 200.0,
    });

    let (few, many) = (bench.row("foreign 0")?, bench.row("foreign 30000")?);
    let slope = |side: &str| (many[side].median() - few[side].median()) / 30.0;
    let burden = |side: &str| many[side].processor() - few[side].processor();
    lines.push(Line {
        case: "30,000 foreign sets beside 100 of ours",
        measured: format!("{} µs for each", short(slope(guard))),
        against: format!("SEM_STAT_ANY alone: {} µs for each", short(slope(floor))),
        ratio: short(slope(guard) / slope(floor)),
        processor: short(burden(guard) / burden(floor)),
        target: "≤ 1.5",
        met: slope(guard) <= 1.5 * slope(floor),
    });

    let mut crowds = BTreeMap::new();
    for n in PROCESSES {
        crowds.insert(n, bench.row(&format!("processes {n}"))?);
    }
    let points: Vec<(usize, f64, f64)> =
        crowds.iter().map(|(n, row)| (*n, row[guard].median(), row[floor].median())).collect();
    bench.plot("processes", "processes of other users", &points)?;
    lines.push(at_most(
        "10,000 processes, of other users",
        (&crowds[&10_000][guard], &crowds[&10_000][floor], "a bare loop over stat and exe in C"),
        1.5,
        "≤ 1.5",
    ));
    let crowd = &crowds[&10_000];
    lines.push(same("the same", (&crowd[guard], &crowd[SAME], "the guard's own calls in C")));
    let roots = bench.row("root-processes 10000")?;
    lines.push(at_most(
        "10,000 processes, all of root's",
        (&roots[guard], &roots[floor], "a bare loop over stat and exe in C"),
        1.5,
        "≤ 1.5",
    ));
    lines.push(same("the same", (&roots[guard], &roots[SAME], "the guard's own calls in C")));

    lines.extend(memory_read(bench)?);

    let mut full = bench.row("memory")?;
    full.append(&mut bench.row("memory-removed")?);
    let (kept, many_kept) = (bench.row("kept 1")?, bench.row("kept 32767")?);
    let peak = |case, kib: u64, most: u64, target| Line {
        case,
        measured: format!("{kib} KiB"),
        against: String::new(),
        ratio: String::new(),
        processor: String::new(),
        target,
        met: kib <= most,
    };
    lines.push(peak("peak memory, nothing to do", nothing[guard].peak(), 4_096, "≤ 4 MiB"));
    lines.push(peak("the same, a set is kept", kept[guard].peak(), 4_096, "≤ 4 MiB"));
    for (case, side) in [
        ("peak memory, 32,767 orphans, `guard`", "guard"),
        ("the same, `guard --dry-run`", "dry run"),
        ("the same, `check`", "check"),
    ] {
        lines.push(peak(case, full[side].peak(), 10_240, "≤ 10 MiB"));
    }
    let peak_kept = many_kept[guard].peak();
    lines.push(peak("peak memory, 32,767 sets kept, `guard`", peak_kept, 10_240, "≤ 10 MiB"));
    let bytes = fs::metadata(GUARD)?.len();
    lines.push(Line {
        measured: format!("{} KiB", bytes / 1024),
        ..peak("the program, stripped, dynamic", bytes / 1024, 1_024, "≤ 1 MiB")
    });

    let report = report(bench, &lines)?;
    fs::write(bench.dir.join("report.md"), &report)?;
    print!("{report}");
    Ok(())
}

/// The cost of reading memory, compared with the same run with `--no-memory`.
fn memory_read(bench: &Bench) -> Result<Vec<Line>> {
    let over = |case, row: &BTreeMap<String, Figures>, most: f64, target| {
        let (guard, floor) = (&row["guard"], &row["floor"]);
        let by = guard.median() - floor.median();
        Line {
            case,
            measured: guard.words(),
            against: format!("`--no-memory`: {}", floor.words()),
            ratio: format!("{} ms more", short(by)),
            processor: format!("{} ms more", short(guard.processor() - floor.processor())),
            target,
            met: by <= most,
        }
    };
    let healthy = bench.row("healthy")?;
    let workers = bench.row("workers 256")?;
    let large = bench.row("leader 1024")?;
    let by = large["guard"].median() - large["floor"].median();
    let speed = 1024.0 * 1024.0 * 1024.0 / 1e6 / by;
    Ok(vec![
        over("`check`, an httpd with 8.5 MB in its leader", &healthy, 5.0, "≤ 5 ms more"),
        over(
            "`guard`, an httpd with 256 workers that share most of it",
            &workers,
            100.0,
            "≤ 100 ms more",
        ),
        Line {
            ratio: format!("{} GB/s", short(speed)),
            target: "≥ 1.5 GB/s",
            met: speed >= 1.5,
            ..over("`guard`, an httpd with 1 GiB in its leader", &large, 0.0, "")
        },
    ])
}

/// The cost of 32,000 sets, extrapolated from that of 1,000 and 2,000.
fn carried_on(one: f64, two: f64) -> f64 {
    one + 31.0 * (two - one)
}

fn report(bench: &Bench, lines: &[Line]) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |m| m.trim_start_matches([' ', '\t', ':']));
    let cores = cpus.lines().filter(|l| l.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // The version is before the first "-"; the rest identifies the builder.
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let mut text = format!(
        "{cores} cores, {model}; Linux {kernel}. Median (least to most) of {} runs on each side, \
         run in turn.\n\n\
         | case | measured | against | ratio | of processor time | target | |\n\
         |---|---|---|---|---|---|---|\n",
        bench.runs
    );
    for line in lines {
        let met = if line.met { "met" } else { "**missed**" };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {met} |",
            line.case, line.measured, line.against, line.ratio, line.processor, line.target
        )?;
    }
    Ok(text)
}
