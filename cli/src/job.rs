//! The job from end to end: survey the input, sort it, check the answer.

use std::time::Instant;

use offheap::{MemoryManager, MemoryManagerBuilder, MemoryMode, Strategy};
use offheap_operators::Interrupt;
use offheap_operators::sort::{ExternalSorter, PAGES_MIN, SortStats};

use crate::args::Settings;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Report;
use crate::rows::Columns;
use crate::sampler::{Event, Sampler, Timeline};
use crate::source::{ROWS_PER_LOOK, for_each_row};
use crate::verify::{Checker, Digest};

/// The default budget is this part of the data.
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

/// What the sort leaves.
struct Sorted {
    stats: SortStats,
    seconds: f64,
    verdict: Result<(), String>,
}

/// Sorts the rows that `settings` ask for, and checks them.
pub fn run(settings: &Settings, interrupt: &Interrupt) -> Result<Outcome, Failure> {
    check_page_size(settings)?;
    // A budget that was given is tried before the work begins.
    let given = settings.memory_bytes.map(|bytes| manager_of(settings, bytes)).transpose()?;
    let survey = survey(settings, interrupt)?;
    let manager = match given {
        Some(manager) => manager,
        None => manager_of(settings, budget_for(survey.data_bytes, settings.page_bytes))?,
    };
    let sampler = Sampler::start(&manager)?;
    let sorted = sort(settings, interrupt, &manager, &sampler, &survey.digest);
    let timeline = sampler.finish()?;
    let sorted = sorted?;
    let verdict = sorted.verdict.clone().and_then(|()| is_empty(&manager));
    let report = report(settings, &manager, &survey, &sorted, &timeline, verdict.is_ok());
    let verdict = verdict.map_err(|wrong| Failure::World(format!("the sort is wrong: {wrong}")));
    Ok(Outcome { report, timeline, verdict })
}

/// Lets the manager say what a page may be, before the work begins.
fn check_page_size(settings: &Settings) -> Result<(), Failure> {
    builder(settings).capacity(settings.page_bytes).mode(MemoryMode::Heap).build()?;
    Ok(())
}

fn builder(settings: &Settings) -> MemoryManagerBuilder {
    let builder = MemoryManager::builder().page_size(settings.page_bytes);
    builder.strategy(settings.strategy).mode(settings.mode)
}

fn manager_of(settings: &Settings, budget_bytes: usize) -> Result<MemoryManager, Failure> {
    let manager = builder(settings).capacity(budget_bytes).build()?;
    if manager.total_pages() < PAGES_MIN {
        let page_bytes = settings.page_bytes;
        let needed = PAGES_MIN * page_bytes;
        return Err(Failure::Value(format!(
            "--memory: a budget of {budget_bytes} bytes is less than the {PAGES_MIN} pages of \
             {page_bytes} bytes that a sort needs, {needed} bytes"
        )));
    }
    Ok(manager)
}

/// The default budget: a part of the data, in whole pages, but no less than a sort needs.
fn budget_for(data_bytes: u64, page_bytes: usize) -> usize {
    let part = usize::try_from(data_bytes / PART_OF_DATA).unwrap_or(usize::MAX);
    (part - part % page_bytes).max(PAGES_MIN * page_bytes)
}

fn survey(settings: &Settings, interrupt: &Interrupt) -> Result<Survey, Failure> {
    let progress = Progress::new("generate", settings.input.rows_expected())?;
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

fn sort(
    settings: &Settings,
    interrupt: &Interrupt,
    manager: &MemoryManager,
    sampler: &Sampler,
    expected: &Digest,
) -> Result<Sorted, Failure> {
    let owner = manager.owner("sort").register();
    let owner = owner.map_err(|error| Failure::World(error.to_string()))?;
    let begin = Instant::now();
    let builder = ExternalSorter::builder(&owner).interrupt(interrupt.clone());
    let mut sorter = builder.spill_dir(&settings.spill_dir).build()?;

    let progress = Progress::new("sort", expected.rows)?;
    let mut row = Vec::new();
    for_each_row(&settings.input, interrupt, &progress, |columns| {
        let key = encode(columns, &mut row)?;
        let runs = sorter.stats().runs;
        sorter.push(&key, &row)?;
        if sorter.stats().runs > runs {
            sampler.note(Event::Spill);
        }
        Ok(())
    })?;
    drop(progress);

    sampler.note(Event::Merge);
    let progress = Progress::new("merge", expected.rows)?;
    let mut rows = sorter.finish()?;
    let mut checker = Checker::default();
    let mut count = 0;
    while let Some(row) = rows.next_row()? {
        checker.look_at(row.row);
        count += 1;
        if count % ROWS_PER_LOOK == 0 {
            progress.at(count);
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    Ok(Sorted { stats: rows.stats(), seconds, verdict: checker.verdict(expected) })
}

/// The row's key; its bytes replace what is in `row`.
fn encode(
    columns: &Columns<'_>,
    row: &mut Vec<u8>,
) -> Result<[u8; crate::rows::KEY_BYTES], Failure> {
    let key = columns.encode(row).and_then(|()| columns.key());
    key.ok_or_else(|| Failure::World(format!("the generator made an odd row: {columns:?}")))
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
    sorted: &Sorted,
    timeline: &Timeline,
    verified: bool,
) -> Report {
    let stats = &sorted.stats;
    #[expect(clippy::cast_precision_loss, reason = "numbers of rows are far below 2^53")]
    let rows_per_second = stats.rows as f64 / sorted.seconds.max(f64::MIN_POSITIVE);
    Report {
        job: "sort",
        verified,
        rows: stats.rows,
        seconds: sorted.seconds,
        rows_per_second,
        data_bytes: survey.data_bytes,
        budget_bytes: manager.capacity() as u64,
        page_bytes: manager.page_size() as u64,
        peak_pages: (manager.peak_reserved_memory() / manager.page_size()) as u64,
        spilled_bytes: stats.spilled_bytes,
        runs: stats.runs,
        merge_passes: stats.merge_passes,
        peak_resident_bytes: timeline.resident_peak_bytes.map(|bytes| bytes as u64),
        strategy: match settings.strategy {
            Strategy::SmallestFit => "smallest-fit",
            Strategy::LargestFit => "largest-fit",
        },
        mode: match settings.mode {
            MemoryMode::OffHeap => "off-heap",
            MemoryMode::Heap => "heap",
        },
    }
}
