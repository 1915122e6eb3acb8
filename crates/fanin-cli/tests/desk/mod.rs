//! A temporary folder with a recipe and a manifest in it, and the binary to run there.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;

use assert_cmd::Command;
use tempfile::TempDir;

pub const RECIPE: &str = "[vars]\nn_layer = 2\n[init]\n\"*.bias\" = \"zeros\"\n\
                          \"*.weight\" = \"normal(std=0.5/sqrt(n_layer*fan_in))\"\n\"steps\" = \"constant(3)\"\n";
const MANIFEST: &str = r#"{"__metadata__": {"model": "tiny"},
    "b.weight": {"dtype": "F32", "shape": [300, 70]}, "b.bias": {"dtype": "F16", "shape": [3]},
    "a.weight": {"dtype": "BF16", "shape": [5, 4, 3]}, "steps": {"dtype": "I64", "shape": []},
    "empty.weight": {"dtype": "F64", "shape": [0, 4]}}"#;

pub struct Desk(TempDir);

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Desk(tempfile::tempdir().unwrap());
        std::fs::write(desk.path("r.toml"), RECIPE).unwrap();
        std::fs::write(desk.path("m.json"), MANIFEST).unwrap();
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The binary, as a user's shell would start it.
    pub fn program() -> PathBuf {
        assert_cmd::cargo::cargo_bin!("fanin").to_path_buf()
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let output =
            Command::new(Self::program()).current_dir(self.0.path()).args(arguments).output().unwrap();
        Ran {
            code: output.status.code().expect("no signal"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A run that must succeed.
    pub fn good(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran
    }

    /// A run that must be refused with all of these words, and leave nothing behind.
    pub fn refused(&self, arguments: &[&str], needles: &[&str]) -> String {
        let before = self.files();
        let ran = self.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        for needle in needles {
            assert!(ran.stderr.contains(needle), "{arguments:?}: {needle:?} is not in: {}", ran.stderr);
        }
        assert_eq!(self.files(), before, "{arguments:?} left something behind");
        ran.stderr
    }

    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let sized = |entry: std::fs::DirEntry| Some((entry.path(), entry.metadata().ok()?.len()));
        let mut files: Vec<_> =
            std::fs::read_dir(&self.0).unwrap().filter_map(|entry| sized(entry.ok()?)).collect();
        files.sort();
        files
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

pub fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
