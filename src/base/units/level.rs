//! Which account or budget a level of a request is.

use std::ptr;

/// The identity of a level: the budget, or the account of one owner.
///
/// A request counts levels from its own account up, so the same account is level 1 for one request
/// and level 2 for another. Its identity is the same for both.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LevelId(usize);

impl LevelId {
    /// The budget, the last level of every request.
    pub const BUDGET: Self = Self(0);

    /// What lies at this address: an account, or the owner that it is a part of. It is told apart
    /// from others for as long as it lies there.
    #[must_use]
    pub fn at<T>(level: &T) -> Self {
        Self(ptr::from_ref(level).addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_itself_and_no_other() {
        let accounts = [0_u64; 2];
        let [one, other] = accounts.each_ref().map(LevelId::at);
        assert_eq!(one, LevelId::at(&accounts[0]));
        assert!(one != other && one != LevelId::BUDGET);
    }
}
