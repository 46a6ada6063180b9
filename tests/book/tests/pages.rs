//! The pages of the repository: their links lead somewhere, and their sentences can be read.
#![allow(clippy::unwrap_used)] // a test stops at the first thing that is not as it says

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest that a sentence may be, in words.
const WORDS_MAX: usize = 40;
/// Words for persons, which things are not, and which no page needs.
const BANNED: [&str; 5] = ["whoever", "he", "his", "him", "himself"];

/// A page, with its path from the root.
struct Page {
    path: PathBuf,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The pages in a folder.
fn pages_in(folder: &str) -> Vec<Page> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name()));
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let page = |path: PathBuf| Page { text: fs::read_to_string(root().join(&path)).unwrap(), path };
    paths.map(page).collect()
}

/// Those that are written for readers from outside: the front page and the book.
fn book() -> Vec<Page> {
    let mut pages = pages_in("docs");
    pages.extend(pages_in("").into_iter().filter(|page| page.path == Path::new("README.md")));
    assert!(pages.len() > 5, "where is the book?");
    pages
}

fn all_pages() -> Vec<Page> {
    ["", "docs", "benches", "fuzz", "rivals", "paging/rivals", "integrations/flink"]
        .into_iter()
        .flat_map(pages_in)
        .collect()
}

impl Page {
    /// The lines that are not code, with their numbers.
    fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut is_code = false;
        (1..).zip(self.text.lines()).filter(move |(_, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_code ^= is_fence;
            !is_code && !is_fence
        })
    }

    /// The anchors of the headings, as GitHub makes them.
    fn anchors(&self) -> Vec<String> {
        let mut seen = HashMap::new();
        let headings = self.prose().filter(|(_, line)| line.starts_with('#'));
        let anchor = |(_, line): (usize, &str)| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
            let before = seen.entry(anchor.clone()).and_modify(|count| *count += 1).or_insert(0);
            if *before == 0 { anchor } else { format!("{anchor}-{before}") }
        };
        headings.map(anchor).collect()
    }

    /// What a link or an image leads to, with the number of its line.
    fn links(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose().flat_map(|(number, line)| {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            targets.map(move |target| (number, target))
        })
    }

    /// What stands in backquotes, with the number of its line.
    fn spans(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose().flat_map(|(number, line)| {
            line.split('`').skip(1).step_by(2).map(move |span| (number, span))
        })
    }

    /// The sentences, with the number of the line that they begin in.
    fn sentences(&self) -> Vec<(usize, String)> {
        let mut sentences = vec![(1, String::new())];
        for (number, line) in self.prose() {
            let line = line.trim();
            let begins = line.is_empty()
                || line.starts_with(['#', '|', '-', '!', '<'])
                || line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
            if begins {
                sentences.push((number, String::new()));
            }
            // A cell of a table is a piece of its own.
            for (index, cell) in line.split(" | ").enumerate() {
                if index > 0 {
                    sentences.push((number, String::new()));
                }
                for word in cell.split_whitespace() {
                    let (_, sentence) = sentences.last_mut().unwrap();
                    sentence.push_str(word);
                    sentence.push(' ');
                    if word.trim_end_matches(['*', ')', '"']).ends_with(['.', '?', '!']) {
                        sentences.push((number, String::new()));
                    }
                }
            }
        }
        sentences
    }
}

/// Fails with all complaints at once.
fn expect_none(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut complaints = Vec::new();
    let mut count = 0;
    for page in all_pages() {
        for (number, link) in page.links().filter(|(_, link)| !link.contains("://")) {
            count += 1;
            let at = format!("{}:{number}", page.path.display());
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.path.clone(),
                file => page.path.parent().unwrap().join(file),
            };
            let Ok(target) = root().join(&target).canonicalize() else {
                complaints.push(format!("{at}: there is no {link}"));
                continue;
            };
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let anchors = Page { path: target, text }.anchors();
                if !anchors.iter().any(|one| one == anchor) {
                    complaints.push(format!("{at}: there is no heading for {link}"));
                }
            }
        }
    }
    assert!(count > 50, "where are the links?");
    expect_none(complaints);
}

#[test]
fn every_file_that_is_named_exists() {
    let is_path = |span: &str| {
        let plain = |c: char| c.is_alphanumeric() || "/._-".contains(c);
        span.contains('/') && span.chars().all(plain)
    };
    let mut complaints = Vec::new();
    let mut count = 0;
    for page in book() {
        for (number, span) in page.spans().filter(|(_, span)| is_path(span)) {
            let first = span.split('/').next().unwrap();
            let mut bases = [root(), root().join("src")].into_iter();
            // What is not below a folder of ours is another kind of word.
            let Some(base) = bases.find(|base| !first.is_empty() && base.join(first).is_dir())
            else {
                continue;
            };
            count += 1;
            if !base.join(span).exists() {
                complaints.push(format!("{}:{number}: there is no {span}", page.path.display()));
            }
        }
    }
    assert!(count > 20, "where are the names?");
    expect_none(complaints);
}

#[test]
fn every_page_is_in_the_table_of_contents_and_its_code_is_run() {
    let pages = pages_in("docs");
    let contents = pages.iter().find(|page| page.path.ends_with("README.md")).unwrap();
    let run = fs::read_to_string(root().join("tests/book/src/lib.rs")).unwrap();
    let mut complaints = Vec::new();
    for page in &pages {
        let name = page.path.file_name().unwrap().to_str().unwrap();
        if name != "README.md" && !contents.links().any(|(_, link)| link == name) {
            complaints.push(format!("docs/README.md does not lead to {name}"));
        }
        if page.text.contains("```rust") && !run.contains(&format!("docs/{name}\"")) {
            complaints.push(format!("tests/book/src/lib.rs does not run the code of {name}"));
        }
    }
    expect_none(complaints);
}

#[test]
fn sentences_are_short_and_things_are_not_persons() {
    let mut complaints = Vec::new();
    for page in book() {
        for (number, sentence) in page.sentences() {
            let at = format!("{}:{number}", page.path.display());
            let words = sentence.split_whitespace().count();
            if words > WORDS_MAX {
                complaints.push(format!("{at}: a sentence of {words} words"));
            }
            let lower = sentence.to_lowercase();
            let mut words = lower.split(|c: char| !c.is_alphanumeric());
            if let Some(word) = words.find(|word| BANNED.contains(word)) {
                complaints.push(format!("{at}: says `{word}`"));
            }
        }
    }
    expect_none(complaints);
}
