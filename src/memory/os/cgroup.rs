//! Which groups limit this process, and in which folders their files are: the text of the system's
//! files, which `os` reads.
//!
//! # Where the limits are
//!
//! 1. `/proc/self/cgroup` has a line a hierarchy, `id:controllers:path`. That of cgroup v2 has the
//!    id 0 and no controllers; that of v1 for memory has `memory` among its controllers.
//! 2. `/proc/self/mountinfo` says where each hierarchy can be seen. A mount shows a group, its
//!    root, and all groups below it; a group's files are in a folder of its own. Of mounts at one
//!    place, only the last one shows.
//! 3. A group is limited by its own files and by those of all groups above it, so the smallest
//!    limit counts. Groups above the root of a mount do not show there.
//! 4. In a namespace both files show paths from the group that the namespace began in, which is
//!    `/`; what lies outside begins with `/..`.

/// From here on a limit of cgroup v1 means none: the kernel writes the largest multiple of its page
/// size that fits 63 bits.
const UNLIMITED_FROM: u64 = 1 << 62;

/// A kind of hierarchy, and with it the names and the form of limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    V1,
    V2,
}

/// A group that shows.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Group {
    pub(super) version: Version,
    /// The path of its folder: bytes, as the names of groups need not be text.
    folder: Vec<u8>,
    path: Vec<u8>,
}

/// A mount of a hierarchy.
struct Mount {
    version: Version,
    /// The path of the group that it shows.
    root: Vec<u8>,
    /// The path where it shows it.
    point: Vec<u8>,
}

/// The groups that this process is in which show, of the hierarchies that may have `controller`:
/// those of v2 first, and of each the nearest group first. `read` has the contents of a file, or
/// `None` where there is none.
pub(super) fn groups(
    mut read: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    controller: &[u8],
) -> Vec<Group> {
    let cgroup = read(b"/proc/self/cgroup").unwrap_or_default();
    let mountinfo = read(b"/proc/self/mountinfo").unwrap_or_default();
    let lines: Vec<_> = mountinfo.split(|byte| *byte == b'\n').collect();
    let shows = |at: usize| !lines[at + 1..].iter().any(|later| point(later) == point(lines[at]));
    let mounts = lines.iter().enumerate().filter(|(at, _)| shows(*at));
    let mut mounts: Vec<_> = mounts.filter_map(|(_, line)| mount(line, controller)).collect();
    mounts.sort_by_key(|mount| mount.version == Version::V1);
    let mut groups = Vec::new();
    for mount in mounts {
        if let Some(group) = group_of(&cgroup, mount.version, controller) {
            groups.extend(mount.groups_above(group));
        }
    }
    groups
}

/// The path of this process's group (1).
fn group_of<'a>(cgroup: &'a [u8], version: Version, controller: &[u8]) -> Option<&'a [u8]> {
    cgroup.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let found = match version {
            Version::V1 => has(controllers, controller),
            Version::V2 => id == b"0" && controllers.is_empty(),
        };
        (found && path.starts_with(b"/")).then_some(path)
    })
}

/// A line of `mountinfo`, if it mounts a hierarchy that can have `controller` (2):
/// `id parent device root point options tags... - type source options`.
fn mount(line: &[u8], controller: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let (kind, _source, options) = (rest.next()?, rest.next()?, rest.next()?);
    let version = match kind {
        b"cgroup2" => Version::V2,
        b"cgroup" if has(options, controller) => Version::V1,
        _ => return None,
    };
    Some(Mount { version, root: unescaped(root), point: unescaped(point) })
}

/// Where a line of `mountinfo` mounts something.
fn point(line: &[u8]) -> Option<&[u8]> {
    line.split(|byte| *byte == b' ').nth(4)
}

fn has(list: &[u8], controller: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|word| word == controller)
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

impl Mount {
    /// `group` and all groups above it that show here (3).
    fn groups_above(&self, group: &[u8]) -> Vec<Group> {
        let Some(mut below) = self.below_root(group) else { return Vec::new() };
        let mut groups = vec![self.group(below)];
        while let Some(slash) = below.iter().rposition(|byte| *byte == b'/') {
            below = &below[..slash];
            groups.push(self.group(below));
        }
        groups
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

    fn group(&self, below: &[u8]) -> Group {
        let path = [without_slash(&self.root), below].concat();
        let folder = [without_slash(&self.point), below].concat();
        let path = if path.is_empty() { b"/".to_vec() } else { path };
        Group { version: self.version, folder, path }
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
    /// The number that a file sets as a limit; `None` if it sets none.
    pub(super) fn limit(self, text: &[u8]) -> Option<u64> {
        let number = number(text)?;
        match self {
            Self::V1 if number >= UNLIMITED_FROM => None,
            _ => Some(number),
        }
    }
}

/// A number alone.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

impl Group {
    /// The path of a file of this group.
    pub(super) fn file(&self, name: &str) -> Vec<u8> {
        [&self.folder, b"/".as_slice(), name.as_bytes()].concat()
    }

    /// Its path, as text.
    pub(super) fn path(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_backslashes_are_written_in_octal() {
        for (field, text) in [
            (r"\040", " "),
            (r"a\134\011b", "a\\\tb"),
            (r"\", r"\"),
            (r"\04", r"\04"),
            (r"\089", r"\089"),
            (r"\777", r"\777"),
        ] {
            assert_eq!(unescaped(field.as_bytes()), text.as_bytes(), "{field}");
        }
    }
}
