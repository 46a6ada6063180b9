//! What happens to pools and their pages.

use arbitrary::{Arbitrary, Unstructured};

/// Pools, and what happens to them.
#[derive(Clone, Debug)]
pub struct Input {
    /// How they are made.
    pub config: Config,
    /// What happens, in turn.
    pub ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let config = Config::arbitrary(bytes)?;
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { config, ops })
    }
}

/// How pools are made.
#[derive(Arbitrary, Clone, Debug)]
pub struct Config {
    /// The pages of the budget beyond the fewest.
    pub frames: u8,
    /// Whether there are two pools, on one file.
    pub is_pair: bool,
    /// Whether each pool writes ahead.
    pub writes_behind: [bool; 2],
    /// Whether the file goes around the system's cache.
    pub is_direct: bool,
    /// The most units that the file may have.
    pub units_max: Option<u8>,
    /// The pages of a buffer for writes.
    pub staging: Option<u8>,
    /// The milliseconds that a call waits for a frame.
    pub patience: u8,
    /// What fails while the file and the pools are made.
    pub early: Option<Trouble>,
}

/// Something that happens.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    Allocate {
        pool: bool,
        count: u8,
        pages: u8,
        seed: u16,
    },
    Insert {
        pool: bool,
        pages: u8,
        seed: u16,
        /// Whether the segment is one that cannot be a page of the pool.
        is_wrong: bool,
    },
    Read {
        page: u8,
    },
    ReadAll {
        first: u8,
        count: u8,
    },
    TryRead {
        page: u8,
    },
    Write {
        page: u8,
        offset: u16,
        length: u16,
        seed: u16,
    },
    WriteAll {
        first: u8,
        count: u8,
        seed: u16,
    },
    Drop {
        page: u8,
        chance: u8,
    },
    ReadMany {
        pool: bool,
        first: u8,
        count: u8,
        step: u8,
    },
    Prefetch {
        pool: bool,
        first: u8,
        count: u8,
        step: u8,
    },
    /// Polls a read so often, and then lets go of it; or does so with a write or a read of many, or
    /// waits for that.
    Poll {
        page: u8,
        polls: u8,
    },
    /// Waits for a read.
    Await {
        page: u8,
    },
    Advise {
        page: u8,
        advice: u8,
    },
    /// Keeps a page pinned while so many operations happen.
    Hold {
        page: u8,
        ops: u8,
    },
    /// Keeps a page open for writing while so many operations happen.
    HoldToWrite {
        page: u8,
        ops: u8,
        seed: u16,
    },
    /// Stays in an epoch while so many operations happen.
    Epoch {
        pool: bool,
        page: u8,
        ops: u8,
    },
    /// Two threads read pages, one of them backwards.
    Together {
        first: u8,
        count: u8,
    },
    /// Another owner takes pages: asks for them, or takes what is free.
    Take {
        pages: u8,
        asks: bool,
    },
    /// The other owner gives back so many of its segments.
    GiveBack {
        count: u8,
    },
    Trouble(Trouble),
    /// No call fails any more.
    Heal,
    /// The handle on a pool goes; its pages stay.
    DropPool {
        pool: bool,
        chance: u8,
    },
    Stats {
        pool: bool,
    },
}

/// System calls on the file that fail, so many of them.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named after what fails")]
pub struct Trouble {
    pub calls: Calls,
    pub fault: Failure,
    pub count: u8,
}

/// Which calls.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calls {
    /// All.
    All,
    /// Those that move bytes to the file.
    Writes,
    /// Those that move bytes from the file.
    Reads,
    /// Those that make the file larger, and the look at the room that is left.
    Growth,
    /// All that need room on the disk.
    Room,
    /// Those that give room back to the disk.
    Punches,
    /// Those that make the file, and turn direct I/O on or off.
    Making,
    /// Those of rings.
    Rings,
}

/// What they do.
#[derive(Arbitrary, Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "named after the error")]
pub enum Failure {
    Io,
    NoSpace,
    Quota,
    TooLarge,
    Interrupted,
    Again,
    Invalid,
    NoMemory,
    NotSupported,
    /// Moves so many bytes and no more.
    Short(u16),
    /// Moves so many sectors of 512 bytes and no more.
    ShortBySectors(u8),
}
