//! The program as its users run it.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it says")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use support::{Place, failed, words};

/// The most bytes of a picture.
const PICTURE_BYTES_MAX: u64 = 1_500_000;

/// The numbers of a run that went well.
fn numbers(place: &Place, line: &str) -> Value {
    let output = place.sort(&format!("{line} --json numbers.json"));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{line}: {errors}");
    let text = fs::read_to_string(place.path("numbers.json")).unwrap();
    assert_eq!(text.lines().count(), 1);
    assert!(String::from_utf8(output.stdout).unwrap().contains("verified"));
    serde_json::from_str(&text).unwrap()
}

fn number(numbers: &Value, key: &str) -> u64 {
    numbers[key].as_u64().unwrap()
}

#[test]
fn it_sorts_with_every_strategy_in_every_mode() {
    for (strategy, mode) in [
        ("smallest-fit", "off-heap"),
        ("largest-fit", "off-heap"),
        ("smallest-fit", "heap"),
        ("largest-fit", "heap"),
    ] {
        let place = Place::new();
        let line = format!("--rows 20000 --page-size 4KiB --strategy {strategy} --mode {mode}");
        let numbers = numbers(&place, &line);
        assert_eq!(numbers["job"], "sort");
        assert_eq!(numbers["verified"], true);
        assert_eq!((&numbers["strategy"], &numbers["mode"]), (&strategy.into(), &mode.into()));
        assert_eq!((number(&numbers, "rows"), number(&numbers, "page_bytes")), (20_000, 4096));
        let (data, budget) = (number(&numbers, "data_bytes"), number(&numbers, "budget_bytes"));
        assert_eq!(budget, 20_000 * 122 / 8 / 4096 * 4096);
        assert!(budget.abs_diff(data / 8) < 4096);
        assert!(number(&numbers, "spilled_bytes") > data);
        assert!(number(&numbers, "runs") > 1 && number(&numbers, "merge_passes") == 1);
        assert!(number(&numbers, "peak_pages") * 4096 <= budget);
        assert!(numbers["seconds"].as_f64().unwrap() > 0.0);
        assert!(numbers["rows_per_second"].as_f64().unwrap() > 0.0);
        let resident = &numbers["peak_resident_bytes"];
        match mode {
            "heap" => assert!(resident.is_null()),
            _ => assert!((1..=budget).contains(&resident.as_u64().unwrap()), "{resident}"),
        }
        let picture = fs::read_to_string(place.path("occupancy.svg")).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
        assert!((picture.len() as u64) < PICTURE_BYTES_MAX);
        assert_eq!(place.files(), [place.path("numbers.json"), place.path("occupancy.svg")]);
    }
}

#[test]
fn the_fewest_pages_sort_in_many_passes() {
    let numbers = numbers(&Place::new(), "--rows 20000 --page-size 4KiB --memory 12KiB");
    assert_eq!(numbers["verified"], true);
    assert_eq!((number(&numbers, "budget_bytes"), number(&numbers, "peak_pages")), (12 << 10, 3));
    assert!(number(&numbers, "merge_passes") > 3);
}

#[test]
fn a_large_budget_spills_nothing() {
    let numbers = numbers(&Place::new(), "--rows 5000 --memory 16M --page-size 64KiB");
    assert_eq!(numbers["verified"], true);
    let spilled = ["spilled_bytes", "runs", "merge_passes"].map(|key| number(&numbers, key));
    assert_eq!(spilled, [0, 0, 0]);
}

#[test]
fn the_second_of_two_queries_gets_its_share_because_the_first_one_spills() {
    for mode in ["off-heap", "heap"] {
        let place = Place::new();
        let line = format!("--rows 20000 --page-size 4KiB --mode {mode} --queries 2");
        let numbers = numbers(&place, &line);
        assert_eq!((&numbers["verified"], number(&numbers, "rows")), (&true.into(), 40_000));
        let (data, budget) = (number(&numbers, "data_bytes"), number(&numbers, "budget_bytes"));
        assert_eq!(budget, data / 2 / 8 / 4096 * 4096, "an eighth of what one of them sorts");
        if mode == "off-heap" {
            let resident = number(&numbers, "peak_resident_bytes");
            assert!((1..=budget).contains(&resident), "{resident}");
        }
        let queries = numbers["queries"].as_array().unwrap();
        let [first, second] = &queries[..] else { panic!("{queries:?}") };
        for (nth, query) in [(1, first), (2, second)] {
            assert_eq!(number(query, "query"), nth);
            assert_eq!((&query["verified"], number(query, "rows")), (&true.into(), 20_000));
            assert!(number(query, "spilled_bytes") > data / 2 && number(query, "runs") > 8);
            assert!(number(query, "least_pages") < number(query, "most_pages"));
        }
        let [pages, share] = [budget / 4096, budget / 2 / 4096];
        assert!(number(first, "pages_when_next_came") > pages - 3, "it had nearly everything");
        assert!(number(first, "times_asked") > 0);
        assert!(number(first, "given_bytes") >= (share - 3) * 4096, "{first}");
        assert!(number(second, "most_pages") >= share, "{second}");
        assert!(number(first, "pages_when_next_had_share") <= pages - share, "{first}");
        assert!(second["pages_when_next_came"].is_null());
        let each = ["spilled_bytes", "runs"];
        let sums = each.map(|key| number(first, key) + number(second, key));
        assert_eq!(each.map(|key| number(&numbers, key)), sums);
        assert_eq!(place.files(), [place.path("numbers.json"), place.path("occupancy.svg")]);
    }
}

#[test]
fn queries_that_fit_beside_each_other_are_not_asked_for_anything() {
    let line = "--rows 5000 --memory 16M --page-size 64KiB --queries 2";
    let numbers = numbers(&Place::new(), line);
    assert_eq!((&numbers["verified"], number(&numbers, "runs")), (&true.into(), 0));
    for query in numbers["queries"].as_array().unwrap() {
        assert_eq!((number(query, "times_asked"), number(query, "given_bytes")), (0, 0));
    }
}

#[test]
fn several_queries_get_along_with_the_fewest_pages() {
    for (queries, pages) in [(2, 6), (3, 9), (3, 40)] {
        let memory = pages * 4096;
        let line = format!("--rows 5000 --page-size 4KiB --memory {memory} --queries {queries}");
        let numbers = numbers(&Place::new(), &line);
        assert_eq!(numbers["verified"], true);
        assert_eq!(numbers["queries"].as_array().unwrap().len(), queries);
        assert!(number(&numbers, "peak_pages") <= pages);
    }
}

#[test]
fn few_rows_get_the_least_a_sort_needs() {
    let numbers = numbers(&Place::new(), "--rows 1");
    assert_eq!(numbers["verified"], true);
    assert_eq!((number(&numbers, "rows"), number(&numbers, "budget_bytes")), (1, 3 * (32 << 10)));
}

#[test]
fn a_scale_has_all_its_rows() {
    let numbers = numbers(&Place::new(), "--scale 0.001 --picture other.svg");
    assert_eq!((&numbers["verified"], number(&numbers, "rows")), (&true.into(), 6005));
}

#[test]
fn bad_values_are_named_with_their_rule() {
    let place = Place::new();
    for (line, parts) in [
        ("--rows 0", ["'0'", "a whole number from 1"]),
        ("--rows many", ["'many'", "a whole number from 1"]),
        ("--scale 0", ["'0'", "a number from 0.001 to 100000"]),
        ("--scale nan", ["'nan'", "a number from 0.001 to 100000"]),
        ("--rows 5 --scale 1", ["--rows <N>", "cannot be used with"]),
        ("--memory lots", ["'lots'", "a suffix such as KiB"]),
        ("--memory 0", ["no capacity was set", "in bytes or as a fraction"]),
        ("--memory 1000", ["1000 bytes", "does not hold one page of 32768 bytes"]),
        (
            "--memory 64KiB",
            ["--memory: a budget of 65536 bytes", "the 3 pages of 32768 bytes that a sort needs"],
        ),
        (
            "--memory 128KiB --queries 2",
            ["budget of 131072 bytes", "the 6 pages of 32768 bytes that 2 sorts need"],
        ),
        ("--queries 0", ["'0'", "a whole number from 1 to 64"]),
        ("--queries 65", ["'65'", "a whole number from 1 to 64"]),
        ("--memory 15EiB", ["17293822569102704640 bytes", "above the most that can be managed"]),
        (
            "--page-size 5000",
            ["--page-size: ", "of 5000 bytes is not a power of two from 4096 to 1048576"],
        ),
        ("--page-size 2KiB --memory 1M", ["2048 bytes", "not a power of two"]),
        ("--page-size 0", ["0 bytes", "not a power of two"]),
        ("--strategy best", ["'best'", "smallest-fit, largest-fit"]),
        ("--mode virtual", ["'virtual'", "off-heap, heap"]),
        ("--unknown", ["'--unknown'", "unexpected argument"]),
    ] {
        failed(&place.sort(line), 2, &parts);
    }
    assert!(place.files().is_empty());
}

#[test]
fn a_spill_directory_that_cannot_be_written_is_named_before_the_work() {
    let place = Place::new();
    fs::write(place.path("file"), b"").unwrap();
    let dirs = [place.path("missing"), place.path("file"), PathBuf::from("/proc")];
    for (dir, queries) in dirs.iter().zip(["1", "2", "3"]) {
        let mut command = place.behind("exec \"$@\"");
        command.args(words("run sort --rows 1000000000 --page-size 4KiB"));
        command.args(["--queries", queries]);
        let output = command.arg("--spill-dir").arg(dir).output().unwrap();
        let start = format!("cannot create the spill file in {}: ", dir.display());
        failed(&output, 1, &[&start]);
    }
    assert_eq!(place.files(), [place.path("file")]);
}

/// A limit on the size of files stands in for a disk that is full.
#[test]
fn a_full_disk_is_an_error_and_leaves_no_files() {
    let place = Place::new();
    let mut command = place.behind("trap '' XFSZ; ulimit -f 64; exec \"$@\"");
    command
        .args(words("run sort --quiet --rows 20000 --page-size 4KiB --spill-dir"))
        .arg(place.spill_dir());
    let dir = place.spill_dir();
    let end = format!("bytes to the spill file in {}: ", dir.display());
    failed(&command.output().unwrap(), 1, &["cannot write ", &end]);
    assert!(place.files().is_empty());
}

/// Starts a sort and returns when it has spilled.
#[cfg(target_os = "linux")]
fn spilling(place: &Place, queries: u32) -> Child {
    let line =
        format!("run sort --rows 200000 --page-size 4KiB --memory 64KiB --queries {queries}");
    let mut child =
        place.command(&words(&line)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let handles = format!("/proc/{}/fd", child.id());
    let has_spilled = || {
        let handles = fs::read_dir(&handles).unwrap().flatten();
        handles.flat_map(|handle| fs::read_link(handle.path())).any(|file| {
            file.starts_with(place.spill_dir()) // without a name there
        })
    };
    while !has_spilled() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it spilled");
        std::thread::yield_now();
    }
    child
}

#[cfg(target_os = "linux")]
fn send(signal: &str, child: &Child) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_leaves_no_files() {
    for queries in [1, 2] {
        let place = Place::new();
        let child = spilling(&place, queries);
        send("-INT", &child);
        failed(&child.wait_with_output().unwrap(), 130, &["interrupted"]);
        assert!(place.files().is_empty());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn even_a_killed_run_leaves_no_files() {
    let place = Place::new();
    let child = spilling(&place, 2);
    send("-KILL", &child);
    assert!(!child.wait_with_output().unwrap().status.success());
    assert!(place.files().is_empty());
}

#[test]
fn help_is_no_error() {
    let output = Place::new().run("--help");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    for option in
        ["--memory", "--rows", "--scale", "--queries", "--json", "--spill-dir", "--picture"]
    {
        assert!(text.contains(option), "{option}");
    }
}
