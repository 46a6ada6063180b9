//! Tests of the order of eviction, and of what it costs to find out.

use super::*;
use offheap_test_support::Random;

const LISTS: [List; 8] = [
    List::Cold,
    List::Ready,
    List::Fresh,
    List::Probation,
    List::Main,
    List::Dirty,
    List::Parked,
    List::Keep,
];

/// Queues of so many frames that came for the first time, in order.
fn queues(frames: u32) -> Queues {
    let mut queues = Queues::new();
    queues.grow_to(frames);
    (0..frames).for_each(|frame| queues.insert(frame, Came::New));
    queues
}

/// Evicts all that is unused; the order.
fn order(queues: &mut Queues) -> Vec<u32> {
    let mut order = Vec::new();
    while let Some(victim) = queues.next_victim(|_| Look::Unused) {
        let Victim::Clean(frame) = victim else { unreachable!("all are clean") };
        queues.evicted(frame);
        order.push(frame);
    }
    order
}

#[test]
fn what_came_first_goes_first() {
    for frames in [0, 1, 2, 5, 100] {
        let expected: Vec<u32> = (0..frames).collect();
        assert_eq!(order(&mut queues(frames)), expected);
    }
}

#[test]
fn cold_goes_first_and_keep_last() {
    let mut queues = queues(4);
    queues.advise(0, Standing::Keep);
    queues.advise(2, Standing::Cold);
    queues.grow_to(6);
    queues.insert(4, Came::Keep);
    queues.insert(5, Came::Cold);
    assert_eq!(order(&mut queues), [2, 5, 1, 3, 0, 4]);
}

#[test]
fn advice_that_is_taken_back_leaves_no_trace() {
    let mut queues = queues(3);
    for standing in [Standing::Keep, Standing::Cold] {
        for frame in 0..3 {
            queues.advise(frame, standing);
            queues.advise(frame, Standing::Normal);
        }
    }
    assert_eq!(order(&mut queues), [0, 1, 2]);
    // Nothing is there any more, and nothing comes of advice on it.
    queues.advise(0, Standing::Keep);
    assert_eq!(order(&mut queues), [0; 0]);
}

#[test]
fn use_does_not_save_what_is_cold() {
    let mut queues = queues(3);
    queues.advise(1, Standing::Cold);
    queues.advise(2, Standing::Cold);
    let mut is_used = true;
    let look = |frame| match frame {
        1 if std::mem::take(&mut is_used) => Look::Used,
        _ => Look::Unused,
    };
    assert_eq!(queues.next_victim(look), Some(Victim::Clean(1)));
}

#[test]
fn advice_on_what_is_set_aside_is_followed_later() {
    for (standing, expected) in
        [(Standing::Cold, [0, 1, 2]), (Standing::Normal, [1, 0, 2]), (Standing::Keep, [1, 2, 0])]
    {
        let mut queues = queues(3);
        queues.advise(1, Standing::Cold);
        let look = |frame| if frame == 0 { Look::Dirty } else { Look::Pinned };
        assert_eq!(queues.next_victim(look), Some(Victim::Dirty(0)));
        queues.advise(0, standing);
        assert_eq!(queues.lists.list(0), Some(List::Parked));
        queues.cleaned(0);
        queues.lists.move_to(List::Cold, 1);
        queues.lists.move_to(List::Probation, 2);
        assert_eq!(order(&mut queues), expected, "{standing:?}");
    }
}

#[test]
fn a_used_frame_stays_and_the_next_one_goes() {
    let mut queues = queues(3);
    let mut is_used = true;
    let look = |frame| match frame {
        0 if std::mem::take(&mut is_used) => Look::Used,
        _ => Look::Unused,
    };
    assert_eq!(queues.next_victim(look), Some(Victim::Clean(1)));
    assert_eq!(order(&mut queues), [1, 2, 0]);
}

#[test]
fn what_is_used_at_once_after_it_came_is_not_used_by_that() {
    let mut queues = queues(100);
    let fresh = queues.lists.frames(List::Fresh);
    assert_eq!(fresh, [96, 97, 98, 99]);
    let mut is_used = [true; 100];
    let mut look = |frame: u32| match std::mem::take(&mut is_used[frame as usize]) {
        true => Look::Used,
        false => Look::Unused,
    };
    queues.next_victim(&mut look);
    assert_eq!(queues.lists.list(96), Some(List::Probation));
    assert_eq!(queues.lists.list(0), Some(List::Main));
}

#[test]
fn a_clean_frame_goes_before_a_dirty_one() {
    let mut queues = queues(40);
    let look = |frame| if frame == 5 { Look::Unused } else { Look::Dirty };
    assert_eq!(queues.next_victim(look), Some(Victim::Clean(5)));
    queues.evicted(5);
    assert_eq!(queues.next_victim(look), Some(Victim::Dirty(0)));
    queues.cleaned(0);
    let look = |frame| if frame == 0 { Look::Unused } else { Look::Dirty };
    assert_eq!(queues.next_victim(look), Some(Victim::Clean(0)));
}

#[test]
fn dirty_frames_do_not_gather_without_bound() {
    let mut queues = queues(800);
    let is_dirty = |frame: u32| frame.is_multiple_of(2);
    let look = |frame| if is_dirty(frame) { Look::Dirty } else { Look::Unused };
    let mut evicted = 0;
    while let Some(Victim::Clean(frame)) = queues.next_victim(look) {
        assert!(!is_dirty(frame));
        queues.evicted(frame);
        evicted += 1;
    }
    assert!(evicted <= 66, "{evicted} clean frames went before the first dirty one");
}

#[test]
fn what_is_written_together_is_what_goes_next() {
    let mut queues = queues(1000);
    assert_eq!(queues.next_victim(|_| Look::Dirty), Some(Victim::Dirty(0)));
    let batch: Vec<u32> = (1..32).filter_map(|_| queues.next_dirty(|_| Look::Dirty, 64)).collect();
    let expected: Vec<u32> = (1..32).collect();
    assert_eq!(batch, expected);
    queues.cleaned(7);
    let look = |frame| if frame == 7 { Look::Unused } else { Look::Pinned };
    assert_eq!(queues.next_victim(look), Some(Victim::Clean(7)));
}

#[test]
fn looking_for_more_to_write_disturbs_few_frames() {
    let mut queues = queues(3200);
    let mut looks = 0;
    for _ in 0..1000 {
        let look = |_| {
            looks += 1;
            Look::Unused
        };
        assert_eq!(queues.next_dirty(look, 64), None);
    }
    assert!(queues.lists.count(List::Ready) <= 3200 / READY_SHARE + 1);
    assert!(looks < 500, "{looks} looks");
}

#[test]
fn pinned_frames_are_passed_by_and_found_again() {
    let mut queues = queues(3);
    let look = |frame| if frame == 1 { Look::Unused } else { Look::Pinned };
    assert_eq!(queues.next_victim(look), Some(Victim::Clean(1)));
    assert_eq!(queues.next_victim(|_| Look::Pinned), None);
    assert_eq!(order(&mut queues).len(), 3);
}

#[test]
fn frames_that_stay_pinned_cost_little() {
    let frames = 10_000;
    let mut queues = queues(frames);
    let mut looks = 0;
    let calls = 5000;
    for _ in 0..calls {
        let look = |frame: u32| {
            looks += 1;
            if frame.is_multiple_of(100) { Look::Unused } else { Look::Pinned }
        };
        let Some(Victim::Clean(frame)) = queues.next_victim(look) else { unreachable!() };
        queues.evicted(frame);
        queues.insert(frame, Came::New);
    }
    assert!(looks <= frames + 4 * calls, "{looks} looks in {calls} calls");
}

#[test]
fn frames_that_are_not_pinned_any_more_come_back_by_and_by() {
    let mut queues = queues(100);
    let look = |queues: &mut Queues, pinned: u32| {
        let look = |frame| if frame < pinned { Look::Pinned } else { Look::Unused };
        let Some(Victim::Clean(frame)) = queues.next_victim(look) else { unreachable!() };
        queues.evicted(frame);
        queues.insert(frame, Came::New);
        frame
    };
    look(&mut queues, 40);
    assert_eq!(queues.lists.count(List::Parked), 40);
    let victims: Vec<u32> = (0..40).map(|_| look(&mut queues, 0)).collect();
    let expected: Vec<u32> = (0..40).collect();
    assert_eq!(victims, expected);
}

#[test]
fn what_is_to_be_kept_goes_without_looks_at_all_that_is_pinned() {
    let (frames, kept) = (10_000, 5000);
    let mut queues = queues(frames);
    (0..kept).for_each(|frame| queues.advise(frame, Standing::Keep));
    let mut looks = 0;
    for _ in 0..kept {
        let look = |frame: u32| {
            looks += 1;
            if frame < kept { Look::Unused } else { Look::Pinned }
        };
        let Some(Victim::Clean(frame)) = queues.next_victim(look) else { unreachable!() };
        queues.evicted(frame);
    }
    assert!(looks < 20 * kept, "{looks} looks");
}

#[test]
fn a_call_does_not_go_round_while_all_frames_are_used() {
    let frames = 100_000;
    let mut queues = queues(frames);
    let mut is_used = vec![true; frames as usize];
    for _ in 0..50 {
        let mut looks = 0;
        let look = |frame: u32| {
            looks += 1;
            if std::mem::take(&mut is_used[frame as usize]) { Look::Used } else { Look::Unused }
        };
        assert!(matches!(queues.next_victim(look), Some(Victim::Clean(_))));
        assert!(looks < 1200, "{looks} looks");
    }
}

#[test]
fn a_page_that_comes_back_soon_is_in_the_main_list() {
    let mut queues = queues(20);
    let stamp = queues.evicted(0);
    let stamp = Stamp::from_bits(stamp.into_bits());
    queues.insert(0, Came::Back(stamp));
    assert_eq!(queues.lists.list(0), Some(List::Main));
    // What the main list lost is on probation again.
    let stamp = queues.evicted(0);
    queues.insert(0, Came::Back(stamp));
    assert_ne!(queues.lists.list(0), Some(List::Main));
    // And so is what comes back late: 20 frames, half as much again.
    for (evictions, is_soon) in [(30, true), (31, false)] {
        let stamp = queues.evicted(1);
        queues.insert(1, Came::New);
        for _ in 0..evictions {
            queues.insert(1, Came::New);
            queues.evicted(1);
        }
        queues.insert(1, Came::New);
        queues.insert(2, Came::Back(stamp));
        assert_eq!(queues.lists.list(2) == Some(List::Main), is_soon, "{evictions}");
    }
}

#[test]
fn stamps_are_told_apart_when_the_count_wraps() {
    let mut queues = queues(20);
    queues.failed = Stamp::MAIN - 2;
    let stamps = [0, 1, 2].map(|frame| queues.evicted(frame));
    assert_eq!(stamps.map(Stamp::into_bits), [Stamp::MAIN - 1, 0, 1]);
    for (frame, stamp) in stamps.into_iter().enumerate() {
        queues.insert(u32::try_from(frame).unwrap_or_default(), Came::Back(stamp));
    }
    assert_eq!(queues.lists.frames(List::Main), [0, 1, 2]);
}

/// What a model knows of a frame.
#[derive(Clone, Copy, Default)]
struct Frame {
    is_in: bool,
    is_used: bool,
    is_pinned: bool,
    is_dirty: bool,
    looks: u32,
}

impl Frame {
    fn look(&mut self) -> Look {
        self.looks += 1;
        match self {
            Self { is_pinned: true, .. } => Look::Pinned,
            Self { is_used: true, .. } => {
                self.is_used = false;
                Look::Used
            }
            Self { is_dirty: true, .. } => Look::Dirty,
            _ => Look::Unused,
        }
    }
}

/// Whether each list goes from its first frame to its last, and each frame is in one of them if it
/// is in at all.
fn is_whole(queues: &Queues, frames: &[Frame]) -> bool {
    let mut seen = vec![false; frames.len()];
    for list in LISTS {
        let found = queues.lists.frames(list);
        if found.len() != queues.lists.count(list) as usize {
            return false;
        }
        for frame in found {
            let frame = frame as usize;
            let list_of = queues.lists.list(u32::try_from(frame).unwrap_or(u32::MAX));
            if std::mem::replace(&mut seen[frame], true) || list_of != Some(list) {
                return false;
            }
        }
    }
    seen.iter().zip(frames).all(|(seen, frame)| *seen == frame.is_in)
}

/// Whether `victim` is due by what the model knows.
fn is_due(queues: &mut Queues, frames: &[Frame], victim: Option<Victim>) -> bool {
    let can_go = |frame: &Frame| frame.is_in && !frame.is_pinned;
    let Some(victim) = victim else { return !frames.iter().any(can_go) };
    let (Victim::Clean(frame) | Victim::Dirty(frame)) = victim;
    let victim_frame = frames[frame as usize];
    let is_fit =
        can_go(&victim_frame) && victim_frame.is_dirty == matches!(victim, Victim::Dirty(_));
    let standing = queues.lists.note(frame).standing;
    // Where a frame is parked, it may be that nobody looked at it since.
    let waits = |queues: &mut Queues, other: Standing| {
        (0..u32::try_from(frames.len()).unwrap_or(u32::MAX)).any(|it| {
            it != frame
                && can_go(&frames[it as usize])
                && queues.lists.list(it) != Some(List::Parked)
                && queues.lists.note(it).standing == other
                && !frames[it as usize].is_dirty
        })
    };
    let is_first = standing == Standing::Cold || !waits(queues, Standing::Cold);
    let is_last = standing != Standing::Keep || !waits(queues, Standing::Normal);
    is_fit && is_first && is_last
}

/// The lists, with what the model knows of their frames.
fn told(queues: &mut Queues, frames: &[Frame]) -> String {
    let mut told = String::new();
    for list in LISTS {
        told += &format!("\n{list:?}:");
        for frame in queues.lists.frames(list) {
            let Frame { is_used, is_pinned, is_dirty, .. } = frames[frame as usize];
            let marks = [(is_used, "u"), (is_pinned, "p"), (is_dirty, "d")];
            let marks = marks.map(|(is, mark)| if is { mark } else { "" }).concat();
            told += &format!(" {frame}{marks}{:?}", queues.lists.note(frame).standing);
        }
    }
    told
}

/// A random step, on queues and model alike.
fn step(queues: &mut Queues, frames: &mut [Frame], stamps: &mut [Stamp], random: &mut Random) {
    let at = random.below(frames.len());
    let number = u32::try_from(at).unwrap_or(u32::MAX);
    match random.below(16) {
        0..5 if !frames[at].is_in => {
            let came = match random.below(8) {
                0 => Came::Cold,
                1 => Came::Keep,
                2..5 => Came::Back(stamps[at]),
                _ => Came::New,
            };
            queues.insert(number, came);
            frames[at] = Frame { is_in: true, is_dirty: random.chance(), ..Frame::default() };
        }
        0 => {
            queues.remove(number);
            frames[at].is_in = false;
        }
        1..7 => frames[at].is_used = true,
        7 => frames[at].is_pinned ^= true,
        8 => frames[at].is_dirty = true,
        9 => queues.advise(
            number,
            [Standing::Keep, Standing::Cold, Standing::Normal, Standing::Normal][random.below(4)],
        ),
        10 => {
            if let Some(frame) = queues.next_dirty(|frame| frames[frame as usize].look(), 64) {
                let written = &mut frames[frame as usize];
                assert!(written.is_in && written.is_dirty && !written.is_pinned);
                written.is_dirty = false;
                queues.cleaned(frame);
            }
        }
        _ => {
            frames.iter_mut().for_each(|frame| frame.looks = 0);
            let victim = queues.next_victim(|frame| frames[frame as usize].look());
            assert!(is_due(queues, frames, victim), "{victim:?}: {}", told(queues, frames));
            let most = frames.iter().map(|frame| frame.looks).max();
            assert!(most <= Some(8), "{most:?} looks at a frame");
            match victim {
                Some(Victim::Clean(frame)) => {
                    stamps[frame as usize] = queues.evicted(frame);
                    frames[frame as usize].is_in = false;
                }
                Some(Victim::Dirty(frame)) if random.chance() => {
                    frames[frame as usize].is_dirty = false;
                    queues.cleaned(frame);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn every_frame_is_in_one_list_and_what_goes_is_due() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let count = 1 + random.below(if seed % 4 == 0 { 200 } else { 20 });
        let mut queues = Queues::new();
        queues.grow_to(u32::try_from(count).unwrap_or(u32::MAX));
        let mut frames = vec![Frame::default(); count];
        let mut stamps = vec![Stamp::from_bits(Stamp::MAIN); count];
        for _ in 0..600 {
            step(&mut queues, &mut frames, &mut stamps, &mut random);
            assert!(is_whole(&queues, &frames), "seed {seed}: {queues:?}");
        }
    }
}
