//! The state of a page as a pure value: pins, phase and flags in one word.
//!
//! ```text
//! bit 0      20      23      24        25        26     27     28       40      64
//!     | pins | phase | DIRTY | COPYING | WRITING | DEAD | USED | unused | uses |
//! ```
//!
//! A turn is what one thread at a time has with an entry: it loads, evicts or writes. An entry is
//! in a turn while its phase is `Loading` or `Evicting`, or `WRITING` is set.

use super::outcome::{Death, Dirty, Kept, LoadTurn, Publish, Written};

const PINS_BITS: u32 = 20;
const PINS: u64 = (1 << PINS_BITS) - 1;
const PHASE_SHIFT: u32 = PINS_BITS;
const PHASE: u64 = 0b111 << PHASE_SHIFT;
const WRITING: u64 = 1 << 25;
const DEAD: u64 = 1 << 26;
const USES_SHIFT: u32 = 40;

/// One pin.
pub(super) const PIN: u64 = 1;
/// One use, and wraps out at the top.
pub(super) const USE: u64 = 1 << USES_SHIFT;
pub(super) const USES: u64 = u64::MAX << USES_SHIFT;
pub(super) const DIRTY: u64 = 1 << 23;
pub(super) const COPYING: u64 = 1 << 24;
pub(super) const USED: u64 = 1 << 27;

/// With so many pins there is no other one. As many threads again may try at once.
pub(super) const PINS_MAX: u64 = 1 << (PINS_BITS - 1);

const _: () = assert!(PIN << PINS_BITS == 1 << PHASE_SHIFT, "the pins end where the phase begins");
const _: () = assert!(PHASE & DIRTY == 0 && PHASE << 1 & DIRTY == DIRTY);

/// Where the content of a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The entry has no page.
    Vacant,
    /// In its slot.
    Spilled,
    /// In its slot, and on its way to a frame.
    Loading,
    /// In its frame.
    Resident,
    /// In its frame and its slot, and the frame is about to go.
    Evicting,
}

/// The word of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(u64);

impl Word {
    /// An entry without a page.
    pub const VACANT: Self = Self(0);

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn into_bits(self) -> u64 {
        self.0
    }

    /// How many have it pinned, or are about to find out that they cannot.
    #[must_use]
    pub const fn pins(self) -> u64 {
        self.0 & PINS
    }

    /// Where the content is.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match (self.0 & PHASE) >> PHASE_SHIFT {
            0 => Phase::Vacant,
            1 => Phase::Spilled,
            2 => Phase::Loading,
            3 => Phase::Resident,
            _ => Phase::Evicting,
        }
    }

    /// Whether it has to be written before its frame goes.
    #[must_use]
    pub const fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    /// Whether its content is being copied, so that nobody may change it.
    #[must_use]
    pub const fn is_copying(self) -> bool {
        self.0 & COPYING != 0
    }

    /// Whether it is being written.
    #[must_use]
    pub const fn is_writing(self) -> bool {
        self.0 & WRITING != 0
    }

    /// Whether it was dropped, and is to be cleaned up by the thread that has a turn with it.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        self.0 & DEAD != 0
    }

    /// Whether it was read in an epoch since that was last asked.
    #[must_use]
    pub const fn is_used(self) -> bool {
        self.0 & USED != 0
    }

    /// How often it was pinned, modulo 2^24.
    #[must_use]
    pub const fn uses(self) -> u32 {
        // The upper 24 bits of 64 are less than 2^32.
        #[allow(clippy::cast_possible_truncation, reason = "see above")]
        let uses = (self.0 >> USES_SHIFT) as u32;
        uses
    }

    /// Whether it is resident.
    #[must_use]
    pub const fn is_resident(self) -> bool {
        self.0 & PHASE == Self::bits_of(Phase::Resident)
    }

    /// Whether one pin more is good: it is resident and there are not too many.
    pub(super) const fn is_pinnable(self) -> bool {
        self.0 & (PHASE | PINS_MAX) == Self::bits_of(Phase::Resident)
    }

    /// Whether a thread has a turn with it.
    const fn is_in_turn(self) -> bool {
        matches!(self.phase(), Phase::Loading | Phase::Evicting)
            || self.0 & (COPYING | WRITING) != 0
    }

    const fn bits_of(phase: Phase) -> u64 {
        (phase as u64) << PHASE_SHIFT
    }

    const fn at(self, phase: Phase) -> Self {
        Self(self.0 & !PHASE | Self::bits_of(phase))
    }

    const fn with(self, flags: u64) -> Self {
        Self(self.0 | flags)
    }

    const fn without(self, flags: u64) -> Self {
        Self(self.0 & !flags)
    }

    const fn dirtied(self, dirty: bool) -> Self {
        if dirty { self.with(DIRTY) } else { self }
    }

    /// A vacant entry gets a page that is in a frame.
    pub(super) fn made_resident(self, dirty: Dirty) -> Option<Self> {
        let is_vacant = self.phase() == Phase::Vacant;
        is_vacant.then(|| self.at(Phase::Resident).dirtied(dirty == Dirty::Yes))
    }

    /// A spilled page is loaded, by the caller.
    pub(super) fn loading(self) -> Result<Self, LoadTurn> {
        match self.phase() {
            _ if self.is_dead() => Err(LoadTurn::Gone),
            Phase::Spilled => Ok(self.at(Phase::Loading)),
            Phase::Loading => Err(LoadTurn::Loading),
            Phase::Resident => Err(LoadTurn::Resident),
            Phase::Evicting => Err(LoadTurn::Evicting),
            Phase::Vacant => Err(LoadTurn::Gone),
        }
    }

    /// A page that was being loaded is there. If it is dead, nobody gets a pin.
    pub(super) fn published(self, publish: Publish) -> Option<Self> {
        let pins = if publish.pin && !self.is_dead() { PIN } else { 0 };
        let resident = self.at(Phase::Resident).dirtied(publish.dirty);
        (self.phase() == Phase::Loading).then(|| Self(resident.0 + pins))
    }

    /// A page that was being loaded is still spilled.
    pub(super) fn load_failed(self) -> Option<Self> {
        (self.phase() == Phase::Loading).then(|| self.at(Phase::Spilled))
    }

    /// The frame of a resident page that nobody needs there is about to go.
    pub(super) fn evicting(self) -> Result<Self, Kept> {
        self.unpinned()?;
        if self.is_dirty() { Err(Kept::Dirty) } else { Ok(self.at(Phase::Evicting)) }
    }

    /// The frame stays after all.
    pub(super) fn eviction_cancelled(self) -> Option<Self> {
        (self.phase() == Phase::Evicting).then(|| self.at(Phase::Resident))
    }

    /// The frame is gone.
    pub(super) fn evicted(self) -> Option<Self> {
        (self.phase() == Phase::Evicting).then(|| self.at(Phase::Spilled).without(USED))
    }

    /// The content of a dirty page is copied, and then written.
    pub(super) fn writing(self) -> Result<Self, Kept> {
        self.unpinned()?;
        let writing = self.without(DIRTY).with(COPYING | WRITING);
        if self.is_dirty() { Ok(writing) } else { Err(Kept::Clean) }
    }

    /// A write is over: the page is clean, unless it was dirtied again.
    pub(super) fn written(self, written: Written) -> Option<Self> {
        let over = self.is_writing() && !self.is_copying();
        over.then(|| self.without(WRITING).dirtied(written == Written::No))
    }

    /// The page is dropped. What pins it still has are of guards that were forgotten.
    pub(super) fn died(self) -> Option<(Self, Death)> {
        let death = match self.phase() {
            Phase::Vacant => return None,
            _ if self.is_dead() => return None,
            _ if self.is_in_turn() => return Some((self.with(DEAD).without(PINS), Death::Later)),
            Phase::Spilled => Death::Spilled,
            Phase::Loading | Phase::Resident | Phase::Evicting => Death::Resident,
        };
        Some((self.vacated(), death))
    }

    /// What is left of a dead page was cleaned up.
    pub(super) fn buried(self) -> Option<Self> {
        (self.is_dead() && !self.is_in_turn()).then(|| self.vacated())
    }

    /// Only the uses go on, as they are counted by differences.
    const fn vacated(self) -> Self {
        Self(self.0 & (u64::MAX << USES_SHIFT))
    }

    fn unpinned(self) -> Result<(), Kept> {
        match self.phase() {
            _ if self.is_dead() => Err(Kept::Gone),
            Phase::Vacant | Phase::Spilled | Phase::Loading | Phase::Evicting => Err(Kept::Gone),
            Phase::Resident if self.pins() > 0 => Err(Kept::Pinned),
            Phase::Resident if self.is_in_turn() => Err(Kept::Writing),
            Phase::Resident => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 5] =
        [Phase::Vacant, Phase::Spilled, Phase::Loading, Phase::Resident, Phase::Evicting];
    const FLAGS: u64 = DIRTY | COPYING | WRITING | DEAD | USED;

    /// Every phase with every set of flags, and pins and uses at every boundary.
    fn all() -> impl Iterator<Item = Word> {
        let pins = [0, 1, 2, PINS_MAX - 1, PINS_MAX, PINS - 1];
        let uses = [0, 1, (1 << 24) - 1];
        let flags = (0..32_u64).map(|flags| flags << 23);
        flags.flat_map(move |flags| {
            PHASES.into_iter().flat_map(move |phase| {
                pins.into_iter().flat_map(move |pins| {
                    uses.map(|uses: u64| Word(pins | uses << USES_SHIFT | flags).at(phase))
                })
            })
        })
    }

    /// What a word says, in words of its own.
    fn flags(word: Word) -> [bool; 5] {
        let Word(bits) = word;
        [23, 24, 25, 26, 27].map(|bit| bits >> bit & 1 == 1)
    }

    /// `word` with another phase, and with flags that are set and taken away; its pins and uses
    /// stay.
    fn expected(word: Word, phase: Phase, set: u64, clear: u64) -> Word {
        let next = Word(word.0 & !clear & !PHASE | set | (phase as u64) << 20);
        assert_eq!((next.pins(), next.uses()), (word.pins(), word.uses()));
        next
    }

    #[test]
    fn the_parts_of_a_word_are_apart() {
        let parts = [PINS, PHASE, DIRTY, COPYING, WRITING, DEAD, USED, u64::MAX << USES_SHIFT];
        let sum: u128 = parts.into_iter().map(u128::from).sum();
        let union = parts.into_iter().fold(0, |union, part| union | part);
        assert_eq!(sum, u128::from(union));
        assert_eq!(union, !0xfff_u64.wrapping_shl(28));
        for (number, phase) in PHASES.into_iter().enumerate() {
            assert_eq!(Word((number as u64) << 20).phase(), phase);
        }
        for word in all() {
            let [dirty, copying, writing, dead, used] = flags(word);
            assert_eq!(word.is_dirty(), dirty);
            assert_eq!(word.is_copying(), copying);
            assert_eq!(word.is_writing(), writing);
            assert_eq!(word.is_dead(), dead);
            assert_eq!(word.is_used(), used);
            assert_eq!(word.pins(), word.0 % (1 << 20));
            assert_eq!(u64::from(word.uses()), word.0 >> 40);
        }
    }

    #[test]
    fn a_pin_is_good_where_the_page_is_resident_and_there_is_room() {
        for word in all() {
            let is_resident = word.phase() == Phase::Resident;
            assert_eq!(word.is_resident(), is_resident);
            assert_eq!(word.is_pinnable(), is_resident && word.pins() < PINS_MAX);
        }
    }

    #[test]
    fn uses_wrap_out_at_the_top() {
        let last = Word(((1 << 24) - 1) << 40 | 7);
        assert_eq!(Word(last.0.wrapping_add(USE)), Word(7));
    }

    #[test]
    fn a_vacant_entry_gets_a_page() {
        for word in all() {
            for (dirty, set) in [(Dirty::Yes, DIRTY), (Dirty::No, 0)] {
                let next = expected(word, Phase::Resident, set, 0);
                let made = (word.phase() == Phase::Vacant).then_some(next);
                assert_eq!(word.made_resident(dirty), made);
            }
        }
    }

    #[test]
    fn a_load_begins_at_a_spilled_page_and_ends_resident_or_spilled() {
        for word in all() {
            let begun = match word.phase() {
                _ if word.is_dead() => Err(LoadTurn::Gone),
                Phase::Vacant => Err(LoadTurn::Gone),
                Phase::Spilled => Ok(expected(word, Phase::Loading, 0, 0)),
                Phase::Loading => Err(LoadTurn::Loading),
                Phase::Resident => Err(LoadTurn::Resident),
                Phase::Evicting => Err(LoadTurn::Evicting),
            };
            assert_eq!(word.loading(), begun);
            let is_loading = word.phase() == Phase::Loading;
            let failed = is_loading.then(|| expected(word, Phase::Spilled, 0, 0));
            assert_eq!(word.load_failed(), failed);
            for (pin, dirty) in [(false, false), (false, true), (true, false), (true, true)] {
                let next = expected(word, Phase::Resident, if dirty { DIRTY } else { 0 }, 0);
                let pins = u64::from(pin && !word.is_dead());
                let published = is_loading.then_some(Word(next.0 + pins));
                assert_eq!(word.published(Publish { pin, dirty }), published);
            }
        }
    }

    /// Why a word lets no turn begin that needs a resident page.
    fn reason(word: Word) -> Option<Kept> {
        let [_, copying, writing, dead, _] = flags(word);
        match word.phase() {
            Phase::Resident if dead => Some(Kept::Gone),
            Phase::Resident if word.pins() != 0 => Some(Kept::Pinned),
            Phase::Resident if copying || writing => Some(Kept::Writing),
            Phase::Resident => None,
            _ => Some(Kept::Gone),
        }
    }

    #[test]
    fn what_is_evicted_is_clean_and_in_nobodys_hands() {
        for word in all() {
            let kept = reason(word).or(word.is_dirty().then_some(Kept::Dirty));
            let begun = kept.map_or_else(|| Ok(expected(word, Phase::Evicting, 0, 0)), Err);
            assert_eq!(word.evicting(), begun);
            let is_evicting = word.phase() == Phase::Evicting;
            let cancelled = is_evicting.then(|| expected(word, Phase::Resident, 0, 0));
            assert_eq!(word.eviction_cancelled(), cancelled);
            let evicted = is_evicting.then(|| expected(word, Phase::Spilled, 0, USED));
            assert_eq!(word.evicted(), evicted);
        }
    }

    #[test]
    fn what_is_written_is_dirty_and_in_nobodys_hands() {
        for word in all() {
            let kept = reason(word).or((!word.is_dirty()).then_some(Kept::Clean));
            let set = COPYING | WRITING;
            let begun = kept.map_or_else(|| Ok(expected(word, word.phase(), set, DIRTY)), Err);
            assert_eq!(word.writing(), begun);
            let is_over = word.is_writing() && !word.is_copying();
            for (written, set) in [(Written::Yes, 0), (Written::No, DIRTY)] {
                let next = is_over.then(|| expected(word, word.phase(), set, WRITING));
                assert_eq!(word.written(written), next);
            }
        }
    }

    #[test]
    fn a_page_dies_at_once_or_with_the_end_of_a_turn() {
        for word in all() {
            let [_, copying, writing, dead, _] = flags(word);
            let vacant = Word(word.0 >> 40 << 40);
            let later = Word(word.0 & !PINS | DEAD);
            let died = match word.phase() {
                Phase::Vacant => None,
                _ if dead => None,
                Phase::Loading | Phase::Evicting => Some((later, Death::Later)),
                _ if copying || writing => Some((later, Death::Later)),
                Phase::Spilled => Some((vacant, Death::Spilled)),
                Phase::Resident => Some((vacant, Death::Resident)),
            };
            assert_eq!(word.died(), died);
            assert_eq!((vacant.0 & (FLAGS | PINS | PHASE), vacant.uses()), (0, word.uses()));
            let in_turn =
                copying || writing || matches!(word.phase(), Phase::Loading | Phase::Evicting);
            assert_eq!(word.buried(), (dead && !in_turn).then_some(vacant));
        }
    }
}
