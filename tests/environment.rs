//! Environment variables, as an EnvironmentFile of systemd's sets them: none of their usual forms
//! may stop an httpd. Nothing here needs rights or a namespace: every run ends at the command line,
//! or at a user that does not exist.

use std::process::Command;

/// Runs with these variables alone; a user that does not exist ends the run with 78 before it
/// looks at anything.
fn exit_of(args: &[&str], variables: &[(&str, &str)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_httpd-semguard"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HTTPD_SEMGUARD_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["--no-ask", "--user", "no such user"])
        .args(args)
        .envs(variables.iter().map(|(name, value)| (format!("HTTPD_SEMGUARD_{name}"), value)))
        .output()
        .expect("it runs");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), err)
}

#[test]
fn a_switch_takes_the_words_that_people_write() {
    for name in ["STRICT", "DRY_RUN", "PRIVATE_IPC", "NO_ASK", "QUIET", "VERBOSE"] {
        for value in ["1", "0", "yes", "no", "true", "false", "on", "off", ""] {
            let (exit, err) = exit_of(&[], &[(name, value)]);
            assert_eq!(exit, 78, "{name}={value}: {err}");
        }
    }
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    for name in ["USER", "NEED", "MIN_FREE", "LOG", "HTTPD", "ASK_TIMEOUT"] {
        let (exit, err) = exit_of(&[], &[(name, "")]);
        assert_eq!(exit, 78, "{name}: {err}");
    }
}

#[test]
fn a_wrong_value_is_warned_of_by_name_and_the_default_counts() {
    for (name, value) in [
        ("NEED", "many"),
        ("MIN_FREE", "-1"),
        ("LOG", "paper"),
        ("ASK_TIMEOUT", "0"),
        ("STRICT", "yes # comment"),
        ("HTTPD", "httpd"),
        ("FORMAT", "pdf"),
    ] {
        let (exit, err) = exit_of(&[], &[(name, value)]);
        assert_eq!(exit, 78, "{name}: {err}");
        let told = format!("HTTPD_SEMGUARD_{name}=\"{value}\" (environment) has no effect: ");
        assert!(err.contains(&told), "{err}");
    }
}

#[test]
fn a_name_that_does_not_exist_is_warned_of_with_the_one_that_is_near() {
    for (name, meant) in [("STRCIT", "STRICT"), ("MINFREE", "MIN_FREE"), ("DRYRUN", "DRY_RUN")] {
        let (exit, err) = exit_of(&[], &[(name, "1")]);
        assert_eq!(exit, 78, "{name}: {err}");
        let told = format!("there is no such setting; did you mean HTTPD_SEMGUARD_{meant}?");
        assert!(err.contains(&told), "{err}");
    }
    let (_, err) = exit_of(&[], &[("COLOUR", "blue")]);
    assert!(err.contains("HTTPD_SEMGUARD_COLOUR") && !err.contains("did you mean"), "{err}");
}

#[test]
fn a_variable_for_every_run_gives_way_to_what_is_typed_for_this_one() {
    assert_eq!(exit_of(&["check"], &[("DRY_RUN", "1")]).0, 78);
    assert_eq!(exit_of(&["list"], &[("DRY_RUN", "1")]).0, 78);
    assert_eq!(exit_of(&["-v"], &[("QUIET", "1")]).0, 78);
    assert_eq!(exit_of(&["-q"], &[("VERBOSE", "1")]).0, 78);
    assert_eq!(exit_of(&["-q", "-v"], &[]).0, 64);
}
