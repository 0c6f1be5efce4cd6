//! Compares docs/outage.md and its pictures with the program: if they are generated again, they must say
//! the same. A change in the program's messages is not a mistake, but the page must be updated.

mod common;

#[allow(dead_code, unreachable_pub, reason = "an example by itself, of which a part is used here")]
#[path = "../docs/picture.rs"]
mod picture;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Folder, path, read};

const PICTURES: [&str; 2] = ["refused", "healed"];

fn docs(name: &str) -> PathBuf {
    path("docs").join(name)
}

/// The file without what differs between runs, according to the script's own rules.
fn comparable(folder: &Folder, name: &str, from: &Path) -> PathBuf {
    let text = Command::new(docs("outage.sh"))
        .arg("--placeholders")
        .stdin(fs::File::open(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())))
        .output()
        .expect("it runs");
    assert!(text.status.success(), "{}", String::from_utf8_lossy(&text.stderr));
    let to = folder.0.join(name);
    fs::write(&to, text.stdout).expect("written");
    to
}

#[test]
fn the_page_and_the_pictures_show_what_the_program_says_today() {
    require!("apache2", "curl", "perl", "pgrep", "script", "strace", "sysctl");
    let folder = Folder::new("outage");
    let made = Command::new(docs("outage.sh"))
        .arg(&folder.0)
        .env("SEMGUARD", env!("CARGO_BIN_EXE_httpd-semguard"))
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "docs/outage.sh: {said}");

    let texts = PICTURES.map(|p| format!("outage/{p}.ansi"));
    for name in texts.iter().map(String::as_str).chain(["outage.md"]) {
        let before = comparable(&folder, "in-the-tree", &docs(name));
        let now = comparable(&folder, "made-now", &folder.0.join(name));
        let diff = Command::new("diff").arg("-u").args([before, now]).output().expect("it runs");
        let shown = String::from_utf8_lossy(&diff.stdout);
        assert!(
            diff.status.success(),
            "docs/{name} is no longer what is seen:\n{shown}\nrun make outage"
        );
    }
}

#[test]
fn each_picture_is_drawn_from_its_text() {
    for name in PICTURES {
        let text = read(&format!("docs/outage/{name}.ansi"));
        let drawn = picture::picture(&text);
        let file = format!("docs/outage/{name}.svg");
        assert!(drawn == read(&file), "{file} does not match its text: run make outage");
        assert!(drawn.len() < 60_000, "{name}: too large for a README");
    }
}

#[test]
fn the_picture_is_as_wide_as_the_terminal_in_the_runs() {
    let width = format!("readonly COLUMNS={} ", picture::COLUMNS);
    assert!(read("docs/outage.sh").contains(&width), "docs/outage.sh has no {width}");
}

#[test]
fn lines_are_wrapped_as_on_the_terminal_and_colours_take_no_room() {
    let line = format!("\x1b[31m{}\x1b[0m", "x".repeat(121));
    let drawn = picture::picture(&line);
    assert!(drawn.contains(&format!(">{}<", "x".repeat(120))), "{drawn}");
    assert!(drawn.contains(">x<"), "{drawn}");
    let tall = |n: usize| {
        let drawn = picture::picture(&"x\n".repeat(n));
        drawn.split("height=\"").nth(1).and_then(|h| h.split('"').next()?.parse::<usize>().ok())
    };
    assert!(tall(30) > tall(3), "a line was cut off");
}
