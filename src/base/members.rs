//! Those that are present: weak handles on them, in the order in which they came.

use std::sync::{Arc, Weak};

/// The handles that are copied together at most.
const CHUNK: usize = 128;

/// Weak handles, in the order in which they came. To add one, and to copy them all, takes no step
/// for each that is there: a copy shares the chunks. Those that are gone are forgotten over time,
/// a few whenever others came, so there are never many more than are present.
pub(crate) struct Members<T> {
    /// All but the last ones.
    chunks: Vec<Arc<[Weak<T>]>>,
    /// The last ones, fewer than a chunk.
    last: Vec<Weak<T>>,
    /// How many came, in all.
    added: usize,
    /// The chunk at which to look next for members that are gone.
    next: usize,
}

/// The members at one moment. It keeps the last of them, and only remembers the others.
pub(crate) struct Roll<T> {
    chunks: Vec<Arc<[Weak<T>]>>,
    last: Vec<Arc<T>>,
}

/// How many handles are looked at before they are taken: the processor fetches so many at a time.
const AHEAD: usize = 16;

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), last: Vec::new(), added: 0, next: 0 }
    }
}

impl<T> Members<T> {
    /// Adds one at the end.
    pub(crate) fn add(&mut self, member: Weak<T>) {
        if self.last.len() == self.last.capacity() {
            self.last.retain(is_present);
        }
        self.last.push(member);
        if self.last.len() >= CHUNK {
            self.chunks.push(std::mem::take(&mut self.last).into());
        }
        self.added = self.added.wrapping_add(1);
        // Chunks are joined faster than others come.
        if self.added.is_multiple_of(CHUNK / 2) {
            self.forget_some();
        }
    }

    /// Joins the two chunks that are next in turn, if those that are present fit into one.
    fn forget_some(&mut self) {
        if self.next + 1 >= self.chunks.len() {
            self.next = 0;
        }
        let end = self.chunks.len().min(self.next + 2);
        let pair = &self.chunks[self.next..end];
        let present =
            pair.iter().flat_map(|chunk| chunk.iter()).filter(|member| is_present(member));
        let present: Vec<_> = present.cloned().collect();
        if present.len() > CHUNK {
            self.next += 1;
            return;
        }
        let joined = (!present.is_empty()).then(|| present.into());
        self.chunks.splice(self.next..end, joined);
        if end == self.next + 1 {
            self.next = 0;
        }
    }

    /// A copy.
    pub(crate) fn roll(&self) -> Roll<T> {
        let last = self.last.iter().filter_map(Weak::upgrade).collect();
        Roll { chunks: self.chunks.clone(), last }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.last.is_empty()
    }

    /// What a copy would be.
    pub(crate) fn into_roll(self) -> Roll<T> {
        Roll { last: self.last.iter().filter_map(Weak::upgrade).collect(), chunks: self.chunks }
    }

    /// The members that are remembered, gone or not.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() + self.last.len()
    }
}

impl<T> Roll<T> {
    /// As many as are in it, at most.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum::<usize>() + self.last.len()
    }

    /// Those that are still present, in the order in which they came.
    pub(crate) fn present(&self) -> impl Iterator<Item = Arc<T>> {
        let few = self.chunks.iter().flat_map(|chunk| chunk.chunks(AHEAD));
        let of_chunks = few.flat_map(|few| {
            // Plain loads, which wait for memory side by side. The handles take turns.
            let is_any = few.iter().fold(false, |any, member| any | is_present(member));
            few.iter().take(if is_any { AHEAD } else { 0 }).filter_map(Weak::upgrade)
        });
        of_chunks.chain(self.last.iter().cloned())
    }
}

fn is_present<T>(member: &Weak<T>) -> bool {
    member.strong_count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(members: &Members<usize>) -> Vec<usize> {
        members.roll().present().map(|member| *member).collect()
    }

    #[test]
    fn those_that_are_present_are_there_in_the_order_in_which_they_came() {
        let mut members = Members::default();
        let mut kept = Vec::new();
        for number in 0..10 * CHUNK {
            let member = Arc::new(number);
            members.add(Arc::downgrade(&member));
            kept.push(member);
        }
        assert_eq!(present(&members), (0..10 * CHUNK).collect::<Vec<_>>());
        kept.retain(|member| **member % 7 == 0);
        let mut expected: Vec<_> = kept.iter().map(|member| **member).collect();
        assert_eq!(present(&members), expected);
        for number in 0..10 * CHUNK {
            let member = Arc::new(number);
            members.add(Arc::downgrade(&member));
            if number % 5 == 0 {
                kept.push(member);
                expected.push(number);
            } else {
                drop(member);
            }
            if number % 37 == 0 {
                assert_eq!(present(&members), expected);
            }
        }
        let most = 3 * kept.len() + 4 * CHUNK;
        assert!(members.remembered() <= most, "{}", members.remembered());
    }

    #[test]
    fn a_copy_stays_as_it_was() {
        let mut members = Members::default();
        let kept: Vec<_> = (0..CHUNK + 3).map(Arc::new).collect();
        kept.iter().for_each(|member| members.add(Arc::downgrade(member)));
        let roll = members.roll();
        let more = Arc::new(0);
        members.add(Arc::downgrade(&more));
        assert_eq!(roll.present().count(), CHUNK + 3);
        drop(kept);
        drop(roll);
        assert_eq!(present(&members), [0]);
    }

    #[test]
    fn those_that_are_gone_are_forgotten_while_others_come_and_go() {
        let mut members = Members::default();
        let kept: Vec<_> = (0..2000).map(Arc::new).collect();
        for member in &kept {
            members.add(Arc::downgrade(member));
        }
        for _ in 0..100 {
            for number in 0..1000 {
                members.add(Arc::downgrade(&Arc::new(number)));
            }
            assert!(members.remembered() <= 3 * kept.len(), "{}", members.remembered());
        }
        drop(kept);
        let mut most = 0;
        for number in 0..100 * CHUNK {
            members.add(Arc::downgrade(&Arc::new(number)));
            most = if number < 50 * CHUNK { 0 } else { most.max(members.remembered()) };
        }
        assert!(most <= 3 * CHUNK, "{most}");
    }

    #[test]
    fn a_few_that_come_and_go_leave_no_more_than_a_few() {
        let mut members = Members::default();
        for number in 0..10 {
            members.add(Arc::downgrade(&Arc::new(number)));
            assert!(members.remembered() <= 4, "{}", members.remembered());
        }
    }
}
