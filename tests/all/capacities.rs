//! Capacities that are a fraction of what the process may use.

use offheap::{
    MemoryManager,
    config::{CapacitySource, MemoryManagerBuilder, MemoryMode},
    error::ConfigError,
};

fn heap() -> MemoryManagerBuilder {
    MemoryManager::builder().mode(MemoryMode::Heap)
}

#[test]
fn a_bad_fraction_is_refused_by_name() {
    for fraction in [0.0, -0.0, -0.5, 1.000_000_1, 2.0, f64::NAN, f64::INFINITY, -f64::INFINITY] {
        let refused = heap().fraction_of_available(fraction).build().unwrap_err();
        let text = format!(
            "a capacity of {fraction} of the available memory is not a fraction above 0 and at \
             most 1"
        );
        assert_eq!(refused.to_string(), text);
        assert!(matches!(refused, ConfigError::CapacityFraction { .. }));
    }
}

#[test]
fn the_capacity_that_was_named_last_counts() {
    let named = heap().fraction_of_available(7.0).capacity(1 << 20).build().unwrap();
    assert_eq!((named.capacity(), named.capacity_source()), (1 << 20, &CapacitySource::Named));
    let refused = heap().capacity(1 << 20).fraction_of_available(7.0).build().unwrap_err();
    assert!(matches!(refused, ConfigError::CapacityFraction { fraction: 7.0 }), "{refused}");
}

#[test]
#[cfg(not(all(target_os = "linux", not(offheap_portable))))]
fn where_it_cannot_be_told_a_fraction_is_refused() {
    let refused = heap().fraction_of_available(0.5).build().unwrap_err();
    let text = "cannot tell how much memory is available: it is known on Linux only";
    assert_eq!(refused.to_string(), text);
}

#[cfg(all(target_os = "linux", not(offheap_portable)))]
mod on_this_machine {
    use std::error::Error;
    use std::fs;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use offheap::config::{AvailableMemory, CapacitySource, MemoryLimit};

    use super::*;

    fn source(manager: &MemoryManager) -> (f64, AvailableMemory) {
        match manager.capacity_source() {
            CapacitySource::Fraction { fraction, available } => (*fraction, available.clone()),
            other => panic!("{other}"),
        }
    }

    fn ram_bytes() -> usize {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
        let line = meminfo.lines().find(|line| line.starts_with("MemTotal:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }

    #[test]
    fn a_fraction_is_taken_of_what_there_is_in_both_modes() {
        for mode in [MemoryMode::Heap, MemoryMode::OffHeap] {
            let builder = MemoryManager::builder().mode(mode).fraction_of_available(0.25);
            let manager = builder.build().unwrap();
            let (fraction, available) = source(&manager);
            assert!(available.bytes <= ram_bytes(), "{available}");
            assert!(available.limit != MemoryLimit::Ram || available.bytes == ram_bytes());
            assert_eq!((fraction, manager.capacity()), (0.25, available.bytes / 4));
            let text = format!("a fraction of 0.25 of the {} bytes ", available.bytes);
            assert!(manager.capacity_source().to_string().starts_with(&text));
            let owner = manager.owner("owner").register().unwrap();
            assert_eq!(owner.allocate_page().unwrap().size(), manager.page_size());
        }
    }

    #[test]
    fn a_fraction_that_holds_no_page_is_refused_with_what_it_is_of() {
        let available = source(&heap().fraction_of_available(1.0).build().unwrap()).1;
        let refused = heap().fraction_of_available(1e-10).build().unwrap_err();
        let bytes = available.bytes / 10_000_000_000;
        let text = format!(
            "a capacity of {bytes} bytes does not hold one page of 32768 bytes; the capacity is a \
             fraction of 0.0000000001 of the {available}"
        );
        assert_eq!(refused.to_string(), text);
        assert!(refused.source().is_none());
        // What has nothing to do with the capacity is said as always.
        let refused = heap().fraction_of_available(0.5).page_size(5).build().unwrap_err();
        assert!(matches!(refused, ConfigError::PageSize { page_bytes: 5 }), "{refused}");
    }

    /// Two groups, one in the other, of which the outer one has a limit.
    struct Groups {
        outer: PathBuf,
        inner: PathBuf,
    }

    const LIMIT: usize = 64 << 20;

    impl Groups {
        /// Makes them where this machine lets it.
        fn new(name: &str) -> Option<Self> {
            let v1 = (Path::new("/sys/fs/cgroup/memory"), "memory.limit_in_bytes");
            let v2 = (Path::new("/sys/fs/cgroup"), "memory.max");
            [v2, v1].into_iter().find_map(|(root, file)| {
                let outer = root.join(format!("offheap-{name}-{}", std::process::id()));
                let groups = Self { inner: outer.join("inner"), outer };
                fs::create_dir(&groups.outer).ok()?;
                // The kernel makes the file, if the group can have a limit.
                let limit = fs::OpenOptions::new().write(true).open(groups.outer.join(file));
                limit.ok()?.write_all(LIMIT.to_string().as_bytes()).ok()?;
                fs::create_dir(&groups.inner).ok()?;
                Some(groups)
            })
        }
    }

    impl Drop for Groups {
        fn drop(&mut self) {
            // Those that could not be made cannot be removed.
            let _ = fs::remove_dir(&self.inner);
            let _ = fs::remove_dir(&self.outer);
        }
    }

    const IN_A_GROUP: &str = "OFFHEAP_TEST_IN_A_GROUP";

    /// Runs itself again in a group without a limit of its own.
    #[test]
    fn the_limit_of_a_group_above_the_own_one_counts() {
        if std::env::var_os(IN_A_GROUP).is_some() {
            let manager = heap().fraction_of_available(0.5).build().unwrap();
            let (_, available) = source(&manager);
            assert_eq!((available.bytes, manager.capacity()), (LIMIT, LIMIT / 2));
            let text = manager.capacity_source().to_string();
            assert!(text.contains("67108864 bytes that the container allows (memory."), "{text}");
            let (MemoryLimit::CgroupV1 { group } | MemoryLimit::CgroupV2 { group }) =
                available.limit
            else {
                panic!("{text}")
            };
            assert!(group.contains("/offheap-above-") && !group.contains("inner"), "{group}");
            // A limit that has changed is found by the next manager.
            let outer = Path::new(&std::env::var_os(IN_A_GROUP).unwrap()).to_owned();
            let file = ["memory.max", "memory.limit_in_bytes"].map(|file| outer.join(file));
            let file = file.iter().find(|file| file.exists()).unwrap();
            fs::write(file, (LIMIT / 2).to_string()).unwrap();
            let manager = heap().fraction_of_available(0.5).build().unwrap();
            assert_eq!((source(&manager).1.bytes, manager.capacity()), (LIMIT / 2, LIMIT / 4));
            return;
        }
        let Some(groups) = Groups::new("above") else {
            return eprintln!("skipped: this machine lets nobody make a group with a limit");
        };
        let test = "capacities::on_this_machine::the_limit_of_a_group_above_the_own_one_counts";
        let script = "echo $$ >\"$1/cgroup.procs\" && exec \"$0\" --exact \"$2\"";
        again(script, &groups.inner, test);
    }

    /// Runs a test of this program again by a script, in a group.
    fn again(script: &str, group: &Path, test: &str) {
        let mut child = Command::new("sh");
        child.args(["-c", script]).arg(std::env::current_exe().unwrap());
        child.arg(group).arg(test).env(IN_A_GROUP, group.parent().unwrap());
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    }

    /// As in a container with cgroup v1: only the own group is mounted, and that has no limit.
    #[test]
    fn the_limit_of_a_group_of_v1_that_does_not_show_counts() {
        const V1: &str = "/sys/fs/cgroup/memory";
        if std::env::var_os(IN_A_GROUP).is_some() {
            let (_, available) = source(&heap().fraction_of_available(0.5).build().unwrap());
            assert_eq!(available.bytes, LIMIT, "{available}");
            let MemoryLimit::CgroupV1Hierarchy { group } = &available.limit else {
                panic!("{available}")
            };
            assert!(group == "/" || group.ends_with("/inner"), "{group}");
            return;
        }
        let groups = Groups::new("hidden").filter(|groups| groups.outer.starts_with(V1));
        let Some(groups) = groups else {
            return eprintln!("skipped: this machine lets nobody make a group of v1 with a limit");
        };
        let may_mount = Command::new("unshare").args(["-m", "-C", "true"]).status();
        if !may_mount.is_ok_and(|status| status.success()) {
            return eprintln!("skipped: this machine lets nobody have mounts of its own");
        }
        let test = "capacities::on_this_machine::\
                    the_limit_of_a_group_of_v1_that_does_not_show_counts";
        let enter = "echo $$ >\"$1/cgroup.procs\" && exec unshare -m";
        let run = "exec \"$0\" --exact \"$2\"";
        for (namespace, mount) in [
            ("", format!("mount --bind \"$1\" {V1}")),
            ("-C", format!("umount {V1} && mount -t cgroup -o memory cgroup {V1}")),
        ] {
            let script =
                format!("{enter} {namespace} sh -c '{mount} && {run}' \"$0\" \"$1\" \"$2\"");
            again(&script, &groups.inner, test);
        }
    }
}
