//! The examples of a package.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The examples of the package in this folder.
#[derive(Clone, Copy, Debug)]
pub struct Examples {
    /// The folder of its `Cargo.toml`.
    pub package: &'static str,
    /// The names of those that are run.
    pub names: &'static [&'static str],
    /// The longest that one may be, in lines.
    pub lines_max: usize,
}

impl Examples {
    /// Runs an example, with these features and this argument, if they are not empty, and returns
    /// what it printed.
    ///
    /// # Panics
    ///
    /// If it is none of the examples, or fails.
    #[must_use]
    pub fn run(&self, name: &str, features: &str, argument: &str) -> String {
        assert!(self.names.contains(&name), "{name} is none of the examples");
        let manifest = Path::new(self.package).join("Cargo.toml");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
        cargo.args(["run", "--quiet", "--features", features, "--example", name]);
        cargo.arg("--manifest-path").arg(manifest).arg("--");
        cargo.args(Some(argument).filter(|argument| !argument.is_empty()));
        let output = cargo.stdin(Stdio::null()).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {}\n{told}{error}", output.status);
        told
    }

    /// Checks that every example is one of these, is short, and says what one learns.
    ///
    /// # Panics
    ///
    /// If it is not so.
    pub fn check(&self) {
        let files = fs::read_dir(Path::new(self.package).join("examples")).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        let files: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|it| it == "rs")).collect();
        assert_eq!(files.len(), self.names.len());
        for path in files {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert!(self.names.contains(&name), "{name} is not run");
            assert!(text.starts_with("//! "), "{name} does not say what one learns");
            let (lines, lines_max) = (text.lines().count(), self.lines_max);
            assert!(lines <= lines_max, "{name}: {lines} lines are more than {lines_max}");
        }
    }
}
