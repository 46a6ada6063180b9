//! The pages right behind a block, for a block that grows where it is.

use crate::base::units::{PageCount, Span};
use crate::ledger::stock::NoExchange;
use crate::memory::block::Block;

use super::modes::Arena;
use super::off_heap::OffHeap;

/// Why the pages behind a block could not be had. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoomBehind {
    /// Memory of the process heap does not grow in place.
    ProcessHeap,
    /// So many of the bytes that were wanted are free, and then one that is held.
    Held { free_bytes: usize },
    /// Spare address space lies there, and the system did not take the pages to exchange for it.
    NotExchanged,
}

impl Arena {
    /// The `pages` right behind `block`, as a block of their own, to be made ready.
    pub(crate) fn behind(&self, block: &Block, pages: PageCount) -> Result<Block, NoRoomBehind> {
        self.off_heap().ok_or(NoRoomBehind::ProcessHeap)?.behind(block, pages)
    }

    /// Whether they could be had, as far as one can see.
    pub(crate) fn look_behind(&self, block: &Block, pages: PageCount) -> Result<(), NoRoomBehind> {
        self.off_heap().ok_or(NoRoomBehind::ProcessHeap)?.look_behind(block, pages)
    }
}

impl OffHeap {
    fn behind(&self, block: &Block, pages: PageCount) -> Result<Block, NoRoomBehind> {
        let span = self.span_behind(block, pages);
        let span = span.ok_or_else(|| self.held_behind(block, pages))?;
        let mut exchanged = false;
        let run = self.stock().take_span(span, |exchange| {
            exchanged = true;
            self.give_back_for(exchange).is_ok()
        });
        match run {
            Ok(run) => {
                if exchanged {
                    self.note_exchanged(run.span());
                }
                Ok(self.hand_out(run))
            }
            Err(NoExchange::NoRun) => Err(self.held_behind(block, pages)),
            Err(NoExchange::Refused) => Err(NoRoomBehind::NotExchanged),
        }
    }

    fn look_behind(&self, block: &Block, pages: PageCount) -> Result<(), NoRoomBehind> {
        let span = self.span_behind(block, pages);
        match span {
            Some(span) if self.stock().unheld_pages_of(span) == span.pages.get() => Ok(()),
            _ => Err(self.held_behind(block, pages)),
        }
    }

    /// The pages right behind `block`; `None` if the region does not have as many.
    fn span_behind(&self, block: &Block, pages: PageCount) -> Option<Span> {
        let first = self.first_page_behind(block);
        let end = first.checked_add(pages.get())?;
        (end <= self.stock().mapped_pages().get()).then(|| Span::new(first..end))
    }

    /// How many bytes are free there, which are fewer than those of `pages`.
    fn held_behind(&self, block: &Block, pages: PageCount) -> NoRoomBehind {
        let first = self.first_page_behind(block);
        let end = first.saturating_add(pages.get()).min(self.stock().mapped_pages().get());
        let free = match first < end {
            true => self.stock().unheld_pages_of(Span::new(first..end)),
            false => 0,
        };
        // What was held a moment ago may be free by now.
        let free = PageCount::new(free.min(pages.get().saturating_sub(1)));
        NoRoomBehind::Held { free_bytes: self.page_size().bytes_of(free) }
    }

    fn first_page_behind(&self, block: &Block) -> u32 {
        let pages = self.page_size().pages_within(block.size()).map_or(0, PageCount::get);
        self.first_page(block).get() + pages
    }
}
