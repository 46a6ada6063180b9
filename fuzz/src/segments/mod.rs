//! Sequences of accesses to segments, each against vectors of bytes: every accessor, bulk copies,
//! comparisons, exchanges and streams, within bounds, at them and beyond them.

mod numbers;
mod ops;

use std::io;
use std::ops::Range;

use offheap::{
    MemoryManager, MemorySegment,
    config::{HugePages, MemoryMode},
    error::OutOfBounds,
};

use numbers::Accessor;
use ops::SEGMENTS;
pub use ops::{Input, Number, Op, Pair, Place};

/// The bytes of a page.
const PAGE: usize = 4096;
/// A segment has at most this many pages.
const PAGES_MAX: usize = 3;
/// Longer accesses than a segment has bytes are no longer than this where bytes are to be had.
const LENGTH_MAX: usize = 4 * PAGES_MAX * PAGE;
/// Bytes beside an access that must be as they were.
const MARGIN: usize = 16;
/// All bytes are looked at once in so many calls.
const CHECK_EVERY: u64 = 1024;

/// The segments, and the bytes that should be in them.
struct Run {
    segments: [MemorySegment; SEGMENTS],
    expected: [Vec<u8>; SEGMENTS],
    calls: u64,
}

/// Runs `input`. Returns the number of calls that
/// were compared.
///
/// # Panics
///
/// Where a segment and its bytes disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    let mode = if input.heap { MemoryMode::Heap } else { MemoryMode::OffHeap };
    let builder = MemoryManager::builder().capacity(SEGMENTS * PAGES_MAX * PAGE).page_size(PAGE);
    let built = builder.mode(mode).huge_pages(HugePages::Never).address_space_factor(1).build();
    let Ok(manager) = built else { unreachable!("it is small and valid: {built:?}") };
    let Ok(owner) = manager.owner("owner").register() else { unreachable!("it has no minimum") };
    let segments = input.pages.map(|pages| {
        let bytes = (1 + usize::from(pages) % PAGES_MAX) * PAGE;
        let Ok(mut segment) = owner.allocate(bytes) else { unreachable!("all of them fit") };
        assert_eq!((segment.size(), segment.owner_path()), (bytes, "owner"));
        segment.fill(0);
        segment
    });
    let expected = [0, 1, 2].map(|index: usize| vec![0; segments[index].size()]);
    let mut run = Run { segments, expected, calls: 0 };
    for op in &input.ops {
        run.step(op);
        run.calls += 1;
        if run.calls.is_multiple_of(CHECK_EVERY) {
            run.check();
        }
    }
    run.check();
    let Run { segments, calls, .. } = run;
    owner.release_all(segments);
    assert!(manager.verify_empty().is_ok());
    assert_eq!(manager.check_consistency(), Ok(()));
    calls
}

/// One of the segments, an offset, and as many bytes as were named.
#[derive(Clone, Copy)]
struct Access {
    which: usize,
    offset: usize,
    length: usize,
}

impl Run {
    fn access(&self, place: Place, length: Number) -> Access {
        let mut access = self.access_of(place, 0);
        access.length = length.length(self.expected[access.which].len() - access.offset.min(PAGE));
        access
    }

    fn access_of(&self, place: Place, length: usize) -> Access {
        let which = usize::from(place.which) % SEGMENTS;
        let offset = place.offset.offset(self.expected[which].len());
        Access { which, offset, length }
    }

    /// Two accesses of the same length.
    fn accesses(&self, pair: Pair, length: Number) -> [Access; 2] {
        let first = self.access(pair.first, length);
        let mut second = self.access_of(pair.second, first.length);
        if second.which == first.which {
            second.which = (first.which + 1) % SEGMENTS;
        }
        [first, second]
    }

    /// The bytes of an access, or how it must be refused.
    fn range(&self, access: Access) -> Result<Range<usize>, (usize, usize, usize)> {
        let Access { which, offset, length } = access;
        let size = self.expected[which].len();
        let fits = offset <= size && length <= size - offset;
        if fits { Ok(offset..offset + length) } else { Err((offset, length, size)) }
    }

    fn expected(&self, access: Access) -> Result<&[u8], (usize, usize, usize)> {
        self.range(access).map(|range| &self.expected[access.which][range])
    }

    fn step(&mut self, op: &Op) {
        match *op {
            Op::Get { kind, at } => self.get(Accessor::of(kind), at),
            Op::Put { kind, at, value } => self.put(Accessor::of(kind), at, value),
            Op::Slice { at, length } => {
                let access = self.access(at, length);
                let Access { which, offset, length } = access;
                let slice = self.segments[which].slice(offset, length);
                assert_eq!(slice.map_err(numbers_of), self.expected(access));
            }
            Op::SliceMut { at, length, value } => {
                let access = self.access(at, length);
                let Access { which, offset, length } = access;
                let slice = self.segments[which].slice_mut(offset, length);
                let answer = slice.map(|slice| slice.copy_from_slice(series(value, length)));
                self.written(access, value, answer);
            }
            Op::GetBytes { at, length } => self.get_bytes(self.access(at, length)),
            Op::PutBytes { at, length, value } => {
                let access = self.access(at, length);
                let source = series(value, access.length.min(LENGTH_MAX));
                let access = Access { length: source.len(), ..access };
                let answer = self.segments[access.which].put_bytes(access.offset, source);
                self.written(access, value, answer);
            }
            Op::CopyTo { pair, length } => self.copy_to(self.accesses(pair, length)),
            Op::Compare { pair, length } => {
                let [a, b] = self.accesses(pair, length);
                let (first, second) = (&self.segments[a.which], &self.segments[b.which]);
                let answer = first.compare(a.offset, second, b.offset, a.length);
                self.compared(a, b, answer.map(|order| order as i8), |a, b| a.cmp(b) as i8);
            }
            Op::CompareLengths { pair, length, other_length } => {
                let [a, mut b] = self.accesses(pair, length);
                b.length = other_length.length(self.expected[b.which].len());
                let (first, second) = (&self.segments[a.which], &self.segments[b.which]);
                let answer = first.compare_lengths(a.offset, a.length, second, b.offset, b.length);
                self.compared(a, b, answer.map(|order| order as i8), |a, b| a.cmp(b) as i8);
            }
            Op::EqualTo { pair, length } => {
                let [a, b] = self.accesses(pair, length);
                let (first, second) = (&self.segments[a.which], &self.segments[b.which]);
                let answer = first.equal_to(a.offset, second, b.offset, a.length);
                self.compared(a, b, answer, |a, b| a == b);
            }
            Op::SwapBytes { pair, length } => self.swap(self.accesses(pair, length)),
            Op::ReadFrom { at, length, short, value } => {
                self.read_from(self.access(at, length), usize::from(short % 4), value);
            }
            Op::WriteTo { at, length, short } => {
                self.write_to(self.access(at, length), usize::from(short % 4));
            }
            Op::Align { pair, length } => {
                let [mut a, mut b] = self.accesses(pair, length);
                (a.length, b.length) = (a.length.min(64), a.length.min(64));
                self.copy_to([a, b]);
            }
            Op::Check => self.check(),
        }
    }

    fn get(&self, accessor: Accessor, at: Place) {
        let access = self.access_of(at, accessor.bytes);
        let answer = (accessor.get)(&self.segments[access.which], access.offset);
        let expected = self.expected(access).map(|bytes| accessor.read(bytes));
        assert_eq!(answer.map_err(numbers_of), expected, "{accessor:?}");
    }

    fn put(&mut self, accessor: Accessor, at: Place, value: u64) {
        let access = self.access_of(at, accessor.bytes);
        let answer = (accessor.put)(&mut self.segments[access.which], access.offset, value);
        let range = self.range(access);
        assert_eq!(answer.map_err(numbers_of), range.clone().map(|_| ()), "{accessor:?}");
        if let Ok(range) = range {
            accessor.write(&mut self.expected[access.which][range], value);
        }
        self.look_about(access);
    }

    fn get_bytes(&self, access: Access) {
        let mut target = vec![0xa5; access.length.min(LENGTH_MAX)];
        let access = Access { length: target.len(), ..access };
        let answer = self.segments[access.which].get_bytes(access.offset, &mut target);
        match (answer.map_err(numbers_of), self.expected(access)) {
            (Ok(()), Ok(expected)) => assert_eq!(target, expected),
            (answer, expected) => {
                assert_eq!(answer.err(), expected.err());
                assert!(target.iter().all(|byte| *byte == 0xa5), "a refusal wrote something");
            }
        }
    }

    fn copy_to(&mut self, [from, to]: [Access; 2]) {
        let [source, target] = self.two([from, to]);
        let answer = source.copy_to(from.offset, target, to.offset, from.length);
        let ranges = self.range(from).and_then(|from| Ok((from, self.range(to)?)));
        assert_eq!(answer.map_err(numbers_of).err(), ranges.clone().err());
        if let Ok((source, target)) = ranges {
            let bytes = self.expected[from.which][source].to_vec();
            self.expected[to.which][target].copy_from_slice(&bytes);
        }
        self.look_about(from);
        self.look_about(to);
    }

    fn swap(&mut self, [a, b]: [Access; 2]) {
        let [first, second] = self.two([a, b]);
        let answer = first.swap_bytes(a.offset, second, b.offset, a.length);
        let ranges = self.range(a).and_then(|first| Ok((first, self.range(b)?)));
        assert_eq!(answer.map_err(numbers_of).err(), ranges.clone().err());
        if let Ok((first, second)) = ranges {
            let bytes = self.expected[a.which][first.clone()].to_vec();
            let others = self.expected[b.which][second.clone()].to_vec();
            self.expected[a.which][first].copy_from_slice(&others);
            self.expected[b.which][second].copy_from_slice(&bytes);
        }
        self.look_about(a);
        self.look_about(b);
    }

    /// A source that ends `short` bytes early leaves what it gave, and nothing else.
    fn read_from(&mut self, access: Access, short: usize, value: u8) {
        let Access { which, offset, length } = access;
        let bytes = series(value, length.saturating_sub(short).min(LENGTH_MAX));
        let answer = self.segments[which].read_from(&mut &*bytes, offset, length);
        match self.range(access) {
            Ok(range) => {
                let is_short = bytes.len() < length;
                let kind = answer.as_ref().err().map(io::Error::kind);
                assert_eq!(kind, is_short.then_some(io::ErrorKind::UnexpectedEof));
                let written = &self.segments[which][range.clone()];
                if is_short {
                    // How much of it is there is not promised.
                    self.expected[which][range].copy_from_slice(written);
                } else {
                    assert_eq!(written, bytes);
                    self.expected[which][range].copy_from_slice(bytes);
                }
            }
            Err(_) => {
                assert_eq!(
                    answer.err().map(|error| error.kind()),
                    Some(io::ErrorKind::InvalidInput)
                );
            }
        }
        self.look_about(access);
    }

    /// A target that has no room for the last `short` bytes.
    fn write_to(&self, access: Access, short: usize) {
        let Access { which, offset, length } = access;
        let mut room = vec![0; length.saturating_sub(short).min(LENGTH_MAX)];
        let mut target = &mut room[..];
        let kind = self.segments[which].write_to(&mut target, offset, length).err();
        let kind = kind.map(|error| error.kind());
        let Ok(expected) = self.expected(access) else {
            return assert_eq!(kind, Some(io::ErrorKind::InvalidInput));
        };
        let is_short = room.len() < length;
        assert_eq!(kind, is_short.then_some(io::ErrorKind::WriteZero));
        assert_eq!(room, expected[..room.len()]);
    }

    /// A series of bytes was written, or refused.
    fn written(&mut self, access: Access, value: u8, answer: Result<(), OutOfBounds>) {
        let range = self.range(access);
        assert_eq!(answer.map_err(numbers_of), range.clone().map(|_| ()));
        if let Ok(range) = range {
            let bytes = series(value, range.len());
            self.expected[access.which][range].copy_from_slice(bytes);
        }
        self.look_about(access);
    }

    /// A comparison says what that of the bytes says, or is refused as the first access that does
    /// not fit must be.
    fn compared<T: PartialEq + std::fmt::Debug>(
        &self,
        a: Access,
        b: Access,
        answer: Result<T, OutOfBounds>,
        compare: impl FnOnce(&[u8], &[u8]) -> T,
    ) {
        let expected = self.expected(a).and_then(|a| Ok(compare(a, self.expected(b)?)));
        assert_eq!(answer.map_err(numbers_of), expected);
    }

    /// The bytes of an access, and those beside it.
    fn look_about(&self, access: Access) {
        let Access { which, offset, length } = access;
        let (segment, expected) = (&self.segments[which], &self.expected[which]);
        let start = offset.saturating_sub(MARGIN).min(expected.len());
        let end = offset.saturating_add(length).saturating_add(MARGIN).min(expected.len());
        assert_eq!(segment[start..end], expected[start..end], "about {offset}");
    }

    fn check(&self) {
        for (segment, expected) in self.segments.iter().zip(&self.expected) {
            assert_eq!(segment.as_ref(), expected);
        }
    }

    fn two(&mut self, [a, b]: [Access; 2]) -> [&mut MemorySegment; 2] {
        let pair = self.segments.get_disjoint_mut([a.which, b.which]);
        pair.unwrap_or_else(|_| unreachable!("they are two"))
    }
}

/// The numbers of a refusal: offset, length and size.
fn numbers_of(refused: OutOfBounds) -> (usize, usize, usize) {
    (refused.offset, refused.length, refused.size)
}

/// `length` bytes that differ from their neighbours, and from those a page away.
fn series(first: u8, length: usize) -> &'static [u8] {
    static BYTES: [u8; LENGTH_MAX + 256] = {
        let mut series = [0; LENGTH_MAX + 256];
        let mut index = 0;
        while index < series.len() {
            series[index] = (index % 251).to_le_bytes()[0];
            index += 1;
        }
        series
    };
    &BYTES[usize::from(first)..][..length]
}
