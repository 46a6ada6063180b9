//! The handles that were given out, good and bad, and how one is picked.

use std::collections::HashMap;

use offheap::ffi::Status;

use super::calls::{self, Kind};
use super::model::{ConfigModel, ManagerModel};
use super::ops::Pick;

/// All handles that were given out, and what they should stand for.
#[derive(Default)]
pub(super) struct Run {
    /// In the order of their coming, with their kind.
    pub(super) given: Vec<(usize, Kind)>,
    /// Those that are good.
    pub(super) live: HashMap<usize, Value>,
    pub(super) managers: Vec<ManagerModel>,
    pub(super) patterns: u8,
    pub(super) calls: u64,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Config(ConfigModel),
    Manager(usize),
    Owner(usize, usize),
    Segment { manager: usize, owner: usize, bytes: usize, pattern: u8 },
    Reservation { manager: usize, owner: usize, bytes: usize },
    Worker(usize, usize),
}

impl Value {
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Config(_) => Kind::Config,
            Self::Manager(_) => Kind::Manager,
            Self::Owner(..) => Kind::Owner,
            Self::Segment { .. } => Kind::Segment,
            Self::Reservation { .. } => Kind::Reservation,
            Self::Worker(..) => Kind::Worker,
        }
    }
}

/// A handle that was picked, and what it should be refused with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picked {
    pub(super) bits: usize,
    pub(super) value: Result<Value, Bad>,
}

/// Why a handle is not good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bad {
    Null,
    /// It was good.
    Stale,
    /// It was never given out as what it is taken for, or, as far as we know, not in this run.
    Foreign,
}

impl Picked {
    /// Checks that a call failed as the handle deserves.
    pub(super) fn expect(self, status: Status) {
        let Err(bad) = self.value else { unreachable!("{self:?} is good") };
        let is_due = match bad {
            Bad::Null => status == Status::NullArgument,
            Bad::Stale => status == Status::StaleHandle,
            Bad::Foreign => matches!(status, Status::StaleHandle | Status::ForeignHandle),
        };
        assert!(is_due, "{self:?}: {status:?}, {}", calls::last_message());
        assert!(!calls::last_message().is_empty());
    }
}

impl Run {
    pub(super) fn pick(&self, pick: Pick, kind: Kind) -> Picked {
        let of_kind = |(_, given): &&(usize, Kind)| *given == kind;
        let nth = |count: usize| (count > 0).then(|| usize::from(pick.which) % count);
        let bits = match pick.how % 8 {
            0 => 0,
            1 => nth(self.given.len()).map_or(0, |at| self.given[at].0),
            2 => {
                let known = self.given.last().map_or(0, |(bits, _)| *bits);
                known ^ 1 << (pick.which % 64)
            }
            3 => {
                let count = self.given.iter().filter(of_kind).count();
                let at = nth(count).and_then(|at| self.given.iter().filter(of_kind).nth(at));
                at.map_or(1, |(bits, _)| *bits)
            }
            _ => {
                let is_live = |given: &&(usize, Kind)| self.live.contains_key(&given.0);
                let live = || self.given.iter().filter(of_kind).filter(is_live);
                nth(live().count()).and_then(|at| live().nth(at)).map_or(0, |(bits, _)| *bits)
            }
        };
        let value = match self.live.get(&bits) {
            _ if bits == 0 => Err(Bad::Null),
            Some(value) if value.kind() == kind => Ok(*value),
            None if self.given.contains(&(bits, kind)) => Err(Bad::Stale),
            _ => Err(Bad::Foreign),
        };
        Picked { bits, value }
    }

    pub(super) fn give(&mut self, bits: usize, value: Value) {
        assert!(self.given.iter().all(|(given, _)| *given != bits), "{bits:#x} was given before");
        self.given.push((bits, value.kind()));
        self.live.insert(bits, value);
    }
}
