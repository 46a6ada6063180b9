//! The process that makes rows, from inside. It is asked on standard input and answers on standard
//! output:
//!
//! ```text
//! start QUERY SCENARIO   the rows of a scenario, two frames to begin with
//! more QUERY             one frame more
//! ```
//!
//! It ends when its standard input does.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use tpchgen::generators::{LineItem, LineItemGenerator, Order, OrderGenerator};
use tpchgen::text::TextPool;

use super::check::{NUMBERS, TOTALS, add_group, add_pair};
use super::frames::{FRAMES_AHEAD, Frame, Kind, Payload, Summary};
use super::lineitem::Columns;
use crate::args::Input;
use crate::failure::Failure;
use crate::scenario::Scenario;

/// Makes rows for the process that started this one, as long as that asks for some.
pub fn generate(input: Input) -> Result<(), Failure> {
    // Ctrl-C is for the whole group of processes: the one that asks says when it is over.
    ctrlc::set_handler(|| {})
        .map_err(|error| Failure::World(format!("cannot listen for Ctrl-C: {error}")))?;
    TextPool::get_or_init_default();
    let lost = |error| Failure::World(format!("cannot write rows to standard output: {error}"));
    Frame::write(io::stdout().lock(), 0, Kind::Ready, &[]).map_err(lost)?;
    let mut askers = HashMap::new();
    for line in io::stdin().lines() {
        let line = line.map_err(|error| Failure::World(format!("cannot read stdin: {error}")))?;
        let wrong = || Failure::Value(format!("stdin: `{line}` asks for nothing"));
        let words: Vec<_> = line.split(' ').collect();
        let query_of = |text: &str| text.parse::<usize>().map_err(|_| wrong());
        match words[..] {
            ["start", query, scenario] => {
                let query = query_of(query)?;
                let scenario = Scenario::of_name(scenario).ok_or_else(wrong)?;
                askers.insert(query, start(input, query, scenario)?);
            }
            ["more", query] => {
                // One whose rows are at their end needs no more.
                let _ = askers.get(&query_of(query)?).ok_or_else(wrong)?.send(());
            }
            _ => return Err(wrong()),
        }
    }
    Ok(())
}

/// Makes the rows of a scenario in a thread; a frame more each time it is asked.
fn start(input: Input, query: usize, scenario: Scenario) -> Result<Sender<()>, Failure> {
    let (asker, asked) = mpsc::channel();
    for _ in 0..FRAMES_AHEAD {
        let _ = asker.send(());
    }
    let mut frames = Frames {
        query,
        asked,
        kind: Kind::Rows,
        payload: Payload::default(),
        summary: Summary::default(),
    };
    let work = move || {
        let failed = match frames.make(&input, scenario) {
            Ok(()) | Err(Stop::NotWanted) => return,
            Err(Stop::Failed(text)) => text,
        };
        // If it is not wanted, nobody waits for it.
        let _ = frames.send(Kind::Failed, failed.as_bytes());
    };
    let thread = thread::Builder::new().name(format!("rows {query}")).spawn(work);
    thread.map_err(|error| Failure::World(format!("cannot start a thread: {error}")))?;
    Ok(asker)
}

/// Why rows are made no longer.
enum Stop {
    /// Nobody asks for more, or takes them.
    NotWanted,
    Failed(String),
}

/// Frames for a query.
struct Frames {
    query: usize,
    asked: Receiver<()>,
    kind: Kind,
    payload: Payload,
    summary: Summary,
}

impl Frames {
    fn make(&mut self, input: &Input, scenario: Scenario) -> Result<(), Stop> {
        match scenario {
            Scenario::Sort => self.sort(input)?,
            Scenario::Aggregate => self.aggregate(input)?,
            Scenario::Join => self.join(input)?,
        }
        self.flush()?;
        self.send(Kind::End, &self.summary.to_bytes())
    }

    /// Rows with the keys that order them. The answer is all of them.
    fn sort(&mut self, input: &Input) -> Result<(), Stop> {
        let mut row = Vec::new();
        for_each_item(input, |item| {
            let columns = Columns::of(item);
            let key = columns.encode(&mut row).and_then(|()| columns.key());
            let key = key.ok_or_else(|| odd(item))?;
            self.summary.answer.add(&[&row]);
            self.push(&key, &row)
        })
    }

    /// Numbers of rows with their order keys. Items of an order come one after the other, so the
    /// answer needs one group at a time.
    fn aggregate(&mut self, input: &Input) -> Result<(), Stop> {
        let mut last: Option<([u8; 8], [i128; TOTALS])> = None;
        for_each_item(input, |item| {
            let key = item.l_orderkey.to_le_bytes();
            let numbers = [
                item.l_quantity,
                item.l_extendedprice.into_inner(),
                item.l_shipdate.into_inner().into(),
            ];
            let [quantity, price, date] = numbers.map(i128::from);
            let totals = [1, quantity, quantity, 1, price, date, date];
            match &mut last {
                Some((same, sums)) if *same == key => {
                    let [.., first, latest] = *sums;
                    sums.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
                    sums[TOTALS - 2] = first.min(date);
                    sums[TOTALS - 1] = latest.max(date);
                }
                _ => {
                    if let Some((key, sums)) = last.replace((key, totals)) {
                        add_group(&mut self.summary.answer, &key, &sums);
                    }
                }
            }
            let row: [[u8; 8]; NUMBERS] = numbers.map(i64::to_le_bytes);
            self.push(&key, row.as_flattened())
        })?;
        if let Some((key, sums)) = last {
            add_group(&mut self.summary.answer, &key, &sums);
        }
        Ok(())
    }

    /// Orders, then their items. Both come in the order of their keys, so the answer is found by
    /// merging them.
    fn join(&mut self, input: &Input) -> Result<(), Stop> {
        let mut row = Vec::new();
        self.kind = Kind::Build;
        let order_key_max = last_order_key(input)?;
        for order in orders(input).take_while(|order| order.o_orderkey <= order_key_max) {
            encode_order(&order, &mut row)?;
            self.push(&order.o_orderkey.to_le_bytes(), &row)?;
        }
        self.flush()?;

        self.kind = Kind::Rows;
        let mut orders = orders(input);
        let (mut order_key, mut order) = (None, Vec::new());
        for_each_item(input, |item| {
            while order_key.is_none_or(|key| key < item.l_orderkey) {
                let next = orders.next().ok_or_else(|| odd(item))?;
                encode_order(&next, &mut order)?;
                order_key = Some(next.o_orderkey);
            }
            Columns::of(item).encode(&mut row).ok_or_else(|| odd(item))?;
            let key = item.l_orderkey.to_le_bytes();
            if order_key == Some(item.l_orderkey) {
                add_pair(&mut self.summary.answer, &key, &order, &row);
            }
            self.push(&key, &row)
        })
    }

    fn push(&mut self, key: &[u8], row: &[u8]) -> Result<(), Stop> {
        let too_long = || Stop::Failed(format!("a row of {} bytes is too long", row.len()));
        self.payload.push(key, row).ok_or_else(too_long)?;
        self.summary.rows += 1;
        self.summary.data_bytes += row.len() as u64;
        if self.payload.is_full() { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if !self.payload.bytes().is_empty() {
            self.send(self.kind, self.payload.bytes())?;
            self.payload.clear();
        }
        Ok(())
    }

    /// Sends a frame once it is asked for.
    fn send(&self, kind: Kind, payload: &[u8]) -> Result<(), Stop> {
        self.asked.recv().map_err(|_| Stop::NotWanted)?;
        let sent = Frame::write(io::stdout().lock(), self.query, kind, payload);
        sent.map_err(|_| Stop::NotWanted)
    }
}

fn for_each_item(
    input: &Input,
    mut visit: impl FnMut(&LineItem<'_>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let mut items = LineItemGenerator::new(input.scale, 1, 1).iter();
    let mut rows = 0;
    while input.rows.is_none_or(|rows_max| rows < rows_max) {
        let Some(item) = items.next() else { break };
        visit(&item)?;
        rows += 1;
    }
    match input.rows {
        Some(asked) if rows < asked => Err(Stop::Failed(format!(
            "there are {rows} rows at scale {}, not {asked}",
            input.scale
        ))),
        _ => Ok(()),
    }
}

fn orders(input: &Input) -> impl Iterator<Item = Order<'static>> {
    OrderGenerator::new(input.scale, 1, 1).into_iter()
}

/// The last order that items are of.
fn last_order_key(input: &Input) -> Result<i64, Stop> {
    let mut last = i64::MAX;
    if input.rows.is_some() {
        for_each_item(input, |item| {
            last = item.l_orderkey;
            Ok(())
        })?;
    }
    Ok(last)
}

/// Replaces what is in `target` by the order as TPC-H's own tool prints it.
fn encode_order(order: &Order<'_>, target: &mut Vec<u8>) -> Result<(), Stop> {
    target.clear();
    write!(target, "{order}").map_err(|error| Stop::Failed(error.to_string()))
}

fn odd(item: &LineItem<'_>) -> Stop {
    Stop::Failed(format!("the generator made an odd row: {item}"))
}
