//! Many reads or writes at once: sorted by their place in the file, neighbours by one call.

use std::io::{IoSlice, IoSliceMut};

use super::device::Device;
use super::runs::Slot;
use super::spill_error::SpillError;
use super::system::Run;

/// The most bytes that neighbours are read or written by one call.
const RUN_BYTES_MAX: usize = 1 << 20;
/// The most buffers of one call.
const RUN_BUFFERS_MAX: usize = 1024;

/// One of many reads.
#[derive(Debug)]
pub struct Read<'a> {
    /// What is read.
    pub slot: Slot,
    /// What it is read to: as many bytes as the slot has.
    pub bytes: &'a mut [u8],
    /// How it went. What was in `bytes` before is lost even if it failed.
    pub result: Result<(), SpillError>,
}

impl<'a> Read<'a> {
    /// A read that is to be done.
    #[must_use]
    pub fn new(slot: Slot, bytes: &'a mut [u8]) -> Self {
        Self { slot, bytes, result: Ok(()) }
    }
}

/// One of many writes.
#[derive(Debug)]
pub struct Write<'a> {
    /// Where it is written.
    pub slot: Slot,
    /// What is written: as many bytes as the slot has.
    pub bytes: &'a [u8],
    /// How it went.
    pub result: Result<(), SpillError>,
}

impl<'a> Write<'a> {
    /// A write that is to be done.
    #[must_use]
    pub fn new(slot: Slot, bytes: &'a [u8]) -> Self {
        Self { slot, bytes, result: Ok(()) }
    }
}

/// Reads all that have no error yet, and tells each how it went.
pub(super) fn read_many(device: &Device, unit_bytes: usize, reads: &mut [Read<'_>]) {
    let mut sorted: Vec<_> = reads.iter_mut().filter(|read| read.result.is_ok()).collect();
    sorted.sort_unstable_by_key(|read| read.slot.first);
    let lengths = run_lengths(sorted.iter().map(|read| (read.slot, read.bytes.len())));
    let mut next = sorted.iter_mut();
    let run = |length: &usize| {
        let run = next.by_ref().take(*length);
        let mut offset = None;
        let buffers = run.map(|read| {
            offset.get_or_insert(read.slot.offset(unit_bytes));
            IoSliceMut::new(read.bytes)
        });
        let buffers = buffers.collect();
        Run::new(offset.unwrap_or_default(), buffers)
    };
    let mut runs: Vec<_> = lengths.iter().map(run).collect();
    device.read_runs(&mut runs);
    let done: Vec<_> = runs.iter().map(|run| run.is_done).collect();
    let mut rest = sorted.into_iter();
    for (length, is_done) in lengths.into_iter().zip(done) {
        // One that cannot be read is to fail alone.
        for read in rest.by_ref().take(length).filter(|_| !is_done) {
            read.result = device.read(read.slot.offset(unit_bytes), read.bytes);
        }
    }
}

/// Does all writes that have no error yet, and tells each how it went.
pub(super) fn write_many(device: &Device, unit_bytes: usize, writes: &mut [Write<'_>]) {
    let mut sorted: Vec<_> = writes.iter_mut().filter(|write| write.result.is_ok()).collect();
    sorted.sort_unstable_by_key(|write| write.slot.first);
    let lengths = run_lengths(sorted.iter().map(|write| (write.slot, write.bytes.len())));
    let mut rest = &sorted[..];
    let mut runs = Vec::with_capacity(lengths.len());
    for length in &lengths {
        let (run, others) = rest.split_at(*length);
        rest = others;
        let offset = run.first().map_or(0, |first| first.slot.offset(unit_bytes));
        runs.push(Run::new(offset, run.iter().map(|write| IoSlice::new(write.bytes)).collect()));
    }
    device.write_runs(&mut runs);
    let mut rest = sorted.into_iter();
    for (length, run) in lengths.into_iter().zip(runs) {
        for write in rest.by_ref().take(length).filter(|_| !run.is_done) {
            write.result = device.write(write.slot.offset(unit_bytes), write.bytes);
        }
    }
}

/// How many of the slots, with their bytes, follow each other in the file and are not too much for
/// one call; and so on with the others.
fn run_lengths(slots: impl Iterator<Item = (Slot, usize)>) -> Vec<usize> {
    let mut lengths: Vec<usize> = Vec::new();
    let mut open: Option<(Slot, usize)> = None;
    for (slot, bytes) in slots {
        match (open, lengths.last_mut()) {
            (Some((last, before)), Some(length))
                if slot.first == last.end()
                    && before + bytes <= RUN_BYTES_MAX
                    && *length < RUN_BUFFERS_MAX =>
            {
                *length += 1;
                open = Some((slot, before + bytes));
            }
            _ => {
                lengths.push(1);
                open = Some((slot, bytes));
            }
        }
    }
    lengths
}
