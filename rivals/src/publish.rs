//! Where tables go: to the terminal, and as Markdown, JSON and SVG into a folder.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::plot;
use crate::table::Table;

/// A folder for tables.
pub struct Folder(PathBuf);

impl Folder {
    /// The folder `given`, or `target/rivals`.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn open(given: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let folder = given.map_or_else(|| target_folder().join("rivals"), PathBuf::from);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Prints a table and writes its files.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn publish(&self, table: &Table, name: &str) -> Result<(), Box<dyn Error>> {
        self.publish_text(&table.markdown(), name)?;
        let json = serde_json::to_string_pretty(table)?;
        fs::write(self.0.join(format!("{name}.json")), json)?;
        plot::draw(table, &self.0.join(format!("{name}.svg")))
    }

    /// Prints Markdown and writes its file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn publish_text(&self, markdown: &str, name: &str) -> Result<(), Box<dyn Error>> {
        println!("{markdown}");
        Ok(fs::write(self.0.join(format!("{name}.md")), markdown)?)
    }
}

/// Where cargo builds to: this program lies in `release` of it, or in `release/deps`.
#[must_use]
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let folders = program.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
    folders.skip(1).map(PathBuf::from).next().unwrap_or_default()
}

/// The processor, the kernel and how busy they are.
#[must_use]
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
    let huge_pages = read("/sys/kernel/mm/transparent_hugepage/enabled").trim().to_owned();
    format!(
        "{}, {threads} cores, Linux {kernel}, transparent huge pages {huge_pages}, load {}",
        model.unwrap_or("unknown processor"),
        load()
    )
}

/// How many threads want a core, on average over the last minute.
#[must_use]
pub fn load() -> String {
    let loads = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split(' ').next().unwrap_or_default().to_owned()
}
