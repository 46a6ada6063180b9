//! The arguments, and the rules that they keep.

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use offheap::{Strategy, config::MemoryMode};

use crate::failure::Failure;
use crate::scenario::Scenario;

/// The scale of the default run: 600,572 rows.
const SCALE_DEFAULT: f64 = 0.1;
/// Below this the generator has no suppliers left to choose from.
const SCALE_MIN: f64 = 0.001;
/// The largest scale that TPC-H defines.
const SCALE_MAX: f64 = 100_000.0;
/// More queries than this at once show nothing more.
const QUERIES_MAX: usize = 64;
/// A bit fewer rows than the generator makes at scale 1; the exact number varies with the scale.
const ROWS_PER_SCALE: f64 = 5_900_000.0;

/// Sorts, aggregates and joins TPC-H data under a budget much smaller than the data, checks every
/// answer, and draws what the memory did.
#[derive(Parser, Debug)]
#[command(name = "offheap", version, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run all scenarios, one after the other, or one of them; what happens without a command, too
    Run {
        /// Which one [default: all of them]
        #[arg(value_enum)]
        scenario: Option<ScenarioArg>,
    },
    /// Make rows for another process of this program
    #[command(hide = true)]
    Generate {
        #[arg(value_parser = scale)]
        scale_factor: f64,
        #[arg(value_parser = rows)]
        rows_max: Option<u64>,
    },
}

#[derive(clap::Args, Debug)]
struct Options {
    /// The budget, in bytes or with a suffix (8MiB, 64M); an eighth of lineitem by default
    #[arg(long, value_name = "BYTES", value_parser = bytes, global = true)]
    memory: Option<usize>,
    /// Take the first N rows of lineitem
    #[arg(long, value_name = "N", value_parser = rows, conflicts_with = "scale", global = true)]
    rows: Option<u64>,
    /// Take all rows of this TPC-H scale factor [default: 0.1, where lineitem has 600,572 rows]
    #[arg(long, value_name = "F", value_parser = scale, global = true)]
    scale: Option<f64>,
    /// Run each scenario N times at once under the one budget, which they share; each next one
    /// starts when the one before holds all of it
    #[arg(long, value_name = "N", value_parser = queries, default_value = "1", global = true)]
    queries: usize,
    /// The size of a page: a power of two from 4KiB to 1MiB
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "32KiB", global = true)]
    page_size: usize,
    /// Which free block a request takes
    #[arg(long, value_enum, default_value = "smallest-fit", global = true)]
    strategy: StrategyArg,
    /// Where memory comes from: one mapped region, or the process allocator
    #[arg(long, value_enum, default_value = "off-heap", global = true)]
    mode: ModeArg,
    /// Write the numbers to FILE, as one JSON object on a line for each scenario; `-` is standard
    /// output, and the table goes to standard error then
    #[arg(long, value_name = "FILE", global = true)]
    json: Option<PathBuf>,
    /// Spill to DIR [default: the system's directory for temporary files]
    #[arg(long, value_name = "DIR", global = true)]
    spill_dir: Option<PathBuf>,
    /// Draw the picture to FILE, as SVG; `-` is standard output, as with `--json`. The two may not
    /// lead to one file
    #[arg(long, value_name = "FILE", default_value = "occupancy.svg", global = true)]
    picture: PathBuf,
    /// Say nothing while it works
    #[arg(long, global = true)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum ScenarioArg {
    /// Sort lineitem by ship date and falling price
    Sort,
    /// Six totals of each order in lineitem
    Aggregate,
    /// Orders with their rows in lineitem
    Join,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum StrategyArg {
    /// The smallest that is large enough
    SmallestFit,
    /// The largest
    LargestFit,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum ModeArg {
    /// One mapped region
    OffHeap,
    /// The process allocator
    Heap,
}

/// What the program is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What to do, in this order.
    pub scenarios: Vec<Scenario>,
    /// Which rows to take.
    pub input: Input,
    /// The budget; `None` for an eighth of the data.
    pub memory_bytes: Option<usize>,
    /// How many of each scenario run at once.
    pub queries: usize,
    /// The size of a page.
    pub page_bytes: usize,
    /// Which hole a block takes.
    pub strategy: Strategy,
    /// Where memory comes from.
    pub mode: MemoryMode,
    /// Where the numbers go.
    pub json: Option<PathBuf>,
    /// Where runs are spilled; `None` for the system's directory for temporary files.
    pub spill_dir: Option<PathBuf>,
    /// Where the picture goes.
    pub picture: PathBuf,
    /// Whether to say nothing on the way.
    pub quiet: bool,
}

/// Rows of `lineitem`.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// The TPC-H scale factor.
    pub scale: f64,
    /// How many rows of that scale; `None` for all.
    pub rows: Option<u64>,
}

/// What came of the arguments.
pub enum Parsed {
    /// A job.
    Settings(Settings),
    /// Rows for another process.
    Generate(Input),
    /// Help or the version was asked for, and shown.
    Shown,
    /// A rule is broken.
    Wrong(Failure),
}

/// Reads the arguments of the process.
pub fn parse() -> Parsed {
    match Args::try_parse() {
        Ok(args) => args.into(),
        Err(error) if error.use_stderr() => Parsed::Wrong(Failure::Value(one_line(&error))),
        Err(help) => match write!(std::io::stdout().lock(), "{}", help.render()) {
            Ok(()) => Parsed::Shown,
            Err(error) => Parsed::Wrong(Failure::World(format!("cannot write to stdout: {error}"))),
        },
    }
}

impl From<Args> for Parsed {
    fn from(Args { command, options }: Args) -> Self {
        let scenario = match command {
            Some(Command::Generate { scale_factor, rows_max }) => {
                return Self::Generate(Input { scale: scale_factor, rows: rows_max });
            }
            Some(Command::Run { scenario }) => scenario,
            None => None,
        };
        let scenarios = match scenario {
            None => Scenario::ALL.to_vec(),
            Some(ScenarioArg::Sort) => vec![Scenario::Sort],
            Some(ScenarioArg::Aggregate) => vec![Scenario::Aggregate],
            Some(ScenarioArg::Join) => vec![Scenario::Join],
        };
        Self::Settings(Settings {
            scenarios,
            input: Input::new(options.rows, options.scale),
            memory_bytes: options.memory,
            queries: options.queries,
            page_bytes: options.page_size,
            strategy: match options.strategy {
                StrategyArg::SmallestFit => Strategy::SmallestFit,
                StrategyArg::LargestFit => Strategy::LargestFit,
            },
            mode: match options.mode {
                ModeArg::OffHeap => MemoryMode::OffHeap,
                ModeArg::Heap => MemoryMode::Heap,
            },
            json: options.json,
            spill_dir: options.spill_dir,
            picture: options.picture,
            quiet: options.quiet,
        })
    }
}

impl Input {
    /// The rows asked for, at a scale that has them.
    fn new(rows: Option<u64>, scale: Option<f64>) -> Self {
        let scale_for = |rows: u64| (as_f64(rows) / ROWS_PER_SCALE).max(SCALE_DEFAULT);
        Self { scale: scale.or(rows.map(scale_for)).unwrap_or(SCALE_DEFAULT), rows }
    }

    /// About how many rows there are, for progress.
    pub fn rows_expected(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a scale is above 0 and its rows are far below 2^64"
        )]
        let all = (self.scale * 6_001_215.0) as u64;
        self.rows.unwrap_or(all)
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of rows are far below 2^53")]
fn as_f64(rows: u64) -> f64 {
    rows as f64
}

/// What clap says, less its advice.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let line = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    line.trim_start_matches("error: ").to_owned()
}

fn bytes(text: &str) -> Result<usize, String> {
    let bytes = parse_size::Config::new().with_binary().parse_size(text);
    bytes
        .ok()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "a size is a number of bytes, or has a suffix such as KiB, M or GiB".into())
}

fn rows(text: &str) -> Result<u64, String> {
    let rows_max = (SCALE_MAX * ROWS_PER_SCALE).round();
    match text.parse::<u64>() {
        Ok(rows) if rows > 0 && as_f64(rows) <= rows_max => Ok(rows),
        _ => Err(format!("the number of rows is a whole number from 1 to {rows_max}")),
    }
}

fn queries(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(queries) if (1..=QUERIES_MAX).contains(&queries) => Ok(queries),
        _ => Err(format!("the number of queries is a whole number from 1 to {QUERIES_MAX}")),
    }
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (SCALE_MIN..=SCALE_MAX).contains(&scale) => Ok(scale),
        _ => Err(format!("a scale is a number from {SCALE_MIN} to {SCALE_MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bytes_or_have_a_binary_suffix() {
        for (text, size) in [("0", 0), ("4096", 4096), ("32KiB", 32 << 10), ("64M", 64 << 20)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "-1", "many", "8XiB", "99999999999999999999"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rows_and_scales_have_bounds() {
        for text in ["0", "-1", "1.5", "x", "", "590000000001"] {
            assert!(rows(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "nan", "inf", "x", "0.0009", "100001"] {
            assert!(scale(text).is_err(), "{text}");
        }
        assert_eq!((rows("1"), scale("0.001")), (Ok(1), Ok(0.001)));
    }

    #[test]
    fn a_number_of_rows_picks_a_scale_that_has_them() {
        for rows in [1, 600_572, 600_573, 6_001_215, 1_000_000_000] {
            let input = Input::new(Some(rows), None);
            assert!(input.scale >= SCALE_DEFAULT && input.scale * 6_000_000.0 > as_f64(rows));
        }
    }
}
