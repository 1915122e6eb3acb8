//! Reads the import graph of a crate from its source text. The nodes of the graph are files.
//!
//! Paths are resolved by the rules of the compiler, as far as the source text alone allows: `crate`, `self`, `super`,
//! names of child modules, imported names, nested braces and globs. A path to a re-export is resolved to the file that
//! defines the item. Comments, literals and items under `#[cfg(test)]` are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Returns the Rust files in a folder and its subfolders.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// A path as a list of names, starting at the root of the crate.
type Segments = Vec<String>;

/// A source file, which is a module of the crate.
#[derive(Default)]
struct Module {
    /// The file, relative to the folder `src`.
    file: String,
    /// The path of each imported name.
    names: BTreeMap<String, Segments>,
    /// The paths in the imports and in the code of the file, without paths to other crates. The path of a glob import
    /// ends in `*`.
    paths: Vec<Segments>,
    /// True if the file defines an item other than modules and re-exports.
    defines: bool,
}

/// The import graph of a crate.
pub struct Graph {
    /// For each file, the files from which it imports. File names are relative to the folder `src`.
    pub imports: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads the source files of a crate in the folder `src`.
    pub fn read(src: &Path) -> Self {
        let mut texts: BTreeMap<Segments, (String, String)> = BTreeMap::new();
        for path in sources(src) {
            let file = path.strip_prefix(src).unwrap().to_str().unwrap().replace('\\', "/");
            let mut module: Segments = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if matches!(module.last().unwrap().as_str(), "mod" | "lib") {
                module.pop();
            }
            if !matches!(module.last().map(String::as_str), Some("main" | "tests")) {
                let code = without_tests(&without_comments(&std::fs::read_to_string(&path).unwrap()));
                texts.insert(module, (file, code));
            }
        }
        let files: BTreeSet<Segments> = texts.keys().cloned().collect();
        let modules: BTreeMap<Segments, Module> = texts
            .into_iter()
            .map(|(path, (file, code))| (path.clone(), read_module(&path, file, &code, &files)))
            .collect();
        let mut imports = BTreeMap::new();
        for module in modules.values() {
            let mut found = BTreeSet::new();
            if module.defines {
                for path in &module.paths {
                    targets(path, &modules, 0, &mut found);
                }
                found.remove(&module.file);
            }
            imports.insert(module.file.clone(), found);
        }
        Self { imports }
    }

    /// Returns each set of two or more files that import each other, directly or through other files.
    pub fn cycles(&self) -> Vec<BTreeSet<String>> {
        let reachable: BTreeMap<&String, BTreeSet<&String>> =
            self.imports.keys().map(|file| (file, self.reachable(file))).collect();
        let mut cycles: Vec<BTreeSet<String>> = Vec::new();
        for (file, others) in &reachable {
            let mutual = others.iter().filter(|other| reachable[**other].contains(file));
            let cycle: BTreeSet<String> = mutual.map(|other| (*other).clone()).collect();
            if cycle.len() > 1 && !cycles.contains(&cycle) {
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// Returns the files from which `file` imports, directly or through other files.
    fn reachable(&self, file: &String) -> BTreeSet<&String> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&String> = self.imports[file].iter().collect();
        while let Some(next) = open.pop() {
            if found.insert(next) {
                open.extend(&self.imports[next]);
            }
        }
        found
    }
}

/// Reads the imports of a file, and the paths such as `a::b` in its code. `files` contains the module path of every
/// file of the crate.
fn read_module(path: &Segments, file: String, code: &str, files: &BTreeSet<Segments>) -> Module {
    let mut module = Module { file, ..Module::default() };
    // The imports are read first, because paths in the code can begin with an imported name.
    let mut rest = Vec::new();
    for (context, statement) in statements(path, code) {
        let words: Vec<&str> =
            statement.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
        match statement.split_once("use ").filter(|(before, _)| is_visibility(before)) {
            Some((_, tree)) => {
                for (segments, name) in use_tree(tree) {
                    if let Some(absolute) = absolute(&segments, &context, &module.names, files) {
                        module.names.insert(name, absolute.clone());
                        module.paths.push(absolute);
                    }
                }
            }
            None => {
                const ITEMS: [&str; 8] =
                    ["fn", "struct", "enum", "trait", "impl", "static", "type", "macro_rules"];
                module.defines |= words.iter().any(|word| ITEMS.contains(word));
                rest.push((context, statement));
            }
        }
    }
    for (context, statement) in rest {
        for segments in inline_paths(&statement) {
            if segments.len() > 1 {
                module.paths.extend(absolute(&segments, &context, &module.names, files));
            }
        }
    }
    module
}

/// Splits code at `;`, `{` and `}` into statements, each with the path of its module. The module can be an inline
/// module. A use declaration with braces is one statement.
fn statements(path: &Segments, code: &str) -> Vec<(Segments, String)> {
    let mut found = Vec::new();
    let mut current = String::new();
    // The inline modules that contain the current position, each with the brace depth at which the module begins.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut use_depth) = (0usize, 0usize);
    let context = |inline: &[(String, usize)]| -> Segments {
        path.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect()
    };
    for c in code.chars() {
        let in_use = current.trim_start().split_once("use ").is_some_and(|(before, _)| is_visibility(before));
        match c {
            '{' | '}' if in_use => {
                use_depth = if c == '{' { use_depth + 1 } else { use_depth.saturating_sub(1) };
                current.push(c);
            }
            ';' | '{' | '}' => {
                let text = std::mem::take(&mut current);
                use_depth = 0;
                let words: Vec<&str> = text.split_whitespace().collect();
                if let ('{', [.., "mod", name]) = (c, words.as_slice()) {
                    inline.push(((*name).to_owned(), depth));
                } else {
                    found.push((context(&inline), text.trim_start().to_owned()));
                }
                match c {
                    '{' => depth += 1,
                    '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if c == '}' && inline.last().is_some_and(|(_, begin)| *begin == depth) {
                    inline.pop();
                }
            }
            c => current.push(c),
        }
    }
    found
}

/// Returns true if the text before the word `use` consists only of attributes and a visibility.
fn is_visibility(before: &str) -> bool {
    let before = before.trim();
    let before = before.rsplit_once(']').map_or(before, |(_, after)| after.trim());
    before.is_empty() || before == "pub" || (before.starts_with("pub(") && before.ends_with(')'))
}

/// Returns every path in the tree of a use declaration, with the name under which the path is imported.
fn use_tree(tree: &str) -> Vec<(Segments, String)> {
    let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(open) = tree.find('{') {
        let prefix = &tree[..open];
        let inside = tree[open + 1..].trim_end().strip_suffix('}').unwrap_or(&tree[open + 1..]);
        let mut parts = vec![String::new()];
        let mut depth = 0;
        for c in inside.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if c == ',' && depth == 0 {
                parts.push(String::new());
            } else {
                parts.last_mut().unwrap().push(c);
            }
        }
        let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
        return parts.flat_map(|part| use_tree(&format!("{prefix}{part}"))).collect();
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias.trim().to_owned())),
        None => (tree.as_str(), None),
    };
    let mut segments: Segments = path
        .split("::")
        .map(|segment| segment.trim().to_owned())
        .filter(|segment| !segment.is_empty())
        .collect();
    if segments.len() > 1 && segments.last().is_some_and(|last| last == "self") {
        segments.pop();
    }
    let name = alias.or_else(|| segments.last().cloned()).unwrap_or_default();
    vec![(segments, name)]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the paths such as `a::b::c` that occur in code. A path ends where generic arguments begin.
fn inline_paths(code: &str) -> Vec<Segments> {
    let mut found = Vec::new();
    let mut path: Segments = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_word) {
        let joined = &rest[..start] == "::" && !path.is_empty();
        if !joined {
            found.push(std::mem::take(&mut path));
        }
        let method = rest[..start].ends_with('.');
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        if joined || !method {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
    }
    found.push(path);
    found
}

/// Returns the path `segments`, starting at the root of the crate. Returns `None` if the path leads into another crate.
fn absolute(
    segments: &Segments,
    context: &Segments,
    names: &BTreeMap<String, Segments>,
    files: &BTreeSet<Segments>,
) -> Option<Segments> {
    let mut module = context.clone();
    let mut rest = segments.as_slice();
    match rest.first()?.as_str() {
        "crate" => {
            module.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                module.pop();
                rest = &rest[1..];
            }
        }
        first => {
            let child: Segments = context.iter().cloned().chain([first.to_owned()]).collect();
            if let Some(imported) = names.get(first) {
                module = imported.clone();
                rest = &rest[1..];
            } else if !files.contains(&child) {
                return None;
            }
        }
    }
    module.extend(rest.iter().cloned());
    Some(module)
}

/// Adds the files that define the item at `path` to `found`. Follows re-exports.
fn targets(
    path: &Segments,
    modules: &BTreeMap<Segments, Module>,
    depth: usize,
    found: &mut BTreeSet<String>,
) {
    let known = (0..=path.len()).rev().find(|&length| modules.contains_key(&path[..length]));
    let Some(length) = known.filter(|_| depth < 10) else { return };
    let module = &modules[&path[..length]];
    match path.get(length).map(String::as_str) {
        Some("*") => {
            found.insert(module.file.clone());
            for reexport in module.names.values().filter(|_| !module.defines) {
                targets(reexport, modules, depth + 1, found);
            }
        }
        Some(name) if module.names.contains_key(name) && module.names[name] != *path => {
            let mut path_of_name = module.names[name].clone();
            path_of_name.extend(path[length + 1..].iter().cloned());
            targets(&path_of_name, modules, depth + 1, found);
        }
        _ => _ = found.insert(module.file.clone()),
    }
}

/// Returns code without comments. The contents of string and character literals are removed as well.
fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if (rest.starts_with("r\"") || rest.starts_with("r#\"")) && !code.ends_with(is_word) => {
                let (open, close) = if rest.starts_with("r\"") { (2, "\"") } else { (3, "\"#") };
                rest[open..].find(close).map_or(rest.len(), |end| open + end + close.len())
            }
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let end = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    end
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            // The next two patterns match a character literal, but not a lifetime.
            '\'' if rest.starts_with("'\\") => rest[3..].find('\'').map_or(rest.len(), |end| end + 4),
            '\'' if rest.chars().nth(2) == Some('\'') => 2 + rest.chars().nth(1).unwrap().len_utf8(),
            _ => 0,
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            rest = &rest[skipped..];
        }
    }
    code
}

/// Returns code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..start]);
        rest = &rest[start..];
        let mut depth = 0;
        let end = rest.find(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0 && (c == ';' || c == '}')
        });
        rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
    }
    kept.push_str(rest);
    kept
}

#[test]
fn paths_are_read_as_the_compiler_reads_them() {
    let names = |tree: &str| {
        let paths = use_tree(tree).into_iter();
        paths.map(|(path, name)| format!("{} as {name}", path.join("::"))).collect::<Vec<_>>()
    };
    assert_eq!(
        names("crate::a::{self, b::{C, D as E},\n f::*}"),
        ["crate::a as a", "crate::a::b::C as C", "crate::a::b::D as E", "crate::a::f::* as *"]
    );
    let code = without_tests(&without_comments(
        "use super::x::{Y};\n// use crate::no;\nfn f() { g(\"use crate::no;\", '{'); crate::z::h::<u8>(y.crate_x) }\n\
         #[cfg(test)]\nmod tests { use super::*; }\nmod inner { pub use super::super::w::V; }",
    ));
    let context: Segments = vec!["a".to_owned()];
    let module = read_module(&context, "a.rs".to_owned(), &code, &BTreeSet::new());
    let paths: Vec<String> = module.paths.iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["x::Y", "w::V", "z::h"]);
    assert!(module.defines);
}
