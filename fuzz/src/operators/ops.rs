//! What happens to an operator.

use arbitrary::{Arbitrary, Unstructured};

use crate::damage::Damage;

/// An operator, and what happens to it.
#[derive(Clone, Debug)]
pub struct Input {
    /// The pages beyond the fewest.
    pub pages: u8,
    /// Whether the budget has fair shares.
    pub is_fair: bool,
    /// Which kind of the operator it is.
    pub kind: u8,
    /// The most pages of the spill file; 0 for no limit.
    pub file_pages: u8,
    /// What happens, in turn.
    pub ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let (pages, is_fair) = (u8::arbitrary(bytes)?, bool::arbitrary(bytes)?);
        let (kind, file_pages) = (u8::arbitrary(bytes)?, u8::arbitrary(bytes)?);
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { pages, is_fair, kind, file_pages, ops })
    }
}

/// Something that happens.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    /// Rows, whose keys are some of `keys` different ones.
    Push {
        count: u8,
        keys: u16,
        key_bytes: u8,
        row_bytes: u16,
        seed: u16,
    },
    /// The same, a few hundred at a time.
    PushMany {
        count: u8,
        keys: u16,
        row_bytes: u8,
        seed: u16,
    },
    /// Damages the spill file, if there is one.
    Damage {
        damage: Damage,
        offset: u32,
        other_offset: u32,
        length: u16,
    },
    /// Somebody else takes pages.
    Take {
        pages: u8,
    },
    /// The other owner gives back all of them.
    GiveBack,
    /// The limit of the operator's owner becomes so many pages, beyond the fewest.
    SetLimit {
        pages: u8,
    },
    Look,
    Interrupt,
    EndBuild,
    Finish,
    Next {
        count: u8,
    },
}
