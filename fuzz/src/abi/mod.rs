//! Sequences of calls to the C ABI with good, stale, foreign and made-up handles, checked call by
//! call against a model: a list of what is held, and a sum per owner.
//!
//! The tables of handles belong to the process, so one sequence runs at a time.

mod calls;
mod memory;
mod model;
mod ops;
mod reclaims;
mod run;

use std::sync::{Mutex, PoisonError};

use offheap::ffi::Status;

use calls::{Kind, Manner, Options, PAGE};
use model::{ConfigModel, ManagerModel};
pub use ops::{Input, Op, Pick, Try};
use run::{Picked, Run, Value};

/// More managers than this are not built at a time.
const MANAGERS_MAX: usize = 3;

/// Runs `input`. Returns the number of calls
/// that were compared with the model.
///
/// # Panics
///
/// Where the library and the model disagree.
#[must_use]
pub fn run(input: &Input) -> u64 {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut run = Run::default();
    for op in &input.ops {
        run.step(op);
    }
    run.finish()
}

/// Mostly flags that there are.
fn options(minimum: u8, limit: u8, flags: u8) -> Options {
    let flags = u32::from(flags % 9);
    Options { minimum: usize::from(minimum) * 512, limit: usize::from(limit) * 2048, flags }
}

impl Run {
    fn step(&mut self, op: &Op) {
        self.calls += 1;
        match *op {
            Op::NewConfig => {
                let Ok(config) = calls::config_new() else { unreachable!("it cannot fail") };
                self.give(config, Value::Config(ConfigModel::default()));
            }
            Op::SetConfig { config, option, value } => self.set(config, option, value),
            Op::Build { config } => self.build(config),
            Op::Register { manager, minimum, limit } => {
                self.register(manager, options(minimum, limit, 0), false);
            }
            Op::RegisterWith { manager, minimum, limit, flags } => {
                self.register(manager, options(minimum, limit, flags), true);
            }
            Op::Child { owner, minimum, limit, flags } => {
                self.child(owner, options(minimum, limit, flags));
            }
            Op::Page { owner } => {
                self.allocate(owner, 1, |owner| calls::page(owner).map(|page| vec![page]));
            }
            Op::Pages { owner, count } => {
                self.pages(owner, usize::from(count % 80), Manner::Allocate);
            }
            Op::AcquirePages { owner, count } => {
                self.pages(owner, usize::from(count % 80), Manner::Acquire);
            }
            Op::Block { owner, bytes } => {
                self.block(owner, bytes as usize % (70 * PAGE), Manner::Allocate);
            }
            Op::AcquireBlock { owner, bytes } => {
                self.block(owner, bytes as usize % (70 * PAGE), Manner::Acquire);
            }
            Op::UpTo { owner, bytes } => self.up_to(owner, bytes as usize % (70 * PAGE)),
            Op::Scattered { owner, bytes, capacity } => {
                self.scattered(owner, bytes as usize % (70 * PAGE), usize::from(capacity));
            }
            Op::Reserve { owner, bytes } => {
                self.reserve(owner, bytes as usize % (70 * PAGE), Manner::Allocate);
            }
            Op::AcquireMemory { owner, bytes } => {
                self.reserve(owner, bytes as usize % (70 * PAGE), Manner::Acquire);
            }
            Op::ReclaimGuard { owner, bytes } => self.answer(owner, usize::from(bytes)),
            Op::SpillLate { reserve, bytes } => self.spill_late(reserve, usize::from(bytes)),
            Op::SetReclaimer { owner, again } => self.set_reclaimer(owner, again),
            Op::Pressure { manager, subscribes } => self.pressure(manager, subscribes),
            Op::Grow { reservation, bytes } => self.grow(reservation, bytes as usize % (9 * PAGE)),
            Op::Shrink { reservation, bytes } => self.shrink(reservation, bytes as usize),
            Op::Worker { owner } => self.worker(owner),
            Op::WorkerPage { worker } => self.worker_page(worker, calls::worker_page),
            Op::WorkerRelease { worker, segment } => self.worker_release(worker, segment),
            Op::Look { segment } => self.look(segment),
            Op::Release { segment } => self.release(segment),
            Op::ReleaseMany { segments } => self.release_many(&segments),
            Op::Free { handle, kind } => self.free(handle, kind),
            Op::Check { manager } => self.check(manager),
            Op::ShutDown { manager } => self.shut_down(manager),
            Op::Try(op) => self.try_step(op),
            Op::Range { segment } => self.range(segment),
        }
    }

    fn try_step(&mut self, op: Try) {
        match op {
            Try::Page { owner } => {
                self.allocate(owner, 1, |owner| calls::try_page(owner).map(|page| vec![page]));
            }
            Try::Pages { owner, count } => {
                self.pages(owner, usize::from(count % 80), Manner::Try);
            }
            Try::Block { owner, bytes } => {
                self.block(owner, bytes as usize % (70 * PAGE), Manner::Try);
            }
            Try::Reserve { owner, bytes } => {
                self.reserve(owner, bytes as usize % (70 * PAGE), Manner::Try);
            }
            Try::WorkerPage { worker } => self.worker_page(worker, calls::worker_try_page),
        }
    }

    fn set(&mut self, pick: Pick, option: u8, value: u32) {
        let config = self.pick(pick, Kind::Config);
        let mut model = match config.value {
            Ok(Value::Config(model)) => model,
            _ => ConfigModel::default(),
        };
        let (status, expected) = model.set(config.bits, option, value);
        match config.value {
            Ok(_) => {
                assert_eq!(status, expected, "{model:?}");
                self.live.insert(config.bits, Value::Config(model));
            }
            Err(_) => config.expect(status),
        }
    }

    fn build(&mut self, pick: Pick) {
        let config = self.pick(pick, Kind::Config);
        let live = self.live.values().filter(|value| value.kind() == Kind::Manager).count();
        if live >= MANAGERS_MAX {
            self.calls -= 1;
            return;
        }
        match (calls::manager_new(config.bits), config.value) {
            (Ok(manager), Ok(Value::Config(model))) => {
                assert!(model.is_valid(), "{model:?}");
                self.managers.push(ManagerModel::new(model));
                self.give(manager, Value::Manager(self.managers.len() - 1));
            }
            (Err(status), Ok(Value::Config(model))) => {
                assert!(status == Status::Config && !model.is_valid(), "{status:?} {model:?}");
            }
            (Err(status), _) => config.expect(status),
            (Ok(_), _) => unreachable!("a manager of {config:?}"),
        }
    }

    fn register(&mut self, pick: Pick, options: Options, by_record: bool) {
        let manager = self.pick(pick, Kind::Manager);
        let Options { minimum, limit, .. } = options;
        let answer = match by_record {
            true => calls::register_with(manager.bits, options),
            false => calls::register(manager.bits, minimum, limit),
        };
        let place = match manager.value {
            Ok(Value::Manager(index)) => Ok((index, None)),
            _ => Err(manager),
        };
        self.registered(place, options, answer);
    }

    fn child(&mut self, pick: Pick, options: Options) {
        let owner = self.pick(pick, Kind::Owner);
        let answer = calls::child(owner.bits, options);
        let place = match owner.value {
            Ok(Value::Owner(index, parent)) => Ok((index, Some(parent))),
            _ => Err(owner),
        };
        self.registered(place, options, answer);
    }

    /// What a registration came to, with a manager and perhaps a parent, or of a bad handle.
    fn registered(
        &mut self,
        place: Result<(usize, Option<usize>), Picked>,
        options: Options,
        answer: Result<usize, Status>,
    ) {
        let Options { minimum, limit, flags } = options;
        let is_known = flags < 8;
        match (answer, place) {
            (Ok(owner), Ok((index, parent))) => {
                let model = &mut self.managers[index];
                assert!(is_known);
                assert_eq!(model.refusals_of_owner(parent, minimum, limit), []);
                let number = model.register(parent, minimum, limit);
                self.give(owner, Value::Owner(index, number));
            }
            (Err(status), Ok(_)) if !is_known => assert_eq!(status, Status::InvalidArgument),
            (Err(status), Ok((index, parent))) => {
                let expected = self.managers[index].refusals_of_owner(parent, minimum, limit);
                assert!(expected.contains(&status), "{status:?}, not {expected:?}");
            }
            (Err(status), Err(picked)) => picked.expect(status),
            (Ok(_), Err(picked)) => unreachable!("an owner of {picked:?}"),
        }
    }

    fn finish(mut self) -> u64 {
        for (bits, _) in std::mem::take(&mut self.given) {
            let Some(value) = self.live.get(&bits).copied() else { continue };
            if let Value::Segment { .. } = value {
                self.expect_contents(bits, value);
                assert_eq!(calls::release(bits), Status::Ok);
                self.gone(bits);
            } else if value.kind() != Kind::Manager {
                assert_eq!(calls::free(bits, value.kind()), Status::Ok);
                self.gone(bits);
            }
        }
        for (bits, value) in std::mem::take(&mut self.live) {
            let Value::Manager(index) = value else { unreachable!("{value:?} is left") };
            assert_eq!(self.managers[index].free_bytes(), self.managers[index].room());
            assert_eq!(calls::verify_empty(bits), Status::Ok);
            assert_eq!(calls::check(bits), Status::Ok);
            assert_eq!(calls::free(bits, Kind::Manager), Status::Ok);
            assert_eq!(calls::free(bits, Kind::Manager), Status::StaleHandle);
        }
        self.calls
    }
}
