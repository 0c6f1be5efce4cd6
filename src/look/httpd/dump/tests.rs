//! The parser on recorded dumps of httpd 2.4.71 and on arbitrary input.

use proptest::prelude::*;

use super::*;
use crate::facts::dump::words;

/// A recorded dump; httpd passes on bytes that are not UTF-8 unchanged.
pub(crate) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/dumps/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    String::from_utf8_lossy(&std::fs::read(path).expect("a recorded dump")).into_owned()
}

fn setting<'d>(dump: &'d Dump, name: &str) -> &'d Setting {
    &dump.mutexes.iter().find(|m| m.name == name).expect("registered").setting
}

#[test]
fn every_recorded_dump_of_a_sound_configuration_is_an_answer() {
    let dir = format!("{}/tests/dumps", env!("CARGO_MANIFEST_DIR"));
    let mut answers = 0;
    for entry in std::fs::read_dir(dir).expect("the dumps") {
        let name = entry.expect("an entry").file_name().to_string_lossy().replace(".txt", "");
        let dump = parse(&recorded(&name));
        let sound = !["err-mutex-dir", "build"].contains(&name.as_str());
        assert_eq!(dump.is_answer(), sound, "{name}");
        assert_eq!(dump.user.is_some(), sound, "{name}");
        answers += usize::from(sound);
    }
    assert!(answers > 20);
}

#[test]
fn debians_default_configuration_is_read_in_full() {
    let dump = parse(&recorded("debian-default"));
    assert_eq!(dump.user, Some(("www-data".into(), 33)));
    assert_eq!(dump.server_root.as_deref(), Some("/etc/apache2"));
    assert_eq!(dump.pid_file.as_deref(), Some("/var/run/apache2/apache2.pid"));
    assert!(dump.has_config && dump.has_module("mpm_event") && dump.has_module("watchdog"));
    assert_eq!(setting(&dump, "default"), &Setting::Default { dir: "/var/run/apache2/".into() });
    assert_eq!(setting(&dump, "watchdog-callback"), &Setting::UsingDefaults);
    let listen: Vec<_> = dump.all("Listen").map(|(_, d)| d.args.as_str()).collect();
    assert_eq!(listen, ["80"]);
}

#[test]
fn overrides_name_mechanism_and_directory() {
    let dump = parse(&recorded("mutex-overrides"));
    let set = |name: &str| match setting(&dump, name) {
        Setting::Set { mechanism, dir } => (*mechanism, dir.clone()),
        other => panic!("{name}: {other:?}"),
    };
    for m in &dump.mutexes {
        if let Setting::Set { mechanism, .. } = m.setting {
            assert!(mechanism.is_some(), "{}", m.name);
        }
    }
    assert!(dump.mutexes.iter().any(|m| set_is(m, Mechanism::SysVSem)));
    assert!(dump.mutexes.iter().any(|m| set_is(m, Mechanism::Fcntl)));
    assert_eq!(set("default").0, Some(Mechanism::SysVSem));
}

fn set_is(mutex: &Mutex, mechanism: Mechanism) -> bool {
    matches!(mutex.setting, Setting::Set { mechanism: Some(m), .. } if m == mechanism)
}

/// Lines such as `Mutex file:/x ldap-cache` appear in the configuration; only what follows
/// `ServerRoot:` shows how mutexes are made.
#[test]
fn directives_that_look_like_mutex_lines_are_directives() {
    let text = "# In file: /x\n#   1:\nMutex sysvsem: using_defaults\n#   2:\nPidFile: \"x\"\n\
                ServerRoot: \"/r\"\nMutex default: dir=\"/d/\" mechanism=fcntl [OmitPid]\n\
                Mutex odd: none\nMutex later: dir=\"/d\" mechanism=futex \n\
                Loaded Modules:\n core_module (static)\n";
    let dump = parse(text);
    assert_eq!(dump.directives.len(), 2);
    assert_eq!(dump.directives[0].args, "sysvsem: using_defaults");
    let fcntl = Setting::Set { mechanism: Some(Mechanism::Fcntl), dir: "/d/".into() };
    assert_eq!(setting(&dump, "default"), &fcntl);
    assert!(set_is(&dump.mutexes[1], Mechanism::None));
    let unknown = Setting::Set { mechanism: None, dir: "/d".into() };
    assert_eq!(setting(&dump, "later"), &unknown);
}

#[test]
fn sections_are_identified_by_position_even_across_included_files() {
    let dump = parse(&recorded("include-in-section"));
    let hosts = dump.directives.iter().filter(|d| d.section && d.is("VirtualHost")).count();
    assert!(hosts > 0);
    let inside = (0..dump.directives.len()).filter(|i| dump.virtual_host(*i).is_some()).count();
    assert!(inside > 0 && inside < dump.directives.len());
}

#[test]
fn without_mod_info_there_are_mutexes_and_modules_but_no_directives() {
    let dump = parse(&recorded("without-mod-info"));
    assert!(dump.is_answer() && !dump.has_config && dump.directives.is_empty());
}

#[test]
fn quoted_arguments_are_one_word() {
    let dump = parse(&recorded("odd-quoting"));
    let maps: Vec<Vec<String>> = dump.all("RewriteMap").map(|(_, d)| d.words()).collect();
    assert_eq!(maps[0], ["m", "prg:/srv/example/map.sh a b"]);
    assert_eq!(maps[1], ["single", "txt:/srv/example/map.txt"]);
    assert_eq!(words(r#"set "a \"b\" c" d"#), ["set", r#"a "b" c"#, "d"]);
    assert_eq!(words(r#" 'it''s' x"#), ["it", "s", "x"]);
    assert_eq!(words(r#""no end"#), ["no end"]);
    assert_eq!(words(r#""a\\" b"#), [r"a\", "b"]);
    assert_eq!(words(r#""a\nb" 'é"#), [r"a\nb", "é"]);
    assert_eq!(words("  "), Vec::<String>::new());
}

#[test]
fn the_build_shows_default_mechanism_version_and_single_listen() {
    let build = build(&recorded("build"));
    assert_eq!(build.version, Some(Version(2, 4, 71)));
    assert_eq!(build.default, Some(Mechanism::Pthread));
    assert!(build.unserialized_single_listen && !build.splits_wildcard);
    assert_eq!(build.root.as_deref(), Some("/etc/apache2"));
    assert_eq!(build.config_file.as_deref(), Some("apache2.conf"));
    let old = super::build(
        "Server version: Apache/2.2.15 (Unix)\n -D APR_HAVE_IPV6 (IPv4-mapped addresses disabled)\n \
         -D APR_USE_SYSVSEM_SERIALIZE\n -D APR_USE_PTHREAD_SERIALIZE\n",
    );
    assert_eq!(old.version, Some(Version(2, 2, 15)));
    assert_eq!(old.default, Some(Mechanism::SysVSem));
    assert!(!old.unserialized_single_listen && old.splits_wildcard);
}

#[test]
fn other_mechanisms_are_identified_by_their_defines() {
    for (define, want) in [
        ("POSIXSEM", Mechanism::PosixSem),
        ("PROC_PTHREAD", Mechanism::Pthread),
        ("FCNTL", Mechanism::Fcntl),
        ("FLOCK", Mechanism::Flock),
    ] {
        assert_eq!(build(&format!(" -D APR_USE_{define}_SERIALIZE\n")).default, Some(want));
    }
}

proptest! {
    #[test]
    fn no_text_stops_the_parser(text in "(?s).{0,400}") {
        let dump = parse(&text);
        for i in 0..dump.directives.len() {
            let _ = (dump.virtual_host(i), dump.directives[i].words());
        }
        let _ = build(&text);
    }

    /// Lines as printed by httpd, in any order and nesting, however unbalanced.
    #[test]
    fn no_order_of_lines_stops_the_parser(lines in prop::collection::vec(prop::sample::select(vec![
        "# In file: /x", "#  12:", "<VirtualHost *:80>", "</VirtualHost>", "<", "</", ">", "<>",
        "  <Proxy balancer://a>", "  </Proxy>", "Listen", "Listen 80", "Mutex x:", "Mutex : ",
        "Mutex a: dir=", "Mutex a: dir=\" mechanism=", "ServerRoot: ", "User: name=\"", "User: name= id=x",
        "Loaded Modules:", " x_module (shared)", "_module (", "RewriteMap \"", "\\",
    ]), 0..40)) {
        let dump = parse(&lines.join("\n"));
        for i in 0..dump.directives.len() {
            prop_assert!(dump.directives[i].parent.is_none_or(|p| p < i));
            let _ = dump.enclosing(i, "Proxy");
        }
    }

    #[test]
    fn words_never_lose_a_plain_word(plain in prop::collection::vec("[a-z0-9:/.*-]{1,8}", 0..6)) {
        prop_assert_eq!(words(&plain.join("  ")), plain);
    }
}
