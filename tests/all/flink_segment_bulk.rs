//! Flink's `MemorySegmentTestBase` and `CrossSegmentTypeTest`: bytes in bulk, across all kinds.

use std::cmp::Ordering;
use std::io::{self, Cursor, ErrorKind, Write};

use offheap::MemorySegment;
use offheap_test_support::Random;

use crate::flink_segment::owners;

/// One segment of every kind: pages of both modes and three sizes, and a block.
fn for_each_kind(mut test: impl FnMut(&mut MemorySegment)) {
    let owners = owners();
    for owner in &owners {
        test(&mut owner.allocate_page().unwrap());
    }
    test(&mut owners[0].allocate(9_000).unwrap());
}

/// Every kind with every other, and with its own.
fn for_each_pair(test: impl Fn(&mut MemorySegment, &mut MemorySegment)) {
    for_each_kind(|first| for_each_kind(|second| test(first, second)));
}

/// Offsets and lengths of which none lies within `size` bytes.
fn bad_ranges(size: usize) -> Vec<(usize, usize)> {
    const MAX: usize = usize::MAX;
    let negative = usize::wrapping_neg;
    vec![
        (0, size + 1),
        (1, size),
        (size / 2, size - size / 2 + 1),
        (size - 1, 2),
        (size, 1),
        (size + 1, 0),
        (size + 1, 1),
        (0, MAX),
        (1, MAX),
        (size, MAX),
        (MAX, 0),
        (MAX, 1),
        (MAX, 2),
        (MAX, MAX),
        (MAX / 2, 0),
        (MAX / 2 + 1, MAX / 2 + 1),
        // The sums wrap to 0, to the middle and to the end of the segment.
        (negative(size), size),
        (negative(8), 8 + size / 2),
        (negative(1), size + 1),
        (size / 2, negative(size / 2)),
        (u32::MAX as usize, 1),
        (1, u32::MAX as usize),
    ]
}

/// A range of at most `longest` bytes within `size`.
fn good_range(random: &mut Random, size: usize, longest: usize) -> (usize, usize) {
    let length = random.below(longest.min(size) + 1);
    (random.below(size - length + 1), length)
}

#[test]
fn ms05_bulk_access_refuses_every_range_that_does_not_fit_and_changes_nothing() {
    for_each_kind(|segment| {
        let size = segment.size();
        segment.fill(0x5a);
        for (offset, length) in bad_ranges(size) {
            let refused = segment.slice(offset, length).unwrap_err();
            assert_eq!((refused.offset, refused.length, refused.size), (offset, length, size));
            assert_eq!(segment.slice_mut(offset, length).unwrap_err(), refused);
            if length <= 2 * size {
                let mut target = vec![7; length];
                assert_eq!(segment.get_bytes(offset, &mut target), Err(refused));
                assert!(target.iter().all(|byte| *byte == 7), "written all the same");
                assert_eq!(segment.put_bytes(offset, &target), Err(refused));
            }
        }
        assert!(segment.iter().all(|byte| *byte == 0x5a));
        for (offset, length) in [(0, 0), (size, 0), (0, size), (size - 1, 1)] {
            assert_eq!(segment.slice(offset, length).unwrap().len(), length);
            segment.put_bytes(offset, &vec![0x5a; length]).unwrap();
        }
    });
}

#[test]
fn ms06_bytes_that_are_put_in_chunks_are_got_again() {
    for_each_kind(|segment| {
        let mut random = Random::new(6);
        let contents = random.bytes(segment.size());
        for chunks in [8, 16] {
            let chunk = segment.size() / chunks;
            segment.fill(0);
            for (index, source) in contents.chunks(chunk).enumerate().rev() {
                segment.put_bytes(index * chunk, source).unwrap();
            }
            let mut target = vec![0; segment.size()];
            for (index, target) in target.chunks_mut(chunk).enumerate() {
                segment.get_bytes(index * chunk, target).unwrap();
            }
            assert_eq!(target, contents);
        }
    });
}

#[test]
fn ms06_random_lengths_at_random_positions_agree_with_a_plain_vector() {
    for_each_kind(|segment| {
        let mut random = Random::new(66);
        segment.fill(0);
        let mut model = vec![0; segment.size()];
        for _ in 0..200 {
            let (offset, length) = good_range(&mut random, model.len(), 5_000);
            let source = random.bytes(length);
            segment.put_bytes(offset, &source).unwrap();
            model[offset..offset + length].copy_from_slice(&source);
            let (offset, length) = good_range(&mut random, model.len(), 5_000);
            let mut target = vec![0; length];
            segment.get_bytes(offset, &mut target).unwrap();
            assert_eq!(target, model[offset..offset + length]);
        }
        assert_eq!(**segment, *model);
    });
}

/// MS8 as well: the position of source and sink moves by exactly what was read or written.
#[test]
fn ms07_ms08_a_stream_fills_a_segment_and_a_segment_a_stream() {
    for_each_kind(|segment| {
        let mut random = Random::new(7);
        let contents = random.bytes(segment.size());
        let mut source = Cursor::new(&contents);
        let mut offset = 0;
        while offset < segment.size() {
            let length = (1 + random.below(3_000)).min(segment.size() - offset);
            segment.read_from(&mut source, offset, length).unwrap();
            offset += length;
            assert_eq!(source.position(), offset as u64);
        }
        let mut sink = Vec::new();
        while sink.len() < segment.size() {
            let offset = sink.len();
            let length = (1 + random.below(3_000)).min(segment.size() - offset);
            segment.write_to(&mut sink, offset, length).unwrap();
        }
        assert_eq!(sink, contents);
    });
}

/// A sink that has no room left.
struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(ErrorKind::StorageFull))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// MS9 as well: a range that does not fit leaves source and sink where they were.
#[test]
fn ms07_ms09_streams_that_are_too_short_and_ranges_that_do_not_fit_are_errors() {
    for_each_kind(|segment| {
        let size = segment.size();
        segment.fill(0x5a);
        let contents = vec![1; size];
        for (offset, length) in bad_ranges(size) {
            let mut source = Cursor::new(&contents);
            let refused = segment.read_from(&mut source, offset, length).unwrap_err();
            assert_eq!((refused.kind(), source.position()), (ErrorKind::InvalidInput, 0));
            let mut sink = Vec::new();
            let refused = segment.write_to(&mut sink, offset, length).unwrap_err();
            assert_eq!((refused.kind(), sink.len()), (ErrorKind::InvalidInput, 0));
            assert!(refused.to_string().contains("do not lie within"), "{refused}");
        }
        assert!(segment.iter().all(|byte| *byte == 0x5a));
        let short = segment.read_from(&mut &contents[1..], 0, size).unwrap_err();
        assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
        let mut small = vec![0; size - 1];
        let full = segment.write_to(&mut small.as_mut_slice(), 0, size).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::WriteZero);
        let full = segment.write_to(&mut Full, 0, size).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    });
}

#[test]
fn ms10_bytes_compare_as_unsigned_numbers_from_the_first_on() {
    for_each_pair(|first, second| {
        first.fill(0x7f);
        second.fill(0x7f);
        for length in 0..26 {
            for different in 0..length {
                second[3 + different] = 0x80;
                second[3 + length - 1] = second[3 + length - 1].max(0x7f);
                assert_eq!(first.compare(5, second, 3, length), Ok(Ordering::Less));
                assert_eq!(second.compare(3, first, 5, length), Ok(Ordering::Greater));
                // A later byte that is smaller changes nothing.
                second[3 + length] = 0;
                assert_eq!(first.compare(5, second, 3, length + 1), Ok(Ordering::Less));
                second[3 + different] = 0x7f;
                second[3 + length] = 0x7f;
            }
            assert_eq!(first.compare(5, second, 3, length), Ok(Ordering::Equal));
        }
    });
}

#[test]
fn ms10_of_two_lengths_the_prefix_comes_first() {
    for_each_pair(|first, second| {
        first.fill(9);
        second.fill(9);
        for (length, other) in (0..20).flat_map(|length| (0..20).map(move |other| (length, other)))
        {
            let ordering = first.compare_lengths(1, length, second, 2, other);
            assert_eq!(ordering, Ok(length.cmp(&other)));
        }
        second[2] = 10;
        assert_eq!(first.compare_lengths(1, 8, second, 2, 1), Ok(Ordering::Less));
        assert_eq!(first.compare_lengths(1, 8, second, 2, 0), Ok(Ordering::Greater));
    });
}

#[test]
fn ms11_equality_sees_every_byte_and_none_beside_them() {
    for_each_pair(|first, second| {
        let contents = Random::new(11).bytes(40);
        first.put_bytes(7, &contents).unwrap();
        second.put_bytes(2, &contents).unwrap();
        for length in 0..=contents.len() {
            assert_eq!(first.equal_to(7, second, 2, length), Ok(true));
            for different in 0..contents.len() {
                second[2 + different] ^= 1;
                assert_eq!(first.equal_to(7, second, 2, length), Ok(different >= length));
                second[2 + different] ^= 1;
            }
        }
    });
}

#[test]
fn ms12_two_halves_are_exchanged_in_random_pieces() {
    for_each_pair(|first, second| {
        let mut random = Random::new(12);
        let half = first.size().min(second.size()) / 2;
        let [mine, other] = [(); 2].map(|()| random.bytes(half));
        first.fill(1);
        second.fill(2);
        first.put_bytes(half, &mine).unwrap();
        second.put_bytes(0, &other).unwrap();
        let mut done = 0;
        while done < half {
            let piece = (1 + random.below(1 + half / 7)).min(half - done);
            first.swap_bytes(half + done, second, done, piece).unwrap();
            done += piece;
        }
        assert_eq!(first.slice(half, half).unwrap(), other);
        assert_eq!(second.slice(0, half).unwrap(), mine);
        assert!(first[..half].iter().all(|byte| *byte == 1));
        assert!(second[half..].iter().all(|byte| *byte == 2));
    });
}

#[test]
fn ms13_random_copies_agree_with_plain_vectors() {
    for_each_pair(|first, second| {
        let mut random = Random::new(13);
        let contents = random.bytes(first.size());
        first.put_bytes(0, &contents).unwrap();
        second.fill(0);
        let mut model = vec![0; second.size()];
        for _ in 0..50 {
            let (offset, length) = good_range(&mut random, contents.len().min(model.len()), 2_000);
            let target = random.below(model.len() - length + 1);
            first.copy_to(offset, second, target, length).unwrap();
            model[target..target + length].copy_from_slice(&contents[offset..offset + length]);
        }
        assert_eq!(**second, *model);
        assert_eq!(**first, *contents);
    });
}

/// MS10 to MS13 where one of the two ranges does not fit.
#[test]
fn ms10_to_ms13_refuse_a_bad_range_on_either_side_and_change_nothing() {
    for_each_pair(|first, second| {
        let [mine, other] = [first.size(), second.size()].map(|size| Random::new(9).bytes(size));
        first.put_bytes(0, &mine).unwrap();
        second.put_bytes(0, &other).unwrap();
        let bad_here = bad_ranges(first.size()).into_iter().map(|(at, length)| (at, 0, length));
        let bad_there = bad_ranges(second.size()).into_iter().map(|(at, length)| (0, at, length));
        let both = [(usize::MAX, usize::MAX, 1), (usize::MAX, usize::MAX, usize::MAX)];
        for (here, there, length) in bad_here.chain(bad_there).chain(both) {
            first.compare(here, second, there, length).unwrap_err();
            first.compare_lengths(here, length, second, there, length).unwrap_err();
            first.equal_to(here, second, there, length).unwrap_err();
            first.swap_bytes(here, second, there, length).unwrap_err();
            first.copy_to(here, second, there, length).unwrap_err();
        }
        first.compare_lengths(0, 1, second, usize::MAX, 0).unwrap_err();
        first.compare_lengths(usize::MAX, 0, second, 0, 1).unwrap_err();
        assert_eq!(**first, *mine);
        assert_eq!(**second, *other);
    });
}

#[test]
fn ms15_what_is_written_through_a_slice_is_seen_by_the_accessors_and_the_other_way_round() {
    for_each_kind(|segment| {
        let size = segment.size();
        let slice = segment.slice_mut(size - 10, 9).unwrap();
        slice[1..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(segment.get_u64_be(size - 9), Ok(0x0102_0304_0506_0708));
        assert_eq!(segment.get_u64_le(size - 9), Ok(0x0807_0605_0403_0201));
        segment.put_u32_be(size - 10, 0xcafe_babe).unwrap();
        assert_eq!(segment.slice(size - 10, 4).unwrap(), [0xca, 0xfe, 0xba, 0xbe]);
        segment.as_mut()[0] = 42;
        assert_eq!((segment[0], segment.as_ref()[0], segment.get_u8(0)), (42, 42, Ok(42)));
    });
}

#[test]
fn ms24_bytes_are_copied_so_later_changes_of_the_source_are_not_seen() {
    for_each_kind(|segment| {
        let mut source = vec![1, 2, 3, 4];
        segment.put_bytes(1, &source).unwrap();
        source.fill(9);
        assert_eq!(segment.slice(1, 4).unwrap(), [1, 2, 3, 4]);
        let mut copy = [0; 4];
        segment.get_bytes(1, &mut copy).unwrap();
        segment.fill(0);
        assert_eq!(copy, [1, 2, 3, 4]);
        segment.put_i32_be(0, 0x0102_0304).unwrap();
        assert_eq!(segment.slice(0, 4).unwrap(), [1, 2, 3, 4]);
    });
}
