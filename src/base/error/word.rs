//! Choices written as words, and a word that stands for nothing.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

/// Declares the words of a choice, once: what it is written as, what it is read from, and what the
/// error lists when a word is none of them.
macro_rules! words {
    ($choice:ident, $called:literal, { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $choice {
            /// The word that the choice is written as, in text and with the feature `serde`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $choice {
            type Err = $crate::base::error::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(Self::Err::new($called, word, &[$($word),+])),
                }
            }
        }
    };
}
pub(crate) use words;

/// A text that is none of those that a choice is written as.
///
/// A choice is written in lower case with `-` between its parts, and read in this form only.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UnknownWord {
    /// What was to be chosen: `mode`, for example.
    pub choice: &'static str,
    /// The text that was given.
    pub word: String,
    /// The words that there are. What stands for a number in them is in upper case.
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
