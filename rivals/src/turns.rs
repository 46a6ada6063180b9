//! Threads that take turns, a step each: the same interleaving on every machine.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

/// What a thread does at its turn; says how many pages it allocated.
pub type Step<'a> = Box<dyn FnMut() -> usize + 'a>;

/// How many times everybody has a turn.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Before the part that counts.
    pub warm_up: usize,
    /// In the part that counts.
    pub counted: usize,
}

/// What is called when nobody else does anything.
pub struct Marks<'a> {
    /// Between the warm-up and the part that counts.
    pub begin: &'a (dyn Fn() + Sync),
    /// After it, before any thread drops what it holds.
    pub end: &'a (dyn Fn() + Sync),
}

/// Calls `steps` with the number of each of `threads` threads, in that thread at its first turn,
/// and gives all threads their turns. Returns how many pages were allocated in the part that
/// counts.
pub fn take_turns<'a>(
    threads: usize,
    rounds: Rounds,
    steps: &'a (dyn Fn(usize) -> Step<'a> + Sync),
    marks: &Marks<'_>,
) -> usize {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..threads).map(|_| channel()).unzip();
    // The turn goes around: the thread that has it wakes the next.
    let start = senders[0].clone();
    thread::scope(|scope| {
        let threads: Vec<_> = receivers
            .into_iter()
            .enumerate()
            .map(|(thread, turn)| {
                let next = senders[(thread + 1) % senders.len()].clone();
                scope.spawn(move || seat(thread, rounds, steps, &turn, &next, marks))
            })
            .collect();
        // The first turn.
        let _ = start.send(());
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    })
}

fn seat<'a>(
    thread: usize,
    rounds: Rounds,
    steps: &dyn Fn(usize) -> Step<'a>,
    turn: &Receiver<()>,
    next: &Sender<()>,
    marks: &Marks<'_>,
) -> usize {
    // Made at the first turn, so that memory for it is taken in the same order each time.
    let mut step = None;
    let mut pages = 0;
    for round in 0..=rounds.warm_up + rounds.counted {
        if turn.recv().is_err() {
            break;
        }
        if thread == 0 && round == rounds.warm_up {
            (marks.begin)();
        }
        if thread == 0 && round == rounds.warm_up + rounds.counted {
            (marks.end)();
        }
        if round < rounds.warm_up + rounds.counted {
            let allocated = step.get_or_insert_with(|| steps(thread))();
            pages += if round < rounds.warm_up { 0 } else { allocated };
        }
        // The last to be woken has gone home already.
        let _ = next.send(());
    }
    pages
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn everybody_has_a_turn_in_every_round() {
        let order = Mutex::new(Vec::new());
        let note = |mark: usize| order.lock().unwrap().push(mark);
        let steps = |thread| -> Step<'_> {
            Box::new(move || {
                note(thread);
                1
            })
        };
        let rounds = Rounds { warm_up: 1, counted: 2 };
        let marks = Marks { begin: &|| note(10), end: &|| note(20) };
        assert_eq!(take_turns(3, rounds, &steps, &marks), 6);
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 10, 0, 1, 2, 0, 1, 2, 20]);
    }
}
