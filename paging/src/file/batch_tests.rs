//! Tests of many reads and writes at once: each has its own result, by rings and without.

use std::sync::{Arc, Mutex};
use std::thread;

use proptest::prelude::*;

use crate::base::sync::{AtomicUsize, Ordering};

use super::testing::{
    Aligned, UNIT, assert_has, builder, content, failing, first_calls, read_all, write_all, written,
};
use super::{CallName, Fault, Read, Slot, SpillError, Write};

/// More than are in flight at once.
const MANY: u32 = 240;

#[test]
fn what_rings_do_not_do_is_done_without() {
    let errnos = [libc::EPERM, libc::EMFILE, libc::EINTR];
    for name in [CallName::RingSetup, CallName::RingEnter] {
        for errno in errnos {
            for times in [1, 1000] {
                // Interrupted for ever is no answer.
                let times = if errno == libc::EINTR { times.min(2) } else { times };
                let file = first_calls(name, times, Fault::Errno(errno)).create().unwrap();
                let slots = written(&file, MANY);
                assert!(read_all(&file, &slots, 1).is_empty());
                write_all(&file, &slots, 2);
                assert!(read_all(&file, &slots, 2).is_empty());
            }
        }
    }
}

#[cfg(all(target_os = "linux", not(offheap_portable)))]
#[test]
fn where_rings_are_forbidden_none_is_asked_for_again() {
    if let Err(error) = io_uring::IoUring::new(4) {
        return println!("they are forbidden here: {error}");
    }
    for (errno, is_for_good) in
        [(libc::EPERM, true), (libc::ENOSYS, true), (libc::EINVAL, true), (libc::EMFILE, false)]
    {
        for fails in [CallName::RingSetup, CallName::RingEnter] {
            let setups = Arc::new(Mutex::new(0));
            let told = Arc::clone(&setups);
            let file = failing(move |call| {
                *told.lock().unwrap() += u32::from(call.name == CallName::RingSetup);
                (call.name == fails).then_some(Fault::Errno(errno))
            });
            let slots = written(&file, 12);
            for _ in 0..4 {
                assert!(read_all(&file, &slots, 1).is_empty());
            }
            assert_eq!(*setups.lock().unwrap(), if is_for_good { 1 } else { 5 }, "{errno}");
        }
    }
    // One ring is enough for one thread.
    let (file, setups) = seen(CallName::RingSetup);
    let slots = written(&file, MANY);
    assert!(read_all(&file, &slots, 1).is_empty());
    assert_eq!(setups.lock().unwrap().len(), 1);
}

#[test]
fn a_ring_that_fails_on_its_way_is_waited_for() {
    // The first call has submitted some, which are in flight when the second fails.
    let calls = AtomicUsize::new(0);
    let file = failing(move |call| {
        let is_second = call.name == CallName::RingEnter
            // ORDERING: Relaxed. Each call counts itself, and nothing else hangs on it.
            && calls.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        is_second.then_some(Fault::Errno(libc::EBUSY))
    });
    let slots = written(&file, MANY);
    for _ in 0..20 {
        assert!(read_all(&file, &slots, 1).is_empty());
    }
}

/// Calls, as offset and bytes.
type Seen = Arc<Mutex<Vec<(u64, u64)>>>;

/// A file, and its calls of this name.
fn seen(name: CallName) -> (super::SpillFile, Seen) {
    let calls = Seen::default();
    let told = Arc::clone(&calls);
    let file = failing(move |call| {
        if call.name == name {
            told.lock().unwrap().push((call.offset, call.bytes));
        }
        None
    });
    (file, calls)
}

#[test]
fn neighbours_are_read_by_one_call_in_the_order_of_the_file() {
    let (file, calls) = seen(CallName::ReadRun);
    let slots: Vec<_> = (0..24).map(|_| file.allocate(1).unwrap()).collect();
    write_all(&file, &slots, 1);
    let picked = [20, 5, 3, 4, 21, 9, 22].map(|at: usize| slots[at]);
    assert!(read_all(&file, &picked, 1).is_empty());
    let unit = UNIT as u64;
    let expected = [(3 * unit, 3 * unit), (9 * unit, unit), (20 * unit, 3 * unit)];
    assert_eq!(*calls.lock().unwrap(), expected);
}

#[test]
fn a_run_is_not_too_long_for_a_call() {
    let (file, calls) = seen(CallName::WriteRun);
    let slots: Vec<_> = (0..600).map(|_| file.allocate(1).unwrap()).collect();
    write_all(&file, &slots, 1);
    let bytes: Vec<_> = calls.lock().unwrap().iter().map(|(_, bytes)| *bytes).collect();
    assert_eq!(bytes, [1 << 20, 1 << 20, 88 * UNIT as u64]);
    assert!(read_all(&file, &slots, 1).is_empty());
    let long = file.allocate(400).unwrap();
    write_all(&file, &[long, slots[0]], 2);
    assert_has(&file, long, 2);

    let calls = Seen::default();
    let told = Arc::clone(&calls);
    let small = builder().unit_bytes(512).faults(Arc::new(move |call| {
        if call.name == CallName::WriteRun {
            told.lock().unwrap().push((call.offset, call.bytes));
        }
        None
    }));
    let small = small.create().unwrap();
    let slot = small.allocate(1500).unwrap();
    let all: Vec<u8> = (0..1500_u32 * 512).map(|at| (at / 512).to_le_bytes()[0]).collect();
    let parts = (slot.first..).zip(all.chunks(512));
    let mut writes: Vec<_> =
        parts.map(|(first, bytes)| Write::new(Slot { first, units: 1 }, bytes)).collect();
    small.write_many(&mut writes);
    writes.into_iter().for_each(|write| write.result.unwrap());
    assert_eq!(*calls.lock().unwrap(), [(0, 1024 * 512), (1024 * 512, 476 * 512)]);
    let mut read = vec![0; all.len()];
    small.read(slot, &mut read).unwrap();
    assert!(read == all);
}

#[test]
fn what_cannot_be_read_or_written_fails_alone() {
    for fails in [CallName::Read, CallName::Write] {
        let bad = 5 * UNIT as u64;
        let file = failing(move |call| {
            let is_bad = (call.offset..call.offset + call.bytes).contains(&bad);
            let is_run = matches!(call.name, CallName::ReadRun | CallName::WriteRun);
            (is_bad && (is_run || call.name == fails)).then_some(Fault::Errno(libc::EIO))
        });
        let slots: Vec<_> = (0..12).map(|_| file.allocate(1).unwrap()).collect();
        let mut contents: Vec<_> = slots.iter().map(|slot| content(*slot, 1)).collect();
        let writes = slots.iter().zip(&mut contents);
        let mut writes: Vec<_> =
            writes.map(|(slot, content)| Write::new(*slot, content.bytes())).collect();
        file.write_many(&mut writes);
        for write in &writes {
            let is_bad = fails == CallName::Write && write.slot.first == 5;
            assert_eq!(write.result.is_err(), is_bad, "{:?}", write.slot);
        }
        if fails == CallName::Read {
            let failed = read_all(&file, &slots, 1);
            let [(Slot { first: 5, .. }, error)] = &failed[..] else { panic!("{failed:?}") };
            assert!(error.to_string().starts_with("cannot read 4096 bytes at 20480"), "{error}");
        }
    }
}

#[test]
fn one_that_does_not_fit_fails_alone() {
    let file = builder().create().unwrap();
    let slots = written(&file, 3);
    let mut buffers = [UNIT, UNIT - 1, UNIT, UNIT].map(Aligned::new);
    let [first, short, last, foreign] = &mut buffers;
    let mut reads = [
        Read::new(slots[2], last.bytes()),
        Read::new(slots[1], short.bytes()),
        Read::new(Slot { first: u32::MAX, units: 1 }, foreign.bytes()),
        Read::new(slots[0], first.bytes()),
    ];
    file.read_many(&mut reads);
    let [last, short, foreign, first] = reads;
    assert!(matches!(short.result, Err(SpillError::Slot { .. })));
    assert!(matches!(foreign.result, Err(SpillError::Slot { .. })));
    assert!(last.result.is_ok() && last.bytes == content(slots[2], 1).bytes());
    assert!(first.result.is_ok() && first.bytes == content(slots[0], 1).bytes());
    file.read_many(&mut []);
    file.write_many(&mut []);
}

#[test]
fn the_same_slot_may_be_read_twice_at_once() {
    let file = builder().create().unwrap();
    let slots = written(&file, 6);
    let twice: Vec<_> = slots.iter().chain(slots.iter().rev()).copied().collect();
    assert!(read_all(&file, &twice, 1).is_empty());
}

#[test]
fn many_threads_read_and_write_at_once() {
    let file = builder().create().unwrap();
    thread::scope(|scope| {
        for thread in 0..6 {
            let file = &file;
            scope.spawn(move || {
                let slots = written(file, 100);
                for turn in 0..10 {
                    write_all(file, &slots, thread << 8 | turn);
                    assert!(read_all(file, &slots, thread << 8 | turn).is_empty());
                }
            });
        }
    });
}

/// A call that fails: the how many-th, and how.
fn fault() -> impl Strategy<Value = (usize, Fault)> {
    let errno = prop::sample::select(vec![
        libc::EIO,
        libc::EINTR,
        libc::ENOSPC,
        libc::EINVAL,
        libc::EOPNOTSUPP,
        libc::EAGAIN,
    ]);
    let how = prop_oneof![errno.prop_map(Fault::Errno), (0..9000_usize).prop_map(Fault::Short)];
    (1..120_usize, how)
}

/// What a slot was written as: in some version, or nobody knows after a write that failed.
type Held = (Slot, Option<u32>);

fn write_some(file: &super::SpillFile, held: &mut [Held], version: u32) {
    let mut contents: Vec<_> = held.iter().map(|(slot, _)| content(*slot, version)).collect();
    let writes = held.iter().zip(&mut contents);
    let mut writes: Vec<_> =
        writes.map(|((slot, _), content)| Write::new(*slot, content.bytes())).collect();
    file.write_many(&mut writes);
    let results: Vec<_> = writes.into_iter().map(|write| write.result.is_ok()).collect();
    for ((_, written), is_ok) in held.iter_mut().zip(results) {
        *written = is_ok.then_some(version);
    }
}

fn read_some(file: &super::SpillFile, held: &[Held]) {
    let known = held.iter().filter_map(|(slot, version)| version.map(|version| (*slot, version)));
    let known: Vec<_> = known.collect();
    let mut buffers: Vec<_> =
        known.iter().map(|(slot, _)| Aligned::new(slot.units as usize * UNIT)).collect();
    let reads = known.iter().zip(&mut buffers);
    let mut reads: Vec<_> =
        reads.map(|((slot, _), buffer)| Read::new(*slot, buffer.bytes())).collect();
    file.read_many(&mut reads);
    for (read, (slot, version)) in reads.into_iter().zip(known) {
        assert!(read.result.is_err() || read.bytes == content(slot, version).bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_fails_what_is_read_was_written(
        faults in prop::collection::vec(fault(), 0..12),
        steps in prop::collection::vec((0..4_u32, 1..20_u32), 1..40),
    ) {
        let calls = AtomicUsize::new(0);
        let file = builder().bytes_max(200 * UNIT as u64).faults(Arc::new(move |_| {
            // ORDERING: Relaxed. Each call counts itself, and nothing else hangs on it.
            let call = calls.fetch_add(1, Ordering::Relaxed);
            faults.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault)
        }));
        let Ok(file) = file.create() else { return Ok(()) };
        let mut held: Vec<Held> = Vec::new();
        for (version, (step, number)) in (0..).zip(steps) {
            let picked = number as usize % held.len().max(1);
            match step {
                0 => held.extend(file.allocate_run(1, number).map(|slot| (slot, None))),
                1 => write_some(&file, &mut held[picked..], version),
                2 => read_some(&file, &held[picked..]),
                _ if !held.is_empty() => file.free(held.swap_remove(picked).0),
                _ => {}
            }
            let used: u32 = held.iter().map(|(slot, _)| slot.units).sum();
            assert_eq!(file.used_bytes(), u64::from(used) * UNIT as u64);
        }
        // What is known is still there, once nothing fails.
        for _ in 0..20 {
            read_some(&file, &held);
        }
    }
}
