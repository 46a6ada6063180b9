//! What has to be observed in a process of its own, where nothing else has happened.

use std::io;
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::columns::{bookkeeping, first_touch, residency};
use crate::sizes::Sizes;
use crate::work::blocks::Live;

/// A question, as the process is asked it.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub enum Probe {
    /// How much is resident while blocks are replaced?
    Residency {
        /// The number of the allocator's row.
        row: usize,
        /// The live blocks.
        mib: usize,
        /// Their sizes.
        sizes: SizesName,
        /// How often one is replaced.
        replacements: usize,
    },
    /// What does the first touch cost?
    FirstTouch {
        /// The number of the row.
        row: usize,
        /// How much is touched.
        mib: usize,
    },
    /// How much does a manager need for itself?
    Bookkeeping {
        /// Its capacity.
        mib: usize,
    },
}

/// [`Sizes`], to be told to another process and shown in a heading.
#[derive(Clone, Copy, Serialize, Deserialize, Debug)]
pub enum SizesName {
    /// Powers of two.
    Pow2,
    /// Any sizes.
    Any,
}

impl SizesName {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Pow2, Self::Any];

    /// What it names.
    #[must_use]
    pub fn sizes(self) -> Sizes {
        match self {
            Self::Pow2 => Sizes::PowersOfTwo,
            Self::Any => Sizes::Any,
        }
    }

    /// For a heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pow2 => "pow2",
            Self::Any => "any",
        }
    }
}

impl Probe {
    /// Has a fresh process of this program answer.
    ///
    /// # Errors
    ///
    /// If the process cannot be started, fails, or prints something else.
    pub fn ask<T: DeserializeOwned>(self) -> io::Result<T> {
        let question = format!("--probe={}", serde_json::to_string(&self)?);
        let output = Command::new(std::env::current_exe()?).arg(question).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        serde_json::from_str(&text).map_err(|error| {
            let stderr = String::from_utf8_lossy(&output.stderr);
            io::Error::other(format!("{self:?}: {error} in {text:?}; it said {stderr:?}"))
        })
    }

    /// The answer, found in this process.
    ///
    /// # Errors
    ///
    /// If there is no such row, or the system refuses the memory.
    pub fn answer(self) -> io::Result<String> {
        let no_row = || io::Error::other("no such row");
        let answer = match self {
            Self::Residency { row, mib, sizes, replacements } => {
                let live = Live { mib, sizes: sizes.sizes() };
                let found = residency::observe(row, live, replacements).ok_or_else(no_row)?;
                serde_json::to_string(&found)
            }
            Self::FirstTouch { row, mib } => {
                let (_, touch) = *first_touch::rows().get(row).ok_or_else(no_row)?;
                serde_json::to_string(&touch(mib << 20)?)
            }
            Self::Bookkeeping { mib } => serde_json::to_string(&bookkeeping::observe(mib << 20)?),
        };
        Ok(answer?)
    }
}
