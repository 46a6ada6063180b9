//! The accessors of every number type, beside numbers that are put together byte by byte.

use offheap::MemorySegment;
use offheap::error::OutOfBounds;

/// A number type and its byte order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accessor {
    /// The bytes of a number.
    pub(super) bytes: usize,
    pub(super) is_big_endian: bool,
    /// Whether it reads any byte but 0 as 1.
    pub(super) is_bool: bool,
    /// Reads the bits of a number.
    pub(super) get: fn(&MemorySegment, usize) -> Result<u64, OutOfBounds>,
    /// Sets a number to the lowest bits.
    pub(super) put: fn(&mut MemorySegment, usize, u64) -> Result<(), OutOfBounds>,
}

impl Accessor {
    pub(super) fn of(kind: u8) -> Self {
        ACCESSORS[usize::from(kind) % ACCESSORS.len()]
    }

    /// The bits of the number that lies in `bytes`.
    pub(super) fn read(self, bytes: &[u8]) -> u64 {
        let add = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match self.is_big_endian {
            _ if self.is_bool => u64::from(bytes[0] != 0),
            true => bytes.iter().fold(0, add),
            false => bytes.iter().rev().fold(0, add),
        }
    }

    /// Writes the lowest bits of `value` as a number to `bytes`.
    pub(super) fn write(self, bytes: &mut [u8], value: u64) {
        let last = bytes.len() - 1;
        for (index, byte) in bytes.iter_mut().enumerate() {
            let place = if self.is_big_endian { last - index } else { index };
            *byte = (value >> (8 * place)).to_le_bytes()[0];
        }
        if self.is_bool {
            bytes[0] &= 1;
        }
    }
}

/// The accessors of a number type: its size, how it is had from bits, and how bits are had of it.
macro_rules! accessors {
    ($($size:literal $big:literal $get:ident $put:ident $from:expr, $bits:expr;)+) => {
        [$(
            Accessor {
                bytes: $size,
                is_big_endian: $big,
                is_bool: false,
                get: |segment, offset| segment.$get(offset).map($bits),
                put: |segment, offset, bits| segment.$put(offset, $from(bits)),
            },
        )+
            Accessor {
                bytes: 1,
                is_big_endian: false,
                is_bool: true,
                get: |segment, offset| segment.get_bool(offset).map(u64::from),
                put: |segment, offset, bits| segment.put_bool(offset, bits & 1 == 1),
            },
        ]
    };
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are the number")]
const ACCESSORS: [Accessor; 19] = accessors! {
    1 false get_u8 put_u8 |bits| bits as u8, u64::from;
    1 false get_i8 put_i8 |bits| bits as i8, |number| u64::from(number.cast_unsigned());
    2 false get_u16_le put_u16_le |bits| bits as u16, u64::from;
    2 true get_u16_be put_u16_be |bits| bits as u16, u64::from;
    2 false get_i16_le put_i16_le |bits| bits as i16, |number| u64::from(number.cast_unsigned());
    2 true get_i16_be put_i16_be |bits| bits as i16, |number| u64::from(number.cast_unsigned());
    4 false get_u32_le put_u32_le |bits| bits as u32, u64::from;
    4 true get_u32_be put_u32_be |bits| bits as u32, u64::from;
    4 false get_i32_le put_i32_le |bits| bits as i32, |number| u64::from(number.cast_unsigned());
    4 true get_i32_be put_i32_be |bits| bits as i32, |number| u64::from(number.cast_unsigned());
    8 false get_u64_le put_u64_le |bits| bits, |number| number;
    8 true get_u64_be put_u64_be |bits| bits, |number| number;
    8 false get_i64_le put_i64_le |bits: u64| bits.cast_signed(), |number| number.cast_unsigned();
    8 true get_i64_be put_i64_be |bits: u64| bits.cast_signed(), |number| number.cast_unsigned();
    4 false get_f32_le put_f32_le |bits| f32::from_bits(bits as u32), |n| u64::from(n.to_bits());
    4 true get_f32_be put_f32_be |bits| f32::from_bits(bits as u32), |n| u64::from(n.to_bits());
    8 false get_f64_le put_f64_le f64::from_bits, |number| number.to_bits();
    8 true get_f64_be put_f64_be f64::from_bits, |number| number.to_bits();
};
