//! The job from end to end: survey the input, sort it, check the answer.

use offheap::{
    MemoryManager,
    config::{MemoryManagerBuilder, MemoryMode},
    sharing::FairShare,
};
use offheap_operators::Interrupt;
use offheap_operators::sort::{PAGES_MIN, SortError, SpillAction};

use crate::args::Settings;
use crate::company::Company;
use crate::failure::Failure;
use crate::progress::Bars;
use crate::query::{Sorted, Surroundings, run_all};
use crate::report::{QueryReport, Report};
use crate::sampler::{Sampler, Timeline};
use crate::source::{encode, for_each_row};
use crate::verify::Digest;

/// The default budget is this part of the data that a query sorts.
const PART_OF_DATA: u64 = 8;

/// What came of a job.
pub struct Outcome {
    pub report: Report,
    pub timeline: Timeline,
    /// Whether the answer is right.
    pub verdict: Result<(), Failure>,
}

/// What a first pass over the input finds out.
struct Survey {
    digest: Digest,
    data_bytes: u64,
}

/// Sorts the rows that `settings` ask for, and checks them.
pub fn run(settings: &Settings, interrupt: &Interrupt) -> Result<Outcome, Failure> {
    check_page_size(settings)?;
    check_spill_dir(settings)?;
    // A budget that was given is tried before the work begins.
    let given = settings.memory_bytes.map(|bytes| manager_of(settings, bytes)).transpose()?;
    let bars = Bars::new();
    let survey = survey(settings, interrupt, &bars)?;
    let manager = match given {
        Some(manager) => manager,
        None => manager_of(settings, budget_for(survey.data_bytes, settings))?,
    };
    let sampler = Sampler::start(&manager)?;
    let sorted = run_all(&Surroundings {
        settings,
        interrupt,
        manager: &manager,
        sampler: &sampler,
        bars: &bars,
        company: &Company::new(settings.queries, manager.capacity(), manager.page_size()),
        expected: &survey.digest,
    });
    let timeline = sampler.finish()?;
    let sorted = sorted?;
    let verdicts = sorted.iter().map(|sorted| sorted.verdict.clone());
    let verdict = verdicts.collect::<Result<(), _>>().and_then(|()| is_empty(&manager));
    let report = report(settings, &manager, &survey, &sorted, &timeline, verdict.is_ok());
    let verdict = verdict.map_err(|wrong| Failure::World(format!("the sort is wrong: {wrong}")));
    Ok(Outcome { report, timeline, verdict })
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

/// The fewest pages that the queries work with.
fn pages_min(settings: &Settings) -> usize {
    PAGES_MIN * settings.queries
}

fn manager_of(settings: &Settings, budget_bytes: usize) -> Result<MemoryManager, Failure> {
    let manager = builder(settings).capacity(budget_bytes).build()?;
    let (pages_min, page_bytes) = (pages_min(settings), settings.page_bytes);
    if manager.total_pages() < pages_min {
        let needed = pages_min * page_bytes;
        let who = match settings.queries {
            1 => "a sort needs".to_owned(),
            queries => format!("{queries} sorts need"),
        };
        return Err(Failure::Value(format!(
            "--memory: a budget of {budget_bytes} bytes is less than the {pages_min} pages of \
             {page_bytes} bytes that {who}, {needed} bytes"
        )));
    }
    Ok(manager)
}

/// The default budget: a part of the data, in whole pages, but no less than a sort needs.
fn budget_for(data_bytes: u64, settings: &Settings) -> usize {
    let part = usize::try_from(data_bytes / PART_OF_DATA).unwrap_or(usize::MAX);
    (part - part % settings.page_bytes).max(pages_min(settings) * settings.page_bytes)
}

fn survey(settings: &Settings, interrupt: &Interrupt, bars: &Bars) -> Result<Survey, Failure> {
    let progress = bars.add("generate".to_owned(), settings.input.rows_expected())?;
    let mut survey = Survey { digest: Digest::default(), data_bytes: 0 };
    let mut row = Vec::new();
    for_each_row(&settings.input, interrupt, &progress, |columns| {
        survey.digest.add(columns);
        encode(columns, &mut row)?;
        survey.data_bytes += row.len() as u64;
        Ok(())
    })?;
    Ok(survey)
}

/// Whether all memory came back, and the manager agrees with itself.
fn is_empty(manager: &MemoryManager) -> Result<(), String> {
    manager.verify_empty().map_err(|error| error.to_string())?;
    manager.check_consistency()
}

fn report(
    settings: &Settings,
    manager: &MemoryManager,
    survey: &Survey,
    sorted: &[Sorted],
    timeline: &Timeline,
    verified: bool,
) -> Report {
    let begin = sorted.iter().map(|sorted| sorted.begin).min();
    let end = sorted.iter().map(|sorted| sorted.end).max();
    let duration = begin.zip(end).map(|(begin, end)| end.duration_since(begin));
    let seconds = duration.unwrap_or_default().as_secs_f64();
    let sum = |of: fn(&Sorted) -> u64| sorted.iter().map(of).sum::<u64>();
    let rows = sum(|sorted| sorted.stats.rows);
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows are far below 2^53")]
    let rows_per_second = rows as f64 / seconds.max(f64::MIN_POSITIVE);
    Report {
        job: "sort",
        verified,
        rows,
        seconds,
        rows_per_second,
        data_bytes: survey.data_bytes * sorted.len() as u64,
        budget_bytes: manager.capacity() as u64,
        page_bytes: manager.page_size() as u64,
        peak_pages: (manager.peak_reserved_bytes() / manager.page_size()) as u64,
        spilled_bytes: sum(|sorted| sorted.stats.spilled_bytes),
        runs: sum(|sorted| sorted.stats.runs),
        merge_passes: sorted.iter().map(|sorted| sorted.stats.merge_passes).max().unwrap_or(0),
        peak_resident_bytes: timeline.resident_peak_bytes.map(|bytes| bytes as u64),
        strategy: settings.strategy.as_str(),
        mode: settings.mode.as_str(),
        queries: match sorted {
            [_] => Vec::new(),
            _ => (1..).zip(sorted).map(|(number, sorted)| query(manager, number, sorted)).collect(),
        },
    }
}

fn query(manager: &MemoryManager, number: usize, sorted: &Sorted) -> QueryReport {
    let pages = |bytes: usize| (bytes / manager.page_size()) as u64;
    let Sorted { stats, held, begin, end, verdict } = sorted;
    QueryReport {
        query: number as u64,
        verified: verdict.is_ok(),
        rows: stats.rows,
        seconds: end.duration_since(*begin).as_secs_f64(),
        spilled_bytes: stats.spilled_bytes,
        runs: stats.runs,
        merge_passes: stats.merge_passes,
        times_asked: stats.answers,
        given_bytes: stats.given_bytes,
        pages_when_next_came: held.when_next_came.map(pages),
        pages_when_next_had_share: held.when_next_had_share.map(pages),
        least_pages: held.range.map(|(least, _)| pages(least)),
        most_pages: held.range.map(|(_, most)| pages(most)),
    }
}
