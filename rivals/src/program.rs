//! What `cargo bench -p rivals` runs.
#![allow(clippy::print_stdout, reason = "its output is what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use clap::{Parser, ValueEnum};

use crate::columns::blocks::Live;
use crate::columns::bookkeeping::Bookkeeping;
use crate::columns::first_touch::{self, FirstTouch};
use crate::columns::residency::Residency;
use crate::columns::{blocks, pages, scratch, traces, utilisation};
use crate::interleave::{Plan, median};
use crate::peers::{OURS, PAGE_BYTES, RMW, block_rows};
use crate::probe::{Probe, SizesName};
use crate::publish::{Folder, machine, target_folder};
use crate::table::{Column, Table, Unit, figure};
use crate::trace::Trace;

/// The same work on offheap and on other allocators, side by side in one run.
#[derive(Parser, Debug)]
#[command(name = "cargo bench -p rivals --")]
struct Arguments {
    /// Fewer and shorter samples: for a look, not for figures to keep.
    #[arg(long)]
    quick: bool,
    /// Threads of the columns that have several.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Live blocks in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(16..))]
    live_mib: u16,
    /// Only these tables.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// The folder for JSON and SVG files: `target/rivals` by default.
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
    Traces,
    FirstTouch,
    Scratch,
    Bookkeeping,
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
    fn plan(&self) -> Plan {
        if self.quick { Plan::QUICK } else { Plan::FULL }
    }

    fn live(&self, sizes: SizesName) -> Live {
        Live { mib: self.live_mib.into(), sizes: sizes.sizes() }
    }

    fn replacements(&self) -> usize {
        if self.quick { 200 } else { 1000 }
    }

    fn tables(&self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let wants = |part| self.only.is_empty() || self.only.contains(&part);
        let folder = Folder::open(self.output.as_deref())?;
        println!("{}\n", machine());
        if wants(Part::Pages) {
            let table = self.pages();
            folder.publish(&table, "pages")?;
            folder.publish_text(&in_rmw(&table), "pages-rmw")?;
        }
        if wants(Part::Blocks) {
            folder.publish(&self.blocks()?, "blocks")?;
        }
        if wants(Part::Traces) {
            folder.publish(&self.traces()?, "traces")?;
        }
        if wants(Part::FirstTouch) {
            folder.publish(&self.first_touch()?, "first-touch")?;
        }
        if wants(Part::Scratch) {
            folder.publish(&self.scratch(), "scratch")?;
        }
        if wants(Part::Bookkeeping) {
            folder.publish(&Self::bookkeeping()?, "bookkeeping")?;
        }
        let seconds = start.elapsed().as_secs();
        println!("`~`: most samples were disturbed by other programs. {seconds} s in all.");
        println!("{}", machine());
        println!("JSON and SVG files are in {}.", folder.path().display());
        Ok(())
    }

    fn pages(&self) -> Table {
        let title = "One page of 32 KiB, allocated and released: ns a page (times ours)";
        let mut table = Table::new(title, OURS);
        for column in pages::Column::all(self.threads.into()) {
            table.push(column.name(), Unit::Nanos, column.measure(self.plan()));
        }
        table
    }

    fn blocks(&self) -> Result<Table, Box<dyn Error>> {
        let mib = self.live_mib;
        let title = format!(
            "Blocks of 32 KiB to 4 MiB, replaced at random, {mib} MiB live: ns a replacement \
             (times ours), utilisation when one is refused, resident over live bytes"
        );
        let rows = block_rows();
        let mut table = Table::new(title, rows[0].name);
        for sizes in SizesName::ALL {
            let readings = blocks::measure(self.live(sizes), self.plan());
            table.push(format!("{}, ns", sizes.name()), Unit::Nanos, readings);
        }
        for sizes in SizesName::ALL {
            let histories = if self.quick { 3 } else { 11 };
            let name = format!("{}, full at", sizes.name());
            table.push(name, Unit::Percent, utilisation::measure(sizes.sizes(), histories));
        }
        for sizes in SizesName::ALL {
            let mut found = Vec::new();
            for (index, row) in rows.iter().enumerate() {
                let (mib, replacements) = (self.live_mib.into(), self.replacements());
                let probe = Probe::Residency { row: index, mib, sizes, replacements };
                let residency: Residency = probe.ask()?;
                if residency.refused_per_mille > 0.0 {
                    let refused = residency.refused_per_mille;
                    println!("{}, {}: {refused:.1} ‰ refused", row.name, sizes.name());
                }
                found.push((row.name, residency));
            }
            let peaks = found.iter().map(|(name, residency)| (*name, residency.peak));
            table.push(format!("{}, peak resident", sizes.name()), Unit::Times, peaks);
            let means = found.iter().map(|(name, residency)| (*name, residency.mean));
            table.push(format!("{}, mean resident", sizes.name()), Unit::Times, means);
        }
        Ok(table)
    }

    fn traces(&self) -> Result<Table, Box<dyn Error>> {
        let title = "Block traces of a query engine, replayed: the smallest region over the peak \
                     of live bytes, and ns a request (times ours)";
        let traces = Trace::all()?;
        let mut table = Table::new(title, block_rows()[0].name);
        for trace in &traces {
            table.push(format!("{}, region", trace.name), Unit::Times, traces::regions(trace));
        }
        // A repeat is a whole replay, which is far longer than a sample of the other tables.
        let rounds = if self.quick { 1 } else { 15 };
        for trace in &traces {
            let readings = traces::measure(trace, Plan { rounds, ..self.plan() });
            table.push(format!("{}, ns", trace.name), Unit::Nanos, readings);
        }
        Ok(table)
    }

    fn first_touch(&self) -> Result<Table, Box<dyn Error>> {
        let (mib, rounds) = if self.quick { (128, 1) } else { (1024, 7) };
        let rows = first_touch::rows();
        let before = rows.iter().position(|(name, _)| *name == first_touch::BEFORE).unwrap_or(0);
        let mut found = vec![Vec::new(); rows.len()];
        for _ in 0..rounds {
            for (row, found) in found.iter_mut().enumerate() {
                // So that each row finds the system's free memory as the same work left it.
                Probe::FirstTouch { row: before, mib }.ask::<FirstTouch>()?;
                found.push(Probe::FirstTouch { row, mib }.ask::<FirstTouch>()?);
            }
        }
        let title = format!(
            "First touch of {mib} MiB: every 4 KiB written once, from before it is mapped (times \
             ours)"
        );
        let mut table = Table::new(title, first_touch::OURS);
        let mut push = |name, unit, figure: fn(&FirstTouch) -> f64| {
            let middle = |found: &Vec<_>| median(found.iter().map(figure).collect());
            let names = rows.iter().map(|(name, _)| *name);
            table.push(name, unit, names.zip(found.iter().map(middle)));
        };
        push("CPU ms", Unit::Millis, |found| found.first.cpu_millis);
        push("wall ms", Unit::Millis, |found| found.first.wall_millis);
        push("page faults", Unit::Count, |found| found.first.faults);
        push("written again, CPU ms", Unit::Millis, |found| found.again.cpu_millis);
        Ok(table)
    }

    fn scratch(&self) -> Table {
        let title = "Short-lived small objects, placed, written and forgotten together: ns an \
                     object (times ours)";
        let mut table = Table::new(title, scratch::OURS);
        for kind in scratch::Kind::ALL {
            table.push(kind.name(), Unit::Nanos, scratch::measure(kind, self.plan()));
        }
        table
    }

    fn bookkeeping() -> Result<Table, Box<dyn Error>> {
        let title = "What the library allocates for itself, in bytes; pages of 32 KiB";
        let mut found = Vec::new();
        for (name, mib) in
            [("64 MiB", 64), ("1 GiB", 1 << 10), ("16 GiB", 16 << 10), ("256 GiB", 256 << 10)]
        {
            found.push((name, mib, Probe::Bookkeeping { mib }.ask::<Bookkeeping>()?));
        }
        let mut table = Table::new(title, "");
        let mut push = |name, unit, figure: fn(&(&str, usize, Bookkeeping)) -> f64| {
            table.push(name, unit, found.iter().map(|found| (found.0, figure(found))));
        };
        push("region and manager", Unit::Count, |(_, _, found)| found.manager as f64);
        push("a page", Unit::Times, |(_, mib, found)| {
            (found.manager * PAGE_BYTES) as f64 / (mib << 20) as f64
        });
        push("each owner", Unit::Count, |(_, _, found)| found.owner as f64);
        push("each worker", Unit::Count, |(_, _, found)| found.worker as f64);
        Ok(table)
    }
}

/// Our rows, and the harness's, in atomic read-modify-writes: the unit is that of the first column.
fn in_rmw(pages: &Table) -> String {
    let unit = pages.columns.first().and_then(|column| column.cell(RMW));
    let unit = unit.map_or(f64::NAN, |cell| cell.value);
    let title = format!("The same in rmw a page; 1 rmw is {} ns", figure(unit));
    let mut table = Table::new(title, "");
    for Column { name, cells, .. } in &pages.columns {
        let of_interest =
            cells.iter().filter(|(row, _)| row.starts_with("ours") || row.starts_with("harness"));
        let in_rmw = of_interest.map(|(row, cell)| (row.clone(), cell.value / unit));
        table.push(name.clone(), Unit::Times, in_rmw);
    }
    table.markdown()
}
