//! Segments that become longer, shorter or two; reservations that are resized, and overdrawn.

use offheap::Reservation;
use offheap::error::{Reason, SegmentError};

use super::{Held, Run, pick};

/// Segments.
impl Run {
    pub(super) fn split(&mut self, which: u8, pages: usize) {
        let Some(index) = pick(self.segments.len(), which) else { return };
        self.calls += 1;
        let at = pages * self.manager.page_size();
        let Held { segment, owner, pattern } = &mut self.segments[index];
        assert!(self.marking.is_marked(segment, *pattern), "somebody wrote to a held segment");
        let (owner, size) = (*owner, segment.size());
        match segment.split_off(at) {
            Ok(mut tail) => {
                assert!(0 < at && at < size && !self.model.is_in_heap());
                assert_eq!((segment.size(), tail.size()), (at, size - at));
                assert!(segment.as_ptr_range().end == tail.as_ptr());
                // Whatever was marked of it is gone, or stays, with its first part.
                *pattern = self.model.next_pattern();
                self.marking.mark(segment, *pattern);
                let pattern = self.model.next_pattern();
                self.marking.mark(&mut tail, pattern);
                self.segments.push(Held { segment: tail, owner, pattern });
            }
            Err(SegmentError::NotAtPage { .. }) => assert!(at == 0 || at >= size),
            Err(other) => self.is_refused_in_heap(&other),
        }
    }

    pub(super) fn shrink_segment(&mut self, which: u8, bytes: usize) {
        let Some(index) = pick(self.segments.len(), which) else { return };
        self.calls += 1;
        let page = self.manager.page_size();
        let Held { segment, owner, pattern } = &mut self.segments[index];
        assert!(self.marking.is_marked(segment, *pattern), "somebody wrote to a held segment");
        let (owner, size) = (*owner, segment.size());
        match segment.shrink_to(bytes) {
            Ok(given) => {
                assert!(bytes > 0);
                assert_eq!(given, size.saturating_sub(bytes.next_multiple_of(page)));
                assert_eq!(segment.size(), size - given);
                self.model.resized(owner, segment, size);
                *pattern = self.model.next_pattern();
                self.marking.mark(segment, *pattern);
            }
            Err(SegmentError::NoBytes { .. }) => assert_eq!(bytes, 0),
            Err(other) => self.is_refused_in_heap(&other),
        }
    }

    pub(super) fn grow_segment(&mut self, which: u8, bytes: usize) {
        let Some(index) = pick(self.segments.len(), which) else { return };
        self.calls += 1;
        let page = self.manager.page_size();
        // Pages at hand are free to the model, wherever they lie.
        let _ = self.manager.verify_empty();
        let Held { segment, owner, pattern } = &mut self.segments[index];
        assert!(self.marking.is_marked(segment, *pattern), "somebody wrote to a held segment");
        let (owner, size) = (*owner, segment.size());
        let wanted = bytes.next_multiple_of(page);
        let is_in_heap = self.model.is_in_heap();
        let behind = match is_in_heap {
            true => 0,
            false => self.model.unheld_behind(segment, wanted / page) * page,
        };
        let fits = self.model.fits(owner, wanted);
        match segment.grow(bytes) {
            Ok(grown) => {
                assert!(wanted == 0 || fits && behind == wanted, "{grown} bytes that do not fit");
                assert_eq!((grown, segment.size()), (wanted, size + wanted));
                let is_zero = segment[size..].iter().all(|byte| *byte == 0);
                assert!(is_zero || !self.model.is_zeroed(), "a last holder's bytes show");
                self.model.resized(owner, segment, size);
                *pattern = self.model.next_pattern();
                self.marking.mark(segment, *pattern);
            }
            Err(SegmentError::NotFree { wanted_bytes, free_bytes }) => {
                assert_eq!((wanted_bytes, free_bytes), (wanted, behind));
                assert!(behind < wanted);
            }
            Err(SegmentError::Refused(refused)) => {
                let is_beyond = wanted > self.model.page_bytes_total();
                assert_eq!(refused.reason() == Reason::Capacity, is_beyond);
                assert!(is_beyond || !fits && behind == wanted, "{refused}");
            }
            // Its last handle is gone. The reservations that keep it are handles, too.
            Err(SegmentError::OwnerEnded { .. }) => assert!(!self.model.has_handle(owner)),
            Err(other) => self.is_refused_in_heap(&other),
        }
    }

    fn is_refused_in_heap(&self, error: &SegmentError) {
        assert!(matches!(error, SegmentError::ProcessHeap { .. }), "{error}");
        assert!(self.model.is_in_heap());
    }
}

/// Reservations.
impl Run {
    /// What is overdrawn is charged as far as it is free, which comes before all growth.
    fn settle(&mut self, index: usize) {
        let (owner, reservation) = &mut self.reservations[index];
        let owed = reservation.overdrawn_bytes();
        self.model.pay(*owner, owed);
        let charged = owed.min(self.model.free_bytes(*owner));
        self.model.charge(*owner, charged);
        self.model.overdraw(*owner, owed - charged);
        assert_eq!(reservation.pay_overdraft(), owed - charged);
    }

    pub(super) fn overdraw(&mut self, which: u8, bytes: usize) {
        let Some(index) = pick(self.reservations.len(), which) else { return };
        self.calls += 1;
        self.settle(index);
        let (owner, reservation) = &mut self.reservations[index];
        let (size, owed) = (reservation.size(), reservation.overdrawn_bytes());
        let charged = bytes.min(self.model.free_bytes(*owner));
        self.model.charge(*owner, charged);
        self.model.overdraw(*owner, bytes - charged);
        assert_eq!(reservation.grow_overdrawn(bytes), owed + bytes - charged);
        assert_eq!(reservation.size(), size + bytes);
    }

    pub(super) fn resize(&mut self, which: u8, bytes: usize) {
        let Some(index) = pick(self.reservations.len(), which) else { return };
        let size = self.reservations[index].1.size();
        if bytes < size {
            return self.shrink(which, size - bytes);
        }
        self.calls += 1;
        self.settle(index);
        let (owner, reservation) = &mut self.reservations[index];
        let more = bytes - size;
        let fits = more == 0 || self.model.fits(*owner, more);
        assert_eq!(reservation.try_resize(bytes).is_ok(), fits);
        if fits {
            self.model.charge(*owner, more);
        }
        assert_eq!(reservation.size(), if fits { bytes } else { size });
    }

    pub(super) fn split_off(&mut self, which: u8, bytes: usize) {
        let Some(index) = pick(self.reservations.len(), which) else { return };
        self.calls += 1;
        let (owner, reservation) = &mut self.reservations[index];
        let (owner, size) = (*owner, reservation.size());
        let split = reservation.split_off(bytes);
        assert_eq!((split.size(), reservation.size()), (bytes.min(size), size - bytes.min(size)));
        self.model.add_reservation(owner);
        self.reservations.push((owner, split));
    }

    pub(super) fn merge(&mut self, which: u8) {
        let Some(index) = pick(self.reservations.len(), which) else { return };
        if self.reservations.len() < 2 {
            return;
        }
        self.calls += 1;
        let (of, other) = self.reservations.swap_remove(index);
        let into = index % self.reservations.len();
        let (owner, reservation) = &mut self.reservations[into];
        let (sum, bytes) = (reservation.size() + other.size(), other.size());
        match reservation.merge(other) {
            Ok(()) => {
                assert_eq!((*owner, reservation.size()), (of, sum));
                self.model.drop_handle(of);
            }
            Err(refused) => {
                assert_ne!(*owner, of);
                assert_eq!(reservation.size() + bytes, sum);
                self.reservations.push((of, refused.into_reservation()));
            }
        }
    }

    /// A reservation is about to be dropped.
    pub(super) fn forget_reservation(&mut self, owner: usize, reservation: &Reservation) {
        let overdrawn = reservation.overdrawn_bytes();
        self.model.pay(owner, overdrawn);
        self.model.unreserve(owner, reservation.size() - overdrawn);
    }
}
