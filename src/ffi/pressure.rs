//! How short memory is.

use std::ffi::c_void;
use std::sync::Arc;

use crate::ledger::handles::Kind;
use crate::pressure::PressureSubscription;

use super::convert::failure::{Failure, call};
use super::convert::pointers::{Out, handle, pointer};
use super::convert::status::Status;
use super::manager::MANAGERS;
use super::tables::callback::{Context, FreeFn};
use super::tables::table::Table;
use super::{Manager, Subscription};

/// How short memory is. A level is left only well below where it is reached, so that it does not
/// flicker.
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub enum Pressure {
    /// There is plenty.
    Normal = 0,
    /// From 70 % of the capacity on, by default: it is time to trim caches.
    Elevated = 1,
    /// From 85 % on, by default: it is time to take on nothing new.
    High = 2,
    /// From 95 % on, by default, or a request waits: it is time to give back.
    Critical = 3,
}

/// Is told a new level of the pressure: an offheap_pressure.
pub type PressureFn = Option<unsafe extern "C" fn(context: *mut c_void, pressure: u32)>;

static SUBSCRIPTIONS: Table<Subscribed, 1> = Table::new(Kind::Subscription);

/// A subscription, and the context that its calls get.
struct Subscribed {
    context: Arc<Context>,
    _subscription: PressureSubscription,
}

/// How short memory is: an offheap_pressure. Cheap enough to ask before every large request.
///
/// # Safety
///
/// 1. `out_pressure` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_manager_pressure(
    manager: *mut Manager,
    out_pressure: *mut u32,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 1.
        let out = unsafe { Out::new(out_pressure, "out_pressure") }?;
        out.write(code(MANAGERS.get(handle(manager))?.pressure()));
        Ok(())
    })
}

fn code(pressure: crate::pressure::Pressure) -> u32 {
    let pressure = match pressure {
        crate::pressure::Pressure::Normal => Pressure::Normal,
        crate::pressure::Pressure::Elevated => Pressure::Elevated,
        crate::pressure::Pressure::High => Pressure::High,
        crate::pressure::Pressure::Critical => Pressure::Critical,
    };
    pressure as u32
}

/// Has `on_pressure` called with every new level, until the subscription is freed. A level that
/// lasts for a moment only may be passed over. A subscription does not keep its manager.
///
/// It is called on a thread of the library's, one call after the other, with nothing locked. So it
/// may call everything in this header. The rules are those of offheap_owner_set_reclaimer, also for
/// the context.
///
/// # Safety
///
/// 1. `on_pressure` may be called with `context` on any thread, also after this returns. That ends
///    when the subscription is freed and no call is under way; `free_context` may be called then.
/// 2. `out_subscription` is NULL or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn offheap_manager_on_pressure(
    manager: *mut Manager,
    on_pressure: PressureFn,
    context: *mut c_void,
    free_context: FreeFn,
    out_subscription: *mut *mut Subscription,
) -> Status {
    call(|| {
        // SAFETY: 1: by the caller's contract, 2.
        let out = unsafe { Out::new(out_subscription, "out_subscription") }?;
        let on_pressure = on_pressure.ok_or_else(|| Failure::null("on_pressure"))?;
        let manager = MANAGERS.get(handle(manager))?;
        // SAFETY: 1: by the caller's contract, 1.
        let context = Arc::new(unsafe { Context::new(context, free_context) });
        let called = Arc::clone(&context);
        let subscription = manager.on_pressure(move |pressure| {
            let Some(call) = called.enter() else { return };
            // SAFETY: by the contract of `offheap_manager_on_pressure`, 1; the context is not over
            // while the call is under way.
            unsafe { on_pressure(call.context(), code(pressure)) };
        });
        let refused = Arc::clone(&context);
        let subscribed = subscription.map_err(Failure::from).and_then(|subscription| {
            SUBSCRIPTIONS.insert(Subscribed { context, _subscription: subscription })
        });
        out.write(pointer(subscribed.inspect_err(|_| refused.hand_back())?));
        Ok(())
    })
}

/// Ends a subscription, whether or not its manager still lives. NULL is fine.
///
/// Waits for a call that is under way, for as long as that takes. Within a function that the
/// library calls it does not wait, as offheap_owner_clear_reclaimer.
#[unsafe(no_mangle)]
pub extern "C" fn offheap_subscription_free(subscription: *mut Subscription) -> Status {
    if subscription.is_null() {
        return Status::Ok;
    }
    call(|| {
        let context = Arc::clone(&SUBSCRIPTIONS.get(handle(subscription))?.context);
        SUBSCRIPTIONS.remove(handle(subscription))?;
        context.end();
        Ok(())
    })
}
