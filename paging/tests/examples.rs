//! Every example builds, runs in a folder on a disk, ends well, and says what it is to show.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The longest that an example may be, in lines.
const LINES_MAX: usize = 119;

/// Each example, and parts of what it prints.
const EXAMPLES: [(&str, &[&str]); 2] = [
    (
        "paged_map",
        &[
            "16500 of 16500 keys have their value, and another key has none: true\n",
            "11 times the memory, of 131072 bytes\n",
        ],
    ),
    (
        "cache_gives_way",
        &[
            "64 blobs, 12 MiB of them in memory\n",
            "the query has 10 MiB, the cache ",
            "meanwhile 64 blobs are as they were\n",
            "the cache has 12 MiB again\n64 blobs are as they were\n",
        ],
    ),
];

/// Runs an example and returns what it printed.
fn run(name: &str) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--manifest-path", manifest, "--example", name, "--"]);
    let output = cargo.arg(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{told}{error}", output.status);
    told
}

#[test]
fn every_example_shows_what_it_is_to_show() {
    for (name, parts) in EXAMPLES {
        let told = run(name);
        for part in parts {
            assert!(told.contains(part), "{name} does not say {part:?}:\n{told}");
        }
    }
}

#[test]
fn every_example_is_run_and_short_and_says_what_one_learns() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    assert_eq!(files.len(), EXAMPLES.len());
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(EXAMPLES.iter().any(|(example, _)| *example == name), "{name} is not run");
        assert!(text.starts_with("//! "), "{name} does not say what one learns");
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name}: {lines} lines are more than {LINES_MAX}");
    }
}
