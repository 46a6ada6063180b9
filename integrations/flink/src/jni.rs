//! What the JVM calls: numbers in, numbers out, and a batch of addresses in memory of the caller.
//!
//! The functions are the native methods of `offheap.flink.Native`. A JVM passes its environment and
//! the class first; neither is used. No panic leaves: it becomes the answer for "nothing was done".

use std::ffi::c_void;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;
use std::time::Duration;

use offheap::config::{HugePages, IdleMemory, Populate};

use crate::region::{Config, Region};

/// The region of this process.
static REGION: OnceLock<Region> = OnceLock::new();

/// The bits of the flags of `open`.
const HUGE_PAGES_NEVER: i32 = 1;
const HUGE_TLB: i32 = 2;
const COLOUR: i32 = 4;
const POPULATE: i32 = 8;

/// Opens the region of this process: `pages` pages of `page_bytes` bytes. Above `idle_above_bytes`
/// of free memory that may be resident, it is given back down to half of that every `idle_millis`
/// milliseconds; never if those are 0.
///
/// Returns the address of the region; or 0, after writing to `message`, as UTF-8 and at most
/// `message_bytes` bytes, why there is none, with a zero at its end.
///
/// # Safety
///
/// 1. `message` is the address of `message_bytes` bytes that nobody else accesses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn Java_offheap_flink_Native_open(
    _environment: *mut c_void,
    _class: *mut c_void,
    pages: i64,
    page_bytes: i64,
    flags: i32,
    idle_above_bytes: i64,
    idle_millis: i64,
    message: i64,
    message_bytes: i32,
) -> i64 {
    let opened = shielded(Err("a panic".to_owned()), || {
        let config = config(pages, page_bytes, flags, idle_above_bytes, idle_millis);
        open(config).map(|region| from_size(region.range().start))
    });
    match opened {
        Ok(base) => base,
        Err(text) => {
            // SAFETY: 1, 2, 3: by the caller's contract, 1; a byte has no invalid values.
            let target = unsafe { slice_at(message, message_bytes) };
            write_text(&text, target);
            0
        }
    }
}

/// Allocates up to `count` pages and writes their addresses to `addresses`; returns how many.
///
/// # Safety
///
/// 1. `addresses` is the address of `count` numbers of 64 bits, aligned as such, that nobody else
///    accesses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn Java_offheap_flink_Native_allocate(
    _environment: *mut c_void,
    _class: *mut c_void,
    addresses: i64,
    count: i32,
) -> i32 {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { batch(addresses, count, 0, Region::allocate) }
}

/// Gives `count` pages back; returns how many of the addresses were of no page that is out.
///
/// # Safety
///
/// 1. `addresses` is the address of `count` numbers of 64 bits, aligned as such, that nobody else
///    accesses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn Java_offheap_flink_Native_release(
    _environment: *mut c_void,
    _class: *mut c_void,
    addresses: i64,
    count: i32,
) -> i32 {
    // SAFETY: 1: by the caller's contract, 1.
    unsafe { batch(addresses, count, count, |region, pages| region.release(pages)) }
}

/// Gives free memory back to the system until at most `idle_bytes` of it may be resident; returns
/// how many bytes.
#[unsafe(no_mangle)]
pub extern "system" fn Java_offheap_flink_Native_trim(
    _environment: *mut c_void,
    _class: *mut c_void,
    idle_bytes: i64,
) -> i64 {
    with_region(0, |region| from_size(region.trim_to(size(idle_bytes))))
}

/// A number about the region: 0 its bytes, 1 the bytes of a frame, 2 the resident bytes, 3 the free
/// bytes that may be resident, 4 the bytes that were given back to the system. -1 if there is no
/// region or no such number.
#[unsafe(no_mangle)]
pub extern "system" fn Java_offheap_flink_Native_stat(
    _environment: *mut c_void,
    _class: *mut c_void,
    which: i32,
) -> i64 {
    with_region(-1, |region| stat(region, which))
}

fn stat(region: &Region, which: i32) -> i64 {
    match which {
        0 => from_size(region.range().len()),
        1 => from_size(region.frame_bytes()),
        2 => from_size(region.resident_bytes()),
        3 => from_size(region.stats().idle_bytes),
        4 => i64::try_from(region.stats().given_back_bytes).unwrap_or(i64::MAX),
        _ => -1,
    }
}

fn open(config: Config) -> Result<&'static Region, String> {
    if REGION.get().is_some() {
        return Err("the region of this process is open already".to_owned());
    }
    let region = Region::new(config).map_err(|error| error.to_string())?;
    REGION.set(region).map_err(|_| "two threads opened the region at the same time".to_owned())?;
    REGION.get().ok_or_else(|| "the region is not there".to_owned())
}

fn config(
    pages: i64,
    page_bytes: i64,
    flags: i32,
    idle_above_bytes: i64,
    idle_millis: i64,
) -> Config {
    let has = |flag: i32| flags & flag != 0;
    Config {
        pages: size(pages),
        page_bytes: size(page_bytes),
        colour: has(COLOUR),
        huge_pages: match () {
            () if has(HUGE_TLB) => HugePages::HugeTlb,
            () if has(HUGE_PAGES_NEVER) => HugePages::Never,
            () => HugePages::Transparent,
        },
        populate: if has(POPULATE) { Populate::Eager } else { Populate::Lazy },
        idle_memory: match idle_millis {
            ..=0 => IdleMemory::Keep,
            1.. => IdleMemory::ReturnInBackground {
                above_bytes: size(idle_above_bytes),
                down_to_bytes: size(idle_above_bytes) / 2,
                every: Duration::from_millis(idle_millis.unsigned_abs()),
            },
        },
    }
}

/// What `call` returns for the region, or `instead` if there is none or it panics.
fn with_region<T: Copy>(instead: T, call: impl FnOnce(&Region) -> T) -> T {
    shielded(instead, || REGION.get().map_or(instead, call))
}

/// Hands a batch of `count` addresses to `call`, which returns how many of them it means; `instead`
/// if there is no region or it panics.
///
/// # Safety
///
/// 1. `addresses` is the address of `count` numbers of 64 bits, aligned as such, that nobody else
///    accesses meanwhile.
unsafe fn batch(
    addresses: i64,
    count: i32,
    instead: i32,
    call: impl FnOnce(&Region, &mut [usize]) -> usize,
) -> i32 {
    // SAFETY: 1, 2, 3: by the caller's contract, 1; a number has no invalid values.
    let addresses = unsafe { slice_at(addresses, count) };
    with_region(instead, |region| to_count(call(region, addresses)))
}

/// What `call` returns, or `instead` if it panics.
fn shielded<T>(instead: T, call: impl FnOnce() -> T) -> T {
    // A region is whole at every moment at which its code could panic: its locks do not poison.
    panic::catch_unwind(AssertUnwindSafe(call)).unwrap_or(instead)
}

/// A Java number as a size; none is negative.
fn size(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn from_size(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A count of at most as many as a Java `int` asked for.
fn to_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// As much of `text` as fits, and a zero.
fn write_text(text: &str, target: &mut [u8]) {
    let Some(room) = target.len().checked_sub(1) else { return };
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    target[..end].copy_from_slice(&text.as_bytes()[..end]);
    target[end] = 0;
}

/// # Safety
///
/// 1. `address` is that of `length` values, aligned as such, if there are any.
/// 2. Nobody else accesses them as long as `'a`.
/// 3. Whatever bits they have is a `T`.
unsafe fn slice_at<'a, T>(address: i64, length: i32) -> &'a mut [T] {
    let length = size(i64::from(length));
    if address == 0 || length == 0 {
        return &mut [];
    }
    let start = std::ptr::with_exposed_provenance_mut(size(address));
    // SAFETY: by the caller's contract, 1, 2 and 3. Memory of the JVM's allocator is initialized as
    // far as Rust can tell: it comes from outside.
    unsafe { std::slice::from_raw_parts_mut(start, length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn what_is_opened_once_serves_batches_and_refuses_what_it_does_not_know() {
        let none = ptr::null_mut();
        let mut text = [1_u8; 200];
        let text_at = from_size(text.as_mut_ptr().expose_provenance());
        // SAFETY: 1: `text_at` is the address of `text`.
        let open = |page_bytes, length| unsafe {
            Java_offheap_flink_Native_open(none, none, 100, page_bytes, 0, 0, 0, text_at, length)
        };
        assert_eq!(open(1000, 200), 0);
        let end = text.iter().position(|byte| *byte == 0).unwrap();
        let why = str::from_utf8(&text[..end]).unwrap();
        assert!(why.starts_with("a page size of 1000 bytes"), "{why}");
        let base = open(32 << 10, 200);
        assert!(base > 0);
        assert_eq!(open(32 << 10, 10), 0);
        assert_eq!(&text[..10], b"the regio\0");

        let mut addresses = [0_usize; 128];
        let at = from_size(addresses.as_mut_ptr().expose_provenance());
        // SAFETY: 1: `at` is the address of `addresses`, which has at least as many numbers.
        let allocate = |count| unsafe { Java_offheap_flink_Native_allocate(none, none, at, count) };
        // SAFETY: 1: as above.
        let release = |count| unsafe { Java_offheap_flink_Native_release(none, none, at, count) };
        assert_eq!(allocate(-1), 0);
        assert_eq!(allocate(128), 100);
        assert_eq!(allocate(128), 0);
        assert_eq!(release(128), 28);
        assert_eq!(release(100), 100);
        let stat = |which| Java_offheap_flink_Native_stat(none, none, which);
        assert_eq!([stat(0), stat(1), stat(9)], [100 << 15, 32 << 10, -1]);
        assert!(Java_offheap_flink_Native_trim(none, none, 0) >= 0);
        assert!(stat(3) == 0 && stat(4) >= 0);
    }

    #[test]
    fn a_panic_becomes_the_answer_that_nothing_was_done() {
        assert_eq!(shielded(7, || panic!("on purpose")), 7);
        assert_eq!(shielded(7, || 8), 8);
    }

    #[test]
    fn a_text_that_does_not_fit_ends_between_two_characters() {
        let mut target = [1; 5];
        write_text("aaaö", &mut target);
        assert_eq!(&target, b"aaa\0\x01");
        write_text("", &mut []);
    }
}
