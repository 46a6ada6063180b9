//! Bytes of the budget for memory that is held elsewhere.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::mem;

use crate::base::bytes::to_usize;
use crate::base::error::{AllocationKind, Reason, ReservationError};
use crate::base::sites::{Key, Place};
use crate::owners::node::charge::Charge;

use super::owner::Owner;
use super::request::denial::Denial;
use super::request::requester::Effort;

/// Bytes of the budget that an owner holds without memory behind them.
///
/// Given back when dropped. Flink: `MemoryManager.reserveMemory` and `releaseMemory`.
///
/// # Overdrafts
///
/// Some memory is there before anybody could ask: a hash table that a library has just doubled, a
/// batch that came from the network. [`grow_overdrawn`](Self::grow_overdrawn) accounts for it, and
/// cannot fail. What is not free is *overdrawn*:
///
/// - It is counted beside the budget, which stays a hard limit for pages and blocks. None of them
///   comes of an overdraft.
/// - It counts against the limit of the owner, of those above it, and against the capacity: so much
///   less is free there. While more is overdrawn than free, nothing is, and every request for more
///   is refused or waits. What others are guaranteed they get all the same.
/// - It is paid back first. What this reservation gives back comes off its overdraft before the
///   budget gets any. What others give back is free only once it is more than what is overdrawn.
/// - It becomes an ordinary part of the reservation when there is room for it: the next time that
///   the reservation grows, or in [`pay_overdraft`](Self::pay_overdraft).
/// - It is shown: in [`overdrawn_bytes`](Self::overdrawn_bytes) here, of an
///   [`Owner`](Owner::overdrawn_bytes) and of a
///   [`MemoryManager`](crate::MemoryManager::overdrawn_bytes), in their statistics, and in errors.
///   It raises the [`Pressure`](crate::pressure::Pressure) as reserved bytes do.
///
/// ```
/// use offheap::MemoryManager;
///
/// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
/// let owner = manager.owner("hash table").register()?;
/// let mut table = owner.reserve_memory(1_000_000)?;
/// // It has doubled, and only 48,576 bytes were left.
/// assert_eq!(table.grow_overdrawn(1_000_000), 951_424);
/// assert_eq!((table.size(), manager.overdrawn_bytes()), (2_000_000, 951_424));
/// assert!(owner.try_allocate_page().is_err());
/// // What is given back pays for that first.
/// table.shrink(1_000_000);
/// assert_eq!((table.overdrawn_bytes(), manager.available_bytes()), (0, 48_576));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a dropped reservation is given back at once"]
pub struct Reservation {
    owner: Owner,
    /// `None` while nothing is charged.
    charge: Option<Charge>,
    /// The bytes beyond that, which the owner and all levels above count as overdrawn.
    overdrawn: u64,
    key: Key,
}

impl Owner {
    /// Reserves `bytes` of the budget for memory that is held elsewhere: accounting only.
    ///
    /// Flink: `MemoryManager.reserveMemory`.
    ///
    /// # Blocking
    ///
    /// As [`allocate_page`](Self::allocate_page).
    ///
    /// # Errors
    ///
    /// If the budget or the limit has less left, or the manager has been shut down.
    #[track_caller]
    pub fn reserve_memory(&self, bytes: usize) -> Result<Reservation, ReservationError> {
        self.reserve_with(bytes, Effort::AskOthers)
    }

    /// Reserves `bytes` of what is free. Never waits for memory, and asks nobody to give some back.
    ///
    /// # Errors
    ///
    /// As [`reserve_memory`](Self::reserve_memory).
    #[track_caller]
    pub fn try_reserve_memory(&self, bytes: usize) -> Result<Reservation, ReservationError> {
        self.reserve_with(bytes, Effort::TakeFree)
    }

    #[track_caller]
    fn reserve_with(&self, bytes: usize, effort: Effort) -> Result<Reservation, ReservationError> {
        // Charged first: a refusal costs no handle.
        let charge = charge(self, bytes, effort)?;
        let mut reservation = Reservation::empty(self.for_what_it_holds());
        if let Some(charge) = charge {
            reservation.add(charge);
        }
        Ok(reservation)
    }

    /// The bytes that it and the owners below it hold beyond the limits:
    /// [overdrafts](Reservation#overdrafts) of their reservations. Costs one plain load.
    #[must_use]
    pub fn overdrawn_bytes(&self) -> usize {
        to_usize(self.node().account().overdraft().bytes())
    }
}

/// The charge for `bytes`, unless they are none.
fn charge(owner: &Owner, bytes: usize, effort: Effort) -> Result<Option<Charge>, ReservationError> {
    if bytes == 0 {
        return Ok(None);
    }
    let requester = owner.requester(effort);
    let charge = match bytes as u64 > owner.node().budget().limit() {
        true => Err(Denial::Reason(Reason::Capacity)),
        false => requester.charge(bytes),
    };
    charge.map(Some).map_err(|denial| ReservationError::new(requester.refused(bytes, denial)))
}

impl Reservation {
    fn empty(owner: Owner) -> Self {
        let key = owner.node().supply().sites.new_reservation();
        Self { owner, charge: None, overdrawn: 0, key }
    }

    /// A reservation of what was charged.
    #[track_caller]
    pub(super) fn of(owner: Owner, charge: Charge) -> Self {
        let mut reservation = Self::empty(owner);
        reservation.add(charge);
        reservation
    }

    /// The bytes reserved, those that are overdrawn among them.
    #[must_use]
    pub fn size(&self) -> usize {
        to_usize(self.charged().saturating_add(self.overdrawn))
    }

    /// The bytes of it that are beyond the limits: see [Overdrafts](Self#overdrafts).
    #[must_use]
    pub fn overdrawn_bytes(&self) -> usize {
        to_usize(self.overdrawn)
    }

    /// The owner that holds them.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Reserves `bytes` more.
    ///
    /// What is overdrawn is charged first, as far as it is free.
    ///
    /// # Blocking
    ///
    /// As [`Owner::reserve_memory`].
    ///
    /// # Errors
    ///
    /// If the budget or the owner's limit has less left, or the manager has been shut down. The
    /// size is then as before.
    #[track_caller]
    pub fn grow(&mut self, bytes: usize) -> Result<(), ReservationError> {
        self.grow_with(bytes, Effort::AskOthers)
    }

    /// Reserves `bytes` more of what is free, as [`grow`](Self::grow). Never waits for memory, and
    /// asks nobody to give some back.
    ///
    /// # Errors
    ///
    /// As [`grow`](Self::grow).
    #[track_caller]
    pub fn try_grow(&mut self, bytes: usize) -> Result<(), ReservationError> {
        self.grow_with(bytes, Effort::TakeFree)
    }

    /// Reserves `bytes` more, or gives some back, so that there are exactly `bytes`.
    ///
    /// ```
    /// use offheap::MemoryManager;
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
    /// let mut buffers = manager.owner("client").register()?.reserve_memory(4096)?;
    /// buffers.resize(65_536)?;
    /// buffers.resize(100)?;
    /// assert_eq!(buffers.size(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Blocking
    ///
    /// If it grows, as [`Owner::reserve_memory`].
    ///
    /// # Errors
    ///
    /// As [`grow`](Self::grow).
    #[track_caller]
    pub fn resize(&mut self, bytes: usize) -> Result<(), ReservationError> {
        self.resize_with(bytes, Effort::AskOthers)
    }

    /// As [`resize`](Self::resize), of what is free. Never waits for memory, and asks nobody to
    /// give some back.
    ///
    /// # Errors
    ///
    /// As [`grow`](Self::grow).
    #[track_caller]
    pub fn try_resize(&mut self, bytes: usize) -> Result<(), ReservationError> {
        self.resize_with(bytes, Effort::TakeFree)
    }

    /// Counts `bytes` more, which were allocated elsewhere already, whether they are free or not.
    /// What is not free is [overdrawn](Self#overdrafts). Returns the bytes of the reservation that
    /// are overdrawn now.
    ///
    /// Never waits for memory, asks nobody, and does not fail: also not once the manager has been
    /// shut down. A manager counts 2<sup>62</sup> overdrawn bytes at most, and leaves out what is
    /// beyond that.
    #[track_caller]
    pub fn grow_overdrawn(&mut self, bytes: usize) -> usize {
        self.settle();
        let charge = self.owner.requester(Effort::TakeFree).charge_up_to(bytes);
        let charged = charge.as_ref().map_or(0, Charge::bytes);
        if let Some(charge) = charge {
            self.join(charge);
        }
        let missing = bytes as u64 - charged;
        if missing > 0 {
            self.overdrawn += self.owner.requester(Effort::TakeFree).overdraw(missing);
        }
        if bytes > 0 {
            self.track(Place::caller());
        }
        self.overdrawn_bytes()
    }

    /// Makes what is overdrawn an ordinary part of the reservation, as far as it is free. Returns
    /// the bytes that are still overdrawn.
    ///
    /// Never waits for memory, and asks nobody. Requests that wait in line go before it.
    pub fn pay_overdraft(&mut self) -> usize {
        self.settle();
        self.overdrawn_bytes()
    }

    /// Gives `bytes` back, or all there is if that is less; returns how many. Waits for no memory,
    /// and serves requests that wait in line.
    ///
    /// What is overdrawn goes first.
    ///
    /// Flink: `MemoryManager.releaseMemory`.
    pub fn shrink(&mut self, bytes: usize) -> usize {
        let given = bytes.min(self.size());
        if given == 0 {
            return 0;
        }
        let paid = self.overdrawn.min(given as u64);
        // The count of what is out goes down before the bytes do.
        let charge = self.cut(given as u64 - paid);
        self.overdrawn -= paid;
        self.untrack();
        if paid > 0 {
            let awaited = self.owner.node().pay_overdraft(paid);
            self.owner.node().serve_if(awaited);
        }
        if let Some(charge) = charge {
            charge.release();
        }
        given
    }

    /// Adds the bytes of `other`, a reservation of the same owner.
    ///
    /// ```
    /// use offheap::MemoryManager;
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
    /// let (sort, join) = (manager.owner("sort").register()?, manager.owner("join").register()?);
    /// let mut all = sort.reserve_memory(1000)?;
    /// all.merge(sort.reserve_memory(500)?)?;
    /// assert_eq!(all.size(), 1500);
    ///
    /// let refused = all.merge(join.reserve_memory(7)?).unwrap_err();
    /// assert_eq!((all.size(), refused.into_reservation().size()), (1500, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If it is of another owner. Both are then as before, and `other` is in the error.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) -> Result<(), MergeError> {
        if !self.owner.node().is(other.owner.node()) {
            return Err(MergeError {
                into: self.owner.for_what_it_holds(),
                other: Box::new(other),
            });
        }
        let (charge, overdrawn) = (other.charge.take(), mem::take(&mut other.overdrawn));
        other.untrack();
        if let Some(charge) = charge {
            self.join(charge);
        }
        self.overdrawn += overdrawn;
        if self.size() > 0 {
            self.track(Place::caller());
        }
        Ok(())
    }

    /// Moves `bytes`, or all there is if that is less, to a reservation of their own, of the same
    /// owner. Nothing is reserved or given back.
    ///
    /// What is overdrawn stays with this one, unless more is moved than the rest of it.
    ///
    /// ```
    /// use offheap::MemoryManager;
    ///
    /// let manager = MemoryManager::builder().capacity(1 << 20).build()?;
    /// let mut query = manager.owner("query").register()?.reserve_memory(1000)?;
    /// let batch = query.split_off(400);
    /// assert_eq!((query.size(), batch.size()), (600, 400));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn split_off(&mut self, bytes: usize) -> Self {
        let mut split = Self::empty(self.owner.for_what_it_holds());
        let moved = (bytes as u64).min(self.charged() + self.overdrawn);
        let charged = moved.min(self.charged());
        split.charge = self.cut(charged);
        split.overdrawn = moved - charged;
        self.overdrawn -= split.overdrawn;
        if moved > 0 {
            self.untrack();
            split.track(Place::caller());
        }
        split
    }

    #[track_caller]
    fn resize_with(&mut self, bytes: usize, effort: Effort) -> Result<(), ReservationError> {
        let size = self.size();
        match bytes.checked_sub(size) {
            Some(more) => self.grow_with(more, effort),
            None => {
                self.shrink(size - bytes);
                Ok(())
            }
        }
    }

    #[track_caller]
    fn grow_with(&mut self, bytes: usize, effort: Effort) -> Result<(), ReservationError> {
        self.settle();
        if let Some(charge) = charge(&self.owner, bytes, effort)? {
            self.add(charge);
        }
        Ok(())
    }

    /// Charges what is overdrawn, as far as it is free.
    fn settle(&mut self) {
        if self.overdrawn == 0 {
            return;
        }
        // It is paid, and overdrawn again as far as it must be. Others may come in between, as
        // they may before this call.
        let owed = mem::take(&mut self.overdrawn);
        let awaited = self.owner.node().pay_overdraft(owed);
        let charge = self.owner.requester(Effort::TakeFree).charge_up_to(to_usize(owed));
        let charged = charge.as_ref().map_or(0, Charge::bytes);
        if let Some(charge) = charge {
            self.join(charge);
        }
        if owed > charged {
            self.overdrawn = self.owner.requester(Effort::TakeFree).overdraw(owed - charged);
        }
        self.owner.node().serve_if(awaited);
    }

    fn charged(&self) -> u64 {
        self.charge.as_ref().map_or(0, Charge::bytes)
    }

    /// Takes `bytes` off the charge, which has as many.
    fn cut(&mut self, bytes: u64) -> Option<Charge> {
        match &mut self.charge {
            _ if bytes == 0 => None,
            Some(charge) if bytes < charge.bytes() => Some(charge.split_off(bytes)),
            all => all.take(),
        }
    }

    #[track_caller]
    fn add(&mut self, charge: Charge) {
        self.join(charge);
        self.track(Place::caller());
    }

    fn join(&mut self, charge: Charge) {
        match &mut self.charge {
            Some(mine) => mine.merge(charge),
            none => *none = Some(charge),
        }
    }

    /// The charge for all of it, which is not given back.
    pub(crate) fn into_charge(mut self) -> Option<Charge> {
        let charge = self.charge.take();
        self.untrack();
        charge
    }

    /// Remembers where the reservation became what it is.
    pub(super) fn track(&self, place: Place) {
        let (owner, kind) = (self.owner.node(), AllocationKind::Reservation);
        owner.supply().sites.add(self.key, kind, owner.path(), self.size(), place);
    }

    /// Remembers that there is less of it.
    fn untrack(&self) {
        self.owner.node().supply().sites.resize(self.key, self.size());
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shrink(usize::MAX);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("size", &self.size())
            .field("owner", &self.owner.name())
            .finish()
    }
}

/// Reservations of different owners, which cannot become one. Both are as they were.
pub struct MergeError {
    into: Owner,
    other: Box<Reservation>,
}

impl MergeError {
    /// The reservation that was to be merged.
    #[must_use = "a dropped reservation is given back at once"]
    pub fn into_reservation(self) -> Reservation {
        *self.other
    }

    /// The same, to look at.
    pub fn reservation(&self) -> &Reservation {
        &self.other
    }
}

impl Display for MergeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (bytes, other, into) = (self.other.size(), self.other.owner.path(), self.into.path());
        write!(f, "cannot merge a reservation of {bytes} bytes of owner `{other}` into one of ")?;
        write!(f, "owner `{into}`")
    }
}

impl fmt::Debug for MergeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeError")
            .field("into", &self.into.path())
            .field("other", &self.other)
            .finish()
    }
}

impl Error for MergeError {}

impl From<MergeError> for io::Error {
    /// `InvalidInput`.
    ///
    /// [`downcast`](io::Error::downcast) gets the error back.
    fn from(error: MergeError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
