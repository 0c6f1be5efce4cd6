//! What the parsers and the pure rooms promise for any input, one function each. Shared by two callers:
//! the fuzz targets in fuzz/ and the short runs in tests/fuzz.rs. Reads no files.

#![allow(missing_docs, unreachable_pub)]

mod bytes;
pub mod judge;

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use httpd_semguard::decide::demand;
use httpd_semguard::decide::kernel_sem::{self, Oddity};
use httpd_semguard::facts::build::Build;
use httpd_semguard::facts::capacity::{Capacity, IPCMNI, Limit, Limits, Usage};
use httpd_semguard::facts::dump::{Directive, Dump, Host, words as words_of};
use httpd_semguard::facts::heard::NoAnswer;
use httpd_semguard::facts::mutex::{Demand, Mechanism};
use httpd_semguard::facts::printable::printable;
use httpd_semguard::facts::time::BootTicks;
use httpd_semguard::look::httpd::dump;
use httpd_semguard::look::processes;

/// A check; it panics if the promise is broken.
pub type Check = fn(&[u8]);

/// Every check, by the name of its fuzz target and corpus.
pub const ALL: [(&str, Check); 10] = [
    ("capabilities", capabilities),
    ("capacity", capacity),
    ("complaint", complaint),
    ("dump", dump),
    ("executable", executable),
    ("judge", judge::judge),
    ("mountinfo", mountinfo),
    ("settings", settings),
    ("stat", stat),
    ("words", words),
];

/// /proc/PID/stat and status: a process chooses its own name, but cannot shift a field by it.
pub fn stat(data: &[u8]) {
    let _ = processes::parse_stat(data);
    let mut bytes = Bytes(data);
    let (group, session) = (bytes.i32(), bytes.i32());
    let (threads, start) = (bytes.i64(), bytes.i64().unsigned_abs());
    let mut line = b"4194304 (".to_vec();
    line.extend(bytes.0);
    let fields = format!(
        ") S 1 {group} {session} 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 {threads} 0 {start} 1 2\n"
    );
    line.extend(fields.as_bytes());
    let stat = processes::parse_stat(&line).expect("a line of the kernel's parses");
    assert_eq!((stat.group, stat.session, stat.threads), (group, session, threads));
    assert_eq!(stat.start, BootTicks(start));

    let _ = processes::parse_status(data);
    // The kernel escapes line breaks and backslashes there (fs/proc/array.c, `proc_task_name`).
    let mut text = b"Name:\t".to_vec();
    for byte in bytes.0 {
        match byte {
            b'\n' => text.extend(b"\\n"),
            b'\\' => text.extend(b"\\\\"),
            byte => text.push(*byte),
        }
    }
    let (uid, euid) = (group.unsigned_abs(), session.unsigned_abs());
    let lines = format!(
        "\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t42\nNgid:\t0\nPid:\t42\nPPid:\t7\n\
         TracerPid:\t0\nUid:\t{uid}\t{euid}\t{uid}\t{uid}\nGid:\t9\t9\t9\t9\n"
    );
    text.extend(lines.as_bytes());
    let status = processes::parse_status(&text).expect("the kernel's text parses");
    assert_eq!((status.ended, status.parent), (false, 7));
    assert_eq!(status.uids.map(|u| u.as_raw()), [uid, euid, uid, uid]);
}

/// /proc/self/mountinfo: only the last mount on /proc counts, wherever else users mount things.
pub fn mountinfo(data: &[u8]) {
    let text = text(data);
    let hidden = processes::hides_processes(&text);
    let elsewhere = "77 22 0:60 / /home/u/proc rw - fuse.x x rw,hidepid=2\n";
    assert_eq!(processes::hides_processes(&format!("{text}\n{elsewhere}")), hidden);
    for (options, want) in [("rw", false), ("rw,hidepid=off", false), ("rw,hidepid=4", true)] {
        let last = format!("{text}\n99 22 0:61 / /proc rw,nosuid shared:5 - proc proc {options}\n");
        assert_eq!(processes::hides_processes(&last), want, "{options}");
    }
}

/// /proc/self/status and uid_map, separated by a NUL: the right requires both the bit and the map, and
/// a process cannot give it to itself by its name.
pub fn capabilities(data: &[u8]) {
    let (status, map) = halves(data);
    let (status, map) = (text(status), text(map));
    let may = processes::may_look_into_all(&status, &map);
    if may {
        assert!(map.contains("4294967295") && status.contains("CapEff:"));
    }
    let named = format!("Name:\t{}\n{status}", map.replace(['\n', '\r'], " "));
    assert_eq!(processes::may_look_into_all(&named, &map), may);
    assert!(!processes::may_look_into_all(&status, "0 100000 65536"));
    assert!(!processes::may_look_into_all(&format!("CapEff:\t0\n{status}"), &map));
}

/// The path of an executable: a package upgrade neither turns an httpd into something else nor the
/// other way round.
pub fn executable(data: &[u8]) {
    let of = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let path = of(data);
    let known = processes::is_httpd(&path, None);
    if !data.ends_with(b" (deleted)") {
        let replaced = of(&[data, b" (deleted)"].concat());
        assert_eq!(processes::is_httpd(&replaced, None), known);
        assert!(processes::is_httpd(&replaced, Some(&path)));
    }
    // Different spellings of a path can be equal: leaves out everything that could equal this one.
    if known || !data.windows(4).any(|w| w == b"such") {
        assert_eq!(processes::is_httpd(&path, Some(Path::new("/none/such"))), known);
    }
    if known {
        let name = String::from_utf8_lossy(data).into_owned();
        assert!(name.contains("httpd") || name.contains("apache2"));
    }
}

/// httpd's complaint goes into a log: one line that cannot control a terminal.
pub fn complaint(data: &[u8]) {
    let text = text(data);
    let shown = printable(&text);
    assert!(is_plain(&shown), "{shown:?}");
    assert_eq!(printable(&shown), shown);
    assert_eq!(shown.is_empty(), text.is_empty());
    if text.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
        assert_eq!(shown, text);
    }
    let control = PathBuf::from(OsStr::from_bytes(data));
    let refused = NoAnswer::Refused(control.clone(), shown);
    if let Some(argument) = refused.mutex_directory() {
        assert!(is_plain(&argument) && !argument.contains(char::is_whitespace));
    }
    for answer in [refused, NoAnswer::Garbage(control.clone()), NoAnswer::NotAbsolute(control)] {
        assert!(is_plain(&answer.to_string()), "{answer}");
    }
}

/// The words of a directive's arguments: quoted words come back unchanged.
pub fn words(data: &[u8]) {
    let text = text(data);
    for word in words_of(&text) {
        assert!(word.len() <= text.len());
    }
    for quote in ['"', '\''] {
        let mut quoted = String::from(quote);
        for c in text.chars() {
            if c == quote || c == '\\' {
                quoted.push('\\');
            }
            quoted.push(c);
        }
        quoted.push(quote);
        assert_eq!(words_of(&quoted), [text.as_str()]);
        assert_eq!(words_of(&format!(" a\t{quoted} b")), ["a", &text, "b"]);
    }
    let plain: Vec<&str> = text.split_whitespace().collect();
    if !text.contains(['"', '\'']) {
        assert_eq!(words_of(&text), plain);
    }
}

/// The output of `-V`.
pub fn settings(data: &[u8]) {
    let text = text(data);
    let build = dump::build(&text);
    assert_eq!(dump::build(&format!("{text}\n -D SOMETHING_NEW\n")), build);
    if build.default.is_some() {
        assert!(text.contains("_SERIALIZE"));
    }
    assert!(build.default != Some(Mechanism::None));
}

/// The dumps, and the need derived from them. What follows a NUL determines the machine and the build,
/// so a recorded dump is a valid input as it is.
pub fn dump(data: &[u8]) {
    let (front, back) = halves(data);
    let text = text(front);
    let dump = dump::parse(&text);
    assert_eq!(dump::parse(&format!("{text}\n")), dump);
    assert_is_a_tree(&dump.directives);
    for name in dump.modules.iter().chain(dump.mutexes.iter().map(|m| &m.name)) {
        assert!(is_plain(name), "{name:?}");
    }
    assert!(dump.user.as_ref().is_none_or(|(name, _)| is_plain(name)));
    for (place, directive) in dump.directives.iter().enumerate() {
        let host = dump.virtual_host(place);
        assert!(host.is_none_or(|h| h < place && dump.directives[h].is("virtualhost")));
        let _ = directive.words();
    }

    let mut bytes = Bytes(back);
    let host = host(&dump, &mut bytes);
    let some_build = Build {
        default: bytes.one_of(&[
            None,
            Some(Mechanism::SysVSem),
            Some(Mechanism::PosixSem),
            Some(Mechanism::Pthread),
            Some(Mechanism::Fcntl),
            Some(Mechanism::Flock),
        ]),
        unserialized_single_listen: bytes.bool(),
        splits_wildcard: bytes.bool(),
        ..Build::default()
    };
    let unknown = demand::demand(&dump, None, &host);
    let known = demand::demand(&dump, Some(&some_build), &host);
    for demand in [&unknown, &known] {
        assert_is_sound(demand);
    }
    if !demand::depends_on_build(&dump, &host) {
        assert_eq!(known.sets(), unknown.sets(), "{text}");
    }
    let (least, most) = unknown.sets();
    if some_build.default.is_some() {
        let (surely, possibly) = known.sets();
        assert!(surely <= most && possibly >= least, "{text}");
    }
    let _ = demand::further_users(&dump);
}

fn assert_is_a_tree(directives: &[Directive]) {
    for (place, directive) in directives.iter().enumerate() {
        assert!(!directive.name.contains(char::is_whitespace));
        if let Some(parent) = directive.parent {
            assert!(parent < place && directives[parent].section);
        }
    }
}

fn assert_is_sound(demand: &Demand) {
    let (least, most) = demand.sets();
    assert!(0 <= least && least <= most);
    let mut names = BTreeSet::new();
    let mut all_differ = true;
    for row in &demand.rows {
        assert!(row.least <= row.most && row.most > 0, "{row:?}");
        assert!(row.mechanism != Some(Mechanism::None), "{row:?}");
        assert!(is_plain(&row.mutex) && is_plain(&row.cause), "{row:?}");
        all_differ &= names.insert(&row.mutex);
    }
    assert_eq!(demand.in_doubt().next().is_some(), least < most);
    assert_eq!(demand.breaks_off(most), None);
    // httpd registers a type once.
    if all_differ && most > 0 {
        assert!(demand.breaks_off(most - 1).is_some(), "{demand:?}");
    }
}

fn host(dump: &Dump, bytes: &mut Bytes) -> Host {
    let mut addresses = HashMap::new();
    let cores = u32::from(bytes.u8());
    for name in dump.listen_names() {
        if bytes.bool() {
            let of = |n: u8| std::net::IpAddr::from([127, 0, 0, n]);
            addresses.insert(name, (0..bytes.u8() % 4).map(of).collect());
        }
    }
    Host { cores, addresses }
}

/// Limits and usage that a kernel can have: 32-bit integers, of which only SEMMNI is checked
/// (ipc/ipc_sysctl.c).
pub fn capacity(data: &[u8]) {
    let mut bytes = Bytes(data);
    let limits = Limits {
        semmsl: limit(&mut bytes),
        semmns: limit(&mut bytes),
        semopm: limit(&mut bytes),
        semmni: limit(&mut bytes).clamp(0, 1 << 24),
    };
    let sets = limit(&mut bytes).clamp(0, 1 << 24);
    let semaphores = sets.saturating_add(limit(&mut bytes).max(0)).min(i64::from(i32::MAX));
    let capacity = Capacity { limits, usage: Usage { sets, semaphores } };

    // Counts as ksys_semget and newary do, up to the first refusal.
    let refusal = |made: i64| {
        if limits.semmsl < 1 {
            Some(Limit::Semmsl)
        } else if semaphores + made + 1 > limits.semmns {
            Some(Limit::Semmns)
        } else if sets + made >= limits.semmni {
            Some(Limit::Semmni)
        } else {
            None
        }
    };
    let room = capacity.room();
    assert_eq!(refusal(room.sets), Some(room.binding), "{capacity:?}");
    assert!(room.sets == 0 || refusal(room.sets - 1).is_none(), "{capacity:?}");

    let count = usize::from(bytes.u8());
    let fewer = capacity.without(count);
    assert!(fewer.usage.sets >= 0 && fewer.usage.semaphores >= 0);
    assert!(fewer.room().sets >= room.sets);

    let odd = kernel_sem::oddity(&limits);
    if let Some(Oddity::LostSpace { joined, meant: (semmsl, semmns) }) = &odd {
        assert_eq!(format!("{semmsl}{semmns}"), joined.to_string());
    }
    let more = i64::from(bytes.u8());
    let lost = matches!(odd, Some(Oddity::LostSpace { .. }));
    if semaphores + more > 1 << 30 || sets + more > IPCMNI.max(limits.semmni) {
        // More than any kernel.sem allows.
        return;
    }
    let better = kernel_sem::better(&capacity, more);
    let then = Capacity { limits: better, ..capacity };
    let told = format!("\"{limits}\", {sets} sets, {semaphores} semaphores: \"{better}\"");
    assert!(then.room().sets >= more, "{told}");
    assert_eq!(kernel_sem::oddity(&better), None, "{told}");
    assert!(better.semmni <= IPCMNI.max(limits.semmni), "{told}");
    assert!(better.semopm >= 1, "{told}");
    let values = [better.semmsl, better.semmns, better.semopm, better.semmni];
    assert!(values.into_iter().all(|v| v <= i64::from(i32::MAX)), "{told}");
    if !lost {
        assert!(better.semmsl >= limits.semmsl && better.semopm >= limits.semopm, "{told}");
        assert!(better.semmns >= limits.semmns && better.semmni >= limits.semmni, "{told}");
    }
}

/// A number that is usual in `kernel.sem`, or sometimes any other.
fn limit(bytes: &mut Bytes) -> i64 {
    let usual = [0, 1, 8, 32, 128, 250, 500, 512, 1_024, 32_000, 32_768, 25_032_000, 250_256];
    let number = match bytes.u8() % 4 {
        0 => bytes.i32(),
        1 => i32::from(bytes.u8()),
        _ => bytes.one_of(&usual),
    };
    number.into()
}

/// Whether it is one line, without characters that control or reorder it.
fn is_plain(text: &str) -> bool {
    // Unicode's Bidi_Control characters, and its line and paragraph separators.
    const REORDER: [char; 5] = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    let turns = |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !text.contains(|c: char| c.is_control() || turns(c) || REORDER.contains(&c))
}

/// Decodes text from outside as the guard does.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// What comes before and after the last NUL.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().rposition(|b| *b == 0) {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}
