//! Tests of the spill file with system calls that fail, or move less than they were to.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use super::testing::{
    Aligned, UNIT, assert_has, builder, content, failing, fill, first_calls, read_all, written,
};
use super::{CallName, Fault, SpillAction, SpillError};

const NAMES: [CallName; 13] = [
    CallName::Open,
    CallName::Direct,
    CallName::Kind,
    CallName::Space,
    CallName::Reserve,
    CallName::Extend,
    CallName::Punch,
    CallName::Write,
    CallName::Read,
    CallName::WriteRun,
    CallName::ReadRun,
    CallName::RingSetup,
    CallName::RingEnter,
];

#[test]
fn every_errno_is_told_with_its_place() {
    let failing_at = |name, errno| {
        failing(move |call| (call.name == name && call.offset > 0).then_some(Fault::Errno(errno)))
    };
    let file = failing_at(CallName::Write, libc::EIO);
    file.allocate(1).unwrap();
    let slot = file.allocate(2).unwrap();
    let error = file.write(slot, content(slot, 1).bytes()).unwrap_err();
    let text = "cannot write 8192 bytes at 4096 of the spill file in ";
    assert!(error.to_string().starts_with(text), "{error}");
    assert!(!error.is_full());
    let SpillError::Io { action: SpillAction::Write, source, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(source.raw_os_error(), Some(libc::EIO));

    for errno in [libc::ENOSPC, libc::EDQUOT, libc::EFBIG] {
        let file = failing_at(CallName::Write, errno);
        file.allocate(1).unwrap();
        let slot = file.allocate(1).unwrap();
        assert!(file.write(slot, content(slot, 1).bytes()).unwrap_err().is_full());
    }
    let file = failing_at(CallName::Read, libc::EIO);
    file.allocate(1).unwrap();
    let slot = file.allocate(2).unwrap();
    let error = file.read(slot, Aligned::new(2 * UNIT).bytes()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read 8192 bytes at 4096 of"), "{error}");
}

#[test]
fn an_interrupted_call_is_made_again() {
    for name in NAMES {
        let file = first_calls(name, 3, Fault::Errno(libc::EINTR)).create().unwrap();
        let slots = written(&file, 20);
        assert!(read_all(&file, &slots, 1).is_empty(), "{name:?}");
        for slot in slots {
            assert_has(&file, slot, 1);
        }
    }
}

#[test]
fn a_short_transfer_goes_on() {
    for bytes in [1, 511, 512, 4095, 4096, 4097, 8192] {
        let file = failing(move |call| {
            let is_transfer = matches!(call.name, CallName::Read | CallName::Write);
            is_transfer.then_some(Fault::Short(bytes))
        });
        let slot = file.allocate(3).unwrap();
        file.write(slot, content(slot, 1).bytes()).unwrap();
        assert_has(&file, slot, 1);
        let slots = written(&file, 10);
        assert!(read_all(&file, &slots, 1).is_empty(), "{bytes}");
    }
}

#[test]
fn a_call_that_moves_nothing_is_an_error() {
    let file = failing(|call| (call.name == CallName::Write).then_some(Fault::Short(0)));
    let slot = file.allocate(1).unwrap();
    let error = file.write(slot, content(slot, 1).bytes()).unwrap_err();
    let SpillError::Io { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::WriteZero);

    // A file that another hand made shorter.
    let file = failing(|call| (call.name == CallName::Read).then_some(Fault::Short(0)));
    let slot = file.allocate(1).unwrap();
    let error = file.read(slot, Aligned::new(UNIT).bytes()).unwrap_err();
    let SpillError::Io { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn direct_calls_that_are_refused_go_through_the_page_cache() {
    let einval = Fault::Errno(libc::EINVAL);
    let file = first_calls(CallName::Direct, 1, einval).create().unwrap();
    assert!(!file.is_direct());
    for name in [CallName::Write, CallName::Read] {
        let file = first_calls(name, 1, einval).create().unwrap();
        let was_direct = file.is_direct();
        let slot = file.allocate(1).unwrap();
        let write = file.write(slot, content(slot, 1).bytes());
        let mut read = Aligned::new(UNIT);
        let read = file.read(slot, read.bytes());
        assert!(!file.is_direct());
        // Where it was not direct, there is nothing to fall back to.
        assert_eq!((write.and(read)).is_ok(), was_direct);
        file.write(slot, content(slot, 2).bytes()).unwrap();
        assert_has(&file, slot, 2);
    }
    // The second call of this kind is to turn it off.
    let file = failing(|call| match call.name {
        CallName::Write => Some(Fault::Errno(libc::EINVAL)),
        _ => None,
    });
    let slot = file.allocate(1).unwrap();
    assert!(file.write(slot, content(slot, 1).bytes()).is_err(), "it fails in the end");
}

#[test]
fn a_buffer_may_lie_anywhere() {
    let file = builder().create().unwrap();
    let slots: Vec<_> = (0..8).map(|_| file.allocate(2).unwrap()).collect();
    let mut bytes = Aligned::new(2 * UNIT + 1);
    for slot in &slots {
        fill(*slot, 5, &mut bytes.bytes()[1..]);
        file.write(*slot, &bytes.bytes()[1..]).unwrap();
    }
    for slot in &slots {
        assert_has(&file, *slot, 5);
        file.read(*slot, &mut bytes.bytes()[1..]).unwrap();
        assert!(&bytes.bytes()[1..] == content(*slot, 5).bytes());
    }
}

#[test]
fn without_reservations_the_file_grows_all_the_same() {
    for errno in [libc::EOPNOTSUPP, libc::ENOSYS, libc::EINVAL] {
        let file =
            failing(move |call| (call.name == CallName::Reserve).then_some(Fault::Errno(errno)));
        let slots = written(&file, 100);
        assert!(read_all(&file, &slots, 1).is_empty());
    }
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let full = Arc::new(Mutex::new(false));
    let told = Arc::clone(&full);
    let file = failing(move |call| {
        let is_growth = matches!(call.name, CallName::Reserve | CallName::Extend);
        (is_growth && *told.lock().unwrap()).then_some(Fault::Errno(libc::ENOSPC))
    });
    let slots = written(&file, 100);
    *full.lock().unwrap() = true;
    let size = file.size_bytes();
    let mut more = Vec::new();
    let error = loop {
        match file.allocate(64) {
            Ok(slot) => more.push(slot),
            Err(error) => break error,
        }
    };
    assert!(error.is_full() && error.to_string().starts_with("cannot make room for"), "{error}");
    assert_eq!(file.size_bytes(), size);
    assert!(read_all(&file, &slots, 1).is_empty());
    // What is free is used up.
    while file.allocate_run(1, 1000).is_ok() {}
    assert_eq!(file.used_bytes(), size);
    *full.lock().unwrap() = false;
    file.allocate(64).unwrap();
}

#[test]
fn a_hole_that_cannot_be_filled_is_a_hole_still() {
    let full = Arc::new(Mutex::new(false));
    let told = Arc::clone(&full);
    // Also where nothing is reserved.
    let file = failing(move |call| {
        let is_full = call.name == CallName::Kind || *told.lock().unwrap();
        let is_growth = matches!(call.name, CallName::Reserve | CallName::Kind);
        (is_full && is_growth).then_some(Fault::Errno(libc::ENOSPC))
    });
    let slot = file.allocate(1 << 15).unwrap();
    let size = file.size_bytes();
    file.free(slot);
    let disk = file.disk_bytes();
    if disk == size {
        return println!("no holes can be punched here");
    }
    *full.lock().unwrap() = true;
    let half = file.allocate(1 << 14).unwrap();
    assert!(file.allocate(1 << 14).unwrap_err().is_full());
    assert_eq!((file.size_bytes(), file.disk_bytes()), (size, disk));
    *full.lock().unwrap() = false;
    let other = file.allocate(1 << 14).unwrap();
    assert_eq!((file.size_bytes(), file.disk_bytes(), file.used_bytes()), (size, size, size));
    assert!(half.end() <= other.first || other.end() <= half.first);
}

#[test]
fn a_hole_that_cannot_be_punched_is_used_again() {
    for errno in [libc::EOPNOTSUPP, libc::EIO] {
        let file =
            failing(move |call| (call.name == CallName::Punch).then_some(Fault::Errno(errno)));
        let slot = file.allocate(1 << 15).unwrap();
        let size = file.size_bytes();
        file.free(slot);
        assert_eq!((file.disk_bytes(), file.used_bytes()), (size, 0));
        assert_eq!(file.allocate(1 << 15).unwrap(), slot);
    }
}
