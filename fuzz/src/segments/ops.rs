//! The calls that a sequence is made of.

use arbitrary::{Arbitrary, Unstructured};

/// Segments per sequence.
pub(super) const SEGMENTS: usize = 3;

/// The segments and a sequence of calls.
#[derive(Clone, Debug)]
pub struct Input {
    /// Heap mode instead of off-heap mode.
    pub heap: bool,
    /// The pages of each segment, before the rest.
    pub pages: [u8; SEGMENTS],
    /// The calls.
    pub ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (heap, pages) = (bool::arbitrary(bytes)?, <[u8; SEGMENTS]>::arbitrary(bytes)?);
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { heap, pages, ops })
    }
}

/// An offset or a length: a small one, any one, one about the end, or one that is far beyond it.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Number {
    /// Which of these it is.
    pub how: u8,
    /// Which one it is.
    pub value: u16,
}

impl Number {
    /// The number as a length, mostly a small one, where `end` is the last one that is valid.
    pub(super) fn length(self, end: usize) -> usize {
        match self.how % 64 {
            0..56 => usize::from(self.value) % 64,
            how => Self { how: 2 * (how % 8), ..self }.offset(end),
        }
    }

    /// The number as an offset, where `end` is the last one that is valid.
    pub(super) fn offset(self, end: usize) -> usize {
        let value = usize::from(self.value);
        match self.how % 16 {
            0..=5 => value % 64,
            6..=11 => value % (end + 1),
            12 | 13 => end.saturating_sub(value % 16),
            14 if self.value.is_multiple_of(2) => end + value % 16,
            _ => usize::MAX - value % 64,
        }
    }
}

/// The bytes of one of the segments, from an offset on.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Place {
    /// Which segment.
    pub which: u8,
    /// The first byte.
    pub offset: Number,
}

/// Two of the segments: the second is another one than the first.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Pair {
    /// The one.
    pub first: Place,
    /// The other, as if the first did not count.
    pub second: Place,
}

/// A call.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    Get {
        kind: u8,
        at: Place,
    },
    Put {
        kind: u8,
        at: Place,
        value: u64,
    },
    Slice {
        at: Place,
        length: Number,
    },
    SliceMut {
        at: Place,
        length: Number,
        value: u8,
    },
    GetBytes {
        at: Place,
        length: Number,
    },
    PutBytes {
        at: Place,
        length: Number,
        value: u8,
    },
    CopyTo {
        pair: Pair,
        length: Number,
    },
    Compare {
        pair: Pair,
        length: Number,
    },
    CompareLengths {
        pair: Pair,
        length: Number,
        other_length: Number,
    },
    EqualTo {
        pair: Pair,
        length: Number,
    },
    SwapBytes {
        pair: Pair,
        length: Number,
    },
    /// The source has as many bytes, or is short of some.
    ReadFrom {
        at: Place,
        length: Number,
        short: u8,
        value: u8,
    },
    /// The target takes as many bytes, or is short of some.
    WriteTo {
        at: Place,
        length: Number,
        short: u8,
    },
    /// Makes both sides alike, so that comparisons have something to go by.
    Align {
        pair: Pair,
        length: Number,
    },
    Check,
}
