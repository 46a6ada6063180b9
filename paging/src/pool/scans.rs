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

#[derive(Clone, Copy, Default)]
struct Scan {
    /// The unit of the file after what was loaded last.
    next: u32,
    in_a_row: u32,
}

impl Scans {
    /// Notes that the units from `first` to `end` are loaded. Whether the next ones are to be read
    /// with them: then [`read_to`](Self::read_to) says how far.
    pub(crate) fn note(&mut self, first: u32, end: u32) -> bool {
        match self.scans.iter_mut().find(|scan| scan.in_a_row > 0 && scan.next == first) {
            Some(scan) => {
                *scan = Scan { next: end, in_a_row: scan.in_a_row.saturating_add(1) };
                scan.in_a_row > IN_A_ROW
            }
            None => {
                self.scans[self.oldest] = Scan { next: end, in_a_row: 1 };
                self.oldest = (self.oldest + 1) % SCANS;
                false
            }
        }
    }

    /// The scan that was at `end` has read up to `new_end`.
    pub(crate) fn read_to(&mut self, end: u32, new_end: u32) {
        if let Some(scan) = self.scans.iter_mut().find(|scan| scan.next == end) {
            scan.next = new_end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_that_follow_each_other_are_a_scan() {
        let mut scans = Scans::default();
        assert!(!scans.note(10, 11));
        assert!(!scans.note(11, 12));
        assert!(scans.note(12, 13));
        scans.read_to(13, 40);
        assert!(scans.note(40, 41));
        assert!(!scans.note(13, 14), "that was read already");
    }

    #[test]
    fn several_scans_are_told_apart() {
        let mut scans = Scans::default();
        for step in 0..3 {
            for scan in 0..4 {
                let at = scan * 1000 + step;
                assert_eq!(scans.note(at, at + 1), step == 2, "{at}");
            }
        }
    }

    #[test]
    fn loads_here_and_there_are_no_scan() {
        let mut scans = Scans::default();
        assert!((0..100).all(|at| !scans.note(at * 2, at * 2 + 1)));
    }
}
