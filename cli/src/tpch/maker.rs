//! The process that makes rows, from outside.

use std::io::{self, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::frames::{Frame, Kind, Summary};
use crate::args::Input;
use crate::failure::Failure;
use crate::scenario::Scenario;

/// A process that makes rows for some queries at once.
pub struct Maker {
    /// Where it is asked; `None` when it is to end.
    stdin: Mutex<Option<ChildStdin>>,
    child: Mutex<Child>,
    /// Where each query gets its frames.
    frames: Vec<Mutex<Receiver<Frame>>>,
    /// The thread that hands them out. It returns why it could not go on.
    reader: Mutex<Option<JoinHandle<Option<io::Error>>>>,
}

/// The rows of a scenario, for one query.
pub struct Rows<'a> {
    maker: &'a Maker,
    query: usize,
    frames: MutexGuard<'a, Receiver<Frame>>,
    /// One that was read and not taken.
    next: Option<Frame>,
    /// At the end.
    summary: Option<Summary>,
}

impl Maker {
    /// Starts the process, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it cannot be started, or ends at once.
    pub fn start(input: &Input, queries: usize) -> Result<Self, Failure> {
        let cannot = |error| Failure::World(format!("cannot start a process for rows: {error}"));
        let program = std::env::current_exe().map_err(cannot)?;
        let mut command = Command::new(program);
        command.arg("generate").arg(input.scale.to_string());
        command.args(input.rows.map(|rows| rows.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(cannot)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = stdout.ok_or_else(|| cannot(io::ErrorKind::BrokenPipe.into()))?;
        let (senders, frames): (Vec<_>, _) = (0..queries)
            .map(|_| {
                let (sender, receiver) = mpsc::channel();
                (sender, Mutex::new(receiver))
            })
            .unzip();
        let reader = thread::Builder::new().name("rows".into());
        let reader = reader.spawn(move || hand_out(stdout, &senders));
        let maker = Self {
            stdin: Mutex::new(stdin),
            child: Mutex::new(child),
            frames,
            reader: Mutex::new(Some(reader.map_err(cannot)?)),
        };
        match lock(&maker.frames[0]).recv() {
            Ok(Frame { kind: Kind::Ready, .. }) => {}
            _ => return Err(maker.end()),
        }
        Ok(maker)
    }

    /// The rows of a scenario for a query, which has no others at the time.
    pub fn rows(&self, query: usize, scenario: Scenario) -> Result<Rows<'_>, Failure> {
        let frames = lock(&self.frames[query]);
        self.ask(&format!("start {query} {}\n", scenario.as_str()))?;
        Ok(Rows { maker: self, query, frames, next: None, summary: None })
    }

    fn ask(&self, line: &str) -> Result<(), Failure> {
        let asked = lock(&self.stdin).as_mut().map(|stdin| stdin.write_all(line.as_bytes()));
        match asked {
            Some(Ok(())) => Ok(()),
            _ => Err(self.end()),
        }
    }

    /// Why there is nothing more to come.
    fn end(&self) -> Failure {
        lock(&self.stdin).take();
        let mut child = lock(&self.child);
        let reader = lock(&self.reader).take();
        // What it writes is of no use any more; if it is gone, this fails.
        let _ = child.kill();
        let status = child.wait();
        let broken = reader.and_then(|reader| reader.join().ok().flatten());
        Failure::World(match (broken, status) {
            (Some(error), _) => format!("the process that makes rows is not to be read: {error}"),
            (None, Ok(status)) => format!("the process that makes rows ended early, by {status}"),
            (None, Err(error)) => format!("the process that makes rows is gone: {error}"),
        })
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        if lock(&self.reader).is_some() {
            self.end();
        }
    }
}

impl Rows<'_> {
    /// The next rows, if they are of this kind.
    pub fn next_of(&mut self, kind: Kind) -> Result<Option<Frame>, Failure> {
        if self.next.is_none() && self.summary.is_none() {
            self.read()?;
        }
        Ok(self.next.take_if(|frame| frame.kind == kind))
    }

    /// The input as a whole, after its end.
    pub fn summary(&self) -> Result<Summary, Failure> {
        self.summary.ok_or_else(|| Failure::World("there are rows that nobody takes".into()))
    }

    fn read(&mut self) -> Result<(), Failure> {
        let Ok(frame) = self.frames.recv() else { return Err(self.maker.end()) };
        match frame.kind {
            Kind::Build | Kind::Rows => {
                self.maker.ask(&format!("more {}\n", self.query))?;
                self.next = Some(frame);
                Ok(())
            }
            Kind::End => match Summary::of_bytes(&frame.payload) {
                Some(summary) => {
                    self.summary = Some(summary);
                    Ok(())
                }
                None => Err(Failure::World(format!("{:?} is no summary", frame.payload))),
            },
            Kind::Failed => {
                Err(Failure::World(String::from_utf8_lossy(&frame.payload).into_owned()))
            }
            Kind::Ready => Err(Failure::World("the process that makes rows began anew".into())),
        }
    }
}

/// Gives each query its frames. They have room: no query is sent one that it did not ask for.
fn hand_out(stdout: ChildStdout, queries: &[Sender<Frame>]) -> Option<io::Error> {
    let mut stdout = BufReader::new(stdout);
    loop {
        match Frame::read(&mut stdout) {
            Ok(Some(frame)) => {
                // A query that is over needs no more.
                let _ = queries.get(frame.query).map(|query| query.send(frame));
            }
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
