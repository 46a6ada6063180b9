//! C and C++ programs that know only the installed headers and library compile and run.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and tells what it skips

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use offheap_c_tests::root;

fn run(script: &str, environment: &[(&str, &Path)], arguments: &[&Path]) -> Output {
    let output = Command::new(root().join("scripts").join(script))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(root())
        .output()
        .unwrap();
    let (out, err) = (&output.stdout, &output.stderr);
    let said = format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    assert!(output.status.success(), "{script} failed:\n{said}");
    println!("{said}");
    output
}

fn has_compiler() -> bool {
    let has = Command::new("cc").arg("--version").output().is_ok_and(|cc| cc.status.success());
    if !has {
        println!("skipped: there is no C compiler `cc`");
    }
    has
}

/// Installed for packaging, below another folder and with libraries in `lib64`; so it also works
/// from where it was not built for.
#[test]
fn programs_run_against_the_installed_library() {
    if !has_compiler() {
        return;
    }
    let packaged = tempfile::tempdir().unwrap();
    let place = [("DESTDIR", packaged.path()), ("LIBDIR", Path::new("lib64"))];
    let prefix = packaged.path().join("opt/offheap");
    run("install.sh", &place, &[Path::new("/opt/offheap")]);
    assert!(sizes(&prefix.join("lib64")) < 20 << 20, "the libraries are stripped");
    let ran = run("c.sh", &place[1..], &[&prefix]);
    let programs = String::from_utf8_lossy(&ran.stdout).lines().count();
    assert!(programs > 12, "only {programs} programs ran");

    only_our_names_are_exported(&prefix.join("lib64/liboffheap.so"));
    fs::write(prefix.join("lib64/libother.so"), "of somebody else").unwrap();
    run("install.sh", &place, &[Path::new("--uninstall"), Path::new("/opt/offheap")]);
    let left: Vec<PathBuf> = files(packaged.path());
    assert_eq!(left, [prefix.join("lib64/libother.so")], "all that was installed is gone");
}

#[test]
fn the_installer_says_what_it_does_and_refuses_what_it_cannot() {
    let help = run("install.sh", &[], &[Path::new("--help")]);
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["PREFIX", "--uninstall", "--no-strip", "LIBDIR", "INCLUDEDIR", "DESTDIR", "STRIP"]
    {
        assert!(help.contains(word), "{word} is not explained");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let prefix = nowhere.path().to_str().unwrap();
    let refused: [(&[&str], &str); 6] = [
        (&[], "lib"),
        (&[prefix, prefix], "lib"),
        (&["--what", prefix], "lib"),
        (&[prefix], "/usr/lib"),
        (&[prefix], "../lib"),
        (&["--uninstall", prefix], "lib/../.."),
    ];
    for (arguments, libdir) in refused {
        let script = root().join("scripts/install.sh");
        let output = Command::new(script).args(arguments).env("LIBDIR", libdir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} with LIBDIR={libdir}: {said}");
        assert!(said.contains("--help"), "{said}");
    }
    assert!(files(nowhere.path()).is_empty());
}

/// The files and links below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .flat_map(|entry| match entry.file_type().unwrap().is_dir() {
            true => files(&entry.path()),
            false => vec![entry.path()],
        })
        .collect()
}

fn sizes(folder: &Path) -> u64 {
    files(folder).iter().map(|file| file.symlink_metadata().unwrap().len()).sum()
}

fn only_our_names_are_exported(library: &Path) {
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(library).output();
    let Ok(nm) = nm else { return println!("skipped: there is no `nm` to list the names with") };
    let names = String::from_utf8(nm.stdout).unwrap();
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').nth(2)).collect();
    let header = offheap_c_tests::header().unwrap();
    for name in &names {
        assert!(name.starts_with("offheap_"), "{name} is exported");
        assert!(header.contains(&format!("{name}(")), "{name} is not in the header");
    }
    assert!(names.contains(&"offheap_allocate_page"), "{names:?}");
}
