//! Where rows come from: the generator, which makes the same rows as often as it is asked.

use offheap_operators::Interrupt;
use tpchgen::generators::LineItemGenerator;

use crate::args::Input;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::rows::{Columns, KEY_BYTES};

/// How many rows there are between two looks at the interrupt and the progress.
pub const ROWS_PER_LOOK: u64 = 4096;

/// Shows every row of the input to `visit`.
pub fn for_each_row(
    input: &Input,
    interrupt: &Interrupt,
    progress: &Progress,
    mut visit: impl FnMut(&Columns<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut rows = 0;
    for item in LineItemGenerator::new(input.scale, 1, 1).iter() {
        if input.rows.is_some_and(|rows_max| rows >= rows_max) {
            break;
        }
        if rows % ROWS_PER_LOOK == 0 {
            progress.at(rows);
            if interrupt.is_set() {
                return Err(Failure::Interrupted);
            }
        }
        visit(&Columns::of(&item))?;
        rows += 1;
    }
    match input.rows {
        Some(rows_asked) if rows < rows_asked => Err(Failure::World(format!(
            "the generator made {rows} rows at scale {}, not {rows_asked}",
            input.scale
        ))),
        _ => Ok(()),
    }
}

/// The row's key; its bytes replace what is in `row`.
pub fn encode(columns: &Columns<'_>, row: &mut Vec<u8>) -> Result<[u8; KEY_BYTES], Failure> {
    let key = columns.encode(row).and_then(|()| columns.key());
    key.ok_or_else(|| Failure::World(format!("the generator made an odd row: {columns:?}")))
}
