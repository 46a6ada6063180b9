//! A word that stands for nothing.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// A word that is none of those that a choice is written with.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UnknownWord {
    /// What was to be chosen.
    pub choice: &'static str,
    /// The word that was given.
    pub word: String,
    /// The words that there are.
    pub known: &'static [&'static str],
}

impl UnknownWord {
    pub(crate) fn new(choice: &'static str, word: &str, known: &'static [&'static str]) -> Self {
        Self { choice, word: word.into(), known }
    }
}

impl Display for UnknownWord {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { choice, word, known } = self;
        write!(f, "a {choice} of `{word}` is not {}", known.join(" or "))
    }
}

impl Error for UnknownWord {}
