//! What screens need and files do not: colours, and lines of a certain width. Touches the terminal's
//! size, only in [`Screen::of`].

use std::os::fd::AsFd;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use terminal_size::{Width, terminal_size_of};
use unicode_width::UnicodeWidthStr;

/// The heading of a table or of a part of a message.
pub const HEADING: Style = Style::new().bold();
/// What failed.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What may fail or can be removed.
pub const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
/// What is in order.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What is shown for reference only.
pub const QUIET: Style = Style::new().dimmed();

/// The output that is written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// It is a terminal, so a person is reading it.
    pub is_terminal: bool,
    /// Colours are wanted.
    pub color: bool,
    /// Its number of columns; `None` if there is no limit.
    pub width: Option<usize>,
}

impl Screen {
    /// The properties of a stream: a terminal has a width, and colours unless the environment says
    /// otherwise (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`).
    #[must_use]
    pub fn of(stream: &(impl RawStream + AsFd)) -> Screen {
        let is_terminal = stream.is_terminal();
        let size = if is_terminal { terminal_size_of(stream) } else { None };
        Screen {
            is_terminal,
            color: AutoStream::choice(stream) != ColorChoice::Never,
            width: size.map(|(Width(columns), _)| usize::from(columns)).filter(|w| *w > 0),
        }
    }

    /// The text in this style.
    #[must_use]
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// The text, wrapped between words at the edge of the screen. It begins in column `start`, and each
    /// further line is indented by `indent` spaces. On a screen too narrow for that, nothing is wrapped.
    #[must_use]
    pub fn wrap(&self, text: &str, start: usize, indent: usize) -> String {
        let edge = match self.width {
            Some(edge) if edge >= indent + LEAST => edge,
            _ => return text.to_owned(),
        };
        let mut out = String::with_capacity(text.len());
        let mut column = start;
        let mut is_first = true;
        for word in text.split(' ') {
            let width = width(word);
            if !is_first && column + 1 + width > edge {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            } else if !is_first {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += width;
            is_first = false;
        }
        out
    }
}

/// The minimum width that a paragraph is wrapped to.
const LEAST: usize = 24;

/// The columns that a text takes on a terminal: Chinese, Japanese and Korean characters take two.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(width: usize) -> Screen {
        Screen { is_terminal: true, color: false, width: Some(width) }
    }

    #[test]
    fn long_lines_are_wrapped_between_words_and_indented() {
        let text = "SEMMNS, the system-wide number of semaphores, is 32";
        assert_eq!(
            wide(38).wrap(text, 8, 8),
            "SEMMNS, the system-wide number\n        of semaphores, is 32"
        );
        assert_eq!(wide(200).wrap(text, 8, 8), text);
        assert_eq!(Screen::default().wrap(text, 8, 8), text);
        assert_eq!(wide(20).wrap(text, 8, 8), text, "too narrow to help");
    }

    #[test]
    fn text_before_the_first_line_counts() {
        let text = "SEMMNS, the system-wide number of semaphores, is 32";
        assert_eq!(
            wide(38).wrap(text, 16, 2),
            "SEMMNS, the\n  system-wide number of semaphores, is\n  32"
        );
    }

    #[test]
    fn a_word_longer_than_the_line_stays_whole() {
        let text = "a /a/very/long/path/that/nobody/may/break b";
        assert_eq!(wide(30).wrap(text, 0, 0), "a\n/a/very/long/path/that/nobody/may/break\nb");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(width("番人"), 4);
        assert_eq!(width("guard"), 5);
    }

    #[test]
    fn without_colour_nothing_is_painted() {
        assert_eq!(Screen::default().paint(BAD, "x"), "x");
        let colored = Screen { color: true, ..Screen::default() };
        assert_eq!(colored.paint(BAD, "x"), "\u{1b}[1m\u{1b}[31mx\u{1b}[0m");
    }
}
