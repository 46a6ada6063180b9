//! What happens in a simulation: by numbers from a seed, or all ways in turn.

/// What decides what happens.
pub(super) trait Choose {
    fn below(&mut self, bound: usize) -> usize;
}

/// Numbers from a seed.
pub(super) struct Random(pub(super) u64);

impl Choose for Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// All ways in turn: each run takes the next one.
#[derive(Default)]
pub(super) struct EveryWay {
    /// What was chosen, of how many.
    way: Vec<(usize, usize)>,
    next: usize,
}

impl EveryWay {
    /// Goes on with the next way, if there is one.
    pub(super) fn turn(&mut self) -> bool {
        self.next = 0;
        while let Some((chosen, bound)) = self.way.pop() {
            if chosen + 1 < bound {
                self.way.push((chosen + 1, bound));
                return true;
            }
        }
        false
    }
}

impl Choose for &mut EveryWay {
    fn below(&mut self, bound: usize) -> usize {
        if self.next == self.way.len() {
            self.way.push((0, bound));
        }
        self.next += 1;
        self.way[self.next - 1].0
    }
}
