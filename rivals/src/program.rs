//! What `cargo bench -p rivals` runs.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use crate::probe::Probe;
use crate::publish::{Folder, load, machine, target_folder};
use crate::tables::{Settings, in_rmw, net_in_rmw};

/// The same work on offheap and on other allocators, side by side in one run.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo bench -p rivals --")]
struct Arguments {
    /// Fewer and shorter samples: for a look, not for figures to keep.
    #[arg(long)]
    quick: bool,
    /// Threads: 2 in the table of pages, as many as there are cores for scaling.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Live blocks in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(16..))]
    live_mib: u16,
    /// Only these tables.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// The folder for Markdown, JSON and SVG files: `target/rivals` by default.
    #[arg(long)]
    output: Option<PathBuf>,
    /// Cargo says so when it benches.
    #[arg(long, hide = true)]
    bench: bool,
    /// Answer this question, which is JSON, and stop.
    #[arg(long, hide = true)]
    probe: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Part {
    Pages,
    Blocks,
    Utilisation,
    Traces,
    FirstTouch,
    Scratch,
    Access,
    Bookkeeping,
    Scaling,
}

/// Runs as the arguments of the process say.
///
/// # Errors
///
/// If a process of its own fails, or a file cannot be written.
pub fn run() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(question) = &arguments.probe {
        let probe: Probe = serde_json::from_str(question)?;
        println!("{}", probe.answer()?);
        return Ok(());
    }
    if !arguments.bench {
        println!("this is a bench: run `cargo bench -p rivals`");
        return Ok(());
    }
    if !cfg!(feature = "peers") {
        return with_peers();
    }
    arguments.tables()
}

/// Runs this bench again, built with the allocators that daily work does not build.
fn with_peers() -> Result<(), Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--bench");
    let mut command = Command::new(cargo);
    command.args(["bench", "-p", "rivals", "--features", "peers", "--bench", "tables", "--"]);
    // As an absolute path: cargo runs benches in the folder of their package.
    command.env("CARGO_TARGET_DIR", target_folder());
    let status = command.args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(format!("the bench with peers: {status}").into()) }
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            quick: self.quick,
            threads: self.threads.map(usize::from),
            live_mib: self.live_mib.into(),
        }
    }

    fn tables(&self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let wants = |part| self.only.is_empty() || self.only.contains(&part);
        let folder = Folder::open(self.output.as_deref())?;
        let (machine_before, settings) = (machine(), self.settings());
        println!("{machine_before}\n");
        if wants(Part::Pages) {
            let table = settings.pages();
            folder.publish(&table, "pages")?;
            folder.publish_text(&in_rmw(&table).markdown(), "pages-rmw")?;
            folder.publish_text(&net_in_rmw(&table).markdown(), "pages-net")?;
        }
        if wants(Part::Blocks) {
            folder.publish(&settings.blocks()?, "blocks")?;
        }
        if wants(Part::Utilisation) {
            folder.publish(&settings.utilisation(), "utilisation")?;
        }
        if wants(Part::Traces) {
            folder.publish(&settings.traces()?, "traces")?;
        }
        if wants(Part::FirstTouch) {
            folder.publish(&settings.first_touch()?, "first-touch")?;
        }
        if wants(Part::Scratch) {
            folder.publish(&settings.scratch(), "scratch")?;
        }
        if wants(Part::Access) {
            folder.publish(&settings.access(), "access")?;
        }
        if wants(Part::Bookkeeping) {
            folder.publish(&settings.bookkeeping()?, "bookkeeping")?;
        }
        if wants(Part::Scaling) {
            for (table, file) in settings.scaling() {
                folder.publish(&table, file)?;
            }
        }
        let seconds = start.elapsed().as_secs();
        let how = if self.quick { "with `--quick`, so only for a look" } else { "in full" };
        let taken = format!(
            "Taken {how}, in {seconds} s, on {machine_before} before and {} after.\n",
            load()
        );
        println!("`~`: most samples were disturbed by other programs.");
        if self.only.is_empty() {
            folder.publish_text(&taken, "machine")?;
        } else {
            println!("{taken}");
        }
        println!("Markdown, JSON and SVG files are in {}.", folder.path().display());
        Ok(())
    }
}
