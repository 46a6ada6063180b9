//! Several pages come back at once.

use super::load::{self, Loading, Pin};
use super::obtain;
use crate::entry::LoadTurn;
use crate::pool::error::PagingError;
use crate::pool::shared::Shared;

/// Loads what was begun, as far as frames are to be had. Returns which of them are there, with a
/// pin if that is wanted, and what has failed last.
pub(crate) fn load_together(
    shared: &Shared,
    begun: Vec<Loading>,
    pin: Pin,
) -> (Vec<bool>, Option<PagingError>) {
    let mut failure = shared.check_process().err();
    let mut are_there = vec![false; begun.len()];
    let (mut places, mut batch) = (Vec::new(), Vec::new());
    for (at, loading) in begun.into_iter().enumerate() {
        let frame = match &failure {
            None => Some(obtain::frame(shared, loading.pages())),
            Some(_) => None,
        };
        match frame {
            Some(Ok(segment)) => {
                places.push(at);
                batch.push(loading.into(segment));
            }
            Some(Err(error)) => {
                loading.fail(shared);
                failure = Some(error);
            }
            None => loading.fail(shared),
        }
    }
    for (at, result) in places.into_iter().zip(load::read(shared, batch, |_| pin)) {
        match result {
            Ok(()) => are_there[at] = true,
            Err(error) => failure = Some(error),
        }
    }
    (are_there, failure)
}

/// Loads pages for those that do not wait: together, in the file's order, and without a pin.
///
/// # Errors
///
/// If one of them could not be loaded; others may have been.
pub(crate) fn load_all(shared: &Shared, numbers: &[u32]) -> Result<(), PagingError> {
    if numbers.len() > 1 {
        let mine = numbers
            .iter()
            .filter(|number| matches!(shared.entry(**number).state.begin_load(), LoadTurn::Mine));
        let begun = mine.map(|number| Loading::begun(shared, *number)).collect();
        match load_together(shared, begun, Pin::No).1 {
            // One by one they may take the place of each other in the file.
            Some(error) if !error.is_for_want_of_disk() => return Err(error),
            _ => {}
        }
    }
    // Those that others load, and those that are left.
    numbers.iter().try_for_each(|number| load::load(shared, *number, Pin::No).map(drop))
}
