//! Flink's `MemorySegmentTestBase`: one value at a time. `flink_segment_bulk` has the rest.
//!
//! What Java checks at run time and Rust at compile time, and what has no counterpart:
//!
//! | ids              | how                                                                 |
//! |------------------|---------------------------------------------------------------------|
//! | MS14, MS16, MS23 | no raw addresses, no wrapping of foreign memory                     |
//! | MS15             | a slice of the segment is its wrapper                               |
//! | MS18 to MS20     | use after free does not compile: a release consumes the segment     |
//! | MS21             | a segment is dropped once; that it is credited once is MM5          |
//! | MS22             | `manager::access` is tested with sizes from 0; a segment has a page |
//! | MS25             | both modes show the same interface                                  |

use std::cell::RefCell;
use std::collections::HashSet;

use offheap::{MemorySegment, Owner, config::MemoryMode, error::OutOfBounds};
use offheap_test_support::Random;

use crate::support::{changes_nothing, manager};

type Get = fn(&MemorySegment, usize) -> Result<u64, OutOfBounds>;
type Put = fn(&mut MemorySegment, usize, u64) -> Result<(), OutOfBounds>;

/// The accessors of one number type in one byte order; values are given as their bits.
struct Accessor {
    name: &'static str,
    width: usize,
    big_endian: bool,
    get: Get,
    put: Put,
}

impl Accessor {
    /// The bytes of `bits` in memory.
    fn layout(&self, bits: u64) -> Vec<u8> {
        let mut bytes = bits.to_le_bytes()[..self.width].to_vec();
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    /// The part of `bits` that the type has room for.
    fn truncate(&self, bits: u64) -> u64 {
        bits & (u64::MAX >> (64 - 8 * self.width))
    }
}

macro_rules! accessors {
    ($($type:ident: $($get:ident $put:ident $big_endian:literal),+;)+) => {
        vec![$($(Accessor {
            name: stringify!($get),
            width: size_of::<$type>(),
            big_endian: $big_endian,
            get: |segment, offset| {
                let mut bits = [0; 8];
                let value = segment.$get(offset)?.to_le_bytes();
                bits[..value.len()].copy_from_slice(&value);
                Ok(u64::from_le_bytes(bits))
            },
            put: |segment, offset, bits| {
                let bytes = bits.to_le_bytes();
                segment.$put(offset, $type::from_le_bytes(*bytes.first_chunk().unwrap()))
            },
        },)+)+]
    };
}

fn accessors() -> Vec<Accessor> {
    accessors! {
        u8: get_u8 put_u8 false;
        i8: get_i8 put_i8 false;
        u16: get_u16_le put_u16_le false, get_u16_be put_u16_be true;
        i16: get_i16_le put_i16_le false, get_i16_be put_i16_be true;
        u32: get_u32_le put_u32_le false, get_u32_be put_u32_be true;
        i32: get_i32_le put_i32_le false, get_i32_be put_i32_be true;
        u64: get_u64_le put_u64_le false, get_u64_be put_u64_be true;
        i64: get_i64_le put_i64_le false, get_i64_be put_i64_be true;
        f32: get_f32_le put_f32_le false, get_f32_be put_f32_be true;
        f64: get_f64_le put_f64_le false, get_f64_be put_f64_be true;
    }
}

/// Owners of both modes with pages of 4 KiB, 32 KiB and 512 KiB.
pub fn owners() -> Vec<Owner> {
    let mut owners = Vec::new();
    for page_bytes in [4 << 10, 32 << 10, 512 << 10] {
        for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
            let manager = manager(mode, 32, page_bytes);
            let name = format!("{mode:?} with pages of {page_bytes}");
            owners.push(manager.owner(name).register().unwrap());
        }
    }
    owners
}

/// Segments of every kind: pages of both modes and all sizes, and a block.
fn segments() -> Vec<MemorySegment> {
    let mut segments: Vec<_> =
        owners().iter().map(|owner| owner.allocate_page().unwrap()).collect();
    segments.push(owners()[0].allocate(9_000).unwrap());
    segments
}

/// Offsets at which `width` bytes do not fit: around the end, and where sums overflow.
fn bad_offsets(size: usize, width: usize) -> impl Iterator<Item = usize> {
    let near_end = (size - width + 1)..=(size + 1);
    let extremes = [usize::MAX, usize::MAX - 1, usize::MAX / 2, usize::MAX / 2 + 1];
    let negative = [1_usize, size, size - 1, width].map(usize::wrapping_neg);
    let beyond = [2 * size, u32::MAX as usize, i32::MAX as usize, 1 << 32];
    near_end
        .chain(extremes)
        .chain(negative)
        .chain(beyond)
        .chain([usize::MAX - (width - 1), usize::MAX - width, size - (width - 1)])
        .filter(move |offset| *offset as u128 + width as u128 > size as u128)
}

#[test]
fn ms01_every_accessor_refuses_every_offset_at_which_its_value_does_not_fit() {
    for mut segment in segments() {
        let size = segment.size();
        segment.fill(0x5a);
        for accessor in accessors() {
            let Accessor { name, width, get, put, .. } = accessor;
            for offset in bad_offsets(size, width) {
                let refused = get(&segment, offset).unwrap_err();
                let numbers = (refused.offset, refused.length, refused.size);
                assert_eq!(numbers, (offset, width, size), "{name}");
                assert_eq!(put(&mut segment, offset, 0), Err(refused), "{name}");
            }
            assert!(segment.iter().all(|byte| *byte == 0x5a), "{name} wrote all the same");
            for offset in [0, 1, size - width] {
                put(&mut segment, offset, 7).unwrap();
                assert_eq!(get(&segment, offset), Ok(7), "{name}");
                segment.slice_mut(offset, width).unwrap().fill(0x5a);
            }
        }
    }
}

#[test]
fn ms01_a_boolean_is_a_byte_that_is_not_zero() {
    for mut segment in segments() {
        let size = segment.size();
        for offset in bad_offsets(size, 1) {
            assert!(segment.get_bool(offset).is_err());
            assert!(segment.put_bool(offset, true).is_err());
        }
        for byte in 0..=u8::MAX {
            segment.put_u8(size - 1, byte).unwrap();
            assert_eq!(segment.get_bool(size - 1), Ok(byte != 0));
        }
        for value in [true, false] {
            segment.put_bool(0, value).unwrap();
            assert_eq!(segment.get_bool(0), Ok(value));
            assert_eq!(segment.get_u8(0), Ok(u8::from(value)));
        }
    }
}

#[test]
fn ms01_the_error_names_the_numbers() {
    let segment = segments().swap_remove(0);
    let refused = segment.get_u64_le(4_090).unwrap_err();
    assert_eq!(refused.to_string(), "8 bytes at offset 4090 do not lie within 4096 bytes");
}

#[test]
fn ms02_what_is_written_in_sequence_is_read_again() {
    for mut segment in segments() {
        for accessor in accessors() {
            let Accessor { name, width, get, put, .. } = accessor;
            let values = segment.size() / width;
            // Large pages from both ends, so that debug builds are done in time.
            let indices: Vec<_> = if values > 8_000 {
                (0..4_000).chain(values - 4_000..values).collect()
            } else {
                (0..values).collect()
            };
            let mut random = Random::new(2);
            for index in &indices {
                put(&mut segment, index * width, random.bits()).unwrap();
            }
            let mut random = Random::new(2);
            for index in &indices {
                let written = accessor.truncate(random.bits());
                assert_eq!(get(&segment, index * width), Ok(written), "{name} {index}");
            }
        }
    }
}

#[test]
fn ms02_a_thousand_unaligned_values_do_not_disturb_each_other() {
    for mut segment in segments() {
        for accessor in accessors() {
            let Accessor { name, width, get, put, .. } = accessor;
            let mut random = Random::new(1_000);
            let mut used = HashSet::new();
            let mut written = Vec::new();
            for _ in 0..1_000 {
                let offset = random.below(segment.size() - width + 1);
                if (offset..offset + width).all(|byte| !used.contains(&byte)) {
                    used.extend(offset..offset + width);
                    let bits = accessor.truncate(random.bits());
                    put(&mut segment, offset, bits).unwrap();
                    written.push((offset, bits));
                }
            }
            assert!(written.len() > 100, "{name}");
            for (offset, bits) in written {
                assert_eq!(get(&segment, offset), Ok(bits), "{name} {offset}");
            }
        }
    }
}

#[test]
fn ms03_floating_point_numbers_keep_every_bit() {
    let singles =
        [0x7fc0_0000, 0x7f80_0001, 0xffbf_ffff, 0x7fff_ffff, 0x8000_0000, 1, 0x7f80_0000_u32];
    let doubles = [0x7ff0_0000_0000_0001, 0x7ff8_dead_beef_cafe, u64::MAX, 1 << 63, 1];
    for mut segment in segments() {
        let offset = RefCell::new((0..).step_by(9));
        let next = || offset.borrow_mut().next().unwrap();
        for bits in singles {
            let (le, be) = (next(), next());
            segment.put_f32_le(le, f32::from_bits(bits)).unwrap();
            segment.put_f32_be(be, f32::from_bits(bits)).unwrap();
            assert_eq!(segment.get_u32_le(le), Ok(bits));
            assert_eq!(segment.get_u32_be(be), Ok(bits));
            assert_eq!(segment.get_f32_le(le).unwrap().to_bits(), bits);
            assert_eq!(segment.get_f32_be(be).unwrap().to_bits(), bits);
        }
        for bits in doubles {
            let (le, be) = (next(), next());
            segment.put_f64_le(le, f64::from_bits(bits)).unwrap();
            segment.put_f64_be(be, f64::from_bits(bits)).unwrap();
            assert_eq!(segment.get_u64_le(le), Ok(bits));
            assert_eq!(segment.get_u64_be(be), Ok(bits));
            assert_eq!(segment.get_f64_le(le).unwrap().to_bits(), bits);
            assert_eq!(segment.get_f64_be(be).unwrap().to_bits(), bits);
        }
    }
}

#[test]
fn ms04_little_and_big_endian_are_what_they_say_and_mirror_each_other() {
    for mut segment in segments() {
        let accessors = accessors();
        let mut random = Random::new(4);
        for accessor in &accessors {
            for _ in 0..200 {
                let offset = random.below(segment.size() - accessor.width + 1);
                let bits = accessor.truncate(random.bits());
                (accessor.put)(&mut segment, offset, bits).unwrap();
                let bytes = segment.slice(offset, accessor.width).unwrap();
                assert_eq!(bytes, accessor.layout(bits), "{}", accessor.name);
                for other in accessors.iter().filter(|other| other.width == accessor.width) {
                    let same_order = other.big_endian == accessor.big_endian;
                    let mirrored = bits.swap_bytes() >> (64 - 8 * accessor.width);
                    let expected = if same_order || other.width == 1 { bits } else { mirrored };
                    assert_eq!((other.get)(&segment, offset), Ok(expected), "{}", other.name);
                }
            }
        }
    }
}

#[test]
fn ms17_a_segment_knows_the_name_of_its_owner_even_after_the_owner_is_gone() {
    for owner in owners() {
        let name = owner.name().to_owned();
        let page = owner.allocate_page().unwrap();
        drop(owner);
        assert_eq!(page.owner_path(), name);
        assert!(format!("{page:?}").contains(&name));
    }
}

#[test]
fn ms18_a_segment_has_the_size_that_was_granted() {
    for owner in owners() {
        let page_bytes = owner.page_size();
        let page = owner.allocate_page().unwrap();
        assert_eq!(
            (page.size(), page.len(), page.as_ref().len()),
            (page_bytes, page_bytes, page_bytes)
        );
        let block = owner.allocate(2 * page_bytes + 1).unwrap();
        assert_eq!((block.size(), block.len()), (3 * page_bytes, 3 * page_bytes));
    }
}

#[test]
fn a_failed_access_changes_neither_the_segment_nor_the_manager() {
    for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
        let manager = manager(mode, 4, 4 << 10);
        let owner = manager.owner("owner").register().unwrap();
        let mut page = owner.allocate_page().unwrap();
        let contents = Random::new(5).bytes(page.size());
        page.put_bytes(0, &contents).unwrap();
        changes_nothing(&manager, || {
            page.put_u64_le(page.size() - 7, u64::MAX).unwrap_err();
            page.put_bytes(1, &contents).unwrap_err();
        });
        assert_eq!(*page, *contents);
    }
}
