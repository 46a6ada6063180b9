//! The job from end to end: scenarios one after the other, with the memory of one manager.

use std::time::Duration;

use offheap::{
    MemoryManager,
    config::{MemoryManagerBuilder, MemoryMode},
    sharing::FairShare,
};
use offheap_operators::Interrupt;
use offheap_operators::sort::{SortError, SpillAction};

use crate::args::Settings;
use crate::failure::Failure;
use crate::progress::Bars;
use crate::query::{Answer, Company, Surroundings, run_all};
use crate::report::{QueryReport, Report};
use crate::sampler::{Sampler, Timeline};
use crate::scenario::Scenario;
use crate::space;
use crate::tpch::Maker;

/// The default budget is this part of `lineitem`.
const PART_OF_DATA: u64 = 8;
/// The bytes of a row of `lineitem`, on average.
const ROW_BYTES: u64 = 122;

/// What came of a job.
pub struct Outcome {
    /// One for each scenario.
    pub reports: Vec<Report>,
    pub timeline: Timeline,
    /// Whether all answers are right.
    pub verdict: Result<(), Failure>,
}

/// Runs the scenarios that `settings` ask for, and checks their answers.
pub fn run(settings: &Settings, interrupt: &Interrupt) -> Result<Outcome, Failure> {
    check_page_size(settings)?;
    check_spill_dir(settings)?;
    let budget_bytes = settings.memory_bytes.unwrap_or_else(|| budget_for(settings));
    let manager = manager_of(settings, budget_bytes)?;
    space::check(settings, lineitem_bytes(settings), budget_bytes as u64)?;
    let bars = Bars::new(settings.quiet);
    let maker = start_maker(settings, interrupt, &bars)?;
    let sampler = Sampler::start(&manager)?;
    let mut reports = Vec::new();
    let mut verdict = Ok(());
    for scenario in &settings.scenarios {
        let answers = run_all(&Surroundings {
            settings,
            scenario: *scenario,
            interrupt,
            manager: &manager,
            maker: &maker,
            sampler: &sampler,
            bars: &bars,
            company: &Company::new(settings.queries, manager.capacity(), manager.page_size()),
        })?;
        let verdicts = answers.iter().map(|answer| answer.verdict.clone());
        let found = verdicts.collect::<Result<(), _>>().and_then(|()| is_empty(&manager));
        reports.push(report(settings, *scenario, &manager, &answers, found.is_ok()));
        let wrong = |wrong| Failure::World(format!("the {} is wrong: {wrong}", scenario.as_str()));
        verdict = verdict.and(found.map_err(wrong));
    }
    let timeline = sampler.finish()?;
    for report in &mut reports {
        report.peak_resident_bytes = timeline.resident_peak_bytes.map(|bytes| bytes as u64);
    }
    Ok(Outcome { reports, timeline, verdict })
}

/// Lets the manager say what a page may be, before the work begins.
fn check_page_size(settings: &Settings) -> Result<(), Failure> {
    builder(settings).capacity(settings.page_bytes).mode(MemoryMode::Heap).build()?;
    Ok(())
}

/// Sees before the work begins whether a directory that was named takes a file.
fn check_spill_dir(settings: &Settings) -> Result<(), Failure> {
    let Some(dir) = &settings.spill_dir else { return Ok(()) };
    tempfile::tempfile_in(dir).map(drop).map_err(|source| {
        SortError::Spill { action: SpillAction::Create, dir: dir.clone(), source }.into()
    })
}

fn builder(settings: &Settings) -> MemoryManagerBuilder {
    let builder = MemoryManager::builder().page_size(settings.page_bytes);
    let builder = builder.strategy(settings.strategy).mode(settings.mode);
    if settings.queries > 1 { builder.policy(FairShare) } else { builder }
}

/// The scenario that needs the most pages, and how many these are.
fn pages_min(settings: &Settings) -> (Scenario, usize) {
    let scenarios = settings.scenarios.iter().copied();
    let scenario = scenarios.max_by_key(|scenario| scenario.pages_min());
    let scenario = scenario.unwrap_or(Scenario::Sort);
    (scenario, scenario.pages_min() * settings.queries)
}

fn manager_of(settings: &Settings, budget_bytes: usize) -> Result<MemoryManager, Failure> {
    let manager = builder(settings).capacity(budget_bytes).build()?;
    let ((scenario, pages_min), page_bytes) = (pages_min(settings), settings.page_bytes);
    if manager.total_pages() < pages_min {
        let needed = pages_min * page_bytes;
        let who = scenario.count(settings.queries);
        let verb = if settings.queries == 1 { "needs" } else { "need" };
        return Err(Failure::Value(format!(
            "--memory: a budget of {budget_bytes} bytes is less than the {pages_min} pages of \
             {page_bytes} bytes that {who} {verb}, {needed} bytes"
        )));
    }
    Ok(manager)
}

/// About how many bytes `lineitem` has.
fn lineitem_bytes(settings: &Settings) -> u64 {
    settings.input.rows_expected().saturating_mul(ROW_BYTES)
}

/// The default budget: a part of the data, in whole pages, but no less than operators need.
fn budget_for(settings: &Settings) -> usize {
    let part = usize::try_from(lineitem_bytes(settings) / PART_OF_DATA).unwrap_or(usize::MAX);
    (part - part % settings.page_bytes).max(pages_min(settings).1 * settings.page_bytes)
}

/// Starts the process that makes rows, which takes a moment.
fn start_maker(settings: &Settings, interrupt: &Interrupt, bars: &Bars) -> Result<Maker, Failure> {
    let _spinner = bars.spinner("starts")?;
    Maker::start(&settings.input, settings.queries).map_err(|failure| match interrupt.is_set() {
        true => Failure::Interrupted,
        false => failure,
    })
}

/// Whether all memory came back, and the manager agrees with itself.
fn is_empty(manager: &MemoryManager) -> Result<(), String> {
    manager.verify_empty().map_err(|error| error.to_string())?;
    manager.check_consistency()
}

/// The most bytes of this process that were resident, as far as the system tells.
fn process_peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn report(
    settings: &Settings,
    scenario: Scenario,
    manager: &MemoryManager,
    answers: &[Answer],
    verified: bool,
) -> Report {
    let begin = answers.iter().map(|answer| answer.begin).min();
    let end = answers.iter().map(|answer| answer.end).max();
    let duration = begin.zip(end).map(|(begin, end)| end.duration_since(begin));
    let seconds = duration.unwrap_or(Duration::ZERO).as_secs_f64();
    let sum = |of: fn(&Answer) -> u64| answers.iter().map(of).sum::<u64>();
    let some = |of: fn(&Answer) -> Option<u64>| answers.iter().filter_map(of).reduce(|a, b| a + b);
    let rows = sum(|answer| answer.numbers.rows);
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows are far below 2^53")]
    let rows_per_second = rows as f64 / seconds.max(f64::MIN_POSITIVE);
    Report {
        job: scenario,
        verified,
        rows,
        rows_out: sum(|answer| answer.numbers.rows_out),
        seconds,
        rows_per_second,
        data_bytes: sum(|answer| answer.numbers.data_bytes),
        budget_bytes: manager.capacity() as u64,
        page_bytes: manager.page_size() as u64,
        peak_pages: (manager.peak_reserved_bytes() / manager.page_size()) as u64,
        spilled_bytes: sum(|answer| answer.numbers.spilled_bytes),
        runs: some(|answer| answer.numbers.runs),
        merge_passes: answers.iter().filter_map(|answer| answer.numbers.merge_passes).max(),
        partitions: some(|answer| answer.numbers.partitions),
        peak_resident_bytes: None,
        peak_process_bytes: process_peak_bytes(),
        strategy: settings.strategy.as_str(),
        mode: settings.mode.as_str(),
        queries: match answers {
            [_] => Vec::new(),
            _ => {
                (1..).zip(answers).map(|(number, answer)| query(manager, number, answer)).collect()
            }
        },
    }
}

fn query(manager: &MemoryManager, number: usize, answer: &Answer) -> QueryReport {
    let pages = |bytes: usize| (bytes / manager.page_size()) as u64;
    let Answer { numbers, held, begin, end, verdict } = answer;
    QueryReport {
        query: number as u64,
        verified: verdict.is_ok(),
        rows: numbers.rows,
        rows_out: numbers.rows_out,
        seconds: end.duration_since(*begin).as_secs_f64(),
        spilled_bytes: numbers.spilled_bytes,
        runs: numbers.runs,
        merge_passes: numbers.merge_passes,
        partitions: numbers.partitions,
        times_asked: numbers.times_asked,
        given_bytes: numbers.given_bytes,
        pages_when_next_came: held.when_next_came.map(pages),
        pages_when_next_had_share: held.when_next_had_share.map(pages),
        least_pages: held.range.map(|(least, _)| pages(least)),
        most_pages: held.range.map(|(_, most)| pages(most)),
    }
}
