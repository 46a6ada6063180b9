//! Refusals: each names the value and the rule, carries the numbers, and has changed nothing.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::time::Duration;

use offheap::{
    AllocationError, MemoryManager, Owner,
    config::MemoryMode,
    error::{ConfigError, OwnerError, Reason},
};

use crate::support::{PAGE, STRATEGIES, assert_empty, changes_nothing, in_both_modes, manager};

const CAPACITY_MAX: usize = 1 << 46;

fn config_error(mode: MemoryMode, capacity: usize, page: usize) -> ConfigError {
    let builder = MemoryManager::builder().capacity(capacity).page_size(page).mode(mode);
    builder.build().unwrap_err()
}

#[test]
fn a_page_size_that_is_not_a_power_of_two_in_range_is_refused_by_name() {
    in_both_modes(|mode| {
        for page in [0, 1, 2048, 4095, 4097, 12 << 10, (1 << 20) + 1, 2 << 20, usize::MAX] {
            for capacity in [0, 1 << 20, usize::MAX] {
                assert_eq!(
                    config_error(mode, capacity, page).to_string(),
                    format!(
                        "a page size of {page} bytes is not a power of two from 4096 to 1048576"
                    )
                );
            }
        }
    });
}

#[test]
fn a_capacity_that_holds_no_page_or_too_many_is_refused_by_name() {
    in_both_modes(|mode| {
        for page in [4 << 10, 32 << 10, 1 << 20] {
            let none = "no capacity was set, in bytes or as a fraction of what is available";
            assert_eq!(config_error(mode, 0, page).to_string(), none);
            for capacity in [1, page - 1] {
                let text = format!(
                    "a capacity of {capacity} bytes does not hold one page of {page} bytes"
                );
                assert_eq!(config_error(mode, capacity, page).to_string(), text);
            }
            let most = CAPACITY_MAX.min(u32::MAX as usize * page);
            for capacity in [most + 1, usize::MAX / 2, usize::MAX] {
                let text = format!(
                    "a capacity of {capacity} bytes is above the most that can be managed in \
                     pages of {page} bytes, {most} bytes"
                );
                assert_eq!(config_error(mode, capacity, page).to_string(), text);
            }
        }
        assert!(matches!(
            MemoryManager::builder().mode(mode).build().unwrap_err(),
            ConfigError::CapacityTooSmall { capacity_bytes: 0, page_bytes: 32768 }
        ));
    });
}

#[test]
fn the_smallest_and_the_largest_page_make_a_manager_of_one_page() {
    in_both_modes(|mode| {
        for page in [4 << 10, 1 << 20] {
            let manager = manager(mode, 1, page);
            assert_eq!((manager.total_pages(), manager.mode()), (1, mode));
            let owner = manager.owner("owner").register().unwrap();
            assert_eq!(owner.allocate_page().unwrap().size(), page);
        }
    });
}

#[test]
fn a_refused_region_says_what_the_operating_system_said() {
    let source = io::Error::from(io::ErrorKind::OutOfMemory);
    let said = source.to_string();
    let refused = ConfigError::Region { capacity_bytes: 4096, source };
    assert_eq!(refused.to_string(), format!("cannot map a region of 4096 bytes: {said}"));
    assert_eq!(refused.source().unwrap().to_string(), said);
    assert!(config_error(MemoryMode::Heap, 0, PAGE).source().is_none());
}

#[test]
fn a_fraction_is_above_zero_and_at_most_one() {
    let manager = manager(MemoryMode::Heap, 1_000, PAGE);
    let above_one = f64::from_bits(1.0_f64.to_bits() + 1);
    let below_zero = -f64::from_bits(1);
    let infinities = [f64::INFINITY, f64::NEG_INFINITY];
    for fraction in [0.0, -0.0, -0.1, -1.0, 1.1, 2.0, above_one, below_zero, f64::NAN]
        .into_iter()
        .chain(infinities)
    {
        let memory = manager.compute_memory_size(fraction).unwrap_err();
        let pages = manager.compute_number_of_pages(fraction).unwrap_err();
        assert_eq!(memory.fraction.to_bits(), fraction.to_bits());
        let text = format!("a fraction of {fraction} is not above 0 and at most 1");
        assert_eq!((memory.to_string(), pages.to_string()), (text.clone(), text));
    }
    for tiny in [f64::from_bits(1), f64::MIN_POSITIVE, f64::EPSILON] {
        assert_eq!(manager.compute_memory_size(tiny).unwrap(), 0);
        assert_eq!(manager.compute_number_of_pages(tiny).unwrap(), 0);
    }
    let below_one = f64::from_bits(1.0_f64.to_bits() - 1);
    assert_eq!(manager.compute_memory_size(below_one).unwrap(), manager.capacity() - 1);
    assert_eq!(manager.compute_number_of_pages(below_one).unwrap(), 999);
    for eighth in 1..=8_u32 {
        let expected = manager.capacity() * eighth as usize / 8;
        assert_eq!(manager.compute_memory_size(f64::from(eighth) / 8.0).unwrap(), expected);
    }
}

#[test]
fn an_owner_whose_minimum_is_above_its_limit_is_refused() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        for (minimum, limit) in [(1, 0), (PAGE + 1, PAGE), (usize::MAX, usize::MAX - 1)] {
            let builder = manager.owner("sorter").minimum(minimum).limit(limit);
            let refused = changes_nothing(&manager, || builder.register().unwrap_err());
            let text = format!(
                "owner `sorter`: a minimum of {minimum} bytes is above its limit of {limit} bytes"
            );
            assert_eq!(refused.to_string(), text);
            assert!(matches!(refused, OwnerError::MinimumAboveLimit { .. }));
        }
    });
}

#[test]
fn an_owner_of_weight_0_is_refused_with_the_least_there_is() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let builder = manager.owner("sorter").weight(0);
        let refused = changes_nothing(&manager, || builder.register().unwrap_err());
        let text = "owner `sorter`: a weight of 0 is too small, it is at least 1";
        assert_eq!(refused.to_string(), text);
        assert!(matches!(refused, OwnerError::WeightTooSmall { weight: 0, weight_min: 1, .. }));
        assert_eq!(refused.path(), "sorter");
        for weight in [1, 2, u32::MAX] {
            manager.owner("sorter").weight(weight).register().unwrap();
        }
    });
}

#[test]
fn an_owner_whose_minimum_is_not_left_is_told_who_holds_the_most() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let saver = manager.owner("saver").minimum(4 * PAGE).register().unwrap();
        let holder = manager.owner("holder").register().unwrap();
        let pages = holder.allocate_pages(3).unwrap();
        let page = saver.allocate_page().unwrap();
        let builder = manager.owner("late").minimum(3 * PAGE + 1);
        let refused = changes_nothing(&manager, || builder.register().unwrap_err());
        assert_eq!(
            refused.to_string(),
            "owner `late`: a minimum of 12289 bytes cannot be guaranteed, only 12288 bytes are \
             left; held by `holder`: 12288 bytes (minimum 0, limit 40960, reclaimable 0), `saver`: \
             4096 bytes (minimum 16384, limit 40960, reclaimable 0)"
        );
        manager.owner("just").minimum(3 * PAGE).register().unwrap();
        drop((pages, page));
    });
}

#[test]
fn a_refusal_of_the_budget_names_the_three_largest_holders_and_counts_the_rest() {
    in_both_modes(|mode| {
        let manager = manager(mode, 20, PAGE);
        let holders = [("b", 3), ("a", 3), ("most", 6), ("least", 1), ("none", 0)];
        let held: Vec<_> = holders
            .map(|(name, pages)| {
                let owner = manager.owner(name).minimum(usize::from(name == "b")).register();
                let owner = owner.unwrap();
                (owner.allocate_pages(pages).unwrap(), owner)
            })
            .into();
        let asking = manager.owner("asking").register().unwrap();
        let refused = changes_nothing(&manager, || asking.allocate(7 * PAGE + 1).unwrap_err());
        assert_eq!(
            refused.to_string(),
            "cannot allocate 32768 bytes for owner `asking`: only 28672 of 81920 bytes are free; \
             held by `most`: 24576 bytes (minimum 0, limit 81920, reclaimable 0), `a`: 12288 \
             bytes (minimum 0, limit 81920, reclaimable 0), `b`: 12288 bytes (minimum 1, limit \
             81920, reclaimable 0), and 1 more"
        );
        let refusal = refused.refusal();
        let paths: Vec<_> = refusal.holders.iter().map(|holder| &*holder.path).collect();
        assert_eq!(paths, ["most", "a", "b"]);
        assert_eq!((refusal.other_holders, refusal.other_holders_bytes), (1, PAGE));
        assert_eq!((&*refusal.owner_path, refusal.owner_used_bytes), ("asking", 0));
        assert_eq!((refusal.requested_bytes, refusal.available_bytes), (8 * PAGE, 7 * PAGE));
        assert_eq!(refusal.owner_limit_bytes, 20 * PAGE);
        assert_eq!((refusal.capacity_bytes, refusal.reason), (20 * PAGE, Reason::Budget));
        drop(held);
        assert_empty(&manager);
    });
}

#[test]
fn a_refusal_of_the_owners_limit_names_the_limit() {
    in_both_modes(|mode| {
        let manager = manager(mode, 20, PAGE);
        let owner = manager.owner("sorter").limit(4 * PAGE + 5).register().unwrap();
        let held = owner.allocate_pages(3).unwrap();
        let refused = changes_nothing(&manager, || owner.allocate_pages(2).unwrap_err());
        assert_eq!(
            refused.to_string(),
            "cannot allocate 8192 bytes for owner `sorter`: it holds 12288 bytes of its limit of \
             16389 bytes"
        );
        let refusal = refused.refusal();
        assert_eq!((refusal.reason, refusal.available_bytes), (Reason::OwnerLimit, PAGE + 5));
        let refused = changes_nothing(&manager, || owner.reserve_memory(PAGE + 6).unwrap_err());
        assert_eq!(
            refused.to_string(),
            "cannot reserve 4102 bytes for owner `sorter`: it holds 12288 bytes of its limit of \
             16389 bytes"
        );
        drop(held);
    });
}

#[test]
fn the_limit_is_named_before_the_budget_where_both_stand_against_it() {
    let manager = manager(MemoryMode::OffHeap, 4, PAGE);
    let limited = manager.owner("limited").limit(2 * PAGE).register().unwrap();
    let other = manager.owner("other").register().unwrap();
    let all = other.allocate_pages(4).unwrap();
    assert_eq!(limited.allocate_pages(3).unwrap_err().reason(), Reason::OwnerLimit);
    assert_eq!(limited.allocate_pages(2).unwrap_err().reason(), Reason::Budget);
    drop(all);
}

#[test]
fn a_block_that_finds_no_hole_is_told_the_largest() {
    for strategy in STRATEGIES {
        let builder = MemoryManager::builder().capacity(10 * PAGE).page_size(PAGE);
        let builder = builder.address_space_factor(1);
        let manager = builder.strategy(strategy).build().unwrap();
        let owner = manager.owner("sorter").register().unwrap();
        let mut pages: Vec<_> = (0..10).map(|_| owner.allocate(PAGE).unwrap()).collect();
        pages.sort_by_key(|page| page.as_ptr());
        let mut index = 0;
        pages.retain(|_| {
            index += 1;
            ![2, 3, 6, 7, 8].contains(&index)
        });
        let refused = changes_nothing(&manager, || owner.allocate(3 * PAGE + 1).unwrap_err());
        assert_eq!(
            refused.to_string(),
            "cannot allocate 16384 bytes for owner `sorter`: 20480 bytes are free, but the \
             largest free block has 12288 bytes; held by `sorter`: 20480 bytes (minimum 0, \
             limit 40960, reclaimable 0)"
        );
        let largest_free_block_bytes = 3 * PAGE;
        assert_eq!(refused.reason(), Reason::Fragmented { largest_free_block_bytes });
        assert_eq!(owner.allocate(3 * PAGE).unwrap().size(), 3 * PAGE);
    }
}

#[test]
fn a_block_of_no_bytes_and_one_above_the_capacity_are_refused() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        let owner = manager.owner("sorter").register().unwrap();
        let none = changes_nothing(&manager, || owner.allocate(0).unwrap_err());
        let text = "cannot allocate 0 bytes for owner `sorter`: a block has at least one byte";
        assert_eq!((none.to_string().as_str(), none.reason()), (text, Reason::NoBytes));
        changes_nothing(&manager, || owner.allocate_up_to(0).unwrap_err());
        for bytes in [4 * PAGE + 1, usize::MAX / 2, usize::MAX - 1, usize::MAX] {
            let errors: [AllocationError; 3] = changes_nothing(&manager, || {
                [
                    owner.allocate(bytes).unwrap_err(),
                    owner.allocate_scattered(bytes).unwrap_err(),
                    owner.reserve_memory(bytes).unwrap_err().into(),
                ]
            });
            for error in errors {
                assert_eq!(error.reason(), Reason::Capacity, "{bytes}");
                let text = "that is above the capacity of 16384 bytes";
                assert!(error.to_string().ends_with(text), "{error}");
            }
        }
        for count in [5, usize::MAX / PAGE, usize::MAX / PAGE + 1, usize::MAX] {
            let refused = changes_nothing(&manager, || owner.allocate_pages(count).unwrap_err());
            assert_eq!(refused.reason(), Reason::Capacity, "{count}");
        }
    });
}

/// Every way to ask for more than four pages.
fn ask_for_too_much(owner: &Owner) {
    let bytes = 5 * PAGE;
    owner.allocate_pages(5).unwrap_err();
    owner.allocate(bytes).unwrap_err();
    owner.allocate_scattered(bytes).unwrap_err();
    owner.reserve_memory(bytes).unwrap_err();
    owner.holdings().allocate_pages(5).unwrap_err();
    owner.holdings().allocate(bytes).unwrap_err();
    let scratch = owner.scratch(usize::MAX);
    scratch.alloc_slice_copy(&[0_u8; 5 * PAGE]).unwrap_err();
    assert_eq!(scratch.held_bytes(), 0);
}

#[test]
fn a_failed_call_changes_nothing_whatever_it_failed_for() {
    in_both_modes(|mode| {
        let manager = manager(mode, 12, PAGE);
        let owners = [
            manager.owner("all").register().unwrap(),
            manager.owner("limited").limit(4 * PAGE).register().unwrap(),
            manager.owner("saver").minimum(2 * PAGE).limit(4 * PAGE + 1).register().unwrap(),
        ];
        for owner in &owners[1..] {
            changes_nothing(&manager, || ask_for_too_much(owner));
        }
        let held = owners[0].allocate_pages(6).unwrap();
        for owner in &owners {
            changes_nothing(&manager, || ask_for_too_much(owner));
        }
        let mut reservation = owners[1].reserve_memory(100).unwrap();
        changes_nothing(&manager, || {
            reservation.grow(4 * PAGE).unwrap_err();
            reservation.grow(usize::MAX).unwrap_err();
        });
        assert_eq!(reservation.size(), 100);
        drop((held, reservation));
        assert_eq!(manager.peak_reserved_bytes(), 8 * PAGE + 100);
    });
}

#[test]
fn an_allocation_error_is_as_wide_as_a_pointer() {
    assert_eq!(size_of::<AllocationError>(), size_of::<usize>());
}

#[test]
fn a_minimum_above_the_capacity_is_refused_like_any_that_is_not_left() {
    in_both_modes(|mode| {
        let manager = manager(mode, 4, PAGE);
        for minimum in [4 * PAGE + 1, usize::MAX] {
            let builder = manager.owner("sorter").minimum(minimum);
            let refused = changes_nothing(&manager, || builder.register().unwrap_err());
            let text = format!(
                "owner `sorter`: a minimum of {minimum} bytes cannot be guaranteed, only 16384 \
                 bytes are left"
            );
            assert_eq!(refused.to_string(), text);
        }
    });
}

#[test]
fn an_owner_without_a_limit_is_refused_for_the_budget_and_told_who_else_holds_it() {
    in_both_modes(|mode| {
        let manager = manager(mode, 10, PAGE);
        let owner = manager.owner("sorter").register().unwrap();
        let other = manager.owner("join").register().unwrap();
        let held = (owner.allocate_pages(5).unwrap(), other.allocate_pages(4).unwrap());
        let errors: [AllocationError; 5] = [
            owner.allocate_pages(6).unwrap_err(),
            owner.allocate_scattered(6 * PAGE).unwrap_err(),
            owner.reserve_memory(6 * PAGE).unwrap_err().into(),
            owner.allocate(2 * PAGE).unwrap_err(),
            owner.allocate(6 * PAGE).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.reason(), Reason::Budget, "{error}");
            assert_eq!(error.refusal().available_bytes, PAGE);
            assert!(error.to_string().contains("`join`: 16384 bytes"), "{error}");
        }
        drop(held);
    });
}

/// `Refusal::available_bytes`: "the bytes that the owner could have had". Those of its minimum
/// are among them.
#[test]
fn a_refusal_counts_what_is_left_of_the_minimum_as_available() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let saver = manager.owner("saver").minimum(10 * PAGE).register().unwrap();
        let greedy = manager.owner("greedy").register().unwrap();
        let held = greedy.allocate_pages(85).unwrap();
        assert_eq!(saver.available_bytes(), 15 * PAGE);
        let refused = saver.allocate_pages(20).unwrap_err();
        assert_eq!(refused.reason(), Reason::Budget);
        assert_eq!(refused.refusal().available_bytes, 15 * PAGE);
        drop(held);
    });
}

/// The same, where the owner's limit refuses before the budget would.
#[test]
fn a_refusal_at_the_limit_does_not_promise_more_than_the_budget_has() {
    in_both_modes(|mode| {
        let manager = manager(mode, 100, PAGE);
        let limited = manager.owner("limited").limit(50 * PAGE).register().unwrap();
        let greedy = manager.owner("greedy").register().unwrap();
        let held = greedy.allocate_pages(95).unwrap();
        assert_eq!(limited.available_bytes(), 5 * PAGE);
        let refused = limited.allocate_pages(60).unwrap_err();
        assert_eq!(refused.reason(), Reason::OwnerLimit);
        assert_eq!(refused.refusal().available_bytes, 5 * PAGE);
        drop(held);
    });
}

#[test]
fn what_is_above_a_limit_by_itself_is_no_want_of_memory() {
    let manager = manager(MemoryMode::OffHeap, 16, PAGE);
    let parent = manager.owner("query").limit(8 * PAGE).register().unwrap();
    let child = parent.child(format!("sort {}", 1)).register().unwrap();
    let own = manager.owner("own").limit(4 * PAGE).register().unwrap();
    let above = own.allocate_pages(5).unwrap_err();
    assert!(!above.is_for_want_of_memory());
    let sentence = "for owner `own`: that is above its limit of 16384 bytes";
    assert_eq!(above.to_string(), format!("cannot allocate 20480 bytes {sentence}"));
    let held = own.allocate_pages(4).unwrap();
    assert!(own.allocate_page().unwrap_err().is_for_want_of_memory(), "spilling helps");
    let above = child.allocate_pages(9).unwrap_err();
    assert!(!above.is_for_want_of_memory(), "{above}");
    drop(held);
}

/// Every way to ask for `bytes`, with what it calls them.
fn every_refusal(owner: &Owner, bytes: usize) -> Vec<(&'static str, AllocationError)> {
    let now = Duration::ZERO;
    let answers = [
        ("allocate", owner.allocate(bytes).err()),
        ("try_allocate", owner.try_allocate(bytes).err()),
        ("allocate_zeroed", owner.allocate_zeroed(bytes).err()),
        ("allocate_scattered", owner.allocate_scattered(bytes).err()),
        ("allocate_up_to", owner.allocate_up_to(bytes).err()),
        ("allocate_pages", owner.allocate_pages(bytes.div_ceil(owner.page_size())).err()),
        ("acquire", owner.acquire_timeout(bytes, now).err()),
        (
            "acquire_pages",
            owner.acquire_pages_timeout(bytes.div_ceil(owner.page_size()), now).err(),
        ),
        ("reserve_memory", owner.reserve_memory(bytes).err().map(AllocationError::from)),
        ("acquire_memory", owner.acquire_memory_timeout(bytes, now).err().map(Into::into)),
        ("holdings", owner.holdings().allocate(bytes).err()),
    ];
    answers.into_iter().filter_map(|(way, refused)| Some((way, refused?))).collect()
}

/// What is refused is more than there is, by the numbers of the refusal itself.
fn contradiction(refused: &AllocationError) -> Option<&'static str> {
    let numbers = refused.refusal();
    let left_of_limit = numbers.owner_limit_bytes - numbers.owner_used_bytes;
    let is_true = match refused.reason() {
        Reason::Capacity => numbers.requested_bytes > numbers.capacity_bytes,
        Reason::OwnerLimit => numbers.requested_bytes > left_of_limit,
        Reason::Budget | Reason::TimedOut => numbers.requested_bytes > numbers.available_bytes,
        _ => return Some("another reason"),
    };
    (!is_true).then_some("what is said not to fit does")
}

/// Pages are whole, and a capacity or a limit need not be.
#[test]
fn refusals_tell_true_numbers_where_the_capacity_is_not_in_whole_pages() {
    let mut told = BTreeSet::new();
    for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
        let capacities = [
            (64 * PAGE + 17, PAGE),
            (1_000_000, 32 << 10),
            ((1 << 20) + 4095, PAGE),
            (3 * (32 << 10) + 1, 32 << 10),
        ];
        for (capacity, page) in capacities {
            let builder = MemoryManager::builder().capacity(capacity).page_size(page).mode(mode);
            let manager = builder.build().unwrap();
            let whole = capacity / page * page;
            let owner = manager.owner("owner").register().unwrap();
            let limited = manager.owner("limited").limit(whole - 1).register().unwrap();
            // Nothing is held, a page, a few bytes, all but a few, and all pages.
            let held = [0, page, 5, whole - page + 9, whole];
            for held in held {
                let _held = owner.reserve_memory(held).unwrap();
                let left = capacity - held;
                let sizes = [1, left - left % page + 1, left, left + 1, whole + 1, capacity];
                for bytes in sizes.into_iter().chain([capacity + 1, 2 * capacity, usize::MAX]) {
                    for owner in [&owner, &limited] {
                        for (way, refused) in every_refusal(owner, bytes.max(1)) {
                            let wrong = contradiction(&refused);
                            assert_eq!(wrong, None, "{way}({bytes}) with {held}: {refused}");
                            told.insert((way, format!("{:?}", refused.reason())));
                        }
                    }
                }
            }
        }
    }
    let times = |reason: &str| told.iter().filter(|(_, other)| other == reason).count();
    assert!(times("Capacity") > 9 && times("OwnerLimit") > 5 && times("Budget") > 5, "{told:?}");
}
