//! The plain model of the line: all that wait, in their order, looked at one after the other.

/// An account of the model.
pub(super) struct Node {
    pub(super) parent: Option<usize>,
    pub(super) minimum: u64,
    pub(super) limit: u64,
    /// What is held here and taken by those below.
    pub(super) used: u64,
    pub(super) rank: u32,
}

/// An account, or the budget.
pub(super) type Level = Option<usize>;

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) id: usize,
    pub(super) owner: usize,
    pub(super) bytes: u64,
    /// What refused it last; `None` if it was not attempted yet.
    at: Option<Level>,
}

/// A tree of sums, and a line in the order of coming.
pub(super) struct Plain {
    pub(super) limit: u64,
    pub(super) taken: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) line: Vec<Place>,
}

impl Plain {
    pub(super) fn join(&mut self, id: usize, owner: usize, bytes: u64) {
        self.line.push(Place { id, owner, bytes, at: None });
    }

    /// An owner and those above it, up to the budget.
    pub(super) fn chain(&self, owner: usize) -> Vec<Level> {
        let above = |level: &Level| level.map(|owner| self.nodes[owner].parent);
        std::iter::successors(Some(Some(owner)), above).collect()
    }

    /// Attempts, in their order, all that wait at one of `levels` and are not sure to wait there,
    /// and all that are new. What changes for one of them is looked at on all of its chain. Returns
    /// those that were granted what they wait for, in this order.
    pub(super) fn serve(&mut self, levels: &[Level]) -> Vec<usize> {
        let mut is_served = vec![false; self.nodes.len() + 1];
        levels.iter().for_each(|level| is_served[self.index(*level)] = true);
        self.serve_if(&mut is_served, |plain, place, awaited, is_served| {
            place.at.is_none_or(|level| {
                let is_first = !awaited[plain.index(level)];
                let may_be_granted = is_first || plain.is_promised_enough(place, level);
                is_served[plain.index(level)] && may_be_granted
            })
        })
    }

    /// The same at all levels.
    pub(super) fn serve_all(&mut self) -> Vec<usize> {
        let levels = (0..self.nodes.len()).map(Some).chain([None]);
        let levels: Vec<Level> = levels.collect();
        self.serve(&levels)
    }

    /// Whether anybody would be served, were all attempted in their order.
    pub(super) fn is_anybody_overlooked(&self) -> bool {
        let nodes = self.nodes.iter().map(|node| Node { ..*node }).collect();
        let mut copy = Self { nodes, line: self.line.clone(), ..*self };
        let mut is_served = vec![true; self.nodes.len() + 1];
        !copy.serve_if(&mut is_served, |_, _, _, _| true).is_empty()
    }

    /// Attempts all that are due, in their order. A request comes after those before it at the
    /// levels where these wait. Once one was granted what it waits for, or waits elsewhere, the
    /// levels of its chain are served too.
    fn serve_if(
        &mut self,
        is_served: &mut [bool],
        is_due: impl Fn(&Self, &Place, &[bool], &[bool]) -> bool,
    ) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.line.len()).collect();
        if self.nodes.iter().any(|node| node.rank > 0) {
            order.sort_by_key(|at| (self.nodes[self.line[*at].owner].rank, *at));
        }
        // The levels at which one before waits; the last one is the budget.
        let mut awaited = vec![false; self.nodes.len() + 1];
        let (mut granted, mut is_granted) = (Vec::new(), vec![false; self.line.len()]);
        for at in order {
            let Place { id, owner, bytes, .. } = self.line[at];
            if is_due(self, &self.line[at], &awaited, is_served) {
                let refused = self.take(owner, bytes, &awaited).err();
                let before = std::mem::replace(&mut self.line[at].at, refused);
                if refused.is_none() || refused != before {
                    for level in self.chain(owner) {
                        is_served[self.index(level)] = true;
                    }
                }
                if refused.is_none() {
                    is_granted[at] = true;
                    granted.push(id);
                    continue;
                }
            }
            if let Some(level) = self.line[at].at {
                let index = self.index(level);
                awaited[index] = true;
            }
        }
        let mut is_granted = is_granted.into_iter();
        self.line.retain(|_| is_granted.next() == Some(false));
        granted
    }

    /// Whether what is left of promises up to a level is enough for a request.
    fn is_promised_enough(&self, place: &Place, up_to: Level) -> bool {
        let (mut level, mut left) = (Some(place.owner), 0);
        while let Some(owner) = level {
            left += self.nodes[owner].minimum.saturating_sub(self.nodes[owner].used);
            level = if level == up_to { None } else { self.nodes[owner].parent };
        }
        left >= place.bytes
    }

    /// Takes bytes for one that does not wait: after all that do.
    pub(super) fn take_out_of_turn(&mut self, owner: usize, bytes: u64) -> Result<(), Level> {
        let mut awaited = vec![false; self.nodes.len() + 1];
        for level in self.line.iter().filter_map(|place| place.at) {
            awaited[self.index(level)] = true;
        }
        self.take(owner, bytes, &awaited)
    }

    /// Takes bytes at all levels, unless one refuses it: others are first there, or it has too few.
    fn take(&mut self, owner: usize, bytes: u64, awaited: &[bool]) -> Result<(), Level> {
        let (mut level, mut share) = (Some(owner), bytes);
        while let Some(owner) = level {
            let Node { parent, minimum, limit, used, .. } = self.nodes[owner];
            let beyond = (used + share).max(minimum) - used.max(minimum);
            let limit_above = parent.map_or(self.limit, |parent| self.nodes[parent].limit);
            if beyond > 0 && awaited[owner] || used + share > limit && limit < limit_above {
                return Err(level);
            }
            (level, share) = (parent, beyond);
        }
        if share > 0 && awaited[self.nodes.len()] || self.taken + share > self.limit {
            return Err(None);
        }
        self.add(owner, bytes);
        Ok(())
    }

    pub(super) fn add(&mut self, owner: usize, mut bytes: u64) {
        let mut level = Some(owner);
        while let Some(owner) = level {
            let Node { parent, minimum, used, .. } = self.nodes[owner];
            self.nodes[owner].used += bytes;
            (level, bytes) = (parent, (used + bytes).max(minimum) - used.max(minimum));
        }
        self.taken += bytes;
    }

    pub(super) fn give_back(&mut self, owner: usize, mut bytes: u64) {
        let mut level = Some(owner);
        while let Some(owner) = level {
            let Node { parent, minimum, used, .. } = self.nodes[owner];
            self.nodes[owner].used -= bytes;
            (level, bytes) = (parent, used.max(minimum) - (used - bytes).max(minimum));
        }
        self.taken -= bytes;
    }

    fn index(&self, level: Level) -> usize {
        level.unwrap_or(self.nodes.len())
    }
}
