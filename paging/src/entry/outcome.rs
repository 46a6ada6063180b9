//! What the steps of an entry are told, and what they answer.

/// Whether a page differs from what its slot in the spill file has, or has no slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dirty {
    /// It is written before its frame goes.
    Yes,
    /// Its slot has the same content.
    #[cfg_attr(not(any(test, offheap_loom)), expect(dead_code, reason = "new pages have no slot"))]
    No,
}

/// How a page that was loaded becomes resident.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publish {
    /// Whether the caller has a pin from then on. It does not count as a use.
    pub pin: bool,
    /// Whether the page has lost its slot, and so has to be written before it goes.
    pub dirty: bool,
}

/// Who loads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadTurn {
    /// The caller: it must publish, or fail the load.
    Mine,
    /// Another one does already.
    Loading,
    /// Nobody: it is resident.
    Resident,
    /// Nobody yet: it is on its way out, and can be loaded after that.
    Evicting,
    /// Nobody: there is no such page any more.
    Gone,
}

/// Why a page is not evicted, or not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It is in use.
    Pinned,
    /// It has to be written first.
    Dirty,
    /// It has the content of its slot: there is nothing to write.
    Clean,
    /// It is being written.
    Writing,
    /// It is not resident, or dropped.
    Gone,
}

/// Whether a write arrived in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// All of it.
    Yes,
    /// It failed, or was given up.
    No,
}

/// What became of a page while it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the entry of a page that is dead has to be cleaned up"]
pub struct WriteEnd {
    /// Its slot does not have its content: it was dirtied again, or the write failed.
    pub dirty: bool,
    /// It was dropped: the caller frees its frame and slot, and buries it.
    pub dead: bool,
}

/// Whether a page was dropped while the caller had a turn with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "the entry of a page that is dead has to be cleaned up"]
pub enum IsDead {
    /// It was not.
    No,
    /// It was: the caller frees its frame and slot, and buries it.
    Yes,
}

/// What is left of a page that is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "somebody has to clean up"]
pub enum Death {
    /// The entry is vacant. The caller frees the frame and, if it has one, the slot.
    Resident,
    /// The entry is vacant. The caller frees the slot.
    Spilled,
    /// Another one has a turn with it, and cleans up at its end.
    Later,
}
