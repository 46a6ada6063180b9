//! Where a path leads: through modules, imports and re-exports to the file that defines it.

use std::collections::HashSet;

use crate::crates::{Crate, Module};

/// What a path means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    Module(usize),
    /// An item, and the module that defines it.
    Item(usize),
}

/// A file that uses what another defines.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Use {
    pub from: String,
    pub line: usize,
    pub what: String,
    pub to: String,
}

type Seen = HashSet<(usize, Vec<String>)>;

impl Crate {
    /// The uses of one file by another.
    pub fn uses(&self) -> Vec<Use> {
        let mut uses = Vec::new();
        for (at, module) in self.modules.iter().enumerate() {
            for import in module.imports.iter().filter(|import| !import.is_facade) {
                let to = self.file_of(self.resolve(at, &import.path));
                add(&mut uses, module, import.line, &import.path, to);
            }
            for mention in &module.mentions {
                let found = self.resolve(at, &mention.path);
                let to = match (mention.is_macro, &mention.path[..]) {
                    (true, [name]) => self.macros.get(name).map(String::as_str),
                    _ => self.file_of(found),
                };
                add(&mut uses, module, mention.line, &mention.path, to);
            }
        }
        uses
    }

    /// The inherent `impl` blocks: file, line, and the file that defines the type.
    pub fn impls(&self) -> impl Iterator<Item = (&str, usize, &[String], &str)> {
        self.modules.iter().enumerate().flat_map(move |(at, module)| {
            module.impls.iter().filter_map(move |own| {
                let home = self.file_of(self.resolve(at, &own.path))?;
                Some((&module.file[..], own.line, &own.path[..], home))
            })
        })
    }

    fn file_of(&self, found: Option<Found>) -> Option<&str> {
        match found? {
            Found::Item(module) => Some(&self.modules[module].file),
            Found::Module(_) => None,
        }
    }

    /// What `path` means in the module `at`; `None` for what another crate defines.
    pub fn resolve(&self, at: usize, path: &[String]) -> Option<Found> {
        self.walk(at, path, &mut Seen::new())
    }

    fn walk(&self, at: usize, path: &[String], seen: &mut Seen) -> Option<Found> {
        // An import may lead back to itself: `use word;`, where `word` is a crate.
        if !seen.insert((at, path.to_vec())) {
            return None;
        }
        let mut found = Found::Module(at);
        for (position, name) in path.iter().enumerate() {
            let Found::Module(module) = found else { break };
            found = match name.as_str() {
                "crate" => Found::Module(0),
                "self" => found,
                "super" => Found::Module(self.modules[module].parent?),
                name => self.lookup(module, name, position + 1 == path.len(), seen)?,
            };
        }
        Some(found)
    }

    fn lookup(&self, at: usize, name: &str, is_last: bool, seen: &mut Seen) -> Option<Found> {
        let module = &self.modules[at];
        let item = module.items.contains(name).then_some(Found::Item(at));
        let child = module.children.get(name).map(|child| Found::Module(*child));
        let own = if is_last { item.or(child) } else { child.or(item) };
        own.or_else(|| {
            let named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
            named.into_iter().find_map(|import| self.walk(at, &import.path, seen))
        })
        .or_else(|| {
            let all = module.imports.iter().filter(|import| import.name.is_none());
            all.into_iter().find_map(|import| {
                match self.walk(at, &import.path, &mut seen.clone())? {
                    Found::Module(from) if from != at => {
                        let key = (from, vec!["*".to_owned(), name.to_owned()]);
                        seen.insert(key).then(|| self.lookup(from, name, is_last, seen))?
                    }
                    _ => None,
                }
            })
        })
    }
}

fn add(uses: &mut Vec<Use>, module: &Module, line: usize, path: &[String], to: Option<&str>) {
    if let Some(to) = to.filter(|to| *to != module.file) {
        let (from, what) = (module.file.clone(), path.join("::"));
        uses.push(Use { from, line, what, to: to.to_owned() });
    }
}
