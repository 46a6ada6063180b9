//! A loser tree: which of several cursors is first, with one comparison per level after a step.

/// A tournament of `ways` cursors. The tree knows their numbers only; how two of them compare is
/// told with every call, by a strict order in which cursors that are at their end come last.
///
/// ```text
/// losers: [winner, 1, 2, ... ways - 1]   node n has the loser of its match; its parent is n / 2
///                                        cursor c plays its first match at node (c + ways) / 2
/// ```
pub(super) struct LoserTree {
    losers: Vec<usize>,
}

impl LoserTree {
    /// Plays all matches. `ways` is at least 1.
    pub(super) fn new(ways: usize, is_first: impl Fn(usize, usize) -> bool) -> Self {
        debug_assert!(ways > 0);
        let mut winners: Vec<usize> = (0..ways).chain(0..ways).collect();
        let mut losers = vec![0; ways];
        for node in (1..ways).rev() {
            let (left, right) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if is_first(right, left) { (right, left) } else { (left, right) };
            winners[node] = winner;
            losers[node] = loser;
        }
        losers[0] = winners[1];
        Self { losers }
    }

    /// The cursor that is first.
    pub(super) fn winner(&self) -> usize {
        self.losers[0]
    }

    /// Plays the winner's matches again, after it took a step.
    pub(super) fn replay(&mut self, is_first: impl Fn(usize, usize) -> bool) {
        let mut winner = self.losers[0];
        let mut node = usize::midpoint(winner, self.losers.len());
        while node > 0 {
            if is_first(self.losers[node], winner) {
                std::mem::swap(&mut self.losers[node], &mut winner);
            }
            node /= 2;
        }
        self.losers[0] = winner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_merges_any_number_of_cursors() {
        for ways in 1..20_usize {
            // Cursor c counts c, c + ways, c + 2 * ways up to 100: every number once in all.
            let mut at: Vec<usize> = (0..ways).collect();
            let key = |at: &[usize], c: usize| if at[c] < 100 { at[c] } else { usize::MAX };
            let mut tree = LoserTree::new(ways, |a, b| (key(&at, a), a) < (key(&at, b), b));
            for expected in 0..100 {
                let winner = tree.winner();
                assert_eq!(at[winner], expected);
                at[winner] += ways;
                tree.replay(|a, b| (key(&at, a), a) < (key(&at, b), b));
            }
            assert!(at[tree.winner()] >= 100);
        }
    }
}
