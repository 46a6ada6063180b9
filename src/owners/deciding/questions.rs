//! Who is to be asked how much it could give, and who is being asked: a few at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::view::{Moment, OwnerKey};

/// How many owners are asked at a time, and how many give back at a time, but for those that take
/// so long that they are no longer waited for alone.
pub(crate) const SIDE_BY_SIDE: usize = 4;
/// A thread that asks comes to the next question by itself. Only if none has for so long, nor has
/// begun to ask, is there another one beside it: most answers are a number at hand, and threads
/// that ask for such only get in each other's way.
const PACE: Moment = Duration::from_millis(5);

/// Questions that were put, with what it takes to ask each.
pub(crate) struct Questions<T> {
    pending: VecDeque<(OwnerKey, T)>,
    under_way: Vec<UnderWay>,
    /// The threads that ask, and when the last of them was to begin.
    threads: usize,
    began: Moment,
    news: Vec<Heard>,
}

/// An owner that is being asked.
struct UnderWay {
    owner: OwnerKey,
    since: Moment,
}

/// What became of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Heard {
    /// It is asked now.
    Asked(OwnerKey, Moment),
    /// It could give so many bytes.
    Says(OwnerKey, u64),
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        let (pending, under_way, news) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { pending, under_way, threads: 0, began: Moment::ZERO, news }
    }
}

impl<T> Questions<T> {
    pub(crate) fn put(&mut self, owner: OwnerKey, what_it_takes: T) {
        self.pending.push_back((owner, what_it_takes));
    }

    /// The next one to ask, unless as many are asked as may be.
    pub(crate) fn begin(&mut self, now: Moment, patience: Moment) -> Option<(OwnerKey, T)> {
        if self.room(now, patience) == 0 {
            return None;
        }
        let (owner, what_it_takes) = self.pending.pop_front()?;
        self.under_way.push(UnderWay { owner, since: now });
        self.news.push(Heard::Asked(owner, now));
        Some((owner, what_it_takes))
    }

    pub(crate) fn answered(&mut self, owner: OwnerKey, bytes: u64) {
        self.under_way.retain(|question| question.owner != owner);
        self.news.push(Heard::Says(owner, bytes));
    }

    /// Whether another thread is to ask beside those that do. It is counted from now on.
    pub(crate) fn begin_thread(&mut self, now: Moment, patience: Moment) -> bool {
        let is_due = self.next_due().is_none_or(|due| due <= now);
        if self.pending.is_empty() || !is_due || self.room(now, patience) == 0 {
            return false;
        }
        (self.threads, self.began) = (self.threads + 1, now);
        true
    }

    /// A thread does not ask any more, or could not begin to. Whether others do; of one that could
    /// not begin the next attempt is due as if it had.
    pub(crate) fn end_thread(&mut self) -> bool {
        self.threads -= 1;
        self.threads > 0
    }

    /// When another thread is to ask, if nobody answers until then; `None` if that is now.
    pub(crate) fn another_from(&self, now: Moment, patience: Moment) -> Option<Moment> {
        if self.pending.is_empty() {
            return None;
        }
        let ends = self.under_way.iter().map(|question| question.since.saturating_add(patience));
        let room_from = match self.room(now, patience) {
            0 => ends.filter(|end| *end > now).min(),
            _ => None,
        };
        self.next_due().max(room_from).filter(|from| *from > now)
    }

    /// When the thread that came to a question last is to have come to the next.
    fn next_due(&self) -> Option<Moment> {
        let came = self.under_way.iter().map(|question| question.since).chain([self.began]).max();
        came.filter(|_| self.threads > 0).map(|came| came.saturating_add(PACE))
    }

    pub(crate) fn news(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.news)
    }

    /// Takes back what nobody was asked yet.
    pub(crate) fn take_back(&mut self) -> Vec<(OwnerKey, T)> {
        self.pending.drain(..).collect()
    }

    fn room(&self, now: Moment, patience: Moment) -> usize {
        let counts = |question: &&UnderWay| now < question.since.saturating_add(patience);
        SIDE_BY_SIDE.saturating_sub(self.under_way.iter().filter(counts).count())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Moment = Duration::from_millis(10);

    fn at(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    fn six() -> Questions<()> {
        let mut questions = Questions::default();
        (0..6).for_each(|owner| questions.put(OwnerKey(owner), ()));
        questions
    }

    #[test]
    fn four_are_asked_at_a_time_and_the_next_when_one_has_answered() {
        let mut questions = six();
        for owner in 0..4 {
            assert_eq!(questions.begin(at(0), PATIENCE), Some((OwnerKey(owner), ())));
        }
        assert_eq!(questions.begin(at(9), PATIENCE), None);
        questions.answered(OwnerKey(2), 7);
        assert_eq!(questions.begin(at(9), PATIENCE), Some((OwnerKey(4), ())));
        let news = questions.news();
        assert_eq!(news[3..5], [Heard::Asked(OwnerKey(3), at(0)), Heard::Says(OwnerKey(2), 7)]);
        assert!(questions.news().is_empty());
    }

    #[test]
    fn another_thread_is_wanted_when_none_has_come_to_the_next_question_for_a_while() {
        let mut questions = six();
        assert!(questions.begin_thread(at(0), PATIENCE));
        // That one is about to ask, which takes a while at times.
        assert!(!questions.begin_thread(at(3), PATIENCE));
        assert_eq!(questions.another_from(at(3), PATIENCE), Some(at(5)));
        assert!(questions.begin(at(4), PATIENCE).is_some());
        assert!(!questions.begin_thread(at(8), PATIENCE));
        assert_eq!(questions.another_from(at(8), PATIENCE), Some(at(9)));
        assert!(questions.begin_thread(at(9), PATIENCE));
        assert!(questions.begin(at(9), PATIENCE).is_some());
        // The second one goes on.
        questions.answered(OwnerKey(1), 7);
        assert!(questions.begin(at(12), PATIENCE).is_some());
        assert!(!questions.begin_thread(at(16), PATIENCE));
        assert_eq!(questions.another_from(at(16), PATIENCE), Some(at(17)));
    }

    #[test]
    fn a_thread_that_could_not_begin_is_followed_by_another_later_if_there_are_others() {
        let mut questions = six();
        assert!(questions.begin_thread(at(0), PATIENCE));
        assert!(!questions.end_thread(), "nobody asks");
        assert!(questions.begin_thread(at(0), PATIENCE), "nothing to wait for");
        assert!(questions.begin(at(0), PATIENCE).is_some());
        assert!(questions.begin_thread(at(5), PATIENCE));
        assert!(questions.end_thread());
        assert_eq!(questions.another_from(at(5), PATIENCE), Some(at(10)));
        assert!(questions.begin_thread(at(10), PATIENCE));
    }

    #[test]
    fn one_that_outlasts_its_patience_makes_room() {
        let mut questions = six();
        assert!(questions.begin_thread(at(5), PATIENCE));
        while questions.begin(at(5), PATIENCE).is_some() {}
        assert_eq!(questions.another_from(at(5), PATIENCE), Some(at(15)));
        assert!(!questions.begin_thread(at(14), PATIENCE));
        assert!(questions.begin_thread(at(15), PATIENCE));
        assert!(questions.begin(at(15), PATIENCE).is_some());
        assert_eq!(questions.take_back().len(), 1);
        assert!(!questions.begin_thread(at(25), PATIENCE));
    }
}
