//! The tables, each filled by what its file in `columns` measures.

use std::error::Error;

use crate::columns::bookkeeping::Bookkeeping;
use crate::columns::first_touch::{self, FirstTouch};
use crate::columns::residency::Residency;
use crate::columns::utilisation::History;
use crate::columns::{access, blocks, pages, scaling, scratch, traces, utilisation};
use crate::interleave::{Plan, median};
use crate::peers::PAGE_BYTES;
use crate::probe::{Probe, SizesName};
use crate::rows::{HARNESS, OURS, RMW, block_rows};
use crate::table::{Baseline, Column, Table, Unit, figure};
use crate::trace::Trace;
use crate::work::blocks::Live;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Fewer and shorter samples.
    pub quick: bool,
    /// Threads, if not as many as each table has by itself.
    pub threads: Option<usize>,
    /// Live blocks in MiB.
    pub live_mib: usize,
}

impl Settings {
    fn plan(self) -> Plan {
        if self.quick { Plan::QUICK } else { Plan::FULL }
    }

    fn live(self, sizes: SizesName) -> Live {
        Live { mib: self.live_mib, sizes: sizes.sizes() }
    }

    fn replacements(self) -> usize {
        if self.quick { 200 } else { 1000 }
    }

    /// One page at a time.
    #[must_use]
    pub fn pages(self) -> Table {
        let title = "One page of 32 KiB, allocated and released: ns a page (times ours)";
        let mut table = Table::new(title, Baseline::Row(OURS));
        for column in pages::Column::all(self.threads.unwrap_or(2)) {
            table.push(column.name(), Unit::Nanos, column.measure(self.plan()));
        }
        table
    }

    /// Blocks that are replaced at random.
    ///
    /// # Errors
    ///
    /// If a process of its own fails.
    pub fn blocks(self) -> Result<Table, Box<dyn Error>> {
        let mib = self.live_mib;
        let title = format!(
            "Blocks of 32 KiB to 4 MiB, replaced at random, {mib} MiB live: ns a replacement \
             (times ours), and resident over live bytes"
        );
        let rows = block_rows();
        let mut table = Table::new(title, Baseline::Row(rows[0].name));
        for sizes in SizesName::ALL {
            let readings = blocks::measure(self.live(sizes), self.plan());
            table.push(format!("{}, ns", sizes.name()), Unit::Nanos, readings);
        }
        for sizes in SizesName::ALL {
            let mut found = Vec::new();
            for (index, row) in rows.iter().enumerate() {
                let (mib, replacements) = (self.live_mib, self.replacements());
                let probe = Probe::Residency { row: index, mib, sizes, replacements };
                let residency: Residency = probe.ask()?;
                if residency.refused_per_mille > 0.0 {
                    let refused = residency.refused_per_mille;
                    eprintln!("{}, {}: {refused:.1} ‰ refused", row.name, sizes.name());
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

    /// What a query engine asked for.
    ///
    /// # Errors
    ///
    /// If a trace is damaged.
    pub fn traces(self) -> Result<Table, Box<dyn Error>> {
        let title = "Block traces of a query engine, replayed: the smallest region over the peak \
                     of live bytes, and ns a request (times ours)";
        let traces = Trace::all()?;
        let mut table = Table::new(title, Baseline::Row(block_rows()[0].name));
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

    /// What it costs to have memory resident.
    ///
    /// # Errors
    ///
    /// If a process of its own fails.
    pub fn first_touch(self) -> Result<Table, Box<dyn Error>> {
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
        let mut table = Table::new(title, Baseline::Row(first_touch::OURS));
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

    /// How full a region gets.
    #[must_use]
    pub fn utilisation(self) -> Table {
        let title = "How full a region of 8192 pages is when a block of 1 to 128 pages is refused";
        let mut table = Table::new(title, Baseline::Nothing);
        let histories = if self.quick { 3 } else { 15 };
        for history in History::ALL {
            for sizes in SizesName::ALL {
                let name = format!("{}, {}", history.name(), sizes.name());
                let found = utilisation::measure(history, sizes.sizes(), histories);
                table.push(name, Unit::Percent, found);
            }
        }
        table
    }

    /// Bytes of a page.
    #[must_use]
    pub fn access(self) -> Table {
        let title =
            "`u64` by `u64` over a page of 32 KiB: ns a page (times the sum of a plain slice)";
        let mut table = Table::new(title, Baseline::Row(access::SLICE));
        table.push("all of it", Unit::Nanos, access::measure(self.plan()));
        table
    }

    /// Small objects that are forgotten together.
    #[must_use]
    pub fn scratch(self) -> Table {
        let title = "Short-lived small objects, placed, written and forgotten together: ns an \
                     object (times ours)";
        let mut table = Table::new(title, Baseline::Row(scratch::OURS));
        for kind in scratch::Kind::ALL {
            table.push(kind.name(), Unit::Nanos, scratch::measure(kind, self.plan()));
        }
        table
    }

    /// Each task with more and more threads, with the name of its files.
    #[must_use]
    pub fn scaling(self) -> Vec<(Table, &'static str)> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads_max = self.threads.unwrap_or(cores);
        let table = |task: scaling::Task| {
            let (title, file) = task.names();
            let title = format!("{title} (times the first column)");
            let mut table = Table::new(title, Baseline::FirstColumn);
            for threads in task.threads(threads_max) {
                let readings = task.measure(threads, self.plan());
                table.push(format!("{threads}T"), Unit::Nanos, readings);
            }
            (table, file)
        };
        scaling::Task::ALL.map(table).into()
    }

    /// What the library needs for itself.
    ///
    /// # Errors
    ///
    /// If a process of its own fails.
    pub fn bookkeeping(self) -> Result<Table, Box<dyn Error>> {
        let title = "What the library allocates for itself, in bytes; pages of 32 KiB";
        let mut found = Vec::new();
        for (name, mib) in
            [("64 MiB", 64), ("1 GiB", 1 << 10), ("16 GiB", 16 << 10), ("256 GiB", 256 << 10)]
        {
            found.push((name, mib, Probe::Bookkeeping { mib }.ask::<Bookkeeping>()?));
        }
        let mut table = Table::new(title, Baseline::Nothing);
        let mut push = |name, unit, figure: fn(&(&str, usize, Bookkeeping)) -> f64| {
            table.push(name, unit, found.iter().map(|found| (found.0, figure(found))));
        };
        push("region and manager", Unit::Count, |(_, _, found)| found.manager as f64);
        push("a page", Unit::Times, |(_, mib, found)| {
            (found.manager * PAGE_BYTES) as f64 / (mib << 20) as f64
        });
        push("millionths of the region", Unit::Times, |(_, mib, found)| {
            1e6 * found.manager as f64 / (mib << 20) as f64
        });
        push("each owner", Unit::Count, |(_, _, found)| found.owner as f64);
        push("each worker", Unit::Count, |(_, _, found)| found.worker as f64);
        Ok(table)
    }
}

/// Our rows, and the harness's, in atomic read-modify-writes: the unit is that of the first column.
#[must_use]
pub fn in_rmw(pages: &Table) -> Table {
    let unit = of_first_column(pages, RMW);
    let title = format!("The same in rmw a page, harness included; 1 rmw is {} ns", figure(unit));
    of_interest(pages, title, &["ours", "harness"], |_, value| value / unit)
}

/// The same less what the harness takes alone in the same column: what the pages themselves cost.
#[must_use]
pub fn net_in_rmw(pages: &Table) -> Table {
    let unit = of_first_column(pages, RMW) - of_first_column(pages, HARNESS);
    let title = format!("The same net of the harness, in rmw a page; 1 rmw is {} ns", figure(unit));
    of_interest(pages, title, &["ours", RMW], |column, value| {
        let harness = column.cell(HARNESS).map_or(f64::NAN, |cell| cell.value);
        (value - harness) / unit
    })
}

fn of_first_column(pages: &Table, row: &str) -> f64 {
    let cell = pages.columns.first().and_then(|column| column.cell(row));
    cell.map_or(f64::NAN, |cell| cell.value)
}

/// The rows whose names begin like one of `names`, in another unit.
fn of_interest(
    pages: &Table,
    title: String,
    names: &[&str],
    figure: impl Fn(&Column, f64) -> f64,
) -> Table {
    let mut table = Table::new(title, Baseline::Nothing);
    for column in &pages.columns {
        let wanted = |row: &str| names.iter().any(|name| row.starts_with(name));
        let rows = column.cells.iter().filter(|(row, _)| wanted(row));
        let figures = rows.map(|(row, cell)| (row.clone(), figure(column, cell.value)));
        table.push(column.name.clone(), Unit::Times, figures);
    }
    table
}
