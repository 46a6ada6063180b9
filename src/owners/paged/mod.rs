//! A stream of bytes over segments: written page by page, and read again.

mod chain;
mod consuming_reader;
mod page_reader;
mod page_writer;

pub use consuming_reader::ConsumingReader;
pub use page_reader::PageReader;
pub use page_writer::PageWriter;
