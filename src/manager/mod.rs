//! Floor 4: the memory manager, its builder and its views.
//!
//! ```text
//! views/     pages only, and blocks only
//! reports  listening  lease  metrics   what else it does
//! resize                               a capacity that changes
//! memory_manager  trim  builder        the manager, and how it is built
//! stats/     a manager and its owners in numbers
//! resources/ what several lease by name
//! pressure/  how short memory is
//! config/    what a manager was asked to be
//! ```

mod builder;
mod config;
mod lease;
mod listening;
mod memory_manager;
#[cfg(feature = "metrics")]
mod metrics;
mod pressure;
mod reports;
mod resize;
mod resources;
mod stats;
mod trim;
mod views;

pub use builder::MemoryManagerBuilder;
pub use lease::Lease;
pub use listening::{PressureChanges, PressureSubscription};
pub use memory_manager::MemoryManager;
pub use pressure::level::Pressure;
pub use resize::CapacityRefresh;
pub use resources::table::SharedResourceStats;
pub use stats::numbers::{ManagerStats, OccupancyMap, OwnerStats};
pub use views::fixed::FixedSizeManager;
pub use views::variable::VariableSizeManager;
