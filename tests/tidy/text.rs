//! Files, functions and lines are short, and nothing is left to do.

use crate::expect_none;
use crate::source::{Source, is_comment, sources};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_WIDTH_MAX: usize = 100;

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
