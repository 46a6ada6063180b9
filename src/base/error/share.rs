//! Why a shared resource cannot be leased.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use super::{FractionError, OwnerError, ReservationError};

/// A shared resource that cannot be leased. Nothing has changed.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum ShareError<E> {
    /// The size is to be a fraction that is not above 0 and at most 1.
    Fraction(FractionError),
    /// No owner of the resource's name can be registered.
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
    /// The resource of this name is of another type.
    OtherType {
        /// The name of the resource.
        name: Arc<str>,
        /// The type of the resource that is leased already.
        leased: &'static str,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// The resource is just opened or closed by code that waits for this call to end.
    WaitsForItself {
        /// The name of the resource.
        name: Arc<str>,
    },
}

impl<E: Display> Display for ShareError<E> {
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

impl<E: Error + 'static> Error for ShareError<E> {
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
    fn whoever_wraps_an_error_names_it_as_the_source() {
        let name: Arc<str> = "cache".into();
        let failed = ShareError::Initializer { name: Arc::clone(&name), source: fmt::Error };
        assert_eq!(failed.source().unwrap().to_string(), fmt::Error.to_string());
        let sized = ShareError::<fmt::Error>::Fraction(FractionError { fraction: 2.0 });
        assert!(sized.source().unwrap().to_string().contains("fraction of 2"));
        assert!(ShareError::<fmt::Error>::WaitsForItself { name }.source().is_none());
    }
}
