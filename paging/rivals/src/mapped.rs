//! The work on a mapped file: the system's page cache decides what is in memory.

use std::fs::File;

use memmap2::{Advice, MmapMut, MmapOptions};

use crate::Outcome;
use crate::work::drive::{Had, Hand, Peer};
use crate::work::job::{Job, PAGE_BYTES};

/// Maps of one file, one for each thread.
pub struct Mapped {
    file: File,
    asks_ahead: bool,
}

impl Mapped {
    /// A file with room for the whole set. The variant `willneed` asks for each page before its
    /// use; otherwise the system is told that places are random.
    ///
    /// # Errors
    ///
    /// If there is no such file to be had.
    pub fn new(job: &Job) -> Outcome<Self> {
        let file = tempfile::tempfile_in(&job.dir)?;
        file.set_len((job.pages() * PAGE_BYTES) as u64)?;
        Ok(Self { file, asks_ahead: job.variant == "willneed" })
    }
}

impl Peer for Mapped {
    type Hand = Map;

    fn hand(&self, number: usize, pages: usize) -> Outcome<Map> {
        let bytes = pages * PAGE_BYTES;
        let mut options = MmapOptions::new();
        options.offset((number * bytes) as u64).len(bytes);
        // SAFETY: the file has no name and is never truncated, and its parts are mapped once each.
        let map = unsafe { options.map_mut(&self.file) }?;
        if !self.asks_ahead {
            map.advise(Advice::Random)?;
        }
        Ok(Map { map, asks_ahead: self.asks_ahead })
    }

    fn settle(&self) {
        // It fails where there is no disk below, and then there is nothing to wait for.
        let _ = self.file.sync_data();
    }

    fn misses(&self) -> Option<u64> {
        None
    }
}

/// One thread's part of the file.
pub struct Map {
    map: MmapMut,
    asks_ahead: bool,
}

impl Map {
    fn page(&mut self, page: usize) -> Outcome<&mut [u8]> {
        let start = page * PAGE_BYTES;
        if self.asks_ahead {
            self.map.advise_range(Advice::WillNeed, start, PAGE_BYTES)?;
        }
        Ok(&mut self.map[start..start + PAGE_BYTES])
    }
}

impl Hand for Map {
    const IS_CACHE: bool = false;

    fn put(&mut self, page: usize, fill: &mut dyn FnMut(&mut [u8])) -> Outcome<()> {
        let start = page * PAGE_BYTES;
        fill(&mut self.map[start..start + PAGE_BYTES]);
        Ok(())
    }

    fn read(&mut self, page: usize, look: &mut dyn FnMut(&[u8])) -> Outcome<Had> {
        look(self.page(page)?);
        Ok(Had::Yes)
    }

    fn write(&mut self, page: usize, change: &mut dyn FnMut(&mut [u8])) -> Outcome<Had> {
        change(self.page(page)?);
        Ok(Had::Yes)
    }

    fn read_many(
        &mut self,
        pages: &[usize],
        look: &mut dyn FnMut(usize, Option<&[u8]>),
    ) -> Outcome<()> {
        for &page in pages {
            self.map.advise_range(Advice::WillNeed, page * PAGE_BYTES, PAGE_BYTES)?;
        }
        for &page in pages {
            look(page, Some(&self.map[page * PAGE_BYTES..][..PAGE_BYTES]));
        }
        Ok(())
    }
}
