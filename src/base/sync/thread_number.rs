//! Numbers of threads, by which they find places of their own.

use super::word::{AtomicU64, Ordering};

/// A number that this thread keeps until it [asks for another](change_thread_number): threads that
/// begin one after the other have neighbouring ones.
#[inline]
pub(crate) fn thread_number() -> usize {
    let number = NUMBER.get();
    if number == usize::MAX { first_thread_number() } else { number }
}

/// Gives this thread the next number, if it found others in its place.
pub(crate) fn change_thread_number() {
    NUMBER.set(thread_number().wrapping_add(1) % usize::MAX);
}

thread_local! {
    static NUMBER: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

#[cold]
fn first_thread_number() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // ORDERING: Relaxed. Only the numbers have to differ.
    let number = usize::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
    NUMBER.set(number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_a_number_of_its_own_until_it_asks_for_the_next() {
        let look = || {
            let first = thread_number();
            assert_eq!(thread_number(), first);
            change_thread_number();
            assert_eq!(thread_number(), first.wrapping_add(1));
            first
        };
        let [one, other] = [look, look].map(|look| std::thread::spawn(look).join().unwrap());
        assert_ne!(one, other);
    }
}
