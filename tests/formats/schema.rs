//! Every JSON document conforms to the published schema, and the schema describes every name in it;
//! validated by Python's jsonschema.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use httpd_semguard::facts::request::{Command, Format};
use httpd_semguard::facts::time::WallTime;
use httpd_semguard::tell::report;
use httpd_semguard::tell::report::{Report, View};
use serde_json::Value;

use crate::agree::{random_reports, said};
use crate::common;
use crate::golden::of_list;
use crate::samples::{errors, forecasts, verdicts};

fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/schema/report-1.schema.json")
}

/// The errors in the documents, one line each, according to the schema in a strict form, in which a name
/// that it does not describe is an error, too.
pub(crate) fn wrong(documents: &str) -> String {
    const JUDGE: &str = r##"
import json, sys
import jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
def strict(part):
    if isinstance(part, dict):
        if "properties" in part:
            part["additionalProperties"] = False
        for inner in part.values():
            strict(inner)
    elif isinstance(part, list):
        for inner in part:
            strict(inner)
strict(schema)
checker = jsonschema.FormatChecker()
judges = {kind: jsonschema.Draft202012Validator(
    {**schema, "oneOf": [{"$ref": "#/$defs/" + kind}]}, format_checker=checker)
    for kind in ("report", "error")}
count = 0
for line in sys.stdin:
    document = json.loads(line)
    count += 1
    judge = judges["error" if "error" in document else "report"]
    for error in judge.iter_errors(document):
        for inner in error.context or [error]:
            print(json.dumps(list(inner.absolute_path)), inner.message[:300])
print("judged", count, file=sys.stderr)
"##;
    let mut python = Process::new("python3")
        .args(["-c", JUDGE])
        .arg(schema())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut pipe = python.stdin.take().expect("a pipe");
    let documents_in = documents.as_bytes().to_vec();
    // In parallel with reading: a validator that finds many errors writes before it has read everything.
    let writer = std::thread::spawn(move || pipe.write_all(&documents_in).expect("written"));
    let output = python.wait_with_output().expect("waited");
    writer.join().expect("written");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    assert!(told.contains(&format!("judged {}", documents.lines().count())), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether Python and jsonschema are installed.
pub(crate) fn can_judge() -> bool {
    let python = Process::new("python3").args(["-c", "import jsonschema"]).output();
    let there = python.is_ok_and(|o| o.status.success());
    if !there {
        common::skip("python3-jsonschema is not installed");
    }
    there
}

/// A document as one line.
pub(crate) fn line(document: &str) -> String {
    let value: Value = serde_json::from_str(document).expect("JSON");
    format!("{value}\n")
}

#[test]
fn every_document_conforms_to_the_published_schema() {
    if !can_judge() {
        return;
    }
    let mut lines = String::new();
    for (_, report) in forecasts() {
        lines += &line(&said(&report, Format::Json));
    }
    for report in random_reports(200) {
        lines += &line(&said(&report, Format::Json));
    }
    for (_, judged, world) in verdicts() {
        let id = judged.set.id;
        let list = of_list(judged, world, None);
        lines += &line(&said(&list, Format::Json));
        let explained = Report { view: View { explain: Some(id), ..list.view }, ..list };
        lines += &line(&said(&explained, Format::Json));
    }
    for (_, error) in errors() {
        let mut out = Vec::new();
        report::write_error(&error, Command::List, None, WallTime(0), Format::Json, &mut out)
            .expect("written");
        lines += &line(&String::from_utf8(out).expect("utf-8"));
    }
    assert_eq!(wrong(&lines), "");
}

#[test]
fn a_document_that_does_not_conform_is_rejected() {
    if !can_judge() {
        return;
    }
    let good: Value =
        serde_json::from_str(&said(&crate::samples::report(), Format::Json)).expect("JSON");
    let mut documents = String::new();
    for (name, bad) in [
        ("schema_version", Value::from(2)),
        ("forecast", Value::from("maybe")),
        ("need", Value::Null),
        ("new_name", Value::from(1)),
        ("time", serde_json::json!({"rfc3339": "yesterday"})),
    ] {
        let mut document = good.clone();
        document[name] = bad;
        documents += &format!("{document}\n");
    }
    let mut without = good;
    without.as_object_mut().expect("an object").remove("sets");
    documents += &format!("{without}\n");
    let said = wrong(&documents);
    for part in [
        "schema_version",
        "maybe",
        "need",
        "new_name",
        "'seconds' is a required",
        "'sets' is a required",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn the_schema_matches_the_program() {
    let schema: Value =
        serde_json::from_str(&fs::read_to_string(schema()).expect("read")).expect("JSON");
    let version = &schema["$defs"]["report"]["properties"]["schema_version"]["const"];
    assert_eq!(version, &Value::from(httpd_semguard::tell::json::SCHEMA_VERSION));
    let codes: Vec<i64> =
        schema["$defs"]["report"]["properties"]["exit"]["properties"]["code"]["enum"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_i64)
            .collect();
    // A document is never written with 70, a bug.
    let all =
        httpd_semguard::facts::error::Exit::ALL.iter().map(|(code, _)| i64::from(*code as u8));
    assert_eq!(codes, all.filter(|code| *code != 70).collect::<Vec<_>>());
}
