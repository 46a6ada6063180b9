//! The calls that a sequence is made of.

use arbitrary::{Arbitrary, Unstructured};

/// A sequence of calls.
#[derive(Clone, Debug)]
pub struct Input {
    /// The calls.
    pub ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { ops })
    }
}

/// Which handle a call gets: mostly a good one of the right kind, otherwise NULL, one of another
/// kind, one that is stale, or a number that is none, perhaps.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Pick {
    /// How it is picked.
    pub how: u8,
    /// Which of those it is.
    pub which: u8,
}

/// A call.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    NewConfig,
    SetConfig { config: Pick, option: u8, value: u32 },
    Build { config: Pick },
    Register { manager: Pick, minimum: u8, limit: u8 },
    Page { owner: Pick },
    Pages { owner: Pick, count: u8 },
    Block { owner: Pick, bytes: u32 },
    UpTo { owner: Pick, bytes: u32 },
    Scattered { owner: Pick, bytes: u32, capacity: u8 },
    Reserve { owner: Pick, bytes: u32 },
    Grow { reservation: Pick, bytes: u32 },
    Shrink { reservation: Pick, bytes: u16 },
    Worker { owner: Pick },
    WorkerPage { worker: Pick },
    WorkerRelease { worker: Pick, segment: Pick },
    Look { segment: Pick },
    Release { segment: Pick },
    ReleaseMany { segments: [Pick; 4] },
    Free { handle: Pick, kind: u8 },
    Check { manager: Pick },
    ShutDown { manager: Pick },
    RegisterWith { manager: Pick, minimum: u8, limit: u8, flags: u8 },
    Child { owner: Pick, minimum: u8, limit: u8, flags: u8 },
    AcquirePages { owner: Pick, count: u8 },
    AcquireBlock { owner: Pick, bytes: u32 },
    AcquireMemory { owner: Pick, bytes: u32 },
    ReclaimGuard { owner: Pick, bytes: u16 },
    SpillLate { reserve: Pick, bytes: u16 },
    SetReclaimer { owner: Pick, again: bool },
    Pressure { manager: Pick, subscribes: bool },
    Range { segment: Pick },
    Try(Try),
}

/// A call that never waits.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Try {
    Page { owner: Pick },
    Pages { owner: Pick, count: u8 },
    Block { owner: Pick, bytes: u32 },
    Reserve { owner: Pick, bytes: u32 },
    WorkerPage { worker: Pick },
}
