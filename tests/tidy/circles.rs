//! No files use each other in a circle, in no package.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;

use crate::crates::{Crate, crates};
use crate::expect_none;
use crate::resolve::Use;
use crate::source::{is_under, sources};

/// What is still to be untangled.
const TANGLED: &[&str] = &[];

/// The crates of the repository, read once.
pub fn repository() -> &'static [Crate] {
    static CRATES: OnceLock<Vec<Crate>> = OnceLock::new();
    CRATES.get_or_init(|| crates(&sources()))
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let uses: Vec<Use> = repository().iter().flat_map(Crate::uses).collect();
    assert!(uses.len() > 1000, "only {} uses: where are the others?", uses.len());
    let untangled: Vec<_> =
        uses.into_iter().filter(|used| !is_under(&used.from, TANGLED)).collect();
    expect_none(circles(&untangled));
}

/// For each knot of files its shortest circle, as a list of files.
pub fn circles(uses: &[Use]) -> Vec<String> {
    let mut graph: BTreeMap<&str, BTreeMap<&str, &Use>> = BTreeMap::new();
    for used in uses {
        graph.entry(&used.from).or_default().entry(&used.to).or_insert(used);
    }
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for file in graph.keys() {
        let Some(circle) = back_to(&graph, file).filter(|_| !told.contains(file)) else { continue };
        let knot = knot(&graph, file);
        let steps = circle
            .iter()
            .map(|step| format!("  {}:{} uses {} of {}", step.from, step.line, step.what, step.to));
        let steps: Vec<_> = steps.collect();
        found.push(format!("a circle in a knot of {} files:\n{}", knot.len(), steps.join("\n")));
        told.extend(knot);
    }
    found
}

type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Use>>;

/// The shortest way from `file` over others back to it.
fn back_to<'a>(graph: &Graph<'a>, file: &'a str) -> Option<Vec<&'a Use>> {
    let mut reached_by: BTreeMap<&str, &Use> = BTreeMap::new();
    let mut next = VecDeque::from([file]);
    while let Some(at) = next.pop_front() {
        for (to, used) in graph.get(at).into_iter().flatten() {
            if !reached_by.contains_key(to) {
                reached_by.insert(to, used);
                next.push_back(to);
            }
        }
    }
    let mut way = vec![*reached_by.get(file)?];
    while way.last()?.from != file {
        way.push(reached_by.get(way.last()?.from.as_str())?);
    }
    way.reverse();
    Some(way)
}

fn reachable<'a>(graph: &Graph<'a>, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![file];
    while let Some(at) = next.pop() {
        for to in graph.get(at).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(*to) {
                next.push(to);
            }
        }
    }
    reached
}

/// The files that reach `file` and are reached from it.
fn knot<'a>(graph: &Graph<'a>, file: &'a str) -> BTreeSet<&'a str> {
    let from_here = reachable(graph, file);
    from_here.into_iter().filter(|other| reachable(graph, other).contains(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let uses: Vec<Use> = crates(&sources).iter().flat_map(Crate::uses).collect();
        circles(&uses)
    }

    /// A crate whose `a.rs` and `b.rs` are as given.
    fn of(a: &str, b: &str) -> Vec<String> {
        found(&[("src/lib.rs", "mod a; mod b;"), ("src/a.rs", a), ("src/b.rs", b)])
    }

    #[test]
    fn a_plain_circle_is_told_as_a_list_of_files() {
        let told = of("use crate::b::B;\npub struct A;", "use super::a::A;\npub struct B;");
        let steps = "  src/a.rs:1 uses crate::b::B of src/b.rs\n\
                     \x20 src/b.rs:1 uses super::a::A of src/a.rs";
        assert_eq!(told, [format!("a circle in a knot of 2 files:\n{steps}")]);
    }

    #[test]
    fn one_way_is_no_circle() {
        assert!(of("use crate::b::B;\npub struct A;", "pub struct B;").is_empty());
    }

    #[test]
    fn a_path_without_use_counts() {
        let a = "pub struct A; fn a() { crate::b::b(); }";
        assert_eq!(of(a, "pub fn b() { let _ = super::a::A; }").len(), 1);
        assert_eq!(of(a, "pub fn b() -> Option<Box<crate::a::A>> { None }").len(), 1);
    }

    #[test]
    fn a_path_among_a_macros_tokens_counts() {
        let b = "pub fn b() { assert!(matches!(1, crate::a::A)); }";
        assert_eq!(of("pub const A: u8 = 1; fn a() { crate::b::b() }", b).len(), 1);
    }

    #[test]
    fn groups_and_other_names_are_followed() {
        let a = "use crate::{b::{self, B as Other}}; pub struct A(Other);";
        assert_eq!(of(a, "use crate::{a::{A}}; pub struct B;").len(), 1);
        let a = "use crate::b as other; pub struct A; fn a() { other::b() }";
        assert_eq!(of(a, "pub fn b() { crate::a::A; }").len(), 1);
    }

    #[test]
    fn everything_of_a_module_counts_where_it_is_mentioned() {
        let a = "use crate::b::*; pub struct A(B);";
        assert_eq!(of(a, "use crate::a::A; pub struct B;").len(), 1);
        let a = "use crate::b::*; pub struct A;";
        assert!(of(a, "use crate::a::A; pub struct B;").is_empty());
    }

    #[test]
    fn a_macro_by_name_counts() {
        let a = "macro_rules! say { () => {} } pub struct A; fn a() { crate::b::b() }";
        assert_eq!(of(a, "pub fn b() { say!() }").len(), 1);
    }

    #[test]
    fn a_facade_is_followed_to_the_file_that_defines() {
        let files = |child: &'static str| {
            [
                ("src/lib.rs", "mod room;"),
                (
                    "src/room/mod.rs",
                    "mod one; mod other; pub use one::One; pub(crate) use other::*;",
                ),
                ("src/room/one.rs", "use super::Other; pub struct One;"),
                ("src/room/other.rs", child),
            ]
        };
        assert!(found(&files("pub struct Other;")).is_empty());
        let told = found(&files("use super::One; pub struct Other;"));
        assert_eq!(told.len(), 1);
        assert!(!told[0].contains("mod.rs"), "{}", told[0]);
        assert_eq!(found(&files("pub struct Other(crate::room::One);")).len(), 1);
    }

    #[test]
    fn a_child_that_uses_what_its_mod_rs_defines_and_uses_is_in_a_circle() {
        let files = |parent: &'static str| {
            [
                ("src/lib.rs", "mod room;"),
                ("src/room/mod.rs", parent),
                ("src/room/child.rs", "use super::Thing; pub fn work(_: Thing) {}"),
            ]
        };
        assert_eq!(
            found(&files("mod child; pub struct Thing; fn f() { child::work(Thing) }")).len(),
            1
        );
        assert!(found(&files("mod child; pub use child::work; pub struct Thing;")).is_empty());
    }

    #[test]
    fn what_only_tests_use_does_not_count() {
        let b = "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }";
        assert!(of("use crate::b::B; pub struct A(B);", b).is_empty());
        let b = "pub struct B; impl B { #[cfg(test)] fn b() { crate::a::A; } }";
        assert!(of("use crate::b::B; pub struct A(B);", b).is_empty());
        let b = "pub struct B; #[cfg(not(test))] mod real { use crate::a::A; }";
        assert_eq!(of("use crate::b::B; pub struct A(B);", b).len(), 1);
    }

    #[test]
    fn modules_are_found_beside_and_below_and_where_they_say() {
        let told = found(&[
            ("tests/all.rs", "#[path = \"../more/x.rs\"] mod x; mod y;"),
            ("more/x.rs", "use crate::y::z::Z; pub struct X;"),
            ("tests/y.rs", "pub mod z;"),
            ("tests/y/z.rs", "use crate::x::X; pub struct Z;"),
        ]);
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn other_crates_lead_nowhere() {
        let a = "use std::fmt; use fmt::Debug; use b::B; pub struct A;";
        assert!(of(a, "use ::a::A; use a::A as Other; use crate::a::A; pub struct B;").is_empty());
    }
}
