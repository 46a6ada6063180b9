//! Pages that were taken out of a free list.

use std::marker::PhantomData;

use crate::base::units::{ChunkIndex, PageCount, PageIndex, PageMask, Span, spans};

/// Adjacent pages that belong to the holder of this value.
///
/// Neither `Clone` nor constructible elsewhere, so releasing pages twice does not compile.
#[must_use = "a dropped `HeldRun` is lost to its free list"]
#[derive(PartialEq, Eq, Debug)]
pub struct HeldRun {
    pub(in crate::ledger) first: PageIndex,
    pub(in crate::ledger) pages: PageCount,
}

/// Pages of one chunk, adjacent or not, that belong to the holder of this value.
#[must_use = "dropped `HeldPages` are lost to their free list"]
pub struct HeldPages {
    pub(in crate::ledger) chunk: ChunkIndex,
    pub(in crate::ledger) mask: PageMask,
}

/// Where pages lie that their holder lends for as long as this value is there.
#[derive(Debug)]
pub struct Lent<'a> {
    spans: Vec<Span>,
    pages: PhantomData<&'a [HeldPages]>,
}

impl HeldRun {
    /// The first page.
    #[must_use]
    pub fn first(&self) -> PageIndex {
        self.first
    }

    /// The number of pages.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        self.pages
    }

    /// Its pages, as numbers.
    pub(crate) fn span(&self) -> Span {
        Span { first: self.first, pages: self.pages }
    }

    /// The run that a holder described by these numbers has.
    ///
    /// Only for a holder that took a `HeldRun` apart and vouches, by owning the memory itself,
    /// that it is the only one with these pages.
    #[inline]
    pub(crate) fn reassemble(first: PageIndex, pages: PageCount) -> Self {
        Self { first, pages }
    }
}

impl HeldPages {
    /// The pages one by one, from the lowest up.
    pub fn into_runs(self) -> impl Iterator<Item = HeldRun> {
        let mut rest = self.mask.into_bits();
        std::iter::from_fn(move || {
            (rest != 0).then(|| {
                let bit = rest.trailing_zeros();
                rest &= rest - 1;
                HeldRun { first: self.chunk.page(bit), pages: PageCount::ONE }
            })
        })
    }

    /// The pages one by one, from the highest down.
    pub fn into_runs_from_top(self) -> impl Iterator<Item = HeldRun> {
        let mut rest = self.mask.into_bits();
        std::iter::from_fn(move || {
            let bit = rest.checked_ilog2()?;
            rest ^= 1 << bit;
            Some(HeldRun { first: self.chunk.page(bit), pages: PageCount::ONE })
        })
    }

    /// The number of pages.
    #[must_use]
    pub const fn pages(&self) -> u32 {
        self.mask.pages()
    }

    /// Lends pages, which are in ascending order.
    pub(crate) fn lend(held: &[Self]) -> Lent<'_> {
        let spans = spans(held.iter().map(|pages| (pages.chunk(), pages.mask())));
        Lent { spans, pages: PhantomData }
    }

    /// Their chunk.
    #[must_use]
    pub const fn chunk(&self) -> ChunkIndex {
        self.chunk
    }

    /// Which of its pages they are.
    #[must_use]
    pub const fn mask(&self) -> PageMask {
        self.mask
    }

    /// The same pages in ascending order, those of one chunk as one.
    pub(crate) fn gather(mut parts: Vec<Self>) -> Vec<Self> {
        parts.sort_unstable_by_key(|part| part.chunk);
        parts.dedup_by(|next, last| {
            let same = next.chunk == last.chunk;
            if same {
                last.mask = last.mask.with(next.mask);
            }
            same
        });
        parts
    }
}

impl Lent<'_> {
    /// The pages, in ascending order.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }
}
