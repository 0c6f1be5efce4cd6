//! Environment variables, as set by an EnvironmentFile of systemd: none of their usual forms may keep
//! httpd from starting. Nothing here needs privileges or a namespace: every run ends at the command line,
//! or at a user that does not exist.

use std::process::Command;

/// Runs with only these variables; a user that does not exist ends the run with 78 before it examines
/// anything.
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
fn a_switch_accepts_the_usual_words() {
    for name in ["STRICT", "DRY_RUN", "PRIVATE_IPC", "NO_ASK", "QUIET", "VERBOSE"] {
        for value in ["1", "0", "yes", "no", "true", "false", "on", "off", ""] {
            let (exit, err) = exit_of(&[], &[(name, value)]);
            assert_eq!(exit, 78, "{name}={value}: {err}");
        }
    }
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    for name in ["USER", "NEED", "MIN_FREE", "LOG", "HTTPD", "ASK_TIMEOUT"] {
        let (exit, err) = exit_of(&[], &[(name, "")]);
        assert_eq!(exit, 78, "{name}: {err}");
    }
}

#[test]
fn an_invalid_value_causes_a_warning_with_its_name_and_the_default_is_used() {
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
fn a_name_that_does_not_exist_causes_a_warning_with_the_most_similar_one() {
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
fn a_variable_for_every_run_gives_way_to_an_option_typed_for_this_one() {
    assert_eq!(exit_of(&["check"], &[("DRY_RUN", "1")]).0, 78);
    assert_eq!(exit_of(&["list"], &[("DRY_RUN", "1")]).0, 78);
    assert_eq!(exit_of(&["-v"], &[("QUIET", "1")]).0, 78);
    assert_eq!(exit_of(&["-q"], &[("VERBOSE", "1")]).0, 78);
    assert_eq!(exit_of(&["-q", "-v"], &[]).0, 64);
}
