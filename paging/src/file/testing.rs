//! What the tests of the spill file share.

use std::sync::{Arc, Mutex};

use super::{
    Call, CallName, Fault, MemoryFileSystem, Read, Slot, SpillError, SpillFile, SpillFileBuilder,
    Write,
};

pub(super) const UNIT: usize = 4096;

/// Buffers that are aligned as pages are.
pub(super) struct Aligned(Vec<u8>, usize);

impl Aligned {
    pub(super) fn new(bytes: usize) -> Self {
        let room = vec![0; bytes + UNIT];
        let start = room.as_ptr().align_offset(UNIT);
        Self(room, start)
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let end = self.0.len() - UNIT;
        &mut self.0[self.1..][..end]
    }
}

/// A file of small units; where the tests run, the folder may be memory.
pub(super) fn builder() -> SpillFileBuilder {
    let builder = SpillFile::builder(std::env::temp_dir());
    builder.unit_bytes(UNIT).memory_file_system(MemoryFileSystem::Allow)
}

/// A file whose calls fail as `fault` says.
pub(super) fn failing(fault: impl Fn(Call) -> Option<Fault> + Send + Sync + 'static) -> SpillFile {
    builder().faults(Arc::new(fault)).create().unwrap()
}

/// Fills `bytes` as the content of `slot` in `version`: no two words of a file are alike.
pub(super) fn fill(slot: Slot, version: u32, bytes: &mut [u8]) {
    let mut name = [0; 12];
    for (part, number) in name.chunks_exact_mut(4).zip([slot.first, slot.units, version]) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    for (at, word) in (0_u32..).zip(bytes.chunks_exact_mut(16)) {
        word[..12].copy_from_slice(&name);
        word[12..].copy_from_slice(&at.to_le_bytes());
    }
}

pub(super) fn content(slot: Slot, version: u32) -> Aligned {
    let mut content = Aligned::new(slot.units as usize * UNIT);
    fill(slot, version, content.bytes());
    content
}

#[track_caller]
pub(super) fn assert_has(file: &SpillFile, slot: Slot, version: u32) {
    let mut read = Aligned::new(slot.units as usize * UNIT);
    file.read(slot, read.bytes()).unwrap();
    assert!(read.bytes() == content(slot, version).bytes(), "{slot:?} is not as it was written");
}

/// The first `times` calls of `name` fail so.
pub(super) fn first_calls(name: CallName, times: u32, fault: Fault) -> SpillFileBuilder {
    let left = Mutex::new(times);
    builder().faults(Arc::new(move |call: Call| {
        let mut left = left.lock().unwrap();
        if call.name != name || *left == 0 {
            return None;
        }
        *left -= 1;
        Some(fault)
    }))
}

/// Slots of `count` single units that are written, with gaps after every third.
pub(super) fn written(file: &SpillFile, count: u32) -> Vec<Slot> {
    let mut slots: Vec<_> = (0..count * 4 / 3 + 1).map(|_| file.allocate(1).unwrap()).collect();
    slots.retain(|slot| slot.first % 4 != 3);
    slots.truncate(count as usize);
    write_all(file, &slots, 1);
    slots
}

pub(super) fn write_all(file: &SpillFile, slots: &[Slot], version: u32) {
    let mut contents: Vec<_> = slots.iter().map(|slot| content(*slot, version)).collect();
    let writes = slots.iter().zip(&mut contents);
    let mut writes: Vec<_> =
        writes.map(|(slot, content)| Write::new(*slot, content.bytes())).collect();
    file.write_many(&mut writes);
    writes.into_iter().for_each(|write| write.result.unwrap());
}

/// Reads all slots at once, and returns the errors with the slots.
pub(super) fn read_all(file: &SpillFile, slots: &[Slot], version: u32) -> Vec<(Slot, SpillError)> {
    let mut buffers: Vec<_> =
        slots.iter().map(|slot| Aligned::new(slot.units as usize * UNIT)).collect();
    let reads = slots.iter().zip(&mut buffers);
    let mut reads: Vec<_> = reads.map(|(slot, buffer)| Read::new(*slot, buffer.bytes())).collect();
    file.read_many(&mut reads);
    let mut failed = Vec::new();
    for read in reads {
        match read.result {
            Ok(()) => assert!(read.bytes == content(read.slot, version).bytes(), "{:?}", read.slot),
            Err(error) => failed.push((read.slot, error)),
        }
    }
    failed
}
