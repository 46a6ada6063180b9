//! Lists of frames, each frame in one of them at most.
//!
//! The links of all lists are in one `Vec`, by the frame's number, so that a move between lists
//! allocates nothing and a frame costs 12 bytes.

/// The lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum List {
    /// What the caller does not expect to read again.
    Cold,
    /// Found to be next, and clean when it was.
    Ready,
    /// Came just now.
    Fresh,
    /// Came lately, and was not used since it was fresh.
    Probation,
    /// Was used more than once.
    Main,
    /// Found to be next, and dirty.
    Dirty,
    /// Pinned or being written when it was its turn.
    Parked,
    /// What the caller wants to keep.
    Keep,
}

const LISTS: usize = List::Keep as usize + 1;
/// The end of a list.
const NONE: u32 = u32::MAX;

/// What the engine said of a frame's page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// Nothing.
    Normal,
    /// Evict it last.
    Keep,
    /// Evict it first.
    Cold,
}

/// A frame's place in its list, and what is known of it.
#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    list: Option<List>,
    note: Note,
}

/// What is kept with a frame for the order of eviction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Note {
    pub(super) standing: Standing,
    /// The passes of the main list's hand that it still survives without being used.
    pub(super) credit: u8,
    /// The last list of [`List::Fresh`], [`List::Probation`] and [`List::Main`] that it was in.
    pub(super) home: List,
}

const _: () = assert!(size_of::<Link>() == 12);

impl Note {
    pub(super) const fn new(standing: Standing) -> Self {
        Self { standing, credit: 0, home: List::Fresh }
    }
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
    count: u32,
}

/// All lists.
///
/// A frame that was not announced by [`Lists::grow_to`] is a bug of the caller and panics.
#[derive(Debug)]
pub(super) struct Lists {
    links: Vec<Link>,
    ends: [Ends; LISTS],
}

impl Lists {
    pub(super) const fn new() -> Self {
        Self { links: Vec::new(), ends: [Ends { first: NONE, last: NONE, count: 0 }; LISTS] }
    }

    /// Makes room for frames below `frames`. Never shrinks.
    pub(super) fn grow_to(&mut self, frames: u32) {
        let out = Link { before: NONE, after: NONE, list: None, note: Note::new(Standing::Normal) };
        let frames = self.links.len().max(frames as usize);
        self.links.resize(frames, out);
    }

    pub(super) fn list(&self, frame: u32) -> Option<List> {
        self.links[frame as usize].list
    }

    pub(super) fn note(&mut self, frame: u32) -> &mut Note {
        &mut self.links[frame as usize].note
    }

    pub(super) fn first(&self, list: List) -> Option<u32> {
        Some(self.ends[list as usize].first).filter(|first| *first != NONE)
    }

    pub(super) fn count(&self, list: List) -> u32 {
        self.ends[list as usize].count
    }

    /// Puts `frame` at the end of `list`, out of the one where it is.
    pub(super) fn move_to(&mut self, list: List, frame: u32) {
        self.take_out(frame);
        let ends = &mut self.ends[list as usize];
        let before = std::mem::replace(&mut ends.last, frame);
        ends.count += 1;
        match self.links.get_mut(before as usize) {
            Some(link) => link.after = frame,
            None => ends.first = frame,
        }
        let link = &mut self.links[frame as usize];
        (link.before, link.after, link.list) = (before, NONE, Some(list));
    }

    /// Takes `frame` out of its list, and says which one that was.
    pub(super) fn take_out(&mut self, frame: u32) -> Option<List> {
        let link = &mut self.links[frame as usize];
        let (before, after, list) = (link.before, link.after, link.list.take()?);
        let ends = &mut self.ends[list as usize];
        ends.count -= 1;
        match self.links.get_mut(before as usize) {
            Some(link) => link.after = after,
            None => ends.first = after,
        }
        match self.links.get_mut(after as usize) {
            Some(link) => link.before = before,
            None => ends.last = before,
        }
        Some(list)
    }

    /// The frames of `list`, from the first on.
    #[cfg(test)]
    pub(super) fn frames(&self, list: List) -> Vec<u32> {
        let after = |frame: &u32| Some(self.links[*frame as usize].after).filter(|it| *it != NONE);
        std::iter::successors(self.first(list), after).collect()
    }
}
