//! Typed access to a segment: numbers at any byte offset.

use crate::base::error::OutOfBounds;

use super::bounds;
use super::memory_segment::MemorySegment;

/// Declares the accessors of one number type, little and big endian.
macro_rules! numbers {
    ($($type:ident: $get_le:ident $put_le:ident $get_be:ident $put_be:ident),+ $(,)?) => {
        $(
            #[doc = concat!("The little-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $get_le(&self, offset: usize) -> Result<$type, OutOfBounds> {
                bounds::get(self, offset).map($type::from_le_bytes)
            }

            #[doc = concat!("Sets the little-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $put_le(&mut self, offset: usize, value: $type) -> Result<(), OutOfBounds> {
                bounds::put(self, offset, value.to_le_bytes())
            }

            #[doc = concat!("The big-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $get_be(&self, offset: usize) -> Result<$type, OutOfBounds> {
                bounds::get(self, offset).map($type::from_be_bytes)
            }

            #[doc = concat!("Sets the big-endian `", stringify!($type), "` at `offset`.")]
            ///
            /// # Errors
            ///
            /// If it does not lie within the segment.
            #[inline]
            pub fn $put_be(&mut self, offset: usize, value: $type) -> Result<(), OutOfBounds> {
                bounds::put(self, offset, value.to_be_bytes())
            }
        )+
    };
}

/// Typed access. Floating-point numbers keep every bit.
impl MemorySegment {
    numbers! {
        u16: get_u16_le put_u16_le get_u16_be put_u16_be,
        i16: get_i16_le put_i16_le get_i16_be put_i16_be,
        u32: get_u32_le put_u32_le get_u32_be put_u32_be,
        i32: get_i32_le put_i32_le get_i32_be put_i32_be,
        u64: get_u64_le put_u64_le get_u64_be put_u64_be,
        i64: get_i64_le put_i64_le get_i64_be put_i64_be,
        f32: get_f32_le put_f32_le get_f32_be put_f32_be,
        f64: get_f64_le put_f64_le get_f64_be put_f64_be,
    }

    /// The byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn get_u8(&self, offset: usize) -> Result<u8, OutOfBounds> {
        bounds::get(self, offset).map(u8::from_ne_bytes)
    }

    /// Sets the byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn put_u8(&mut self, offset: usize, value: u8) -> Result<(), OutOfBounds> {
        bounds::put(self, offset, value.to_ne_bytes())
    }

    /// The signed byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn get_i8(&self, offset: usize) -> Result<i8, OutOfBounds> {
        bounds::get(self, offset).map(i8::from_ne_bytes)
    }

    /// Sets the signed byte at `offset`.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn put_i8(&mut self, offset: usize, value: i8) -> Result<(), OutOfBounds> {
        bounds::put(self, offset, value.to_ne_bytes())
    }

    /// The boolean at `offset`: whether the byte is not zero.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn get_bool(&self, offset: usize) -> Result<bool, OutOfBounds> {
        self.get_u8(offset).map(|byte| byte != 0)
    }

    /// Sets the boolean at `offset`, as a byte of 0 or 1.
    ///
    /// # Errors
    ///
    /// If it does not lie within the segment.
    #[inline]
    pub fn put_bool(&mut self, offset: usize, value: bool) -> Result<(), OutOfBounds> {
        self.put_u8(offset, u8::from(value))
    }
}
