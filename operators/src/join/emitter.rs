//! Which rows come out of a join.

use super::kind::{JoinKind, Joined};
use super::table::JoinTable;

/// Hands rows out, and counts them.
pub(super) struct Emitter<'a, F> {
    kind: JoinKind,
    joined: &'a mut u64,
    out: &'a mut F,
}

/// Which side is in memory. The other one is streamed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InMemory {
    Build,
    Probe,
}

/// A row of the other side.
#[derive(Clone, Copy)]
pub(super) struct Streamed<'a> {
    pub(super) hash: u64,
    pub(super) key: &'a [u8],
    pub(super) row: &'a [u8],
}

impl<'a, F: FnMut(Joined<'_>)> Emitter<'a, F> {
    pub(super) fn new(kind: JoinKind, joined: &'a mut u64, out: &'a mut F) -> Self {
        Self { kind, joined, out }
    }

    /// Joins a row with those in memory. Whether there are any for it.
    #[inline]
    pub(super) fn join(
        &mut self,
        table: &JoinTable,
        in_memory: InMemory,
        streamed: Streamed<'_>,
    ) -> bool {
        let Streamed { hash, key, row } = streamed;
        let needs_pairs = matches!(self.kind, JoinKind::Inner | JoinKind::Left);
        let finds = table.probe(hash, key, |other| {
            if needs_pairs {
                let (probe, build) = match in_memory {
                    InMemory::Build => (row, other),
                    InMemory::Probe => (other, row),
                };
                self.emit(Joined { key, probe, build: Some(build) });
            }
            needs_pairs
        });
        if finds && self.kind == JoinKind::Semi {
            self.emit(Joined { key, probe: row, build: None });
        }
        finds
    }

    /// Hands out a probe row that has no partner, where such rows count.
    #[inline]
    pub(super) fn alone(&mut self, streamed: Streamed<'_>) {
        if matches!(self.kind, JoinKind::Left | JoinKind::Anti) {
            self.emit(Joined { key: streamed.key, probe: streamed.row, build: None });
        }
    }

    #[inline]
    fn emit(&mut self, joined: Joined<'_>) {
        *self.joined += 1;
        (self.out)(joined);
    }
}
