//! Small readings of syntax: paths, `use` trees, attributes, and paths among a macro's tokens.

use proc_macro2::{TokenStream, TokenTree};

/// A path that the code mentions.
#[derive(Debug)]
pub struct Mention {
    pub path: Vec<String>,
    pub line: usize,
    /// The name of a macro that is called.
    pub is_macro: bool,
}

/// `None` for a path that starts at another crate's root.
pub fn mention(path: &syn::Path) -> Option<Mention> {
    let line = line_of(&path.segments.first()?.ident);
    let names = path.segments.iter().map(|segment| segment.ident.to_string());
    let inside = path.leading_colon.is_none();
    inside.then(|| Mention { path: names.collect(), line, is_macro: false })
}

fn line_of(name: &syn::Ident) -> usize {
    name.span().start().line
}

/// The paths among the tokens of a macro, which no parser knows the grammar of.
pub fn tokens(stream: TokenStream, found: &mut Vec<Mention>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let is_punct = |at: usize, sign: char| match trees.get(at) {
        Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
        _ => false,
    };
    let mut at = 0;
    while at < trees.len() {
        if let TokenTree::Group(group) = &trees[at] {
            tokens(group.stream(), found);
        }
        let is_member = at > 0 && is_punct(at - 1, '.') && !(at > 1 && is_punct(at - 2, '.'));
        if let (TokenTree::Ident(first), false) = (&trees[at], is_member) {
            let mut path = vec![first.to_string()];
            while is_punct(at + 1, ':') && is_punct(at + 2, ':') {
                let Some(TokenTree::Ident(next)) = trees.get(at + 3) else { break };
                path.push(next.to_string());
                at += 3;
            }
            let is_macro = is_punct(at + 1, '!') && !is_punct(at + 2, '=');
            found.push(Mention { path, line: line_of(first), is_macro });
        }
        at += 1;
    }
}

/// Calls `add` with the name, the path and the line of each import of a `use` tree; all of a
/// module comes without a name.
pub fn flatten(
    tree: &syn::UseTree,
    before: &mut Vec<String>,
    add: &mut impl FnMut(Option<String>, Vec<String>, usize),
) {
    let with = |before: &[String], name: &syn::Ident| {
        let mut path = before.to_vec();
        if name != "self" || path.is_empty() {
            path.push(name.to_string());
        }
        path
    };
    match tree {
        syn::UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, add);
            before.pop();
        }
        syn::UseTree::Name(name) => {
            let path = with(before, &name.ident);
            add(path.last().cloned(), path, line_of(&name.ident));
        }
        syn::UseTree::Rename(rename) => {
            let line = line_of(&rename.ident);
            add(Some(rename.rename.to_string()), with(before, &rename.ident), line);
        }
        syn::UseTree::Glob(glob) => {
            add(None, before.clone(), glob.star_token.spans[0].start().line);
        }
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, before, add));
        }
    }
}

pub fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether only a test build has it: `#[cfg(test)]`, `#[cfg(all(test, ...))]`, `#[test]`.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            let mut names = Vec::new();
            tokens(list.tokens.clone(), &mut names);
            let has = |name: &str| names.iter().any(|mention| mention.path == [name]);
            has("test") && !has("not") && !has("any")
        }
        _ => false,
    })
}

/// The file that `#[path = "..."]` names.
pub fn path_attribute(attributes: &[syn::Attribute]) -> Option<String> {
    attributes.iter().find_map(|attribute| match &attribute.meta {
        syn::Meta::NameValue(pair) if pair.path.is_ident("path") => text(&pair.value),
        _ => None,
    })
}

/// A string literal's text.
pub fn text(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}
