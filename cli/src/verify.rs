//! Whether the rows that came out are those that went in, and in order.

use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::rows::Columns;

/// What a set of rows has in common with itself in any other order: their number, and the sum of
/// the 128-bit hashes of all their columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Digest {
    pub rows: u64,
    checksum: u128,
}

impl Digest {
    pub fn add(&mut self, row: &Columns<'_>) {
        let mut hasher = SipHasher13::new();
        row.hash(&mut hasher);
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(u128::from(hasher.finish128()));
    }
}

/// Looks at sorted rows, one after the other.
#[derive(Debug, Default)]
pub struct Checker {
    digest: Digest,
    last: Option<(i32, i64)>,
    wrong: Option<String>,
}

impl Checker {
    /// Looks at the next row as the sort handed it out.
    pub fn look_at(&mut self, bytes: &[u8]) {
        let number = self.digest.rows + 1;
        let Some(row) = Columns::decode(bytes) else {
            self.digest.rows += 1;
            self.note(|| format!("row {number} came out garbled"));
            return;
        };
        let now = (row.ship_date, row.extended_price);
        let follows = self.last.replace(now).is_none_or(|last| {
            row.ship_date > last.0 || (row.ship_date == last.0 && row.extended_price <= last.1)
        });
        if !follows {
            self.note(|| format!("row {number} is out of order"));
        }
        self.digest.add(&row);
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

#[cfg(test)]
mod tests {
    use super::*;
    use tpchgen::generators::LineItemGenerator;

    fn sorted_rows() -> (Digest, Vec<Vec<u8>>) {
        let mut digest = Digest::default();
        let mut rows = Vec::new();
        for item in LineItemGenerator::new(0.1, 1, 1).iter().take(500) {
            let columns = Columns::of(&item);
            digest.add(&columns);
            let mut bytes = Vec::new();
            columns.encode(&mut bytes).unwrap();
            rows.push((columns.key().unwrap(), bytes));
        }
        rows.sort();
        (digest, rows.into_iter().map(|(_, bytes)| bytes).collect())
    }

    fn verdict(expected: &Digest, rows: &[Vec<u8>]) -> Result<(), String> {
        let mut checker = Checker::default();
        rows.iter().for_each(|row| checker.look_at(row));
        checker.verdict(expected)
    }

    #[test]
    fn sorted_rows_pass() {
        let (digest, rows) = sorted_rows();
        assert_eq!(verdict(&digest, &rows), Ok(()));
    }

    #[test]
    fn every_kind_of_wrong_answer_is_named() {
        let (digest, rows) = sorted_rows();
        let mut swapped = rows.clone();
        swapped.swap(3, 300);
        assert!(verdict(&digest, &swapped).unwrap_err().ends_with("is out of order"));
        assert_eq!(verdict(&digest, &rows[1..]).unwrap_err(), "500 rows went in and 499 came out");
        let mut doubled = rows.clone();
        doubled[7] = doubled[6].clone();
        assert_eq!(
            verdict(&digest, &doubled).unwrap_err(),
            "500 rows went in, but not those came out"
        );
        let mut touched = rows.clone();
        *touched[9].last_mut().unwrap() ^= 1; // the last letter of a comment
        assert!(verdict(&digest, &touched).is_err());
        let mut cut = rows;
        cut[4].pop();
        assert_eq!(verdict(&digest, &cut).unwrap_err(), "row 5 came out garbled");
    }
}
