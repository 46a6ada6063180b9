//! What the compiler does not check is argued: unsafe code, memory orderings, cited breakages.

use std::fs;

use crate::expect_none;
use crate::source::{Source, is_comment, root, sources};

/// How far above an ordering its reason may stand, in lines.
const ORDERING_REASON_LINES: usize = 8;

const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// The only files of `src/` that name the atomics.
const ATOMICS_FILES: &[&str] = &["paging/src/base/sync.rs", "src/base/sync/engine.rs"];

/// Where unsafe code may be.
const UNSAFE_FILES: &[&str] = &[
    "fuzz/src/abi/calls.rs",
    "fuzz/src/abi/reclaims.rs",
    "integrations/flink/src/jni.rs",
    "loom-tests/src/lib.rs",
    "loom-tests/src/manager.rs",
    "loom-tests/src/paging.rs",
    "loom-tests/tests/ask.rs",
    "loom-tests/tests/budget.rs",
    "loom-tests/tests/exchange.rs",
    "loom-tests/tests/handles.rs",
    "loom-tests/tests/tree.rs",
    "paging/rivals/src/mapped.rs",
    "paging/rivals/src/measure/usage.rs",
    "paging/src/base/fence.rs",
    "paging/src/base/process.rs",
    "paging/src/file/system/linux.rs",
    "paging/src/file/system/uring.rs",
    "paging/src/handles/guards.rs",
    "paging/src/handles/many.rs",
    "paging/src/handles/page.rs",
    "paging/src/handles/page_reader.rs",
    "paging/src/moving/write.rs",
    "paging/tests/file_size_limit.rs",
    "rivals/src/bin/touches.rs",
    "rivals/src/peers/heap.rs",
    "rivals/src/peers/jemalloc.rs",
    "rivals/src/peers/lgalloc.rs",
    "rivals/src/peers/mimalloc.rs",
    "rivals/src/peers/snmalloc.rs",
    "rivals/src/peers/system.rs",
    "rivals/src/usage.rs",
    "src/base/sync/word.rs",
    "src/ffi/allocating.rs",
    "src/ffi/config.rs",
    "src/ffi/convert/pointers.rs",
    "src/ffi/manager.rs",
    "src/ffi/owner.rs",
    "src/ffi/pressure.rs",
    "src/ffi/problem.rs",
    "src/ffi/reclaim.rs",
    "src/ffi/reservation.rs",
    "src/ffi/segment.rs",
    "src/ffi/tables/callback.rs",
    "src/ffi/tables/registered.rs",
    "src/ffi/tables/segment_table.rs",
    "src/ffi/tables/table.rs",
    "src/ffi/waiting.rs",
    "src/ffi/worker.rs",
    "src/memory/block.rs",
    "src/memory/os/checker.rs",
    "src/memory/os/huge_tlb.rs",
    "src/memory/os/linux.rs",
    "src/memory/os/portable.rs",
    "src/memory/process_heap.rs",
    "src/memory/region.rs",
    "src/owners/node/account_count.rs",
    "src/owners/node/charge.rs",
    "src/owners/node/page_cache.rs",
    "src/owners/node/upstream.rs",
    "src/owners/scratch.rs",
    "src/owners/segment/memory_segment.rs",
    "src/owners/segment/raw_segment.rs",
    "src/owners/worker_node.rs",
    "tests/all/raw_segments.rs",
    "tests/all/residency.rs",
    "tests/all/scratch.rs",
    "tests/all/trimming.rs",
    "tests/all/zero_routes.rs",
    "tests/checked/src/bin/relay/threads.rs",
    "tests/checked/src/bin/walk.rs",
    "tests/faults/src/child.rs",
    "tests/faults/src/injector.rs",
    "tests/faults/tests/interrupting.rs",
    "tests/faults/tests/killing.rs",
    "tests/faults/tests/limits.rs",
    "tests/faults/tests/paging.rs",
    "tests/faults/tests/support/mod.rs",
    "tests/faults/tests/support/system.rs",
    "tests/support/src/counting.rs",
];

/// The files that have unsafe code and are not `listed`, and the other way round.
fn unlisted_unsafe(sources: &[Source], listed: &[&str]) -> Vec<String> {
    let marks = ["{", "impl"].map(|what| ["unsafe", what].join(" "));
    let mut complaints = Vec::new();
    for source in sources {
        let path = &source.path;
        let listed = listed.contains(&path.as_str());
        let mut code = source.text.lines().filter(|line| !is_comment(line));
        let uses = code.any(|line| marks.iter().any(|mark| line.contains(mark)));
        if uses != listed {
            complaints.push(format!("{path}: unsafe code: {uses}, listed: {listed}"));
        }
    }
    complaints
}

/// Memory orderings without a reason above them, or that no model can check.
fn unargued_orderings(sources: &[Source]) -> Vec<String> {
    let named = |name: &str| format!("Ordering::{name}");
    let [argued @ .., _] = ORDERINGS.map(named);
    let mut complaints = Vec::new();
    for source in sources {
        let path = &source.path;
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            let of_many = line.split(&named("")).skip(1).any(|rest| {
                let mut names = rest.trim_start_matches('{').split(|c: char| !c.is_alphanumeric());
                rest.starts_with('*')
                    || rest.starts_with('{') && names.any(|name| ORDERINGS.contains(&name))
            });
            if of_many {
                complaints.push(format!("{path}:{number}: orderings are named one by one"));
            }
            if line.contains(&named("SeqCst")) && !line.contains("fence(") {
                complaints.push(format!("{path}:{number}: loom cannot check SeqCst accesses"));
            }
            let uses = argued.iter().any(|name| line.contains(name));
            let above = &lines[number.saturating_sub(ORDERING_REASON_LINES + 1)..number - 1];
            if uses && !above.iter().any(|line| line.trim_start().starts_with("// ORDERING:")) {
                complaints.push(format!("{path}:{number}: an ordering without its reason"));
            }
        }
    }
    complaints
}

fn direct_atomics(sources: &[Source]) -> Vec<String> {
    let banned = ["std::sync::atomic", "core::sync::atomic", "loom::", "shuttle::"];
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| source.is_core()) {
        if ATOMICS_FILES.contains(&source.path.as_str()) {
            continue;
        }
        for (number, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            if banned.iter().any(|name| line.contains(name)) {
                complaints.push(format!("{}:{number}: use crate::sync", source.path));
            }
        }
    }
    complaints
}

fn feelings(sources: &[Source]) -> Vec<String> {
    let feelings = ["should be safe", "trust me", "obviously", "is fine"];
    let mut complaints = Vec::new();
    for Source { path, text } in sources {
        for (number, line) in (1..).zip(text.lines()) {
            let argues = line.trim_start().starts_with("// SAFETY:");
            if argues && feelings.iter().any(|feeling| line.contains(feeling)) {
                complaints.push(format!("{path}:{number}: a feeling, not a fact"));
            }
        }
    }
    complaints
}

#[test]
fn unsafe_code_stays_in_the_listed_files() {
    expect_none(unlisted_unsafe(&sources(), UNSAFE_FILES));
}

#[test]
fn only_one_file_names_the_atomics() {
    expect_none(direct_atomics(&sources()));
}

#[test]
fn every_ordering_has_its_reason_and_none_is_seq_cst() {
    expect_none(unargued_orderings(&sources()));
}

#[test]
fn unsafe_code_names_a_fact() {
    expect_none(feelings(&sources()));
}

#[test]
fn a_breakage_that_is_cited_is_listed() {
    let lists = fs::read_dir(root().join("scripts/breakages")).unwrap();
    let lists: String =
        lists.map(|list| fs::read_to_string(list.unwrap().path()).unwrap()).collect();
    let listed: Vec<_> = lists.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let safety = fs::read_to_string(root().join("SAFETY.md")).unwrap();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ordering(text: &str) -> Vec<String> {
        unargued_orderings(&[Source::new("fuzz/src/x.rs", text)])
    }

    #[test]
    fn an_ordering_without_its_reason_is_told_in_every_package() {
        let told = ordering("fn f() {\n    a.load(Ordering::Relaxed);\n}");
        assert_eq!(told, ["fuzz/src/x.rs:2: an ordering without its reason"]);
        assert!(
            ordering("// ORDERING: Relaxed. Nothing else.\na.load(Ordering::Relaxed);").is_empty()
        );
        let far = format!("// ORDERING: Far.\n{}a.load(Ordering::Acquire);", "b();\n".repeat(8));
        assert_eq!(ordering(&far).len(), 1);
    }

    #[test]
    fn an_ordering_does_not_hide_behind_its_import() {
        assert_eq!(ordering("use std::sync::atomic::Ordering::{self, Relaxed};").len(), 1);
        assert_eq!(ordering("    atomic::{AtomicBool, Ordering::*},").len(), 1);
        assert!(ordering("use std::sync::atomic::{AtomicBool, Ordering};").is_empty());
    }

    #[test]
    fn a_seq_cst_access_is_told_whatever_its_reason() {
        let reason = "// ORDERING: SeqCst. To be sure.\n";
        assert_eq!(ordering(&format!("{reason}a.load(Ordering::SeqCst);")).len(), 1);
        assert!(ordering(&format!("{reason}fence(Ordering::SeqCst);")).is_empty());
    }

    #[test]
    fn unsafe_code_outside_of_the_list_is_told_in_every_package() {
        let sources = ["fn f() { Z { g() } }", "Z impl Send for B {}", "// Z { no }\nfn f() {}"];
        let names = ["rivals/a.rs", "rivals/b.rs", "rivals/c.rs"];
        let sources: Vec<_> = (names.iter().zip(sources))
            .map(|(path, text)| Source::new(path, &text.replace('Z', "unsafe")))
            .collect();
        assert_eq!(unlisted_unsafe(&sources, &["rivals/b.rs"]).len(), 1);
        assert_eq!(unlisted_unsafe(&sources, &names).len(), 1);
    }

    #[test]
    fn atomics_come_from_one_file() {
        let text = "use std::sync::atomic::AtomicBool;";
        let files = ["src/a.rs", "src/base/sync/engine.rs", "fuzz/src/a.rs"];
        let sources = files.map(|path| Source::new(path, text));
        assert_eq!(direct_atomics(&sources), ["src/a.rs:1: use crate::sync"]);
    }

    #[test]
    fn a_feeling_is_no_reason() {
        let text = format!("// {}: this is fine", "SAFETY");
        assert_eq!(feelings(&[Source::new("src/a.rs", &text)]).len(), 1);
    }
}
