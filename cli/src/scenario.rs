//! What the program can do with its memory.

use offheap_operators::{aggregate, join, sort};

/// A piece of work of a batch engine, with one operator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    Sort,
    Aggregate,
    Join,
}

impl Scenario {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 3] = [Self::Sort, Self::Aggregate, Self::Join];

    /// Its name, as in the arguments and the numbers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sort => "sort",
            Self::Aggregate => "aggregate",
            Self::Join => "join",
        }
    }

    /// The scenario of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.as_str() == name)
    }

    /// What it does with which rows.
    pub fn title(self) -> &'static str {
        match self {
            Self::Sort => "lineitem by date and price",
            Self::Aggregate => "totals of each order",
            Self::Join => "orders with their items",
        }
    }

    /// The fewest pages that its operator works with.
    pub fn pages_min(self) -> usize {
        match self {
            Self::Sort => sort::PAGES_MIN,
            Self::Aggregate => aggregate::PAGES_MIN,
            Self::Join => join::PAGES_MIN,
        }
    }

    /// So many of its operator, in words.
    pub fn count(self, operators: usize) -> String {
        match (self, operators) {
            (Self::Sort, 1) => "a sort".to_owned(),
            (Self::Aggregate, 1) => "an aggregation".to_owned(),
            (Self::Join, 1) => "a join".to_owned(),
            (Self::Sort, _) => format!("{operators} sorts"),
            (Self::Aggregate, _) => format!("{operators} aggregations"),
            (Self::Join, _) => format!("{operators} joins"),
        }
    }
}
