//! Tests of the spill file: slots are apart, what is written comes back, limits are kept.

use std::fs;
use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::file::seal::seal;
use crate::file::spill_error::SpillAction;
use crate::file::testing::{Aligned, UNIT, assert_has, builder, content};

const MIB: u64 = 1 << 20;

#[test]
fn what_was_written_is_read() {
    let file = builder().create().unwrap();
    let slots = [3, 1, 40].map(|units| file.allocate(units).unwrap());
    for slot in slots {
        file.write(slot, content(slot, 1).bytes()).unwrap();
    }
    for slot in slots {
        assert_has(&file, slot, 1);
    }
    assert_eq!(file.used_bytes(), 44 * UNIT as u64);
    file.free(Slot { first: slots[2].first + 10, units: 20 });
    assert_eq!(file.used_bytes(), 24 * UNIT as u64);
    assert_has(&file, slots[0], 1);
    assert_eq!(file.allocate(20).unwrap().first, slots[2].first + 10);
}

#[test]
fn a_file_has_no_name_and_is_for_its_process_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = SpillFile::builder(dir.path());
    let file = file.memory_file_system(MemoryFileSystem::Allow).create().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::PermissionsExt;

        let inner = file.device.file();
        assert_eq!(inner.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", inner.as_raw_fd())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{flags:o}");
        assert_eq!(flags & libc::O_DIRECT != 0, file.is_direct());
    }
    assert!(format!("{file:?}").contains("used_bytes: 0"));
}

#[test]
fn a_folder_that_can_have_no_file_is_told() {
    let error = SpillFile::builder("/not/there").create().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("cannot create a spill file in /not/there: "), "{text}");
    assert!(!error.is_full());
    let SpillError::Io { action: SpillAction::Create, source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);

    let occupied = tempfile::NamedTempFile::new().unwrap();
    let error = SpillFile::builder(occupied.path()).create().unwrap_err();
    assert!(error.to_string().contains(&occupied.path().display().to_string()), "{error}");
}

#[test]
fn a_folder_that_may_not_be_written_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut permissions = fs::metadata(dir.path()).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(dir.path(), permissions).unwrap();
    // The superuser may write everywhere but where nobody can.
    let dirs = if fs::write(dir.path().join("probe"), "").is_ok() {
        vec!["/proc".into(), "/sys".into()]
    } else {
        vec![dir.path().to_path_buf()]
    };
    for dir in dirs {
        let error = SpillFile::builder(&dir).create().unwrap_err();
        let is_io = matches!(error, SpillError::Io { action: SpillAction::Create, .. });
        assert!(is_io && error.to_string().contains(&*dir.to_string_lossy()), "{error}");
    }
}

#[test]
fn a_size_of_a_unit_that_is_none_is_told() {
    for unit_bytes in [0, 1, 256, 511, 513, 4097, 3 << 12] {
        let error = builder().unit_bytes(unit_bytes).create().unwrap_err();
        let text = format!("a unit of {unit_bytes} bytes is not a power of two");
        assert!(error.to_string().starts_with(&text), "{error}");
    }
    assert!(!builder().unit_bytes(512).create().unwrap().is_direct());
}

/// `tmpfs`, where it is what it usually is.
#[cfg(all(target_os = "linux", not(offheap_portable)))]
#[test]
fn a_folder_in_memory_is_refused_unless_it_is_allowed() {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    if !mounts.lines().any(|line| line.contains(" /dev/shm tmpfs rw")) {
        return println!("/dev/shm is no tmpfs here");
    }
    let builder = SpillFile::builder("/dev/shm").unit_bytes(UNIT);
    let error = builder.clone().create().unwrap_err();
    assert!(error.to_string().starts_with("/dev/shm lies in memory"), "{error}");
    let file = builder.memory_file_system(MemoryFileSystem::Allow).create().unwrap();
    let slot = file.allocate(2).unwrap();
    file.write(slot, content(slot, 1).bytes()).unwrap();
    assert_has(&file, slot, 1);
}

#[test]
fn a_file_does_not_grow_beyond_its_limit() {
    let file = builder().bytes_max(100 * UNIT as u64 + 7).create().unwrap();
    let slots: Vec<_> = (0..10).map(|_| file.allocate(10).unwrap()).collect();
    let error = file.allocate(1).unwrap_err();
    assert!(error.is_full());
    let SpillError::SizeLimit { size: 409_600, bytes_max: 409_607, needed: 4096, .. } = error
    else {
        panic!("{error}")
    };
    for slot in &slots {
        file.write(*slot, content(*slot, 1).bytes()).unwrap();
    }
    assert_eq!(file.device.file().metadata().unwrap().len(), 409_600);
    file.free(slots[4]);
    // Free, but not in a row.
    let error = file.allocate(11).unwrap_err();
    assert!(error.to_string().contains("no 45056 bytes free in a row"), "{error}");
    assert_eq!(file.allocate_run(1, 11).unwrap(), slots[4]);
    assert!(file.allocate_run(1, 11).is_err());
}

#[cfg(all(target_os = "linux", not(offheap_portable)))]
#[test]
fn more_than_the_disk_has_is_refused_before_it_is_tried() {
    let file = builder().unit_bytes(64 << 20).create().unwrap();
    let error = file.allocate(1 << 20).unwrap_err();
    let SpillError::NoSpace { needed, available, .. } = error else { panic!("{error}") };
    assert_eq!(needed, 64 << 40);
    assert!(available < needed && error.is_full());
    assert_eq!((file.size_bytes(), file.used_bytes()), (0, 0));
    file.allocate(1).unwrap();
}

#[test]
fn what_was_not_allocated_is_not_written_or_read() {
    let file = builder().create().unwrap();
    let slot = file.allocate(2).unwrap();
    let mut bytes = Aligned::new(2 * UNIT);
    let end = u32::try_from(file.size_bytes() / UNIT as u64).unwrap();
    for first in [slot.first + 1, end - 2, end, u32::MAX, u32::MAX - 1] {
        let slot = Slot { first, units: 2 };
        assert!(matches!(file.write(slot, bytes.bytes()), Err(SpillError::Slot { .. })));
        assert!(matches!(file.read(slot, bytes.bytes()), Err(SpillError::Slot { .. })));
    }
    let error = file.write(slot, &bytes.bytes()[1..]).unwrap_err();
    assert!(error.to_string().starts_with("8191 bytes do not fit the slot of 2 units"), "{error}");
    assert!(matches!(file.read(slot, &mut []), Err(SpillError::Slot { .. })));
}

#[test]
#[should_panic(expected = "2 units from unit 1 on are not allocated")]
fn what_is_free_is_not_freed() {
    let file = builder().create().unwrap();
    file.allocate(2).unwrap();
    file.free(Slot { first: 1, units: 2 });
}

#[test]
fn room_goes_back_to_the_disk_while_much_is_free() {
    let file = builder().create().unwrap();
    let slots: Vec<_> = (0..200).map(|_| file.allocate(256).unwrap()).collect();
    let before = file.disk_bytes();
    assert!(before >= 200 * MIB);
    for slot in &slots[10..] {
        file.free(*slot);
    }
    assert_eq!(file.used_bytes(), 10 * MIB);
    if !file.device.can_punch() {
        return println!("no holes can be punched here");
    }
    assert!(file.disk_bytes() <= (10 + 65) * MIB, "{} bytes", file.disk_bytes());
    assert_eq!(file.size_bytes(), before);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;

        let blocks = file.device.file().metadata().unwrap().blocks() * 512;
        assert!(blocks <= file.disk_bytes() + MIB, "{blocks} bytes on the disk");
    }
    // Holes are filled before the file grows.
    let again: Vec<_> = (0..190).map(|_| file.allocate(256).unwrap()).collect();
    assert_eq!((file.size_bytes(), file.used_bytes()), (before, 200 * MIB));
    let last = again[189];
    file.write(last, content(last, 2).bytes()).unwrap();
    assert_has(&file, last, 2);
}

#[test]
fn damage_in_the_file_shows_in_the_seal() {
    let file = builder().create().unwrap();
    let slot = file.allocate(1).unwrap();
    let mut page = content(slot, 1);
    let right = seal(page.bytes(), 7, 1);
    file.write(slot, page.bytes()).unwrap();
    let mut read = Aligned::new(UNIT);
    file.read(slot, read.bytes()).unwrap();
    assert_eq!(seal(read.bytes(), 7, 1), right);
    for at in (0..UNIT).step_by(97) {
        page.bytes()[at] ^= 1 << (at % 8);
        file.write(slot, page.bytes()).unwrap();
        file.read(slot, read.bytes()).unwrap();
        assert_ne!(seal(read.bytes(), 7, 1), right, "byte {at}");
        page.bytes()[at] ^= 1 << (at % 8);
    }
}

#[test]
fn threads_have_slots_apart() {
    const THREADS: u32 = 4;
    let file = builder().bytes_max(16 * MIB).create().unwrap();
    let barrier = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (file, barrier) = (&file, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let mut held = Vec::new();
                for turn in 0..200 {
                    let slot = file.allocate_run(1, 1 + turn % 9).unwrap();
                    let version = thread << 16 | turn;
                    file.write(slot, content(slot, version).bytes()).unwrap();
                    held.push((slot, version));
                    if turn % 3 > 0 {
                        let (slot, version) = held.swap_remove(turn as usize % held.len());
                        assert_has(file, slot, version);
                        file.free(slot);
                    }
                }
                for (slot, version) in held {
                    assert_has(file, slot, version);
                    file.free(slot);
                }
            });
        }
    });
    assert_eq!(file.used_bytes(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn slots_are_apart(steps in prop::collection::vec((1..9_u32, 0..4), 1..60)) {
        let file = builder().bytes_max(64 * UNIT as u64).create().unwrap();
        let mut held: Vec<Slot> = Vec::new();
        for (units, step) in steps {
            let slot = match step {
                0 if !held.is_empty() => {
                    file.free(held.swap_remove(units as usize % held.len()));
                    continue;
                }
                1 => file.allocate_run(units / 2, units),
                _ => file.allocate(units),
            };
            let used: u32 = held.iter().map(|slot| slot.units).sum();
            match slot {
                Ok(slot) => {
                    let least = if step == 1 { (units / 2).max(1) } else { units };
                    assert!((least..=units).contains(&slot.units) && slot.end() <= 64);
                    let is_apart = |it: &Slot| it.end() <= slot.first || slot.end() <= it.first;
                    assert!(held.iter().all(is_apart));
                    held.push(slot);
                }
                Err(error) => assert!(error.is_full() && used + units > 32, "{error}"),
            }
            let used: u32 = held.iter().map(|slot| slot.units).sum();
            assert_eq!(file.used_bytes(), u64::from(used) * UNIT as u64);
        }
    }
}
