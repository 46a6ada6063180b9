//! Why a call failed, and how the caller learns of it: a status now, a sentence when it asks.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::error::{
    AllocationError, ConfigError, LeakError, OwnerError, Refusal, ReservationError,
};
use crate::ledger::handles::{Handle, Kind, NotEntered};

use super::status::Status;

/// Why a call failed. A pointer wide, so that results of calls stay small.
#[derive(Debug)]
pub(crate) struct Failure(Box<Cause>);

/// What stood against a call.
#[derive(Debug)]
enum Cause {
    /// An argument that is NULL, by its name.
    Null(&'static str),
    /// A sentence about an argument and the rule that it breaks.
    Invalid(String),
    /// A handle that is not good, or not good now.
    Handle {
        /// What it should be of.
        kind: Kind,
        handle: Handle,
        why: NotEntered,
        /// Where it is in an array of handles.
        position: Option<usize>,
    },
    BufferTooSmall {
        needed: usize,
        capacity: usize,
    },
    TableFull(Kind),
    /// Bytes of a spill reserve, where there is none.
    NoReserve(usize),
    Config(ConfigError),
    Owner(OwnerError),
    Allocation(AllocationError),
    Reservation(ReservationError),
    Leak(LeakError),
    Inconsistent(String),
    Panic(String),
}

impl Failure {
    #[cold]
    pub(crate) fn null(name: &'static str) -> Self {
        Self(Box::new(Cause::Null(name)))
    }

    /// A sentence about an argument and the rule that it breaks.
    #[cold]
    pub(crate) fn invalid(sentence: String) -> Self {
        Self(Box::new(Cause::Invalid(sentence)))
    }

    #[cold]
    pub(crate) fn handle(kind: Kind, handle: Handle, why: NotEntered) -> Self {
        if handle.into_bits() == 0 {
            return Self::null(kind.name());
        }
        Self(Box::new(Cause::Handle { kind, handle, why, position: None }))
    }

    #[cold]
    pub(crate) fn buffer_too_small(needed: usize, capacity: usize) -> Self {
        Self(Box::new(Cause::BufferTooSmall { needed, capacity }))
    }

    #[cold]
    pub(crate) fn table_full(kind: Kind) -> Self {
        Self(Box::new(Cause::TableFull(kind)))
    }

    #[cold]
    pub(crate) fn no_reserve(bytes: usize) -> Self {
        Self(Box::new(Cause::NoReserve(bytes)))
    }

    /// A sentence about what does not agree.
    #[cold]
    pub(crate) fn inconsistent(sentence: String) -> Self {
        Self(Box::new(Cause::Inconsistent(sentence)))
    }

    #[cold]
    fn panic(message: String) -> Self {
        Self(Box::new(Cause::Panic(message)))
    }

    /// The same failure, of the handle at that position.
    #[cold]
    pub(crate) fn at(mut self, at: usize) -> Self {
        if let Cause::Handle { position, .. } = &mut *self.0 {
            *position = Some(at);
        }
        self
    }

    pub(crate) fn status(&self) -> Status {
        match &*self.0 {
            Cause::Null(_) => Status::NullArgument,
            Cause::Invalid(_) => Status::InvalidArgument,
            Cause::Handle { why: NotEntered::Ended, .. } => Status::StaleHandle,
            Cause::Handle { why: NotEntered::Foreign, .. } => Status::ForeignHandle,
            Cause::Handle { why: NotEntered::Busy, .. } => Status::Busy,
            Cause::BufferTooSmall { .. } => Status::BufferTooSmall,
            Cause::TableFull(_) => Status::TooManyHandles,
            Cause::NoReserve(_) => Status::Budget,
            Cause::Config(error) => error.into(),
            Cause::Owner(error) => error.into(),
            Cause::Allocation(error) => error.reason().into(),
            Cause::Reservation(error) => error.reason().into(),
            Cause::Leak(_) => Status::Leak,
            Cause::Inconsistent(_) => Status::Inconsistent,
            Cause::Panic(_) => Status::Panic,
        }
    }

    /// The numbers, of a refusal.
    fn refusal(&self) -> Option<&Refusal> {
        match &*self.0 {
            Cause::Allocation(error) => Some(error.refusal()),
            Cause::Reservation(error) => Some(error.refusal()),
            _ => None,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Null(name) => write!(f, "`{name}` is NULL"),
            Cause::Invalid(sentence) | Cause::Inconsistent(sentence) => f.write_str(sentence),
            Cause::Handle { kind, handle, why, position } => {
                if let Some(position) = position {
                    write!(f, "at position {position}: ")?;
                }
                write_handle(f, *kind, *handle, *why)
            }
            Cause::BufferTooSmall { needed, capacity } => {
                write!(f, "{needed} results do not fit in room for {capacity}")
            }
            Cause::TableFull(kind) => {
                write!(f, "there are no more handles for another {}", kind.name())
            }
            Cause::NoReserve(bytes) => {
                write!(f, "cannot allocate {bytes} bytes: the manager keeps no spill reserve")
            }
            Cause::Config(error) => error.fmt(f),
            Cause::Owner(error) => error.fmt(f),
            Cause::Allocation(error) => error.fmt(f),
            Cause::Reservation(error) => error.fmt(f),
            Cause::Leak(error) => error.fmt(f),
            Cause::Panic(message) => write!(f, "a fault in the library: {message}"),
        }
    }
}

fn write_handle(f: &mut Formatter<'_>, kind: Kind, handle: Handle, why: NotEntered) -> fmt::Result {
    let (name, bits) = (kind.name(), handle.into_bits());
    match (why, handle.kind()) {
        (NotEntered::Ended, _) => write!(f, "{name} {bits:#x} was released or freed before"),
        (NotEntered::Busy, _) => write!(f, "{name} {bits:#x} is in use by another call"),
        (NotEntered::Foreign, Some(other)) if other != kind => {
            write!(f, "{bits:#x} is of the kind {}, not {name}", other.name())
        }
        (NotEntered::Foreign, _) => write!(f, "{bits:#x} was never given out as a {name}"),
    }
}

macro_rules! failure_from {
    ($($error:ident => $variant:ident),+ $(,)?) => {
        $(impl From<$error> for Failure {
            #[cold]
            fn from(error: $error) -> Self {
                Self(Box::new(Cause::$variant(error)))
            }
        })+
    };
}

failure_from! {
    ConfigError => Config,
    OwnerError => Owner,
    AllocationError => Allocation,
    ReservationError => Reservation,
    LeakError => Leak,
}

/// The last failure of a thread.
struct Last {
    failure: Option<Failure>,
    /// Its sentence, once it was asked for.
    text: Option<CString>,
}

thread_local! {
    static LAST: RefCell<Last> = const { RefCell::new(Last { failure: None, text: None }) };
}

/// Runs the body of a call: what it returns becomes a status, and a panic does too.
#[inline]
pub(crate) fn call(body: impl FnOnce() -> Result<(), Failure>) -> Status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => Status::Ok,
        Ok(Err(failure)) => fail(failure),
        Err(payload) => fail(Failure::panic(message_of(payload))),
    }
}

#[cold]
fn fail(failure: Failure) -> Status {
    let status = failure.status();
    // A thread that is about to end does not keep it.
    let _ = LAST.try_with(|last| {
        last.replace(Last { failure: Some(failure), text: None });
    });
    status
}

fn message_of(payload: Box<dyn Any + Send>) -> String {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "of an unknown kind".to_owned(),
    };
    // Whatever it is, its drop might panic in turn.
    std::mem::forget(payload);
    message
}

/// The sentence of this thread's last failure; empty if there was none.
pub(crate) fn last_message() -> *const c_char {
    let message = LAST.try_with(|last| {
        let Last { failure, text } = &mut *last.borrow_mut();
        match failure {
            Some(failure) => text.get_or_insert_with(|| c_string(&failure.to_string())).as_ptr(),
            None => c"".as_ptr(),
        }
    });
    message.unwrap_or(c"".as_ptr())
}

/// Looks at the numbers of this thread's last failure, which are there if it was a refusal.
pub(crate) fn last_refusal<T>(look: impl FnOnce(Option<&Refusal>) -> T) -> T {
    let mut look = Some(look);
    let looked = LAST.try_with(|last| {
        let last = last.borrow();
        look.take().map(|look| look(last.failure.as_ref().and_then(Failure::refusal)))
    });
    match (looked, look) {
        (Ok(Some(answer)), _) => answer,
        (_, Some(look)) => look(None),
        _ => unreachable!("it was looked at, or not"),
    }
}

/// A text for C, which ends at its first NUL.
pub(crate) fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_text() -> String {
        last_message();
        LAST.with_borrow(|last| last.text.clone().unwrap_or_default().into_string().unwrap())
    }

    #[test]
    fn a_panic_becomes_a_status() {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        assert_eq!(call(|| panic!("page {} is lost", 7)), Status::Panic);
        assert_eq!(last_text(), "a fault in the library: page 7 is lost");
        assert_eq!(call(|| std::panic::panic_any(7)), Status::Panic);
        assert_eq!(last_text(), "a fault in the library: of an unknown kind");
        std::panic::set_hook(hook);
    }

    #[test]
    fn a_success_leaves_the_last_message() {
        assert_eq!(last_text(), "");
        assert_eq!(call(|| Err(Failure::null("out_page"))), Status::NullArgument);
        assert_eq!(call(|| Ok(())), Status::Ok);
        assert_eq!(last_text(), "`out_page` is NULL");
    }
}
