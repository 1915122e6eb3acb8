//! The real binary killed without warning, at moments spread over its run. What has its name is whole and right, what was
//! there before is there, and `--resume` makes what an undisturbed run makes.
//!
//! `FANIN_KILLS=50 cargo test -p fanin-cli --test kills` kills as often in each scene; without it there are a few.

mod fixture;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fixture::Fixture;

type Files = BTreeMap<String, Vec<u8>>;

/// All files of a folder, the hidden ones too.
fn folder(fixture: &Fixture, name: &str) -> Files {
    let Ok(entries) = std::fs::read_dir(fixture.path(name)) else { return Files::new() };
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(|entry| read(entry.unwrap())).collect()
}

/// Sixteen tensors, 1 to 16 MB, 70 MB in all, and a recipe that draws them.
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

/// A run, and how long it takes.
fn timed(fixture: &Fixture, more: &[&str]) -> Duration {
    let start = Instant::now();
    fixture.good(&[&INIT[..], more].concat());
    start.elapsed()
}

/// A run that is killed after this time, unless it is done by then.
fn killed(fixture: &Fixture, more: &[&str], after: Duration) -> bool {
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

/// Moments in (0, 1.05), the same in every run: as many as the environment says, or these.
fn moments(few: usize) -> impl Iterator<Item = f64> {
    let count = std::env::var("FANIN_KILLS").map_or(few, |count| count.parse().unwrap());
    // Weyl's sequence: evenly spread however many there are.
    (1..=count).map(|k| (k as f64 * 0.618_033_988_75).fract() * 1.05)
}

#[test]
fn shards_are_whole_or_not_there_and_resume_completes_them() {
    let fixture = fixture();
    let mut interrupted = 0;
    for stream in ["native", "torch"] {
        let run = |out: &'static str| ["--stream", stream, "--max-shard-size", "8MB", "-o", out];
        let took = timed(&fixture, &run("right"));
        let right = folder(&fixture, "right");
        assert!(right.len() > 8, "{:?}", right.keys());
        for moment in moments(4) {
            interrupted += usize::from(killed(&fixture, &run("out"), took.mul_f64(moment)));
            for (name, bytes) in folder(&fixture, "out") {
                let partial = name.starts_with(".fanin-") && name.ends_with(".unfinished");
                assert!(partial || right.get(&name) == Some(&bytes), "{name} after {moment} of a run");
            }
            timed(&fixture, &[&run("out")[..], &["--resume"]].concat());
            assert!(folder(&fixture, "out") == right, "resumed after {moment} of a run");
            std::fs::remove_dir_all(fixture.path("out")).unwrap();
        }
        std::fs::remove_dir_all(fixture.path("right")).unwrap();
    }
    println!("{interrupted} runs were killed before their end");
    assert!(interrupted > 0, "no run was killed before its end");
}

#[test]
fn what_is_replaced_is_old_or_new() {
    let fixture = fixture();
    let mut interrupted = 0;
    // One file, and shards whose names are taken together.
    for more in [&[][..], &["--max-shard-size", "16MB"]] {
        let run = |seed, out| [&["--seed", seed, "--force", "-o", out], more].concat();
        timed(&fixture, &run("1", "old/"));
        let took = timed(&fixture, &run("2", "new/"));
        let [old, new] = ["old", "new"].map(|name| folder(&fixture, name));
        for moment in moments(3) {
            timed(&fixture, &run("1", "out/"));
            interrupted += usize::from(killed(&fixture, &run("2", "out/"), took.mul_f64(moment)));
            let found = folder(&fixture, "out");
            for name in old.keys().filter(|name| name.ends_with(".safetensors")) {
                let is = found.get(name);
                assert!(is == old.get(name) || is == new.get(name), "{name} after {moment} of a run");
            }
            // With an index it is a checkpoint: all old, or all new.
            if let Some(index) = found.get("model.safetensors.index.json") {
                assert!(index == &old["model.safetensors.index.json"]);
                let of = |files: &Files| files.iter().all(|(name, bytes)| found.get(name) == Some(bytes));
                assert!(of(&old) || of(&new), "a mixture, after {moment} of a run");
            }
            timed(&fixture, &[&run("2", "out/")[..], &["--resume"]].concat());
            assert!(folder(&fixture, "out") == new, "resumed after {moment} of a run");
        }
        for name in ["old", "new", "out"] {
            std::fs::remove_dir_all(fixture.path(name)).unwrap();
        }
    }
    println!("{interrupted} runs were killed before their end");
    assert!(interrupted > 0, "no run was killed before its end");
}
