//! Scenarios, and all cases of them.

use std::cell::Cell;
use std::fmt::Display;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

use crate::child::{Child, Ended, again};
use crate::footprint::Footprint;
use crate::injector::{self, Action, CALLS, Refusing};

/// Something that is done while system calls are refused.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What is done.
    pub name: &'static str,
    /// Prepares, does it armed, and checks what it came to. Drops all that it made.
    pub run: fn(&Faults),
    /// What is refused.
    pub faults: &'static [Fault],
    /// The stacks of threads that the C library may keep.
    pub stacks: usize,
}

/// How a system call is refused.
pub struct Fault {
    /// Its name in [`CALLS`].
    pub call: &'static str,
    /// What it answers, one case each.
    pub actions: &'static [Action],
    /// What that comes to at every step, if it is the same at each.
    pub always: Option<Outcome>,
}

impl Fault {
    /// The call of this name answers in these ways.
    #[must_use]
    pub const fn new(
        call: &'static str,
        actions: &'static [Action],
        always: Option<Outcome>,
    ) -> Self {
        Self { call, actions, always }
    }
}

/// What a refused system call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The caller got an error, with the value and the rule.
    Refused,
    /// The caller got what it asked for, by other means or without the help of the system.
    Absorbed,
}

/// What a scenario knows of its case.
pub struct Faults {
    action: Option<Action>,
    is_live: bool,
    outcome: Cell<Option<Outcome>>,
}

impl Faults {
    /// Does something while system calls are refused as the case says.
    pub fn armed<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.is_live {
            injector::arm();
        }
        let result = work();
        injector::disarm();
        result
    }

    /// Whether something was refused.
    pub fn has_hit(&self) -> bool {
        self.is_live && injector::has_hit()
    }

    /// Has the system have no files without a name from now on.
    pub fn without_unnamed_files(&self) {
        injector::refuse_unnamed_files();
    }

    /// Has the system answer a call with this errno at any time from now on.
    pub fn without(&self, call: &str, errno: i32) {
        injector::lack(call, errno);
    }

    /// Whether calls are answered with 0 in place of an errno.
    pub fn answers_zero(&self) -> bool {
        self.action == Some(Action::Zero)
    }

    /// What calls are answered with.
    pub fn errno(&self) -> Option<i32> {
        match self.action {
            Some(Action::Errno(errno)) => Some(errno),
            _ => None,
        }
    }

    /// Notes that there was an error, which must be one of a case: it names all `values` and, if it
    /// comes from the system, what that said.
    pub fn refused(&self, error: &impl Display, values: &[&dyn Display]) {
        let text = error.to_string();
        assert!(self.has_hit(), "refused for no reason: {text}");
        for value in values {
            assert!(text.contains(&value.to_string()), "{text:?} does not name {value}");
        }
        let is_plain = text.chars().next().is_some_and(char::is_lowercase) && !text.ends_with('.');
        assert!(is_plain, "{text:?}");
        self.outcome.set(Some(Outcome::Refused));
    }

    /// As [`refused`](Self::refused), for an error that says what the system said.
    pub fn refused_by_system(&self, error: &impl Display, values: &[&dyn Display]) {
        self.refused(error, values);
        let text = error.to_string();
        if let Some(errno) = self.errno() {
            let said = io::Error::from_raw_os_error(errno).to_string();
            assert!(text.contains(&said), "{text:?} does not say {said:?}");
        }
    }
}

/// Tries all cases of these scenarios, each in a process of its own, and prints what they came to.
/// `test` is the name of the test that calls this.
pub fn try_all(test: &str, scenarios: &[Scenario]) {
    if let Some(order) = again() {
        obey(&order, scenarios);
        return;
    }
    for scenario in scenarios {
        let counted = Child::run(test, &format!("{} count", scenario.name));
        counted.assert_well(scenario.name);
        if !counted.lines("@skip ").is_empty() {
            continue;
        }
        let counts = counted.lines("@count ");
        for (number, fault) in scenario.faults.iter().enumerate() {
            let steps =
                counts.iter().find_map(|line| line.strip_prefix(fault.call)?.trim().parse().ok());
            let steps: u64 = steps.unwrap_or(0);
            assert!(steps > 0, "{}: no {} is ever called", scenario.name, fault.call);
            try_fault(test, scenario, number, steps);
        }
    }
}

/// The folder of a test whose scenarios spill: `tmp` is the one for tests of its package. For the
/// processes that the test starts.
pub fn spill_dir(tmp: &str) -> PathBuf {
    folder(tmp, parent_id())
}

fn folder(tmp: &str, test: u32) -> PathBuf {
    Path::new(tmp).join(format!("faults-{test}"))
}

/// As [`try_all`], in a folder that is empty afterwards, however the processes end.
pub fn try_all_in_a_folder(test: &str, tmp: &str, scenarios: &[Scenario]) {
    if again().is_some() {
        return try_all(test, scenarios);
    }
    // It is named after the process, which has one thread for each test.
    static IN_USE: Mutex<()> = Mutex::new(());
    let _in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = folder(tmp, std::process::id());
    fs::create_dir_all(&dir).unwrap();
    try_all(test, scenarios);
    // Fails unless it is empty.
    fs::remove_dir(&dir).unwrap();
}

/// Tries all cases of one fault, of which there are so many steps.
fn try_fault(test: &str, scenario: &Scenario, number: usize, steps: u64) {
    let fault = &scenario.faults[number];
    let (mut refused, mut absorbed, mut killed, mut missed) = (0, 0, 0, 0);
    let mut failed = Vec::new();
    let actions = &fault.actions[..if tries_all_actions() { fault.actions.len() } else { 1 }];
    for (index, action) in actions.iter().enumerate() {
        for nth in 0..steps {
            for mode in ["only", "from"] {
                // A call that is interrupted is tried again, for ever if need be, and so is a look
                // whether something is completed.
                let ends = !matches!(action, Action::Kill | Action::Errno(libc::EINTR))
                    && (fault.call, action) != ("io_uring_enter", &Action::Zero);
                if mode == "from" && !ends {
                    continue;
                }
                let order = format!("{} {mode} {number} {index} {nth}", scenario.name);
                let child = Child::run(test, &order);
                let outcome = child.lines("@outcome ").pop();
                match (child.ended(), outcome.as_deref()) {
                    (Ended::BySignal(libc::SIGKILL), _) if *action == Action::Kill => killed += 1,
                    // With threads of its own, a step may not be reached.
                    (Ended::Well, Some("missed")) if scenario.stacks > 0 => missed += 1,
                    (Ended::Well, Some("refused")) if fault.always != Some(Outcome::Absorbed) => {
                        refused += 1;
                    }
                    (Ended::Well, Some("absorbed")) if fault.always != Some(Outcome::Refused) => {
                        absorbed += 1;
                    }
                    (ended, outcome) => {
                        let what = format!("{order}: {} {action:?}", fault.call);
                        failed.push(format!("{what}: {ended:?}, {outcome:?}\n{}", child.said()));
                    }
                }
            }
        }
    }
    let cases = refused + absorbed + killed + missed;
    println!(
        "| {} | {} | {steps} | {cases} | {refused} | {absorbed} | {killed} | {} |",
        scenario.name,
        fault.call,
        names(actions),
    );
    if missed > 0 {
        println!("{} {}: {missed} cases were not reached", scenario.name, fault.call);
    }
    assert!(failed.is_empty(), "{} of {cases} cases:\n{}", failed.len(), failed.join("\n\n"));
}

/// Whether each fault is tried with all that the system may answer, and not with the first alone.
fn tries_all_actions() -> bool {
    std::env::var_os("OFFHEAP_FAULTS_ALL").is_some()
}

/// Does what a test told this process: `scenario count`, or `scenario mode fault action step`.
fn obey(order: &str, scenarios: &[Scenario]) {
    let words: Vec<&str> = order.split(' ').collect();
    let scenario = scenarios.iter().find(|scenario| scenario.name == words[0]).unwrap();
    let case = words.get(2..).and_then(|numbers| {
        let number = |word: &str| word.parse::<usize>().unwrap();
        let &[fault, action, nth] = numbers else { return None };
        let fault = &scenario.faults[number(fault)];
        Some((fault.call, fault.actions[number(action)], number(nth) as u64))
    });
    let action = case.map(|(_, action, _)| action);
    if let Err(error) = injector::install() {
        println!("@skip the system has no filter that asks a thread: {error}");
        return;
    }
    let threads = Footprint::threads();
    // What is made once and kept is made here.
    let warm = Faults { action: None, is_live: false, outcome: Cell::new(None) };
    (scenario.run)(&warm);
    let before = Footprint::with_threads(threads);
    if let Some((call, action, nth)) = case {
        let refusing = if words[1] == "only" { Refusing::Only(nth) } else { Refusing::From(nth) };
        injector::plan(call, refusing, action);
    }
    let faults = Faults { action, is_live: true, outcome: Cell::new(None) };
    (scenario.run)(&faults);
    // What the system was not let take back is not ours to lose.
    if case.is_none_or(|(call, ..)| call != "munmap") {
        Footprint::with_threads(threads).assert_not_above(&before, scenario.stacks);
    }
    if action.is_none() {
        injector::counts().for_each(|(name, count)| println!("@count {name} {count}"));
        return;
    }
    let outcome = match faults.outcome.get() {
        Some(Outcome::Refused) => "refused",
        _ if faults.has_hit() => "absorbed",
        _ => "missed",
    };
    println!("@outcome {outcome}");
}

/// The names of what is answered.
fn names(actions: &[Action]) -> String {
    let name = |action: &Action| match action {
        Action::Errno(errno) => {
            let names = [
                (libc::ENOMEM, "ENOMEM"),
                (libc::EAGAIN, "EAGAIN"),
                (libc::EINVAL, "EINVAL"),
                (libc::EPERM, "EPERM"),
                (libc::EACCES, "EACCES"),
                (libc::ENOSYS, "ENOSYS"),
                (libc::ENOSPC, "ENOSPC"),
                (libc::EDQUOT, "EDQUOT"),
                (libc::EFBIG, "EFBIG"),
                (libc::EIO, "EIO"),
                (libc::EINTR, "EINTR"),
                (libc::EMFILE, "EMFILE"),
                (libc::ENFILE, "ENFILE"),
                (libc::ENOENT, "ENOENT"),
                (libc::EROFS, "EROFS"),
                (libc::EFAULT, "EFAULT"),
                (libc::EOPNOTSUPP, "EOPNOTSUPP"),
                (libc::EBUSY, "EBUSY"),
                (libc::ENXIO, "ENXIO"),
            ];
            names.iter().find(|(it, _)| it == errno).map_or("another errno", |(_, name)| name)
        }
        Action::Zero => "0",
        Action::Short(_) => "fewer bytes",
        Action::Kill => "SIGKILL",
    };
    let mut names: Vec<_> = actions.iter().map(name).collect();
    names.dedup();
    names.join(", ")
}

const _: () = assert!(!CALLS.is_empty());
