//! The state of one entry, which all threads change by atomic steps.
//!
//! # Protocol
//!
//! 1. Only read-modify-writes change the word, and each keeps the pins of others. So a thread that
//!    acquires any value of it sees what all who released an earlier one did before.
//! 2. A pin is one addition. The thread that finds the page resident in the value before has it.
//!    Any other takes it back, and until then such a stray pin may be seen in every phase. A thread
//!    that has a reference to the page may pin, and no other.
//! 3. At most one thread has a turn with an entry: it loads (`Loading`), evicts (`Evicting`) or
//!    writes (`WRITING`). It takes its turn by a compare-exchange, from a value that has none. What
//!    the entry says of frame, slot and seal belongs to the thread that has the turn, which
//!    changes it before its turn ends.
//! 4. A turn ends with Release and begins with Acquire. So the next one finds what the last one
//!    left. Publishing is the end of a load: a thread that pins (Acquire) sees base and content.
//!    The frame names its entry before that, as the next thread may evict it.
//! 5. Unpinning is Release. Evicting and copying begin from a value without pins, with Acquire. So
//!    all reading happened before the frame is used again, and all that was written is copied.
//! 6. A write copies first. A thread that pins to change the content waits until the copy is done,
//!    which is a Release for it. No copy begins while a pin is held. It sets `DIRTY` before it
//!    changes anything. A copy clears it. So a page without it has the content of its slot, or of
//!    the copy that is being written there.
//! 7. The end of a write says whether the page is dirty again. Then the slot is not valid, whatever
//!    was written. The page may still become dirty afterwards, with a slot that was valid until
//!    then. So the slot of a dirty page never is.
//! 8. A page is dropped by its only owner, so nobody has it pinned nor is about to, and pins that
//!    are left are of guards that were forgotten. Without a turn the entry is vacant at once, and
//!    the dropping thread cleans up. Otherwise `DEAD` is set. The thread that ends its turn is told
//!    so, frees frame and slot, and buries the entry. No turn begins in between.
//! 9. A thread that finds an entry by its frame may find it vacant, or with another page in another
//!    frame. It begins its turn, and then compares the frame that the entry names.
//! 10. A reader in an epoch looks at the word and pins nothing. Its looking and `Evicting` are
//!     ordered by fences, see `epochs`.

use crate::base::patience::Patience;
use crate::base::sync::{AtomicU64, Ordering, read};

use super::outcome::{Death, Dirty, IsDead, Kept, LoadTurn, Publish, WriteEnd, Written};
use super::word::{COPYING, DIRTY, PIN, USE, USED, USES, Word};

/// The word of an entry.
#[derive(Debug)]
pub struct State(AtomicU64);

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// An entry without a page.
    #[must_use]
    pub fn new() -> Self {
        Self(AtomicU64::new(Word::VACANT.into_bits()))
    }

    /// The entry gets a page, whose content and frame are there. For the thread that took the
    /// vacant entry.
    ///
    /// # Panics
    ///
    /// If the entry has a page.
    pub fn make_resident(&self, dirty: Dirty) {
        self.changed(|word| word.made_resident(dirty));
    }

    /// Pins the page if it is resident. Otherwise nothing has changed.
    ///
    /// # Panics
    ///
    /// If half a million guards of the page are held or were forgotten.
    #[inline]
    #[must_use = "who has a pin must unpin"]
    pub fn pin(&self) -> bool {
        self.pinned().is_some()
    }

    /// Pins the page and marks it dirty, if it is resident. Waits while its content is copied. For
    /// the only owner of the page, who has no other pin.
    ///
    /// # Panics
    ///
    /// As [`pin`](Self::pin).
    #[inline]
    #[must_use = "who has a pin must unpin"]
    pub fn pin_for_write(&self) -> bool {
        let Some(word) = self.pinned() else { return false };
        if word.is_copying() {
            self.wait_for_copy();
        }
        if !word.is_dirty() {
            // ORDERING: Relaxed. The pin keeps the content where it is, and a copy that takes the
            // mark away acquires our unpinning (Protocol, 5 and 6).
            self.0.fetch_or(DIRTY, Ordering::Relaxed);
        }
        true
    }

    /// The word as it was before, if there is a pin now.
    #[inline]
    fn pinned(&self) -> Option<Word> {
        // ORDERING: Acquire. Pairs with the Release of `publish` and `make_resident`, and with that
        // of `end_copy` (Protocol, 4 and 6).
        let word = Word::from_bits(self.0.fetch_add(PIN + USE, Ordering::Acquire));
        if word.is_pinnable() {
            return Some(word);
        }
        self.take_back(word);
        None
    }

    #[cold]
    fn take_back(&self, word: Word) {
        // ORDERING: Relaxed. We have done nothing with the page (Protocol, 2).
        self.0.fetch_sub(PIN + USE, Ordering::Relaxed);
        assert!(!word.is_resident(), "a page has {} guards, and can have no more", word.pins());
    }

    #[cold]
    fn wait_for_copy(&self) {
        let mut patience = Patience::new();
        // ORDERING: Acquire. Pairs with the Release of `end_copy` (Protocol, 6).
        while Word::from_bits(read(&self.0, Ordering::Acquire)).is_copying() {
            patience.wait();
        }
    }

    /// Takes a pin away that the caller has.
    #[inline]
    pub fn unpin(&self) {
        // ORDERING: Release. Pairs with the Acquire of `begin_evict` and `begin_write`
        // (Protocol, 5).
        let before = self.0.fetch_sub(PIN, Ordering::Release);
        debug_assert!(Word::from_bits(before).pins() > 0);
    }

    /// Whether the page is resident: for a reader in an epoch, until that ends. Marks it as used,
    /// unless it is marked.
    #[inline]
    #[must_use]
    pub fn is_resident_now(&self) -> bool {
        // ORDERING: Acquire. Pairs with the Release of `publish` and `make_resident` (Protocol, 4).
        let word = Word::from_bits(read(&self.0, Ordering::Acquire));
        let is_resident = word.is_resident();
        if is_resident && !word.is_used() {
            self.mark_used();
        }
        is_resident
    }

    #[cold]
    fn mark_used(&self) {
        // ORDERING: Relaxed. A hint, which nobody concludes anything from.
        self.0.fetch_or(USED, Ordering::Relaxed);
    }

    /// Begins to load a spilled page.
    #[must_use = "who has a turn must end it"]
    pub fn begin_load(&self) -> LoadTurn {
        match self.begin(Word::loading) {
            Ok(()) => LoadTurn::Mine,
            Err(turn) => turn,
        }
    }

    /// The page that the caller loads is resident. Base, frame and content are there, and the frame
    /// names the entry (Protocol, 4). If it is dead, the caller has no pin.
    ///
    /// # Panics
    ///
    /// If nobody loads it.
    pub fn publish(&self, publish: Publish) -> IsDead {
        self.end(|word| word.published(publish))
    }

    /// The page that the caller loads stays where it was.
    ///
    /// # Panics
    ///
    /// If nobody loads it.
    pub fn fail_load(&self) -> IsDead {
        self.end(Word::load_failed)
    }

    /// Begins to evict a resident page that is clean and not in use.
    ///
    /// # Errors
    ///
    /// If it is anything else; stray pins count as use.
    pub fn begin_evict(&self) -> Result<(), Kept> {
        self.begin(Word::evicting)
    }

    /// The page that the caller evicts stays resident.
    ///
    /// # Panics
    ///
    /// If nobody evicts it.
    pub fn cancel_evict(&self) -> IsDead {
        self.end(Word::eviction_cancelled)
    }

    /// The page that the caller evicts is spilled, and its frame is the caller's. Also if it is
    /// dead.
    ///
    /// # Panics
    ///
    /// If nobody evicts it.
    pub fn finish_evict(&self) -> IsDead {
        self.end(Word::evicted)
    }

    /// Begins to copy and write a resident page that is dirty and not in use.
    ///
    /// # Errors
    ///
    /// If it is anything else; stray pins count as use.
    pub fn begin_write(&self) -> Result<(), Kept> {
        self.begin(Word::writing)
    }

    /// The content is copied, or will not be. It may change from now on.
    pub fn end_copy(&self) {
        // ORDERING: Release. Pairs with the Acquire of a pin that is to change the content
        // (Protocol, 6).
        let before = self.0.fetch_and(!COPYING, Ordering::Release);
        debug_assert!(Word::from_bits(before).is_copying());
    }

    /// The write that the caller began is over. The entry names the new slot already, if there is
    /// one (Protocol, 3).
    ///
    /// # Panics
    ///
    /// If nobody writes it, or it is still being copied.
    pub fn end_write(&self, written: Written) -> WriteEnd {
        let word = self.changed(|word| word.written(written));
        WriteEnd { dirty: word.is_dirty(), dead: word.is_dead() }
    }

    /// The page is dropped by its only owner (Protocol, 8).
    ///
    /// # Panics
    ///
    /// If the entry has no page, or a dead one.
    pub fn die(&self) -> Death {
        // ORDERING: Relaxed. The exchange acquires what counts.
        let mut word = Word::from_bits(read(&self.0, Ordering::Relaxed));
        loop {
            let Some((next, death)) = word.died() else {
                unreachable!("a page dies once: {word:?}")
            };
            match self.0.compare_exchange_weak(
                word.into_bits(),
                next.into_bits(),
                // ORDERING: AcqRel. Acquire for the end of the last turn, which left frame and
                // slot. Release for the one that is told, and that frees what we have read
                // (Protocol, 4 and 8).
                Ordering::AcqRel,
                // ORDERING: Relaxed. As for the first load.
                Ordering::Relaxed,
            ) {
                Ok(_) => return death,
                Err(found) => word = Word::from_bits(found),
            }
        }
    }

    /// The entry of a dead page is vacant. For the caller that was told and has cleaned up.
    ///
    /// # Panics
    ///
    /// If the page is not dead.
    pub fn bury(&self) {
        self.changed(Word::buried);
    }

    /// How often the page was pinned since the last such call, modulo 2^24, and whether it was read
    /// in an epoch; loads do not count.
    pub fn take_uses(&self) -> (u32, bool) {
        let seen = self.seen();
        if seen.uses() == 0 && !seen.is_used() {
            return (0, false);
        }
        // ORDERING: Relaxed. A hint, as in `mark_used`.
        let before = Word::from_bits(self.0.fetch_and(!(USES | USED), Ordering::Relaxed));
        (before.uses(), before.is_used())
    }

    /// The word as it was a moment ago, for statistics and guesses.
    #[must_use]
    pub fn seen(&self) -> Word {
        // ORDERING: Relaxed. Nobody concludes anything of other memory from it.
        Word::from_bits(read(&self.0, Ordering::Relaxed))
    }

    /// Begins a turn, unless `change` refuses.
    fn begin<E>(&self, change: impl Fn(Word) -> Result<Word, E>) -> Result<(), E> {
        // ORDERING: Relaxed. The exchange acquires what counts.
        let mut word = Word::from_bits(read(&self.0, Ordering::Relaxed));
        loop {
            match self.0.compare_exchange_weak(
                word.into_bits(),
                change(word)?.into_bits(),
                // ORDERING: Acquire. Pairs with the Release of the last turn's end and of
                // unpinning (Protocol, 4 and 5).
                Ordering::Acquire,
                // ORDERING: Relaxed. As for the first load.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(found) => word = Word::from_bits(found),
            }
        }
    }

    /// Ends a turn; whether the page was dropped meanwhile.
    fn end(&self, change: impl Fn(Word) -> Option<Word>) -> IsDead {
        if self.changed(change).is_dead() { IsDead::Yes } else { IsDead::No }
    }

    /// Changes the word as the thread that has the turn; returns what it is now.
    fn changed(&self, change: impl Fn(Word) -> Option<Word>) -> Word {
        // ORDERING: Relaxed. The exchange acquires what counts.
        let mut word = Word::from_bits(read(&self.0, Ordering::Relaxed));
        loop {
            let Some(next) = change(word) else { unreachable!("not a step from {word:?}") };
            match self.0.compare_exchange_weak(
                word.into_bits(),
                next.into_bits(),
                // ORDERING: AcqRel. Release for those who pin or begin a turn, Acquire for what
                // the dropping thread did to a page that is dead (Protocol, 4 and 8).
                Ordering::AcqRel,
                // ORDERING: Relaxed. As for the first load.
                Ordering::Relaxed,
            ) {
                Ok(_) => return next,
                Err(found) => word = Word::from_bits(found),
            }
        }
    }
}
