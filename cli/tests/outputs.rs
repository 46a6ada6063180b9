//! Where the program writes the numbers and the picture, and what it refuses to write to.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use support::{Place, failed, words};

/// So many rows that only a refusal before the work ends in time.
const FOR_EVER: &str = "--rows 1000000000";

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn is_json_line(text: &str) -> bool {
    text.starts_with("{\"job\":\"sort\",") && text.ends_with("}\n") && text.lines().count() == 1
}

fn is_picture(text: &str) -> bool {
    text.starts_with("<svg") && text.trim_end().ends_with("</svg>")
}

fn run_in_shell(place: &Place, script: &str, line: &str) -> Output {
    let mut command = place.behind(script);
    command
        .args(["run", "sort", "--spill-dir"])
        .arg(place.spill_dir())
        .args(words(line))
        .output()
        .unwrap()
}

#[test]
fn a_dash_is_standard_output_which_then_has_nothing_else() {
    for (line, is_right, file) in [
        ("--rows 10 --json -", is_json_line as fn(&str) -> bool, "occupancy.svg"),
        ("--rows 10 --json /dev/stdout", is_json_line, "occupancy.svg"),
        ("--rows 10 --picture - --json numbers", is_picture, "numbers"),
    ] {
        let place = Place::new();
        let output = place.sort(line);
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success() && is_right(&stdout), "{line}: {stdout}");
        assert!(stderr.contains("verified") && stderr.contains("peak pages"), "{stderr}");
        assert_eq!(stderr.contains("standard output"), is_picture(&stdout), "{stderr}");
        assert_eq!(place.files(), [place.path(file)]);
    }
}

#[test]
fn a_file_that_is_standard_output_already_is_written_to_and_not_replaced() {
    for line in ["--json out", "--json /dev/stdout", "--json ./out", "--json -"] {
        let place = Place::new();
        let output = run_in_shell(&place, "exec \"$@\" >out", &format!("--rows 10 {line}"));
        assert!(output.status.success() && text(output.stderr).contains("verified"), "{line}");
        let out = fs::read_to_string(place.path("out")).unwrap();
        assert!(is_json_line(&out), "{line}: {out}");
    }
}

#[test]
fn a_file_that_is_standard_error_already_is_refused() {
    let place = Place::new();
    let output = run_in_shell(&place, "exec \"$@\" 2>log", &format!("{FOR_EVER} --json ./log"));
    assert_eq!(output.status.code(), Some(2));
    let log = fs::read_to_string(place.path("log")).unwrap();
    assert!(log.contains("--json ./log leads to the file of standard error"), "{log}");
}

#[test]
fn only_one_output_is_standard_output() {
    let place = Place::new();
    for (json, picture) in [("-", "-"), ("-", "/dev/stdout"), ("/dev/stdout", "-")] {
        let output = place.sort(&format!("{FOR_EVER} --json {json} --picture {picture}"));
        let start = format!("--json {json} and --picture {picture} both lead to standard output");
        failed(&output, 2, &[&start]);
    }
    let line = format!("{FOR_EVER} --json - --picture out");
    failed(&run_in_shell(&place, "exec \"$@\" >out", &line), 2, &["lead to standard output"]);
    assert_eq!(fs::read(place.path("out")).unwrap(), b"");
}

#[test]
fn both_outputs_may_not_lead_to_one_file() {
    for is_there in [false, true] {
        let place = Place::new();
        fs::create_dir(place.path("a")).unwrap();
        symlink("a", place.path("folder")).unwrap();
        symlink("x", place.path("link")).unwrap();
        symlink("link", place.path("link-to-link")).unwrap();
        symlink("../x", place.path("a/up")).unwrap();
        let mut names = vec!["x", "./x", "a/../x", "link", "link-to-link", "folder/up", "a/up"];
        if is_there {
            fs::write(place.path("x"), "kept").unwrap();
            fs::hard_link(place.path("x"), place.path("hard")).unwrap();
            names.push("hard");
        }
        for name in names {
            for (json, picture) in [("x", name), (name, "x")] {
                let output = place.sort(&format!("{FOR_EVER} --json {json} --picture {picture}"));
                let start = format!("--json {json} and --picture {picture} lead to one file");
                failed(&output, 2, &[&start]);
            }
        }
        let output = place.sort(&format!("{FOR_EVER} --json a/y --picture folder/y"));
        failed(&output, 2, &["lead to one file"]);
        let kept = fs::read_to_string(place.path("x")).unwrap_or_default();
        assert_eq!(kept, if is_there { "kept" } else { "" });
    }
}

#[test]
fn the_picture_that_nobody_asked_for_is_an_output_too() {
    let place = Place::new();
    let output = place.sort(&format!("{FOR_EVER} --json ./occupancy.svg"));
    failed(&output, 2, &["--json ./occupancy.svg and --picture occupancy.svg lead to one file"]);
    assert!(place.files().is_empty());
}

#[test]
fn a_link_leads_to_the_file_that_is_written() {
    for is_there in [false, true] {
        let place = Place::new();
        symlink("x", place.path("link")).unwrap();
        if is_there {
            fs::write(place.path("x"), "replaced").unwrap();
        }
        assert!(place.sort("--rows 10 --json link").status.success());
        assert!(fs::symlink_metadata(place.path("link")).unwrap().is_symlink());
        assert!(is_json_line(&fs::read_to_string(place.path("x")).unwrap()));
    }
}

#[test]
fn outputs_that_cannot_be_written_are_named_before_the_work() {
    let place = Place::new();
    symlink("circle", place.path("circle")).unwrap();
    symlink("missing/file", place.path("astray")).unwrap();
    for option in ["--json", "--picture"] {
        for path in ["missing/file", "spill", ".", "new/", "/proc/file", "circle", "astray"] {
            let output = place.sort(&format!("{FOR_EVER} {option} {path}"));
            failed(&output, 1, &[&format!("cannot write {path}: ")]);
        }
        let output = place.sort(&format!("{FOR_EVER} {option}="));
        failed(&output, 2, &[option]);
    }
    assert_eq!(place.files(), [place.path("astray"), place.path("circle")]);
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let place = Place::new();
    if !Path::new("/dev/full").exists() {
        return;
    }
    let output = place.sort("--rows 10 --json /dev/full");
    failed(&output, 1, &["bytes to /dev/full: No space left on device"]);
    let output = run_in_shell(&place, "exec \"$@\" >/dev/full", "--rows 10 --json -");
    failed(&output, 1, &["bytes to standard output: No space left on device"]);
    let output = place.sort(&format!("{FOR_EVER} --json /dev/full --picture /dev/full"));
    failed(&output, 2, &["lead to one device or pipe"]);
}

#[test]
fn nothing_is_lost_in_the_null_device() {
    let place = Place::new();
    let output = place.sort("--rows 10 --json /dev/null --picture /dev/null");
    assert!(output.status.success() && text(output.stdout).contains("verified"));
    let script = "exec \"$@\" >/dev/null";
    let output = run_in_shell(&place, script, "--rows 10 --picture /dev/null");
    assert!(output.status.success() && output.stderr.is_empty(), "the table went to stdout");
    assert!(place.files().is_empty());
}

#[test]
fn a_named_pipe_has_one_writer_from_begin_to_end() {
    let place = Place::new();
    let pipe = place.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let output = place.sort(&format!("{FOR_EVER} --json pipe --picture ./pipe"));
    failed(&output, 2, &["lead to one device or pipe"]);

    let reader = thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    assert!(place.sort("--rows 10 --json pipe").status.success());
    assert!(is_json_line(&reader.join().unwrap()));
    assert_eq!(place.files(), [place.path("occupancy.svg"), pipe]);
}

#[test]
fn a_reader_that_went_away_is_an_error() {
    let place = Place::new();
    let mut command = place.command(&words("run sort --rows 10 --json -"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    failed(&child.wait_with_output().unwrap(), 1, &["bytes to standard output: Broken pipe"]);
}

/// A limit on the size of files stands in for a disk that is full. The sort itself spills nothing.
#[test]
fn a_disk_that_is_full_at_the_end_is_an_error_and_leaves_no_files() {
    let place = Place::new();
    fs::write(place.path("picture"), "kept").unwrap();
    let script = "trap '' XFSZ; ulimit -f 4; exec \"$@\"";
    let line = "--rows 2000 --memory 16M --picture picture";
    let output = run_in_shell(&place, script, line);
    failed(&output, 1, &["cannot write ", " bytes to picture: File too large"]);
    assert_eq!(fs::read_to_string(place.path("picture")).unwrap(), "kept");
    assert_eq!(place.files(), [place.path("picture")]);
}
