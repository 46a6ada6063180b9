//! Streams over pages: what was written is read again, across the borders of pages.

use std::io::{BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};

use offheap::segments::{PageReader, PageWriter};
use offheap::{AllocationError, MemorySegment, Owner};
use offheap_test_support::Random;

use crate::support::{PAGE, address, assert_empty, in_both_modes, manager};

/// A writer for an owner that may hold so many pages.
fn owner_of(mode: offheap::config::MemoryMode, pages: usize) -> Owner {
    manager(mode, pages, PAGE).owner("stream").register().unwrap()
}

/// Segments of one, two and three pages in turn, `pages` in all.
fn uneven(owner: &Owner, pages: usize) -> Vec<MemorySegment> {
    let mut left = pages;
    let sizes = (1..=3).cycle().map_while(|size| {
        let size = left.min(size);
        left -= size;
        (size > 0).then_some(size)
    });
    sizes.map(|size| owner.allocate(size * PAGE).unwrap()).collect()
}

/// OP5: a million integers, over pages and over segments of several sizes.
#[test]
fn op5_a_million_integers_come_back() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 1_600);
        let writers =
            [PageWriter::new(&owner), PageWriter::with_segments(&owner, uneven(&owner, 500))];
        for mut writer in writers {
            for number in 0..1_000_000_u32 {
                writer.write_all(&number.to_be_bytes()).unwrap();
            }
            assert_eq!(writer.len(), 4_000_000);
            // In whole pages, and in one page more at most.
            assert!(writer.held_bytes() - writer.len() < 3 * PAGE);
            let mut reader = writer.into_reader();
            let mut bytes = [0; 4];
            for number in 0..1_000_000_u32 {
                reader.read_exact(&mut bytes).unwrap();
                assert_eq!(u32::from_be_bytes(bytes), number);
            }
            assert_eq!(reader.read(&mut bytes).unwrap(), 0);
            let ended = reader.read_exact(&mut bytes).unwrap_err();
            assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
        }
        assert_eq!(owner.used_bytes(), 0);
    });
}

/// OP5: records of random types and lengths, many of which cross a border.
#[test]
fn op5_random_records_come_back_across_the_borders_of_pages() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 600);
        let (mut writer, mut random) = (PageWriter::new(&owner), Random::new(5));
        let record = |random: &mut Random| -> Vec<u8> {
            match random.below(6) {
                0 => vec![u8::from(random.chance())],
                1 => (random.below(1 << 16) as u64).to_le_bytes()[..2].to_vec(),
                2 => 1.5_f32.to_be_bytes().to_vec(),
                3 => (random.below(usize::MAX) as u64).to_le_bytes().to_vec(),
                4 => "ein Wort".repeat(1 + random.below(40)).into_bytes(),
                _ => vec![7; random.below(3 * PAGE)],
            }
        };
        for _ in 0..900 {
            writer.write_all(&record(&mut random)).unwrap();
        }
        let mut expected = Random::new(5);
        let mut reader = writer.into_reader();
        for _ in 0..900 {
            let record = record(&mut expected);
            let mut bytes = vec![0; record.len()];
            reader.read_exact(&mut bytes).unwrap();
            assert_eq!(bytes, record);
        }
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), 0);
    });
}

#[test]
fn a_writer_does_what_a_cursor_over_a_vector_does() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 64);
        // What was there before does not show.
        owner.allocate(64 * PAGE).unwrap().fill(0xab);
        let mut random = Random::new(11);
        for round in 0..20 {
            let segments = uneven(&owner, round % 5);
            let mut writer = PageWriter::with_segments(&owner, segments);
            let mut model = Cursor::new(Vec::new());
            for step in 0..60_u8 {
                let target = match random.below(4) {
                    0 => SeekFrom::Start(random.below(6 * PAGE) as u64),
                    1 => SeekFrom::Current(random.below(2 * PAGE) as i64 - PAGE as i64),
                    2 => SeekFrom::End(random.below(PAGE) as i64 - PAGE as i64 / 2),
                    _ => SeekFrom::Current(0),
                };
                let sought = writer.seek(target).map_err(|error| error.kind());
                assert_eq!(sought, model.seek(target).map_err(|error| error.kind()));
                let bytes = vec![step; random.below(2 * PAGE)];
                writer.write_all(&bytes).unwrap();
                model.write_all(&bytes).unwrap();
                assert_eq!(writer.stream_position().unwrap(), model.position());
                assert_eq!(writer.len(), model.get_ref().len());
            }
            let mut bytes = Vec::new();
            writer.into_reader().read_to_end(&mut bytes).unwrap();
            assert!(bytes == *model.get_ref(), "round {round}");
        }
        assert_eq!(owner.used_bytes(), 0);
    });
}

#[test]
fn a_reader_does_what_a_cursor_over_a_vector_does() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 16);
        let mut segments = uneven(&owner, 11);
        let mut random = Random::new(3);
        segments.iter_mut().flat_map(|segment| segment.iter_mut()).for_each(|byte| {
            *byte = u8::try_from(random.below(256)).unwrap();
        });
        let len = 10 * PAGE + 17;
        let mut bytes: Vec<u8> =
            segments.iter().flat_map(|segment| segment.iter()).copied().collect();
        bytes.truncate(len);
        let (mut reader, mut model) = (PageReader::new(segments, len), Cursor::new(bytes));
        for _ in 0..2_000 {
            match random.below(4) {
                0 => {
                    let target = match random.below(3) {
                        0 => SeekFrom::Start(random.below(12 * PAGE) as u64),
                        1 => SeekFrom::Current(random.below(4 * PAGE) as i64 - 2 * PAGE as i64),
                        _ => SeekFrom::End(random.below(PAGE) as i64 - PAGE as i64 / 2),
                    };
                    let sought = reader.seek(target).map_err(|error| error.kind());
                    assert_eq!(sought, model.seek(target).map_err(|error| error.kind()));
                }
                1 => {
                    let shown = reader.fill_buf().unwrap();
                    let all = model.fill_buf().unwrap();
                    assert_eq!(shown, &all[..shown.len()]);
                    assert_eq!(shown.is_empty(), all.is_empty());
                    let part = random.below(shown.len() + 1);
                    reader.consume(part);
                    model.consume(part);
                }
                _ => {
                    let wanted = random.below(3 * PAGE);
                    let [mut found, mut expected] = [vec![0; wanted], vec![0; wanted]];
                    let read =
                        [reader.read(&mut found), model.read(&mut expected)].map(Result::unwrap);
                    assert_eq!(read[0], read[1]);
                    assert!(found == expected);
                }
            }
            assert_eq!(reader.stream_position().unwrap(), model.position());
        }
        assert_eq!(reader.len(), len);
    });
}

#[test]
fn lines_are_read_across_the_borders_of_pages() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 16);
        let mut writer = PageWriter::new(&owner);
        (0..5_000).for_each(|line| writeln!(writer, "line {line}").unwrap());
        for (number, line) in writer.into_reader().lines().enumerate() {
            assert_eq!(line.unwrap(), format!("line {number}"));
        }
    });
}

#[test]
fn a_refusal_loses_nothing_and_the_rest_can_be_written_later() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 5);
        let other = owner.allocate_pages(2).unwrap();
        let bytes: Vec<u8> = (0..=250).cycle().take(5 * PAGE).collect();
        let mut writer = PageWriter::new(&owner);
        assert_eq!(writer.write(&bytes).unwrap(), 3 * PAGE, "as much as there is room for");
        let refused = writer.write_all(&bytes[writer.len()..]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::OutOfMemory);
        let refused = refused.downcast::<AllocationError>().unwrap();
        assert_eq!(refused.refusal().requested_bytes, PAGE);
        assert_eq!((writer.len(), writer.held_bytes()), (3 * PAGE, 3 * PAGE));
        drop(other);
        writer.write_all(&bytes[writer.len()..]).unwrap();
        let mut read = Vec::new();
        writer.into_reader().read_to_end(&mut read).unwrap();
        assert!(read == bytes);
    });
}

#[test]
fn a_gap_is_there_as_a_whole_or_not_at_all_and_is_zero() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 8);
        owner.allocate(8 * PAGE).unwrap().fill(0xab);
        let mut writer = PageWriter::new(&owner);
        writer.write_all(b"begin").unwrap();
        for beyond in [8 * PAGE as u64, 1 << 40, u64::MAX - 1, u64::MAX] {
            writer.seek(SeekFrom::Start(beyond)).unwrap();
            assert_eq!(writer.write(&[]).unwrap(), 0, "nothing is wanted there");
            assert_eq!(writer.write(b"x").unwrap_err().kind(), ErrorKind::OutOfMemory);
            assert_eq!((writer.len(), writer.held_bytes()), (5, PAGE));
            assert_eq!(writer.seek(SeekFrom::Current(i64::MAX)).is_ok(), beyond < 1 << 63);
        }
        writer.seek(SeekFrom::Start(7 * PAGE as u64 + 3)).unwrap();
        writer.write_all(b"end").unwrap();
        assert_eq!((writer.len(), writer.held_bytes()), (7 * PAGE + 6, 8 * PAGE));
        let mut read = Vec::new();
        writer.into_reader().read_to_end(&mut read).unwrap();
        assert_eq!((&read[..5], &read[7 * PAGE + 3..]), (&b"begin"[..], &b"end"[..]));
        assert!(read[5..7 * PAGE + 3].iter().all(|byte| *byte == 0));
    });
}

#[test]
fn nothing_is_copied_when_a_writer_grows_or_becomes_something_else() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 20);
        let first = owner.allocate_page().unwrap();
        let at = address(&first);
        let mut writer = PageWriter::with_segments(&owner, vec![first]);
        writer.write_all(&[3; 9 * PAGE]).unwrap();
        let reader = writer.into_reader();
        assert_eq!(owner.used_bytes(), 9 * PAGE);
        let segments = reader.into_segments();
        assert_eq!((segments.len(), address(&segments[0])), (9, at));
        let segments = PageReader::from(segments).into_segments();
        let mut writer = PageWriter::with_segments(&owner, segments);
        assert!(writer.is_empty(), "what they contain does not count");
        writer.write_all(&[4; PAGE]).unwrap();
        assert_eq!(owner.used_bytes(), 9 * PAGE);
        let segments = writer.into_segments();
        assert_eq!((segments.len(), segments[0][0], segments[1][0]), (9, 4, 3));
    });
}

#[test]
fn a_consuming_reader_gives_each_segment_back_once_it_was_read() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 12);
        let mut writer = PageWriter::with_segments(&owner, uneven(&owner, 6));
        writer.write_all(&[5; 8 * PAGE + 1]).unwrap();
        let mut reader = writer.into_reader();
        // In the second segment, of two pages, of 1, 2, 3, 1, 1 and 1.
        reader.seek(SeekFrom::Start(2 * PAGE as u64)).unwrap();
        let mut reader = reader.into_consuming();
        assert_eq!((owner.used_bytes(), reader.left_bytes()), (8 * PAGE, 6 * PAGE + 1));
        let mut page = [0; PAGE];
        for held in [6, 6, 6, 3, 2, 1] {
            reader.read_exact(&mut page).unwrap();
            assert_eq!((owner.used_bytes(), page), (held * PAGE, [5; PAGE]));
            assert_eq!(reader.held_bytes(), held * PAGE);
        }
        assert_eq!(reader.fill_buf().unwrap(), [5]);
        reader.consume(7);
        assert_eq!((owner.used_bytes(), reader.left_bytes()), (0, 0));
        assert_eq!(reader.read(&mut page).unwrap(), 0);
    });
}

#[test]
fn what_lies_behind_the_bytes_goes_back_with_the_last_of_them() {
    in_both_modes(|mode| {
        let owner = owner_of(mode, 12);
        let pages = owner.allocate_pages(5).unwrap();
        let mut reader = PageReader::new(pages, PAGE + 1).into_consuming();
        let mut bytes = Vec::new();
        assert_eq!(reader.read_to_end(&mut bytes).unwrap(), PAGE + 1);
        assert_eq!(owner.used_bytes(), 0);
        let none = PageReader::new(owner.allocate_pages(2).unwrap(), 0);
        assert!(none.is_empty());
        assert_eq!(none.into_consuming().held_bytes(), 0);
    });
}

#[test]
fn dropped_streams_give_their_pages_back() {
    in_both_modes(|mode| {
        let manager = manager(mode, 12, PAGE);
        let owner = manager.owner("stream").register().unwrap();
        let mut writer = PageWriter::new(&owner);
        writer.write_all(&[1; 3 * PAGE]).unwrap();
        let mut other = PageWriter::new(&owner);
        other.write_all(&[1; 3 * PAGE]).unwrap();
        let text = format!("{writer:?} {other:?}");
        assert!(text.contains("owner: \"stream\", position: 12288, len: 12288, held: 12288"));
        drop(writer);
        drop(other.into_reader().into_consuming());
        assert_empty(&manager);
    });
}
