//! Tests of the structure of the workspace, such as the direction of imports and the items on the front page of the
//! crate `fanin`.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use imports::{Graph, sources};

/// The top-level modules of the crate `fanin`, in layers, lowest layer first. A module may import from its own layer
/// and from lower layers.
const LAYERS: [&[&str]; 6] = [
    &["dtype", "simd", "math", "rng", "cancel", "threads", "error", "warning"],
    &["shape", "nonlinearity", "gain", "scaling", "linalg", "distributions"],
    &["tensor", "plan", "region"],
    &["streams", "init"],
    &["spec"],
    &["torch", "interop"],
];

/// The crates of this workspace, each with the crates of the workspace on which it may depend.
const CRATES: [(&str, &[&str]); 8] = [
    ("crates/fanin", &[]),
    ("crates/fanin-recipe", &["fanin"]),
    ("crates/fanin-checkpoint", &["fanin", "fanin-recipe"]),
    ("crates/fanin-analysis", &["fanin", "fanin-recipe", "fanin-checkpoint"]),
    ("crates/fanin-cli", &["fanin", "fanin-recipe", "fanin-checkpoint", "fanin-analysis"]),
    ("crates/fanin-python", &["fanin", "fanin-recipe", "fanin-checkpoint", "fanin-analysis", "fanin-cli"]),
    ("adapters/fanin-candle", &["fanin", "fanin-recipe"]),
    ("adapters/fanin-burn", &["fanin", "fanin-recipe"]),
];

/// Returns the root folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn no_two_files_of_a_crate_import_each_other() {
    let mut report = String::new();
    for (folder, _) in CRATES {
        let graph = Graph::read(&workspace().join(folder).join("src"));
        assert!(!graph.imports.is_empty(), "{folder} has no sources");
        for cycle in graph.cycles() {
            report.push_str(&format!("\n{folder}: {} files import each other\n", cycle.len()));
            for file in &cycle {
                let inside: Vec<&str> =
                    graph.imports[file].intersection(&cycle).map(String::as_str).collect();
                report.push_str(&format!("    {file} imports {}\n", inside.join(", ")));
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn modules_import_only_from_their_own_layer_and_from_lower_layers() {
    let graph = Graph::read(&workspace().join("crates/fanin/src"));
    let layer = |file: &str| {
        let module = file.split('/').next().unwrap().trim_end_matches(".rs");
        let layer = LAYERS.iter().position(|layer| layer.contains(&module));
        layer.unwrap_or_else(|| panic!("{module} is in no layer: add it to LAYERS"))
    };
    let mut upward = Vec::new();
    let mut count = 0;
    for (file, imports) in graph.imports.iter().filter(|(file, _)| *file != "lib.rs") {
        for import in imports {
            count += 1;
            if layer(import) > layer(file) {
                upward.push(format!("{file} imports {import}"));
            }
        }
    }
    assert!(count > 100, "only {count} imports found");
    assert!(upward.is_empty(), "imports from a higher layer:\n{}", upward.join("\n"));
}

#[test]
fn crates_depend_only_on_lower_crates() {
    for (folder, allowed) in CRATES {
        let manifest = std::fs::read_to_string(workspace().join(folder).join("Cargo.toml")).unwrap();
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['=', ' ', '.']).next().unwrap_or_default();
            if section.ends_with("dependencies]") && !section.contains("dev-") && name.starts_with("fanin") {
                assert!(allowed.contains(&name), "{folder} must not depend on {name}");
            }
        }
    }
}

#[test]
fn the_python_module_uses_the_crate_fanin_cli_only_to_run_commands() {
    for file in sources(&workspace().join("crates/fanin-python/src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, _) in text.match_indices("fanin_cli::") {
            assert!(text[at..].starts_with("fanin_cli::run_from("), "{}", file.display());
        }
    }
}

#[test]
fn the_front_page_lists_every_scheme() {
    let front = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let rows: Vec<Vec<&str>> = front
        .lines()
        .filter(|line| line.starts_with("//! | `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut specs = BTreeSet::new();
    for row in rows.iter().filter(|row| row[1].ends_with("_`")) {
        let bare = row[1].trim_matches('`').trim_end_matches('_');
        assert_eq!(row[2], format!("[`init::{bare}`]"));
        assert_eq!(row[3], format!("`{bare}`"));
        specs.insert(bare.to_owned());
    }
    for row in rows.iter().filter(|row| !row[1].ends_with("_`")) {
        let bare = row[1].trim_matches('`');
        if row[2] == format!("[`init::{bare}`]") {
            specs.insert(bare.to_owned());
        }
    }
    let schemes: BTreeSet<String> =
        fanin::spec::schemes().iter().map(|scheme| scheme.name.to_owned()).collect();
    assert_eq!(specs, schemes);
}

#[test]
fn the_front_page_links_to_every_public_item() {
    let front = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let (doc, code): (Vec<&str>, Vec<&str>) = front.lines().partition(|line| line.starts_with("//!"));
    let doc = doc.join("\n");
    let mut items: BTreeMap<String, bool> = BTreeMap::new();
    for statement in code.join("\n").split(';') {
        let Some((_, public)) = statement.split_once("pub ") else { continue };
        let names = public.split(['{', '}', ',', ':', ' ', '\n']).filter(|name| !name.is_empty());
        let lower = |name: &str| name.starts_with(char::is_lowercase);
        let names: Vec<&str> = names.collect();
        match names.as_slice() {
            ["mod", name] => _ = items.insert((*name).to_owned(), false),
            ["use", names @ ..] => {
                let types = names.iter().filter(|name| !lower(name));
                items.extend(types.map(|name| ((*name).to_owned(), false)));
            }
            _ => {}
        }
    }
    assert!(items.len() > 30, "{items:?}");
    for (name, linked) in &mut items {
        // The last form is for items that need a feature. Without the feature, a link to such an item would be broken.
        let forms =
            [format!("[`{name}`]"), format!("[`{name}::"), format!("[`half::{name}`]"), format!("`{name}` ")];
        *linked = forms.iter().any(|form| doc.contains(form.as_str()));
    }
    items.retain(|_, linked| !*linked);
    assert!(items.is_empty(), "not on the front page: {:?}", items.keys());
}

#[test]
fn the_rust_example_in_both_readmes_equals_the_example_that_the_tests_run() {
    let read = |path: &str| std::fs::read_to_string(workspace().join(path)).unwrap();
    let example = read("crates/fanin/examples/readme.rs");
    let (_, code) = example.split_once("\n\n").unwrap();
    for readme in ["README.md", "crates/fanin/README.md"] {
        assert!(read(readme).contains(&format!("```rust\n{code}```")), "{readme}");
    }
}

#[test]
fn only_the_simd_module_has_unsafe_code() {
    let mut count = 0;
    for file in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_simd = file.components().any(|folder| folder.as_os_str() == "simd");
        let has_unsafe =
            text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe {"));
        assert!(is_simd || !has_unsafe, "{}", file.display());
        count += usize::from(has_unsafe);
    }
    assert!(count > 3, "only {count} files with unsafe code found");
}
