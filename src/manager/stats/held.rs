//! What is held, counted at one moment, and checked against itself.

use std::sync::Arc;

use crate::base::bytes::to_usize;
use crate::base::units::PageCount;
use crate::memory::arena::OffHeap;
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::sharing::commons::Commons;
use crate::owners::sharing::registry::Snapshot;
use crate::owners::sharing::usage::holder_of;

use super::numbers::OwnerStats;

/// What is held, at one moment.
pub(in crate::manager) struct Held {
    pub(in crate::manager) reserved_bytes: usize,
    pub(in crate::manager) cached_bytes: usize,
    pub(in crate::manager) available_bytes: usize,
    pub(in crate::manager) owners: Vec<OwnerStats>,
}

impl Held {
    pub(in crate::manager) fn new(commons: &Commons, present: &Snapshot) -> Self {
        let cached = present.cached_bytes();
        let cached_bytes = cached.iter().sum();
        let own = present.own_bytes_besides(cached);
        let used = present.sums_below(own.clone());
        let stats_of = |((owner, own_bytes), used_bytes): ((&Arc<OwnerNode>, usize), usize)| {
            let holder = holder_of(owner, own_bytes);
            OwnerStats {
                path: holder.path,
                used_bytes,
                own_bytes: holder.used_bytes,
                overdrawn_bytes: to_usize(owner.account().overdraft().bytes()),
                minimum_bytes: holder.minimum_bytes,
                limit_bytes: holder.limit_bytes,
                reclaimable_bytes: holder.reclaimable_bytes,
                reclaim: holder.reclaim,
                priority: owner.sharing().priority(),
            }
        };
        let reserved = commons.supply.budget.reserved_bytes();
        Self {
            reserved_bytes: to_usize(reserved.saturating_sub(present.allowance_bytes())),
            cached_bytes,
            available_bytes: to_usize(present.free_bytes(&commons.supply.budget)),
            owners: present.owners.iter().zip(own).zip(used).map(stats_of).collect(),
        }
    }
}

/// Checks the counters of a manager against what they count.
pub(in crate::manager) fn check(commons: &Commons) -> Result<(), String> {
    let supply = &commons.supply;
    let (reserved, used_bytes) = commons.snapshot(|present| {
        present.owners.iter().try_for_each(|owner| check_account(present, owner))?;
        let is_top = |owner: &&Arc<OwnerNode>| owner.parent().is_none() && !owner.is_of_reserve();
        let tops = present.owners.iter().filter(is_top);
        let charged: u64 = tops.map(|owner| owner.account().charged_bytes()).sum();
        let reserved = charged + supply.reserve.limit();
        let used =
            |owner: &Arc<OwnerNode>| present.own_bytes_of(owner) + present.cached_bytes_of(owner);
        Ok::<_, String>((reserved, present.owners.iter().map(used).sum::<usize>()))
    })?;
    check_overdrafts(commons)?;
    if reserved != supply.budget.reserved_bytes() {
        let counted = supply.budget.reserved_bytes();
        return Err(format!("owners hold or are promised {reserved} bytes, not {counted}"));
    }
    let Some(stock) = supply.arena.off_heap().map(OffHeap::stock) else { return Ok(()) };
    stock.check()?;
    let free = stock.warm().free_pages();
    let Some(taken) = supply.pages.get().checked_sub(free).map(PageCount::new) else {
        return Err(format!("{free} pages are free, more than the capacity has"));
    };
    let taken_bytes = supply.page_size.bytes_of(taken);
    if taken_bytes > used_bytes {
        return Err(format!("pages of {taken_bytes} bytes are out for {used_bytes} bytes used"));
    }
    Ok(())
}

/// Checks that each level counts as overdrawn what the owners below it hold beyond the limits.
fn check_overdrafts(commons: &Commons) -> Result<(), String> {
    let (counted, sum) = commons.snapshot(|present| {
        let own = present.owners.iter().map(|owner| owner.overdrawn_bytes());
        let own: Vec<u64> = own.collect();
        let sums = present.sums_below(own.iter().map(|bytes| to_usize(*bytes)).collect());
        for (owner, sum) in present.owners.iter().zip(sums) {
            let (path, counted) = (owner.path(), owner.account().overdraft().bytes());
            if to_usize(counted) != sum {
                return Err(format!("`{path}` counts {counted} bytes as overdrawn, not {sum}"));
            }
        }
        Ok((commons.supply.budget.overdrawn_bytes(), own.iter().sum::<u64>()))
    })?;
    match counted == sum {
        true => Ok(()),
        false => Err(format!("owners have overdrawn {sum} bytes, not {counted}")),
    }
}

/// Checks that an account holds what it is to hold for others, and no more than it may.
fn check_account(present: &Snapshot, owner: &OwnerNode) -> Result<(), String> {
    let (name, used_bytes) = (owner.path(), owner.account().used_bytes());
    let (others, limit) = (present.bytes_of_others(owner), owner.account().limit());
    if others > used_bytes {
        return Err(format!("`{name}` holds {used_bytes} bytes, of which {others} for others"));
    }
    if used_bytes > limit {
        return Err(format!("`{name}` holds {used_bytes} bytes, above its limit of {limit}"));
    }
    Ok(())
}
