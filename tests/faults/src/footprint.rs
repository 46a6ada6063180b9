//! What a process has of the system: memory, files, threads.

use std::fs;
use std::thread;

/// What a process has of the system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footprint {
    /// The bytes that are mapped, but for the heap and the stack of the first thread.
    pub mapped_bytes: usize,
    /// The files that are open.
    pub files: usize,
}

/// What a thread's stack takes, which the C library keeps for the next thread.
const STACK_BYTES: usize = (2 << 20) + (64 << 10);

impl Footprint {
    /// That of this process, once it has no more than so many threads.
    pub fn with_threads(threads: usize) -> Self {
        // Those that are about to end do so in time. A process that hangs is ended by its alarm.
        while count("/proc/self/task") > threads {
            thread::yield_now();
        }
        Self { mapped_bytes: mapped_bytes(), files: count("/proc/self/fd") }
    }

    /// The threads of this process.
    pub fn threads() -> usize {
        count("/proc/self/task")
    }

    /// Checks that it has not grown since `before`, but for the stacks of so many threads.
    pub fn assert_not_above(&self, before: &Self, stacks: usize) {
        let most = before.mapped_bytes + stacks * STACK_BYTES;
        assert!(self.mapped_bytes <= most, "memory is lost: {self:?}, before {before:?}");
        assert_eq!(self.files, before.files, "files are lost");
    }
}

fn count(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// The sum of all mappings of `/proc/self/maps`, without those that grow by themselves.
fn mapped_bytes() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let bytes = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        if matches!(fields.last(), Some("[heap]" | "[stack]")) {
            return None;
        }
        let [start, end] = [start, end].map(|it| usize::from_str_radix(it, 16).unwrap());
        Some(end - start)
    };
    maps.lines().filter_map(bytes).sum()
}
