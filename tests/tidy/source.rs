//! The files of the repository, as the rules see them.

use std::fs;
use std::path::{Path, PathBuf};

/// One Rust file, with its path from the root of the repository.
#[derive(Clone)]
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// The lines before the unit tests, with their numbers.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let until_tests = |(_, line): &(usize, &str)| !line.starts_with("mod tests");
        (1..).zip(self.text.lines()).take_while(until_tests)
    }

    pub fn parsed(&self) -> syn::File {
        syn::parse_file(&self.text).map_err(|e| format!("{}: {e}", self.path)).unwrap()
    }

    pub fn is_core(&self) -> bool {
        self.path.starts_with("src/")
    }
}

/// Every Rust file of the repository.
pub fn sources() -> Vec<Source> {
    let found: Vec<_> = texts(&["rs"]);
    assert!(found.len() > 20, "where is the code?");
    found
}

/// Every file of the repository whose name ends in one of `extensions`.
pub fn texts(extensions: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if extension.is_some_and(|extension| extensions.contains(&extension)) {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder that a file lies in.
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

pub fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Whether `path` lies under one of `prefixes`.
pub fn is_under(path: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| path.starts_with(prefix))
}
