//! Several pages at once.

use std::collections::HashSet;
use std::sync::Arc;

use super::guards::ReadGuard;
use super::page::Page;
use crate::entry::LoadTurn;
use crate::moving::load::{Loading, Pin};
use crate::moving::together;
use crate::pool::error::PagingError;
use crate::pool::shared::Shared;

/// Guards in the order of the pages; those that are there already.
type Guards<'a> = Vec<Option<ReadGuard<'a>>>;

/// Pins all of the pages, of this pool or of others; those that are in the file are read together.
pub(super) fn read_many<'a>(
    shared: &Arc<Shared>,
    pages: &[&'a Page],
) -> Result<Vec<ReadGuard<'a>>, PagingError> {
    let mut guards: Guards<'a> = pages.iter().map(|page| page.try_read()).collect();
    let begun = begin(shared, pages, &guards);
    if !begun.is_empty() {
        load_together(shared, pages, begun, &mut guards).map_err(|error| shared.failed(error))?;
    }
    // Those that others load, those that come twice, and those that take the place of others.
    for (page, guard) in pages.iter().zip(&mut guards) {
        if guard.is_none() {
            *guard = Some(page.read()?);
        }
    }
    Ok(guards.into_iter().flatten().collect())
}

/// Begins to load those that are in the file, with their places among the pages.
fn begin(shared: &Arc<Shared>, pages: &[&Page], guards: &Guards<'_>) -> Vec<(usize, Loading)> {
    let mut begun = Vec::new();
    let mut seen = HashSet::new();
    for (at, page) in pages.iter().enumerate() {
        let is_mine = guards[at].is_none()
            && Arc::ptr_eq(page.shared(), shared)
            && seen.insert(page.number())
            && matches!(page.entry().state.begin_load(), LoadTurn::Mine);
        if is_mine {
            begun.push((at, Loading::begun(shared, page.number())));
        }
    }
    begun
}

/// Loads those that were begun, as far as frames are to be had for them.
fn load_together<'a>(
    shared: &Arc<Shared>,
    pages: &[&'a Page],
    begun: Vec<(usize, Loading)>,
    guards: &mut Guards<'a>,
) -> Result<(), PagingError> {
    let (places, begun): (Vec<_>, Vec<_>) = begun.into_iter().unzip();
    let (are_there, failure) = together::load_together(shared, begun, Pin::Yes);
    for (at, _) in places.into_iter().zip(are_there).filter(|(_, is_there)| *is_there) {
        // SAFETY: 1: it was loaded with a pin.
        guards[at] = Some(unsafe { pages[at].guard() });
    }
    match failure {
        // One by one they may take the place of each other in the file.
        Some(error) if !error.is_for_want_of_disk() => Err(error),
        _ => Ok(()),
    }
}
