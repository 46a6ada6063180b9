//! Bytes that are written to pages, of which more are allocated as it takes.

use std::fmt;
use std::io::{self, Seek, SeekFrom, Write};

use crate::base::error::AllocationError;
use crate::owners::owner::Owner;
use crate::owners::segment::memory_segment::MemorySegment;

use super::chain::{Chain, offset, sought};
use super::page_reader::PageReader;

/// Writes bytes to pages of an owner, and allocates the next page when the last one is full.
///
/// Nothing is ever copied to a larger block: what was written stays where it is. Read it again
/// through [`into_reader`](Self::into_reader), or take the pages out with
/// [`into_segments`](Self::into_segments). Dropping it gives all pages back.
///
/// A write begins at the position, and overwrites what is there. It may lie beyond the end, as with
/// [`std::io::Cursor`] over a vector: the bytes between are zeros once something is written there.
///
/// Flink: `org.apache.flink.runtime.memory.AbstractPagedOutputView`.
///
/// ```
/// use offheap::segments::PageWriter;
/// use std::io::{Read, Write};
///
/// let manager = offheap::MemoryManager::builder().capacity(1 << 20).build()?;
/// let owner = manager.owner("sort").register()?;
/// let mut writer = PageWriter::new(&owner);
/// for number in 0..10_000_u64 {
///     writer.write_all(&number.to_le_bytes())?;
/// }
/// assert_eq!((writer.len(), owner.used_bytes()), (80_000, 3 * (32 << 10)));
/// let (mut reader, mut number) = (writer.into_reader(), [0; 8]);
/// reader.read_exact(&mut number)?;
/// reader.read_exact(&mut number)?;
/// assert_eq!(u64::from_le_bytes(number), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`write`](Write::write) allocates as [`Owner::allocate_page`] does, and may wait as long for
/// each page. A refusal is an error of the kind that [`AllocationError`] becomes, mostly
/// [`OutOfMemory`](io::ErrorKind::OutOfMemory). Nothing is lost: what fits was written, which
/// [`len`](Self::len) tells, and after others gave memory back the rest can be. A write that begins
/// beyond the end gets all pages for the gap, or changes nothing.
pub struct PageWriter {
    owner: Owner,
    chain: Chain,
    position: u64,
    len: usize,
}

impl PageWriter {
    /// A writer without a page.
    #[must_use]
    pub fn new(owner: &Owner) -> Self {
        Self::with_segments(owner, Vec::new())
    }

    /// A writer that fills these segments, whatever they contain, before it allocates pages. They
    /// may be of any sizes and owners, and each goes back to its own in the end.
    #[must_use]
    pub fn with_segments(owner: &Owner, segments: Vec<MemorySegment>) -> Self {
        Self { owner: owner.for_what_it_holds(), chain: Chain::new(segments), position: 0, len: 0 }
    }

    /// The owner of the pages that it allocates.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The bytes from the first one to the last one that was written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes that it holds: those of all segments.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.chain.size()
    }

    /// A reader at the beginning of what was written.
    #[must_use]
    pub fn into_reader(self) -> PageReader {
        PageReader::over(self.chain, self.len)
    }

    /// The segments, in order. All but the last one that was written to are full:
    /// [`len`](Self::len) tells how many bytes there are.
    #[must_use]
    pub fn into_segments(self) -> Vec<MemorySegment> {
        self.chain.into_segments()
    }

    /// Makes room for a byte at `position`, with zeros from the end up to there.
    fn reach(&mut self, position: usize) -> Result<(), AllocationError> {
        if position >= self.chain.size() {
            // At least one, and more only after a seek beyond the end.
            match (position - self.chain.size()) / self.owner.page_size() {
                0 => self.chain.extend([self.owner.allocate_page()?]),
                gap => self.chain.extend(self.owner.allocate_pages(gap.saturating_add(1))?),
            }
        }
        while self.len < position {
            let gap = position - self.len;
            let rest = self.chain.rest_at_mut(self.len);
            let zeros = gap.min(rest.len());
            rest[..zeros].fill(0);
            self.len += zeros;
        }
        Ok(())
    }
}

impl Write for PageWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() {
            let position = offset(self.position);
            if let Err(refused) = self.reach(position) {
                return if written == 0 { Err(refused.into()) } else { Ok(written) };
            }
            let rest = self.chain.rest_at_mut(position);
            let part = rest.len().min(bytes.len() - written);
            rest[..part].copy_from_slice(&bytes[written..written + part]);
            written += part;
            self.position += part as u64;
            self.len = self.len.max(position + part);
        }
        Ok(written)
    }

    /// Does nothing: what is written is there.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// To any position, also beyond the end. One before the beginning is
/// [`InvalidInput`](io::ErrorKind::InvalidInput), and the position stays.
impl Seek for PageWriter {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.position = sought(target, self.position, self.len as u64)?;
        Ok(self.position)
    }
}

impl fmt::Debug for PageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageWriter")
            .field("owner", &self.owner.path())
            .field("position", &self.position)
            .field("len", &self.len)
            .field("held", &self.held_bytes())
            .finish()
    }
}
