//! What queries that run at once know of each other, and how the next one is called.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use offheap::Owner;
use offheap_operators::Interrupt;

/// How often a query that waits for another one looks for anything else.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Queries that share a budget. They come one after the other: the next one is called when the
/// one before holds all the budget, nearly, so that it depends on what that one gives back.
pub struct Company {
    seats: Vec<Seat>,
    /// A fair share of the budget.
    share_bytes: usize,
    page_bytes: usize,
    /// The queries that have begun and not ended.
    present: AtomicUsize,
    progress: Mutex<Progress>,
    changed: Condvar,
}

/// A query, as others see it.
#[derive(Default)]
struct Seat {
    /// Whose memory it uses, once it has begun.
    owner: OnceLock<Owner>,
    /// What it held when the next query had its share for the first time.
    held_then: OnceLock<usize>,
}

/// How far the queries are, each at its place.
struct Progress {
    /// How many may begin.
    called: usize,
    /// How many have their first pages, or will never have them.
    begun: usize,
    /// Those that have had their share, or will not ask for it any more.
    content: Vec<bool>,
}

/// A query's own seat. The next query is called at the latest when it is dropped.
pub struct Place<'a> {
    company: &'a Company,
    number: usize,
    has_begun: bool,
    is_content: bool,
    /// What it held when it called the next one.
    called_at_bytes: Option<usize>,
    /// The least and the most that it held while others were there.
    range_bytes: Option<(usize, usize)>,
}

/// What a query held, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// When it called the next query.
    pub when_next_came: Option<usize>,
    /// When that one had its share.
    pub when_next_had_share: Option<usize>,
    /// The least and the most while there were others.
    pub range: Option<(usize, usize)>,
}

impl Company {
    pub fn new(queries: usize, budget_bytes: usize, page_bytes: usize) -> Self {
        Self {
            seats: std::iter::repeat_with(Seat::default).take(queries).collect(),
            share_bytes: budget_bytes / queries,
            page_bytes,
            present: AtomicUsize::new(0),
            progress: Mutex::new(Progress { called: 1, begun: 0, content: vec![false; queries] }),
            changed: Condvar::new(),
        }
    }

    /// The place of a query, numbered from 0.
    pub fn place(&self, number: usize) -> Place<'_> {
        Place {
            company: self,
            number,
            has_begun: false,
            is_content: false,
            called_at_bytes: None,
            range_bytes: None,
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance(&self, step: impl FnOnce(&mut Progress)) {
        step(&mut self.progress());
        self.changed.notify_all();
    }
}

impl Place<'_> {
    pub fn number(&self) -> usize {
        self.number
    }

    /// Pauses until it is its turn to begin.
    pub fn wait_until_called(&self) {
        let waits = |progress: &mut Progress| progress.called <= self.number;
        drop(self.company.changed.wait_while(self.company.progress(), waits));
    }

    /// It has its first pages, from `owner`.
    pub fn begin(&mut self, owner: &Owner) {
        self.has_begun = self.company.seats[self.number].owner.set(owner.clone()).is_ok();
        // ORDERING: Relaxed. A number to show.
        self.company.present.fetch_add(1, Ordering::Relaxed);
        self.company.advance(|progress| progress.begun = progress.begun.max(self.number + 1));
    }

    /// It holds so many bytes now.
    pub fn holds(&mut self, bytes: usize) {
        let company = self.company;
        // ORDERING: Relaxed. A number to show.
        if company.present.load(Ordering::Relaxed) > 1 {
            let (least, most) = self.range_bytes.unwrap_or((bytes, bytes));
            self.range_bytes = Some((least.min(bytes), most.max(bytes)));
        }
        if !self.is_content && bytes + company.page_bytes > company.share_bytes {
            self.have_share();
        }
    }

    #[cold]
    fn have_share(&mut self) {
        if let Some(before) = self.number.checked_sub(1).map(|before| &self.company.seats[before]) {
            let held_bytes = before.owner.get().map_or(0, Owner::used_bytes);
            // Comes here once.
            let _ = before.held_then.set(held_bytes);
        }
        self.be_content();
    }

    fn be_content(&mut self) {
        self.is_content = true;
        self.company.advance(|progress| progress.content[self.number] = true);
    }

    /// Whether the next query is still to be called.
    pub fn is_to_call(&self) -> bool {
        self.called_at_bytes.is_none() && self.number + 1 < self.company.seats.len()
    }

    /// Calls the next query, and pauses until that one has its first pages, or asks for them.
    pub fn call_next(&mut self, interrupt: &Interrupt) {
        let company = self.company;
        let owner = company.seats[self.number].owner.get();
        let is_asked = || owner.is_some_and(|owner| owner.reclaim_requested_bytes() > 0);
        self.called_at_bytes = Some(owner.map_or(0, Owner::used_bytes));
        company.advance(|progress| progress.called = progress.called.max(self.number + 2));
        let mut progress = company.progress();
        while progress.begun < self.number + 2 && !is_asked() && !interrupt.is_set() {
            let waited = company.changed.wait_timeout(progress, LOOK_EVERY);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether the next query has had its share, or will not ask for it any more. If not, pauses
    /// for a moment.
    pub fn is_next_content(&self) -> bool {
        let company = self.company;
        let is_content = |progress: &Progress| {
            let next = progress.content.get(self.number + 1);
            next.is_none_or(|is_content| *is_content)
        };
        let progress = company.progress();
        if is_content(&progress) {
            return true;
        }
        let waited = company.changed.wait_timeout(progress, LOOK_EVERY);
        is_content(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Its input is at its end.
    pub fn end_input(&mut self) {
        self.be_content();
    }

    /// What it held.
    pub fn held(&self) -> Held {
        Held {
            when_next_came: self.called_at_bytes,
            when_next_had_share: self.company.seats[self.number].held_then.get().copied(),
            range: self.range_bytes,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.has_begun {
            // ORDERING: Relaxed. A number to show.
            self.company.present.fetch_sub(1, Ordering::Relaxed);
        }
        let number = self.number;
        self.company.advance(|progress| {
            progress.called = progress.called.max(number + 2);
            progress.begun = progress.begun.max(number + 1);
            progress.content[number] = true;
        });
    }
}
