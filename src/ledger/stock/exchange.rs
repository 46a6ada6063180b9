//! The exchange: cold pages that lie side by side against as many warm ones that do not.

use crate::base::sync::Patience;
use crate::base::units::{ChunkIndex, PageCount, PageMask, Span};
use crate::ledger::chunks::{Claim, HeldPages, HeldRun, Lent};
use crate::ledger::groups::View;

use super::cheapest_run::cheapest_run;
use super::unheld::Unheld;
use super::warm_cold::Stock;

/// Among so many groups with free pages an exchange looks for those that never were resident.
const GROUPS_FOR_FRESH: u32 = 64;

/// What an exchange is about to do.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The run that becomes warm.
    pub run: Span,
    /// The pages that become cold. They have to be given back to the system.
    pub leaving: Lent<'a>,
}

/// Why there was no exchange. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoExchange {
    /// No run is that long, not even with the cold pages.
    NoRun,
    /// The system did not do its part.
    Refused,
}

/// A run in the hands of an exchange, by the lists that its pages are from.
struct Incoming {
    run: Span,
    warm: Vec<HeldPages>,
    cold: Vec<HeldPages>,
}

impl Stock {
    /// Takes a run of exactly `pages` that is not in the warm list, or not all of it, and makes up
    /// for it with pages that are. `system` gives those back, and returns whether it did.
    ///
    /// For callers with a reservation for `pages` (Protocol, 4).
    ///
    /// # Errors
    ///
    /// If there is no such run, or the system refuses. Nothing has changed then.
    pub fn exchange(
        &self,
        pages: PageCount,
        system: impl FnOnce(&Exchange<'_>) -> bool,
    ) -> Result<HeldRun, NoExchange> {
        let cold = self.cold.as_ref().ok_or(NoExchange::NoRun)?;
        let unheld = self.unheld(cold);
        let taken = self.take_chosen(unheld, pages).ok_or(NoExchange::NoRun)?;
        self.exchange_taken(unheld, taken, system)
    }

    /// Takes all pages of `run`, which are warm or cold, and makes up for the cold ones as
    /// [`exchange`](Self::exchange) does. Without cold ones, nothing is exchanged.
    ///
    /// For callers with a reservation for as many pages (Protocol, 4).
    ///
    /// # Errors
    ///
    /// If somebody holds one of the pages, or the system refuses. Nothing has changed then.
    pub(crate) fn take_span(
        &self,
        run: Span,
        system: impl FnOnce(&Exchange<'_>) -> bool,
    ) -> Result<HeldRun, NoExchange> {
        if let Some(run) = self.warm.take_span(run) {
            return Ok(self.marked(run));
        }
        let cold = self.cold.as_ref().ok_or(NoExchange::NoRun)?;
        let unheld = self.unheld(cold);
        let taken = self.take_unheld(unheld, run).ok_or(NoExchange::NoRun)?;
        self.exchange_taken(unheld, taken, system)
    }

    /// The number of pages from the first one of `span` on that nobody holds, within `span`.
    pub(crate) fn unheld_pages_of(&self, span: Span) -> u32 {
        let mut pages = 0;
        for (chunk, wanted) in span.chunks() {
            let cold = self.cold.as_ref().map_or(PageMask::NONE, |cold| cold.free_of(chunk));
            let held = wanted & !(self.warm.free_of(chunk) | cold);
            let Some(bit) = held.first_bit() else {
                pages += wanted.pages();
                continue;
            };
            let first = span.indices().start;
            return chunk.page(bit).get() - first;
        }
        pages
    }

    /// What follows once the run is taken: the system's part, and the rest.
    fn exchange_taken(
        &self,
        unheld: Unheld<'_>,
        (incoming, claim): (Incoming, Claim<'_>),
        system: impl FnOnce(&Exchange<'_>) -> bool,
    ) -> Result<HeldRun, NoExchange> {
        let run = incoming.run;
        let pieces = self.take_pieces(unheld, incoming.cold.iter().map(HeldPages::pages).sum());
        if !system(&Exchange { run, leaving: HeldPages::lend(&pieces) }) {
            // The pieces were warm all the while, resident or not (Protocol, 5).
            pieces.into_iter().for_each(|piece| self.warm.release_pages(piece));
            self.put_back(unheld, incoming);
            claim.roll_back();
            return Err(NoExchange::Refused);
        }
        for piece in pieces {
            self.residency.clear(piece.chunk(), piece.mask());
            unheld.release_cold(piece);
        }
        // The pieces are back, if elsewhere.
        claim.roll_back();
        Ok(self.marked(HeldRun::reassemble(run.first, run.pages)))
    }

    /// Takes warm pages that add up to `pages`, in ascending order. First those that never were
    /// resident, which costs the system nothing, if they are among the highest free ones; then the
    /// highest ones, so that what is in use moves together at the low end, where pages are taken
    /// first.
    fn take_pieces(&self, unheld: Unheld<'_>, pages: u32) -> Vec<HeldPages> {
        let mut pieces = Vec::new();
        let mut left = pages;
        let all_marked = self.residency.marked_pages() >= u64::from(self.capacity.get());
        if left > 0 && !all_marked {
            let fresh = |chunk| !self.residency.marked_of(chunk);
            self.take_highest(unheld, &mut left, &mut pieces, fresh, GROUPS_FOR_FRESH);
        }
        let mut patience = Patience::new();
        while left > 0 {
            self.take_highest(unheld, &mut left, &mut pieces, |_| PageMask::ALL, u32::MAX);
            if left > 0 {
                // What is reserved is there, or on its way back (`free_list`, Protocol, 9).
                patience.wait();
            }
        }
        HeldPages::gather(pieces)
    }

    /// Takes the highest free ones of the pages that are `wanted` of each chunk, at most `left`.
    /// It looks at the highest `groups_max` groups that have free pages.
    fn take_highest(
        &self,
        unheld: Unheld<'_>,
        left: &mut u32,
        pieces: &mut Vec<HeldPages>,
        wanted: impl Fn(ChunkIndex) -> PageMask,
        groups_max: u32,
    ) {
        let mut groups_left = groups_max;
        for group in (0..self.warm.groups_reached()).rev() {
            if *left == 0 || groups_left == 0 {
                return;
            }
            if self.warm.has_none(group) {
                continue;
            }
            let mut has_free = false;
            for chunk in self.warm.chunks_of(group).rev() {
                let free = self.warm.free_of(chunk);
                has_free |= !free.is_empty();
                if *left > 0
                    && free.has_any(wanted(chunk))
                    && let Some(piece) = self.warm.take_highest_of(chunk, wanted(chunk), *left)
                {
                    *left -= piece.pages();
                    pieces.push(piece);
                }
            }
            if has_free {
                groups_left -= 1;
            } else {
                // So that the next search passes it by.
                unheld.measure(group);
            }
        }
    }

    /// Takes the run that `choose` chooses. `None` only if there was none while nobody else had
    /// pages on their way back to either list (`claims`, 2).
    fn take_chosen<'a>(
        &self,
        unheld: Unheld<'a>,
        pages: PageCount,
    ) -> Option<(Incoming, Claim<'a>)> {
        let mut patience = Patience::new();
        loop {
            let sightings =
                [self.warm.claims(), unheld.cold.claims()].map(|claims| (claims, claims.sight()));
            let candidates = unheld.candidates(pages);
            let is_together = |run: &Span| run.pages.get() >= self.together_pages();
            let gathers =
                || !(candidates.iter().any(is_together) || unheld.has_run(self.together_pages()));
            match choose(&candidates, || unheld.cold_within(&candidates), gathers, pages) {
                Some(run) => {
                    let claim = unheld.cold.claims().enter();
                    // Before it is taken: from here on others look at its words.
                    self.warm.reach(run.indices().end);
                    match self.claim(unheld, run) {
                        Some(incoming) => return Some((incoming, claim)),
                        None => claim.roll_back(),
                    }
                    // Perhaps it is no longer there, and its groups do not say so yet.
                    self.warm.doubt(run);
                }
                None if sightings.iter().all(|(claims, sighting)| claims.undisturbed(sighting)) => {
                    return None;
                }
                None => patience.wait(),
            }
        }
    }

    /// Takes these pages. `None` only if one of them was held while nobody else had pages on their
    /// way back to either list (`claims`, 2).
    fn take_unheld<'a>(&self, unheld: Unheld<'a>, run: Span) -> Option<(Incoming, Claim<'a>)> {
        let mut patience = Patience::new();
        loop {
            let sightings =
                [self.warm.claims(), unheld.cold.claims()].map(|claims| (claims, claims.sight()));
            if self.unheld_pages_of(run) == run.pages.get() {
                let claim = unheld.cold.claims().enter();
                // Before it is taken: from here on others look at its words.
                self.warm.reach(run.indices().end);
                match self.claim(unheld, run) {
                    Some(incoming) => return Some((incoming, claim)),
                    None => claim.roll_back(),
                }
            } else if sightings.iter().all(|(claims, sighting)| claims.undisturbed(sighting)) {
                return None;
            } else {
                patience.wait();
            }
        }
    }

    /// Two thirds of the spare address space.
    fn together_pages(&self) -> u32 {
        (self.mapped.get() - self.capacity.get()) / 3 * 2
    }

    /// Takes all pages of `run`, each from the list where it is free, or none of them.
    fn claim(&self, unheld: Unheld<'_>, run: Span) -> Option<Incoming> {
        let mut incoming = Incoming { run, warm: Vec::new(), cold: Vec::new() };
        let complete = run.chunks().all(|(chunk, pages)| {
            let warm_pages = self.warm.free_of(chunk) & pages;
            let cold_pages = pages & !warm_pages;
            let take_warm = || self.warm.take_all_of(chunk, warm_pages);
            let take_cold = || unheld.take_cold(chunk, cold_pages);
            add(&mut incoming.warm, warm_pages, take_warm)
                && add(&mut incoming.cold, cold_pages, take_cold)
        });
        if complete {
            self.warm.note_taken_groups(run);
            return Some(incoming);
        }
        self.put_back(unheld, incoming);
        None
    }

    fn put_back(&self, unheld: Unheld<'_>, incoming: Incoming) {
        incoming.warm.into_iter().for_each(|pages| self.warm.release_pages(pages));
        incoming.cold.into_iter().for_each(|pages| unheld.release_cold(pages));
    }
}

/// Chooses among the runs `unheld` the one with the fewest pages in `cold`, which is the cheapest.
/// But the lowest one where no two thirds of the spare address space lie in one piece any more, as
/// pages in use have spread that far. So they gather again at the low end, and long blocks find
/// their place above them.
fn choose(
    unheld: &[Span],
    cold: impl FnOnce() -> Vec<Span>,
    gathers: impl FnOnce() -> bool,
    pages: PageCount,
) -> Option<Span> {
    let lowest = unheld.first()?;
    if gathers() {
        return Some(Span { first: lowest.first, pages });
    }
    cheapest_run(unheld, &cold(), pages)
}

/// Adds what was taken of `wanted`, if that are any pages; whether it is all of them.
fn add(
    taken: &mut Vec<HeldPages>,
    wanted: PageMask,
    take: impl FnOnce() -> Option<HeldPages>,
) -> bool {
    let pages = if wanted.is_empty() { None } else { take() };
    let complete = wanted.is_empty() || pages.is_some();
    taken.extend(pages);
    complete
}

#[cfg(all(test, not(offheap_loom)))]
mod tests {
    use super::*;
    use crate::ledger::free_list::Strategy;

    fn stock(capacity: u32, mapped: u32) -> Stock {
        let [capacity, mapped] = [capacity, mapped].map(PageCount::new);
        Stock::with_units(capacity, mapped, Strategy::SmallestFit, None)
    }

    #[test]
    fn the_cheapest_run_is_chosen_while_two_thirds_of_the_spare_pages_lie_in_one_piece() {
        let unheld = [Span::new(0..10), Span::new(20..148)];
        let cold = || vec![Span::new(0..10)];
        let chosen =
            |gathers| choose(&unheld, cold, || gathers, PageCount::new(5)).map(|run| run.indices());
        assert_eq!(chosen(false), Some(20..25));
        assert_eq!(chosen(true), Some(0..5), "the lowest one, so that pages in use gather there");
        // Of 192 spare pages two thirds are 128.
        let stock = stock(64, 256);
        let cold = stock.cold.as_ref().unwrap();
        let (unheld, _held) = (stock.unheld(cold), stock.take_run(PageCount::new(64)));
        let longest = |chunk: u32, pages| {
            let _ = unheld.take_cold(ChunkIndex::new(chunk), PageMask::from_bits(pages));
            unheld.has_run(stock.together_pages())
        };
        assert!(longest(3, u64::MAX));
        assert!(!longest(2, 1 << 63));
    }

    #[test]
    fn pages_at_a_place_are_taken_warm_or_cold_and_cold_ones_are_made_up_for() {
        for (span, leaving) in [(8..60, 0), (60..64, 0), (60..70, 6), (64..100, 36), (0..8, 0)] {
            let stock = stock(64, 256);
            let held = stock.take_run(PageCount::new(8)).unwrap();
            let span = Span::new(span);
            let taken = stock.take_span(span, |exchange| {
                assert_eq!(exchange.run, span);
                let pages = exchange.leaving.spans().iter().map(|span| span.pages.get());
                assert_eq!(pages.sum::<u32>(), leaving);
                true
            });
            let is_free = span.indices().start > 0;
            assert_eq!(taken.is_ok(), is_free, "{span:?}");
            assert_eq!(
                stock.unheld_pages_of(Span::new(8..256)),
                match (is_free, leaving) {
                    (false, _) => 248,
                    _ => span.indices().start - 8,
                }
            );
            stock.release_runs(taken);
            stock.release_runs([held]);
            assert_eq!(stock.check(), Ok(()));
        }
    }

    #[test]
    fn pages_at_a_place_stay_where_they_were_if_the_system_refuses() {
        let stock = stock(64, 256);
        let refused = stock.take_span(Span::new(60..70), |_| false);
        assert_eq!(refused, Err(NoExchange::Refused));
        assert_eq!((stock.warm().largest_run(), stock.check()), (64, Ok(())));
    }

    #[test]
    fn pages_that_never_were_resident_leave_first_and_then_the_highest() {
        for (resident_from, leaving) in [(20, 7..20), (0, 47..60)] {
            let stock = stock(128, 512);
            let [low, held, high] =
                [60, 1, 67].map(|pages| stock.take_run(PageCount::new(pages)).unwrap());
            stock.release_runs([low, high]);
            for (chunk, pages) in (resident_from > 0)
                .then(|| Span::new(0..resident_from))
                .into_iter()
                .flat_map(Span::chunks)
            {
                stock.residency().clear(chunk, pages);
            }
            // Of the pages above the one that is held, 67 are warm.
            let run = stock.exchange(PageCount::new(80), |exchange| {
                assert_eq!(exchange.leaving.spans(), [Span::new(leaving)]);
                true
            });
            let run = run.unwrap();
            assert_eq!(run.span().indices(), 61..141);
            stock.release_runs([run, held]);
            assert_eq!(stock.check(), Ok(()));
        }
    }
}
