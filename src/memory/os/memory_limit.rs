//! How much memory the groups of this process and the machine allow: the text of the system's
//! files, which `os` reads.
//!
//! | a file of a group | what of it counts |
//! |---|---|
//! | `memory.max` (v2) | the number, if it is one |
//! | `memory.high` (v2) | likewise: above it the group is slowed down until it hardly moves |
//! | `memory.limit_in_bytes` (v1) | the number, if it is below that for none |
//! | `memory.stat` (v1) | `hierarchical_memory_limit`, likewise: the least of it and all above it |

use crate::base::available::{AvailableMemory, MemoryLimit};

use super::cgroup::{Group, Version, groups};

/// A file that may say how much memory a group has.
#[derive(Clone, Copy)]
enum LimitFile {
    Max,
    High,
    LimitInBytes,
    Stat,
}

/// The least that applies to this process, of the limits of all its groups and the machine's RAM,
/// if anything says so. `read` has the contents of a file, or `None` where there is none.
pub(super) fn available(mut read: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<AvailableMemory> {
    let groups = groups(&mut read, b"memory");
    let ram = read(b"/proc/meminfo").and_then(|text| ram_bytes(&text));
    let mut least = ram.map(|bytes| (bytes, MemoryLimit::Ram));
    for (group, file) in limit_files(&groups) {
        let limit = read(&group.file(file.name())).and_then(|text| file.limit(&text));
        if let Some(bytes) = limit.filter(|bytes| least.as_ref().is_none_or(|(it, _)| bytes < it)) {
            least = Some((bytes, file.into_limit(group.path())));
        }
    }
    let (bytes, limit) = least?;
    Some(AvailableMemory { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), limit })
}

/// The files that may limit this process. What a file says of groups that may show elsewhere comes
/// last, so that the group is named that has the limit, if it shows.
fn limit_files(groups: &[Group]) -> impl Iterator<Item = (&Group, LimitFile)> {
    let own = groups.iter().flat_map(|group| {
        let files: &[LimitFile] = match group.version {
            Version::V1 => &[LimitFile::LimitInBytes],
            Version::V2 => &[LimitFile::Max, LimitFile::High],
        };
        files.iter().map(move |file| (group, *file))
    });
    let of_v1 = groups.iter().filter(|group| group.version == Version::V1);
    own.chain(of_v1.map(|group| (group, LimitFile::Stat)))
}

impl LimitFile {
    fn name(self) -> &'static str {
        match self {
            Self::Max => "memory.max",
            Self::High => "memory.high",
            Self::LimitInBytes => "memory.limit_in_bytes",
            Self::Stat => "memory.stat",
        }
    }

    /// The bytes that the contents of the file allow; `None` if they set no limit.
    fn limit(self, text: &[u8]) -> Option<u64> {
        match self {
            Self::Max | Self::High => Version::V2.limit(text),
            Self::LimitInBytes => Version::V1.limit(text),
            Self::Stat => {
                let mut lines = text.split(|byte| *byte == b'\n');
                let name = b"hierarchical_memory_limit ";
                Version::V1.limit(lines.find_map(|line| line.strip_prefix(name))?)
            }
        }
    }

    fn into_limit(self, group: String) -> MemoryLimit {
        match self {
            Self::Max => MemoryLimit::CgroupV2 { group },
            Self::High => MemoryLimit::CgroupV2High { group },
            Self::LimitInBytes => MemoryLimit::CgroupV1 { group },
            Self::Stat => MemoryLimit::CgroupV1Hierarchy { group },
        }
    }
}

/// The number in a line such as `MemTotal:       24684084 kB`, in bytes.
fn ram_bytes(meminfo: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(meminfo).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MIB: u64 = 1 << 20;
    /// 16 GiB.
    const MEMINFO: &str = "MemTotal:       16777216 kB\nMemFree:         123 kB\n";
    const UNLIMITED: &str = "9223372036854771712\n";
    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    /// What is said of a system of these files.
    fn of(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Option<AvailableMemory> {
        let mut all = HashMap::from([
            ("/proc/self/cgroup", cgroup),
            ("/proc/self/mountinfo", mountinfo),
            ("/proc/meminfo", MEMINFO),
        ]);
        all.extend(files.iter().copied());
        available(|path| {
            let text = all.get(std::str::from_utf8(path).unwrap())?;
            Some(text.as_bytes().to_vec())
        })
    }

    fn v2(bytes: u64, group: &str) -> Option<AvailableMemory> {
        let bytes = usize::try_from(bytes).unwrap();
        Some(AvailableMemory { bytes, limit: MemoryLimit::CgroupV2 { group: group.into() } })
    }

    fn v1(bytes: u64, group: &str) -> Option<AvailableMemory> {
        let bytes = usize::try_from(bytes).unwrap();
        Some(AvailableMemory { bytes, limit: MemoryLimit::CgroupV1 { group: group.into() } })
    }

    fn ram() -> Option<AvailableMemory> {
        Some(AvailableMemory { bytes: 16 << 30, limit: MemoryLimit::Ram })
    }

    #[test]
    fn a_limit_on_an_ancestor_alone_counts() {
        let files = [
            ("/sys/fs/cgroup/a/b/c/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "268435456\n"),
        ];
        assert_eq!(of("0::/a/b/c\n", V2, &files), v2(256 * MIB, "/a"));
    }

    #[test]
    fn the_smallest_limit_of_all_groups_counts_wherever_it_is() {
        let of_limits = |limits: [&str; 3]| {
            let paths = ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"];
            let paths = paths.map(|path| format!("{path}/memory.max"));
            let files: Vec<_> = paths.iter().map(String::as_str).zip(limits).collect();
            of("0::/a/b\n", V2, &files)
        };
        assert_eq!(of_limits(["1048576", "2097152", "3145728"]), v2(MIB, "/a/b"));
        assert_eq!(of_limits(["2097152", "1048576", "3145728"]), v2(MIB, "/a"));
        assert_eq!(of_limits(["3145728", "2097152", "1048576"]), v2(MIB, "/"));
        assert_eq!(of_limits(["1048576", "1048576", "1048576"]), v2(MIB, "/a/b"), "the nearest");
        assert_eq!(of_limits(["0\n", "max\n", "max\n"]), v2(0, "/a/b"), "nothing is a limit too");
    }

    #[test]
    fn without_a_limit_or_with_one_above_it_the_ram_counts() {
        let limited = |limit| of("0::/a\n", V2, &[("/sys/fs/cgroup/a/memory.max", limit)]);
        assert_eq!(limited("max\n"), ram());
        assert_eq!(limited("17179869184\n"), ram(), "16 GiB");
        assert_eq!(limited("17179869183\n"), v2((16 << 30) - 1, "/a"));
        assert_eq!(of("0::/a\n", V2, &[]), ram(), "a group without the controller");
        assert_eq!(of("", "", &[]), ram(), "no hierarchy at all");
    }

    #[test]
    fn the_unlimited_value_of_v1_is_no_limit() {
        let cgroup = "5:devices:/x\n4:cpu,memory:/x/y\n0::/\n";
        let limited = |own, parent| {
            let own = ("/sys/fs/cgroup/memory/x/y/memory.limit_in_bytes", own);
            let parent = ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", parent);
            of(cgroup, V1, &[own, parent])
        };
        assert_eq!(limited(UNLIMITED, "9223372036854710272"), ram(), "pages of 4 and of 64 KiB");
        assert_eq!(limited("18446744073709551615", "9223372036854775807"), ram());
        assert_eq!(limited(UNLIMITED, "268435456"), v1(256 * MIB, "/x"));
        assert_eq!(limited("1048576", "268435456"), v1(MIB, "/x/y"));
        let only_unlimited = |path: &[u8]| {
            let found = match path {
                b"/proc/self/cgroup" => cgroup,
                b"/proc/self/mountinfo" => V1,
                b"/sys/fs/cgroup/memory/memory.limit_in_bytes" => UNLIMITED,
                _ => return None,
            };
            Some(found.as_bytes().to_vec())
        };
        assert_eq!(available(only_unlimited), None, "and no RAM is known");
    }

    #[test]
    fn of_two_hierarchies_the_smaller_limit_counts() {
        let mounts = format!("{V1}22 27 0:21 / /proc rw - proc proc rw\n{V2}");
        let mounts = mounts.replace("/sys/fs/cgroup rw", "/sys/fs/cgroup/unified rw");
        let limited = |one, two| {
            let one = ("/sys/fs/cgroup/memory/legacy/memory.limit_in_bytes", one);
            let two = ("/sys/fs/cgroup/unified/new/memory.max", two);
            of("4:memory:/legacy\n1:name=systemd:/other\n0::/new\n", &mounts, &[one, two])
        };
        assert_eq!(limited("2097152", "1048576"), v2(MIB, "/new"));
        assert_eq!(limited("1048576", "2097152"), v1(MIB, "/legacy"));
        assert_eq!(limited("1048576", "1048576"), v2(MIB, "/new"), "v2 first");
        assert_eq!(limited("1048576", "max"), v1(MIB, "/legacy"));
    }

    #[test]
    fn in_a_namespace_the_root_is_the_own_group() {
        let files = [("/sys/fs/cgroup/memory.max", "1048576")];
        assert_eq!(of("0::/\n", V2, &files), v2(MIB, "/"));
        let above = V2.replace(" / /sys", " /.. /sys");
        assert_eq!(of("0::/\n", &above, &files), v2(MIB, "/.."), "mounted by the parent");
        assert_eq!(of("0::/own\n", &above, &files), v2(MIB, "/.."));
        let files = [("/sys/fs/cgroup/a/memory.max", "1048576")];
        assert_eq!(of("0::/../a\n", &above, &files), v2(MIB, "/../a"), "outside, and shown");
        let files = [("/sys/fs/cgroup/memory.max", "1"), ("/sys/fs/cgroup/../a/memory.max", "2")];
        assert_eq!(of("0::/../a\n", V2, &files), ram(), "outside, and not shown");
    }

    #[test]
    fn a_mount_of_a_part_shows_the_groups_below_its_root() {
        let part = V1.replace(" / /sys", " /docker/12 /sys");
        let files = [
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152"),
            ("/sys/fs/cgroup/memory/sub/memory.limit_in_bytes", "3145728"),
            ("/sys/fs/cgroup/memory3/memory.limit_in_bytes", "1048576"),
        ];
        assert_eq!(of("4:memory:/docker/12\n", &part, &files), v1(2 * MIB, "/docker/12"));
        assert_eq!(of("4:memory:/docker/12/sub\n", &part, &files), v1(2 * MIB, "/docker/12"));
        for elsewhere in ["/docker/123", "/docker", "/", "/other"] {
            assert_eq!(of(&format!("4:memory:{elsewhere}\n"), &part, &files), ram(), "{elsewhere}");
        }
    }

    #[test]
    fn blanks_and_backslashes_in_a_mount_are_written_in_octal() {
        let mounts = r"30 23 0:26 /a\040b /mnt/x\134y\011z rw - cgroup2 none rw";
        let files = [("/mnt/x\\y\tz/c/memory.max", "1048576")];
        assert_eq!(of("0::/a b/c\n", mounts, &files), v2(MIB, "/a b/c"));
    }

    #[test]
    fn garbage_sets_no_limit() {
        for limit in ["", "\n", "many", "-1", "1.5", "0x10", "99999999999999999999999", "1 2"] {
            let files = [("/sys/fs/cgroup/a/memory.max", limit)];
            assert_eq!(of("0::/a\n", V2, &files), ram(), "{limit:?}");
        }
        let files = [("/sys/fs/cgroup/memory.max", "1048576")];
        for cgroup in ["", "\n\n", "0", "0:", "0::", "0::relative", "1::/", "x:y:z", "::"] {
            assert_eq!(of(cgroup, V2, &files), ram(), "{cgroup:?}");
        }
        for mounts in ["", "-", "- - -", "1 2 3 4 5", "1 2 3 / /sys/fs/cgroup rw - cgroup2"] {
            assert_eq!(of("0::/\n", mounts, &files), ram(), "{mounts:?}");
        }
        let cpu_only = V1.replace("rw,memory", "rw,cpu,memory_recursiveprot");
        assert_eq!(of("4:memory:/\n", &cpu_only, &files), ram());
        for meminfo in ["", "MemTotal: 1", "MemTotal: x kB", "MemTotal: 18446744073709551615 kB"] {
            assert_eq!(ram_bytes(meminfo.as_bytes()), None, "{meminfo:?}");
        }
    }

    #[test]
    fn the_name_of_a_group_need_not_be_text() {
        let found = available(|path| match path {
            b"/proc/self/cgroup" => Some(b"0::/\xff\n".to_vec()),
            b"/proc/self/mountinfo" => Some(V2.as_bytes().to_vec()),
            b"/sys/fs/cgroup/\xff/memory.max" => Some(b"4096".to_vec()),
            _ => None,
        });
        assert_eq!(found, v2(4096, "/\u{fffd}"));
    }

    #[test]
    fn a_hierarchy_of_another_controller_sets_no_limit() {
        let cpu = "35 31 0:32 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        let files = [("/sys/fs/cgroup/cpu/x/memory.limit_in_bytes", "1048576\n")];
        assert_eq!(of("4:cpu,memory:/x\n", cpu, &files), ram());
        let memory = cpu.replace("rw,cpu", "rw,cpu,memory");
        assert_eq!(of("4:cpu,memory:/x\n", &memory, &files), v1(MIB, "/x"));
    }

    #[test]
    fn a_mount_that_another_one_covers_shows_nothing() {
        let part = V1.replace(" / /sys", " /pod/app /sys");
        let files = [
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576"),
            ("/sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "4096"),
        ];
        let own = "4:memory:/pod/app\n";
        assert_eq!(of(own, &format!("{V1}{part}"), &files), v1(MIB, "/pod/app"));
        let other = "36 31 0:33 / /sys/fs/cgroup/memory rw - tmpfs tmpfs rw\n";
        assert_eq!(of(own, &format!("{part}{other}"), &files), ram());
    }

    #[test]
    fn what_throttles_a_group_counts_as_what_stops_it_does() {
        let limited = |own_max, own_high, above_max, above_high| {
            let files = [
                ("/sys/fs/cgroup/a/b/memory.max", own_max),
                ("/sys/fs/cgroup/a/b/memory.high", own_high),
                ("/sys/fs/cgroup/a/memory.max", above_max),
                ("/sys/fs/cgroup/a/memory.high", above_high),
            ];
            of("0::/a/b\n", V2, &files)
        };
        let high = |bytes: u64, group: &str| {
            let limit = MemoryLimit::CgroupV2High { group: group.into() };
            Some(AvailableMemory { bytes: usize::try_from(bytes).unwrap(), limit })
        };
        assert_eq!(limited("max", "1048576\n", "max", "max"), high(MIB, "/a/b"));
        assert_eq!(limited("max", "max", "max", "1048576\n"), high(MIB, "/a"));
        assert_eq!(limited("2097152", "1048576", "3145728", "max"), high(MIB, "/a/b"));
        assert_eq!(limited("2097152", "3145728", "max", "1048576"), high(MIB, "/a"));
        assert_eq!(limited("1048576", "2097152", "max", "2097152"), v2(MIB, "/a/b"));
        assert_eq!(
            limited("1048576", "1048576", "max", "max"),
            v2(MIB, "/a/b"),
            "it stops at both"
        );
        assert_eq!(limited("max", "0\n", "max", "max"), high(0, "/a/b"));
    }

    #[test]
    fn the_limit_of_a_group_of_v1_that_does_not_show_is_told_by_those_that_do() {
        // As in a container: the own group is all that is mounted, and has no limit of its own.
        let part = V1.replace(" / /sys", " /pod/app /sys");
        let stat = |hierarchical: &str| {
            format!(
                "cache 0\nrss 1048576\nhierarchical_memory_limit {hierarchical}\n\
                 hierarchical_memsw_limit 4096\ntotal_cache 0\n"
            )
        };
        let limited = |own: &str, hierarchical: &str| {
            let stat = stat(hierarchical);
            let files = [
                ("/sys/fs/cgroup/memory/memory.limit_in_bytes", own),
                ("/sys/fs/cgroup/memory/memory.stat", stat.as_str()),
            ];
            of("4:memory:/pod/app\n", &part, &files)
        };
        let above = |bytes: u64, group: &str| {
            let limit = MemoryLimit::CgroupV1Hierarchy { group: group.into() };
            Some(AvailableMemory { bytes: usize::try_from(bytes).unwrap(), limit })
        };
        assert_eq!(limited(UNLIMITED, "536870912"), above(512 * MIB, "/pod/app"));
        assert_eq!(limited("1073741824", "536870912"), above(512 * MIB, "/pod/app"));
        assert_eq!(limited("536870912", "536870912"), v1(512 * MIB, "/pod/app"), "it is its own");
        assert_eq!(limited("536870912", UNLIMITED.trim()), v1(512 * MIB, "/pod/app"));
        assert_eq!(limited(UNLIMITED, UNLIMITED.trim()), ram());
        for garbage in ["", "max", "-1", "1 2", "hierarchical_memory_limit"] {
            assert_eq!(limited(UNLIMITED, garbage), ram(), "{garbage:?}");
        }
        // The group that has the limit is named where it shows.
        let stat = stat("536870912");
        let files = [
            ("/sys/fs/cgroup/memory/pod/app/memory.limit_in_bytes", UNLIMITED),
            ("/sys/fs/cgroup/memory/pod/app/memory.stat", stat.as_str()),
            ("/sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "536870912"),
            ("/sys/fs/cgroup/memory/pod/memory.stat", stat.as_str()),
        ];
        assert_eq!(of("4:memory:/pod/app\n", V1, &files), v1(512 * MIB, "/pod"));
    }
}
