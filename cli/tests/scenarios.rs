//! All that the program does with its memory, alone and in company.

#![cfg(unix)]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use support::{Place, failed, words};

/// The numbers of a run that went well, an object for each scenario.
fn numbers(place: &Place, line: &str) -> Vec<Value> {
    let output = place.run(&format!("{line} --json numbers.json"));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && errors.is_empty(), "{line}: {errors}");
    let text = fs::read_to_string(place.path("numbers.json")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(numbers: &Value, key: &str) -> u64 {
    numbers[key].as_u64().unwrap_or_else(|| panic!("{key} of {numbers}"))
}

#[test]
fn all_scenarios_run_spill_and_are_right() {
    for line in ["", "run"] {
        let place = Place::new();
        let numbers = numbers(&place, &format!("{line} --rows 60000 --page-size 4KiB"));
        let jobs: Vec<_> = numbers.iter().map(|numbers| numbers["job"].as_str().unwrap()).collect();
        assert_eq!(jobs, ["sort", "aggregate", "join"]);
        let budget = 60_000 * 122 / 8 / 4096 * 4096;
        for numbers in &numbers {
            assert_eq!(numbers["verified"], true);
            assert_eq!(number(numbers, "budget_bytes"), budget);
            assert!(number(numbers, "spilled_bytes") > 0, "{numbers}");
            assert!(number(numbers, "peak_resident_bytes") <= budget);
            assert!(number(numbers, "peak_process_bytes") > budget);
        }
        let [sort, aggregate, join] = numbers.try_into().unwrap();
        assert_eq!(number(&sort, "rows_out"), 60_000);
        assert!(number(&sort, "runs") > 1 && sort.get("partitions").is_none());
        // An order has four items on average.
        assert!((14_000..16_000).contains(&number(&aggregate, "rows_out")));
        assert!(number(&aggregate, "partitions") > 1 && aggregate.get("runs").is_none());
        assert_eq!(number(&join, "rows_out"), 60_000);
        assert_eq!(number(&join, "rows"), 60_000 + number(&aggregate, "rows_out"));
        assert!(number(&join, "partitions") > 1);
        assert_eq!(place.files(), [place.path("numbers.json"), place.path("occupancy.svg")]);
        let picture = fs::read_to_string(place.path("occupancy.svg")).unwrap();
        assert!(picture.contains("TPC-H: sort, aggregate, join"));
    }
}

#[test]
fn each_scenario_runs_alone_and_in_heap_mode() {
    for scenario in ["sort", "aggregate", "join"] {
        let place = Place::new();
        let line = format!("run {scenario} --rows 20000 --page-size 4KiB --mode heap");
        let [numbers] = numbers(&place, &line).try_into().unwrap();
        assert_eq!((&numbers["job"], &numbers["verified"]), (&scenario.into(), &true.into()));
        assert!(numbers["peak_resident_bytes"].is_null());
    }
}

/// The second one is called when the first one holds all memory.
#[test]
fn two_of_each_get_their_shares() {
    let place = Place::new();
    for numbers in numbers(&place, "--rows 120000 --page-size 4KiB --queries 2") {
        assert_eq!(numbers["verified"], true);
        let [first, second] = numbers["queries"].as_array().unwrap().as_slice() else {
            panic!("{numbers}")
        };
        let pages = number(&numbers, "budget_bytes") / 4096;
        assert!(number(first, "pages_when_next_came") > pages * 9 / 10, "{numbers}");
        assert!(number(second, "most_pages") > pages / 3, "{numbers}");
        assert_eq!(number(first, "rows_out"), number(second, "rows_out"));
    }
}

#[test]
fn the_fewest_pages_do_for_each() {
    for (scenario, pages) in [("aggregate", 16), ("join", 16), ("", 16)] {
        let place = Place::new();
        let run = if scenario.is_empty() { String::new() } else { format!("run {scenario}") };
        let memory = pages * 4096;
        let line = format!("{run} --rows 20000 --page-size 4KiB --memory {memory}");
        for numbers in numbers(&place, &line) {
            assert_eq!(numbers["verified"], true);
            assert!(number(&numbers, "peak_pages") <= pages);
        }
    }
    let output = Place::new().run("--memory 65536");
    let rule = "less than the 16 pages of 32768 bytes that ";
    failed(&output, 2, &["--memory: a budget of 65536 bytes", rule]);
    let output = Place::new().run("run aggregate --memory 1MiB --queries 3");
    failed(&output, 2, &["the 48 pages of 32768 bytes that 3 aggregations need"]);
}

#[test]
fn a_disk_without_room_is_told_before_the_work() {
    // More than any disk has, of rows that are not made before it is looked.
    let output = Place::new().run("--rows 500000000000 --memory 1MiB");
    failed(&output, 1, &["bytes free", "--spill-dir"]);
}

#[test]
fn a_command_that_is_none_is_named() {
    for line in ["run walk", "walk", "run sort join"] {
        let output = Place::new().run(line);
        failed(&output, 2, &[words(line).last().unwrap()]);
    }
}

/// The processes that a process started.
#[cfg(target_os = "linux")]
fn children(parent: &Child) -> Vec<String> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    words(&fs::read_to_string(path).unwrap()).into_iter().map(str::to_owned).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_end_of_the_process_that_makes_rows_is_an_error_and_leaves_no_files() {
    let place = Place::new();
    let mut command = place.command(&words("--rows 3000000 --memory 400MiB"));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let maker = loop {
        if let [maker] = &children(&child)[..] {
            break maker.clone();
        }
        std::thread::yield_now();
    };
    assert!(Command::new("kill").args(["-KILL", &maker]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    failed(&output, 1, &["the process that makes rows ended early", "9"]);
    assert!(place.files().is_empty());
}

/// What the program asks of itself. It is no secret, so somebody may try.
#[test]
fn who_asks_for_rows_in_another_way_gets_a_clear_answer() {
    for (asked, parts) in [
        ("start 0 walk\n", "`start 0 walk` asks for nothing"),
        ("more 1\n", "`more 1` asks for nothing"),
        ("start x sort\n", "`start x sort` asks for nothing"),
    ] {
        let place = Place::new();
        let mut command = place.behind("exec \"$@\" >/dev/null");
        command.args(["generate", "0.1", "5"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
        failed(&child.wait_with_output().unwrap(), 2, &[parts]);
    }
}
