//! What became of each mutant, kept from run to run, and the sum of it.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Result, anyhow, ensure};

use crate::judge::Outcome;
use crate::mutant::Mutant;

impl Outcome {
    /// What the ledger and the reports call it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Caught(_) => "caught",
            Self::Hung(_) => "hung",
            Self::Unnoticed => "unnoticed",
            Self::Unreached => "unreached",
            Self::Unviable => "unviable",
        }
    }

    fn is_noticed(&self) -> bool {
        matches!(self, Self::Caught(_) | Self::Hung(_))
    }

    fn read(word: &str, by: &str) -> Option<Self> {
        match word {
            "caught" => Some(Self::Caught(by.to_owned())),
            "hung" => Some(Self::Hung(by.to_owned())),
            "unnoticed" => Some(Self::Unnoticed),
            "unreached" => Some(Self::Unreached),
            "unviable" => Some(Self::Unviable),
            _ => None,
        }
    }
}

/// The outcomes of all runs. One holds for as long as the code in its file stays as it is.
pub struct Ledger {
    root: PathBuf,
    outcomes: Mutex<HashMap<String, Outcome>>,
    file: Mutex<File>,
}

impl Ledger {
    /// Opens the ledger in `folder`.
    ///
    /// # Errors
    ///
    /// It cannot be read or written.
    pub fn open(folder: &Path, root: &Path) -> Result<Self> {
        let path = folder.join("outcomes.tsv");
        let mut outcomes = HashMap::new();
        for line in fs::read_to_string(&path).unwrap_or_default().lines() {
            let mut parts = line.split('\t');
            let mut part = || parts.next().unwrap_or_default();
            let (key, word, by) = (part(), part(), part());
            if let Some(outcome) = Outcome::read(word, by) {
                outcomes.insert(key.to_owned(), outcome);
            }
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { root: root.to_owned(), outcomes: Mutex::new(outcomes), file: Mutex::new(file) })
    }

    fn key(&self, mutant: &Mutant) -> String {
        let mut hasher = DefaultHasher::new();
        code_of(&self.root.join(&mutant.file)).hash(&mut hasher);
        format!("{:016x} {}", hasher.finish(), mutant.name)
    }

    /// What became of it, if it was judged.
    #[must_use]
    pub fn outcome(&self, mutant: &Mutant) -> Option<Outcome> {
        self.outcomes.lock().ok()?.get(&self.key(mutant)).cloned()
    }

    /// Those that did not compile when they were tried last.
    #[must_use]
    pub fn unviable(&self, mutants: &[Mutant]) -> BTreeSet<usize> {
        let is_unviable = |mutant| self.outcome(mutant) == Some(Outcome::Unviable);
        (0..mutants.len()).filter(|number| is_unviable(&mutants[*number])).collect()
    }

    /// Whether it has to be judged, or judged again if it went unnoticed.
    #[must_use]
    pub fn is_open(&self, mutant: &Mutant, again: bool) -> bool {
        self.outcome(mutant).is_none_or(|outcome| again && !outcome.is_noticed())
    }

    /// Writes down what became of a mutant.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn write(&self, mutant: &Mutant, outcome: &Outcome) -> Result<()> {
        let by = match outcome {
            Outcome::Caught(by) | Outcome::Hung(by) => by,
            _ => "",
        };
        let poisoned = || anyhow!("another thread failed");
        let key = self.key(mutant);
        writeln!(self.file.lock().map_err(|_| poisoned())?, "{key}\t{}\t{by}", outcome.word())?;
        self.outcomes.lock().map_err(|_| poisoned())?.insert(key, outcome.clone());
        Ok(())
    }
}

/// A file without its unit tests, which are at its end.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_inclusive('\n').take_while(|line| !line.starts_with("mod tests")).collect()
}

/// The names that a list of what may go unnoticed has; the lines below them are arguments.
#[must_use]
pub fn named_in(allowed: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(allowed).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("src/")).map(str::to_owned).collect()
}

/// Prints the sum, and fails if anything went unnoticed that is not `allowed`.
///
/// # Errors
///
/// Something went unnoticed.
pub fn print(
    mutants: &[Mutant],
    numbers: &[usize],
    ledger: &Ledger,
    allowed: &BTreeSet<String>,
) -> Result<()> {
    let [mut noticed, mut argued, mut constants, mut not_woven] = [0_u32; 4];
    let mut missed = Vec::new();
    for mutant in numbers.iter().map(|number| &mutants[*number]) {
        match ledger.outcome(mutant) {
            Some(Outcome::Unviable) => {}
            _ if mutant.is_constant => constants += 1,
            Some(outcome) if outcome.is_noticed() => noticed += 1,
            Some(_) if allowed.contains(&mutant.name) => argued += 1,
            Some(outcome) => missed.push(format!("{} {}", outcome.word(), mutant.name)),
            None => not_woven += 1,
        }
    }
    missed.iter().for_each(|line| println!("{line}"));
    let viable = noticed + argued + u32::try_from(missed.len())?;
    let share = 100.0 * f64::from(noticed) / f64::from(viable.max(1));
    println!("{} mutants, {viable} viable, {noticed} caught: {share:.1} %", numbers.len());
    println!("{argued} with an argument, {} unnoticed", missed.len());
    println!("not judged: {constants} of constants, {not_woven} that cannot be woven in");
    ensure!(missed.is_empty(), "{} mutants went unnoticed", missed.len());
    Ok(())
}
