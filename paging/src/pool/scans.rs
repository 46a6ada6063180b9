//! Which loads follow each other in the file, so that the next ones are read with them.

/// Scans that are followed at a time.
const SCANS: usize = 4;
/// So many loads in a row are a scan.
const IN_A_ROW: u32 = 2;

/// Scans under way.
#[derive(Default)]
pub(crate) struct Scans {
    scans: [Scan; SCANS],
    /// The one that is forgotten next.
    oldest: usize,
}

/// ```text
/// units:  | loaded ... | from ..... | next | ............ asked_to |
///                      | loaded     | not, | asked for in the
///                      | ahead      | yet  | background
/// ```
#[derive(Clone, Copy, Default)]
struct Scan {
    /// The first unit that was loaded ahead.
    from: u32,
    /// The unit after those. It is loaded when it is read, which tells how far the scan is.
    next: u32,
    /// The unit after those that were asked for; `next` if none was.
    asked_to: u32,
    in_a_row: u32,
}

/// What is to be done with a load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Follows {
    /// It follows none.
    None,
    /// It is part of a scan, of which nothing is loaded ahead.
    Scan,
    /// What follows it was asked for in the background, up to this unit.
    Ahead(u32),
    /// It should have been loaded ahead, with what follows up to this unit.
    Late(u32),
}

impl Scans {
    /// Notes that the units from `first` to `end` are loaded.
    pub(crate) fn note(&mut self, first: u32, end: u32) -> Follows {
        if let Some(scan) = self.scans.iter_mut().find(|scan| scan.is_at(first)) {
            let was_asked = scan.asked_to > end;
            scan.in_a_row = scan.in_a_row.saturating_add(1);
            (scan.from, scan.next) = (end, if was_asked { scan.asked_to } else { end });
            scan.asked_to = scan.next;
            return match scan.in_a_row > IN_A_ROW {
                true if was_asked => Follows::Ahead(scan.next),
                true => Follows::Scan,
                false => Follows::None,
            };
        }
        let mut scans = self.scans.iter_mut();
        if let Some(scan) = scans.find(|scan| scan.in_a_row > 0 && scan.has_within(first)) {
            // Once for each that was asked for: what comes later need not be of the scan.
            scan.from = scan.next;
            return Follows::Late(scan.next);
        }
        let new = Scan { from: end, next: end, asked_to: end, in_a_row: 1 };
        self.scans[self.oldest] = new;
        self.oldest = (self.oldest + 1) % SCANS;
        Follows::None
    }

    /// The scan that was at `end` is loaded up to `next`, and what follows up to `asked_to` will
    /// be.
    pub(crate) fn read_to(&mut self, end: u32, next: u32, asked_to: u32) {
        if let Some(scan) = self.scans.iter_mut().find(|scan| scan.is_at(end)) {
            (scan.next, scan.asked_to) = (next, asked_to);
        }
    }
}

impl Scan {
    fn is_at(&self, unit: u32) -> bool {
        self.in_a_row > 0 && self.next == unit
    }

    fn has_within(&self, unit: u32) -> bool {
        (self.from..self.next).contains(&unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_that_follow_each_other_are_a_scan() {
        let mut scans = Scans::default();
        assert_eq!(scans.note(10, 11), Follows::None);
        assert_eq!(scans.note(11, 12), Follows::None);
        assert_eq!(scans.note(12, 13), Follows::Scan);
        scans.read_to(13, 40, 40);
        assert_eq!(scans.note(40, 41), Follows::Scan);
        assert_eq!(scans.note(13, 14), Follows::None, "that was read already");
    }

    #[test]
    fn what_was_asked_for_ahead_is_not_read_twice() {
        let mut scans = Scans::default();
        for unit in 10..13 {
            scans.note(unit, unit + 1);
        }
        scans.read_to(13, 20, 30);
        assert_eq!(scans.note(20, 21), Follows::Ahead(30));
        scans.read_to(30, 30, 40);
        assert_eq!(scans.note(25, 26), Follows::Late(30), "it was not there in time");
        assert_eq!(scans.note(23, 24), Follows::None, "that is read once");
        assert_eq!(scans.note(30, 31), Follows::Ahead(40));
        // Nothing more was asked for.
        assert_eq!(scans.note(40, 41), Follows::Scan);
    }

    #[test]
    fn several_scans_are_told_apart() {
        let mut scans = Scans::default();
        for step in 0..3 {
            for scan in 0..4 {
                let at = scan * 1000 + step;
                let is_scan = scans.note(at, at + 1) == Follows::Scan;
                assert_eq!(is_scan, step == 2, "{at}");
            }
        }
    }

    #[test]
    fn loads_here_and_there_are_no_scan() {
        let mut scans = Scans::default();
        assert!((0..100).all(|at| scans.note(at * 2, at * 2 + 1) == Follows::None));
    }
}
