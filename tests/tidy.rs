//! Checks the text of the code: what a review would say twice, this test says once.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_WIDTH_MAX: usize = 100;
/// How far above an ordering its reason may stand, in lines.
const ORDERING_REASON_LINES: usize = 8;

/// The floors of `src/`, lowest first. A file uses its own floor and those below.
const FLOORS: [&[&str]; 5] =
    [&["base"], &["ledger"], &["memory"], &["owners", "manager"], &["ffi"]];

/// Where unsafe code may be.
const UNSAFE_FILES: [&str; 28] = [
    "integrations/flink/src/jni.rs",
    "src/memory/os/checker.rs",
    "src/memory/os/linux.rs",
    "src/memory/os/portable.rs",
    "src/memory/block.rs",
    "src/memory/region.rs",
    "src/memory/process_heap.rs",
    "src/owners/node/charge.rs",
    "src/owners/segment/memory_segment.rs",
    "src/owners/scratch.rs",
    "src/owners/node/page_cache.rs",
    "src/owners/node/account_count.rs",
    "src/owners/node/upstream.rs",
    "src/owners/node/worker_node.rs",
    "src/ffi/callback.rs",
    "src/ffi/config.rs",
    "src/ffi/manager.rs",
    "src/ffi/owner.rs",
    "src/ffi/pointers.rs",
    "src/ffi/pressure.rs",
    "src/ffi/problem.rs",
    "src/ffi/reclaim.rs",
    "src/ffi/reservation.rs",
    "src/ffi/segment.rs",
    "src/ffi/segment_table.rs",
    "src/ffi/table.rs",
    "src/ffi/waiting.rs",
    "src/ffi/worker.rs",
];

struct Source {
    path: String,
    text: String,
}

/// Every Rust file of the repository, with its path from the root.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 20, "where is the code?");
    found
}

impl Source {
    /// The lines before the unit tests, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let until_tests = |(_, line): &(usize, &str)| !line.starts_with("mod tests");
        (1..).zip(self.text.lines()).take_while(until_tests)
    }

    fn is_core(&self) -> bool {
        self.path.starts_with("src/")
    }

    fn is_integration(&self) -> bool {
        self.path.starts_with("integrations/")
    }
}

/// Fails with all complaints at once.
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    let mut complaints = Vec::new();
    for Source { path, text } in &sources() {
        let lines = text.lines().count();
        if !text.starts_with("//! ") {
            complaints.push(format!("{path}: the first line does not say what the file is"));
        }
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{path}: {lines} lines are more than {FILE_LINES_MAX}"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            if line.chars().count() > LINE_WIDTH_MAX {
                complaints.push(format!("{path}:{number}: wider than {LINE_WIDTH_MAX}"));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn functions_are_short() {
    let mut complaints = Vec::new();
    for Source { path, text } in &sources() {
        let mut open: Option<(usize, usize)> = None;
        for (number, line) in (1..).zip(text.lines()) {
            let indent = line.len() - line.trim_start().len();
            let code = line.trim_start();
            let starts = code.starts_with("fn ") || code.contains(" fn ") && code.contains('(');
            match open {
                None if starts && !is_comment(line) && !code.ends_with(';') => {
                    open = (!code.ends_with('}')).then_some((number, indent));
                }
                Some((from, column)) if indent == column && code == "}" => {
                    let lines = number - from + 1;
                    if lines > FUNCTION_LINES_MAX {
                        complaints.push(format!("{path}:{from}: a function of {lines} lines"));
                    }
                    open = None;
                }
                Some((_, column)) if indent == column && code.ends_with(';') => open = None,
                _ => {}
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn a_file_uses_its_own_floor_and_those_below() {
    let floor_of = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.is_core()) {
        let module = source.path.trim_start_matches("src/").trim_end_matches(".rs");
        let module = module.split('/').next().unwrap_or(module);
        if module == "lib" {
            continue;
        }
        let own = floor_of(module).unwrap_or_else(|| panic!("{}: on which floor?", source.path));
        for (number, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            for used in line.split("crate::").skip(1) {
                let used = used.split(|c: char| !c.is_alphanumeric() && c != '_').next();
                if let Some(floor) = used.and_then(floor_of).filter(|floor| *floor > own) {
                    let path = &source.path;
                    complaints.push(format!("{path}:{number}: floor {own} uses floor {floor}"));
                }
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn unsafe_code_stays_in_the_listed_files() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.is_core() || source.is_integration()) {
        let listed = UNSAFE_FILES.contains(&source.path.as_str());
        let uses = source.text.lines().any(|line| {
            !is_comment(line) && (line.contains("unsafe {") || line.contains("unsafe impl"))
        });
        if uses != listed {
            let path = &source.path;
            complaints.push(format!("{path}: unsafe code: {uses}, listed: {listed}"));
        }
    }
    expect_none(complaints);
}

#[test]
fn only_one_file_names_the_atomics() {
    let banned = ["std::sync::atomic", "core::sync::atomic", "loom::", "shuttle::"];
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.is_core()) {
        if source.path == "src/base/sync/engine.rs" {
            continue;
        }
        for (number, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            if banned.iter().any(|name| line.contains(name)) {
                complaints.push(format!("{}:{number}: use crate::sync", source.path));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn every_ordering_has_its_reason_and_none_is_seq_cst() {
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| source.is_core()) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            let path = &source.path;
            if line.contains("SeqCst") && !line.contains("fence(") {
                complaints.push(format!("{path}:{number}: loom cannot check SeqCst accesses"));
            }
            let names = ["Relaxed", "Acquire", "Release", "AcqRel"];
            let uses = names.iter().any(|name| line.contains(&format!("Ordering::{name}")));
            let above = &lines[number.saturating_sub(ORDERING_REASON_LINES + 1)..number - 1];
            if uses && !above.iter().any(|line| line.trim_start().starts_with("// ORDERING:")) {
                complaints.push(format!("{path}:{number}: an ordering without its reason"));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn nothing_is_left_to_do_and_nothing_is_told_of_the_past() {
    let banned = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "X".repeat(3)];
    let mut complaints = Vec::new();
    for Source { path, text } in &sources() {
        for (number, line) in (1..).zip(text.lines()) {
            if banned.iter().any(|word| line.contains(word.as_str())) {
                complaints.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn unsafe_code_names_a_fact() {
    let feelings = ["should be safe", "trust me", "obviously", "is fine"];
    let mut complaints = Vec::new();
    for Source { path, text } in &sources() {
        for (number, line) in (1..).zip(text.lines()) {
            let argues = line.trim_start().starts_with("// SAFETY:");
            if argues && feelings.iter().any(|feeling| line.contains(feeling)) {
                complaints.push(format!("{path}:{number}: a feeling, not a fact"));
            }
        }
    }
    expect_none(complaints);
}

#[test]
fn a_breakage_that_is_cited_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lists = fs::read_dir(root.join("scripts/breakages")).unwrap();
    let lists: String =
        lists.map(|list| fs::read_to_string(list.unwrap().path()).unwrap()).collect();
    let listed: Vec<_> = lists.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let safety = fs::read_to_string(root.join("SAFETY.md")).unwrap();
    let rows = safety.lines().skip_while(|line| !line.starts_with("| invariant "));
    // The last column, and of it what is in backquotes and is no path.
    let cited = rows.take_while(|line| line.starts_with('|')).flat_map(|row| {
        let column = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        column.split('`').skip(1).step_by(2).filter(|name| !name.contains('/'))
    });
    let cited: Vec<_> = cited.collect();
    assert!(cited.len() > 10, "what does SAFETY.md cite?");
    let unlisted = cited.into_iter().filter(|name| !listed.contains(name));
    expect_none(unlisted.map(|name| format!("SAFETY.md: `{name}` is not listed")).collect());
}
