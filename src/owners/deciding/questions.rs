//! Who is to be asked how much it could give, and who is being asked: a few at a time.

use std::collections::VecDeque;
use std::time::Duration;

use super::view::{Moment, OwnerKey};

/// How many owners are asked at a time, and how many give back at a time, but for those that take
/// so long that they are no longer waited for alone.
pub(crate) const SIDE_BY_SIDE: usize = 4;
/// A thread that asks comes to the next question by itself. Only if none has for so long is there
/// another one beside it: most answers are a number at hand, and threads that ask for such only get
/// in each other's way.
const PACE: Moment = Duration::from_millis(5);

/// Questions that were put, with what it takes to ask each.
pub(crate) struct Questions<T> {
    pending: VecDeque<(OwnerKey, T)>,
    under_way: Vec<UnderWay>,
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
        Self { pending: VecDeque::new(), under_way: Vec::new(), news: Vec::new() }
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

    /// Whether some are being asked.
    pub(crate) fn are_asked(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Whether another thread is to ask beside those that do.
    pub(crate) fn want_another(&self, now: Moment, patience: Moment) -> bool {
        let is_due = self.next_due().is_none_or(|due| due <= now);
        !self.pending.is_empty() && is_due && self.room(now, patience) > 0
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
        self.under_way.iter().map(|question| question.since.saturating_add(PACE)).max()
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
        assert!(questions.want_another(at(0), PATIENCE));
        assert_eq!(questions.another_from(at(0), PATIENCE), None);
        assert!(questions.begin(at(0), PATIENCE).is_some());
        assert!(!questions.want_another(at(4), PATIENCE));
        assert_eq!(questions.another_from(at(4), PATIENCE), Some(at(5)));
        assert!(questions.want_another(at(5), PATIENCE));
        assert!(questions.begin(at(5), PATIENCE).is_some());
        // The second one goes on.
        questions.answered(OwnerKey(1), 7);
        assert!(questions.begin(at(8), PATIENCE).is_some());
        assert!(!questions.want_another(at(12), PATIENCE));
        assert_eq!(questions.another_from(at(12), PATIENCE), Some(at(13)));
    }

    #[test]
    fn one_that_outlasts_its_patience_makes_room() {
        let mut questions = six();
        while questions.begin(at(5), PATIENCE).is_some() {}
        assert_eq!(questions.another_from(at(5), PATIENCE), Some(at(15)));
        assert!(!questions.want_another(at(14), PATIENCE));
        assert!(questions.want_another(at(15), PATIENCE));
        assert_eq!(questions.another_from(at(15), PATIENCE), None);
        assert!(questions.begin(at(15), PATIENCE).is_some());
        assert_eq!(questions.take_back().len(), 1);
        assert!(!questions.want_another(at(15), PATIENCE));
    }
}
