//! The shape of the house: imports run one way, and the front page is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Top-level modules, lowest first: a module may import from those before it.
const FLOORS: [&[&str]; 10] = [
    &["element", "simd", "threads"],
    &["engine", "math"],
    &["error"],
    &["activation", "rules"],
    &["shape", "gain", "dist", "linalg"],
    &["tensor"],
    &["plan"],
    &["stream"],
    &["init"],
    &["torch", "interop"],
];

#[test]
fn imports_run_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30);
    let floor = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let mut arrows: BTreeMap<(String, String), PathBuf> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let module = inside
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if module == "lib" {
            continue;
        }
        assert!(floor(&module).is_some(), "{module} has no floor");
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (at, _) in line.match_indices("crate::") {
                if line[..at].ends_with('$') {
                    continue;
                }
                let name: String =
                    line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if floor(&name).is_some() && name != module {
                    arrows.insert((module.clone(), name), file.clone());
                }
            }
        }
    }
    assert!(arrows.len() > 20);
    for ((from, to), file) in arrows {
        assert!(floor(&to) < floor(&from), "{from} imports {to}, in {}", file.display());
    }
}

#[test]
fn the_name_table_is_whole_and_true() {
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
fn only_the_simd_module_is_unsafe() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_simd = file.starts_with(root.join("simd"));
        let uses = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe {"));
        assert!(is_simd || !uses, "{}", file.display());
        seen += usize::from(uses);
    }
    assert!(seen > 3, "the search finds what it is for");
}
