//! Public words are plain: who a thing is said to be, and how long a sentence is.

use syn::visit::{self, Visit};

use crate::expect_none;
use crate::source::{Source, is_under, sources, texts};
use crate::{prose, scan};

/// What is still to be written plainly.
const UNSWEPT: &[&str] = &["include/", "src/ffi/"];

const SENTENCE_WORDS_MAX: usize = 40;
const BANNED: [&str; 4] = ["whoever", "he", "his", "him"];

/// The public documentation of a Rust file: its head, and the comments on what is `pub`. Each
/// piece has the number of its first line.
fn public_docs(source: &Source) -> Vec<(usize, String)> {
    let file = source.parsed();
    let mut docs = Docs::default();
    docs.gather(&file.attrs);
    docs.visit_file(&file);
    docs.found
}

#[derive(Default)]
struct Docs {
    found: Vec<(usize, String)>,
}

impl Docs {
    fn gather(&mut self, attributes: &[syn::Attribute]) {
        let mut piece: Option<(usize, String)> = None;
        for attribute in attributes {
            let syn::Meta::NameValue(pair) = &attribute.meta else { continue };
            let text = scan::text(&pair.value).filter(|_| pair.path.is_ident("doc"));
            let Some(text) = text else { continue };
            let (_, whole) =
                piece.get_or_insert((attribute.pound_token.spans[0].start().line, String::new()));
            whole.push_str(text.strip_prefix(' ').unwrap_or(&text));
            whole.push('\n');
        }
        self.found.extend(piece);
    }

    fn gather_if_public(&mut self, visibility: &syn::Visibility, attributes: &[syn::Attribute]) {
        if matches!(visibility, syn::Visibility::Public(_)) {
            self.gather(attributes);
        }
    }
}

impl<'ast> Visit<'ast> for Docs {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if scan::is_for_tests(scan::attributes(item)) {
            return;
        }
        let attributes = scan::attributes(item);
        match item {
            syn::Item::Const(syn::ItemConst { vis, .. })
            | syn::Item::Enum(syn::ItemEnum { vis, .. })
            | syn::Item::Fn(syn::ItemFn { vis, .. })
            | syn::Item::Mod(syn::ItemMod { vis, .. })
            | syn::Item::Static(syn::ItemStatic { vis, .. })
            | syn::Item::Struct(syn::ItemStruct { vis, .. })
            | syn::Item::Trait(syn::ItemTrait { vis, .. })
            | syn::Item::Type(syn::ItemType { vis, .. })
            | syn::Item::Union(syn::ItemUnion { vis, .. })
            | syn::Item::Use(syn::ItemUse { vis, .. }) => self.gather_if_public(vis, attributes),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        for variant in &item.variants {
            self.gather_if_public(&item.vis, &variant.attrs);
            for field in &variant.fields {
                self.gather_if_public(&item.vis, &field.attrs);
            }
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        for inner in &item.items {
            let attributes = match inner {
                syn::TraitItem::Const(inner) => &inner.attrs,
                syn::TraitItem::Fn(inner) => &inner.attrs,
                syn::TraitItem::Type(inner) => &inner.attrs,
                _ => continue,
            };
            self.gather_if_public(&item.vis, attributes);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        self.gather_if_public(&field.vis, &field.attrs);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.gather_if_public(&item.vis, &item.attrs);
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.gather_if_public(&item.vis, &item.attrs);
    }
}

/// The comments of a C or C++ header.
fn header_comments(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    let mut piece: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let opens = line.find("/*").filter(|_| !inside);
        let slashes = line.find("//").filter(|at| !inside && !line[..*at].ends_with(':'));
        let comment = match (inside, opens, slashes) {
            (true, _, _) => line.trim_start(),
            (_, Some(at), _) => &line[at..],
            (_, _, Some(at)) => &line[at..],
            _ => {
                found.extend(piece.take());
                continue;
            }
        };
        inside = (inside || opens.is_some()) && !comment.contains("*/");
        let comment = comment.split("*/").next().unwrap_or_default();
        let comment = comment.trim_start_matches(['/', '*', '!', '<']);
        let (_, whole) = piece.get_or_insert((number, String::new()));
        whole.push_str(comment.strip_prefix(' ').unwrap_or(comment));
        whole.push('\n');
        if !inside && slashes.is_none() {
            found.extend(piece.take());
        }
    }
    found.extend(piece);
    found
}

fn complaints(path: &str, pieces: &[(usize, String)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (first, text) in pieces {
        for (line, word) in prose::words(text) {
            if BANNED.contains(&word.to_lowercase().as_str()) {
                complaints.push(format!("{path}:{}: \"{word}\"", first + line));
            }
        }
        for (line, sentence) in prose::sentences(text) {
            let words = prose::count(&sentence);
            if words > SENTENCE_WORDS_MAX {
                let start: String = sentence.chars().take(50).collect();
                complaints.push(format!("{path}:{}: {words} words: {start}...", first + line));
            }
        }
    }
    complaints
}

/// The pages for people: the ones at the root, and those in `docs/`.
fn is_page(path: &str) -> bool {
    ["README.md", "CONTRIBUTING.md", "SAFETY.md"].contains(&path) || path.starts_with("docs/")
}

#[test]
fn public_words_are_plain() {
    let mut told = Vec::new();
    for source in sources() {
        told.extend(complaints(&source.path, &public_docs(&source)));
    }
    for header in texts(&["h", "hpp"]).iter().filter(|file| file.path.starts_with("include/")) {
        told.extend(complaints(&header.path, &header_comments(&header.text)));
    }
    for page in texts(&["md"]).into_iter().filter(|file| is_page(&file.path)) {
        told.extend(complaints(&page.path, &[(1, page.text)]));
    }
    expect_none(told.into_iter().filter(|complaint| !is_under(complaint, UNSWEPT)).collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_rust(text: &str) -> Vec<String> {
        complaints("x.rs", &public_docs(&Source::new("x.rs", text)))
    }

    #[test]
    fn a_banned_word_is_told_with_its_line() {
        let told =
            of_rust("//! A page.\n\n/// Given to\n/// Whoever asks, and his.\npub fn f() {}");
        assert_eq!(told, ["x.rs:4: \"Whoever\"", "x.rs:4: \"his\""]);
        assert_eq!(of_rust("//! He gives it to him.").len(), 2);
    }

    #[test]
    fn a_word_that_only_contains_one_is_none() {
        assert!(
            of_rust("//! The history of this, the thesis, then `he` and `let his = 1`.").is_empty()
        );
    }

    #[test]
    fn every_public_place_is_read() {
        for text in [
            "/// He.\npub struct S;",
            "pub struct S {\n/// He.\npub a: u8 }",
            "/// He.\npub enum E { A }",
            "pub enum E {\n/// He.\nA }",
            "pub enum E { A {\n/// He.\na: u8 } }",
            "/// He.\npub trait T {}",
            "pub trait T {\n/// He.\nfn f(); }",
            "impl S {\n/// He.\npub fn f() {} }",
            "impl S {\n/// He.\npub const C: u8 = 1; }",
            "/// He.\npub const C: u8 = 1;",
            "/// He.\npub type T = u8;",
            "mod inner {\n/// He.\npub fn f() {} }",
            "pub mod inner { //! He.\n }",
            "/** He. */\npub fn f() {}",
        ] {
            assert_eq!(of_rust(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_is_not_public_may_say_it_its_way() {
        for text in [
            "/// He.\nfn f() {}",
            "/// He.\npub(crate) fn f() {}",
            "pub struct S {\n/// He.\na: u8 }",
            "impl S {\n/// He.\npub(super) fn f() {} }",
            "enum E {\n/// He.\nA }",
            "// He.\npub fn f() {}",
            "#[cfg(test)] mod tests {\n/// He.\npub fn f() {} }",
        ] {
            assert!(of_rust(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_sentence_has_forty_words_and_no_more() {
        let words = |count: usize| format!("//! {}.", vec!["word"; count].join(" "));
        assert!(of_rust(&words(40)).is_empty());
    }

    #[test]
    fn headers_are_read_in_their_comments_alone() {
        let text = "int he;\n/** Of the\n *  page: he. */\nint x; // his\n#define A \"him\"\n";
        let text = format!("{text}// a\n// he\n");
        let told = complaints("x.h", &header_comments(&text));
        assert_eq!(told, ["x.h:3: \"he\"", "x.h:4: \"his\"", "x.h:7: \"he\""]);
    }
}
