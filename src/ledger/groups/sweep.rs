//! A search through all groups, which reads the words of those only that may have a run that is
//! wanted.

use std::ops::ControlFlow;

use crate::ledger::chunks::{FreeRun, free_runs};

use super::bounds::Bound;
use super::group_runs::{GROUP_PAGES, GroupRuns, GroupWords};

/// The pages that are free, as one list has them, or two.
pub(crate) trait View {
    /// How many groups there are to look at.
    fn groups(&self) -> u32;
    /// The pages behind those groups, all of which are free.
    fn pages_behind(&self) -> u64;
    /// What is known of `group`.
    fn bound(&self, group: u32) -> Bound;
    /// Reads the words of `group`, and sets its bound.
    fn measure(&self, group: u32) -> GroupWords;
    /// Reads the words of `group`.
    fn words(&self, group: u32) -> GroupWords;
}

/// Shows `visit` the free runs of at least `pages_min` pages, from the lowest up, and how many
/// groups were read by then. It answers how long runs must be to be shown from then on, or that it
/// has seen enough.
pub(crate) fn sweep<V: View>(
    view: &V,
    pages_min: u64,
    visit: impl FnMut(FreeRun, u32) -> ControlFlow<(), u64>,
) {
    let none = FreeRun { first: 0, pages: 0 };
    let sweep = Sweep { view, visit, pages_min, run: none, settled: 0, read: 0 };
    let _ = sweep.go();
}

/// ```text
///   | known | known | may be ... | may be ... |  next  |
///                   ^ settled
///        run -------|
///        promise -----------------------------|
/// ```
struct Sweep<'a, V, F> {
    view: &'a V,
    visit: F,
    pages_min: u64,
    /// The run that reaches up to group `settled`; of no pages if there is none.
    run: FreeRun,
    /// All runs that end below this group and are wanted were shown.
    settled: u32,
    read: u32,
}

impl<V: View, F: FnMut(FreeRun, u32) -> ControlFlow<(), u64>> Sweep<'_, V, F> {
    fn go(mut self) -> ControlFlow<()> {
        let (groups, behind) = (self.view.groups(), self.view.pages_behind());
        // The pages of the run that reaches up to `group`, at most.
        let mut promise = 0;
        for group in 0..groups {
            let bound @ Bound { runs, is_exact } = self.view.bound(group);
            if promise == 0 && self.settled == group && bound == Bound::NONE {
                self.settled = group + 1;
                continue;
            }
            let through = promise + u64::from(runs.low);
            let is_wanted = through >= self.pages_min || u64::from(runs.longest) >= self.pages_min;
            if is_wanted || is_exact && self.settled == group {
                self.settle(group, bound)?;
                promise = self.run.pages;
            } else if runs.is_whole() {
                promise = through;
            } else {
                // What reaches up to here is too short, and so is all that ends within.
                promise = u64::from(runs.high);
                if is_exact {
                    self.run = high_run(group, runs);
                    self.settled = group + 1;
                } else {
                    self.run = FreeRun { first: first_page(group), pages: 0 };
                    self.settled = group;
                }
            }
        }
        if promise + behind >= self.pages_min {
            if self.settled < groups {
                self.settle(groups - 1, self.view.bound(groups - 1))?;
            }
            if self.run.pages == 0 {
                self.run.first = first_page(groups);
            }
            self.run.pages += behind;
            self.show(self.run)?;
        }
        ControlFlow::Continue(())
    }

    /// Looks at all groups up to this one that are not settled; `bound` is what is known of it.
    fn settle(&mut self, group: u32, bound: Bound) -> ControlFlow<()> {
        for earlier in self.settled..group {
            self.look(earlier, self.view.bound(earlier))?;
        }
        self.look(group, bound)?;
        self.settled = group + 1;
        ControlFlow::Continue(())
    }

    /// Shows the runs that end in `group`, and those in it.
    fn look(&mut self, group: u32, bound: Bound) -> ControlFlow<()> {
        let measured = (!bound.is_exact).then(|| self.view.measure(group));
        let runs = measured.as_ref().map_or(bound.runs, GroupRuns::of);
        self.read += u32::from(measured.is_some());
        if self.run.pages == 0 {
            self.run.first = first_page(group);
        }
        self.run.pages += u64::from(runs.low);
        if runs.is_whole() {
            return ControlFlow::Continue(());
        }
        self.show(self.run)?;
        if u64::from(runs.longest) >= self.pages_min {
            self.read += u32::from(measured.is_none());
            self.show_inner(group, &measured.unwrap_or_else(|| self.view.words(group)))?;
        }
        self.run = high_run(group, runs);
        ControlFlow::Continue(())
    }

    /// Shows the runs of a group that reach neither of its ends.
    fn show_inner(&mut self, group: u32, words: &GroupWords) -> ControlFlow<()> {
        let mut flow = ControlFlow::Continue(());
        free_runs(words.iter().copied(), |run| {
            let is_inner = run.first > 0 && run.first + run.pages < u64::from(GROUP_PAGES);
            if flow.is_continue() && is_inner {
                flow = self.show(FreeRun { first: first_page(group) + run.first, ..run });
            }
            u32::try_from(self.pages_min).unwrap_or(u32::MAX)
        });
        flow
    }

    fn show(&mut self, run: FreeRun) -> ControlFlow<()> {
        if run.pages > 0 && run.pages >= self.pages_min {
            self.pages_min = (self.visit)(run, self.read)?;
        }
        ControlFlow::Continue(())
    }
}

fn first_page(group: u32) -> u64 {
    u64::from(group) * u64::from(GROUP_PAGES)
}

/// The run at the high end of a group.
fn high_run(group: u32, runs: GroupRuns) -> FreeRun {
    let pages = u64::from(runs.high);
    FreeRun { first: first_page(group + 1) - pages, pages }
}
