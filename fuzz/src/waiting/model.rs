//! The plain model: a tree of sums, and a line that is served in a loop.

/// What should become of requests.
#[derive(Clone)]
pub(super) struct Model {
    capacity: usize,
    owners: Vec<Node>,
    /// Those who wait and those who were granted, in the order of their coming.
    line: Vec<Place>,
}

#[derive(Clone)]
struct Node {
    parent: Option<usize>,
    /// What is held here and taken by those below.
    used: usize,
    minimum: usize,
    limit: usize,
    /// Handles: its own, those of reservations and of waiting requests, and one for each child that
    /// has any.
    handles: usize,
}

#[derive(Clone)]
struct Place {
    id: usize,
    owner: usize,
    bytes: usize,
    is_granted: bool,
    /// What refused it last; `None` if it was not attempted yet.
    at: Option<Level>,
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

    /// Registers an owner under its number, as it `was_registered` or not; whether that may be.
    pub(super) fn register(
        &mut self,
        number: usize,
        parent: Level,
        (minimum, limit): (usize, usize),
        was_registered: bool,
    ) -> bool {
        // One of all there is never refuses before the budget does.
        let own_limit = if limit >= self.capacity { usize::MAX } else { limit };
        if minimum > limit || minimum > self.limit_of(parent) {
            return !was_registered;
        }
        let is_had = |answer: &ReclaimGuard| *answer == ReclaimGuard::Had;
        if !self.answers(parent, minimum).iter().any(|answer| is_had(answer) == was_registered) {
            return false;
        }
        if !was_registered {
            return true;
        }
        let answer = self.take_from(parent, minimum, &[]);
        assert_eq!(answer, ReclaimGuard::Had);
        if let Some(parent) = parent {
            self.owners[parent].handles += 1;
        }
        let node = Node { parent, used: 0, minimum, limit: own_limit, handles: 1 };
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
        let chain = self.chain(owner);
        let free = self.free();
        let used: usize = self.owners.iter().map(|owner| owner.used).sum();
        self.end(owner);
        // An owner that gives nothing back serves no request.
        if free != self.free() || used != self.owners.iter().map(|owner| owner.used).sum() {
            self.serve_at(&chain);
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

    /// What may become of a request that does not wait.
    pub(super) fn answers_to(&self, owner: usize, bytes: usize) -> [ReclaimGuard; 2] {
        self.answers(Some(owner), bytes)
    }

    /// Such a request was had.
    pub(super) fn take(&mut self, owner: usize, bytes: usize) {
        let answer = self.take_from(Some(owner), bytes, &[]);
        assert_eq!(answer, ReclaimGuard::Had);
    }

    /// The answers after those that wait where they were refused last, and after those that would
    /// be refused now: the manager may have looked at some of them again, or not yet.
    fn answers(&self, from: Level, bytes: usize) -> [ReclaimGuard; 2] {
        let waiting = || self.line.iter().filter(|place| !place.is_granted);
        let known: Vec<Level> = waiting().filter_map(|place| place.at).collect();
        let mut refusing = Vec::new();
        for place in waiting() {
            refusing.extend(self.refuses(Some(place.owner), place.bytes, &refusing));
        }
        [known, refusing].map(|levels| self.clone().take_from(from, bytes, &levels))
    }

    pub(super) fn never_fits(&self, owner: usize, bytes: usize) -> bool {
        bytes > self.limit_of(Some(owner))
    }

    pub(super) fn wait(&mut self, id: usize, owner: usize, bytes: usize) {
        self.add_handle(owner);
        self.line.push(Place { id, owner, bytes, is_granted: false, at: None });
        self.serve_at(&self.chain(owner));
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
        self.serve_at(&self.chain(place.owner));
        self.drop_handle(place.owner);
    }

    pub(super) fn give_back(&mut self, owner: usize, bytes: usize) {
        self.give_back_to(Some(owner), bytes);
        self.serve_at(&self.chain(owner));
    }

    /// The levels of an owner, up to the budget's.
    fn chain(&self, owner: usize) -> Vec<Level> {
        let above = |level: &Level| level.map(|owner| self.owners[owner].parent);
        std::iter::successors(Some(Some(owner)), above).collect()
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

    /// Serves all levels, if that serves anybody; whether it does.
    ///
    /// An owner that gives back serves its own levels. One that takes what it was promised does
    /// not, although a request may then be refused by another level, and no longer hold up those
    /// behind it. They are served the next time that their level is.
    pub(super) fn serve(&mut self) -> bool {
        let levels = (0..self.owners.len()).map(Some).chain([None]);
        let levels: Vec<Level> = levels.collect();
        let mut served = self.clone();
        let has_served = served.serve_at(&levels);
        if has_served {
            *self = served;
        }
        has_served
    }

    /// Attempts, in the order of coming, those that are new and those that wait at one of `levels`
    /// and are not sure to wait there; whether somebody was served.
    fn serve_at(&mut self, levels: &[Level]) -> bool {
        let mut has_served = false;
        let mut refusing: Vec<Level> = Vec::new();
        // A request that is served, or moves, may unblock others at all of its own levels.
        let mut levels = levels.to_vec();
        for index in 0..self.line.len() {
            let Place { owner, bytes, is_granted, at, .. } = self.line[index];
            if is_granted {
                continue;
            }
            if let Some(level) = at
                && !(levels.contains(&level)
                    && (!refusing.contains(&level) || self.is_promised(owner, bytes, level)))
            {
                refusing.push(level);
                continue;
            }
            match self.refuses(Some(owner), bytes, &refusing) {
                Some(level) => {
                    if self.line[index].at.replace(level) != Some(level) {
                        levels.extend(self.chain(owner));
                    }
                    refusing.push(level);
                }
                None => {
                    let answer = self.take_from(Some(owner), bytes, &refusing);
                    assert_eq!(answer, ReclaimGuard::Had);
                    self.line[index].is_granted = true;
                    levels.extend(self.chain(owner));
                    has_served = true;
                }
            }
        }
        has_served
    }

    /// Whether what is left of promises up to a level is enough.
    fn is_promised(&self, owner: usize, bytes: usize, up_to: Level) -> bool {
        let (mut level, mut left) = (Some(owner), 0);
        while let Some(owner) = level {
            let Node { used, minimum, parent, .. } = self.owners[owner];
            left += minimum.saturating_sub(used);
            level = if level == up_to { None } else { parent };
        }
        left >= bytes
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

    /// The most that an owner may hold, by its own limit and those above.
    fn limit_of(&self, owner: Level) -> usize {
        owner.map_or(self.capacity, |owner| {
            self.owners[owner].limit.min(self.limit_of(self.owners[owner].parent))
        })
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
