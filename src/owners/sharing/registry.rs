//! The owners of a manager: which are there, and which of them may have something at hand.

use std::sync::{Arc, Weak};

use crate::base::members::{Members, Roll};
use crate::base::sync::{Lock, Ordering, Rank, full_fence};
use crate::owners::node::owner_node::OwnerNode;
use crate::owners::node::supply::Supply;

/// All owners. What looks at all of them copies the list, and then has nothing locked.
pub(crate) struct Registry {
    supply: Arc<Supply>,
    owners: Lock<Owners>,
    open: Arc<OpenCaches>,
}

#[derive(Default)]
struct Owners {
    /// In the order of their registration.
    list: Members<OwnerNode>,
    /// How many were ever registered.
    registered: u64,
}

/// The owners that were there at one moment.
pub(crate) struct Snapshot {
    /// In the order of their registration: a parent comes before its children.
    pub(crate) owners: Vec<Arc<OwnerNode>>,
    pub(super) open: Arc<OpenCaches>,
}

impl Registry {
    pub(crate) fn new(supply: &Arc<Supply>) -> Self {
        let owners = Lock::new(Rank::Registry, Owners::default());
        Self { supply: Arc::clone(supply), owners, open: Arc::new(OpenCaches::new()) }
    }

    pub(super) fn supply(&self) -> &Supply {
        &self.supply
    }

    pub(super) fn open(&self) -> &Arc<OpenCaches> {
        &self.open
    }

    /// Looks at the owners that are there, with nothing locked.
    pub(crate) fn snapshot<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        let roll = self.roll();
        let mut owners = Vec::with_capacity(roll.len());
        owners.extend(roll.present());
        look(&Snapshot { owners, open: Arc::clone(&self.open) })
    }

    /// Looks at an owner and those below it, with nothing locked.
    pub(crate) fn snapshot_below<T>(
        &self,
        top: &OwnerNode,
        look: impl FnOnce(&Snapshot) -> T,
    ) -> T {
        look(&Snapshot { owners: top.with_those_below(), open: Arc::clone(&self.open) })
    }

    /// Whether there is an owner that gives memory back in some way, of which this is true: below
    /// `top`, if there is one.
    pub(crate) fn any_giver(
        &self,
        top: Option<&OwnerNode>,
        is_true: impl FnMut(Arc<OwnerNode>) -> bool,
    ) -> bool {
        // ORDERING: Relaxed. An owner that begins to give back just now may be missed.
        match (self.supply.givers.load(Ordering::Relaxed), top) {
            (0, _) => false,
            (_, None) => self.roll().present().any(is_true),
            (_, Some(top)) => top.with_those_below().into_iter().any(is_true),
        }
    }

    /// Has drainers look for what `owner` keeps at hand, and calls `open`: see `OpenCaches::enter`.
    pub(crate) fn enter(&self, owner: &OwnerNode, open: &mut dyn FnMut()) {
        self.open.enter(owner, open);
    }

    /// The list of all owners, copied.
    pub(super) fn roll(&self) -> Roll<OwnerNode> {
        self.owners.lock().list.roll()
    }

    /// Lets drainers, errors and statistics know of an owner.
    pub(crate) fn add_owner(&self, owner: &Arc<OwnerNode>) {
        let mut owners = self.owners.lock();
        owners.registered += 1;
        owner.set_number(owners.registered);
        owners.list.add(Arc::downgrade(owner));
        drop(owners);
        if let Some(parent) = owner.parent() {
            parent.add_child(owner);
        }
    }

    /// The owners that are remembered, gone or not, by the longest of the lists.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        let open = self.open.0.lock().owners.remembered();
        self.owners.lock().list.remembered().max(open)
    }
}

/// The owners that may have something at hand: one of their caches was opened since drainers went
/// through all of them last.
pub(crate) struct OpenCaches(Lock<Open>);

struct Open {
    /// Numbers the lists, from 1.
    list: u64,
    /// Those that had something opened since the last list was taken.
    owners: Members<OwnerNode>,
    /// The lists that drainers have taken, and have not yet gone through.
    taken: Vec<Arc<Roll<OwnerNode>>>,
}

/// Which owners may have something at hand, at one moment.
pub(super) struct MayBeOpen {
    list: u64,
    is_taken: bool,
}

impl MayBeOpen {
    pub(super) fn includes(&self, owner: &OwnerNode) -> bool {
        self.is_taken || owner.is_entered(self.list)
    }
}

impl OpenCaches {
    fn new() -> Self {
        let open = Open { list: 1, owners: Members::default(), taken: Vec::new() };
        Self(Lock::new(Rank::OpenCaches, open))
    }

    /// Enters `owner`, and then calls `open`, which looks for drainers, and else opens something.
    /// A drainer that takes the list later finds the owner there. One that took it before has
    /// marked what it drains before that, which `open` finds.
    pub(super) fn enter(&self, owner: &OwnerNode, open: &mut dyn FnMut()) {
        let mut list = self.0.lock();
        if !owner.is_entered(list.list) {
            owner.set_entered(list.list);
            list.owners.add(Weak::clone(owner.itself()));
        }
        // Pairs with the fence of a drainer that takes no list, and looks after that at this owner.
        full_fence();
        open();
    }

    /// Whether nothing is open anywhere, but what is opened by a thread that finds the caller's
    /// mark.
    pub(super) fn is_empty(&self) -> bool {
        let open = self.0.lock();
        open.owners.is_empty() && open.taken.is_empty()
    }

    /// Takes the list, and has a look at those that others have taken.
    pub(super) fn take(&self) -> Taken<'_> {
        let mut open = self.0.lock();
        let mut mine = None;
        if !open.owners.is_empty() {
            open.list += 1;
            let list = Arc::new(std::mem::take(&mut open.owners).into_roll());
            open.taken.push(Arc::clone(&list));
            mine = Some(list);
        }
        Taken { open: self, mine, all: open.taken.clone() }
    }

    /// Which owners may have something at hand.
    pub(super) fn may_be_open(&self) -> MayBeOpen {
        let open = self.0.lock();
        MayBeOpen { list: open.list, is_taken: !open.taken.is_empty() }
    }

    /// The owners that may have something at hand, each once.
    pub(super) fn owners(&self) -> Vec<Arc<OwnerNode>> {
        let open = self.0.lock();
        let (list, taken) = (open.owners.roll(), open.taken.clone());
        drop(open);
        let mut owners: Vec<_> = list.present().collect();
        if !taken.is_empty() {
            owners.extend(taken.iter().flat_map(|list| list.present()));
            owners.sort_unstable_by_key(|owner| owner.number());
            owners.dedup_by_key(|owner| owner.number());
        }
        owners
    }
}

/// What a drainer of everything goes through: its own list, and those that other drainers took and
/// may not have gone through. It is known to others until [`Taken::finish`].
pub(super) struct Taken<'a> {
    open: &'a OpenCaches,
    mine: Option<Arc<Roll<OwnerNode>>>,
    all: Vec<Arc<Roll<OwnerNode>>>,
}

impl Taken<'_> {
    pub(super) fn owners(&self) -> Vec<Arc<OwnerNode>> {
        self.all.iter().flat_map(|list| list.present()).collect()
    }

    /// All that were in the list have been emptied and shut since it was taken.
    pub(super) fn finish(self) {
        let Some(mine) = &self.mine else { return };
        let mut open = self.open.0.lock();
        open.taken.retain(|list| !Arc::ptr_eq(list, mine));
    }
}
