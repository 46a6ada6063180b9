//! Why a shared resource cannot be leased.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::owner::OwnerError;
use super::range::FractionError;
use crate::base::refused::Refusal;
use crate::base::refused::ReservationError;

/// A shared resource that cannot be leased. Nothing has changed.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum LeaseError<E> {
    /// The size was given as a fraction, and that is not above 0 and at most 1.
    Fraction(FractionError),
    /// No owner with the name of the resource can be registered.
    Owner(OwnerError),
    /// The budget does not have the bytes. The initializer was not called.
    Refused(ReservationError),
    /// The initializer failed.
    Initializer {
        /// The name of the resource.
        name: Arc<str>,
        /// What it failed with.
        source: E,
    },
    /// The resource of this name is leased already, and is of another type.
    OtherType {
        /// The name of the resource.
        name: Arc<str>,
        /// The type of the resource that is leased already.
        leased: &'static str,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// Code that waits for this call to end is opening or closing the resource. Neither would ever
    /// end.
    WaitsForItself {
        /// The name of the resource.
        name: Arc<str>,
    },
}

impl<E> LeaseError<E> {
    /// The refusal in numbers, if the budget did not have the bytes.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(error) => Some(error.refusal()),
            _ => None,
        }
    }

    /// What the initializer failed with, taken out; any other error comes back as it was.
    ///
    /// # Errors
    ///
    /// If it was not the initializer that failed.
    pub fn into_initializer_error(self) -> Result<E, Self> {
        match self {
            Self::Initializer { source, .. } => Ok(source),
            other => Err(other),
        }
    }
}

impl<E> From<FractionError> for LeaseError<E> {
    fn from(error: FractionError) -> Self {
        Self::Fraction(error)
    }
}

impl<E> From<OwnerError> for LeaseError<E> {
    fn from(error: OwnerError) -> Self {
        Self::Owner(error)
    }
}

impl<E> From<ReservationError> for LeaseError<E> {
    fn from(error: ReservationError) -> Self {
        Self::Refused(error)
    }
}

impl<E: Display> Display for LeaseError<E> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fraction(error) => write!(f, "cannot size a shared resource: {error}"),
            Self::Owner(error) => write!(f, "cannot share a resource: {error}"),
            Self::Refused(error) => write!(f, "cannot share a resource: {error}"),
            Self::Initializer { name, source } => {
                write!(f, "the initializer of the shared resource `{name}` failed: {source}")
            }
            Self::OtherType { name, leased, wanted } => {
                write!(f, "the shared resource `{name}` is a `{leased}`, not a `{wanted}`")
            }
            Self::WaitsForItself { name } => {
                write!(f, "the shared resource `{name}` is being opened or closed by code that ")?;
                f.write_str("waits for this lease")
            }
        }
    }
}

impl<E: Error + 'static> Error for LeaseError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Fraction(source) => Some(source),
            Self::Owner(source) => Some(source),
            Self::Refused(source) => Some(source),
            Self::Initializer { source, .. } => Some(source),
            Self::OtherType { .. } | Self::WaitsForItself { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_wraps_another_names_it_as_the_source() {
        let name: Arc<str> = "cache".into();
        let failed = LeaseError::Initializer { name: Arc::clone(&name), source: fmt::Error };
        assert_eq!(failed.source().unwrap().to_string(), fmt::Error.to_string());
        let sized = LeaseError::<fmt::Error>::Fraction(FractionError { fraction: 2.0 });
        assert!(sized.source().unwrap().to_string().contains("fraction of 2"));
        assert!(LeaseError::<fmt::Error>::WaitsForItself { name }.source().is_none());
    }
}
