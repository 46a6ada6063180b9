//! A limit on the size of files, met for real: beyond it a write would end the process by a signal.
//! It is a limit of the whole process, so this test has one to itself.
#![cfg(all(target_os = "linux", not(offheap_portable)))]
// A test stops at the first thing that is not as it says.
#![allow(clippy::unwrap_used, clippy::panic)]

use offheap_paging::{MemoryFileSystem, SlotWrite, SpillError, SpillFile};

const UNIT: usize = 4096;

/// Sets the size to which this process may make a file.
fn limit(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes a value of this type.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) }, 0);
    limit.rlim_cur = bytes;
    // SAFETY: the call reads a value of this type.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
}

#[test]
fn beyond_the_limit_is_an_error_and_no_signal() {
    let file = SpillFile::builder(std::env::temp_dir()).unit_bytes(UNIT);
    let file = file.memory_file_system(MemoryFileSystem::Allow).create().unwrap();
    let bytes = vec![7; 1024 * UNIT];

    // It grows in steps of 4 MiB, and within the limit by what is asked for.
    let whole = file.allocate(1024).unwrap();
    file.write(whole, &bytes).unwrap();
    let size = file.size_bytes();
    limit(size + 100 * UNIT as u64);
    let small = file.allocate(60).unwrap();
    let error = file.allocate(60).unwrap_err();
    let SpillError::FileSizeLimit { limit: told, end, .. } = error else { panic!("{error}") };
    assert_eq!((told, end), (size + 100 * UNIT as u64, size + 120 * UNIT as u64));
    assert!(error.is_full() && error.to_string().contains("RLIMIT_FSIZE"), "{error}");
    file.allocate_run(1, 40).unwrap();

    // The limit falls below what the file has.
    limit(size);
    let error = file.write(small, &bytes[..60 * UNIT]).unwrap_err();
    assert!(matches!(error, SpillError::FileSizeLimit { .. }), "{error}");
    let part = |first| offheap_paging::Slot { first, units: 1 };
    let mut writes: Vec<_> = [small.first + 9, small.first, 5, small.first + 1]
        .map(|first| SlotWrite::new(part(first), &bytes[..UNIT]))
        .into();
    file.write_many(&mut writes);
    let [far, first, inside, second] = &writes[..] else { panic!() };
    assert!(inside.result.is_ok());
    for write in [far, first, second] {
        assert!(matches!(write.result, Err(SpillError::FileSizeLimit { .. })), "{:?}", write.slot);
    }
    let mut read = vec![0; bytes.len()];
    file.read(whole, &mut read).unwrap();
    assert!(read == bytes);

    // It is raised again.
    limit(size * 4);
    file.write(small, &bytes[..60 * UNIT]).unwrap();
    file.allocate(200).unwrap();
}
