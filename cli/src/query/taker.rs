//! What operators have in common while they take rows.

use offheap_operators::Interrupt;
use offheap_operators::aggregate::{Aggregate, HashAggregator};
use offheap_operators::join::{JoinBuild, JoinProbe, Joined};
use offheap_operators::sort::ExternalSorter;

use super::company::Place;
use super::surroundings::Surroundings;
use crate::failure::Failure;
use crate::sampler::Event;
use crate::tpch::{Kind, Rows};

/// An operator that takes rows.
pub trait Taker {
    fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), Failure>;

    /// Gives memory back if others want their share.
    fn look(&mut self) -> Result<(), Failure>;

    fn held_bytes(&self) -> usize;

    /// Something that grows when it spills.
    fn spills(&self) -> u64;
}

/// The probe side of a join, and where its pairs go.
pub struct Probing<F> {
    pub probe: JoinProbe,
    pub out: F,
}

/// Gives a taker all rows of a kind.
///
/// Calls the next query when memory is full, and at the end of the rows at the latest.
pub fn take_rows(
    taker: &mut impl Taker,
    kind: Kind,
    rows: &mut Rows<'_>,
    place: &mut Place<'_>,
    surroundings: &Surroundings<'_>,
    label: &str,
) -> Result<(), Failure> {
    let Surroundings { settings, scenario, interrupt, manager, sampler, .. } = *surroundings;
    let progress = surroundings.bar(label, place, settings.input.rows_expected())?;
    let pages_min = scenario.pages_min();
    let is_full = || manager.available_bytes() < pages_min * settings.page_bytes;
    let (mut taken, mut held_bytes, mut spills) = (0, 0, taker.spills());
    while let Some(frame) = rows.next_of(kind)? {
        check(interrupt)?;
        for row in frame.rows() {
            let (key, row) = row.ok_or_else(|| Failure::World("a frame of rows is cut".into()))?;
            taker.push(key, row)?;
            taken += 1;
            if taker.held_bytes() != held_bytes {
                held_bytes = taker.held_bytes();
                place.holds(held_bytes);
                if place.is_to_call() && is_full() {
                    place.call_next(interrupt);
                }
            }
        }
        progress.at(taken);
        if taker.spills() > spills {
            spills = taker.spills();
            sampler.note(Event::Spill);
        }
    }
    // The next one gets its share of this one, on a machine of any speed.
    if place.is_to_call() {
        place.call_next(interrupt);
    }
    Ok(())
}

/// Waits until the next query has had its share.
pub fn wait_for_next(
    taker: &mut impl Taker,
    place: &mut Place<'_>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    place.end_input();
    while !place.is_next_content() {
        check(interrupt)?;
        taker.look()?;
        place.holds(taker.held_bytes());
    }
    Ok(())
}

pub fn check(interrupt: &Interrupt) -> Result<(), Failure> {
    if interrupt.is_set() { Err(Failure::Interrupted) } else { Ok(()) }
}

impl Taker for ExternalSorter {
    #[inline]
    fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), Failure> {
        Ok(self.push(key, row)?)
    }

    fn look(&mut self) -> Result<(), Failure> {
        Ok(self.look()?)
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        self.held_bytes()
    }

    fn spills(&self) -> u64 {
        self.stats().runs
    }
}

impl<A: Aggregate> Taker for HashAggregator<A> {
    #[inline]
    fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), Failure> {
        Ok(self.push(key, row)?)
    }

    fn look(&mut self) -> Result<(), Failure> {
        Ok(self.look()?)
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        self.held_bytes()
    }

    fn spills(&self) -> u64 {
        self.stats().spilled_bytes
    }
}

impl Taker for JoinBuild {
    #[inline]
    fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), Failure> {
        Ok(self.push(key, row)?)
    }

    /// Its pages go to others by themselves.
    fn look(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        self.held_bytes()
    }

    fn spills(&self) -> u64 {
        self.stats().spilled_bytes
    }
}

impl<F: FnMut(Joined<'_>)> Taker for Probing<F> {
    #[inline]
    fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), Failure> {
        Ok(self.probe.push(key, row, &mut self.out)?)
    }

    fn look(&mut self) -> Result<(), Failure> {
        Ok(self.probe.look()?)
    }

    #[inline]
    fn held_bytes(&self) -> usize {
        self.probe.held_bytes()
    }

    fn spills(&self) -> u64 {
        self.probe.stats().spilled_bytes
    }
}
