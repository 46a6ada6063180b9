//! Locks have an order: each lock of the library has a rank, and the pages on it list them all.

use std::fs;

use crate::expect_none;
use crate::source::{Source, is_comment, root, sources};

/// Where the standard library's locks become ranked ones.
const SYNC: &str = "src/base/sync/";
const RANKS: &str = "src/base/sync/rank.rs";
/// Each has a table of all ranks, whose rows begin so.
const PAGES: [(&str, &str); 2] = [("src/owners/mod.rs", "//! "), ("docs/internals.md", "| `")];

/// Locks without a rank.
fn unranked(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    let core = sources.iter().filter(|source| source.is_core());
    for source in core.filter(|source| !source.path.starts_with(SYNC)) {
        for (number, line) in source.code().filter(|(_, line)| !is_comment(line)) {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let of_std = line.contains("std::");
            let is_unranked = |word: &str| match word {
                "Mutex" | "MutexGuard" | "RwLock" | "RwLockReadGuard" | "RwLockWriteGuard" => true,
                "Condvar" => of_std,
                _ => false,
            };
            if let Some(word) = words.find(|word| is_unranked(word)) {
                let instead = "locks are `crate::base::sync::Lock`, which have a rank";
                complaints.push(format!("{}:{number}: {word}: {instead}", source.path));
            }
        }
    }
    complaints
}

/// The ranks that `text` declares, in their order.
fn ranks(text: &str) -> Vec<String> {
    let file = Source::new(RANKS, text).parsed();
    let of_enum = file.items.into_iter().find_map(|item| match item {
        syn::Item::Enum(item) if item.ident == "Rank" => Some(item.variants),
        _ => None,
    });
    of_enum.unwrap().iter().map(|variant| variant.ident.to_string()).collect()
}

/// Those of `ranks` that rows of a page begin with, in the order of the rows.
fn listed(page: &str, row: &str, ranks: &[String]) -> Vec<String> {
    let first_word = |line: &str| {
        let rest = line.strip_prefix(row)?;
        let word = rest.split(|c: char| !c.is_alphanumeric()).next()?;
        // The cells of a row are apart.
        let is_row = rest[word.len()..].starts_with("  ") || rest[word.len()..].starts_with("` |");
        (is_row && ranks.iter().any(|rank| rank == word)).then(|| word.to_owned())
    };
    page.lines().filter_map(first_word).collect()
}

#[test]
fn every_lock_has_a_rank() {
    expect_none(unranked(&sources()));
}

#[test]
fn the_pages_list_the_ranks_in_their_order() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let ranks = ranks(&read(RANKS));
    assert!(ranks.len() > 10, "where are the ranks?");
    for (path, row) in PAGES {
        assert_eq!(listed(&read(path), row, &ranks), ranks, "{path}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_of_the_standard_library_is_told_wherever_it_is_named() {
        let told = |path: &str, text: &str| unranked(&[Source::new(path, text)]).len();
        assert_eq!(told("src/a.rs", "use std::sync::{Arc, Mutex};"), 1);
        assert_eq!(told("src/a.rs", "static A: std::sync::RwLock<u32> = x;"), 1);
        assert_eq!(told("src/a.rs", "use std::sync::{Arc, Condvar};"), 1);
        assert_eq!(told("src/a.rs", "use crate::base::sync::{Condvar, Lock};"), 0);
        assert_eq!(told("src/a.rs", "// no Mutex\n#[cfg(test)]\nmod tests {\n    Mutex\n}"), 0);
        assert_eq!(told("src/base/sync/lock.rs", "use super::engine::Mutex;"), 0);
        assert_eq!(told("cli/src/a.rs", "use std::sync::Mutex;"), 0);
    }

    #[test]
    fn a_rank_that_a_page_forgets_or_moves_is_missed() {
        let ranks = ranks("enum Rank {\n    /// A.\n    One,\n    Two,\n}");
        assert_eq!(ranks, ["One", "Two"]);
        assert_eq!(listed("//! One    a\n//! Two    b", "//! ", &ranks), ranks);
        assert_eq!(listed("| `Two` | b |\n| `One` | a |", "| `", &ranks), ["Two", "One"]);
        assert_eq!(listed("//! One    a\n//! Two is the second.", "//! ", &ranks), ["One"]);
    }
}
