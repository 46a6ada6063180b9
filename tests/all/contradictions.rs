//! Numbers of an error that cannot all be true: for each sentence, which of them agree. They are
//! read from the text, as who reads a log has nothing else.

use std::alloc::Layout;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use offheap::config::{IdleMemory, MemoryManagerBuilder, MemoryMode};
use offheap::error::{LeaseError, Reason};
use offheap::resources::Lease;
use offheap::{AllocationError, MemoryManager, MemorySegment, Owner, Reservation};
use offheap_test_support::Random;

use crate::support::PAGE;

/// The numbers that stand for the `#` of `pattern` in `text`, wherever it is.
fn numbers_in<const N: usize>(text: &str, pattern: &str) -> Option<[u128; N]> {
    let starts = text.char_indices().map(|(at, _)| &text[at..]);
    // A number is not begun in its middle.
    let mut before = None;
    starts
        .filter(|rest| {
            let after_digit = before.is_some_and(|c: char| c.is_ascii_digit());
            before = rest.chars().next();
            !(after_digit && before.is_some_and(|c| c.is_ascii_digit()))
        })
        .find_map(|rest| matched(rest, pattern))
}

/// The numbers if `text` begins as `pattern`.
fn matched<const N: usize>(text: &str, pattern: &str) -> Option<[u128; N]> {
    let (mut rest, mut numbers) = (text, Vec::new());
    for (index, part) in pattern.split('#').enumerate() {
        if index > 0 {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            numbers.push(rest[..digits].parse().ok()?);
            rest = &rest[digits..];
        }
        rest = rest.strip_prefix(part)?;
    }
    Some(numbers.try_into().unwrap())
}

/// Which sentences were met, and how often.
#[derive(Default)]
struct Met {
    sentences: BTreeMap<&'static str, usize>,
    /// Whether nobody else comes and goes, so that numbers are exact.
    alone: bool,
}

impl Met {
    /// The numbers of a sentence must agree.
    fn check<const N: usize>(
        &mut self,
        text: &str,
        pattern: &'static str,
        agree: impl FnOnce([u128; N]) -> bool,
    ) -> bool {
        let Some(numbers) = numbers_in(text, pattern) else { return false };
        assert!(agree(numbers), "the numbers of `{pattern}` contradict each other: {text}");
        *self.sentences.entry(pattern).or_default() += 1;
        true
    }

    /// A refused request for memory.
    fn refusal(&mut self, text: &str) {
        let [wanted] = numbers_in(text, "# bytes for owner `").unwrap();
        let reasons = [
            self.check(text, "only # of # bytes are free", |[free, all]| {
                free < wanted && free < all
            }),
            self.check(text, "nothing of # bytes is free", |[all]| all > 0),
            self.check(text, "that is above its limit of # bytes", |[limit]| wanted > limit),
            self.check(text, "` holds # bytes of its limit of # bytes", |[held, limit]| {
                held <= limit && held + wanted > limit
            }),
            self.check(text, "it holds # bytes of its limit of # bytes", |[held, limit]| {
                held <= limit && held + wanted > limit
            }),
            self.check(text, "that is above the limit of # bytes of `", |[limit]| wanted > limit),
            self.check(text, "that is above the capacity of # bytes", |[all]| wanted > all),
            self.check(
                text,
                "# bytes are free, but the largest free block has # bytes",
                |[free, largest]| largest < wanted && largest <= free,
            ),
            self.check(text, "it waited in vain, # of # bytes are free", |[free, all]| {
                free < wanted && free <= all
            }),
            self.check(text, "it waited in vain, and others wait for the # of #", |[free, all]| {
                free <= all
            }),
            self.check(text, "the scratch would pass its limit of # bytes", |[_]| true),
            self.check(text, "others wait in line for the # of # bytes", |[free, all]| free <= all),
            text.contains("a block has at least one byte"),
            text.contains("the process allocator has no more memory"),
        ];
        assert_eq!(reasons.iter().filter(|told| **told).count(), 1, "{text}");
        self.holders(text, numbers_in(text, " of # bytes").map_or(u128::MAX, |[all]: [_; 1]| all));
    }

    /// Those that are named hold no more than all there is, nor than each may.
    fn holders(&mut self, text: &str, all: u128) {
        let mut sum = 0;
        for (at, _) in text.match_indices("`: ") {
            let numbers = matched(&text[at..], "`: # bytes (minimum #, limit #, ");
            let Some([held, minimum, limit]) = numbers else { continue };
            assert!(held <= limit && minimum <= limit, "{text}");
            sum += held;
        }
        if let Some([free, all]) = numbers_in(text, "only # of # bytes are free") {
            assert!(free + sum <= all, "more is free and held than there is: {text}");
        }
        assert!(sum <= all || text.contains("of its limit"), "more is held than there is: {text}");
    }

    fn owner(&mut self, text: &str) {
        let told =
            self.check(text, "a minimum of # bytes is above its limit of # bytes", |[m, l]| m > l)
                || self.check(
                    text,
                    "a minimum of # bytes cannot be guaranteed, only # bytes are left",
                    |[minimum, left]| left < minimum,
                )
                || self.check(text, "a tree of owners has at most # levels", |[_]| true);
        assert!(told, "{text}");
        self.holders(text, u128::MAX);
    }

    fn config(&mut self, text: &str) {
        let told = [
            self.check(
                text,
                "a capacity of # bytes does not hold one page of # bytes",
                |[all, page]| all < page,
            ),
            self.check(
                text,
                "a capacity of # bytes is above the most that can be managed in pages of # bytes, \
                 # bytes",
                |[all, _, most]| all > most,
            ),
            self.check(
                text,
                "an address space of # times the capacity of # bytes is not from 1 to # times",
                |[factor, _, most]| factor == 0 || factor > most,
            ),
            self.check(
                text,
                "idle memory above # bytes cannot be returned down to # bytes",
                |[above, down]| down > above || text.ends_with("every 0ns"),
            ),
            self.check(
                text,
                "a spill reserve of # bytes for each of # reclaims does not hold a page of # \
                 bytes, or leaves none of the capacity of # bytes",
                |[bytes, reclaims, page, all]| bytes < page || bytes * reclaims + page > all,
            ),
            self.check(
                text,
                "a page size of # bytes is not a power of two from # to #",
                |[page, least, most]| !(page.is_power_of_two() && (least..=most).contains(&page)),
            ),
            text.contains("no capacity was set"),
        ];
        assert_eq!(told.iter().filter(|told| **told).count(), 1, "{text}");
    }
}

/// What the calls of one thread hold.
#[derive(Default)]
struct Held {
    segments: Vec<MemorySegment>,
    reservations: Vec<Reservation>,
    leases: Vec<Lease<()>>,
}

impl Held {
    fn let_go_of_one(&mut self, random: &mut Random) {
        match random.below(4) {
            0 if !self.reservations.is_empty() => {
                drop(self.reservations.swap_remove(random.below(self.reservations.len())));
            }
            1 if !self.leases.is_empty() => {
                drop(self.leases.swap_remove(random.below(self.leases.len())));
            }
            _ if !self.segments.is_empty() => {
                drop(self.segments.swap_remove(random.below(self.segments.len())));
            }
            _ => {}
        }
    }
}

/// Around what matters: nothing, a page, the numbers that `near` has, and all.
fn some_bytes(random: &mut Random, near: &[usize]) -> usize {
    let around = near[random.below(near.len())];
    match random.below(8) {
        0 => 0,
        1 => 1 + random.below(PAGE),
        2 => around.saturating_sub(1),
        3 => around + 1,
        4 => around,
        5 => usize::MAX - random.below(2),
        _ => 1 + random.below(around.max(1)),
    }
}

/// One random call; checks what it says if it is refused.
fn call(
    (manager, owner): (&MemoryManager, &Owner),
    held: &mut Held,
    random: &mut Random,
    met: &mut Met,
) {
    let near = [owner.available_bytes(), owner.limit(), manager.capacity(), manager.capacity() / 8];
    let bytes = some_bytes(random, &near);
    let other = some_bytes(random, &near);
    match random.below(16) {
        0 => {
            let reserved = owner.acquire_memory_timeout(bytes, Duration::ZERO);
            match reserved.or_else(|_| owner.reserve_memory(bytes)) {
                Ok(reservation) => held.reservations.push(reservation),
                Err(refused) => met.refusal(&refused.to_string()),
            }
        }
        1 => {
            let grown = held.reservations.last_mut().map(|reservation| reservation.grow(bytes));
            if let Some(Err(refused)) = grown {
                met.refusal(&refused.to_string());
            }
        }
        2 => match manager.lease(random.below(3).to_string(), bytes, |_| Ok::<_, ()>(())) {
            Ok(lease) => held.leases.push(lease),
            Err(LeaseError::Refused(refused)) => met.refusal(&refused.to_string()),
            Err(LeaseError::Owner(refused)) => met.owner(&refused.to_string()),
            Err(other) => panic!("{other:?}"),
        },
        3 => {
            if let Err(refused) = owner.child("child").minimum(bytes).limit(other).register() {
                met.owner(&refused.to_string());
            }
        }
        way => match segments(owner, way, [bytes, other]) {
            Ok(segments) => held.segments.extend(segments),
            Err(refused) => {
                met.refusal(&refused.to_string());
                let reason = refused.reason();
                let is_short =
                    matches!(reason, Reason::Budget | Reason::OwnerLimit | Reason::ParentLimit);
                if met.alone && is_short {
                    let available = refused.refusal().available_bytes;
                    assert_eq!(available, owner.available_bytes(), "{refused}");
                }
            }
        },
    }
}

/// Memory, by one of the ways from 4 on.
fn segments(
    owner: &Owner,
    way: usize,
    [bytes, other]: [usize; 2],
) -> Result<Vec<MemorySegment>, AllocationError> {
    let (pages, now) = (bytes / PAGE, Duration::ZERO);
    match way {
        4 => owner.allocate(bytes).map(|block| vec![block]),
        5 => owner.try_allocate(bytes).map(|block| vec![block]),
        6 => owner.allocate_pages(pages),
        7 => owner.try_allocate_pages(pages),
        8 => owner.allocate_page().map(|page| vec![page]),
        9 => owner.allocate_scattered(bytes),
        10 => owner.allocate_up_to(bytes).map(|block| vec![block]),
        11 => owner.allocate_zeroed(bytes).map(|block| vec![block]),
        12 => owner.acquire_timeout(bytes, now).map(|block| vec![block]),
        13 => owner.acquire_pages_timeout(pages, now),
        14 => owner.worker().allocate_page().map(|page| vec![page]),
        _ => {
            let layout = Layout::from_size_align(bytes.min(1 << 40), 8).unwrap();
            owner.scratch(other).alloc_layout(layout).map(|_| Vec::new())
        }
    }
}

/// A manager whose capacity is no number of whole pages, and a tree of owners with random bounds.
fn world(mode: MemoryMode, random: &mut Random) -> (MemoryManager, Vec<Owner>) {
    let capacity = (16 + random.below(100)) * PAGE + random.below(PAGE);
    let builder = MemoryManager::builder().capacity(capacity).page_size(PAGE).mode(mode);
    let factor = u32::try_from(1 + random.below(2)).unwrap();
    let manager = builder.address_space_factor(factor).build().unwrap();
    let mut owners: Vec<Owner> = Vec::new();
    for _ in 0..8 {
        let above = owners.get(random.below(owners.len() + 1));
        let builder = above.map_or_else(|| manager.owner("top"), |above| above.child("below"));
        let builder = match random.below(3) {
            0 => builder,
            1 => builder.limit(random.below(capacity)),
            _ => builder.minimum(random.below(capacity / 8)),
        };
        owners.extend(builder.register());
    }
    owners.push(manager.owner("last").register().unwrap());
    (manager, owners)
}

#[test]
fn the_numbers_of_no_error_contradict_each_other() {
    let mut met = Met { alone: true, ..Met::default() };
    for seed in 1..=20 {
        for mode in [MemoryMode::OffHeap, MemoryMode::Heap] {
            let mut random = Random::new(seed);
            let (manager, owners) = world(mode, &mut random);
            let mut held = Held::default();
            for _ in 0..150 {
                if random.below(3) == 0 {
                    held.let_go_of_one(&mut random);
                }
                let owner = &owners[random.below(owners.len())];
                call((&manager, owner), &mut held, &mut random, &mut met);
            }
            if let Some(leak) = manager.leaks() {
                met.holders(&leak.to_string(), manager.capacity() as u128);
            }
        }
    }
    // Each of these sentences was seen.
    for pattern in [
        "only # of # bytes are free",
        "that is above its limit of # bytes",
        "it holds # bytes of its limit of # bytes",
        "` holds # bytes of its limit of # bytes",
        "that is above the limit of # bytes of `",
        "that is above the capacity of # bytes",
        "# bytes are free, but the largest free block has # bytes",
        "it waited in vain, # of # bytes are free",
        "the scratch would pass its limit of # bytes",
        "a minimum of # bytes is above its limit of # bytes",
        "a minimum of # bytes cannot be guaranteed, only # bytes are left",
    ] {
        assert!(met.sentences.contains_key(pattern), "{pattern} was not met: {:?}", met.sentences);
    }
}

#[test]
fn the_numbers_of_an_error_agree_while_others_come_and_go() {
    let mut random = Random::new(3);
    let (manager, owners) = world(MemoryMode::OffHeap, &mut random);
    thread::scope(|scope| {
        for seed in 1..=4 {
            let (manager, owners) = (&manager, &owners);
            scope.spawn(move || {
                let (mut random, mut held) = (Random::new(seed), Held::default());
                let mut met = Met::default();
                for _ in 0..1_500 {
                    if random.chance() {
                        held.let_go_of_one(&mut random);
                    }
                    let owner = &owners[random.below(owners.len())];
                    call((manager, owner), &mut held, &mut random, &mut met);
                }
            });
        }
    });
}

/// In whole pages, what is asked for is more than there is, and so the error says.
#[test]
fn what_does_not_fit_in_whole_pages_is_above_the_capacity_as_it_is_told() {
    for (capacity, page) in [
        (64 * PAGE + 17, PAGE),
        (1_000_000, 32 << 10),
        ((1 << 20) + 4095, PAGE),
        (3 * (32 << 10) + 1, 32 << 10),
    ] {
        let builder = MemoryManager::builder().capacity(capacity).page_size(page);
        let owner = builder.build().unwrap().owner("owner").register().unwrap();
        for bytes in [capacity, capacity - 1, capacity / page * page + 1] {
            let refused = [
                owner.allocate(bytes).err(),
                owner.allocate_scattered(bytes).err(),
                owner.acquire_timeout(bytes, Duration::ZERO).err(),
            ];
            for refused in refused.into_iter().flatten() {
                assert_eq!(refused.reason(), Reason::Capacity);
                assert!(refused.refusal().requested_bytes > capacity, "{refused}");
                Met::default().refusal(&refused.to_string());
            }
        }
    }
}

#[test]
fn the_numbers_of_a_refused_configuration_do_not_contradict_each_other() {
    let (mut random, mut met) = (Random::new(11), Met::default());
    for _ in 0..2_000 {
        let capacity = some_bytes(&mut random, &[PAGE, 1 << 20]) % (1 << 62);
        let number = |random: &mut Random| some_bytes(random, &[PAGE, capacity / 2, capacity]);
        let builder = MemoryManager::builder().capacity(capacity).mode(MemoryMode::Heap);
        let builder: MemoryManagerBuilder = match random.below(5) {
            0 => builder.page_size(number(&mut random)),
            1 => {
                let factor = u32::try_from(random.below(1 << 20)).unwrap();
                builder.page_size(PAGE).address_space_factor(factor)
            }
            2 => builder.page_size(PAGE).spill_reserve(number(&mut random)),
            3 => {
                let every = Duration::from_secs(random.below(2) as u64);
                let [above_bytes, down_to_bytes] = [number(&mut random), number(&mut random)];
                let policy = IdleMemory::ReturnInBackground { above_bytes, down_to_bytes, every };
                builder.page_size(PAGE).idle_memory(policy)
            }
            _ => builder.page_size(PAGE),
        };
        if let Err(refused) = builder.build() {
            met.config(&refused.to_string());
        }
    }
    assert!(met.sentences.len() >= 5, "{:?}", met.sentences);
}
