//! The plain model of a manager: a sum per owner. It does not know where memory lies.

use offheap::ffi::{self, Status};

use super::calls;

/// The size of a page.
pub(super) const PAGE: usize = 4096;

/// What a configuration says.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConfigModel {
    pages: usize,
    is_heap: bool,
    factor: u32,
}

impl Default for ConfigModel {
    fn default() -> Self {
        Self { pages: calls::PAGES_FIRST, is_heap: false, factor: 1 }
    }
}

impl ConfigModel {
    /// Sets one of the options; what the call returned, and what it should have.
    pub(super) fn set(&mut self, config: usize, option: u8, value: u32) -> (Status, Status) {
        let limited = |kinds: u32| if value < kinds { Status::Ok } else { Status::InvalidArgument };
        match option % 6 {
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
            _ => {
                self.factor = value % 4;
                (calls::set_address_space_factor(config, self.factor), Status::Ok)
            }
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        self.pages > 0 && self.factor > 0
    }
}

pub(super) struct ManagerModel {
    pub(super) capacity: usize,
    pub(super) is_heap: bool,
    pub(super) is_closed: bool,
    owners: Vec<OwnerModel>,
}

struct OwnerModel {
    used: usize,
    minimum: usize,
    limit: usize,
    /// Its own handle, its workers and its reservations. Without any it lives, and keeps its
    /// minimum, until it holds nothing.
    handles: usize,
}

impl ManagerModel {
    pub(super) fn new(config: ConfigModel) -> Self {
        let ConfigModel { pages, is_heap, .. } = config;
        Self { capacity: pages * PAGE, is_heap, is_closed: false, owners: Vec::new() }
    }

    /// What an owner may be refused with: one of the reasons, if there are any.
    pub(super) fn refusals_of_owner(&self, minimum: usize, limit: usize) -> Vec<Status> {
        let reasons = [
            (minimum > limit, Status::MinimumAboveLimit),
            (minimum > self.free_bytes(), Status::MinimumUnavailable),
            (self.is_closed, Status::ShutDown),
        ];
        reasons.into_iter().filter_map(|(is, reason)| is.then_some(reason)).collect()
    }

    pub(super) fn register(&mut self, minimum: usize, limit: usize) -> usize {
        let limit = limit.min(self.capacity);
        self.owners.push(OwnerModel { used: 0, minimum, limit, handles: 1 });
        self.owners.len() - 1
    }

    /// What a request for `bytes` may be refused with: one of the reasons, if there are any.
    pub(super) fn refusals(&self, owner: usize, bytes: usize) -> Vec<Status> {
        let OwnerModel { used, limit, .. } = self.owners[owner];
        if bytes > self.capacity {
            return vec![Status::Capacity];
        }
        if bytes == 0 {
            return Vec::new();
        }
        let (is_above_limit, is_above_free) =
            (bytes > limit.saturating_sub(used), bytes > self.free_with_minimum_of(owner));
        let reasons = [
            (is_above_limit, Status::OwnerLimit),
            (is_above_free, Status::Budget),
            (self.is_closed, Status::ShutDown),
        ];
        reasons.into_iter().filter_map(|(is, reason)| is.then_some(reason)).collect()
    }

    fn free_with_minimum_of(&self, owner: usize) -> usize {
        let OwnerModel { used, minimum, .. } = self.owners[owner];
        self.free_bytes() + minimum.saturating_sub(used)
    }

    /// The bytes that an owner can have.
    pub(super) fn free_bytes_of(&self, owner: usize) -> usize {
        let OwnerModel { used, limit, .. } = self.owners[owner];
        self.free_with_minimum_of(owner).min(limit.saturating_sub(used))
    }

    /// The bytes that are neither held nor promised.
    pub(super) fn free_bytes(&self) -> usize {
        self.capacity - self.owners.iter().map(|owner| owner.used.max(owner.minimum)).sum::<usize>()
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
        self.bury(owner);
    }

    fn bury(&mut self, owner: usize) {
        let owner = &mut self.owners[owner];
        if owner.handles == 0 && owner.used == 0 {
            owner.minimum = 0;
        }
    }
}
