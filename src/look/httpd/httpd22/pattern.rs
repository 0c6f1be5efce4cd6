//! Patterns in the last component of an Include path. Pure.

use std::collections::HashMap;

/// Whether a name matches a shell pattern: "*", "?", "[a-z]", "[!a]", a backslash; a leading dot only
/// matches a dot (apr strings/apr_fnmatch.c with APR_FNM_PERIOD).
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    matches_from(&pattern, &name, &mut HashMap::new())
}

fn matches_from(p: &[char], n: &[char], seen: &mut HashMap<(usize, usize), bool>) -> bool {
    if let Some(known) = seen.get(&(p.len(), n.len())) {
        return *known;
    }
    let found = match p.first() {
        None => n.is_empty(),
        Some('*') => {
            matches_from(&p[1..], n, seen) || (!n.is_empty() && matches_from(p, &n[1..], seen))
        }
        Some('?') => !n.is_empty() && matches_from(&p[1..], &n[1..], seen),
        Some('[') if p[1..].contains(&']') && !n.is_empty() => {
            let (holds, rest) = class(&p[1..], n[0]);
            holds && matches_from(rest, &n[1..], seen)
        }
        Some('\\') if p.len() > 1 => {
            n.first() == Some(&p[1]) && matches_from(&p[2..], &n[1..], seen)
        }
        Some(c) => n.first() == Some(c) && matches_from(&p[1..], &n[1..], seen),
    };
    seen.insert((p.len(), n.len()), found);
    found
}

/// Whether a character is in the class that starts here, and what follows the class.
fn class(p: &[char], c: char) -> (bool, &[char]) {
    let negated = matches!(p.first(), Some('!' | '^'));
    let mut at = usize::from(negated);
    let first = at;
    let mut found = false;
    while at < p.len() && (p[at] != ']' || at == first) {
        if at + 2 < p.len() && p[at + 1] == '-' && p[at + 2] != ']' {
            found |= (p[at]..=p[at + 2]).contains(&c);
            at += 3;
        } else {
            found |= p[at] == c;
            at += 1;
        }
    }
    (found != negated, p.get(at + 1..).unwrap_or(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, want) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.conf.bak", false),
            ("*.conf", ".a.conf", false),
            (".*", ".a", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxc", false),
            ("*", "anything", true),
            ("plain", "plain", true),
            ("plain", "plainer", false),
            ("?.conf", "a.conf", true),
            ("?.conf", "ab.conf", false),
            ("[ab].conf", "b.conf", true),
            ("[ab].conf", "c.conf", false),
            ("[!ab].conf", "c.conf", true),
            ("[a-c]x", "bx", true),
            ("[]]x", "]x", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[", "[", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_with_many_stars_is_fast() {
        assert!(!matches(&"*a".repeat(50), &"a".repeat(200).replace("aa", "ab")));
    }
}
