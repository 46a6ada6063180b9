//! Sequences of calls to the C ABI with good, stale, foreign and made-up handles, checked call by
//! call against a model: a list of what is held, and a sum per owner.
//!
//! The tables of handles belong to the process, so one sequence runs at a time.

mod calls;
mod memory;
mod model;
mod ops;
mod reclaims;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use offheap::ffi::Status;

use calls::Options;
use model::{ConfigModel, ManagerModel, PAGE};
pub use ops::{Input, Op, Pick};

/// More managers than this are not built at a time.
const MANAGERS_MAX: usize = 3;

/// What a handle stands for.
#[derive(Clone, Copy, Debug)]
enum Value {
    Config(ConfigModel),
    Manager(usize),
    Owner(usize, usize),
    Segment { manager: usize, owner: usize, bytes: usize, pattern: u8 },
    Reservation { manager: usize, owner: usize, bytes: usize },
    Worker(usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Config,
    Manager,
    Owner,
    Segment,
    Reservation,
    Worker,
    SpillReserve,
    Subscription,
}

impl Value {
    fn kind(self) -> Kind {
        match self {
            Self::Config(_) => Kind::Config,
            Self::Manager(_) => Kind::Manager,
            Self::Owner(..) => Kind::Owner,
            Self::Segment { .. } => Kind::Segment,
            Self::Reservation { .. } => Kind::Reservation,
            Self::Worker(..) => Kind::Worker,
        }
    }
}

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

/// All handles that were given out, and what they should stand for.
#[derive(Default)]
struct Run {
    /// In the order of their coming, with their kind.
    given: Vec<(usize, Kind)>,
    /// Those that are good.
    live: HashMap<usize, Value>,
    managers: Vec<ManagerModel>,
    patterns: u8,
    calls: u64,
}

/// Mostly flags that there are.
fn options(minimum: u8, limit: u8, flags: u8) -> Options {
    let flags = u32::from(flags % 9);
    Options { minimum: usize::from(minimum) * 512, limit: usize::from(limit) * 2048, flags }
}

/// A handle that was picked, and what it should be refused with.
#[derive(Clone, Copy, Debug)]
struct Picked {
    bits: usize,
    value: Result<Value, Bad>,
}

/// Why a handle is not good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bad {
    Null,
    /// It was good.
    Stale,
    /// It was never given out as what it is taken for, or, as far as we know, not in this run.
    Foreign,
}

impl Picked {
    /// Checks that a call failed as the handle deserves.
    fn expect(self, status: Status) {
        let Err(bad) = self.value else { unreachable!("{self:?} is good") };
        let is_due = match bad {
            Bad::Null => status == Status::NullArgument,
            Bad::Stale => status == Status::StaleHandle,
            Bad::Foreign => matches!(status, Status::StaleHandle | Status::ForeignHandle),
        };
        assert!(is_due, "{self:?}: {status:?}, {}", calls::last_message());
        assert!(!calls::last_message().is_empty());
    }
}

impl Run {
    fn pick(&self, pick: Pick, kind: Kind) -> Picked {
        let of_kind = |(_, given): &&(usize, Kind)| *given == kind;
        let nth = |count: usize| (count > 0).then(|| usize::from(pick.which) % count);
        let bits = match pick.how % 8 {
            0 => 0,
            1 => nth(self.given.len()).map_or(0, |at| self.given[at].0),
            2 => {
                let known = self.given.last().map_or(0, |(bits, _)| *bits);
                known ^ 1 << (pick.which % 64)
            }
            3 => {
                let count = self.given.iter().filter(of_kind).count();
                let at = nth(count).and_then(|at| self.given.iter().filter(of_kind).nth(at));
                at.map_or(1, |(bits, _)| *bits)
            }
            _ => {
                let is_live = |given: &&(usize, Kind)| self.live.contains_key(&given.0);
                let live = || self.given.iter().filter(of_kind).filter(is_live);
                nth(live().count()).and_then(|at| live().nth(at)).map_or(0, |(bits, _)| *bits)
            }
        };
        let value = match self.live.get(&bits) {
            _ if bits == 0 => Err(Bad::Null),
            Some(value) if value.kind() == kind => Ok(*value),
            None if self.given.contains(&(bits, kind)) => Err(Bad::Stale),
            _ => Err(Bad::Foreign),
        };
        Picked { bits, value }
    }

    fn give(&mut self, bits: usize, value: Value) {
        assert!(self.given.iter().all(|(given, _)| *given != bits), "{bits:#x} was given before");
        self.given.push((bits, value.kind()));
        self.live.insert(bits, value);
    }

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
                let count = usize::from(count % 80);
                self.allocate(owner, count, |owner| calls::pages(owner, count, false));
            }
            Op::AcquirePages { owner, count } => self.acquire(owner, usize::from(count % 80)),
            Op::Block { owner, bytes } => self.block(owner, bytes as usize % (70 * PAGE), false),
            Op::AcquireBlock { owner, bytes } => {
                self.block(owner, bytes as usize % (70 * PAGE), true);
            }
            Op::UpTo { owner, bytes } => self.up_to(owner, bytes as usize % (70 * PAGE)),
            Op::Scattered { owner, bytes, capacity } => {
                self.scattered(owner, bytes as usize % (70 * PAGE), usize::from(capacity));
            }
            Op::Reserve { owner, bytes } => {
                self.reserve(owner, bytes as usize % (70 * PAGE), false);
            }
            Op::AcquireMemory { owner, bytes } => {
                self.reserve(owner, bytes as usize % (70 * PAGE), true);
            }
            Op::Answer { owner, bytes } => self.answer(owner, usize::from(bytes)),
            Op::SpillLate { reserve, bytes } => self.spill_late(reserve, usize::from(bytes)),
            Op::SetReclaimer { owner, again } => self.set_reclaimer(owner, again),
            Op::Pressure { manager, subscribes } => self.pressure(manager, subscribes),
            Op::Grow { reservation, bytes } => self.grow(reservation, bytes as usize % (9 * PAGE)),
            Op::Shrink { reservation, bytes } => self.shrink(reservation, bytes as usize),
            Op::Worker { owner } => self.worker(owner),
            Op::WorkerPage { worker } => self.worker_page(worker),
            Op::WorkerRelease { worker, segment } => self.worker_release(worker, segment),
            Op::Look { segment } => self.look(segment),
            Op::Release { segment } => self.release(segment),
            Op::ReleaseMany { segments } => self.release_many(&segments),
            Op::Free { handle, kind } => self.free(handle, kind),
            Op::Check { manager } => self.check(manager),
            Op::ShutDown { manager } => self.shut_down(manager),
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
