//! Names of owners and resources that come from far away: they cannot forge a line of a log, the
//! end of a quotation, or another owner's path, and are not longer than they may be.

use std::convert::Infallible;

use offheap::error::LeaseError;
use offheap::{MemoryManager, Owner};

use crate::support::{PAGE, assert_empty, in_both_modes, manager};

/// A name that does all of it, and how it is shown.
const FORGED: &str = "x\n2026-01-01 ERROR `root`/admin\r\u{202e}\x1b[2J";
const SHOWN: &str = r"x\n2026-01-01 ERROR \u{60}root\u{60}\u{2f}admin\r\u{202e}\u{1b}[2J";

/// What no text may have that goes to a log.
fn assert_one_line(text: &str) {
    let bad = text.chars().find(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(c));
    assert_eq!(bad, None, "{text:?}");
    let quotes = text.chars().filter(|c| *c == '`').count();
    assert_eq!(quotes % 2, 0, "{text:?}");
}

/// All that tells of a manager's owners in text.
fn texts(manager: &MemoryManager, owner: &Owner) -> Vec<String> {
    let mut texts = vec![owner.path().into(), owner.name().into(), format!("{owner:?}")];
    texts.push(format!("{:?}", manager.owner(FORGED)));
    texts.push(format!("{:?}", owner.child(FORGED)));
    texts.push(owner.allocate(usize::MAX).unwrap_err().to_string());
    texts.push(owner.reserve_memory(100 * PAGE).unwrap_err().to_string());
    let registered = |builder: offheap::config::OwnerBuilder| {
        builder.register().map(drop).unwrap_err().to_string()
    };
    texts.push(registered(owner.child(FORGED).minimum(2).limit(1)));
    texts.push(registered(owner.child(FORGED).minimum(usize::MAX)));
    let held = owner.allocate_page().unwrap();
    texts.push(held.owner_path().into());
    texts.push(format!("{held:?}"));
    texts.extend(manager.leaks().map(|leak| leak.to_string()));
    texts.extend(manager.stats().owners.iter().map(|owner| owner.path.to_string()));
    texts
}

#[test]
fn a_name_cannot_forge_a_line_a_quotation_or_a_path() {
    in_both_modes(|mode| {
        let manager = manager(mode, 8, PAGE);
        let parent = manager.owner(FORGED).register().unwrap();
        let owner = parent.child(FORGED).register().unwrap();
        assert_eq!((parent.path(), owner.name()), (SHOWN, SHOWN));
        assert_eq!(owner.path(), format!("{SHOWN}/{SHOWN}"));
        assert_eq!(owner.path().split('/').count(), 2, "a slash is between two names");
        let texts = texts(&manager, &owner);
        texts.iter().for_each(|text| assert_one_line(text));
        let named = texts.iter().filter(|text| text.replace(r"\\", r"\").contains(SHOWN)).count();
        assert_eq!(named, texts.len(), "{texts:#?}");
        assert_empty(&manager);
    });
}

#[test]
fn a_name_is_not_longer_than_it_may_be() {
    let manager = manager(offheap::config::MemoryMode::Heap, 8, PAGE);
    let long = manager.owner("日".repeat(1 << 20)).register().unwrap();
    assert_eq!(long.name(), "日".repeat(84) + "…");
    assert_eq!(long.name().len(), 255);
    let mut owner = long;
    for _ in 1..16 {
        owner = owner.child("\n".repeat(1 << 10)).register().unwrap();
    }
    assert!(owner.path().len() < 16 * 256, "{}", owner.path().len());
    assert!(owner.allocate(9 * PAGE).unwrap_err().to_string().len() < 16 * 256 + 200);
}

#[test]
fn names_of_resources_are_shown_like_those_of_owners_and_told_apart_as_they_were_given() {
    let manager = manager(offheap::config::MemoryMode::Heap, 8, PAGE);
    let open = |bytes| Ok::<_, Infallible>(bytes);
    let lease = manager.lease(FORGED, PAGE, open).unwrap();
    assert_eq!(&*manager.shared_resources()[0].name, SHOWN);
    assert_eq!(&*manager.stats().owners[0].path, SHOWN);
    let other = manager.lease(FORGED, PAGE, |_| Ok::<_, Infallible>("text")).unwrap_err();
    assert_one_line(&other.to_string());
    assert!(matches!(other, LeaseError::OtherType { name, .. } if &*name == SHOWN));
    let failed = manager.lease("a`b\n", PAGE, |_| Err::<(), _>("no")).unwrap_err();
    assert_one_line(&failed.to_string());
    let refused = manager.lease("c\u{7}", 9 * PAGE, open).unwrap_err();
    assert_one_line(&refused.to_string());
    // What is shown as the same need not be the same.
    let [one, two] = ["1", "2"].map(|end| "x".repeat(300) + end);
    let one = manager.lease(&one, PAGE, open).unwrap();
    let two = manager.lease(&two, 2 * PAGE, open).unwrap();
    assert_eq!((*one, *two), (PAGE, 2 * PAGE), "each is one of its own");
    let names: Vec<_> = manager.shared_resources().into_iter().map(|it| it.name).collect();
    assert_eq!(names[1], names[2]);
    drop((lease, one, two));
    assert!(manager.shared_resources().is_empty());
    assert_empty(&manager);
}
