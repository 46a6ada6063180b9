//! What can be broken: the mutants that cargo-mutants lists, and every memory ordering that could
//! be weaker.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use proc_macro2::LineColumn;
use serde_json::Value;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// How a mutant is woven into the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A function that returns at once.
    Value,
    /// Another operator.
    Binary,
    /// No operator.
    Unary,
    /// A guard that always or never holds.
    Guard,
    /// An arm that never matches.
    Arm,
    /// A field that is left to the rest of the expression; not woven.
    Field,
    /// A weaker memory ordering.
    Ordering,
}

/// One change to the code.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// The file and the function, what is changed, and which of several alike it is: a name that
    /// stays while lines above it come and go.
    pub name: String,
    /// The path from the root.
    pub file: String,
    /// How it is woven in.
    pub kind: Kind,
    /// Where, from line 1 and column 0.
    pub at: (usize, usize),
    /// What stands there instead.
    pub replacement: String,
    /// Whether it changes a constant, which the compiler evaluates before there is a switch.
    pub is_constant: bool,
    /// Whether the function's result is an `impl Trait`, which can only have one type.
    pub is_opaque: bool,
}

/// Numbers those that have the same name.
fn number_alike(mutants: &mut [Mutant]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for mutant in mutants {
        let times = seen.entry(mutant.name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            mutant.name = format!("{} ({times})", mutant.name);
        }
    }
}

/// Has cargo-mutants list what it would change in floors 0 to 4.
///
/// # Errors
///
/// cargo-mutants cannot be run, or says something else than it used to.
pub fn listed(root: &Path) -> Result<Vec<Mutant>> {
    let mut list = Command::new("cargo");
    list.current_dir(root).args(["mutants", "--list", "--json", "-p", "offheap"]);
    list.args(["-f", "src/**/*.rs", "-e", "src/ffi/**", "-e", "src/base/sync/touches.rs"]);
    // The hooks of the sanitizers are other builds: their scripts judge them, bug by planted bug.
    list.args([
        "-e",
        "src/**/*_tests.rs",
        "-e",
        "src/base/seeded.rs",
        "-e",
        "src/memory/os/checker.rs",
    ]);
    let output = list.output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let mut mutants = list.iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut ends: HashMap<String, usize> = HashMap::new();
    for mutant in &mutants {
        if !ends.contains_key(&mutant.file) {
            ends.insert(mutant.file.clone(), code_lines(&root.join(&mutant.file))?);
        }
    }
    mutants.retain(|mutant| mutant.at.0 <= ends[&mutant.file]);
    number_alike(&mut mutants);
    Ok(mutants)
}

/// The lines before the unit tests, which are at the end.
fn code_lines(file: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let until = text.lines().position(|line| line.starts_with("mod tests"));
    Ok(until.unwrap_or(text.lines().count()))
}

/// An entry of the list.
fn read(entry: &Value) -> Result<Mutant> {
    let text = |path: &str| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let number = |path: &str| entry.pointer(path).and_then(Value::as_u64).context("no place");
    let kind = match text("/genre") {
        "FnValue" => Kind::Value,
        "BinaryOperator" => Kind::Binary,
        "UnaryOperator" => Kind::Unary,
        "MatchArmGuard" => Kind::Guard,
        "MatchArm" => Kind::Arm,
        "StructField" => Kind::Field,
        other => anyhow::bail!("cargo-mutants lists a kind of mutant that is unknown: `{other}`"),
    };
    // `file:line:column: what`
    let what = text("/name").splitn(4, ':').nth(3).context("a name without a place")?.trim();
    let function = text("/function/function_name");
    let what = what.strip_suffix(&format!(" in {function}")).unwrap_or(what);
    let line = usize::try_from(number("/span/start/line")?)?;
    let column = usize::try_from(number("/span/start/column")?)? - 1;
    Ok(Mutant {
        name: format!("{} {function}: {what}", text("/file")),
        file: text("/file").to_owned(),
        kind,
        at: (line, column),
        replacement: text("/replacement").to_owned(),
        is_constant: function.is_empty(),
        is_opaque: text("/function/return_type").contains("impl "),
    })
}

/// Every memory ordering outside of tests that could be weaker.
///
/// # Errors
///
/// A file cannot be read or parsed.
pub fn orderings(root: &Path, files: &[String]) -> Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(root.join(file)).with_context(|| file.clone())?;
        let parsed = syn::parse_file(&text).with_context(|| file.clone())?;
        let mut finder = OrderingFinder { file, function: String::new(), found: Vec::new() };
        finder.visit_file(&parsed);
        mutants.append(&mut finder.found);
    }
    number_alike(&mut mutants);
    Ok(mutants)
}

struct OrderingFinder<'a> {
    file: &'a str,
    function: String,
    found: Vec<Mutant>,
}

impl<'ast> Visit<'ast> for OrderingFinder<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function = function.sig.ident.to_string();
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function = function.sig.ident.to_string();
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let segments: Vec<_> = path.path.segments.iter().map(|part| &part.ident).collect();
        let [.., ordering, strength] = segments.as_slice() else { return };
        if *ordering != "Ordering" {
            return;
        }
        let strong = strength.to_string();
        let weaker: &[&str] = match strong.as_str() {
            "AcqRel" => &["Acquire", "Release"],
            "Acquire" | "Release" => &["Relaxed"],
            _ => &[],
        };
        let LineColumn { line, column } = path.span().start();
        self.found.extend(weaker.iter().map(|weak| Mutant {
            name: format!("{} {}: {strong}->{weak}", self.file, self.function),
            file: self.file.to_owned(),
            kind: Kind::Ordering,
            at: (line, column),
            replacement: format!("Ordering::{weak}"),
            is_constant: false,
            is_opaque: false,
        }));
    }
}
