//! C programs that know only the installed header and library compile and run.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop, and tells what it skips

use std::path::Path;
use std::process::{Command, Output};

use offheap_c_tests::root;

fn run(script: &str, arguments: &[&Path]) -> Output {
    let output = Command::new(root().join("scripts").join(script))
        .args(arguments)
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

#[test]
fn programs_run_against_the_installed_library() {
    if !has_compiler() {
        return;
    }
    let prefix = tempfile::tempdir().unwrap();
    run("install.sh", &[prefix.path()]);
    let ran = run("c.sh", &[prefix.path()]);
    let programs = String::from_utf8_lossy(&ran.stdout).lines().count();
    assert!(programs > 2, "only {programs} programs ran");

    only_our_names_are_exported(prefix.path());
    run("install.sh", &[Path::new("--uninstall"), prefix.path()]);
    assert!(!prefix.path().join("include/offheap.h").exists());
    assert!(!prefix.path().join("lib/liboffheap.so").exists());
}

fn only_our_names_are_exported(prefix: &Path) {
    let library = prefix.join("lib/liboffheap.so");
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
