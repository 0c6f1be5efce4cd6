//! Text from outside, made safe to display. Pure.

/// Escapes every control character in text from outside (a process or user name, another program's
/// output), so that it can neither break a line nor control a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Characters that change the order or width of the text around them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(
            printable("a\nb\x1b[31mc\u{9b}d\u{202e}e"),
            "a\\nb\\u{1b}[31mc\\u{9b}d\\u{202e}e"
        );
        assert_eq!(printable("müller"), "müller");
    }
}
