//! Tests that kill processes while they write checkpoints. After a kill, every file with a final name must be complete
//! and correct. An existing file must be unchanged, or replaced as a whole. A process with `--resume` must then write
//! the same checkpoint as a process that is not killed.
//!
//! With `FANIN_KILLS=50 cargo test -p fanin-cli --test kills`, the first test starts and kills 50 processes for each
//! stream. The second test starts and kills 50 processes that write one file, and 50 processes that write several
//! files. If the variable is not set, the tests kill only a few processes.

mod fixture;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fixture::Fixture;

type Files = BTreeMap<String, Vec<u8>>;

/// Returns the names and the bytes of all files in the folder `name`, including hidden files.
fn folder(fixture: &Fixture, name: &str) -> Files {
    let Ok(entries) = std::fs::read_dir(fixture.path(name)) else { return Files::new() };
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(|entry| read(entry.unwrap())).collect()
}

/// Returns a fixture with a recipe and a manifest of 16 tensors. Each tensor takes 1 to 16 MB.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let tensor = |k: usize| {
        let dtype = ["F32", "BF16", "F64", "F16"][k % 4];
        format!("\"h.{k}.weight\": {{\"dtype\": \"{dtype}\", \"shape\": [{}, 1024]}}", 512 + k * 96)
    };
    let all: Vec<String> = (0..16).map(tensor).collect();
    std::fs::write(fixture.path("large.json"), format!("{{{}}}", all.join(", "))).unwrap();
    std::fs::write(fixture.path("large.toml"), "[init]\n\"*\" = \"normal(std=0.02)\"\n").unwrap();
    fixture
}

const INIT: [&str; 5] = ["init", "large.toml", "--like", "large.json", "-q"];

/// Runs `init` with the further arguments `more`, and returns the duration.
fn run_timed(fixture: &Fixture, more: &[&str]) -> Duration {
    let start = Instant::now();
    fixture.good(&[&INIT[..], more].concat());
    start.elapsed()
}

/// Starts `init` with the further arguments `more`, and kills the process after the time `after`. Returns false if the
/// process had already ended.
fn run_killed(fixture: &Fixture, more: &[&str], after: Duration) -> bool {
    let mut child = Command::new(Fixture::program())
        .current_dir(fixture.path("."))
        .args(INIT)
        .args(more)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Returns the times at which processes are killed, as fractions (0 to 1.05) of the duration of a write. The
/// environment variable FANIN_KILLS sets the number of kills. The default number is `few`.
fn moments(few: usize) -> impl Iterator<Item = f64> {
    let count = std::env::var("FANIN_KILLS").map_or(few, |count| count.parse().unwrap());
    // The multiples of the golden ratio modulo 1 (a Weyl sequence) are evenly spread over 0..1 for every `count`. With
    // the factor 1.05, some processes end before the kill.
    (1..=count).map(|k| (k as f64 * 0.618_033_988_75).fract() * 1.05)
}

#[test]
fn a_killed_run_leaves_complete_shards_and_resume_completes_them() {
    let fixture = fixture();
    let mut interrupted = 0;
    for stream in ["native", "torch"] {
        let run = |out: &'static str| ["--stream", stream, "--max-shard-size", "8MB", "-o", out];
        let took = run_timed(&fixture, &run("right"));
        let right = folder(&fixture, "right");
        assert!(right.len() > 8, "{:?}", right.keys());
        for moment in moments(4) {
            interrupted += usize::from(run_killed(&fixture, &run("out"), took.mul_f64(moment)));
            for (name, bytes) in folder(&fixture, "out") {
                let partial = name.starts_with(".fanin-") && name.ends_with(".unfinished");
                assert!(partial || right.get(&name) == Some(&bytes), "{name} after {moment} of a run");
            }
            run_timed(&fixture, &[&run("out")[..], &["--resume"]].concat());
            assert!(folder(&fixture, "out") == right, "resumed after {moment} of a run");
            std::fs::remove_dir_all(fixture.path("out")).unwrap();
        }
        std::fs::remove_dir_all(fixture.path("right")).unwrap();
    }
    println!("{interrupted} runs were killed before their end");
    assert!(interrupted > 0, "no run was killed before its end");
}

#[test]
fn a_killed_run_with_force_leaves_each_existing_file_unchanged_or_replaced() {
    let fixture = fixture();
    let mut interrupted = 0;
    // The first case writes a single file. The second case writes several shards, and renames them after all are
    // written.
    for more in [&[][..], &["--max-shard-size", "16MB"]] {
        let run = |seed, out| [&["--seed", seed, "--force", "-o", out], more].concat();
        run_timed(&fixture, &run("1", "old/"));
        let took = run_timed(&fixture, &run("2", "new/"));
        let [old, new] = ["old", "new"].map(|name| folder(&fixture, name));
        for moment in moments(3) {
            run_timed(&fixture, &run("1", "out/"));
            interrupted += usize::from(run_killed(&fixture, &run("2", "out/"), took.mul_f64(moment)));
            let found = folder(&fixture, "out");
            for name in old.keys().filter(|name| name.ends_with(".safetensors")) {
                let is = found.get(name);
                assert!(is == old.get(name) || is == new.get(name), "{name} after {moment} of a run");
            }
            // If there is an index, all files must be old, or all must be new. Both checkpoints have the same index.
            if let Some(index) = found.get("model.safetensors.index.json") {
                assert!(index == &old["model.safetensors.index.json"]);
                let of = |files: &Files| files.iter().all(|(name, bytes)| found.get(name) == Some(bytes));
                assert!(of(&old) || of(&new), "old and new files after {moment} of a run");
            }
            run_timed(&fixture, &[&run("2", "out/")[..], &["--resume"]].concat());
            assert!(folder(&fixture, "out") == new, "resumed after {moment} of a run");
        }
        for name in ["old", "new", "out"] {
            std::fs::remove_dir_all(fixture.path(name)).unwrap();
        }
    }
    println!("{interrupted} runs were killed before their end");
    assert!(interrupted > 0, "no run was killed before its end");
}
