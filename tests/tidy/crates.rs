//! Crates as trees of modules: what each module defines, imports and mentions, read from its text.
//!
//! What only a test build sees is left out. Methods are not followed: what `x.method()` means
//! needs types.

use std::collections::{HashMap, HashSet};

use syn::visit::{self, Visit};

use crate::scan::{self, Mention};
use crate::source::{Source, folder};

/// The modules of one crate; the first is its root.
pub struct Crate {
    pub modules: Vec<Module>,
    /// The files in which macros are defined, by name.
    pub macros: HashMap<String, String>,
}

pub struct Module {
    pub file: String,
    pub parent: Option<usize>,
    pub children: HashMap<String, usize>,
    pub items: HashSet<String>,
    pub imports: Vec<Import>,
    /// The paths in the module's code, but for those of its imports.
    pub mentions: Vec<Mention>,
    /// The types that have inherent `impl` blocks here.
    pub impls: Vec<Mention>,
}

/// One name that a `use` brings, or everything that its path has.
pub struct Import {
    pub name: Option<String>,
    pub path: Vec<String>,
    pub line: usize,
    /// Offered to others, and not by itself a use: `pub use`, `pub(crate) use`.
    pub is_facade: bool,
}

/// The crates that `sources` make up.
pub fn crates(sources: &[Source]) -> Vec<Crate> {
    let mut files = HashMap::new();
    for source in sources {
        files.insert(source.path.clone(), source.parsed());
    }
    let mut claimed = HashSet::new();
    for (path, file) in &files {
        for item in &file.items {
            if let syn::Item::Mod(item) = item {
                let as_child = module_file(&files, path, false, item);
                claimed.extend(as_child.or_else(|| module_file(&files, path, true, item)));
            }
        }
    }
    let roots = sources.iter().filter(|source| !claimed.contains(&source.path));
    roots.map(|root| Crate::read(&files, &root.path)).collect()
}

impl Crate {
    fn read(files: &HashMap<String, syn::File>, root: &str) -> Self {
        let mut reader = Reader {
            files,
            read: Self { modules: vec![Module::new(root, None)], macros: HashMap::new() },
            at: 0,
        };
        reader.visit_file(&files[root]);
        reader.read
    }
}

impl Module {
    fn new(file: &str, parent: Option<usize>) -> Self {
        Self {
            file: file.to_owned(),
            parent,
            children: HashMap::new(),
            items: HashSet::new(),
            imports: Vec::new(),
            mentions: Vec::new(),
            impls: Vec::new(),
        }
    }
}

/// The file of `mod name;` in the file `of`.
fn module_file(
    files: &HashMap<String, syn::File>,
    of: &str,
    is_root: bool,
    item: &syn::ItemMod,
) -> Option<String> {
    let name = item.ident.to_string();
    let file_name = of.rsplit('/').next().unwrap_or(of);
    let own = is_root || ["mod.rs", "lib.rs", "main.rs"].contains(&file_name);
    let place = if own { folder(of) } else { of.trim_end_matches(".rs") };
    let in_place = |rest: String| if place.is_empty() { rest } else { format!("{place}/{rest}") };
    let candidates = match scan::path_attribute(&item.attrs) {
        Some(path) => vec![joined(folder(of), &path)],
        None => vec![in_place(format!("{name}.rs")), in_place(format!("{name}/mod.rs"))],
    };
    candidates.into_iter().find(|candidate| files.contains_key(candidate))
}

/// `path` as seen from `folder`.
fn joined(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Reads one crate, module by module.
struct Reader<'a> {
    files: &'a HashMap<String, syn::File>,
    read: Crate,
    at: usize,
}

impl Reader<'_> {
    fn module(&mut self) -> &mut Module {
        &mut self.read.modules[self.at]
    }

    fn defines(&mut self, name: &syn::Ident) {
        self.module().items.insert(name.to_string());
    }

    /// Does `visit` for the child `name` of the module that is being read.
    fn child(&mut self, name: &syn::Ident, file: &str, visit: impl FnOnce(&mut Self)) {
        let parent = self.at;
        self.at = self.read.modules.len();
        self.read.modules.push(Module::new(file, Some(parent)));
        self.read.modules[parent].children.insert(name.to_string(), self.at);
        visit(self);
        self.at = parent;
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if scan::is_for_tests(scan::attributes(item)) {
            return;
        }
        match item {
            syn::Item::Const(item) => self.defines(&item.ident),
            syn::Item::Enum(item) => self.defines(&item.ident),
            syn::Item::Fn(item) => self.defines(&item.sig.ident),
            syn::Item::Static(item) => self.defines(&item.ident),
            syn::Item::Struct(item) => self.defines(&item.ident),
            syn::Item::Trait(item) => self.defines(&item.ident),
            syn::Item::Type(item) => self.defines(&item.ident),
            syn::Item::Union(item) => self.defines(&item.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if let Some((_, items)) = &item.content {
            let file = self.module().file.clone();
            self.child(&item.ident, &file, |reader| {
                items.iter().for_each(|item| reader.visit_item(item));
            });
            return;
        }
        let is_root = self.at == 0;
        let file = self.module().file.clone();
        let files = self.files;
        if let Some(path) = module_file(files, &file, is_root, item) {
            self.child(&item.ident, &path, |reader| reader.visit_file(&files[&path]));
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_some() {
            return;
        }
        let is_facade = !matches!(item.vis, syn::Visibility::Inherited);
        let mut imports = Vec::new();
        scan::flatten(&item.tree, &mut Vec::new(), &mut |name, path, line| {
            imports.push(Import { name, path, line, is_facade });
        });
        self.module().imports.extend(imports);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let (None, syn::Type::Path(own)) = (&item.trait_, &*item.self_ty) {
            self.module().impls.extend(scan::mention(&own.path));
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !scan::is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mention = scan::mention(path);
        self.module().mentions.extend(mention);
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(name) = &item.ident {
            let file = self.module().file.clone();
            self.defines(name);
            self.read.macros.insert(name.to_string(), file);
        }
        visit::visit_item_macro(self, item);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let mut mentions: Vec<_> = scan::mention(&called.path).into_iter().collect();
        mentions.iter_mut().for_each(|mention| mention.is_macro = true);
        scan::tokens(called.tokens.clone(), &mut mentions);
        self.module().mentions.extend(mentions);
    }
}
