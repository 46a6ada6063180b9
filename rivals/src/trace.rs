//! Traces of the blocks that a query engine allocated and released: see `traces/` in the README.

use std::io::{self, Read};

use flate2::read::GzDecoder;

use crate::peers::PAGE_BYTES;

/// What a query asked of its allocator, in order.
pub struct Trace {
    /// The query.
    pub name: &'static str,
    requests: Vec<Request>,
    blocks: usize,
}

/// A line of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// A block is allocated.
    Allocate {
        /// Its number.
        block: usize,
        /// Its size.
        bytes: usize,
    },
    /// The block of this number is released.
    Release {
        /// Its number.
        block: usize,
    },
}

/// The most that is live at a time.
#[derive(Clone, Copy, Debug)]
pub struct Peak {
    /// The bytes asked for.
    pub bytes: usize,
    /// The pages that the blocks take, each rounded up.
    pub pages: usize,
}

impl Trace {
    /// All of them.
    ///
    /// # Errors
    ///
    /// If one is damaged.
    pub fn all() -> io::Result<Vec<Self>> {
        let files: [(&str, &[u8]); 4] = [
            ("aggregate", include_bytes!("../traces/agg.trace.gz")),
            ("join", include_bytes!("../traces/join.trace.gz")),
            ("Q18", include_bytes!("../traces/q18.trace.gz")),
            ("sort", include_bytes!("../traces/sort.trace.gz")),
        ];
        files.into_iter().map(|(name, file)| Self::read(name, file)).collect()
    }

    fn read(name: &'static str, file: &[u8]) -> io::Result<Self> {
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text)?;
        Self::parse(name, &text).ok_or_else(|| io::Error::other(format!("trace {name} is damaged")))
    }

    /// `None` if a line is not as it should be, or a block is released that is not live.
    fn parse(name: &'static str, text: &str) -> Option<Self> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let requests: Vec<Request> = lines.map(Request::parse).collect::<Option<_>>()?;
        let blocks = requests.iter().map(|request| request.block() + 1).max().unwrap_or(0);
        let mut live = vec![false; blocks];
        for request in &requests {
            let allocates = matches!(request, Request::Allocate { .. });
            if std::mem::replace(&mut live[request.block()], allocates) == allocates {
                return None;
            }
        }
        Some(Self { name, requests, blocks })
    }

    /// The requests, in order.
    #[must_use]
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The blocks are numbered from 0 to less than this.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The most that is live at a time.
    #[must_use]
    pub fn peak(&self) -> Peak {
        let mut sizes = vec![0; self.blocks];
        let (mut bytes_live, mut pages_live) = (0, 0);
        let mut peak = Peak { bytes: 0, pages: 0 };
        for request in &self.requests {
            match *request {
                Request::Allocate { block, bytes } => {
                    sizes[block] = bytes;
                    bytes_live += bytes;
                    pages_live += bytes.div_ceil(PAGE_BYTES);
                }
                Request::Release { block } => {
                    bytes_live -= sizes[block];
                    pages_live -= sizes[block].div_ceil(PAGE_BYTES);
                }
            }
            peak.bytes = peak.bytes.max(bytes_live);
            peak.pages = peak.pages.max(pages_live);
        }
        peak
    }
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let block = words.next()?.parse().ok()?;
        match kind {
            "a" => Some(Self::Allocate { block, bytes: words.next()?.parse().ok()? }),
            "f" => Some(Self::Release { block }),
            _ => None,
        }
    }

    fn block(self) -> usize {
        match self {
            Self::Allocate { block, .. } | Self::Release { block } => block,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_line_by_line() {
        let trace = Trace::parse("t", "# head\na 0 40000\na 2 70000\nf 0\na 0 100").unwrap();
        let expected = [
            Request::Allocate { block: 0, bytes: 40_000 },
            Request::Allocate { block: 2, bytes: 70_000 },
            Request::Release { block: 0 },
            Request::Allocate { block: 0, bytes: 100 },
        ];
        assert_eq!(trace.requests(), expected);
        assert_eq!(trace.blocks(), 3);
        assert_eq!((trace.peak().bytes, trace.peak().pages), (110_000, 5));
    }

    #[test]
    fn damaged_traces_are_refused() {
        for text in ["a 0", "f 0", "a 0 1\na 0 1", "a 0 1\nf 0\nf 0", "x 0 1", "a b 1"] {
            assert!(Trace::parse("t", text).is_none(), "{text}");
        }
    }

    #[test]
    fn all_traces_are_whole() {
        for trace in Trace::all().unwrap() {
            assert!(trace.requests().len() > 20_000, "{}", trace.name);
            assert!(trace.peak().bytes > 150 << 20, "{}", trace.name);
        }
    }
}
