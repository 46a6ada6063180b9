//! Pages that are dropped: their frame, their slot and their entry are free again.

use crate::entry::Death;
use crate::pool::shared::Shared;

/// Drops a page, whose holder nobody else can be.
pub(crate) fn drop_page(shared: &Shared, number: u32) {
    let entry = shared.entry(number);
    match entry.state.die() {
        death @ (Death::Resident | Death::Spilled) => {
            clean_up(shared, number, matches!(death, Death::Resident));
        }
        // Who is at work on it does it afterwards.
        Death::Later => {}
    }
}

/// Cleans up after a page that was dropped while the caller was at work on it, and which is, or is
/// not, in a frame.
pub(crate) fn bury(shared: &Shared, number: u32, is_resident: bool) {
    shared.entry(number).state.bury();
    clean_up(shared, number, is_resident);
}

fn clean_up(shared: &Shared, number: u32, is_resident: bool) {
    let entry = shared.entry(number);
    let slot = Shared::slot(entry);
    shared.counters.hits.add(u64::from(entry.state.take_uses().0));
    let mut books = shared.books();
    let mut rest = None;
    if is_resident {
        let segment = books.remove(entry);
        rest = segment.and_then(|segment| books.keep(segment, shared.page_bytes));
    } else {
        books.spilled_pages -= entry.pages() as usize;
    }
    books.set_slot(number, entry, None);
    books.entries -= 1;
    shared.table.give_back(&mut books.vacancies, number);
    drop(books);
    // The file is its own only as long as it is known that it is this process's.
    match slot {
        Some(slot) => shared.file.free(slot),
        None => shared.counters.dropped_unwritten.add(1),
    }
    drop(rest);
    shared.wants.notify();
}
