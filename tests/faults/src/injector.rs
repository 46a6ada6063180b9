//! A filter that hands system calls to a thread, which answers in place of the kernel.
//!
//! # Protocol
//!
//! 1. A thread that makes a call sleeps in the kernel until the injector has answered it. So the
//!    kernel orders what the thread did before the call before the answer, and what the injector
//!    did before the answer before what the thread does next.
//! 2. Other threads make calls at any time. What was planned is written before it is armed, and
//!    the injector reads it only where it sees that it is armed.
//! 3. Nothing is planned anew while it is armed.

use std::io;
use std::mem::zeroed;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::thread;

use libc::{c_int, c_long, sock_filter, sock_fprog};

/// The system calls that can be refused.
pub const CALLS: &[(&str, c_long)] = &[
    ("mmap", libc::SYS_mmap),
    ("munmap", libc::SYS_munmap),
    ("mprotect", libc::SYS_mprotect),
    ("madvise", libc::SYS_madvise),
    ("prctl", libc::SYS_prctl),
    ("membarrier", libc::SYS_membarrier),
    ("clone3", libc::SYS_clone3),
    ("sched_getaffinity", libc::SYS_sched_getaffinity),
    ("openat", libc::SYS_openat),
    ("statx", libc::SYS_statx),
    ("read", libc::SYS_read),
    ("write", libc::SYS_write),
    ("pread64", libc::SYS_pread64),
    ("pwrite64", libc::SYS_pwrite64),
    ("lseek", libc::SYS_lseek),
    ("ftruncate", libc::SYS_ftruncate),
    ("fallocate", libc::SYS_fallocate),
    ("unlinkat", libc::SYS_unlinkat),
    ("fstatfs", libc::SYS_fstatfs),
    ("fcntl", libc::SYS_fcntl),
    ("preadv", libc::SYS_preadv),
    ("pwritev", libc::SYS_pwritev),
    ("prlimit64", libc::SYS_prlimit64),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    // Newer systems have only the one above.
    #[cfg(target_arch = "x86_64")]
    ("unlink", libc::SYS_unlink),
];

/// What the calls of a thread are counted and refused by.
///
/// The calls of other threads for memory of their own are left alone: when a new thread has none
/// for its stack of signals, the standard library ends the process.
const OF_THE_FIRST_THREAD: [&str; 3] = ["mmap", "munmap", "mprotect"];

/// What becomes of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It fails with this errno.
    Errno(i32),
    /// It returns 0, and does nothing.
    Zero,
    /// It moves so many bytes at most: one of those that read or write at a place in a file.
    Short(u32),
    /// The process is killed in place of it.
    Kill,
}

/// Which calls of a name are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusing {
    /// The n-th one, from 0.
    Only(u64),
    /// The n-th one, from 0, and all after it.
    From(u64),
}

static IS_ARMED: AtomicBool = AtomicBool::new(false);
static HAS_HIT: AtomicBool = AtomicBool::new(false);
static COUNTS: [AtomicU64; CALLS.len()] = [const { AtomicU64::new(0) }; CALLS.len()];
static CALL: AtomicUsize = AtomicUsize::new(usize::MAX);
static FROM: AtomicU64 = AtomicU64::new(0);
static END: AtomicU64 = AtomicU64::new(0);
/// An errno, or one of those below.
static ACTION: AtomicI64 = AtomicI64::new(0);
static FIRST_THREAD: AtomicI32 = AtomicI32::new(0);
/// Opens of files without a name are refused at any time, as by systems that have none.
static REFUSES_UNNAMED: AtomicBool = AtomicBool::new(false);
/// What calls are answered with at any time, as by systems that do not have them; or 0.
static LACKING: [AtomicI32; CALLS.len()] = [const { AtomicI32::new(0) }; CALLS.len()];

const ZERO: i64 = 0;
const KILL: i64 = -1;
/// With so many bytes added. No errno is so large.
const SHORT: i64 = 1 << 32;

fn index_of(call: &str) -> usize {
    CALLS.iter().position(|(name, _)| *name == call).unwrap()
}

/// Says what is refused from the next time on that it is armed.
pub(crate) fn plan(call: &str, refusing: Refusing, action: Action) {
    let index = index_of(call);
    let (from, end) = match refusing {
        Refusing::Only(nth) => (nth, nth + 1),
        Refusing::From(nth) => (nth, u64::MAX),
    };
    let action = match action {
        Action::Errno(errno) => i64::from(errno),
        Action::Zero => ZERO,
        Action::Kill => KILL,
        Action::Short(bytes) => SHORT + i64::from(bytes),
    };
    // ORDERING: Relaxed, all. `arm` publishes what is planned (Protocol, 2).
    CALL.store(index, Ordering::Relaxed);
    FROM.store(from, Ordering::Relaxed);
    END.store(end, Ordering::Relaxed);
    ACTION.store(action, Ordering::Relaxed);
}

/// From now on calls are counted, and refused as planned.
pub(crate) fn arm() {
    // SAFETY: the call reads a number.
    let this = unsafe { libc::gettid() };
    // ORDERING: Relaxed. The next store publishes it.
    FIRST_THREAD.store(this, Ordering::Relaxed);
    // ORDERING: Release. Pairs with the Acquire in `answer` (Protocol, 2).
    IS_ARMED.store(true, Ordering::Release);
}

pub(crate) fn disarm() {
    // ORDERING: Relaxed. It publishes nothing; a call of this thread comes after it (Protocol, 1).
    IS_ARMED.store(false, Ordering::Relaxed);
}

/// Whether a call was refused.
pub(crate) fn has_hit() -> bool {
    // ORDERING: Relaxed. Only the flag is passed on, and a thread knows of its own calls (Protocol,
    // 1).
    HAS_HIT.load(Ordering::Relaxed)
}

pub(crate) fn refuse_unnamed_files() {
    // ORDERING: Relaxed. Only the flag is passed on, to the answers that come after (Protocol, 1).
    REFUSES_UNNAMED.store(true, Ordering::Relaxed);
}

/// The call of this name is not counted any more, and answered with this errno at any time.
pub(crate) fn lack(call: &str, errno: i32) {
    // ORDERING: Relaxed. Only the number is passed on, to the answers that come after (Protocol,
    // 1).
    LACKING[index_of(call)].store(errno, Ordering::Relaxed);
}

/// How often each call was made while it was armed.
pub(crate) fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    // ORDERING: Relaxed. Only the numbers are passed on (Protocol, 1).
    CALLS.iter().zip(&COUNTS).map(|((name, _), count)| (*name, count.load(Ordering::Relaxed)))
}

/// What the filter does with a call that was made: the value, the errno, and the flags.
fn answer(notice: &libc::seccomp_notif) -> (i64, i32, u32) {
    let passes = (0, 0, u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).unwrap_or(0));
    let number = c_long::from(notice.data.nr);
    let Some(index) = CALLS.iter().position(|(_, call)| *call == number) else { return passes };
    let unnamed = libc::O_TMPFILE as u64;
    // ORDERING: Relaxed. Only the flag is passed on (Protocol, 1).
    let refuses_unnamed = REFUSES_UNNAMED.load(Ordering::Relaxed);
    if number == libc::SYS_openat && refuses_unnamed && notice.data.args[2] & unnamed == unnamed {
        return (0, -libc::EOPNOTSUPP, 0);
    }
    // ORDERING: Relaxed. Only the number is passed on (Protocol, 1).
    let lacking = LACKING[index].load(Ordering::Relaxed);
    if lacking != 0 {
        return (0, -lacking, 0);
    }
    // ORDERING: Acquire. Pairs with the Release in `arm` (Protocol, 2).
    if !IS_ARMED.load(Ordering::Acquire) {
        return passes;
    }
    // ORDERING: Relaxed. Written before it was armed (Protocol, 2).
    let mine = notice.pid == FIRST_THREAD.load(Ordering::Relaxed) as u32;
    if !mine && OF_THE_FIRST_THREAD.contains(&CALLS[index].0) {
        return passes;
    }
    // ORDERING: Relaxed. Only the number is passed on, and only the injector adds to it.
    let nth = COUNTS[index].fetch_add(1, Ordering::Relaxed);
    // ORDERING: Relaxed, both. Written before it was armed (Protocol, 2).
    let planned = FROM.load(Ordering::Relaxed)..END.load(Ordering::Relaxed);
    // ORDERING: Relaxed. As above.
    if index != CALL.load(Ordering::Relaxed) || !planned.contains(&nth) {
        return passes;
    }
    // ORDERING: Relaxed. Only the flag is passed on, with the answer (Protocol, 1).
    HAS_HIT.store(true, Ordering::Relaxed);
    // ORDERING: Relaxed. Written before it was armed (Protocol, 2).
    match ACTION.load(Ordering::Relaxed) {
        ZERO => (0, 0, 0),
        KILL => {
            let me = i32::try_from(std::process::id()).unwrap_or(0);
            // SAFETY: the call takes numbers only; the process ends.
            unsafe { libc::kill(me, libc::SIGKILL) };
            passes
        }
        short if short >= SHORT => match shortened(notice, (short - SHORT).unsigned_abs()) {
            Ok(moved) => (moved, 0, 0),
            Err(error) => (0, -error.raw_os_error().unwrap_or(libc::EIO), 0),
        },
        errno => (0, -i32::try_from(errno).unwrap_or(libc::EIO), 0),
    }
}

/// Makes the call in place of the thread that waits, with at most so many of its bytes. They are in
/// the memory of this process, and the thread keeps them until it is answered (Protocol, 1).
fn shortened(notice: &libc::seccomp_notif, bytes: u64) -> io::Result<i64> {
    let number = c_long::from(notice.data.nr);
    let [fd, at, count, low, high, _] = notice.data.args;
    let word = |number| usize::try_from(number).unwrap_or(usize::MAX);
    let is_vectored = number == libc::SYS_preadv || number == libc::SYS_pwritev;
    let moved = if is_vectored {
        // SAFETY: the thread that waits has at least one of these there, and does not change it.
        let mut first =
            unsafe { std::ptr::with_exposed_provenance::<libc::iovec>(word(at)).read() };
        first.iov_len = first.iov_len.min(word(bytes));
        // SAFETY: the system may use the memory as the thread that waits has said.
        unsafe { libc::syscall(number, fd, &raw const first, 1, low, high) }
    } else {
        assert!(matches!(number, libc::SYS_pread64 | libc::SYS_pwrite64), "it moves no bytes");
        // SAFETY: as above.
        unsafe { libc::syscall(number, fd, at, count.min(bytes), low) }
    };
    if moved < 0 { Err(io::Error::last_os_error()) } else { Ok(moved) }
}

/// Installs the filter for this thread and all that it starts from now on.
///
/// # Errors
///
/// What the system says, if it has no such filters, or there is one already.
pub(crate) fn install() -> io::Result<()> {
    // Nothing is allocated between here and the first answer, so that no thread waits for memory
    // that only the new one could let it have.
    static LISTENER: AtomicI32 = AtomicI32::new(-1);
    thread::Builder::new().name("injector".into()).spawn(|| {
        let listener = loop {
            // ORDERING: Relaxed. Only the number is passed on: the kernel knows what it stands for.
            match LISTENER.load(Ordering::Relaxed) {
                -1 => thread::yield_now(),
                listener => break listener,
            }
        };
        if listener >= 0 {
            answer_all(listener);
        }
    })?;
    let filter = filter();
    let program = sock_fprog {
        len: u16::try_from(filter.len()).unwrap(),
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: the program outlives the call, which copies it.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    };
    let answer = if listener < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    let listener = i32::try_from(listener).ok().filter(|listener| *listener >= 0);
    // ORDERING: Relaxed. As in the loop above.
    LISTENER.store(listener.unwrap_or(-2), Ordering::Relaxed);
    answer
}

/// Hands the calls of [`CALLS`] over, and lets all others pass.
fn filter() -> Vec<sock_filter> {
    let code = |code: u32| u16::try_from(code).unwrap();
    let to_return =
        |value| sock_filter { code: code(libc::BPF_RET | libc::BPF_K), jt: 0, jf: 0, k: value };
    // The number of the call is the first word of what a filter sees.
    let mut filter = vec![sock_filter {
        code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS),
        jt: 0,
        jf: 0,
        k: 0,
    }];
    for (left, (_, number)) in (1..=CALLS.len()).rev().zip(CALLS) {
        filter.push(sock_filter {
            code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
            jt: u8::try_from(left).unwrap(),
            jf: 0,
            k: u32::try_from(*number).unwrap(),
        });
    }
    filter.push(to_return(libc::SECCOMP_RET_ALLOW));
    filter.push(to_return(libc::SECCOMP_RET_USER_NOTIF));
    filter
}

/// Answers until the process ends. Allocates nothing.
fn answer_all(listener: c_int) {
    loop {
        // SAFETY: all zeros is a value of this type, and the one that the call asks for.
        let mut notice: libc::seccomp_notif = unsafe { zeroed() };
        let receive = libc::SECCOMP_IOCTL_NOTIF_RECV;
        // SAFETY: the call writes a value of this type.
        if unsafe { libc::ioctl(listener, receive, &raw mut notice) } != 0 {
            match io::Error::last_os_error().raw_os_error() {
                // The caller was interrupted, or is gone.
                Some(libc::EINTR | libc::ENOENT) => continue,
                _ => return,
            }
        }
        let (val, error, flags) = answer(&notice);
        let response = libc::seccomp_notif_resp { id: notice.id, val, error, flags };
        // SAFETY: the call reads a value of this type.
        unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
    }
}
