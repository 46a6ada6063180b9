//! An inherent `impl` stands in the folder of its type, so that no type is spread over the house.

use crate::circles::repository;
use crate::crates::Crate;
use crate::expect_none;
use crate::source::{folder, is_under};

/// What is still to be brought home.
const STRAYED: &[&str] = &[];

fn strayed(read: &Crate) -> Vec<String> {
    let away = read.impls().filter(|(file, _, _, home)| folder(file) != folder(home));
    away.map(|(file, line, own, home)| {
        format!("{file}:{line}: `impl {}`, and the type is in {home}", own.join("::"))
    })
    .collect()
}

#[test]
fn an_inherent_impl_stands_in_the_folder_of_its_type() {
    let impls: usize = repository().iter().map(|read| read.impls().count()).sum();
    assert!(impls > 200, "only {impls} impls: where are the others?");
    let strayed = repository().iter().flat_map(strayed);
    expect_none(strayed.filter(|complaint| !is_under(complaint, STRAYED)).collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crates::crates;
    use crate::source::Source;

    fn told(away: &str) -> Vec<String> {
        let files = [
            ("src/lib.rs", "mod home; mod away;"),
            (
                "src/home/mod.rs",
                "mod guest; pub mod thing; pub use thing::Thing; pub use thing::Other;",
            ),
            ("src/home/thing.rs", "pub struct Thing<T>(T); pub enum Other {} impl<T> Thing<T> {}"),
            ("src/home/guest.rs", "use super::Thing; impl Thing<u8> { fn f() {} }"),
            ("src/away/mod.rs", away),
        ];
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        crates(&sources).iter().flat_map(strayed).collect()
    }

    #[test]
    fn an_impl_in_another_folder_is_told() {
        let complaint = "src/away/mod.rs:2: `impl Thing`, and the type is in src/home/thing.rs";
        let told =
            told("use crate::home::Thing;\nimpl<T: Copy> Thing<T> where T: Send { fn g() {} }");
        assert_eq!(told, [complaint]);
    }

    #[test]
    fn a_path_to_the_type_counts_like_its_name() {
        assert_eq!(told("impl crate::home::thing::Other {}").len(), 1);
        assert_eq!(told("use crate::home as house; impl house::Other {}").len(), 1);
    }

    #[test]
    fn a_trait_is_implemented_anywhere() {
        assert!(told("use crate::home::Thing; impl<T> Clone for Thing<T> {}").is_empty());
    }

    #[test]
    fn a_type_of_the_same_name_is_another_type() {
        assert!(told("struct Thing; impl Thing {}").is_empty());
        assert!(told("mod inner { pub struct Thing; } use inner::Thing; impl Thing {}").is_empty());
    }
}
