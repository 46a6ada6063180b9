//! Bytes that are accounted for whether they are free or not: as many as possible are charged.

use crate::base::bytes::to_usize;
use crate::ledger::budget::Refused;
use crate::owners::node::charge::Charge;
use crate::owners::sharing::draining::DrainScope;

use super::denial::Denial;
use super::requester::Requester;

impl Requester<'_> {
    /// Counts `bytes` that are not free as overdrawn, as far as they can be counted; returns how
    /// many were.
    pub(crate) fn overdraw(&self, bytes: u64) -> u64 {
        let counted = self.node.overdraw(bytes);
        // What is kept at hand is taken without a look at what is overdrawn. It is brought back,
        // and stays away while there is not plenty in spite of the overdraft.
        self.commons.drained(DrainScope::Everybody, || {});
        counted
    }

    /// A charge for as many of `bytes` as are free, wherever they are kept at hand; `None` if that
    /// are none. Asks nobody, and waits for nobody.
    pub(crate) fn charge_up_to(&self, bytes: usize) -> Option<Charge> {
        if bytes == 0 {
            return None;
        }
        let attempt = || Charge::new(self.node, bytes).map_err(Denial::from);
        match self.unless_cached_after(attempt(), attempt) {
            Ok(charge) => return Some(charge),
            Err(denial) if !denial.is_about_bytes() => return None,
            // What was kept at hand is back.
            Err(_) => {}
        }
        loop {
            let free = self.node.account().settled_free_bytes(&self.node.upstream());
            let granted = bytes.min(to_usize(free));
            if granted == 0 {
                return None;
            }
            match Charge::new(self.node, granted) {
                Ok(charge) => return Some(charge),
                // Another request took of it since we asked.
                Err(Refused::Budget { .. } | Refused::Account { .. }) => {}
                Err(Refused::Turn { .. } | Refused::Closed) => return None,
            }
        }
    }
}
