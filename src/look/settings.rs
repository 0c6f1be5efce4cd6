//! A settings file, parsed by systemd's rules for EnvironmentFile= (systemd.exec(5)), so that it
//! means the same here as in the unit. Touches that file; never runs a shell.

use std::io::Read;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::facts::error::errno;
use crate::facts::request::Instance;
use crate::facts::settings::{MOST_SETTINGS, Unread};
use crate::look::file;

/// The distributions' settings files, in the order in which the units read them: if two lines set the
/// same variable, the later one wins.
pub const FILES: [&str; 2] = ["/etc/default/httpd-semguard", "/etc/sysconfig/httpd-semguard"];

/// What a line, with its continuation lines, contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A variable and its value.
    Variable(String, String),
    /// Text from which systemd sets no variable, as written.
    Stray(String),
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The line number where it starts, counted from 1.
    pub number: usize,
    /// Its content.
    pub part: Part,
    /// Some version of systemd since 219 reads it differently from the newest.
    pub is_in_doubt: bool,
}

/// Reads a settings file. Only a regular file is read: a pipe would block the start of httpd.
///
/// # Errors
/// [`Unread`].
pub fn read(path: &Path) -> Result<Vec<Line>, Unread> {
    // The way to ask for no file at all.
    if path == Path::new("/dev/null") {
        return Ok(Vec::new());
    }
    let refused = |e: std::io::Error| Unread::Refused(errno(&e));
    let (file, _) = file::regular(path, 0).map_err(refused)?.ok_or(Unread::NoFile)?;
    let mut text = Vec::new();
    file.take(MOST_SETTINGS + 1).read_to_end(&mut text).map_err(refused)?;
    if text.len() as u64 > MOST_SETTINGS {
        return Err(Unread::TooLarge);
    }
    parse(&text)
}

/// The [`FILES`] that exist, followed by those of the instance alone.
#[must_use]
pub fn present(instance: Option<&Instance>) -> Vec<PathBuf> {
    let own = |file| instance.map(|i| PathBuf::from(format!("{file}-{}", i.name())));
    let common = FILES.iter().map(PathBuf::from);
    common.chain(FILES.iter().filter_map(own)).filter(|f| f.exists()).collect()
}

/// Where the distributions' files set this variable to this value; if several do, the one that takes
/// effect. systemd gives a unit only the variables.
#[must_use]
pub fn place(name: &str, value: &str, instance: Option<&Instance>) -> Option<(PathBuf, usize)> {
    let sets = |line: &Line| matches!(&line.part, Part::Variable(n, v) if n == name && v == value);
    present(instance).into_iter().rev().find_map(|file| {
        let lines = read(&file).ok()?;
        let number = lines.iter().rfind(|line| sets(line))?.number;
        Some((file, number))
    })
}

/// Whether this path can be run as a program. It has to be absolute: a unit has no working directory of
/// its own.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    path.is_absolute() && path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

/// The parser's state (the states of systemd's basic/env-file.c).
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Name,
    BeforeValue,
    Value,
    Escaped,
    Single,
    Double,
    DoubleEscaped,
    Comment,
    CommentEscaped,
}

const BLANKS: &[u8] = b" \t\n\r";
const BREAKS: &[u8] = b"\n\r";

/// A part while it is being read.
#[derive(Default)]
struct Draft {
    number: usize,
    name: Vec<u8>,
    value: Vec<u8>,
    /// Where the trailing blanks of an unquoted value start.
    trailing: Option<usize>,
    is_in_doubt: bool,
}

impl Draft {
    fn add(&mut self, byte: u8) {
        self.value.push(byte);
        self.trailing = None;
    }

    fn stray(self) -> Line {
        let part = Part::Stray(String::from_utf8_lossy(&self.name).trim_end().to_owned());
        Line { number: self.number, part, is_in_doubt: self.is_in_doubt }
    }

    /// # Errors
    /// [`Unread::NoText`]: systemd accepts or rejects a file as a whole.
    fn variable(self, is_bare: bool) -> Result<Line, Unread> {
        let Draft { number, name, mut value, trailing, is_in_doubt } = self;
        if let Some(length) = trailing.filter(|_| is_bare) {
            value.truncate(length);
        }
        let text = |bytes| String::from_utf8(bytes).map_err(|_| Unread::NoText);
        let (name, value) = (text(name)?, text(value)?);
        let name = name.trim_end_matches(|c: char| c.is_ascii() && BLANKS.contains(&(c as u8)));
        let part = if is_name(name) {
            Part::Variable(name.to_owned(), value)
        } else {
            Part::Stray(format!("{name}={value}"))
        };
        Ok(Line { number, part, is_in_doubt })
    }
}

/// Whether systemd accepts this variable name (basic/env-util.c, `env_name_is_valid`).
fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The parts of a settings file, as systemd has read them since 254. Before that, a comment that ended
/// in a backslash continued on the next line. Up to 240 a backslash within either kind of quotes was
/// dropped; then, up to 246, it was kept there except before a double quote.
///
/// # Errors
/// [`Unread::NoText`].
pub fn parse(text: &[u8]) -> Result<Vec<Line>, Unread> {
    if text.contains(&0) {
        return Err(Unread::NoText);
    }
    let mut lines = Vec::new();
    let mut draft = Draft::default();
    let mut state = State::Start;
    let mut number = 1;
    let mut continues_a_comment = None;
    for &byte in text {
        let breaks = BREAKS.contains(&byte);
        let blank = BLANKS.contains(&byte);
        state = match state {
            State::Start if b"#;".contains(&byte) => State::Comment,
            State::Start if blank => State::Start,
            State::Start => {
                let is_in_doubt = continues_a_comment == Some(number);
                draft = Draft { number, name: vec![byte], is_in_doubt, ..Draft::default() };
                State::Name
            }
            State::Name if breaks => {
                lines.push(std::mem::take(&mut draft).stray());
                State::Start
            }
            State::Name if byte == b'=' => State::BeforeValue,
            State::Name => {
                draft.name.push(byte);
                State::Name
            }
            State::BeforeValue | State::Value if breaks => {
                lines.push(std::mem::take(&mut draft).variable(state == State::Value)?);
                State::Start
            }
            State::BeforeValue if byte == b'\'' => State::Single,
            State::BeforeValue if byte == b'"' => State::Double,
            State::BeforeValue | State::Value if byte == b'\\' => {
                draft.trailing = None;
                State::Escaped
            }
            State::BeforeValue if blank => State::BeforeValue,
            State::Value if blank => {
                draft.trailing = draft.trailing.or(Some(draft.value.len()));
                draft.value.push(byte);
                State::Value
            }
            State::BeforeValue | State::Value => {
                draft.add(byte);
                State::Value
            }
            State::Escaped => {
                if !breaks {
                    draft.add(byte);
                }
                State::Value
            }
            State::Single if byte == b'\'' => State::BeforeValue,
            State::Single => {
                draft.is_in_doubt |= byte == b'\\';
                draft.add(byte);
                State::Single
            }
            State::Double if byte == b'"' => State::BeforeValue,
            State::Double if byte == b'\\' => State::DoubleEscaped,
            State::Double => {
                draft.add(byte);
                State::Double
            }
            State::DoubleEscaped => {
                draft.is_in_doubt |= byte != b'"' && byte != b'\n';
                if !b"\"\\`$\n".contains(&byte) {
                    draft.add(b'\\');
                }
                if byte != b'\n' {
                    draft.add(byte);
                }
                State::Double
            }
            State::Comment if byte == b'\\' => State::CommentEscaped,
            State::CommentEscaped if byte == b'\n' => {
                continues_a_comment = Some(number + 1);
                State::Start
            }
            State::Comment | State::CommentEscaped if breaks => State::Start,
            State::Comment | State::CommentEscaped => State::Comment,
        };
        if byte == b'\n' {
            number += 1;
        }
    }
    // The last line may lack its newline, and a quote its closing one.
    match state {
        State::Start | State::Comment | State::CommentEscaped => {}
        State::Name => lines.push(draft.stray()),
        _ => lines.push(draft.variable(state == State::Value)?),
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    /// The variables set by a text.
    fn variables(text: &str) -> Vec<(String, String)> {
        let lines = parse(text.as_bytes()).expect("text").into_iter();
        let variable = |line: Line| match line.part {
            Part::Variable(name, value) => Some((name, value)),
            Part::Stray(_) => None,
        };
        lines.filter_map(variable).collect()
    }

    #[track_caller]
    fn value(text: &str, value: &str) {
        assert_eq!(variables(text), [("A".to_owned(), value.to_owned())], "{text:?}");
    }

    #[test]
    fn a_value_is_parsed_as_systemd_parses_it() {
        for (text, said) in [
            ("A=b", "b"),
            ("A=b\n", "b"),
            ("  A = b c \t\n", "b c"),
            ("A=\n", ""),
            ("A=", ""),
            ("A=b # no comment\n", "b # no comment"),
            ("A=b\r\n", "b"),
            ("A=\"b c \" \n", "b c "),
            ("A='b c '\n", "b c "),
            ("A=\"b\" 'c'\n", "bc"),
            ("A=\"b\" # c\n", "b# c"),
            ("A=b \"c\"\n", "b \"c\""),
            ("A=b\\\nc\n", "bc"),
            ("A=\"b\\\nc\"\n", "bc"),
            ("A=\"b\nc\"\n", "b\nc"),
            ("A='b\\\nc'\n", "b\\\nc"),
            ("A=\\ b\\ \n", " b "),
            ("A=\"\\$\\`\\\"\\\\\\n\"\n", "$`\"\\\\n"),
            ("A='\"'\n", "\""),
            ("A=$(b) `c`\n", "$(b) `c`"),
            ("A=b=c\n", "b=c"),
            ("A=\"b", "b"),
            ("A=b\\", "b"),
            ("#A=1\n;A=2\nA=b\n", "b"),
            ("# a comment \\\nA=b\n", "b"),
        ] {
            value(text, said);
        }
    }

    #[test]
    fn all_lines_are_returned_in_order_with_their_numbers() {
        let text = "\nA=1\n# A=2\nB=\"3\n4\"\nexport A=5\nA 6\n7=8\n=9\nA=10";
        let lines = parse(text.as_bytes()).expect("text");
        let numbers: Vec<usize> = lines.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [2, 4, 6, 7, 8, 9, 10]);
        let strays: Vec<&Part> = lines.iter().map(|line| &line.part).collect();
        for (stray, place) in [("export A=5", 2), ("A 6", 3), ("7=8", 4), ("=9", 5)] {
            assert_eq!(strays[place], &Part::Stray(stray.into()));
        }
        assert_eq!(variables(text).last(), Some(&("A".into(), "10".into())));
    }

    #[test]
    fn a_line_that_some_systemd_reads_differently_is_in_doubt() {
        let in_doubt = |text: &str| -> Vec<usize> {
            let lines = parse(text.as_bytes()).expect("text");
            lines.iter().filter(|line| line.is_in_doubt).map(|line| line.number).collect()
        };
        assert_eq!(in_doubt("# c \\\nA=1\nB=2\n"), [2]);
        assert_eq!(in_doubt("A='\\b'\nB=\"\\c\"\n"), [1, 2]);
        for plain in ["# c \\\n\nA=1\n", "# c \\d\nA=1\n", "A=\\b\nB=\"\\\"\"\n"] {
            assert_eq!(in_doubt(plain), [0; 0], "{plain:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_ignored() {
        assert_eq!(parse(b"A=1\nB=\xff\n"), Err(Unread::NoText));
        assert_eq!(parse(b"A=1\n\0"), Err(Unread::NoText));
        assert_eq!(parse(b"# \xff\nA=1\n").map(|lines| lines.len()), Ok(1));
    }

    #[test]
    fn only_a_regular_file_is_read() {
        let dir = std::env::temp_dir().join(format!("semguard-settings-{}", std::process::id()));
        std::fs::create_dir(&dir).expect("made");
        let pipe = dir.join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(read(&pipe), Err(Unread::NoFile));
        assert_eq!(read(Path::new("/dev/zero")), Err(Unread::NoFile));
        assert_eq!(read(&dir), Err(Unread::NoFile));
        assert_eq!(read(&dir.join("none")), Err(Unread::Refused(Errno::ENOENT)));
        assert_eq!(read(Path::new("/dev/null")), Ok(Vec::new()));
        let large = dir.join("large");
        std::fs::File::create(&large).and_then(|f| f.set_len(MOST_SETTINGS + 1)).expect("made");
        assert_eq!(read(&large), Err(Unread::TooLarge));
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
