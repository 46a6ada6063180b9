//! Why bytes could not be reserved.

/// Why bytes could not be reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The budget has fewer bytes free than asked for.
    Budget {
        /// The bytes that are free.
        free: u64,
    },
    /// An account has fewer bytes left under its own limit than asked for.
    Account {
        /// The bytes that are left.
        free: u64,
        /// Which one: 0 is the account that the request was made for, 1 its parent.
        level: u32,
    },
    /// Others are first in line for what is free.
    Turn {
        /// Where: as for an account, and the budget is the last level.
        level: u32,
    },
    /// The budget is closed.
    Closed,
}

impl Refused {
    /// The level that refused, if so many are `below` the budget's.
    #[must_use]
    pub const fn level(self, below: u32) -> u32 {
        match self {
            Self::Account { level, .. } | Self::Turn { level } => level,
            Self::Budget { .. } | Self::Closed => below,
        }
    }

    /// The same refusal, as an account tells it of its parent.
    pub(super) const fn by_parent(self) -> Self {
        match self {
            Self::Account { free, level } => Self::Account { free, level: level + 1 },
            Self::Turn { level } => Self::Turn { level: level + 1 },
            Self::Budget { .. } | Self::Closed => self,
        }
    }
}
