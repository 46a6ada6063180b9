//! What happens to a sort, and to its spill file.

use arbitrary::{Arbitrary, Unstructured};

use crate::damage::Damage;

/// A sort.
#[derive(Clone, Debug)]
pub struct Input {
    /// The pages beyond the fewest.
    pub pages: u8,
    /// What happens, in turn.
    pub ops: Vec<Op>,
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let pages = u8::arbitrary(bytes)?;
        let mut ops = Vec::new();
        while !bytes.is_empty() {
            ops.push(Op::arbitrary(bytes)?);
        }
        Ok(Self { pages, ops })
    }
}

/// Something that happens.
#[derive(Arbitrary, Clone, Debug)]
#[expect(missing_docs, reason = "named after the calls that they stand for")]
pub enum Op {
    Push {
        count: u8,
        key_bytes: u8,
        row_bytes: u16,
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
    Finish,
    Next {
        count: u8,
    },
}
