//! The house of `src/`: what lies above what, and how large a room may grow.

use std::collections::{BTreeMap, BTreeSet};

use crate::circles::repository;
use crate::crates::{Crate, crates};
use crate::expect_none;
use crate::resolve::Use;
use crate::source::{Source, is_under, sources};

/// One floor: its folder below `src/`, and its rooms, the lowest first. A room is a folder or a
/// file in the floor's folder; names in one string are one room.
struct Floor {
    folder: &'static str,
    rooms: &'static [&'static str],
}

/// The floors, the lowest first. A file uses its own room and what lies below.
const HOUSE: &[Floor] = &[
    Floor {
        folder: "base",
        rooms: &[
            "sync",
            "seeded",
            "panics threads safety_nets",
            "limits",
            "available",
            "refused",
            "error",
            "bytes members names units",
            "events sites",
        ],
    },
    Floor {
        folder: "ledger",
        rooms: &[
            "chunks",
            "hints",
            "groups",
            "free_list",
            "stock",
            "at_hand",
            "overdraft",
            "budget",
            "accounts",
            "waiting",
            "handles",
        ],
    },
    Floor {
        folder: "memory",
        rooms: &["mode", "os", "block process_heap", "advice", "departures region", "arena"],
    },
    Floor {
        folder: "owners",
        rooms: &[
            "policies",
            "sharing_state",
            "node",
            "segment",
            "sharing",
            "shares",
            "request",
            "deciding",
            "arbiter",
            "owner reservation",
            "allocation acquire worker worker_node holdings",
            "reclaim registration adjust",
            "scratch",
            "paged",
        ],
    },
    Floor {
        folder: "manager",
        rooms: &[
            "config",
            "pressure",
            "resources",
            "stats",
            "memory_manager trim builder builder_tests resize",
            "reports listening lease metrics",
            "views",
        ],
    },
    Floor {
        folder: "ffi",
        rooms: &[
            "convert",
            "tables",
            "problem config manager pressure",
            "owner allocating waiting reservation segment worker reclaim",
        ],
    },
];

/// What still uses what lies above it.
const CLIMBING: &[&str] = &[];

/// Rooms that are still to be divided.
const CROWDED: &[&str] = &[];

const ROOM_FILES_MAX: usize = 10;
/// Without unit tests.
const ROOM_LINES_MAX: usize = 1500;

/// A room's place from the ground up: floor, then room. Higher may use lower.
type Place = (usize, usize);

/// Where in `house` the file `path` lies, and the name of the room. A floor's own `mod.rs` stands
/// above its rooms, and `src/lib.rs` above all.
fn place(house: &[Floor], path: &str) -> Option<(Place, String)> {
    let path = path.strip_prefix("src/")?;
    if path == "lib.rs" {
        return Some(((usize::MAX, 0), path.to_owned()));
    }
    for (number, floor) in house.iter().enumerate() {
        let inside = match floor.folder {
            "" => Some(path),
            folder => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(name) = inside.and_then(|rest| rest.split('/').next()) else { continue };
        let name = name.trim_end_matches(".rs");
        if name == "mod" && !floor.folder.is_empty() {
            return Some(((number, usize::MAX), floor.folder.to_owned()));
        }
        let room = floor.rooms.iter().position(|room| room.split(' ').any(|own| own == name));
        if let Some(room) = room {
            let names = [floor.folder, floor.rooms[room]];
            return Some(((number, room), names.join(" ").trim().to_owned()));
        }
    }
    None
}

/// Each file that uses one in a higher room or floor, with the first such use of that file.
fn upward(house: &[Floor], uses: &[Use]) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut complaints = Vec::new();
    for Use { from, line, what, to } in uses {
        match (place(house, from), place(house, to)) {
            (Some((own, _)), Some((used, _))) if used > own && told.insert((from, to)) => {
                complaints.push(format!("{from}:{line}: {what} of {to} is above it"));
            }
            _ => {}
        }
    }
    complaints
}

/// Files without a room, and rooms without a file.
fn homeless(house: &[Floor], sources: &[Source]) -> Vec<String> {
    let core: Vec<_> = sources.iter().filter(|source| source.is_core()).collect();
    let lost = core.iter().filter(|source| place(house, &source.path).is_none());
    let mut complaints: Vec<_> =
        lost.map(|source| format!("{}: in which room?", source.path)).collect();
    for Floor { folder, rooms } in house {
        for name in rooms.iter().flat_map(|room| room.split(' ')) {
            let path = format!("src/{folder}/{name}").replace("//", "/");
            let (file, inside) = (format!("{path}.rs"), format!("{path}/"));
            if !core.iter().any(|it| it.path == file || it.path.starts_with(&inside)) {
                complaints.push(format!("{path}: a room that is not there"));
            }
        }
    }
    complaints
}

fn crowded(house: &[Floor], sources: &[Source]) -> Vec<String> {
    let mut rooms: BTreeMap<Place, (String, usize, usize)> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.path.ends_with("_tests.rs")) {
        let Some((place, name)) = place(house, &source.path) else { continue };
        let (_, files, lines) = rooms.entry(place).or_insert((name, 0, 0));
        *files += 1;
        *lines += source.code().count();
    }
    let crowded = rooms
        .into_values()
        .filter(|(_, files, lines)| *files > ROOM_FILES_MAX || *lines > ROOM_LINES_MAX);
    crowded.map(|(name, files, lines)| format!("{name}: {files} files, {lines} lines")).collect()
}

#[test]
fn every_file_has_its_room_and_every_room_a_file() {
    expect_none(homeless(HOUSE, &sources()));
}

#[test]
fn a_file_uses_its_own_room_and_those_below() {
    let uses: Vec<Use> = repository().iter().flat_map(Crate::uses).collect();
    let core: Vec<_> = uses.into_iter().filter(|used| is_under(&used.from, &["src/"])).collect();
    assert!(core.len() > 500, "only {} uses: where are the others?", core.len());
    let climbing = upward(HOUSE, &core).into_iter();
    expect_none(climbing.filter(|complaint| !is_under(complaint, CLIMBING)).collect());
}

#[test]
fn no_room_is_crowded() {
    let sources: Vec<_> =
        sources().into_iter().filter(|source| !is_under(&source.path, CROWDED)).collect();
    expect_none(crowded(HOUSE, &sources));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &[Floor] = &[
        Floor { folder: "base", rooms: &["units", "sync errors"] },
        Floor { folder: "top", rooms: &["hall", "roof"] },
    ];

    /// What is told when the file `path` of a small house has `text`.
    fn told(path: &str, text: &str) -> Vec<String> {
        let mut files = vec![
            ("src/lib.rs", "mod base; mod top; pub use top::roof::Roof; pub fn all() {}"),
            (
                "src/base/mod.rs",
                "pub mod units; pub mod sync; pub mod errors; pub use units::Unit;",
            ),
            ("src/base/units.rs", "pub struct Unit;"),
            ("src/base/sync.rs", "pub struct Lock;"),
            ("src/base/errors.rs", "pub struct Error;"),
            ("src/top/mod.rs", "pub mod hall; pub mod roof; pub struct Top;"),
            ("src/top/hall/mod.rs", "pub mod door; pub use door::Door;"),
            ("src/top/hall/door.rs", "pub struct Door;"),
            ("src/top/roof.rs", "pub struct Roof;"),
        ];
        files.iter_mut().filter(|file| file.0 == path).for_each(|file| file.1 = text);
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let uses: Vec<Use> = crates(&sources).iter().flat_map(Crate::uses).collect();
        upward(SMALL, &uses)
    }

    #[test]
    fn a_higher_floor_is_not_used_however_it_is_spelled() {
        for text in [
            "use crate::top::hall::Door;",
            "use crate::Roof;",
            "use super::super::top::roof::Roof;",
            "fn f(_: Option<crate::top::Top>) {}",
            "fn f() { println!(\"{}\", crate::all()) }",
            "use crate::{base::units::Unit, top::{hall::{door::{Door as Other}}}};",
        ] {
            assert_eq!(told("src/base/sync.rs", text).len(), 1, "{text}");
        }
        let place = "src/base/sync.rs:2: crate::Roof of src/top/roof.rs is above it";
        let twice = "\nuse crate::Roof;\nuse crate::top::roof::Roof as Other;";
        assert_eq!(told("src/base/sync.rs", twice), [place]);
    }

    #[test]
    fn a_higher_room_of_the_floor_is_not_used() {
        assert_eq!(told("src/base/units.rs", "use super::sync::Lock; pub struct Unit;").len(), 1);
        assert_eq!(
            told("src/top/hall/door.rs", "use crate::top::roof::Roof; pub struct Door;").len(),
            1
        );
        assert_eq!(
            told("src/top/hall/door.rs", "use super::super::Top; pub struct Door;").len(),
            1
        );
    }

    #[test]
    fn what_lies_below_and_beside_is_used() {
        let text = "use crate::{Roof, base::{Unit, sync::Lock}, top::hall::Door}; pub struct Roof;";
        assert!(told("src/top/roof.rs", text).is_empty());
        assert!(
            told("src/base/sync.rs", "use super::{errors::Error, Unit}; pub struct Lock;")
                .is_empty()
        );
    }

    #[test]
    fn a_file_without_a_room_is_told_and_a_room_without_a_file() {
        let paths = ["base/units.rs", "base/sync/mod.rs", "base/errors.rs", "top/hall/a.rs"];
        let file = |path: &str| Source::new(&format!("src/{path}"), "");
        let mut sources = paths.map(file).to_vec();
        assert_eq!(homeless(SMALL, &sources), ["src/top/roof: a room that is not there"]);
        sources.extend(["top/roof.rs", "attic.rs"].map(file));
        assert_eq!(homeless(SMALL, &sources), ["src/attic.rs: in which room?"]);
    }

    #[test]
    fn a_room_has_ten_files_and_no_more() {
        let files = |count: usize| -> Vec<Source> {
            let path = |number| format!("src/top/hall/f{number}.rs");
            (0..count).map(|number| Source::new(&path(number), "fn f() {}\n")).collect()
        };
        assert!(crowded(SMALL, &files(10)).is_empty());
        assert_eq!(crowded(SMALL, &files(11)), ["top hall: 11 files, 11 lines"]);
    }

    #[test]
    fn a_room_has_1500_lines_without_its_tests_and_no_more() {
        let hall = |lines: usize| {
            let text = "fn f() {}\n".repeat(lines) + "#[cfg(test)]\nmod tests {\n}\n";
            let tests = Source::new("src/top/hall/door_tests.rs", &"\n".repeat(99));
            [Source::new("src/top/hall/door.rs", &text), tests]
        };
        assert!(crowded(SMALL, &hall(1499)).is_empty());
        assert_eq!(crowded(SMALL, &hall(1500)), ["top hall: 1 files, 1501 lines"]);
    }
}
