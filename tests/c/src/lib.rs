//! Generates `include/offheap.h` from the functions of `src/ffi`.

use std::path::{Path, PathBuf};

use cbindgen::{Builder, DocumentationStyle, EnumConfig, Language, RenameRule, Style};

/// The files that declare something, in the order of the header.
const FILES: [&str; 15] = [
    "convert/types",
    "convert/status",
    "problem",
    "config",
    "tables/callback",
    "convert/records",
    "manager",
    "owner",
    "allocating",
    "segment",
    "worker",
    "reservation",
    "waiting",
    "reclaim",
    "pressure",
];

/// What C calls the types.
const TYPES: [(&str, &str); 25] = [
    ("Config", "offheap_config"),
    ("CoreDumps", "offheap_core_dumps"),
    ("FreeFn", "offheap_free_fn"),
    ("HugePages", "offheap_huge_pages"),
    ("Manager", "offheap_manager"),
    ("ManagerStats", "offheap_manager_stats"),
    ("Mode", "offheap_mode"),
    ("Owner", "offheap_owner"),
    ("OwnerOptions", "offheap_owner_options"),
    ("OwnerStats", "offheap_owner_stats"),
    ("Policy", "offheap_policy"),
    ("Populate", "offheap_populate"),
    ("Pressure", "offheap_pressure"),
    ("PressureFn", "offheap_pressure_fn"),
    ("ReclaimFn", "offheap_reclaim_fn"),
    ("ReclaimableFn", "offheap_reclaimable_fn"),
    ("RefusalInfo", "offheap_refusal_info"),
    ("Reservation", "offheap_reservation"),
    ("Segment", "offheap_segment"),
    ("SpillReserve", "offheap_spill_reserve"),
    ("Status", "offheap_status"),
    ("Strategy", "offheap_strategy"),
    ("Subscription", "offheap_subscription"),
    ("Worker", "offheap_worker"),
    ("ZeroPolicy", "offheap_zero_policy"),
];

/// What the generator cannot tell: the version of the package, the mark of a result that has to be
/// looked at, and constants without a value that C reads.
const CONSTANTS: &str = concat!(
    "
/**
 * The version of this header. offheap_version() is that of the library that runs.
 */
#define OFFHEAP_VERSION \"",
    env!("CARGO_PKG_VERSION"),
    "\"
#define OFFHEAP_VERSION_MAJOR ",
    env!("CARGO_PKG_VERSION_MAJOR"),
    "
#define OFFHEAP_VERSION_MINOR ",
    env!("CARGO_PKG_VERSION_MINOR"),
    "
#define OFFHEAP_VERSION_PATCH ",
    env!("CARGO_PKG_VERSION_PATCH"),
    "

/**
 * A call whose status has to be looked at: the compiler warns where it is dropped. Empty where the
 * compiler has no such warning. A program can define it as empty before it includes this file.
 */
#ifndef OFFHEAP_MUST_USE
#if (defined(__cplusplus) && __cplusplus >= 201703L) || \\
    (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define OFFHEAP_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define OFFHEAP_MUST_USE __attribute__((warn_unused_result))
#else
#define OFFHEAP_MUST_USE
#endif
#endif
/**
 * A number that is not known.
 */
#define OFFHEAP_UNKNOWN SIZE_MAX

/**
 * The limit of an owner that may hold all there is.
 */
#define OFFHEAP_NO_LIMIT SIZE_MAX"
);

/// The calls whose status may be dropped: they give something back or hint at something, and fail
/// only for a handle that is not good. All others tell what the caller has to know.
pub const MAY_BE_DROPPED: [&str; 12] = [
    "offheap_config_free",
    "offheap_manager_free",
    "offheap_owner_free",
    "offheap_worker_free",
    "offheap_reservation_free",
    "offheap_subscription_free",
    "offheap_release",
    "offheap_release_many",
    "offheap_worker_release",
    "offheap_owner_clear_reclaimer",
    "offheap_owner_set_reclaimable",
    "offheap_owner_answer_end",
];

const PREAMBLE: &str = include_str!("preamble.txt");

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The header that belongs to the code.
///
/// # Errors
///
/// What the code has that a header cannot express.
pub fn header() -> Result<String, cbindgen::Error> {
    let mut config = cbindgen::Config {
        language: Language::C,
        cpp_compat: true,
        style: Style::Type,
        header: Some(PREAMBLE.trim_end().to_owned()),
        include_guard: Some("OFFHEAP_H".to_owned()),
        no_includes: true,
        after_includes: Some(CONSTANTS.trim_end().to_owned()),
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        usize_is_size_t: true,
        documentation_style: DocumentationStyle::Doxy,
        line_length: 100,
        enumeration: EnumConfig {
            rename_variants: RenameRule::QualifiedScreamingSnakeCase,
            ..EnumConfig::default()
        },
        ..cbindgen::Config::default()
    };
    for (rust, c) in TYPES {
        config.export.rename.insert(rust.to_owned(), c.to_owned());
        config.export.include.push(rust.to_owned());
    }
    config.function.sort_by = Some(cbindgen::SortKey::None);
    let builder = FILES.iter().fold(Builder::new().with_config(config), |builder, file| {
        builder.with_src(root().join("src/ffi").join(file).with_extension("rs"))
    });
    let mut bytes = Vec::new();
    builder.generate()?.write(&mut bytes);
    Ok(tidied(&String::from_utf8_lossy(&bytes)))
}

/// The function that a line of the header declares, if it returns a status.
#[must_use]
pub fn declared(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("offheap_status ")?.split_once('(')?;
    Some(name)
}

/// The header without what only Rust needs to be told: for C the rules for pointers are at the top.
/// One empty line is left where there are several. A mark says where a status has to be looked at.
fn tidied(header: &str) -> String {
    let mut text = String::new();
    let mut in_safety = false;
    for line in header.lines() {
        if line.is_empty() && text.ends_with("\n\n") {
            continue;
        }
        if line.trim() == "* # Safety" {
            in_safety = true;
            // The line above it is empty, but for the border of the comment.
            text.truncate(text.trim_end().trim_end_matches('*').trim_end().len());
            text.push('\n');
        }
        in_safety &= !line.trim().starts_with("*/");
        if !in_safety {
            if declared(line).is_some_and(|name| !MAY_BE_DROPPED.contains(&name)) {
                text.push_str("OFFHEAP_MUST_USE\n");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}
