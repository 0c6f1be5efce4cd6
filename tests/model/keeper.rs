//! Processes that hold the semid of one set in one place in memory and nowhere else
//! (tests/memory/holder.c). They are told it in masked form, and nothing afterwards.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::common::Namespace;
use crate::holder::{Holder, compile, masked, program};

/// Where, or in what form, the semid is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Heap,
    Data,
    Stack,
    Protected,
    Shared,
    SharedUntouched,
    SharedFile,
    WrittenFile,
    Thread,
    Moving,
    Secret,
    Narrow,
    Ruby,
    Lisp,
    CPython,
    Lua,
}

impl Place {
    /// Where C code stores numbers.
    const PLAIN: [Place; 11] = [
        Place::Heap,
        Place::Data,
        Place::Stack,
        Place::Protected,
        Place::Shared,
        Place::SharedFile,
        Place::WrittenFile,
        Place::Thread,
        Place::Moving,
        Place::Secret,
        Place::Narrow,
    ];

    /// Where only a process of the user that made the set may store its semid (docs/architecture.md,
    /// the verdict).
    const OWNERS: [Place; 5] =
        [Place::SharedUntouched, Place::Ruby, Place::Lisp, Place::CPython, Place::Lua];

    /// Those available on this machine.
    pub(crate) fn all(by_owner: bool) -> Vec<Place> {
        let owners = Place::OWNERS.iter().filter(|_| by_owner);
        Place::PLAIN.iter().chain(owners).copied().filter(|p| p.is_available()).collect()
    }

    fn is_available(self) -> bool {
        static SECRET: OnceLock<bool> = OnceLock::new();
        match self {
            // memfd_secret(2).
            Place::Secret => *SECRET.get_or_init(|| Holder::try_with("secret", &[]).is_some()),
            Place::Narrow => narrow().is_some(),
            _ => true,
        }
    }

    /// Whether no guard can be sure of having read all of the process.
    pub(crate) fn blinds(self) -> bool {
        matches!(self, Place::Moving | Place::Secret)
    }

    pub(crate) fn state(self) -> &'static str {
        match self {
            Place::Heap => "in a keeper's heap only",
            Place::Data => "in a keeper's data only",
            Place::Stack => "on a keeper's stack only",
            Place::Protected => "behind PROT_NONE only",
            Place::Shared => "in shared memory only",
            Place::SharedUntouched => "in shared memory that its keeper never touched",
            Place::SharedFile => "in a shared file in memory only",
            Place::WrittenFile => "on a written page of a file only",
            Place::Thread => "in a process without its first thread",
            Place::Moving => "on a page that moves every 2 ms",
            Place::Secret => "on a page that nobody may read",
            Place::Narrow => "in a 32-bit process only",
            Place::Ruby => "as a Ruby integer only",
            Place::Lisp => "as a Lisp integer only",
            Place::CPython => "as a CPython integer only",
            Place::Lua => "as a double only",
        }
    }

    /// Prepares in the namespace what a keeper called `exe` needs; returns the command line that starts
    /// it.
    pub(crate) fn command(self, namespace: &Namespace, exe: &str, nth: usize, id: i32) -> String {
        let number = u64::from(id.unsigned_abs());
        let (name, holder) = match self {
            Place::Narrow => ("n", narrow().expect("it is available")),
            _ => ("k", program()),
        };
        let dir = format!("/run/t/{name}");
        fs::create_dir_all(namespace.path(&dir)).expect("a directory");
        let path = format!("{dir}/{exe}");
        if !namespace.path(&path).exists() {
            // Copied by another process, as in `Namespace::install`.
            let copied = Command::new("cp").arg(holder).arg(namespace.path(&path)).status();
            assert!(copied.is_ok_and(|c| c.success()), "cp {path}");
        }
        let file = || {
            let inside = format!("/run/t/k/file{nth}");
            let outside = namespace.path(&inside);
            let file = fs::File::create(&outside).expect("a file");
            file.set_len(1 << 20).expect("its size");
            fs::set_permissions(outside, Permissions::from_mode(0o666)).expect("chmod");
            format!(" {inside}")
        };
        let word = |word: u64| format!(" {}", masked(word));
        let (place, more) = match self {
            Place::Heap => ("heap", String::new()),
            Place::Data => ("data", String::new()),
            Place::Stack => ("stack", String::new()),
            Place::Protected => ("protected", String::new()),
            Place::Shared => ("shared", String::new()),
            Place::SharedUntouched => ("shared-untouched", String::new()),
            Place::SharedFile => ("file-shared", file()),
            Place::WrittenFile => ("file-written", file()),
            Place::Thread => ("thread", String::new()),
            Place::Moving => ("move", String::new()),
            Place::Secret => ("secret", String::new()),
            Place::Narrow => {
                let masked: u64 = masked(number).parse().expect("a number");
                return format!("{path} {}", masked as u32);
            }
            Place::Ruby => ("words", word(number << 1 | 1)),
            Place::Lisp => ("words", word(number << 2 | 2)),
            Place::CPython => ("words", word(number & 0x3fff_ffff | (number >> 30) << 32)),
            Place::Lua => ("words", word(f64::from(id).to_bits())),
        };
        // `words` takes only those that follow.
        let first = if place == "words" { masked(0) } else { masked(number) };
        format!("{path} {place} {first}{more}")
    }
}

/// The 32-bit keeper; `None` if it cannot be built or does not run.
fn narrow() -> Option<&'static Path> {
    const FLAGS: [&str; 8] = [
        "-m32",
        "-O2",
        "-static",
        "-nostdlib",
        "-fno-pie",
        "-no-pie",
        "-ffreestanding",
        "-fno-stack-protector",
    ];
    static NARROW: OnceLock<Option<PathBuf>> = OnceLock::new();
    NARROW
        .get_or_init(|| {
            let program = compile("narrow.c", &FLAGS)?;
            Holder::of(Command::new(&program).arg("0")).map(|_| program)
        })
        .as_deref()
}
