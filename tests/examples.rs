//! Every example builds, runs without input, ends well, and says what it is to show.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The longest that an example may be, in lines.
const LINES_MAX: usize = 99;

/// Each example, the features that it needs, and a part of what it prints.
const EXAMPLES: [(&str, &str, &str); 6] = [
    (
        "quickstart",
        "",
        "it holds 7143424 bytes of its limit of 8388608 bytes\nall memory is back\n",
    ),
    ("spill_when_refused", "", "60000 groups in 1048576 bytes, with "),
    ("async_service", "", " tasks served, "),
    ("polled_reclaim", "", "sorter: asked for 1048576 bytes, spills 32 pages\nquery: got 32 pages"),
    ("blocks_and_strategies", "", "but the largest free block has 65536 bytes"),
    ("metrics", "metrics", "offheap_owner_used_bytes{manager=\"main\",owner=\"sort\"} 524288\n"),
];

/// Runs an example and returns what it printed.
fn run(name: &str, features: &str) -> String {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--quiet", "--manifest-path", manifest, "--features", features]);
    let output = cargo.args(["--example", name]).stdin(Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{told}{error}", output.status);
    told
}

#[test]
fn every_example_shows_what_it_is_to_show() {
    for (name, features, shown) in EXAMPLES {
        let told = run(name, features);
        assert!(told.contains(shown), "{name} does not say {shown:?}:\n{told}");
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
        assert!(EXAMPLES.iter().any(|(example, ..)| *example == name), "{name} is not run");
        assert!(text.starts_with("//! "), "{name} does not say what one learns");
        let lines = text.lines().count();
        assert!(lines <= LINES_MAX, "{name}: {lines} lines are more than {LINES_MAX}");
    }
}
