//! Pages and blocks in the hands of a caller.

use std::cmp::Ordering;
use std::fmt;
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::base::error::OutOfBounds;
use crate::memory::block::Block;

use crate::owners::node::charge::{Charge, OwnerPointer};
use crate::owners::node::page_cache;
#[cfg(feature = "track-allocations")]
use crate::owners::node::sites;
use crate::owners::owner::OwnerShared;
use crate::owners::segment::bounds;

/// A page or a block that is held by a caller.
///
/// Goes back to where it came from when dropped, on whatever thread. Dereferences to its bytes;
/// typed access at any byte offset, aligned or not, is checked and returns [`OutOfBounds`] where
/// it does not fit.
///
/// What a fresh segment contains is up to the [`ZeroPolicy`](crate::config::ZeroPolicy); it is never
/// uninitialized.
///
/// The counterpart of Flink's `org.apache.flink.core.memory.MemorySegment`. Use after free, and
/// freeing twice, do not compile:
///
/// ```compile_fail,E0382
/// # let pages = offheap::views::FixedSizeManager::new(1 << 20, 4096).unwrap();
/// let page = pages.allocate_page().unwrap();
/// pages.release(page);
/// pages.release(page); // moved already
/// ```
///
/// ```compile_fail,E0505
/// # let pages = offheap::views::FixedSizeManager::new(1 << 20, 4096).unwrap();
/// let page = pages.allocate_page().unwrap();
/// let bytes = page.slice(0, 8).unwrap();
/// pages.release(page);
/// println!("{bytes:?}"); // still borrowed
/// ```
///
/// # Invariants
///
/// - The account of `owner` holds the size of `block` for this value, and `block` is of the arena
///   of that owner.
#[must_use = "a dropped segment goes back at once"]
pub struct MemorySegment {
    block: Block,
    owner: OwnerPointer,
}

const _: () = assert!(size_of::<MemorySegment>() == 24);
const _: () = assert!(size_of::<Option<MemorySegment>>() == 24);

/// Declares the accessors of one number type, little and big endian.
macro_rules! numbers {
    ($($type:ident: $get_le:ident $put_le:ident $get_be:ident $put_be:ident),+ $(,)?) => {
        $(
            #[doc = concat!("The little-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $get_le(&self, offset: usize) -> Result<$type, OutOfBounds> {
                bounds::get(self, offset).map($type::from_le_bytes)
            }

            #[doc = concat!("Sets the little-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $put_le(&mut self, offset: usize, value: $type) -> Result<(), OutOfBounds> {
                bounds::put(self, offset, value.to_le_bytes())
            }

            #[doc = concat!("The big-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $get_be(&self, offset: usize) -> Result<$type, OutOfBounds> {
                bounds::get(self, offset).map($type::from_be_bytes)
            }

            #[doc = concat!("Sets the big-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $put_be(&mut self, offset: usize, value: $type) -> Result<(), OutOfBounds> {
                bounds::put(self, offset, value.to_be_bytes())
            }
        )+
    };
}

/// Typed access. Floating-point numbers keep every bit.
impl MemorySegment {
    numbers! {
        u16: get_u16_le put_u16_le get_u16_be put_u16_be,
        i16: get_i16_le put_i16_le get_i16_be put_i16_be,
        u32: get_u32_le put_u32_le get_u32_be put_u32_be,
        i32: get_i32_le put_i32_le get_i32_be put_i32_be,
        u64: get_u64_le put_u64_le get_u64_be put_u64_be,
        i64: get_i64_le put_i64_le get_i64_be put_i64_be,
        f32: get_f32_le put_f32_le get_f32_be put_f32_be,
        f64: get_f64_le put_f64_le get_f64_be put_f64_be,
    }

    /// The byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn get_u8(&self, offset: usize) -> Result<u8, OutOfBounds> {
        bounds::get(self, offset).map(u8::from_ne_bytes)
    }

    /// Sets the byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn put_u8(&mut self, offset: usize, value: u8) -> Result<(), OutOfBounds> {
        bounds::put(self, offset, value.to_ne_bytes())
    }

    /// The signed byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn get_i8(&self, offset: usize) -> Result<i8, OutOfBounds> {
        bounds::get(self, offset).map(i8::from_ne_bytes)
    }

    /// Sets the signed byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn put_i8(&mut self, offset: usize, value: i8) -> Result<(), OutOfBounds> {
        bounds::put(self, offset, value.to_ne_bytes())
    }

    /// The boolean at `offset`: whether the byte is not zero.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn get_bool(&self, offset: usize) -> Result<bool, OutOfBounds> {
        self.get_u8(offset).map(|byte| byte != 0)
    }

    /// Sets the boolean at `offset`, as a byte of 0 or 1.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn put_bool(&mut self, offset: usize, value: bool) -> Result<(), OutOfBounds> {
        self.put_u8(offset, u8::from(value))
    }
}

/// Bytes in bulk.
impl MemorySegment {
    /// The number of bytes.
    #[inline]
    #[must_use]
    pub fn size(&self) -> usize {
        self.block.size()
    }

    /// The owner that it was allocated for.
    #[cfg(feature = "track-allocations")]
    pub(crate) fn owner(&self) -> &crate::owners::owner::OwnerShared {
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        unsafe { self.owner.get() }
    }

    /// The path of the owner that it was allocated for: its name, after those of the owners above.
    #[must_use]
    pub fn owner_name(&self) -> &str {
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        unsafe { self.owner.get() }.path()
    }

    /// `length` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// If they do not lie within the segment.
    pub fn slice(&self, offset: usize, length: usize) -> Result<&[u8], OutOfBounds> {
        bounds::slice(self, offset, length)
    }

    /// `length` bytes from `offset` on, to write.
    ///
    /// # Errors
    ///
    /// If they do not lie within the segment.
    pub fn slice_mut(&mut self, offset: usize, length: usize) -> Result<&mut [u8], OutOfBounds> {
        bounds::slice_mut(self, offset, length)
    }

    /// Fills `target` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// If there are fewer; `target` is then as before.
    pub fn get_bytes(&self, offset: usize, target: &mut [u8]) -> Result<(), OutOfBounds> {
        target.copy_from_slice(self.slice(offset, target.len())?);
        Ok(())
    }

    /// Writes `source` from `offset` on.
    ///
    /// # Errors
    ///
    /// If it does not fit; the segment is then as before.
    pub fn put_bytes(&mut self, offset: usize, source: &[u8]) -> Result<(), OutOfBounds> {
        self.slice_mut(offset, source.len())?.copy_from_slice(source);
        Ok(())
    }

    /// Copies `length` bytes from `offset` on to `target`, from `target_offset` on.
    ///
    /// # Errors
    ///
    /// If they do not lie within both; nothing is copied then.
    pub fn copy_to(
        &self,
        offset: usize,
        target: &mut Self,
        target_offset: usize,
        length: usize,
    ) -> Result<(), OutOfBounds> {
        let source = self.slice(offset, length)?;
        target.put_bytes(target_offset, source)
    }

    /// Compares `length` bytes from `offset` on with as many of `other`, from `other_offset` on,
    /// byte by byte as unsigned numbers.
    ///
    /// # Errors
    ///
    /// If they do not lie within both.
    pub fn compare(
        &self,
        offset: usize,
        other: &Self,
        other_offset: usize,
        length: usize,
    ) -> Result<Ordering, OutOfBounds> {
        self.compare_lengths(offset, length, other, other_offset, length)
    }

    /// Like [`compare`](Self::compare) with a length for each side: where the shorter one is a
    /// prefix of the longer one, it comes first.
    ///
    /// # Errors
    ///
    /// If they do not lie within both.
    pub fn compare_lengths(
        &self,
        offset: usize,
        length: usize,
        other: &Self,
        other_offset: usize,
        other_length: usize,
    ) -> Result<Ordering, OutOfBounds> {
        Ok(self.slice(offset, length)?.cmp(other.slice(other_offset, other_length)?))
    }

    /// Whether `length` bytes from `offset` on equal those of `other` from `other_offset` on.
    ///
    /// # Errors
    ///
    /// If they do not lie within both.
    pub fn equal_to(
        &self,
        offset: usize,
        other: &Self,
        other_offset: usize,
        length: usize,
    ) -> Result<bool, OutOfBounds> {
        Ok(self.slice(offset, length)? == other.slice(other_offset, length)?)
    }

    /// Exchanges `length` bytes from `offset` on with those of `other` from `other_offset` on.
    ///
    /// # Errors
    ///
    /// If they do not lie within both; nothing is exchanged then.
    pub fn swap_bytes(
        &mut self,
        offset: usize,
        other: &mut Self,
        other_offset: usize,
        length: usize,
    ) -> Result<(), OutOfBounds> {
        let mine = self.slice_mut(offset, length)?;
        mine.swap_with_slice(other.slice_mut(other_offset, length)?);
        Ok(())
    }

    /// Reads exactly `length` bytes from `source` and writes them from `offset` on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if they do not fit; whatever `source` fails with,
    /// [`io::ErrorKind::UnexpectedEof`] if it ends early. Some of the bytes may then be written.
    pub fn read_from(
        &mut self,
        source: &mut impl Read,
        offset: usize,
        length: usize,
    ) -> io::Result<()> {
        source.read_exact(self.slice_mut(offset, length)?)
    }

    /// Writes `length` bytes from `offset` on to `target`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if they do not lie within the segment; whatever `target`
    /// fails with.
    pub fn write_to(
        &self,
        target: &mut impl Write,
        offset: usize,
        length: usize,
    ) -> io::Result<()> {
        target.write_all(self.slice(offset, length)?)
    }
}

impl MemorySegment {
    #[inline]
    #[cfg_attr(feature = "track-allocations", track_caller)]
    pub(crate) fn new(block: Block, charge: Charge) -> Self {
        debug_assert_eq!(block.size() as u64, charge.bytes());
        #[cfg(feature = "track-allocations")]
        sites::add_segment(&block, &charge);
        // INVARIANT: the callers took `block` from the arena of the owner that they charged with
        // its size.
        Self { block, owner: charge.into_owner() }
    }

    /// Whether it was allocated for this owner.
    #[inline]
    pub(crate) fn is_of(&self, owner: &Arc<OwnerShared>) -> bool {
        self.owner.is_of(owner)
    }

    #[inline]
    pub(crate) fn into_parts(self) -> (Block, Charge) {
        ManuallyDrop::new(self).take_parts()
    }

    /// Takes the parts out of a segment that is not used afterwards.
    #[inline]
    fn take_parts(&mut self) -> (Block, Charge) {
        #[cfg(feature = "track-allocations")]
        // SAFETY: 1: by the type invariant, as long as `self` lives.
        sites::remove_segment(unsafe { self.owner.get() }, &self.block);
        let block = self.block.take();
        // SAFETY: 1: by the type invariant, and the callers do not use `self` again.
        let charge = unsafe { Charge::of_segment(self.owner, block.size()) };
        (block, charge)
    }

    /// The address of the first byte, for the bump arena.
    pub(crate) fn base(&self) -> std::ptr::NonNull<u8> {
        self.block.base()
    }
}

impl Drop for MemorySegment {
    #[inline]
    fn drop(&mut self) {
        let (block, charge) = self.take_parts();
        page_cache::release(block, charge);
    }
}

/// One segment a block; `charge` is for all of them.
#[cfg_attr(feature = "track-allocations", track_caller)]
pub(crate) fn split(blocks: Vec<Block>, mut charge: Charge) -> Vec<MemorySegment> {
    let mut segments = Vec::with_capacity(blocks.len());
    let mut blocks = blocks.into_iter();
    let last = blocks.next_back();
    for block in blocks {
        let share = charge.split_off(block.size() as u64);
        segments.push(MemorySegment::new(block, share));
    }
    match last {
        Some(block) => segments.push(MemorySegment::new(block, charge)),
        None => charge.release(),
    }
    segments
}

/// Gives segments back: runs of the same owner together.
pub(crate) fn release_all(segments: impl IntoIterator<Item = MemorySegment>) {
    let mut gathered = Gathered { blocks: Vec::new(), charge: None };
    segments.into_iter().for_each(|segment| gathered.add(segment));
}

/// Blocks of one owner on their way back, also if whoever hands them out panics midway.
struct Gathered {
    blocks: Vec<Block>,
    /// For all of the blocks.
    charge: Option<Charge>,
}

impl Gathered {
    fn add(&mut self, segment: MemorySegment) {
        let (block, charge) = segment.into_parts();
        match &mut self.charge {
            Some(gathered) if gathered.same_owner(&charge) => gathered.merge(charge),
            _ => {
                self.release();
                self.charge = Some(charge);
            }
        }
        self.blocks.push(block);
    }

    fn release(&mut self) {
        if let Some(charge) = self.charge.take() {
            charge.owner().take_back(self.blocks.drain(..));
            charge.release();
        }
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        self.release();
    }
}

impl Deref for MemorySegment {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.block.bytes()
    }
}

impl DerefMut for MemorySegment {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        self.block.bytes_mut()
    }
}

impl AsRef<[u8]> for MemorySegment {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for MemorySegment {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for MemorySegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySegment")
            .field("size", &self.size())
            .field("owner", &self.owner_name())
            .finish_non_exhaustive()
    }
}
