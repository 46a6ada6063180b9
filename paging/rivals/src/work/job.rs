//! What a measurement is to do, as arguments of its program.

use std::path::PathBuf;

use clap::Parser;

use crate::Outcome;
use crate::measure::group;
use crate::work::draw::Distribution;

/// The size of a page everywhere, unless the work says otherwise.
pub const PAGE_BYTES: usize = 32 << 10;

/// One measurement, printed as one line of JSON.
#[derive(Clone, Debug, Parser)]
pub struct Job {
    /// Which work.
    pub work: String,
    /// The memory that there is.
    #[arg(long, default_value_t = 256)]
    pub memory_mib: usize,
    /// The working set, as a multiple of the memory.
    #[arg(long, default_value_t = 2)]
    pub factor: usize,
    #[arg(long, value_enum, default_value = "uniform")]
    pub distribution: Distribution,
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Pages used, by all threads together.
    #[arg(long, default_value_t = 40_000)]
    pub ops: usize,
    /// How many of a hundred uses write.
    #[arg(long, default_value_t = 20)]
    pub writes: usize,
    /// Known pages that are read together.
    #[arg(long, default_value_t = 1)]
    pub batch: usize,
    /// Data written and read once, in the sequential work.
    #[arg(long, default_value_t = 1024)]
    pub total_mib: usize,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where files go.
    #[arg(long, default_value = "/tmp")]
    pub dir: PathBuf,
    /// A cgroup to enter first.
    #[arg(long)]
    pub group: Option<PathBuf>,
    /// Of what may differ between peers of one program: the variant.
    #[arg(long, default_value = "")]
    pub variant: String,
    /// The part of the memory that a cache is told it has.
    #[arg(long, default_value_t = 1.0)]
    pub share: f64,
}

impl Job {
    /// Reads the arguments, and enters the group.
    ///
    /// # Errors
    ///
    /// If there is no such group.
    pub fn begin() -> Outcome<Self> {
        let job = Self::parse();
        if let Some(folder) = &job.group {
            group::join(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(job)
    }

    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memory_mib << 20
    }

    /// Pages of the working set.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.memory_bytes() / PAGE_BYTES * self.factor
    }
}
