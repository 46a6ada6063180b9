//! A block that grows where it is: charge first, then take the pages right behind it.

use crate::base::error::SegmentError;
use crate::base::units::PageCount;
use crate::ledger::budget::{QueuePosition, Refused};
use crate::memory::arena::NoRoomBehind;
use crate::memory::block::Block;
use crate::owners::node::charge::{Charge, Grant};

use super::denial::Denial;
use super::requester::Requester;

impl Requester<'_> {
    /// The `bytes` right behind `block`, rounded up to pages, and the charge for them. Nobody is
    /// asked for bytes while those pages are held.
    pub(crate) fn extend(&self, block: &Block, bytes: usize) -> Result<Grant, SegmentError> {
        let failed = |bytes, why| failure(block, bytes, why);
        let pages = match self.pages_for(bytes) {
            Ok(pages) => pages,
            // In heap mode that is what stands against it, whatever the size.
            Err(_) if self.supply().arena.off_heap().is_none() => {
                return Err(failed(bytes, NoRoomBehind::ProcessHeap));
            }
            Err(error) => return Err(error.into()),
        };
        let bytes = self.page_size().bytes_of(pages);
        self.supply().arena.look_behind(block, pages).map_err(|why| failed(bytes, why))?;
        let attempt = || self.find_behind(block, pages);
        let first = self.admitted(bytes).and_then(|()| attempt());
        let found = match self.unless_cached_after(first, attempt) {
            Err(denial) => match self.ask(bytes, denial) {
                Ok(charge) => self.behind_for(block, pages, charge),
                Err(Denial::Refused(Refused::Closed)) if !self.supply().budget.is_closed() => {
                    return Err(SegmentError::OwnerEnded { size_bytes: block.size() });
                }
                Err(denial) => return Err(self.refusal(bytes, denial).into()),
            },
            Ok(found) => found,
        };
        let mut grant = found.map_err(|why| failed(bytes, why))?;
        self.supply().arena.make_ready(&mut grant.block);
        Ok(grant)
    }

    /// The pages behind `block` and the charge for them, or why there are none. Nothing is in
    /// flight afterwards.
    fn find_behind(
        &self,
        block: &Block,
        pages: PageCount,
    ) -> Result<Result<Grant, NoRoomBehind>, Denial> {
        let bytes = self.page_size().bytes_of(pages);
        let (charge, in_flight) = Charge::begin(self.node, bytes, QueuePosition::LAST)?;
        match self.supply().arena.behind(block, pages) {
            Ok(block) => {
                self.node.account().settle(&self.node.upstream(), in_flight);
                Ok(Ok(Grant { block, charge }))
            }
            Err(why) => {
                charge.undo(in_flight);
                Ok(Err(why))
            }
        }
    }

    /// The same for pages that were charged before.
    fn behind_for(
        &self,
        block: &Block,
        pages: PageCount,
        charge: Charge,
    ) -> Result<Grant, NoRoomBehind> {
        match self.supply().arena.behind(block, pages) {
            Ok(block) => Ok(Grant { block, charge }),
            Err(why) => {
                charge.release();
                Err(why)
            }
        }
    }
}

fn failure(block: &Block, wanted_bytes: usize, why: NoRoomBehind) -> SegmentError {
    match why {
        NoRoomBehind::ProcessHeap => SegmentError::ProcessHeap { size_bytes: block.size() },
        NoRoomBehind::Held { free_bytes } => SegmentError::NotFree { wanted_bytes, free_bytes },
        NoRoomBehind::NotExchanged => SegmentError::NotExchanged { wanted_bytes },
    }
}
