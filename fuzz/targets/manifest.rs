//! Parsing arbitrary text as a manifest returns a manifest or an error. `Manifest::values` and `Manifest::bytes` of a
//! parsed manifest do not overflow.

#![no_main]

use std::path::Path;

use fanin_recipe::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    if let Ok(manifest) = Manifest::from_json(json, Path::new("fuzzed.json")) {
        let (_, _) = (manifest.values(), manifest.bytes());
    }
});
