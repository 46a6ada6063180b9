//! The numbers as tables, to be read.

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount};

use super::{QueryReport, Report};

/// What a number says of something that does not have it.
const NONE: &str = "n/a";

/// A table of the scenarios, one of the job, and one of the queries of each if there are several.
pub fn tables(reports: &[Report], picture: &str) -> String {
    let queries = reports.iter().filter(|report| !report.queries.is_empty()).map(of_queries);
    let job = reports.last().map(|last| of_job(last, picture));
    let tables = std::iter::once(of_scenarios(reports)).chain(job).chain(queries);
    tables.map(|table| format!("{table}\n")).collect()
}

/// A line for each number, and a column for each scenario.
fn of_scenarios(reports: &[Report]) -> Table {
    let names = [
        "TPC-H",
        "rows in",
        "rows out",
        "data",
        "rows/s",
        "seconds",
        "spilled",
        "runs",
        "merge passes",
        "partitions",
        "verified",
    ];
    let columns = reports.iter().map(|report| {
        vec![
            report.job.title().to_owned(),
            count(report.rows),
            count(report.rows_out),
            HumanBytes(report.data_bytes).to_string(),
            count(whole(report.rows_per_second)),
            format!("{:.3}", report.seconds),
            HumanBytes(report.spilled_bytes).to_string(),
            some(report.runs, count),
            some(report.merge_passes, |passes| passes.to_string()),
            some(report.partitions, count),
            yes(report.verified),
        ]
    });
    let heads = reports.iter().map(|report| report.job.as_str().to_owned());
    of_columns("", heads, &names, &columns.collect::<Vec<_>>())
}

/// What the scenarios have in common.
fn of_job(last: &Report, picture: &str) -> Table {
    let numbers = [
        ("budget", bytes(last.budget_bytes)),
        ("page size", bytes(last.page_bytes)),
        ("peak pages", count(last.peak_pages)),
        ("peak resident", some(last.peak_resident_bytes, bytes)),
        ("peak of process", some(last.peak_process_bytes, bytes)),
        ("mode, strategy", format!("{}, {}", last.mode, last.strategy)),
        ("picture", picture.to_owned()),
    ];
    let (names, values): (Vec<_>, Vec<_>) = numbers.into_iter().unzip();
    of_columns("all", std::iter::once("under one budget".to_owned()), &names, &[values])
}

/// A line for each number, and a column for each query.
fn of_queries(report: &Report) -> Table {
    let names = [
        "rows in",
        "rows out",
        "seconds",
        "spilled",
        "runs",
        "merge passes",
        "partitions",
        "times asked to give back",
        "gave back",
        "pages when the next one came",
        "pages when that had its share",
        "fewest pages beside others",
        "most pages beside others",
        "verified",
    ];
    let column = |query: &QueryReport| {
        vec![
            count(query.rows),
            count(query.rows_out),
            format!("{:.3}", query.seconds),
            HumanBytes(query.spilled_bytes).to_string(),
            some(query.runs, count),
            some(query.merge_passes, |passes| passes.to_string()),
            some(query.partitions, count),
            some(query.times_asked, count),
            some(query.given_bytes, |bytes| HumanBytes(bytes).to_string()),
            some(query.pages_when_next_came, count),
            some(query.pages_when_next_had_share, count),
            some(query.least_pages, count),
            some(query.most_pages, count),
            yes(query.verified),
        ]
    };
    let columns: Vec<_> = report.queries.iter().map(column).collect();
    let heads = report.queries.iter().map(|query| format!("query {}", query.query));
    of_columns(report.job.as_str(), heads, &names, &columns)
}

/// A table of columns, without the lines in which no column has anything.
fn of_columns(
    corner: &str,
    heads: impl Iterator<Item = String>,
    names: &[&str],
    columns: &[Vec<String>],
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(std::iter::once(corner.to_owned()).chain(heads));
    for (line, name) in names.iter().enumerate() {
        let values: Vec<_> = columns.iter().map(|column| column[line].clone()).collect();
        if values.iter().any(|value| value != NONE) {
            table.add_row(std::iter::once((*name).to_owned()).chain(values));
        }
    }
    if let Some(names) = table.column_mut(0) {
        names.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn count(count: u64) -> String {
    HumanCount(count).to_string()
}

fn some<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "NO" }.to_owned()
}

/// Bytes, exact and in a unit that one can imagine.
fn bytes(bytes: u64) -> String {
    match bytes < 1024 {
        true => format!("{bytes} bytes"),
        false => format!("{} bytes ({})", HumanCount(bytes), HumanBytes(bytes)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and the cast saturates"
)]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}
