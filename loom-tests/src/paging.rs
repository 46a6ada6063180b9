//! One page that may lie in a file: its entry, frames, and slots.

use std::sync::atomic::{AtomicU64, Ordering};

use offheap_paging::model::{
    Death, Dirty, Epochs, Fences, IsDead, Kept, LoadTurn, Participant, Publish, Stamp, State,
    WriteEnd, Written,
};

use crate::engine::cell::UnsafeCell;
use crate::engine::thread;

/// What the page has first.
pub const FIRST: u64 = 7;
/// What is in a frame or a slot that something else has.
const TAKEN: u64 = u64::MAX;

/// The page, as a pool keeps it. What is no atomic step of an entry is a cell, which finds out
/// about two that access it at once, and about a hand-over without happens-before.
pub struct Paged {
    /// The entry under test.
    pub state: State,
    /// Readers that do not pin.
    pub epochs: Epochs,
    /// The frame that the entry names.
    base: UnsafeCell<usize>,
    /// The slot that the entry names: for the thread that has the turn.
    slot: UnsafeCell<Option<usize>>,
    /// One for each load: what was given away does not come back.
    frames: Vec<Frame>,
    /// One for each write.
    slots: Vec<UnsafeCell<u64>>,
    /// The slot of the next write: for the thread that has the turn.
    next_slot: UnsafeCell<usize>,
    cleaned: AtomicU64,
}

/// How often a page is loaded and written at most.
const ROUNDS_MAX: usize = if cfg!(offheap_shuttle) { 40 } else { 3 };

struct Frame {
    content: UnsafeCell<u64>,
    /// Whether it names the entry.
    is_named: UnsafeCell<bool>,
}

// SAFETY: the cells are accessed as the protocol of entries says; loom checks that.
unsafe impl Sync for Paged {}
// SAFETY: as for `Sync`.
unsafe impl Send for Paged {}

fn get<T: Copy>(cell: &UnsafeCell<T>) -> T {
    // SAFETY: nobody writes meanwhile; loom checks it.
    cell.with(|value| unsafe { *value })
}

fn set<T>(cell: &UnsafeCell<T>, new: T) {
    // SAFETY: nobody else looks meanwhile; loom checks it.
    cell.with_mut(|value| unsafe { *value = new });
}

impl Paged {
    /// A page that is resident.
    #[must_use]
    pub fn resident(dirty: Dirty, fences: Fences) -> Self {
        let paged = Self::vacant(fences);
        if dirty == Dirty::No {
            paged.fill_slot(FIRST);
        }
        paged.fill(0, FIRST);
        paged.state.make_resident(dirty);
        paged
    }

    /// A page that is spilled.
    #[must_use]
    pub fn spilled(fences: Fences) -> Self {
        let paged = Self::resident(Dirty::No, fences);
        assert_eq!(paged.evict(), Ok(IsDead::No), "nobody has it");
        paged
    }

    fn vacant(fences: Fences) -> Self {
        let frame = || Frame { content: UnsafeCell::new(TAKEN), is_named: UnsafeCell::new(false) };
        Self {
            state: State::new(),
            epochs: Epochs::with_fences(fences),
            base: UnsafeCell::new(0),
            slot: UnsafeCell::new(None),
            frames: (0..ROUNDS_MAX).map(|_| frame()).collect(),
            slots: (0..ROUNDS_MAX).map(|_| UnsafeCell::new(TAKEN)).collect(),
            next_slot: UnsafeCell::new(0),
            cleaned: AtomicU64::new(0),
        }
    }

    fn fill_slot(&self, content: u64) {
        let slot = get(&self.next_slot);
        set(&self.next_slot, slot + 1);
        set(&self.slots[slot], content);
        set(&self.slot, Some(slot));
    }

    fn fill(&self, frame: usize, content: u64) {
        set(&self.frames[frame].content, content);
        set(&self.frames[frame].is_named, true);
        set(&self.base, frame);
    }

    /// The content, for those who keep the page where it is.
    pub fn content(&self) -> u64 {
        let content = get(&self.frames[get(&self.base)].content);
        assert_ne!(content, TAKEN, "the frame is that of another page");
        content
    }

    /// Pins and reads.
    pub fn read(&self) -> Option<u64> {
        self.state.pin().then(|| {
            let content = self.content();
            self.state.unpin();
            content
        })
    }

    /// Reads in an epoch.
    pub fn read_in(&self, reader: &mut Participant) -> Option<u64> {
        reader.enter();
        let content = self.state.is_resident_now().then(|| self.content());
        reader.leave();
        content
    }

    /// Pins and writes.
    pub fn write(&self, content: u64) -> bool {
        let is_pinned = self.state.pin_for_write();
        if is_pinned {
            set(&self.frames[get(&self.base)].content, content);
            self.state.unpin();
        }
        is_pinned
    }

    /// Evicts, and lets another page have the frame. Waits for readers in epochs.
    ///
    /// # Errors
    ///
    /// If the page stays.
    pub fn evict(&self) -> Result<IsDead, Kept> {
        self.state.begin_evict()?;
        let stamp = self.epochs.retire();
        while !self.epochs.has_passed(stamp) {
            thread::yield_now();
        }
        Ok(self.let_go())
    }

    /// The same, if nobody is in an epoch just then.
    ///
    /// # Errors
    ///
    /// If the page stays.
    pub fn try_evict(&self) -> Result<IsDead, Kept> {
        self.state.begin_evict()?;
        let stamp: Stamp = self.epochs.retire();
        if self.epochs.has_passed(stamp) {
            return Ok(self.let_go());
        }
        self.call_off();
        Err(Kept::Pinned)
    }

    /// Evicts by the frame, which another page may have by now, and the entry, too.
    ///
    /// # Errors
    ///
    /// If the page stays.
    pub fn evict_from(&self, frame: usize) -> Result<IsDead, Kept> {
        self.state.begin_evict()?;
        if get(&self.base) == frame {
            return Ok(self.let_go());
        }
        self.call_off();
        Err(Kept::Gone)
    }

    /// Gives the vacant entry to a new page, in another frame.
    pub fn refill(&self, content: u64) {
        self.fill_slot(content);
        self.fill(get(&self.base) + 1, content);
        self.state.make_resident(Dirty::No);
    }

    /// Calls an eviction off that was begun.
    pub fn call_off(&self) {
        if self.state.cancel_evict() == IsDead::Yes {
            self.clean_up(true);
            self.state.bury();
        }
    }

    fn let_go(&self) -> IsDead {
        let frame = get(&self.base);
        assert!(get(&self.frames[frame].is_named), "the frame of a resident page names it");
        let is_dead = self.state.finish_evict();
        self.take_frame(frame);
        if is_dead == IsDead::Yes {
            self.clean_up(false);
            self.state.bury();
        }
        is_dead
    }

    fn take_frame(&self, frame: usize) {
        set(&self.frames[frame].is_named, false);
        set(&self.frames[frame].content, TAKEN);
    }

    /// Loads into another frame, if it is the caller's turn.
    pub fn load(&self, publish: Publish) -> LoadTurn {
        let turn = self.state.begin_load();
        if turn == LoadTurn::Mine {
            self.arrive(publish);
        }
        turn
    }

    fn arrive(&self, publish: Publish) {
        let slot = get(&self.slot).expect("what is spilled has a slot");
        let content = get(&self.slots[slot]);
        assert_ne!(content, TAKEN, "the slot is that of another page");
        self.fill(get(&self.base) + 1, content);
        if publish.dirty {
            set(&self.slots[slot], TAKEN);
            set(&self.slot, None);
        }
        if self.state.publish(publish) == IsDead::Yes {
            self.clean_up(true);
            self.state.bury();
        }
    }

    /// As `load`, from a file that cannot be read.
    pub fn load_in_vain(&self) -> LoadTurn {
        let turn = self.state.begin_load();
        if turn == LoadTurn::Mine {
            let _slot = get(&self.slot);
            if self.state.fail_load() == IsDead::Yes {
                self.clean_up(false);
                self.state.bury();
            }
        }
        turn
    }

    /// Copies, and writes to another slot.
    ///
    /// # Errors
    ///
    /// If there is nothing to write, or not now.
    pub fn write_behind(&self, written: Written) -> Result<WriteEnd, Kept> {
        self.state.begin_write()?;
        let copy = self.content();
        self.state.end_copy();
        let old = get(&self.slot);
        if written == Written::Yes {
            self.fill_slot(copy);
            old.into_iter().for_each(|old| set(&self.slots[old], TAKEN));
        }
        let end = self.state.end_write(written);
        if end.dead {
            self.clean_up(true);
            self.state.bury();
        }
        Ok(end)
    }

    /// Drops the page.
    pub fn die(&self) -> Death {
        let death = self.state.die();
        match death {
            Death::Resident => self.clean_up(true),
            Death::Spilled => self.clean_up(false),
            Death::Later => {}
        }
        death
    }

    /// Frees slot and frame of a page that is dead: others have them.
    fn clean_up(&self, is_resident: bool) {
        if is_resident {
            self.take_frame(get(&self.base));
        }
        if let Some(slot) = get(&self.slot) {
            set(&self.slots[slot], TAKEN);
        }
        set(&self.slot, None);
        // ORDERING: Relaxed. Looked at when all have ended; it is no step of the model.
        self.cleaned.fetch_add(1, Ordering::Relaxed);
    }

    /// How often a dead page was cleaned up.
    pub fn cleaned(&self) -> u64 {
        // ORDERING: Relaxed. As above.
        self.cleaned.load(Ordering::Relaxed)
    }

    /// The content, wherever it is, when nobody does anything.
    pub fn rests(&self) -> u64 {
        let word = self.state.seen();
        assert_eq!(word.pins(), 0);
        let slot = get(&self.slot).map(|slot| get(&self.slots[slot]));
        if !word.is_resident() {
            return slot.expect("what is spilled has a slot");
        }
        if !word.is_dirty() {
            assert_eq!(slot, Some(self.content()), "what is clean has its content in its slot");
        }
        self.content()
    }
}
