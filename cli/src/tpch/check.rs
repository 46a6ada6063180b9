//! Whether answers are right. The right ones are computed where rows are made, in other ways: the
//! generator makes orders and their items in the order of their keys.

use super::digest::Digest;
use super::lineitem::Columns;

/// Looks at sorted rows, one after the other.
#[derive(Debug, Default)]
pub struct SortChecker {
    digest: Digest,
    last: Option<(i32, i64)>,
    wrong: Option<String>,
}

/// Looks at groups of an aggregation, in any order.
#[derive(Debug, Default)]
pub struct GroupChecker(Digest);

/// Looks at pairs of a join, in any order.
#[derive(Debug, Default)]
pub struct JoinChecker(Digest);

/// The numbers of a row that an aggregation looks at, each an `i64`: quantity, price, ship date.
pub const NUMBERS: usize = 3;
/// The totals of a group: rows, sum and average of the quantity, sum of the price, first and last
/// ship date. An average is its sum and count.
pub const TOTALS: usize = 7;

impl SortChecker {
    /// Looks at the next row as the sort handed it out.
    pub fn look_at(&mut self, bytes: &[u8]) {
        let number = self.digest.rows + 1;
        self.digest.add(&[bytes]);
        let Some(row) = Columns::decode(bytes) else {
            return self.note(|| format!("row {number} came out garbled"));
        };
        let now = (row.ship_date, row.extended_price);
        let follows = self.last.replace(now).is_none_or(|last| {
            row.ship_date > last.0 || (row.ship_date == last.0 && row.extended_price <= last.1)
        });
        if !follows {
            self.note(|| format!("row {number} is out of order"));
        }
    }

    /// Compares with what went in.
    pub fn verdict(self, expected: &Digest) -> Result<(), String> {
        let (rows, rows_expected) = (self.digest.rows, expected.rows);
        if rows != rows_expected {
            return Err(format!("{rows_expected} rows went in and {rows} came out"));
        }
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        match self.digest == *expected {
            true => Ok(()),
            false => Err(format!("{rows} rows went in, but not those came out")),
        }
    }

    /// Keeps the first thing that is wrong.
    fn note(&mut self, wrong: impl FnOnce() -> String) {
        self.wrong.get_or_insert_with(wrong);
    }
}

/// Adds a group to the digest of all of them.
pub fn add_group(digest: &mut Digest, key: &[u8], totals: &[i128; TOTALS]) {
    let mut bytes = [0; 16 * TOTALS];
    for (place, total) in bytes.chunks_mut(16).zip(totals) {
        place.copy_from_slice(&total.to_le_bytes());
    }
    digest.add(&[key, &bytes]);
}

impl GroupChecker {
    /// Looks at a group as it was handed out.
    pub fn look_at(&mut self, key: &[u8], totals: &[i128; TOTALS]) {
        add_group(&mut self.0, key, totals);
    }

    /// Compares with the groups that there are.
    pub fn verdict(self, expected: &Digest) -> Result<(), String> {
        compare(&self.0, expected, "groups")
    }
}

/// Adds a pair to the digest of all of them.
pub fn add_pair(digest: &mut Digest, key: &[u8], build: &[u8], probe: &[u8]) {
    digest.add(&[key, build, probe]);
}

impl JoinChecker {
    /// Looks at a pair as it was handed out; an inner join hands out no row alone.
    pub fn look_at(&mut self, key: &[u8], build: Option<&[u8]>, probe: &[u8]) {
        match build {
            Some(build) => add_pair(&mut self.0, key, build, probe),
            None => self.0.add(&[key, probe]),
        }
    }

    pub fn rows(&self) -> u64 {
        self.0.rows
    }

    /// Compares with the pairs that there are.
    pub fn verdict(self, expected: &Digest) -> Result<(), String> {
        compare(&self.0, expected, "pairs")
    }
}

fn compare(found: &Digest, expected: &Digest, what: &str) -> Result<(), String> {
    let (rows, rows_expected) = (found.rows, expected.rows);
    if rows != rows_expected {
        return Err(format!("there are {rows_expected} {what} and {rows} came out"));
    }
    match found == expected {
        true => Ok(()),
        false => Err(format!("{rows} {what} came out, but not the right ones")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpchgen::generators::LineItemGenerator;

    fn sorted_rows() -> (Digest, Vec<Vec<u8>>) {
        let mut digest = Digest::default();
        let mut rows = Vec::new();
        for item in LineItemGenerator::new(0.1, 1, 1).iter().take(500) {
            let columns = Columns::of(&item);
            let mut bytes = Vec::new();
            columns.encode(&mut bytes).unwrap();
            digest.add(&[&bytes]);
            rows.push((columns.key().unwrap(), bytes));
        }
        rows.sort();
        (digest, rows.into_iter().map(|(_, bytes)| bytes).collect())
    }

    fn verdict(expected: &Digest, rows: &[Vec<u8>]) -> Result<(), String> {
        let mut checker = SortChecker::default();
        rows.iter().for_each(|row| checker.look_at(row));
        checker.verdict(expected)
    }

    #[test]
    fn sorted_rows_pass() {
        let (digest, rows) = sorted_rows();
        assert_eq!(verdict(&digest, &rows), Ok(()));
    }

    #[test]
    fn every_kind_of_wrong_sort_is_named() {
        let (digest, rows) = sorted_rows();
        let mut swapped = rows.clone();
        swapped.swap(3, 300);
        assert!(verdict(&digest, &swapped).unwrap_err().ends_with("is out of order"));
        assert_eq!(verdict(&digest, &rows[1..]).unwrap_err(), "500 rows went in and 499 came out");
        let not_those = "500 rows went in, but not those came out";
        let mut doubled = rows.clone();
        doubled[7] = doubled[6].clone();
        assert_eq!(verdict(&digest, &doubled).unwrap_err(), not_those);
        let mut touched = rows.clone();
        *touched[9].last_mut().unwrap() ^= 1; // the last letter of a comment
        assert_eq!(verdict(&digest, &touched).unwrap_err(), not_those);
        let mut cut = rows;
        cut[4].pop();
        assert_eq!(verdict(&digest, &cut).unwrap_err(), "row 5 came out garbled");
    }

    #[test]
    fn groups_and_pairs_are_right_in_any_order_or_not_at_all() {
        let groups: Vec<_> = (0..9_u8).map(|key| ([key], [i128::from(key); TOTALS])).collect();
        let verdict = |expected: &Digest, groups: &[([u8; 1], [i128; TOTALS])]| {
            let mut checker = GroupChecker::default();
            groups.iter().for_each(|(key, totals)| checker.look_at(key, totals));
            checker.verdict(expected)
        };
        let mut expected = Digest::default();
        groups.iter().rev().for_each(|(key, totals)| add_group(&mut expected, key, totals));
        assert_eq!(verdict(&expected, &groups), Ok(()));
        let few = verdict(&expected, &groups[1..]).unwrap_err();
        assert_eq!(few, "there are 9 groups and 8 came out");
        let mut touched = groups;
        touched[2].1[6] += 1;
        let wrong = verdict(&expected, &touched).unwrap_err();
        assert_eq!(wrong, "9 groups came out, but not the right ones");

        let mut expected = Digest::default();
        add_pair(&mut expected, b"key", b"order", b"item");
        let verdict = |build, probe| {
            let mut checker = JoinChecker::default();
            checker.look_at(b"key", build, probe);
            checker.verdict(&expected)
        };
        assert_eq!(verdict(Some(b"order"), b"item"), Ok(()));
        assert!(verdict(Some(b"orderi"), b"tem").is_err());
        assert!(verdict(None, b"orderitem").is_err());
    }
}
