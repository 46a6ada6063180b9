//! Checked access to bytes at any offset: the arithmetic below every accessor of a segment.

use std::ops::Range;

use crate::base::error::OutOfBounds;

/// `length` bytes from `offset` on, if they lie within `size` bytes.
pub(crate) fn range(
    size: usize,
    offset: usize,
    length: usize,
) -> Result<Range<usize>, OutOfBounds> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(offset..end),
        _ => Err(OutOfBounds { offset, length, size }),
    }
}

/// The `N` bytes at `offset`.
#[inline]
pub(crate) fn get<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], OutOfBounds> {
    let found = bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>());
    found.copied().ok_or(OutOfBounds { offset, length: N, size: bytes.len() })
}

/// Sets the `N` bytes at `offset`.
#[inline]
pub(crate) fn put<const N: usize>(
    bytes: &mut [u8],
    offset: usize,
    value: [u8; N],
) -> Result<(), OutOfBounds> {
    let size = bytes.len();
    let found = bytes.get_mut(offset..).and_then(|rest| rest.first_chunk_mut::<N>());
    *found.ok_or(OutOfBounds { offset, length: N, size })? = value;
    Ok(())
}

/// `length` bytes from `offset` on.
pub(crate) fn slice(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], OutOfBounds> {
    let range = range(bytes.len(), offset, length)?;
    Ok(&bytes[range])
}

/// `length` bytes from `offset` on, to write.
pub(crate) fn slice_mut(
    bytes: &mut [u8],
    offset: usize,
    length: usize,
) -> Result<&mut [u8], OutOfBounds> {
    let range = range(bytes.len(), offset, length)?;
    Ok(&mut bytes[range])
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTREMES: [usize; 6] =
        [usize::MAX, usize::MAX - 1, usize::MAX - 7, usize::MAX / 2, 1 << 31, 1 << 32];

    /// Whether an access of `length` bytes lies within `size` bytes, without an overflow.
    fn fits(size: usize, offset: usize, length: usize) -> bool {
        offset as u128 + length as u128 <= size as u128
    }

    fn agrees<const N: usize>(size: usize, offset: usize) {
        let mut bytes = vec![7; size];
        assert_eq!(get::<N>(&bytes, offset).is_ok(), fits(size, offset, N), "{size} {offset} {N}");
        assert_eq!(put(&mut bytes, offset, [9; N]).is_ok(), fits(size, offset, N));
        let written = bytes.iter().filter(|byte| **byte == 9).count();
        assert_eq!(written, if fits(size, offset, N) { N } else { 0 });
    }

    /// MS22: sizes 0 and 1 refuse every wider access.
    #[test]
    fn ms22_every_boundary_of_small_sizes_and_one_past_it() {
        for size in 0..20 {
            for offset in (0..24).chain(EXTREMES) {
                agrees::<1>(size, offset);
                agrees::<2>(size, offset);
                agrees::<4>(size, offset);
                agrees::<8>(size, offset);
                for length in (0..24).chain(EXTREMES) {
                    let mut bytes = vec![0; size];
                    assert_eq!(slice(&bytes, offset, length).is_ok(), fits(size, offset, length));
                    let slice = slice_mut(&mut bytes, offset, length);
                    assert_eq!(slice.is_ok(), fits(size, offset, length));
                }
            }
        }
    }
}
