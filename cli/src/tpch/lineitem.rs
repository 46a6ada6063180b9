//! A row of `lineitem`: its columns, its bytes, and the key that orders it.

use tpchgen::generators::LineItem;

/// All columns of a row. Prices and rates are in hundredths, dates in days since 1992-01-01.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Columns<'a> {
    pub order_key: i64,
    pub part_key: i64,
    pub supplier_key: i64,
    pub line_number: i32,
    pub quantity: i64,
    pub extended_price: i64,
    pub discount: i64,
    pub tax: i64,
    pub return_flag: &'a str,
    pub line_status: &'a str,
    pub ship_date: i32,
    pub commit_date: i32,
    pub receipt_date: i32,
    pub ship_instruct: &'a str,
    pub ship_mode: &'a str,
    pub comment: &'a str,
}

/// The bytes of a key.
pub const KEY_BYTES: usize = 8;

impl<'a> Columns<'a> {
    /// The columns as the generator made them.
    pub fn of(item: &LineItem<'a>) -> Self {
        Self {
            order_key: item.l_orderkey,
            part_key: item.l_partkey,
            supplier_key: item.l_suppkey,
            line_number: item.l_linenumber,
            quantity: item.l_quantity,
            extended_price: item.l_extendedprice.into_inner(),
            discount: item.l_discount.into_inner(),
            tax: item.l_tax.into_inner(),
            return_flag: item.l_returnflag,
            line_status: item.l_linestatus,
            ship_date: item.l_shipdate.into_inner(),
            commit_date: item.l_commitdate.into_inner(),
            receipt_date: item.l_receiptdate.into_inner(),
            ship_instruct: item.l_shipinstruct,
            ship_mode: item.l_shipmode,
            comment: item.l_comment,
        }
    }

    /// Ship date ascending, then extended price descending, as bytes that compare so: the date in
    /// two bytes, the complement of the price in six. `None` for values beyond those.
    pub fn key(&self) -> Option<[u8; KEY_BYTES]> {
        let date = u16::try_from(self.ship_date).ok()?;
        let price = u64::try_from(self.extended_price).ok().filter(|price| *price < 1 << 48)?;
        let descending = (1 << 48) - 1 - price;
        Some((u64::from(date) << 48 | descending).to_be_bytes())
    }

    /// Replaces what is in `target` by the row's bytes: numbers little-endian, then every text
    /// after its length in a byte. `None` for a text that is too long for that.
    pub fn encode(&self, target: &mut Vec<u8>) -> Option<()> {
        target.clear();
        for number in self.wide_numbers() {
            target.extend(number.to_le_bytes());
        }
        for number in self.narrow_numbers() {
            target.extend(number.to_le_bytes());
        }
        for text in self.texts() {
            target.push(u8::try_from(text.len()).ok()?);
            target.extend(text.as_bytes());
        }
        Some(())
    }

    /// The columns from a row's bytes; `None` if these are not a row's bytes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut wide = || reader.number().map(i64::from_le_bytes);
        let [order_key, part_key, supplier_key, quantity] = [wide()?, wide()?, wide()?, wide()?];
        let [extended_price, discount, tax] = [wide()?, wide()?, wide()?];
        let mut narrow = || reader.number().map(i32::from_le_bytes);
        let [line_number, ship_date] = [narrow()?, narrow()?];
        let [commit_date, receipt_date] = [narrow()?, narrow()?];
        let columns = Self {
            order_key,
            part_key,
            supplier_key,
            line_number,
            quantity,
            extended_price,
            discount,
            tax,
            return_flag: reader.text()?,
            line_status: reader.text()?,
            ship_date,
            commit_date,
            receipt_date,
            ship_instruct: reader.text()?,
            ship_mode: reader.text()?,
            comment: reader.text()?,
        };
        reader.0.is_empty().then_some(columns)
    }

    fn wide_numbers(&self) -> [i64; 7] {
        [
            self.order_key,
            self.part_key,
            self.supplier_key,
            self.quantity,
            self.extended_price,
            self.discount,
            self.tax,
        ]
    }

    fn narrow_numbers(&self) -> [i32; 4] {
        [self.line_number, self.ship_date, self.commit_date, self.receipt_date]
    }

    fn texts(&self) -> [&'a str; 5] {
        [self.return_flag, self.line_status, self.ship_instruct, self.ship_mode, self.comment]
    }
}

/// What is left to decode.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (number, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*number)
    }

    fn text(&mut self) -> Option<&'a str> {
        let [length] = self.number::<1>()?;
        let (text, rest) = self.0.split_at_checked(length.into())?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tpchgen::dates::{MIN_GENERATE_DATE, TPCHDate};
    use tpchgen::decimal::TPCHDecimal;
    use tpchgen::generators::LineItemGenerator;

    /// The row as TPC-H's own tool prints it.
    fn line(columns: &Columns<'_>) -> String {
        let c = columns;
        let date = |days: i32| TPCHDate::new(days + MIN_GENERATE_DATE);
        let decimal = TPCHDecimal::new;
        let numbers =
            format!("{}|{}|{}|{}|", c.order_key, c.part_key, c.supplier_key, c.line_number);
        let money = [c.extended_price, c.discount, c.tax].map(|cents| decimal(cents).to_string());
        let dates = [c.ship_date, c.commit_date, c.receipt_date].map(|day| date(day).to_string());
        let texts = [c.ship_instruct, c.ship_mode, c.comment];
        let (money, dates, texts) = (money.join("|"), dates.join("|"), texts.join("|"));
        let flags = format!("{}|{}", c.return_flag, c.line_status);
        format!("{numbers}{}|{money}|{flags}|{dates}|{texts}|", c.quantity)
    }

    #[test]
    fn decoded_rows_print_as_the_generator_prints_them() {
        let mut bytes = Vec::new();
        for item in LineItemGenerator::new(0.1, 1, 1).iter().take(20_000) {
            Columns::of(&item).encode(&mut bytes).unwrap();
            assert_eq!(line(&Columns::decode(&bytes).unwrap()), item.to_string());
        }
        for cut in 0..bytes.len() {
            assert!(Columns::decode(&bytes[..cut]).is_none());
        }
        bytes.push(0);
        assert!(Columns::decode(&bytes).is_none());
    }

    #[test]
    fn keys_order_by_date_and_then_by_falling_price() {
        let generator = LineItemGenerator::new(0.1, 1, 1);
        let items: Vec<_> = generator.iter().take(2000).collect();
        for pair in items.windows(2) {
            let [a, b] = [Columns::of(&pair[0]), Columns::of(&pair[1])];
            let order = a.ship_date.cmp(&b.ship_date).then(b.extended_price.cmp(&a.extended_price));
            assert_eq!(a.key().unwrap().cmp(&b.key().unwrap()), order);
        }
        let item = Columns::of(&items[0]);
        assert!(Columns { ship_date: -1, ..item }.key().is_none());
        assert!(Columns { extended_price: 1 << 48, ..item }.key().is_none());
    }
}
