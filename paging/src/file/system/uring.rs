//! Many reads or writes in flight at once, by `io_uring`.
//!
//! A call takes a ring that is idle, or sets one up, and has it for itself until everything that
//! was submitted is completed. The rings are only a faster way: what they could not do, for
//! whatever reason, is told as not done, and done by plain calls. Where the system has no rings or
//! forbids them, nothing is asked of it again.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::thread;

use io_uring::{IoUring, opcode, squeue, types::Fd};

use super::super::faults::{CallName, Injector};
use super::super::flag::Flag;
use super::run::Run;

/// How many reads or writes of one call are in flight.
const ENTRIES: u32 = 64;
/// Idle rings beyond these are closed.
const IDLE_MAX: usize = 16;
/// The result of an entry that was not completed.
const NOT_DONE: i32 = -1;

/// The rings of a file.
pub(in super::super) struct Rings {
    idle: Mutex<Vec<IoUring>>,
    work: Flag,
    injector: Injector,
}

impl Rings {
    pub(in super::super) fn new(injector: Injector) -> Self {
        Self { idle: Mutex::default(), work: Flag::new(true), injector }
    }

    /// Reads all runs at once; `false` if none is done, for there is no ring.
    pub(in super::super) fn read(
        &self,
        file: &File,
        runs: &mut [&mut Run<IoSliceMut<'_>>],
    ) -> bool {
        let Some(ring) = self.take() else { return false };
        let fd = Fd(file.as_raw_fd());
        let entries = runs.iter_mut().map(|run| {
            let buffers = run.buffers.as_mut_ptr().cast::<libc::iovec>();
            opcode::Readv::new(fd, buffers, count(run.buffers.len())).offset(run.offset).build()
        });
        let entries: Vec<_> = entries.collect();
        // SAFETY: the file is open; an `IoSliceMut` is laid out as an `iovec`; and the buffers,
        // which are borrowed for writing, are not touched before the call returns.
        let moved = unsafe { self.finish(ring, entries) };
        each_result(runs, &moved);
        true
    }

    /// Writes all runs at once; `false` if none is done, for there is no ring.
    pub(in super::super) fn write(&self, file: &File, runs: &mut [&mut Run<IoSlice<'_>>]) -> bool {
        let Some(ring) = self.take() else { return false };
        let fd = Fd(file.as_raw_fd());
        let entries = runs.iter().map(|run| {
            let buffers = run.buffers.as_ptr().cast::<libc::iovec>();
            opcode::Writev::new(fd, buffers, count(run.buffers.len())).offset(run.offset).build()
        });
        let entries: Vec<_> = entries.collect();
        // SAFETY: the file is open; an `IoSlice` is laid out as an `iovec`; and the buffers are
        // borrowed for longer than the call.
        let moved = unsafe { self.finish(ring, entries) };
        each_result(runs, &moved);
        true
    }

    /// Does what the entries say, and returns what the system said to each: how many bytes it
    /// moved, or a negative number.
    ///
    /// # Safety
    ///
    /// 1. The entries name a file that is open, and memory that may be used as they say until the
    ///    call returns.
    unsafe fn finish(&self, mut ring: IoUring, entries: Vec<squeue::Entry>) -> Vec<i32> {
        let mut results = vec![NOT_DONE; entries.len()];
        let numbered = (0..).zip(entries).map(|(number, entry)| entry.user_data(number));
        let finished = {
            let mut flight = Flight { ring: &mut ring, pending: 0, results: &mut results };
            // SAFETY: by the caller's contract 1. The entries are used until `flight` is dropped.
            unsafe { flight.fly(&self.injector, numbered) }
        };
        match finished {
            Ok(()) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE_MAX {
                    idle.push(ring);
                }
            }
            // The ring may have entries that were not taken from it, and is closed.
            Err(error) => self.refused(&error),
        }
        results
    }

    /// A ring for one call.
    fn take(&self) -> Option<IoUring> {
        if !self.work.is_set() {
            return None;
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if idle.is_some() {
            return idle;
        }
        let set_up = || {
            // Without interrupts of this thread, which waits anyway. Older systems do not know
            // that.
            let quiet = IoUring::builder().setup_coop_taskrun().build(ENTRIES);
            quiet.or_else(|_| IoUring::new(ENTRIES))
        };
        let ring = self.injector.call(CallName::RingSetup, 0, 0, set_up);
        ring.inspect_err(|error| self.refused(error)).ok()
    }

    /// Asks no more for rings where there are none.
    fn refused(&self, error: &io::Error) {
        use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        if matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) {
            self.work.clear();
        }
    }
}

/// What is in flight on a ring.
///
/// # Invariants
///
/// - Of the entries that were pushed, `pending` are not completed.
struct Flight<'a> {
    ring: &'a mut IoUring,
    pending: usize,
    results: &'a mut [i32],
}

impl Flight<'_> {
    /// Submits the entries and waits for all of them.
    ///
    /// # Safety
    ///
    /// 1. The entries name a file that is open, and memory that may be used as they say, until this
    ///    value is dropped.
    unsafe fn fly(
        &mut self,
        injector: &Injector,
        entries: impl Iterator<Item = squeue::Entry>,
    ) -> io::Result<()> {
        let mut entries = entries.peekable();
        loop {
            let mut queue = self.ring.submission();
            while self.pending < ENTRIES as usize && !queue.is_full() {
                let Some(entry) = entries.next() else { break };
                // SAFETY: by the caller's contract 1; a drop waits for what is pending.
                if unsafe { queue.push(&entry) }.is_ok() {
                    // INVARIANT: one more was pushed.
                    self.pending += 1;
                }
            }
            drop(queue);
            if self.pending == 0 {
                return Ok(());
            }
            // While there are more, each that is completed makes room for one.
            let awaited = if entries.peek().is_some() { 1 } else { self.pending };
            let enter = || self.ring.submit_and_wait(awaited);
            match injector.call(CallName::RingEnter, 0, 0, enter) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => self.reap(),
            }
        }
    }

    /// Takes what is completed.
    fn reap(&mut self) {
        for completion in self.ring.completion() {
            // INVARIANT: each entry is completed once.
            self.pending -= 1;
            let number = usize::try_from(completion.user_data()).ok();
            if let Some(result) = number.and_then(|number| self.results.get_mut(number)) {
                *result = completion.result();
            }
        }
    }
}

impl Drop for Flight<'_> {
    /// Waits until the system uses none of the memory. It submits nothing any more, so what is
    /// still in the queue is never taken.
    fn drop(&mut self) {
        let untaken = self.ring.submission().len();
        while self.pending > untaken {
            self.reap();
            if self.pending > untaken {
                thread::yield_now();
            }
        }
    }
}

/// Tells each run whether as many bytes were moved as it has.
fn each_result<B>(runs: &mut [&mut Run<B>], moved: &[i32]) {
    for (run, moved) in runs.iter_mut().zip(moved) {
        run.is_done = usize::try_from(*moved) == Ok(run.bytes);
    }
}

fn count(buffers: usize) -> u32 {
    // Callers have fewer than the system takes in one call.
    u32::try_from(buffers).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_flight_ends_only_when_its_memory_is_not_used_any_more() {
        let Ok(mut ring) = IoUring::new(ENTRIES) else {
            return println!("there are no rings here");
        };
        let (reader, mut writer) = io::pipe().unwrap();
        let mut bytes = [0; 3];
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let fd = Fd(reader.as_raw_fd());
        let entry = opcode::Readv::new(fd, buffers.as_mut_ptr().cast(), 1).build();
        let (mut results, started) = ([NOT_DONE], Barrier::new(2));
        thread::scope(|scope| {
            let flight = Flight { ring: &mut ring, pending: 1, results: &mut results };
            // SAFETY: the pipe is open, and nothing touches the buffer until the flight is over.
            unsafe { flight.ring.submission().push(&entry) }.unwrap();
            flight.ring.submit().unwrap();
            scope.spawn(|| {
                started.wait();
                writer.write_all(b"abc").unwrap();
            });
            started.wait();
            drop(flight);
        });
        assert_eq!(results, [3]);
        assert_eq!(&bytes, b"abc");
    }

    #[test]
    fn what_was_not_submitted_is_not_waited_for() {
        let Ok(mut ring) = IoUring::new(ENTRIES) else {
            return println!("there are no rings here");
        };
        let mut results = [NOT_DONE];
        let flight = Flight { ring: &mut ring, pending: 1, results: &mut results };
        // SAFETY: it does nothing, and is never submitted.
        unsafe { flight.ring.submission().push(&opcode::Nop::new().build()) }.unwrap();
        drop(flight);
        assert_eq!(results, [NOT_DONE]);
    }
}
