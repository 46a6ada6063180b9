//! The plain model of a manager: a sum per owner. It does not know where memory lies.

use offheap::ffi::{self, Status};

use super::calls::{self, PAGE};

/// What a configuration says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConfigModel {
    pages: usize,
    is_heap: bool,
    factor: u32,
    /// Bytes for each of two spill reserves.
    reserve: usize,
    thresholds_are_in_order: bool,
}

impl Default for ConfigModel {
    fn default() -> Self {
        Self {
            pages: calls::PAGES_FIRST,
            is_heap: false,
            factor: 1,
            reserve: 0,
            thresholds_are_in_order: true,
        }
    }
}

impl ConfigModel {
    /// Sets one of the options; what the call returned, and what it should have.
    pub(super) fn set(&mut self, config: usize, option: u8, value: u32) -> (Status, Status) {
        let limited = |kinds: u32| if value < kinds { Status::Ok } else { Status::InvalidArgument };
        match option % 10 {
            0 => {
                self.pages = value as usize % 65;
                (calls::set_capacity(config, self.pages * PAGE), Status::Ok)
            }
            1 => {
                if value < 2 {
                    self.is_heap = value == ffi::Mode::Heap as u32;
                }
                (calls::set_mode(config, value), limited(2))
            }
            2 => (calls::set_strategy(config, value), limited(2)),
            3 => (calls::set_zero_policy(config, value), limited(3)),
            4 => (calls::set_depot_pages(config, value as usize % 20), Status::Ok),
            5 => {
                self.factor = value % 4;
                (calls::set_address_space_factor(config, self.factor), Status::Ok)
            }
            6 => {
                self.reserve = value as usize % (5 * PAGE);
                (calls::set_spill_reserve(config, self.reserve), Status::Ok)
            }
            7 => (calls::set_policy(config, value), limited(2)),
            8 => {
                (calls::set_timeouts(config, u64::from(value) << 32 | u64::from(value)), Status::Ok)
            }
            _ => {
                let shares = [value, value >> 8, value >> 16].map(|bits| bits % 16);
                let [elevated, high, critical] = shares;
                self.thresholds_are_in_order =
                    0 < elevated && elevated <= high && high <= critical && critical <= 10;
                let shares = shares.map(|share| f64::from(share) / 10.0);
                (calls::set_pressure_thresholds(config, shares), Status::Ok)
            }
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        let has_room = match self.reserve {
            0 => self.pages > 0,
            PAGE.. => 2 * self.reserve + PAGE <= self.pages * PAGE,
            _ => false,
        };
        has_room && self.factor > 0 && self.thresholds_are_in_order
    }
}

/// The levels of a tree of owners.
const LEVELS_MAX: usize = 16;

pub(super) struct ManagerModel {
    pub(super) capacity: usize,
    pub(super) is_heap: bool,
    pub(super) is_closed: bool,
    /// The bytes of the spill reserve.
    set_aside: usize,
    owners: Vec<OwnerModel>,
}

struct OwnerModel {
    parent: Option<usize>,
    /// What it holds itself.
    used: usize,
    minimum: usize,
    limit: usize,
    /// Its own handle, its workers, its reservations, and the owners below it that have handles.
    /// Without any it lives, and keeps its minimum, until it and those below hold nothing.
    handles: usize,
}

impl ManagerModel {
    pub(super) fn new(config: ConfigModel) -> Self {
        let ConfigModel { pages, is_heap, reserve, .. } = config;
        Self {
            capacity: pages * PAGE,
            is_heap,
            is_closed: false,
            set_aside: 2 * reserve,
            owners: Vec::new(),
        }
    }

    /// The owner and those above it.
    fn ancestry(&self, owner: Option<usize>) -> impl Iterator<Item = &OwnerModel> {
        let model = |owner: usize| &self.owners[owner];
        std::iter::successors(owner.map(model), move |owner| owner.parent.map(model))
    }

    /// What an owner may be refused with: one of the reasons, if there are any.
    pub(super) fn refusals_of_owner(
        &self,
        parent: Option<usize>,
        minimum: usize,
        limit: usize,
    ) -> Vec<Status> {
        let is_unavailable =
            minimum > self.limit_below(parent, limit) || minimum > self.available_below(parent);
        let reasons = [
            (minimum > limit, Status::MinimumAboveLimit),
            (is_unavailable, Status::MinimumUnavailable),
            (self.ancestry(parent).count() >= LEVELS_MAX, Status::TooDeep),
            (self.is_closed, Status::ShutDown),
        ];
        reasons.into_iter().filter_map(|(is, reason)| is.then_some(reason)).collect()
    }

    pub(super) fn register(
        &mut self,
        parent: Option<usize>,
        minimum: usize,
        limit: usize,
    ) -> usize {
        let limit = self.limit_below(parent, limit);
        if let Some(parent) = parent {
            self.add_handle(parent);
        }
        self.owners.push(OwnerModel { parent, used: 0, minimum, limit, handles: 1 });
        self.owners.len() - 1
    }

    /// The limit of an owner, which is not above that of its parent.
    fn limit_below(&self, parent: Option<usize>, limit: usize) -> usize {
        limit.min(parent.map_or(self.capacity, |parent| self.owners[parent].limit))
    }

    /// What an owner holds, and those below it hold or are promised.
    fn held(&self, owner: usize) -> usize {
        let below =
            (0..self.owners.len()).filter(|other| self.owners[*other].parent == Some(owner));
        self.owners[owner].used + below.map(|other| self.taken_by(other)).sum::<usize>()
    }

    /// What an owner takes from above: all it holds, or is promised.
    fn taken_by(&self, owner: usize) -> usize {
        self.held(owner).max(self.owners[owner].minimum)
    }

    /// What a request for `bytes` may be refused with: one of the reasons, if there are any.
    pub(super) fn refusals(&self, owner: usize, bytes: usize) -> Vec<Status> {
        if bytes > self.capacity {
            return vec![Status::Capacity];
        }
        if bytes == 0 {
            return Vec::new();
        }
        let mut reasons = Vec::new();
        let (mut level, mut more) = (Some(owner), bytes);
        while let Some(at) = level {
            let OwnerModel { parent, minimum, limit, .. } = self.owners[at];
            let held = self.held(at);
            if more > limit.saturating_sub(held) {
                reasons.push(if at == owner { Status::OwnerLimit } else { Status::ParentLimit });
            }
            more = (held + more).max(minimum) - held.max(minimum);
            level = parent;
        }
        if more > self.free_bytes() {
            reasons.push(Status::Budget);
        }
        if self.is_closed {
            reasons.push(Status::ShutDown);
        }
        reasons
    }

    /// The bytes that an owner can have.
    pub(super) fn free_bytes_of(&self, owner: usize) -> usize {
        let OwnerModel { parent, minimum, limit, .. } = self.owners[owner];
        let held = self.held(owner);
        let promised = minimum.saturating_sub(held);
        (self.available_below(parent) + promised).min(limit.saturating_sub(held))
    }

    /// The bytes that can be had from a parent, or from the budget.
    fn available_below(&self, parent: Option<usize>) -> usize {
        parent.map_or_else(|| self.free_bytes(), |parent| self.free_bytes_of(parent))
    }

    /// The bytes that are neither held nor promised.
    pub(super) fn free_bytes(&self) -> usize {
        let top = (0..self.owners.len()).filter(|owner| self.owners[*owner].parent.is_none());
        self.room() - top.map(|owner| self.taken_by(owner)).sum::<usize>()
    }

    /// The bytes for owners.
    pub(super) fn room(&self) -> usize {
        self.capacity - self.set_aside
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.iter().all(|owner| owner.used == 0)
    }

    pub(super) fn take(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].used += bytes;
    }

    pub(super) fn give_back(&mut self, owner: usize, bytes: usize) {
        self.owners[owner].used -= bytes;
        self.bury(owner);
    }

    pub(super) fn add_handle(&mut self, owner: usize) {
        self.owners[owner].handles += 1;
    }

    pub(super) fn drop_handle(&mut self, owner: usize) {
        self.owners[owner].handles -= 1;
        let parent = self.owners[owner].parent;
        if let (0, Some(parent)) = (self.owners[owner].handles, parent) {
            self.drop_handle(parent);
        }
        self.bury(owner);
    }

    /// Lets go of what an owner is promised, if nothing keeps it, and so of those above.
    fn bury(&mut self, owner: usize) {
        let mut level = Some(owner);
        while let Some(at) = level {
            if self.owners[at].handles == 0 && self.held(at) == 0 {
                self.owners[at].minimum = 0;
            }
            level = self.owners[at].parent;
        }
    }
}
