//! The honest baselines: exact best fit, and first fit, in a tree of holes under a mutex.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use memmap2::{Advice, MmapMut, MmapOptions};

use super::{Blocks, PAGE_BYTES};

/// A region whose holes are kept in a tree.
pub struct FitTree {
    holes: Mutex<Holes>,
    fit: Fit,
    memory: MmapMut,
}

/// Which hole a block takes: one that it fits into.
#[derive(Clone, Copy, Debug)]
pub enum Fit {
    /// The smallest, and of these the one at the lowest address.
    Best,
    /// The one at the lowest address.
    First,
}

/// Pages from `first` on.
pub struct Run {
    first: usize,
    pages: usize,
}

/// Runs of free pages. No two touch.
struct Holes {
    /// First page to length.
    by_place: BTreeMap<usize, usize>,
    /// Length and first page.
    by_length: BTreeSet<(usize, usize)>,
}

impl FitTree {
    /// A region of `bytes`, with huge pages like ours.
    #[must_use]
    pub fn within(bytes: usize, fit: Fit) -> Self {
        let mut options = MmapOptions::new();
        let memory = options.len(bytes).no_reserve_swap().map_anon();
        let memory = memory.unwrap_or_else(|_| std::process::abort());
        // A kernel without huge pages serves small ones.
        let _ = memory.advise(Advice::HugePage);
        let mut holes = Holes { by_place: BTreeMap::new(), by_length: BTreeSet::new() };
        holes.insert(0, bytes / PAGE_BYTES);
        Self { holes: Mutex::new(holes), fit, memory }
    }

    fn holes(&self) -> std::sync::MutexGuard<'_, Holes> {
        self.holes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blocks for FitTree {
    type Block = Run;

    fn allocate(&mut self, bytes: usize) -> Option<Run> {
        self.holes().take(bytes.div_ceil(PAGE_BYTES), self.fit)
    }

    fn release(&mut self, block: Run) {
        self.holes().give(block);
    }

    fn touch(&mut self, block: &mut Run) {
        let from = block.first * PAGE_BYTES;
        let bytes = &mut self.memory[from..from + block.pages * PAGE_BYTES];
        bytes.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    }
}

impl Holes {
    fn insert(&mut self, first: usize, pages: usize) {
        self.by_place.insert(first, pages);
        self.by_length.insert((pages, first));
    }

    fn remove(&mut self, first: usize, pages: usize) {
        self.by_place.remove(&first);
        self.by_length.remove(&(pages, first));
    }

    fn take(&mut self, pages: usize, fit: Fit) -> Option<Run> {
        let (length, first) = match fit {
            Fit::Best => *self.by_length.range((pages, 0)..).next()?,
            Fit::First => {
                let (first, length) = self.by_place.iter().find(|(_, length)| **length >= pages)?;
                (*length, *first)
            }
        };
        self.remove(first, length);
        if length > pages {
            self.insert(first + pages, length - pages);
        }
        Some(Run { first, pages })
    }

    fn give(&mut self, Run { mut first, mut pages }: Run) {
        let before = self.by_place.range(..first).next_back().map(|(at, length)| (*at, *length));
        if let Some((at, length)) = before.filter(|(at, length)| at + length == first) {
            self.remove(at, length);
            (first, pages) = (at, pages + length);
        }
        if let Some(length) = self.by_place.get(&(first + pages)).copied() {
            self.remove(first + pages, length);
            pages += length;
        }
        self.insert(first, pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizes::{Random, Sizes};

    const PAGES: usize = 300;

    /// The hole that `fit` picks, by looking at every page.
    fn pick(free: &[bool], pages: usize, fit: Fit) -> Option<usize> {
        let mut first = 0;
        let mut best: Option<(usize, usize)> = None;
        for run in free.chunk_by(|a, b| a == b) {
            let better = best.is_none_or(|(length, _)| match fit {
                Fit::Best => run.len() < length,
                Fit::First => false,
            });
            if run[0] && run.len() >= pages && better {
                best = Some((run.len(), first));
            }
            first += run.len();
        }
        best.map(|(_, first)| first)
    }

    fn picks_what_a_scan_picks(fit: Fit) {
        let mut holes = Holes { by_place: BTreeMap::new(), by_length: BTreeSet::new() };
        holes.insert(0, PAGES);
        let mut free = vec![true; PAGES];
        let (mut random, mut held) = (Random::new(1), Vec::new());
        for _ in 0..20_000 {
            if random.below(2) == 0 {
                let pages = random.pages(Sizes::Any).div_ceil(4);
                let expected = pick(&free, pages, fit);
                let run = holes.take(pages, fit);
                assert_eq!(run.as_ref().map(|run| run.first), expected);
                if let Some(run) = run {
                    free[run.first..run.first + run.pages].fill(false);
                    held.push(run);
                }
            } else if !held.is_empty() {
                let run = held.swap_remove(random.below(held.len()));
                free[run.first..run.first + run.pages].fill(true);
                holes.give(run);
            }
        }
    }

    #[test]
    fn the_tree_picks_what_a_scan_of_every_page_picks() {
        picks_what_a_scan_picks(Fit::Best);
        picks_what_a_scan_picks(Fit::First);
    }
}
