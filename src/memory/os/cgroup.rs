//! Where a container says how much memory it allows: the text of the system's files, which
//! `os` reads.
//!
//! # Where the limits are
//!
//! 1. `/proc/self/cgroup` has a line a hierarchy, `id:controllers:path`. That of cgroup v2 has the
//!    id 0 and no controllers; that of v1 for memory has `memory` among its controllers.
//! 2. `/proc/self/mountinfo` says where each hierarchy can be seen. A mount shows a group, its
//!    root, and all groups below it; a group's files are in a folder of its own.
//! 3. A group is limited by its own file and by those of all groups above it, so the smallest
//!    counts. Groups above the root of a mount do not show there.
//! 4. In a namespace both files show paths from the group that the namespace began in, which is
//!    `/`; what lies outside begins with `/..`.

use crate::base::available::{AvailableMemory, MemoryLimit};

/// From here on a limit of cgroup v1 means none: the kernel writes the largest multiple of its page
/// size that fits 63 bits.
const UNLIMITED_FROM: u64 = 1 << 62;

/// A kind of hierarchy, and with it the file and the form of a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    V1,
    V2,
}

/// A file that may say how much memory a group has.
#[derive(PartialEq, Eq, Debug)]
struct LimitFile {
    version: Version,
    /// Its path: bytes, as the names of groups need not be text.
    path: Vec<u8>,
    group: Vec<u8>,
}

/// A mount of a hierarchy.
struct Mount {
    version: Version,
    /// The path of the group that it shows.
    root: Vec<u8>,
    /// The path where it shows it.
    point: Vec<u8>,
}

/// The least that applies to this process, of the limits of all its groups and the machine's RAM,
/// if anything says so. `read` has the contents of a file, or `None` where there is none.
pub(crate) fn available(mut read: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Option<AvailableMemory> {
    let cgroup = read(b"/proc/self/cgroup").unwrap_or_default();
    let mountinfo = read(b"/proc/self/mountinfo").unwrap_or_default();
    let ram = read(b"/proc/meminfo").and_then(|text| ram_bytes(&text));
    let mut least = ram.map(|bytes| (bytes, MemoryLimit::Ram));
    for file in limit_files(&cgroup, &mountinfo) {
        let limit = read(&file.path).and_then(|text| file.version.limit(&text));
        if let Some(bytes) = limit.filter(|bytes| least.as_ref().is_none_or(|(it, _)| bytes < it)) {
            least = Some((bytes, file.into_limit()));
        }
    }
    let (bytes, limit) = least?;
    Some(AvailableMemory { bytes: usize::try_from(bytes).unwrap_or(usize::MAX), limit })
}

/// The files that may limit this process: those of v2 first, and of each the nearest group first.
fn limit_files(cgroup: &[u8], mountinfo: &[u8]) -> Vec<LimitFile> {
    let mut mounts: Vec<_> = mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect();
    mounts.sort_by_key(|mount| mount.version == Version::V1);
    let mut files = Vec::new();
    for mount in mounts {
        if let Some(group) = group_of(cgroup, mount.version) {
            files.extend(mount.files_above(group));
        }
    }
    files
}

/// The path of this process's group (1).
fn group_of(cgroup: &[u8], version: Version) -> Option<&[u8]> {
    cgroup.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let found = match version {
            Version::V1 => has_memory(controllers),
            Version::V2 => id == b"0" && controllers.is_empty(),
        };
        (found && path.starts_with(b"/")).then_some(path)
    })
}

/// A line of `mountinfo`, if it mounts a hierarchy that can limit memory (2):
/// `id parent device root point options tags... - type source options`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, _source, options) = (rest.next()?, rest.next()?, rest.next()?);
    let version = match kind {
        b"cgroup2" => Version::V2,
        b"cgroup" if has_memory(options) => Version::V1,
        _ => return None,
    };
    Some(Mount { version, root: unescaped(root), point: unescaped(point) })
}

fn has_memory(list: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|word| word == b"memory")
}

/// A field of `mountinfo`, in which blanks and backslashes are written in octal: `\040`.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escaped = (*first == b'\\').then(|| octal(after)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    bytes
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..3)?).ok()?;
    let is_octal = digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    is_octal.then(|| u8::from_str_radix(digits, 8).ok()).flatten()
}

/// The number in a line such as `MemTotal:       24684084 kB`, in bytes.
fn ram_bytes(meminfo: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(meminfo).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

impl Mount {
    /// The files of `group` and of all groups above it that show here (3).
    fn files_above(&self, group: &[u8]) -> Vec<LimitFile> {
        let Some(mut below) = self.below_root(group) else { return Vec::new() };
        let mut files = vec![self.file(below)];
        while let Some(slash) = below.iter().rposition(|byte| *byte == b'/') {
            below = &below[..slash];
            files.push(self.file(below));
        }
        files
    }

    /// The path of `group` from the root of the mount: empty for the root itself, and otherwise
    /// with a slash in front. `None` if it does not show here.
    fn below_root<'a>(&self, group: &'a [u8]) -> Option<&'a [u8]> {
        if self.levels_above_the_namespace() > levels_up(group) {
            // Of the groups between the root and this one, some names do not show.
            return Some(b"");
        }
        let below = group.strip_prefix(without_slash(&self.root))?;
        let below = without_slash(below);
        let is_path = below.is_empty() || below.starts_with(b"/");
        (is_path && levels_up(below) == 0).then_some(below)
    }

    /// How far the root lies above the group that the namespace began in (4), if it does.
    fn levels_above_the_namespace(&self) -> usize {
        let levels = levels_up(&self.root);
        if self.root.len() == levels * b"/..".len() { levels } else { 0 }
    }

    fn file(&self, below: &[u8]) -> LimitFile {
        let name: &[u8] = match self.version {
            Version::V1 => b"/memory.limit_in_bytes",
            Version::V2 => b"/memory.max",
        };
        let group = [without_slash(&self.root), below].concat();
        let path = [without_slash(&self.point), below, name].concat();
        let group = if group.is_empty() { b"/".to_vec() } else { group };
        LimitFile { version: self.version, path, group }
    }
}

fn without_slash(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

/// How often a path begins with `/..`.
fn levels_up(path: &[u8]) -> usize {
    path.split(|byte| *byte == b'/').skip(1).take_while(|name| *name == b"..").count()
}

impl Version {
    /// The bytes that the contents of a limit file allow; `None` if they set no limit.
    fn limit(self, text: &[u8]) -> Option<u64> {
        let number = std::str::from_utf8(text).ok()?.trim().parse::<u64>().ok()?;
        match self {
            Self::V1 if number >= UNLIMITED_FROM => None,
            _ => Some(number),
        }
    }
}

impl LimitFile {
    fn into_limit(self) -> MemoryLimit {
        let group = String::from_utf8_lossy(&self.group).into_owned();
        match self.version {
            Version::V1 => MemoryLimit::CgroupV1 { group },
            Version::V2 => MemoryLimit::CgroupV2 { group },
        }
    }
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
        for (field, text) in
            [(r"\", r"\"), (r"\04", r"\04"), (r"\089", r"\089"), (r"\777", r"\777")]
        {
            assert_eq!(unescaped(field.as_bytes()), text.as_bytes(), "{field}");
        }
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
}
