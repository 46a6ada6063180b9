//! What a policy sees of a request that is about to be granted, and what it says.

use std::fmt;
use std::time::Duration;

use super::kind::SpillKind;

/// What a policy says to a request: see [`Policy::admit`](super::policy::Policy::admit).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It is granted as soon as there is enough.
    Admit,
    /// Not now, whatever is free.
    Refuse,
}

/// A request that is about to be granted, as the policy sees it: what is asked for, by which owner,
/// and how much is out. The numbers are those of the moment.
#[non_exhaustive]
pub struct Admission<'a> {
    /// The path of the owner that asks.
    pub path: &'a str,
    /// The path of the owner above it.
    pub parent: Option<&'a str>,
    /// How many owners there are from the top to this one: 1 for one without a parent.
    pub depth: usize,
    /// The bytes that it asks for.
    pub requested_bytes: usize,
    /// The bytes that it and the owners below it hold, or are promised.
    pub used_bytes: usize,
    /// The bytes that it is guaranteed.
    pub minimum_bytes: usize,
    /// The most bytes that it may hold.
    pub limit_bytes: usize,
    /// How long the request waits in line; `None` for one that does not.
    pub waits_for: Option<Duration>,
    /// The owner's priority.
    pub priority: i32,
    /// The owner's weight.
    pub weight: u32,
    /// Whether the owner can give memory back.
    pub kind: SpillKind,
    /// The capacity, without the spill reserve.
    pub total_bytes: usize,
    /// What all owners hold of that, or are promised.
    pub total_used_bytes: usize,
    pub(crate) survey: &'a dyn Fn() -> Survey,
}

impl Admission<'_> {
    /// Looks at all owners: how many there are of each kind, and what they hold.
    ///
    /// Takes as long as there are owners and requests in line. Nothing is locked meanwhile for
    /// longer than it takes to copy a list of them.
    #[must_use]
    pub fn survey(&self) -> Survey {
        (self.survey)()
    }
}

impl fmt::Debug for Admission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("path", &self.path)
            .field("requested_bytes", &self.requested_bytes)
            .field("used_bytes", &self.used_bytes)
            .field("kind", &self.kind)
            .field("total_bytes", &self.total_bytes)
            .field("total_used_bytes", &self.total_used_bytes)
            .finish_non_exhaustive()
    }
}

/// All owners that hold memory themselves or wait for some, by their kinds. The one that asks is
/// among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// Those that spill.
    pub spills: KindUsage,
    /// Those that merge.
    pub merges: KindUsage,
    /// Those that cannot give.
    pub cannot_give: KindUsage,
}

/// The owners of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct KindUsage {
    /// How many they are.
    pub owners: usize,
    /// The bytes that they hold themselves, without those of the owners below them.
    pub used_bytes: usize,
}

impl Survey {
    /// The owners of a kind.
    #[must_use]
    pub fn of(&self, kind: SpillKind) -> KindUsage {
        match kind {
            SpillKind::Spills => self.spills,
            SpillKind::Merges => self.merges,
            SpillKind::CannotGive => self.cannot_give,
        }
    }

    /// One more owner of a kind.
    pub(crate) fn add(&mut self, kind: SpillKind, used_bytes: usize) {
        self.take(kind, used_bytes);
        self.of_mut(kind).owners += 1;
    }

    /// More bytes of an owner of a kind.
    pub(crate) fn take(&mut self, kind: SpillKind, bytes: usize) {
        let used_bytes = &mut self.of_mut(kind).used_bytes;
        *used_bytes = used_bytes.saturating_add(bytes);
    }

    /// This one, and what `other` has taken besides.
    pub(crate) fn with(mut self, other: &Self) -> Self {
        SpillKind::ALL.into_iter().for_each(|kind| self.take(kind, other.of(kind).used_bytes));
        self
    }

    fn of_mut(&mut self, kind: SpillKind) -> &mut KindUsage {
        match kind {
            SpillKind::Spills => &mut self.spills,
            SpillKind::Merges => &mut self.merges,
            SpillKind::CannotGive => &mut self.cannot_give,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_counts_each_kind_apart() {
        let mut survey = Survey::default();
        for (bytes, kind) in (1..).zip(SpillKind::ALL) {
            survey.add(kind, bytes);
            survey.add(kind, 10 * bytes);
        }
        let mut taken = Survey::default();
        taken.take(SpillKind::Merges, 100);
        for (bytes, kind) in (1..).zip(SpillKind::ALL) {
            assert_eq!(survey.of(kind), KindUsage { owners: 2, used_bytes: 11 * bytes });
            let more = if kind == SpillKind::Merges { 100 } else { 0 };
            let expected = KindUsage { owners: 2, used_bytes: 11 * bytes + more };
            assert_eq!(survey.with(&taken).of(kind), expected);
        }
    }
}
