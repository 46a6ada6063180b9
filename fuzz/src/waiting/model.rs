//! The plain model: a tree of sums, and a line that is served in a loop.

/// What should become of requests.
pub(super) struct Model {
    capacity: usize,
    owners: Vec<Node>,
    /// Those who wait and those who were granted, in the order of their coming.
    line: Vec<Place>,
}

struct Node {
    parent: Option<usize>,
    /// What is held here and taken by those below.
    used: usize,
    minimum: usize,
    /// Whether the minimum may change.
    is_adjustable: bool,
    /// `usize::MAX` for none.
    limit: usize,
    /// Handles: its own, those of reservations and of waiting requests, and one for each child that
    /// has any.
    handles: usize,
}

struct Place {
    id: usize,
    owner: usize,
    bytes: usize,
    is_granted: bool,
}

/// What becomes of a request at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReclaimGuard {
    Had,
    Budget,
    Limit { level: usize },
    QueuePosition,
}

/// The handles of an owner that has ended.
const ENDED: usize = usize::MAX;

/// An owner, or the budget.
type Level = Option<usize>;

impl Node {
    /// Whether it has ended, and holds nothing.
    fn is_gone(&self) -> bool {
        self.handles == ENDED && self.used == 0 && self.minimum == 0
    }
}

impl Model {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, owners: Vec::new(), line: Vec::new() }
    }

    /// The number that the next owner has, below `numbers`: a new one, or that of an owner that is
    /// gone. `None` if there are as many owners.
    pub(super) fn next_number(&self, numbers: usize) -> Option<usize> {
        let is_gone = |owner: &usize| {
            let below = |other: &Node| other.parent == Some(*owner) && !other.is_gone();
            self.owners[*owner].is_gone() && !self.owners.iter().any(below)
        };
        match self.owners.len() {
            known if known < numbers => Some(known),
            known => (0..known).find(is_gone),
        }
    }

    /// Registers an owner under its number; whether it must succeed.
    pub(super) fn register(
        &mut self,
        number: usize,
        parent: Level,
        (minimum, may_change): (usize, bool),
        limit: usize,
    ) -> bool {
        if minimum > limit || minimum > self.limit_of(parent) {
            return false;
        }
        if self.take_from(parent, minimum, &self.refusing()) != ReclaimGuard::Had {
            return false;
        }
        if let Some(parent) = parent {
            self.owners[parent].handles += 1;
        }
        let is_adjustable = minimum > 0 || may_change;
        let node = Node { parent, used: 0, minimum, is_adjustable, limit, handles: 1 };
        match self.owners.get_mut(number) {
            Some(gone) => *gone = node,
            None => self.owners.push(node),
        }
        true
    }

    pub(super) fn add_handle(&mut self, owner: usize) {
        self.owners[owner].handles += 1;
    }

    pub(super) fn drop_handle(&mut self, owner: usize) {
        self.owners[owner].handles -= 1;
        let free = self.free();
        let used: usize = self.owners.iter().map(|owner| owner.used).sum();
        self.end(owner);
        // An owner that gives nothing back serves no request.
        if free != self.free() || used != self.owners.iter().map(|owner| owner.used).sum() {
            self.serve();
        }
    }

    /// Without handles an owner ends, and with its last byte its minimum.
    fn end(&mut self, owner: usize) {
        if self.owners[owner].handles > 0 {
            return;
        }
        if self.owners[owner].used == 0 {
            let minimum = std::mem::take(&mut self.owners[owner].minimum);
            self.give_back_to(self.owners[owner].parent, minimum);
        }
        // The handle of its parent goes with its own, once.
        if std::mem::replace(&mut self.owners[owner].handles, ENDED) == 0
            && let Some(parent) = self.owners[owner].parent
        {
            self.owners[parent].handles -= 1;
            self.end(parent);
        }
    }

    fn has_ended(&self, owner: usize) -> bool {
        self.owners[owner].handles == 0 || self.owners[owner].handles == ENDED
    }

    /// A request that does not wait.
    pub(super) fn take(&mut self, owner: usize, bytes: usize) -> ReclaimGuard {
        self.take_from(Some(owner), bytes, &self.refusing())
    }

    pub(super) fn never_fits(&self, owner: usize, bytes: usize) -> bool {
        bytes > self.limit_of(Some(owner))
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The most that an owner may hold, by its own limit and those above.
    pub(super) fn limit_of(&self, owner: Level) -> usize {
        owner.map_or(self.capacity, |owner| {
            self.owners[owner].limit.min(self.limit_of(self.owners[owner].parent))
        })
    }

    pub(super) fn minimum_of(&self, owner: usize) -> usize {
        self.owners[owner].minimum
    }

    /// Changes a limit; whether that must succeed.
    pub(super) fn set_limit(&mut self, owner: usize, limit: usize) -> bool {
        if limit < self.owners[owner].minimum {
            return false;
        }
        self.owners[owner].limit = limit;
        self.serve();
        true
    }

    /// Changes a minimum; whether that must succeed.
    pub(super) fn set_minimum(&mut self, owner: usize, minimum: usize) -> bool {
        let Node { parent, used, limit, is_adjustable, .. } = self.owners[owner];
        if minimum > limit || minimum > 0 && !is_adjustable {
            return false;
        }
        let (before, after) = (self.charge(owner), used.max(minimum));
        if after > before {
            let taken = self.take_from(parent, after - before, &self.refusing());
            if taken != ReclaimGuard::Had {
                return false;
            }
            self.owners[owner].minimum = minimum;
            return true;
        }
        self.owners[owner].minimum = minimum;
        self.give_back_to(parent, before - after);
        self.serve();
        true
    }

    /// Changes the capacity, up to `most`; whether that must succeed.
    pub(super) fn resize(&mut self, capacity: usize, most: usize, page_bytes: usize) -> bool {
        if capacity >= self.capacity {
            let fits = capacity <= most;
            self.capacity = if fits { capacity } else { self.capacity };
            self.serve();
            return fits;
        }
        let less = self.capacity - capacity;
        let tops = (0..self.owners.len()).filter(|owner| self.owners[*owner].parent.is_none());
        let promised: usize = tops.map(|owner| self.owners[owner].minimum).sum();
        let fits = capacity >= promised.max(page_bytes)
            && self.refuses(None, less, &self.refusing()).is_none();
        self.capacity -= if fits { less } else { 0 };
        fits
    }

    pub(super) fn wait(&mut self, id: usize, owner: usize, bytes: usize) {
        self.add_handle(owner);
        self.line.push(Place { id, owner, bytes, is_granted: false });
        self.serve();
    }

    /// The owner of a request that waited and was granted.
    pub(super) fn granted(&self, id: usize) -> Option<usize> {
        let place = self.line.iter().find(|place| place.id == id);
        place.filter(|place| place.is_granted).map(|place| place.owner)
    }

    /// What was granted is taken from the line; its handle becomes that of a reservation.
    pub(super) fn taken(&mut self, id: usize) {
        self.line.retain(|place| place.id != id);
    }

    pub(super) fn cancel(&mut self, id: usize) {
        let Some(index) = self.line.iter().position(|place| place.id == id) else { return };
        let place = self.line.remove(index);
        if place.is_granted {
            self.give_back_to(Some(place.owner), place.bytes);
        }
        self.serve();
        self.drop_handle(place.owner);
    }

    pub(super) fn give_back(&mut self, owner: usize, bytes: usize) {
        self.give_back_to(Some(owner), bytes);
        self.serve();
    }

    /// What is neither held nor promised.
    pub(super) fn free(&self) -> usize {
        self.capacity - self.taken_of_budget()
    }

    /// What is held at an owner and below, whichever owner it is promised to.
    pub(super) fn used_below(&self, owner: usize) -> usize {
        let children =
            (0..self.owners.len()).filter(|child| self.owners[*child].parent == Some(owner));
        let (mut own, mut below) = (self.owners[owner].used, 0);
        for child in children {
            own -= self.charge(child);
            below += self.used_below(child);
        }
        own + below
    }

    /// What an owner could take, were nobody in line.
    pub(super) fn available(&self, owner: usize) -> usize {
        let node = &self.owners[owner];
        let above = node.parent.map_or_else(|| self.free(), |parent| self.available(parent));
        let guaranteed = node.minimum.saturating_sub(node.used);
        (guaranteed + above).min(node.limit.saturating_sub(node.used))
    }

    /// The levels that refuse somebody in line: all of them in a round of their own.
    fn refusing(&self) -> Vec<Level> {
        let mut refusing = Vec::new();
        for place in self.line.iter().filter(|place| !place.is_granted) {
            if let Some(level) = self.refuses(Some(place.owner), place.bytes, &refusing)
                && !refusing.contains(&level)
            {
                refusing.push(level);
            }
        }
        refusing
    }

    /// Serves the line in the order of coming, until nobody can be served any more. Whether
    /// somebody was.
    ///
    /// An owner that gives back serves the line. One that takes what it was promised does not,
    /// although a request may then be refused by another level, and no longer hold up those behind
    /// it. They are served the next time that any is.
    pub(super) fn serve(&mut self) -> bool {
        let mut has_served = false;
        let mut refusing: Vec<Level> = Vec::new();
        for index in 0..self.line.len() {
            let Place { owner, bytes, is_granted, .. } = self.line[index];
            if is_granted {
                continue;
            }
            match self.refuses(Some(owner), bytes, &refusing) {
                Some(level) => refusing.push(level),
                None => {
                    let answer = self.take_from(Some(owner), bytes, &refusing);
                    assert_eq!(answer, ReclaimGuard::Had);
                    self.line[index].is_granted = true;
                    has_served = true;
                }
            }
        }
        has_served
    }

    /// The level that refuses a request after those who are refused at `refusing`.
    fn refuses(&self, from: Level, bytes: usize, refusing: &[Level]) -> Option<Level> {
        let (mut at, mut share) = (from, bytes);
        loop {
            let (_, level_refuses) = self.look(at, share, refusing);
            if level_refuses {
                return Some(at);
            }
            let index = at?;
            share = self.beyond(index, share);
            at = self.owners[index].parent;
        }
    }

    /// Whether it is others' turn at a level, and whether that refuses, for this or another reason.
    fn look(&self, at: Level, share: usize, refusing: &[Level]) -> (bool, bool) {
        let beyond = at.map_or(share, |index| self.beyond(index, share));
        let is_others = beyond > 0 && refusing.contains(&at);
        let free = match at {
            None => self.free(),
            Some(index) => self.owners[index].limit.saturating_sub(self.owners[index].used),
        };
        (is_others, is_others || share > free)
    }

    fn take_from(&mut self, from: Level, bytes: usize, refusing: &[Level]) -> ReclaimGuard {
        if let Some(refused) = self.refuses(from, bytes, refusing) {
            let mut level = 0;
            let (mut at, mut share) = (from, bytes);
            while at != refused {
                let Some(index) = at else { break };
                share = self.beyond(index, share);
                at = self.owners[index].parent;
                level += 1;
            }
            return match (self.look(refused, share, refusing), refused) {
                ((true, _), _) => ReclaimGuard::QueuePosition,
                (_, None) => ReclaimGuard::Budget,
                (_, Some(_)) => ReclaimGuard::Limit { level },
            };
        }
        let (mut at, mut share) = (from, bytes);
        while let Some(index) = at {
            let above = self.beyond(index, share);
            self.owners[index].used += share;
            share = above;
            at = self.owners[index].parent;
        }
        ReclaimGuard::Had
    }

    fn give_back_to(&mut self, from: Level, bytes: usize) {
        let (mut at, mut share) = (from, bytes);
        while let Some(index) = at {
            let before = self.charge(index);
            self.owners[index].used -= share;
            if share > 0 && self.owners[index].used == 0 && self.has_ended(index) {
                self.owners[index].minimum = 0;
            }
            share = before - self.charge(index);
            at = self.owners[index].parent;
        }
    }

    /// What of `share` more bytes an owner takes from above.
    fn beyond(&self, index: usize, share: usize) -> usize {
        let Node { used, minimum, .. } = self.owners[index];
        (used + share).max(minimum) - used.max(minimum)
    }

    /// What an owner takes up above.
    fn charge(&self, index: usize) -> usize {
        self.owners[index].used.max(self.owners[index].minimum)
    }

    fn taken_of_budget(&self) -> usize {
        let tops = (0..self.owners.len()).filter(|owner| self.owners[*owner].parent.is_none());
        tops.map(|owner| self.charge(owner)).sum()
    }
}
