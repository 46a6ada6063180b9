//! Which rows a join hands out.

/// Which rows come out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum JoinKind {
    /// Each pair of rows with equal keys.
    Inner,
    /// Those, and each probe row without a partner.
    Left,
    /// Each probe row with a partner, once.
    Semi,
    /// Each probe row without a partner.
    Anti,
}

/// A row that comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joined<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The probe row.
    pub probe: &'a [u8],
    /// The build row, where it has one.
    pub build: Option<&'a [u8]>,
}
