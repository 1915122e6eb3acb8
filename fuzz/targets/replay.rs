//! Parsing arbitrary text as a replay returns a replay or an error. `Replay::tensor` finds every tensor of
//! `Replay::planned`.

#![no_main]

use std::path::Path;

use fanin_recipe::Replay;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(replay) = Replay::parse(text, Path::new("fuzzed.toml")) {
        for planned in replay.planned() {
            assert!(replay.tensor(&planned.entry.name).is_some());
        }
    }
});
