//! What goes over the pipe: frames of rows, each for one query.
//!
//! ```text
//! frame: query u16 | kind u8 | payload bytes u32 | payload
//! rows:  key bytes u16 | row bytes u16 | key | row | ...
//! end:   rows u64 | data bytes u64 | rows of the answer u64 | checksum of the answer u128
//! ```
//!
//! All numbers are little-endian. A query is sent a frame only after it asked for it, so what one
//! leaves in the pipe never stands in the way of another.

use std::io::{self, Read, Write};

use super::digest::Digest;

/// The frames that are on their way to a query before it asks for more.
pub const FRAMES_AHEAD: usize = 2;
/// A frame is sent when its payload has so many bytes.
const PAYLOAD_BYTES: usize = 64 << 10;
/// The most bytes of a payload: the last row may go beyond.
const PAYLOAD_BYTES_MAX: usize = 4 * PAYLOAD_BYTES;
const HEADER_BYTES: usize = 7;
const SUMMARY_BYTES: usize = 40;

/// What is in a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing: the process has begun.
    Ready,
    /// Rows of the build side of a join.
    Build,
    /// Rows of the only side, or of the probe side.
    Rows,
    /// The input is at its end. The payload is a [`Summary`].
    End,
    /// Rows could not be made. The payload says why.
    Failed,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Ready, Self::Build, Self::Rows, Self::End, Self::Failed];
}

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub query: usize,
    pub kind: Kind,
    pub payload: Vec<u8>,
}

/// The input as a whole, and its right answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    pub rows: u64,
    /// The bytes of all rows, encoded.
    pub data_bytes: u64,
    pub answer: Digest,
}

impl Frame {
    /// Writes a frame as a whole.
    ///
    /// # Errors
    ///
    /// As the writer; and if there is no number for the query, or the payload is too long.
    pub fn write(mut to: impl Write, query: usize, kind: Kind, payload: &[u8]) -> io::Result<()> {
        let number = u16::try_from(query).map_err(io::Error::other)?;
        let bytes = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut header = [0; HEADER_BYTES];
        header[..2].copy_from_slice(&number.to_le_bytes());
        header[2] = kind as u8;
        header[3..].copy_from_slice(&bytes.to_le_bytes());
        to.write_all(&header)?;
        to.write_all(payload)?;
        to.flush()
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    ///
    /// As the reader; and for bytes that are no frame.
    pub fn read(mut from: impl Read) -> io::Result<Option<Self>> {
        let mut header = [0; HEADER_BYTES];
        match from.read(&mut header[..1])? {
            0 => return Ok(None),
            _ => from.read_exact(&mut header[1..])?,
        }
        let [q0, q1, kind, bytes @ ..] = header;
        let bytes = u32::from_le_bytes(bytes) as usize;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
        let Some(kind) = kind.filter(|_| bytes <= PAYLOAD_BYTES_MAX) else {
            return Err(io::Error::other(format!("{header:?} begin no frame")));
        };
        let mut payload = vec![0; bytes];
        from.read_exact(&mut payload)?;
        Ok(Some(Self { query: u16::from_le_bytes([q0, q1]).into(), kind, payload }))
    }

    /// The keys and rows of a frame of rows; `None` for one that is cut.
    pub fn rows(&self) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
        let mut rest = &self.payload[..];
        std::iter::from_fn(move || {
            (!rest.is_empty()).then(|| {
                let row = split_row(rest);
                rest = row.map_or(&[], |(.., rest)| rest);
                row.map(|(key, row, _)| (key, row))
            })
        })
    }
}

fn split_row(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_bytes, rest) = bytes.split_first_chunk()?;
    let (row_bytes, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(u16::from_le_bytes(*key_bytes).into())?;
    let (row, rest) = rest.split_at_checked(u16::from_le_bytes(*row_bytes).into())?;
    Some((key, row, rest))
}

/// Rows on their way into frames.
#[derive(Debug, Default)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// Adds a row; `None` if it is too long for a frame.
    pub fn push(&mut self, key: &[u8], row: &[u8]) -> Option<()> {
        let lengths = [u16::try_from(key.len()).ok()?, u16::try_from(row.len()).ok()?];
        lengths.iter().for_each(|length| self.0.extend(length.to_le_bytes()));
        self.0.extend_from_slice(key);
        self.0.extend_from_slice(row);
        Some(())
    }

    /// Whether it is time to send it.
    pub fn is_full(&self) -> bool {
        self.0.len() >= PAYLOAD_BYTES
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Summary {
    pub fn to_bytes(self) -> [u8; SUMMARY_BYTES] {
        let mut bytes = [0; SUMMARY_BYTES];
        let Digest { rows, checksum } = self.answer;
        for (place, number) in bytes.chunks_mut(8).zip([self.rows, self.data_bytes, rows]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` for bytes that are no summary.
    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (rows, rest) = bytes.split_first_chunk()?;
        let (data_bytes, rest) = rest.split_first_chunk()?;
        let (answer_rows, rest) = rest.split_first_chunk()?;
        let checksum = u128::from_le_bytes(rest.try_into().ok()?);
        let answer = Digest { rows: u64::from_le_bytes(*answer_rows), checksum };
        let (rows, data_bytes) = (u64::from_le_bytes(*rows), u64::from_le_bytes(*data_bytes));
        Some(Self { rows, data_bytes, answer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_written() {
        let mut payload = Payload::default();
        let rows: [(&[u8], &[u8]); 3] = [(b"key", b"row"), (b"", b""), (b"k", &[7; 65_535])];
        rows.iter().for_each(|(key, row)| payload.push(key, row).unwrap());
        assert!(payload.is_full());
        assert!(payload.push(b"", &[0; 65_536]).is_none());
        let mut pipe = Vec::new();
        Frame::write(&mut pipe, 7, Kind::Build, payload.bytes()).unwrap();
        Frame::write(&mut pipe, 63, Kind::End, b"").unwrap();
        assert!(Frame::write(&mut pipe, 65_536, Kind::End, b"").is_err());
        let mut from = &pipe[..];
        let frame = Frame::read(&mut from).unwrap().unwrap();
        assert_eq!((frame.query, frame.kind), (7, Kind::Build));
        assert_eq!(frame.rows().collect::<Option<Vec<_>>>().unwrap(), rows);
        let frame = Frame::read(&mut from).unwrap().unwrap();
        assert_eq!((frame.query, frame.kind, frame.payload.len()), (63, Kind::End, 0));
        assert!(Frame::read(&mut from).unwrap().is_none());
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let mut pipe = Vec::new();
        Frame::write(&mut pipe, 0, Kind::Rows, b"12345").unwrap();
        for cut in 1..pipe.len() {
            assert!(Frame::read(&pipe[..cut]).is_err(), "{cut}");
        }
        for (place, byte) in [(2, 9), (6, 1)] {
            let mut pipe = pipe.clone();
            pipe[place] = byte;
            assert!(Frame::read(&pipe[..]).unwrap_err().to_string().contains("begin no frame"));
        }
        // No row has five bytes that begin so.
        let frame = Frame::read(&pipe[..]).unwrap().unwrap();
        assert_eq!(frame.rows().collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn summaries_come_back_as_they_were_written() {
        let answer = Digest { rows: 3, checksum: u128::MAX - 4 };
        let summary = Summary { rows: 1, data_bytes: u64::MAX, answer };
        let bytes = summary.to_bytes();
        assert_eq!(Summary::of_bytes(&bytes), Some(summary));
        assert!(Summary::of_bytes(&bytes[1..]).is_none());
    }
}
