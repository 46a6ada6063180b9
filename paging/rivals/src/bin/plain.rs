//! The work on what every system has: a mapped file, direct I/O, a file a MiB, a file a page.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use paging_rivals::Outcome;
use paging_rivals::mapped::Mapped;
use paging_rivals::measure::found::Found;
use paging_rivals::measure::timed::{STEPS, nanos_a_step, places};
use paging_rivals::measure::usage::Usage;
use paging_rivals::work::content::Content;
use paging_rivals::work::drive::drive;
use paging_rivals::work::job::{Job, PAGE_BYTES};

const MIB: usize = 1 << 20;
const DIRECT_ALIGNMENT: usize = 4096;

/// Bytes of which a direct transfer can be made.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(length: usize) -> Self {
        let bytes = vec![1; length + DIRECT_ALIGNMENT];
        let start = bytes.as_ptr().align_offset(DIRECT_ALIGNMENT);
        Self { bytes, start, length }
    }

    fn slice(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

fn direct_file(job: &Job) -> Outcome<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_DIRECT | libc::O_TMPFILE);
    Ok(options.open(&job.dir)?)
}

/// Where the sequential work puts its data, a piece at a time.
trait Pieces {
    fn write(&mut self, piece: usize, bytes: &[u8]) -> Outcome<()>;
    /// Reads, and gives back what the piece takes.
    fn take(&mut self, piece: usize, bytes: &mut [u8]) -> Outcome<()>;
}

/// One file, direct.
struct OneFile(File);

impl Pieces for OneFile {
    fn write(&mut self, piece: usize, bytes: &[u8]) -> Outcome<()> {
        Ok(self.0.write_all_at(bytes, (piece * bytes.len()) as u64)?)
    }

    fn take(&mut self, piece: usize, bytes: &mut [u8]) -> Outcome<()> {
        Ok(self.0.read_exact_at(bytes, (piece * bytes.len()) as u64)?)
    }
}

/// A file for each piece, deleted once it was read.
struct ManyFiles {
    dir: tempfile::TempDir,
    flags: i32,
}

impl ManyFiles {
    fn path(&self, piece: usize) -> PathBuf {
        self.dir.path().join(piece.to_string())
    }
}

impl Pieces for ManyFiles {
    fn write(&mut self, piece: usize, bytes: &[u8]) -> Outcome<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).custom_flags(self.flags);
        Ok(options.open(self.path(piece))?.write_all(bytes)?)
    }

    fn take(&mut self, piece: usize, bytes: &mut [u8]) -> Outcome<()> {
        let mut options = OpenOptions::new();
        let path = self.path(piece);
        options.read(true).custom_flags(self.flags).open(&path)?.read_exact(bytes)?;
        Ok(fs::remove_file(path)?)
    }
}

/// Writes it all, reads it once in order and drops it.
fn sequential(job: &Job, pieces: &mut impl Pieces, piece_bytes: usize) -> Outcome<Found> {
    let count = job.total_mib * MIB / piece_bytes;
    let in_piece = piece_bytes / PAGE_BYTES;
    let content = Content::new(job.seed, count * in_piece);
    let mut buffer = Aligned::new(piece_bytes);
    let before = Usage::now();
    for piece in 0..count {
        for (page, bytes) in buffer.slice().chunks_mut(PAGE_BYTES).enumerate() {
            content.fill(piece * in_piece + page, bytes);
        }
        pieces.write(piece, buffer.slice())?;
    }
    let written = Usage::now();
    for piece in 0..count {
        pieces.take(piece, buffer.slice())?;
        for (page, bytes) in buffer.slice().chunks(PAGE_BYTES).enumerate() {
            if !content.is_right(piece * in_piece + page, bytes) {
                return Err(format!("piece {piece} is not what was written").into());
            }
        }
    }
    let after = Usage::now();
    Ok(Found::between(before, after, count * in_piece)
        .with("write_seconds", (written.at - before.at).as_secs_f64())
        .with("read_seconds", (after.at - written.at).as_secs_f64()))
}

fn sequential_of(job: &Job) -> Outcome<Found> {
    let files = |flags| -> Outcome<ManyFiles> {
        Ok(ManyFiles { dir: tempfile::tempdir_in(&job.dir)?, flags })
    };
    match job.variant.as_str() {
        "raw" => sequential(job, &mut OneFile(direct_file(job)?), MIB),
        "file-a-mib" => sequential(job, &mut files(0)?, MIB),
        "file-a-mib-direct" => sequential(job, &mut files(libc::O_DIRECT)?, MIB),
        "file-a-page" => sequential(job, &mut files(0)?, PAGE_BYTES),
        variant => Err(format!("there is no way {variant:?}").into()),
    }
}

/// What writing 64 MiB at once takes, a MiB a call.
fn raw_write(job: &Job) -> Outcome<Found> {
    let file = direct_file(job)?;
    let mut buffer = Aligned::new(MIB);
    let mut times = Vec::new();
    for turn in 0..6 {
        let before = Usage::now();
        for piece in turn * 64..(turn + 1) * 64 {
            file.write_all_at(buffer.slice(), (piece * MIB) as u64)?;
        }
        times.push((Usage::now().at - before.at).as_secs_f64());
    }
    Ok(Found::new().with("seconds", paging_rivals::measure::timed::median(&mut times)))
}

/// Reads of one word of each of 4,096 pages that a vector holds, or of one.
fn plain_reads(job: &Job) -> Outcome<Found> {
    let count = if job.variant == "one" { 1 } else { 4096 };
    let pages: Vec<Box<[u8]>> =
        (0..count).map(|_| vec![1; PAGE_BYTES].into_boxed_slice()).collect();
    let order = places(count, job.seed);
    let nanos = nanos_a_step(job.threads, |_| {
        let mut sum = 0;
        for &page in &order {
            sum += u64::from(pages[page as usize][page as usize * 64 % PAGE_BYTES]);
        }
        if sum == STEPS as u64 { Ok(sum) } else { Err("wrong contents".into()) }
    })?;
    Ok(Found::new().with("nanos", nanos))
}

fn main() -> Outcome<()> {
    let job = Job::begin()?;
    match job.work.as_str() {
        "random" => drive(&Mapped::new(&job)?, &job)?,
        "sequential" => sequential_of(&job)?,
        "raw-write" => raw_write(&job)?,
        "resident" => plain_reads(&job)?,
        work => return Err(format!("there is no plain {work:?}").into()),
    }
    .print()
}
