//! Numbers of bytes: between the 64 bits that counters have and the sizes that callers use.

use crate::base::error::FractionError;

/// A number of bytes of memory as a size: the capacity was one, so it fits.
pub(crate) fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// `fraction` of `whole`, rounded down.
pub(crate) fn fraction_of(whole: usize, fraction: f64) -> Result<usize, FractionError> {
    if !(fraction > 0.0 && fraction <= 1.0) {
        return Err(FractionError { fraction });
    }
    // Capacities are below 2^53, where `f64` counts exactly; the product is not above `whole`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "argued above"
    )]
    let part = (whole as f64 * fraction) as usize;
    Ok(part)
}
