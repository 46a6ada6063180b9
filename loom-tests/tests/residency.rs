//! What is resident, where a page that is touched can bring its whole huge page along: at most the
//! capacity, whichever pages are touched while others are given back.
#![cfg(offheap_loom)]

use loom::sync::{Arc, Mutex};
use loom::thread;
use offheap::model::{ChunkIndex, Exchange, HeldRun, Lent, PageCount, PageMask, Span, Stock};
use offheap_loom_tests::check_many_loads;

/// The pages of a huge page are two to the power of this.
const SHIFT: u32 = 1;

/// The least favourable system: as long as it may, it makes a whole huge page resident whenever
/// one of its pages is touched.
struct System {
    may_be_huge: Vec<bool>,
    resident: Vec<bool>,
}

/// A stock, and a system that agrees to everything. Its lock is that of the address space, which
/// advice and faults pass through.
struct Pages {
    stock: Stock,
    capacity: u32,
    system: Mutex<System>,
}

impl Pages {
    /// `capacity` warm pages of twice as many, of which those in `held` are held and not touched.
    fn new(capacity: u32, held: &[u32]) -> (Arc<Self>, Vec<HeldRun>) {
        let mapped = 2 * capacity;
        let stock = Stock::with_huge_pages(PageCount::new(capacity), PageCount::new(mapped), SHIFT);
        let units = stock.residency().units().expect("there are huge pages");
        let may_be_huge = (0..mapped >> SHIFT).map(|unit| !units.is_small(unit)).collect();
        let resident = vec![false; mapped as usize];
        let system = Mutex::new(System { may_be_huge, resident });
        let pages = Self { stock, capacity, system };
        let all = (0..capacity)
            .flat_map(|_| pages.stock.warm().take_pages(PageCount::new(1)).into_runs());
        let (mine, back): (Vec<_>, Vec<_>) =
            all.collect::<Vec<_>>().into_iter().partition(|run| held.contains(&run.first().get()));
        pages.stock.release_runs(back);
        for run in &mine {
            pages
                .stock
                .residency()
                .mark(ChunkIndex::new(0), PageMask::from_bits(1 << run.first().get()));
        }
        (Arc::new(pages), mine)
    }

    fn take_page(&self) -> HeldRun {
        let page = self.stock.take_pages(PageCount::new(1)).into_runs().next();
        page.expect("at least one page")
    }

    /// Writes to all pages of a run.
    fn touch(&self, run: &HeldRun) {
        let first = run.first().get();
        for page in first..first + run.pages().get() {
            let mut system = self.system.lock().unwrap();
            let unit = page >> SHIFT;
            let pages = match system.may_be_huge[unit as usize] {
                true => unit << SHIFT..(unit + 1) << SHIFT,
                false => page..page + 1,
            };
            pages.for_each(|page| system.resident[page as usize] = true);
            let resident = system.resident.iter().filter(|page| **page).count();
            assert!(resident <= self.capacity as usize, "more is resident than there may be");
        }
    }

    /// As the region does.
    fn use_no_huge_page_across(&self, span: Span) {
        let units = self.stock.residency().units().expect("there are huge pages");
        for unit in units.cut(span).filter(|unit| !units.is_small(*unit)) {
            self.system.lock().unwrap().may_be_huge[unit as usize] = false;
            units.set_small(unit);
        }
    }

    /// As the region does.
    fn use_huge_pages_within(&self, span: Span) {
        let units = self.stock.residency().units().expect("there are huge pages");
        for unit in units.covered(span).filter(|unit| units.is_small(*unit)) {
            units.set_huge(unit);
            self.system.lock().unwrap().may_be_huge[unit as usize] = true;
        }
    }

    /// As the region does.
    fn give_back(&self, lent: &Lent<'_>) -> bool {
        lent.spans().iter().for_each(|span| self.use_no_huge_page_across(*span));
        let residency = self.stock.residency();
        for span in lent.spans().iter().filter(|span| residency.may_be_resident(**span)) {
            let first = span.first.get();
            let mut system = self.system.lock().unwrap();
            for page in first..first + span.pages.get() {
                system.resident[page as usize] = false;
            }
        }
        true
    }

    fn exchange(&self, pages: u32) -> HeldRun {
        let system = |exchange: &Exchange<'_>| {
            self.use_no_huge_page_across(exchange.run);
            self.give_back(&exchange.leaving)
        };
        let run = self.stock.exchange(PageCount::new(pages), system);
        let run = run.expect("as many pages are reserved, and there is room for them");
        self.use_huge_pages_within(Span { first: run.first(), pages: run.pages() });
        self.touch(&run);
        run
    }

    fn trim(&self) {
        self.stock.trim(0, |lent| {
            self.give_back(lent);
            lent.spans().iter().for_each(|span| self.use_huge_pages_within(*span));
            true
        });
    }

    /// Whatever is free can be used, by pages and by an exchange for all of it.
    fn use_all(&self, held: Vec<HeldRun>) {
        held.iter().for_each(|run| self.touch(run));
        let free = self.capacity - held.iter().map(|run| run.pages().get()).sum::<u32>();
        let pages: Vec<_> = (0..free).map(|_| self.take_page()).collect();
        pages.iter().for_each(|page| self.touch(page));
        self.stock.release_runs(held.into_iter().chain(pages));
        self.stock.check().expect("the lists agree with themselves");
        let all = self.exchange(self.capacity);
        self.stock.release_runs([all]);
    }
}

/// Runs two threads at once on pages of which some are held, and then uses all there is, within so
/// many preemptions.
fn at_once(
    preemptions_max: (usize, usize),
    capacity: u32,
    held: &'static [u32],
    mine: fn(&Pages, Vec<HeldRun>) -> Vec<HeldRun>,
    others: fn(&Pages) -> Vec<HeldRun>,
) {
    check_many_loads(preemptions_max, move || {
        let (pages, runs) = Pages::new(capacity, held);
        let other = {
            let pages = Arc::clone(&pages);
            thread::spawn(move || others(&pages))
        };
        let mut left = mine(&pages, runs);
        left.extend(other.join().unwrap());
        pages.use_all(left);
    });
}

/// Goal: pages are touched for the first time while free ones beside them are exchanged.
#[test]
fn a_page_that_is_touched_brings_back_none_that_is_exchanged() {
    let touch = |pages: &Pages, held: Vec<HeldRun>| {
        held.iter().for_each(|run| pages.touch(run));
        held
    };
    at_once((2, 2), 4, &[0, 2], touch, |pages| vec![pages.exchange(2)]);
    at_once((2, 2), 4, &[1, 2], touch, |pages| vec![pages.exchange(2)]);
}

/// Goal: a page is taken, and touched, while the one beside it, which nobody touched before either,
/// is exchanged.
#[test]
fn a_page_that_is_taken_brings_back_none_that_is_exchanged() {
    let take = |pages: &Pages, mut held: Vec<HeldRun>| {
        let page = pages.take_page();
        pages.touch(&page);
        held.push(page);
        held
    };
    at_once((2, 2), 8, &[0, 1, 4, 5], take, |pages| vec![pages.exchange(3)]);
    at_once((2, 2), 5, &[1, 3], take, |pages| vec![pages.exchange(2)]);
}

/// Goal: what became resident beside a page that was touched is given back although nobody had it,
/// and the page itself is trimmed.
#[test]
fn a_page_beside_one_that_was_touched_is_given_back() {
    let trim = |pages: &Pages, mut held: Vec<HeldRun>| {
        held.iter().for_each(|run| pages.touch(run));
        pages.stock.release_runs([held.remove(0)]);
        pages.trim();
        held.push(pages.exchange(3));
        held
    };
    at_once((2, 2), 4, &[0, 2], trim, |_| vec![]);
}

/// Goal: the same while free pages are trimmed, and huge pages are used again.
#[test]
fn a_page_that_is_taken_brings_back_none_that_is_trimmed() {
    let take = |pages: &Pages, held: Vec<HeldRun>| {
        pages.stock.release_runs(held);
        let page = pages.take_page();
        pages.touch(&page);
        vec![page]
    };
    let trim = |pages: &Pages| {
        pages.trim();
        vec![]
    };
    at_once((2, 2), 4, &[1], take, trim);
    at_once((2, 2), 4, &[0, 2], take, trim);
}

/// Goal: two exchanges at once take parts of the same huge page, or give such back.
#[test]
fn two_exchanges_share_a_huge_page() {
    let exchange = |pages: &Pages, mut held: Vec<HeldRun>| {
        held.push(pages.exchange(2));
        held
    };
    at_once((1, 2), 6, &[1, 4], exchange, |pages| vec![pages.exchange(2)]);
}
