//! Which hole a block takes, page by page, and that none is refused while a hole is there.

use std::cmp::Reverse;
use std::ops::Range;

use offheap::{MemoryManager, MemorySegment, Owner, Strategy, error::Reason, stats::OccupancyMap};
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use crate::support::{PAGE, STRATEGIES, address, assert_empty};
use Strategy::{LargestFit, SmallestFit};

const CHUNK: usize = 64;

/// A region of which all pages are out but those in some holes.
struct Region {
    owner: Owner,
    base: usize,
    held: Vec<Option<MemorySegment>>,
    manager: MemoryManager,
}

/// What took the pages that are out.
#[derive(Clone, Copy, Debug)]
enum Takers {
    Blocks,
    Pages,
}

impl Region {
    fn with_holes(
        strategy: Strategy,
        pages: usize,
        takers: Takers,
        holes: &[Range<usize>],
    ) -> Self {
        let builder = MemoryManager::builder().capacity(pages * PAGE).page_size(PAGE);
        let builder = builder.address_space_factor(1);
        let manager = builder.strategy(strategy).build().unwrap();
        let owner = manager.owner("owner").register().unwrap();
        let mut all: Vec<_> = match takers {
            Takers::Blocks => (0..pages).map(|_| owner.allocate(PAGE).unwrap()).collect(),
            Takers::Pages => owner.allocate_pages(pages).unwrap(),
        };
        all.sort_by_key(address);
        let base = address(&all[0]);
        let mut region = Self { owner, base, held: all.into_iter().map(Some).collect(), manager };
        for hole in holes {
            region.held[hole.clone()].fill_with(|| None);
        }
        assert_eq!(holes_in(&region.manager.occupancy()), holes);
        region
    }

    fn all_free(strategy: Strategy, pages: usize) -> Self {
        Self::with_holes(strategy, pages, Takers::Blocks, std::slice::from_ref(&(0..pages)))
    }

    /// The page that a block of `pages` begins at; the block goes back at once.
    fn pick(&self, pages: usize) -> Option<usize> {
        self.owner.allocate(pages * PAGE).ok().map(|block| self.index(&block))
    }

    fn index(&self, segment: &MemorySegment) -> usize {
        (address(segment) - self.base) / PAGE
    }
}

/// The maximal runs of free pages, by brute force.
fn holes_in(map: &OccupancyMap) -> Vec<Range<usize>> {
    let mut holes: Vec<Range<usize>> = Vec::new();
    for page in (0..map.pages).filter(|page| map.is_free(*page)) {
        match holes.last_mut() {
            Some(hole) if hole.end == page => hole.end += 1,
            _ => holes.push(page..page + 1),
        }
    }
    holes
}

/// The size class of a hole: its length up to 128 pages, and what a quarter of a doubling holds
/// above.
fn class(length: usize) -> (u32, usize) {
    if length <= 128 { (0, length) } else { (length.ilog2(), length >> (length.ilog2() - 2)) }
}

/// Where a block of `pages` goes while all pages are taken as blocks: by class, then the lowest.
fn expected(strategy: Strategy, map: &OccupancyMap, pages: usize) -> Option<usize> {
    let holes = holes_in(map);
    let fitting = holes.iter().filter(|hole| hole.len() >= pages);
    let hole = match strategy {
        SmallestFit => fitting.min_by_key(|hole| class(hole.len())),
        LargestFit => fitting.min_by_key(|hole| Reverse(class(hole.len()))),
        other => unreachable!("no test is of {other}"),
    };
    hole.map(|hole| hole.start)
}

/// Checks where each strategy puts blocks of some lengths, with the same holes.
fn assert_picks(
    pages: usize,
    takers: Takers,
    holes: &[Range<usize>],
    picks: &[(usize, Option<usize>, Option<usize>)],
) {
    let smallest = Region::with_holes(SmallestFit, pages, takers, holes);
    let largest = Region::with_holes(LargestFit, pages, takers, holes);
    for (length, by_smallest, by_largest) in picks {
        assert_eq!(smallest.pick(*length), *by_smallest, "smallest fit for {length}, {takers:?}");
        assert_eq!(largest.pick(*length), *by_largest, "largest fit for {length}, {takers:?}");
    }
}

#[test]
fn inside_one_chunk_the_smallest_hole_that_fits_is_taken_or_the_largest() {
    for takers in [Takers::Blocks, Takers::Pages] {
        assert_picks(
            CHUNK,
            takers,
            &[2..4, 10..15, 20..23, 30..39, 50..57],
            &[
                (1, Some(2), Some(30)),
                (2, Some(2), Some(30)),
                (3, Some(20), Some(30)),
                (4, Some(10), Some(30)),
                (5, Some(10), Some(30)),
                (6, Some(50), Some(30)),
                (8, Some(30), Some(30)),
                (9, Some(30), Some(30)),
                (10, None, None),
            ],
        );
    }
}

#[test]
fn among_chunks_the_shortest_hole_that_fits_is_taken_or_the_longest() {
    // The one of 3 pages lies beside a longer one.
    let holes = [10..20, 40..43, 70..75, 140..147, 200..204];
    for takers in [Takers::Blocks, Takers::Pages] {
        assert_picks(
            4 * CHUNK,
            takers,
            &holes,
            &[
                (1, Some(40), Some(10)),
                (3, Some(40), Some(10)),
                (4, Some(200), Some(10)),
                (5, Some(70), Some(10)),
                (6, Some(140), Some(10)),
                (8, Some(10), Some(10)),
                (11, None, None),
            ],
        );
    }
}

#[test]
fn of_equal_holes_the_lowest_is_taken() {
    for takers in [Takers::Blocks, Takers::Pages] {
        let holes = [5..9, 20..24, 69..73, 130..134];
        assert_picks(3 * CHUNK, takers, &holes, &[(4, Some(5), Some(5)), (2, Some(5), Some(5))]);
    }
}

#[test]
fn smallest_fit_keeps_whole_chunks_whole_and_largest_fit_takes_of_the_lowest() {
    let holes = [7..10, 64..128, 150..180];
    let picks = [
        (1, Some(7), Some(64)),
        (4, Some(150), Some(64)),
        (31, Some(64), Some(64)),
        (64, Some(64), Some(64)),
    ];
    assert_picks(3 * CHUNK, Takers::Blocks, &holes, &picks);
}

#[test]
fn blocks_leave_the_chunks_of_single_pages_to_pages_while_a_chunk_is_whole() {
    let holes = [7..10, 64..128];
    for takers in [Takers::Blocks, Takers::Pages] {
        let region = Region::with_holes(SmallestFit, 2 * CHUNK, takers, &holes);
        let picked = match takers {
            Takers::Blocks => 7,
            Takers::Pages => 64,
        };
        assert_eq!(region.pick(2), Some(picked), "{takers:?}");
        let page = region.owner.allocate_page().unwrap();
        let page_goes_to = match takers {
            Takers::Blocks => 64,
            Takers::Pages => 7,
        };
        assert_eq!(region.index(&page), page_goes_to, "{takers:?}");
    }
}

#[test]
fn a_hole_across_a_chunk_border_is_a_hole_like_any_other() {
    for takers in [Takers::Blocks, Takers::Pages] {
        // 4 pages below the border and 6 above, 20 pages over the next.
        let holes = [60..70, 118..138];
        assert_picks(
            3 * CHUNK,
            takers,
            &holes,
            &[
                (1, Some(60), Some(118)),
                (7, Some(60), Some(118)),
                (11, Some(118), Some(118)),
                (20, Some(118), Some(118)),
                (21, None, None),
            ],
        );
        let holes = [61..67, 124..133, 140..145];
        assert_picks(
            3 * CHUNK,
            takers,
            &holes,
            &[(5, Some(140), Some(124)), (6, Some(61), Some(124))],
        );
    }
}

#[test]
fn long_holes_are_told_apart_by_a_quarter_of_their_length() {
    // 200 and 195 pages are of one class, 250 of another.
    let holes = [0..200, 210..460, 470..665];
    let picks = [
        (128, Some(0), Some(210)),
        (195, Some(0), Some(210)),
        (200, Some(0), Some(210)),
        (201, Some(210), Some(210)),
        (251, None, None),
    ];
    assert_picks(700, Takers::Blocks, &holes, &picks);
    let holes = [0..195, 210..460, 470..670];
    assert_picks(700, Takers::Blocks, &holes, &[(196, Some(470), Some(210))]);
}

#[test]
fn chunks_that_pages_left_whole_make_room_for_long_blocks_too() {
    for strategy in STRATEGIES {
        let all = std::slice::from_ref(&(0..300));
        let region = Region::with_holes(strategy, 300, Takers::Pages, all);
        let block = region.owner.allocate(100 * PAGE).unwrap();
        let next = region.owner.allocate(200 * PAGE).unwrap();
        assert_eq!((region.index(&block), region.index(&next)), (0, 100));
    }
}

#[test]
fn blocks_above_a_chunk_take_the_best_run_wherever_it_begins() {
    // Runs of 70, 130 and 100 pages.
    let holes = [30..100, 110..240, 250..350];
    let above_70 = [
        (71, Some(250), Some(110)),
        (101, Some(110), Some(110)),
        (130, Some(110), Some(110)),
        (131, None, None),
    ];
    assert_picks(
        360,
        Takers::Blocks,
        &holes,
        &[(65, Some(30), Some(110)), (70, Some(30), Some(110))],
    );
    assert_picks(360, Takers::Blocks, &holes, &above_70);
    assert_picks(360, Takers::Pages, &holes, &above_70);
    // Of what pages left, the runs with a whole chunk come first, and any other one is found too.
    assert_picks(360, Takers::Pages, &holes, &[(70, Some(250), Some(110))]);
    assert_picks(360, Takers::Pages, &[30..100, 190..250], &[(70, Some(30), Some(30))]);
}

#[test]
fn the_last_chunk_may_be_a_part_and_its_pages_count_all_the_same() {
    for strategy in STRATEGIES {
        let region = Region::all_free(strategy, 150);
        let low = region.owner.allocate(130 * PAGE).unwrap();
        assert_eq!(region.index(&low), 0);
        assert_eq!(region.pick(20), Some(130));
        assert_eq!(region.pick(21), None);
        drop(low);
        assert_eq!(region.pick(150), Some(0));
        assert_eq!(region.pick(151), None);
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A block of that many pages.
    Allocate(usize),
    /// That many single pages.
    Pages(usize),
    /// One of what is out.
    Release(usize),
}

fn steps(pages: bool) -> BoxedStrategy<Vec<Step>> {
    let lengths = prop_oneof![3 => 1..20_usize, 2 => 20..70_usize, 1 => 60..=200_usize];
    let allocate = lengths.prop_map(Step::Allocate).boxed();
    let release = any::<usize>().prop_map(Step::Release).boxed();
    let singles = (1..20_usize).prop_map(Step::Pages).boxed();
    let step = if pages {
        prop_oneof![3 => allocate, 2 => singles, 5 => release].boxed()
    } else {
        prop_oneof![4 => allocate, 3 => release].boxed()
    };
    proptest::collection::vec(step, 1..120).boxed()
}

/// Runs the steps and checks each block against the map before it; with `exact_place` also where
/// it went.
fn replay(strategy: Strategy, pages: usize, steps: Vec<Step>, exact_place: bool) {
    let region = Region::all_free(strategy, pages);
    let Region { owner, base, manager, .. } = &region;
    let mut held = Vec::new();
    for step in steps {
        let map = manager.occupancy();
        match step {
            Step::Release(_) if held.is_empty() => {}
            Step::Release(which) => drop(held.swap_remove(which % held.len())),
            Step::Pages(count) => match owner.allocate_pages(count) {
                Ok(pages) => held.extend(pages),
                Err(_) => assert!(count > map.free_pages(), "{count} of {map:?}"),
            },
            Step::Allocate(count) => {
                let longest = holes_in(&map).into_iter().map(|hole| hole.len()).max().unwrap_or(0);
                match owner.allocate(count * PAGE) {
                    Ok(block) => {
                        let first = (address(&block) - base) / PAGE;
                        assert!((first..first + count).all(|page| map.is_free(page)));
                        let place =
                            if exact_place { expected(strategy, &map, count) } else { None };
                        assert!(
                            place.is_none_or(|place| place == first),
                            "{count}: {first} {map:?}"
                        );
                        assert!(!exact_place || place.is_some());
                        held.push(block);
                    }
                    Err(refused) => assert_refused_for(refused.reason(), count, longest, &map),
                }
            }
        }
        let out: usize = held.iter().map(MemorySegment::size).sum();
        assert_eq!(manager.occupancy().free_pages() * PAGE + out, pages * PAGE);
    }
    let stats = manager.stats();
    let longest =
        holes_in(&manager.occupancy()).into_iter().map(|hole| hole.len()).max().unwrap_or(0);
    assert_eq!(stats.largest_free_block_bytes, longest * PAGE);
    manager.check_consistency().unwrap();
    drop(held);
    assert_empty(manager);
}

fn assert_refused_for(reason: Reason, count: usize, longest: usize, map: &OccupancyMap) {
    assert!(longest < count, "{count} pages were refused: {map:?}");
    if count <= map.free_pages() {
        let largest_free_block_bytes = longest * PAGE;
        assert_eq!(reason, Reason::Fragmented { largest_free_block_bytes });
    } else {
        assert!(!matches!(reason, Reason::Fragmented { .. }), "{reason:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_block_is_refused_only_where_no_hole_is_and_goes_where_the_strategy_says(
        pages in prop_oneof![Just(321_usize), Just(200), Just(383)],
        steps in steps(false),
    ) {
        for strategy in STRATEGIES {
            replay(strategy, pages, steps.clone(), true);
        }
    }

    #[test]
    fn with_single_pages_between_them_blocks_are_refused_only_where_no_hole_is(
        pages in prop_oneof![Just(321_usize), Just(200), Just(383)],
        steps in steps(true),
    ) {
        for strategy in STRATEGIES {
            replay(strategy, pages, steps.clone(), false);
        }
    }
}

#[test]
fn the_bins_count_chunks_by_their_longest_hole() {
    let holes = [0..3, 10..12, 64..128, 130..135];
    let region = Region::with_holes(SmallestFit, 4 * CHUNK, Takers::Blocks, &holes);
    let bins = region.manager.stats().chunks_per_bin;
    assert_eq!(bins.len(), CHUNK + 1);
    let filled: Vec<_> = (0..).zip(bins).filter(|(_, chunks)| *chunks > 0).collect();
    assert_eq!(filled, [(0, 1), (3, 1), (5, 1), (64, 1)]);
}
