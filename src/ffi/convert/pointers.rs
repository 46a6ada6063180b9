//! What C passes as pointers: handles, places for results, texts, arrays.

use std::ffi::{CStr, c_char};
use std::mem::offset_of;
use std::ptr::{self, NonNull};

use crate::ledger::handles::Handle;

use super::failure::Failure;
use super::records::Record;

/// The handle that C has as a pointer.
#[inline]
pub(crate) fn handle<T>(pointer: *mut T) -> Handle {
    Handle::from_bits(pointer.addr() as u64)
}

/// The pointer that C gets for a handle. It points nowhere.
#[inline]
pub(crate) fn pointer<T>(handle: Handle) -> *mut T {
    // A handle has as many bits as an address.
    ptr::without_provenance_mut(usize::try_from(handle.into_bits()).unwrap_or(0))
}

/// Where one result goes.
///
/// # Invariants
///
/// - It may be written to while the value exists.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    ///
    /// 1. `to` is NULL, or a `T` may be written to it until the value is gone.
    #[inline]
    pub(crate) unsafe fn new(to: *mut T, name: &'static str) -> Result<Self, Failure> {
        // INVARIANT: by the caller's contract, 1.
        NonNull::new(to).map(Self).ok_or_else(|| Failure::null(name))
    }

    #[inline]
    pub(crate) fn write(self, value: T) {
        // SAFETY: by the type invariant.
        unsafe { self.0.write(value) };
    }
}

/// Where several results go.
///
/// # Invariants
///
/// - `capacity` values may be written from `to` on while the value exists.
pub(crate) struct OutArray<T> {
    to: NonNull<T>,
    capacity: usize,
}

impl<T> OutArray<T> {
    /// # Safety
    ///
    /// 1. `to` is NULL, or `capacity` values may be written from it on until the value is gone.
    pub(crate) unsafe fn new(
        to: *mut T,
        capacity: usize,
        name: &'static str,
    ) -> Result<Self, Failure> {
        match NonNull::new(to) {
            // INVARIANT: by the caller's contract, 1.
            Some(to) => Ok(Self { to, capacity }),
            // INVARIANT: nothing may be written.
            None if capacity == 0 => Ok(Self { to: NonNull::dangling(), capacity: 0 }),
            None => Err(Failure::null(name)),
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes as many values as there is room for.
    pub(crate) fn write(self, values: impl IntoIterator<Item = T>) {
        for (index, value) in values.into_iter().take(self.capacity).enumerate() {
            // SAFETY: `index` is below the capacity, so by the type invariant it is within what
            // may be written.
            let to = unsafe { self.to.add(index) };
            // SAFETY: as above.
            unsafe { to.write(value) };
        }
    }
}

/// Where a record goes that has grown, or will, from one version to the next.
///
/// # Invariants
///
/// - `size` bytes may be written from `to` on while the value exists.
pub(crate) struct OutRecord<T> {
    to: NonNull<T>,
    size: usize,
}

impl<T: Record> OutRecord<T> {
    /// # Safety
    ///
    /// 1. `to` is NULL, or begins with a `size_t` that can be read.
    /// 2. As many bytes as that says may be written from `to` on until the value is gone.
    pub(crate) unsafe fn new(to: *mut T, name: &'static str) -> Result<Self, Failure> {
        let to = NonNull::new(to).ok_or_else(|| Failure::null(name))?;
        // SAFETY: by the caller's contract, 1.
        let size = unsafe { to.cast::<usize>().read() };
        if size < T::FIRST_SIZE {
            let least = T::FIRST_SIZE;
            let rule = format!("`{name}` has a size of {size} bytes, and takes {least} at least");
            return Err(Failure::invalid(rule));
        }
        // INVARIANT: by the caller's contract, 2.
        Ok(Self { to, size })
    }

    /// Writes what there is room for, and how much that is.
    pub(crate) fn write(self, mut record: T) {
        let size = self.size.min(size_of::<T>());
        *record.size_mut() = size;
        let (from, to) = (ptr::from_ref(&record).cast::<u8>(), self.to.cast::<u8>().as_ptr());
        // SAFETY: `size` is not above what may be written, by the type invariant, nor above the
        // size of the record, which is our own.
        unsafe { ptr::copy_nonoverlapping(from, to, size) };
    }
}

/// Checks at compile time that a record begins with its size.
pub(crate) const fn begins_with_size<T: Record>(offset: usize) {
    assert!(offset == 0 && T::FIRST_SIZE <= size_of::<T>());
}
const _: () = begins_with_size::<super::records::ManagerStats>(offset_of!(
    super::records::ManagerStats,
    size
));
const _: () =
    begins_with_size::<super::records::OwnerStats>(offset_of!(super::records::OwnerStats, size));
const _: () =
    begins_with_size::<super::records::RefusalInfo>(offset_of!(super::records::RefusalInfo, size));

const _: () = begins_with_size::<super::records::OwnerOptions>(offset_of!(
    super::records::OwnerOptions,
    size
));

/// No record is larger, nor will be: a size beyond it was never set.
const RECORD_BYTES_MAX: usize = 4096;

/// A record of the caller. What an earlier version does not have is zero; what a later one has more
/// must be zero.
///
/// # Safety
///
/// 1. `from` is NULL, or begins with a `size_t` that can be read.
/// 2. As many bytes as that says can be read from `from` on.
pub(crate) unsafe fn record<T: Record + Default>(
    from: *const T,
    name: &'static str,
) -> Result<T, Failure> {
    if from.is_null() {
        return Err(Failure::null(name));
    }
    // SAFETY: it is not NULL, so by the caller's contract, 1.
    let size = unsafe { from.cast::<usize>().read() };
    let (least, known) = (T::FIRST_SIZE, size_of::<T>());
    if !(least..=RECORD_BYTES_MAX).contains(&size) {
        let rule = format!("from {least} to {RECORD_BYTES_MAX}");
        return Err(Failure::invalid(format!("`{name}` has a size of {size} bytes, not {rule}")));
    }
    // SAFETY: by the caller's contract, 2, so many bytes can be read.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), size) };
    if let Some(at) = (known..size).find(|at| bytes[*at] != 0) {
        let rule = format!("`{name}` has something at byte {at}, and only {known} are known");
        return Err(Failure::invalid(rule));
    }
    let mut record = T::default();
    let to = ptr::from_mut(&mut record).cast::<u8>();
    // SAFETY: no more than `bytes` has, nor than the record, which is our own and made of numbers.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, size.min(known)) };
    Ok(record)
}

/// A text of the caller. What is not UTF-8 in it is replaced.
///
/// # Safety
///
/// 1. `text` is NULL or a C string.
pub(crate) unsafe fn text(text: *const c_char, name: &'static str) -> Result<String, Failure> {
    if text.is_null() {
        return Err(Failure::null(name));
    }
    // SAFETY: it is not NULL, so by the caller's contract, 1, a C string.
    let text = unsafe { CStr::from_ptr(text) };
    Ok(text.to_string_lossy().into_owned())
}

/// The handles in an array of the caller.
///
/// # Safety
///
/// 1. `from` is NULL, or `count` pointers can be read from it on while the slice is in use.
pub(crate) unsafe fn array<'a, T>(
    from: *const *mut T,
    count: usize,
    name: &'static str,
) -> Result<&'a [*mut T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if from.is_null() {
        return Err(Failure::null(name));
    }
    // SAFETY: it is not NULL, so by the caller's contract, 1.
    Ok(unsafe { std::slice::from_raw_parts(from, count) })
}

/// Writes a text with its terminator to where there is room for `capacity` bytes: as much of it as
/// fits, in whole characters.
///
/// # Safety
///
/// 1. `capacity` bytes may be written from `to` on, or it is NULL and `capacity` is 0.
pub(crate) unsafe fn write_text(
    to: *mut c_char,
    capacity: usize,
    text: &str,
) -> Result<(), Failure> {
    // SAFETY: 1: by the caller's contract, 1.
    let out = unsafe { OutArray::new(to, capacity, "buffer") }?;
    if capacity > 0 {
        let fits = (0..capacity.min(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at));
        let fitting = &text.as_bytes()[..fits.unwrap_or(0)];
        out.write(fitting.iter().chain(&[0]).map(|byte| byte.cast_signed() as c_char));
    }
    Ok(())
}
