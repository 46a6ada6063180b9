//! Weaves mutants into a file, each behind a switch: `a + b` becomes
//! `(if on(7) { a - b } else { a + b })`, and a function begins with `if on(8) { return 0; }`.
//!
//! Within what stands behind a switch nothing else is changed, as one switch is on at a time, so
//! the text grows with the depth of the nesting, and not with its power.

use std::collections::HashMap;
use std::ops::Range;

use anyhow::Result;
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::mutant::{Kind, Mutant};

/// A place in the code and what is written there.
enum Change {
    /// Code in place of an expression, for each of the mutants.
    Instead { of: Range<usize>, alternatives: Vec<(usize, String)> },
    /// Text that is put in.
    Insert { at: usize, text: String, mutant: usize },
}

impl Change {
    fn range(&self) -> Range<usize> {
        match self {
            Self::Instead { of, .. } => of.clone(),
            Self::Insert { at, .. } => *at..*at,
        }
    }
}

/// A file with mutants in it.
pub struct Woven {
    /// The text.
    pub text: String,
    /// For each line, from 0, the mutant whose code it is.
    pub mutant_of_line: HashMap<usize, usize>,
    /// The mutants that are in it.
    pub mutants: Vec<usize>,
}

/// Weaves `mutants`, which are of this file, into `text`. Their numbers are their switches.
///
/// # Errors
///
/// The text is not Rust.
pub fn weave(text: &str, mutants: &[(usize, &Mutant)]) -> Result<Woven> {
    let parsed = syn::parse_file(text)?;
    let mut places = Places::new();
    for (number, mutant) in mutants {
        places.entry((mutant.kind, mutant.at)).or_default().push((*number, mutant));
    }
    let mut finder = Finder { text, places, changes: Vec::new() };
    finder.visit_file(&parsed);
    let mut changes = finder.changes;
    // What is outside comes before what is inside of it.
    changes.sort_by_key(|change| (change.range().start, usize::MAX - change.range().end));
    let mut writer = Writer { text, out: String::new(), line: 0, lines: HashMap::new() };
    writer.write(0..text.len(), &changes);
    let mut mutants: Vec<usize> = writer.lines.values().copied().collect();
    mutants.sort_unstable();
    mutants.dedup();
    Ok(Woven { text: writer.out, mutant_of_line: writer.lines, mutants })
}

struct Writer<'a> {
    text: &'a str,
    out: String,
    line: usize,
    lines: HashMap<usize, usize>,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        self.line += text.matches('\n').count();
        self.out.push_str(text);
    }

    /// Writes code of a mutant, on lines of its own.
    fn push_mutant(&mut self, mutant: usize, text: &str) {
        let first = self.line + 1;
        self.push(&format!("\n{text}\n"));
        self.lines.extend((first..self.line).map(|line| (line, mutant)));
    }

    /// Writes a part of the text with the changes in it, which are sorted.
    fn write(&mut self, range: Range<usize>, changes: &[Change]) {
        let (mut at, mut rest) = (range.start, changes);
        while let [change, others @ ..] = rest {
            let place = change.range();
            self.push(&self.text[at..place.start]);
            match change {
                Change::Insert { text, mutant, .. } => {
                    self.push_mutant(*mutant, text);
                    rest = others;
                }
                Change::Instead { alternatives, .. } => {
                    let inside = others.partition_point(|other| other.range().start < place.end);
                    self.push("(");
                    for (mutant, text) in alternatives {
                        let text = format!("if crate::mutant::on({mutant}) {{ {text} }} else");
                        self.push_mutant(*mutant, &text);
                    }
                    self.push("{ ");
                    self.write(place.clone(), &others[..inside]);
                    self.push(" })");
                    rest = &others[inside..];
                }
            }
            at = place.end;
        }
        self.push(&self.text[at..range.end]);
    }
}

/// The mutants of each place, with their numbers.
type Places<'a> = HashMap<(Kind, (usize, usize)), Vec<(usize, &'a Mutant)>>;

struct Finder<'a> {
    text: &'a str,
    places: Places<'a>,
    changes: Vec<Change>,
}

impl<'a> Finder<'a> {
    fn take(&mut self, kind: Kind, at: Span) -> Vec<(usize, &'a Mutant)> {
        let start = at.start();
        self.places.remove(&(kind, (start.line, start.column))).unwrap_or_default()
    }

    /// Weaves in what is listed for the place `at`: other code for `part` within `whole`.
    fn replace(&mut self, kind: Kind, at: Span, whole: Span, part: Span) {
        let found = self.take(kind, at);
        if found.is_empty() {
            return;
        }
        let (of, part) = (whole.byte_range(), part.byte_range());
        let (before, after) = (&self.text[of.start..part.start], &self.text[part.end..of.end]);
        let alternatives = found
            .into_iter()
            .map(|(number, mutant)| (number, format!("{before}{}{after}", mutant.replacement)))
            .collect();
        self.changes.push(Change::Instead { of, alternatives });
    }

    fn insert(&mut self, at: usize, mutant: usize, text: String) {
        self.changes.push(Change::Insert { at, text, mutant });
    }

    /// Lets a function return at once.
    fn body(&mut self, block: &syn::Block) {
        let Some(first) = block.stmts.first() else { return };
        let at = block.brace_token.span.open().byte_range().end;
        for (number, mutant) in self.take(Kind::Value, first.span()) {
            if !mutant.is_opaque {
                let value = &mutant.replacement;
                let text = format!("if crate::mutant::on({number}) {{ return {value}; }}");
                self.insert(at, number, text);
            }
        }
    }
}

/// Whether a chain of `&&` has a `let` in it, which `||` and parentheses cannot have.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => {
            matches!(binary.op, syn::BinOp::And(_))
                && (has_let(&binary.left) || has_let(&binary.right))
        }
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.body(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.body(&function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(block) = &function.default {
            self.body(block);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let is_chain = matches!(binary.op, syn::BinOp::And(_));
        if !(is_chain && (has_let(&binary.left) || has_let(&binary.right))) {
            self.replace(Kind::Binary, binary.op.span(), binary.span(), binary.op.span());
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        self.replace(Kind::Unary, unary.op.span(), unary.span(), unary.op.span());
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        self.replace(Kind::Ordering, path.span(), path.span(), path.span());
        visit::visit_expr_path(self, path);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            self.replace(Kind::Guard, guard.span(), guard.span(), guard.span());
        }
        for (number, _) in self.take(Kind::Arm, arm.span()) {
            if arm.guard.is_none() {
                let text = format!("if !crate::mutant::on({number})");
                self.insert(arm.pat.span().byte_range().end, number, text);
            }
        }
        visit::visit_arm(self, arm);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(kind: Kind, at: (usize, usize), replacement: &str) -> Mutant {
        let (name, file) = ("a mutant".to_owned(), "src/lib.rs".to_owned());
        let replacement = replacement.to_owned();
        Mutant { name, file, kind, at, replacement, is_constant: false, is_opaque: false }
    }

    /// The text without what separates tokens.
    fn woven(text: &str, mutants: &[Mutant]) -> (String, Vec<usize>) {
        let numbered: Vec<_> = mutants.iter().enumerate().collect();
        let woven = weave(text, &numbered).unwrap_or_else(|error| unreachable!("{error}"));
        (woven.text.split_whitespace().collect::<Vec<_>>().join(" "), woven.mutants)
    }

    #[test]
    fn an_operator_is_changed_behind_its_switch_and_so_is_one_inside_of_it() {
        let text = "fn f(a: u8, b: u8) -> u8 { a + !b }";
        let mutants = [mutant(Kind::Binary, (1, 29), "-"), mutant(Kind::Unary, (1, 31), "")];
        let expected = "fn f(a: u8, b: u8) -> u8 { ( if crate::mutant::on(0) { a - !b } else { a + \
                        ( if crate::mutant::on(1) { b } else { !b }) }) }";
        assert_eq!(woven(text, &mutants), (expected.to_owned(), vec![0, 1]));
    }

    #[test]
    fn a_function_returns_at_once_and_an_arm_never_matches() {
        let text = "fn f(a: u8) -> u8 { match a { 1 => 2, _ => 3 } }";
        let mutants = [mutant(Kind::Value, (1, 20), "0"), mutant(Kind::Arm, (1, 30), "")];
        let expected = "fn f(a: u8) -> u8 { if crate::mutant::on(0) { return 0; } match a { 1 if \
                        !crate::mutant::on(1) => 2, _ => 3 } }";
        assert_eq!(woven(text, &mutants), (expected.to_owned(), vec![0, 1]));
    }

    #[test]
    fn a_chain_with_a_let_stays_as_it_is() {
        let text =
            "fn f(a: Option<u8>) -> bool { if let Some(b) = a && b > 0 { true } else { false } }";
        let (same, none) = woven(text, &[mutant(Kind::Binary, (1, 49), "||")]);
        assert_eq!((same.as_str(), none), (text, Vec::new()));
    }
}
