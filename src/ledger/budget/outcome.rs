//! What came of reserving bytes, and of giving them back.

use super::HasWaiters;
use super::account_word::AccountWord;

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
    pub(in crate::ledger) const fn by_parent(self) -> Self {
        match self {
            Self::Account { free, level } => Self::Account { free, level: level + 1 },
            Self::Turn { level } => Self::Turn { level: level + 1 },
            Self::Budget { .. } | Self::Closed => self,
        }
    }
}

/// Whether an account went from holding nothing to holding something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an account that begins to hold something must be kept alive from then on"]
pub enum FirstCharge {
    /// It held nothing before.
    First,
    /// It held something already.
    Already,
}

/// Whether an account went from holding something to holding nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an account that holds nothing is no longer kept alive"]
pub enum Remainder {
    /// It holds nothing any more.
    Nothing,
    /// It still holds something, or gave nothing back.
    Something,
}

/// What came of giving bytes back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "an account that holds nothing is no longer kept alive"]
pub struct Credit {
    /// Whether the account still holds something.
    pub kept: Remainder,
    /// Whether a request waits for it.
    pub awaited: HasWaiters,
}

impl Credit {
    /// The same, and whether a request waits elsewhere.
    pub(in crate::ledger) fn or(self, awaited: HasWaiters) -> Self {
        Self { awaited: self.awaited.or(awaited), ..self }
    }
}

/// What it means that `bytes` come to an account whose word was this before.
pub(in crate::ledger) const fn opened(before: AccountWord, bytes: u64) -> FirstCharge {
    if before.reserved_bytes() == 0 && bytes > 0 {
        FirstCharge::First
    } else {
        FirstCharge::Already
    }
}

/// What it means that the word of an account went from one to the other.
pub(in crate::ledger) const fn kept(before: AccountWord, after: AccountWord) -> Remainder {
    match (before.reserved_bytes(), after.reserved_bytes()) {
        (1.., 0) => Remainder::Nothing,
        _ => Remainder::Something,
    }
}
