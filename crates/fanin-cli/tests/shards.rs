//! Tests of checkpoints that one or several processes write as several files, and of `--resume`.

mod fixture;

use std::collections::BTreeMap;

use fixture::Fixture;
use safetensors::SafeTensors;

const INIT: [&str; 6] = ["init", "r.toml", "--like", "m.json", "--seed", "7"];

/// Returns the names and bytes of the files in a folder.
fn folder(fixture: &Fixture, name: &str) -> BTreeMap<String, Vec<u8>> {
    let named = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
    let entries = std::fs::read_dir(fixture.path(name)).unwrap();
    entries
        .map(|entry| named(entry.unwrap()))
        .map(|file| (file.clone(), fixture.bytes(&format!("{name}/{file}"))))
        .collect()
}

/// Runs `init` with the further arguments `more`, and returns the text on standard error.
fn init(fixture: &Fixture, more: &[&str]) -> String {
    fixture.good(&[&INIT[..], more].concat()).stderr
}

/// Runs `init` with the further arguments `more`. Asserts that the command fails, that no file has changed, and that
/// standard error contains all of `needles`.
fn refused(fixture: &Fixture, more: &[&str], needles: &[&str]) {
    fixture.refused(&[&INIT[..], more].concat(), needles);
}

#[test]
fn shards_have_the_same_tensors_as_a_single_file() {
    let fixture = Fixture::new();
    init(&fixture, &["-o", "one.safetensors"]);
    let stderr = init(&fixture, &["-o", "many/", "--max-shard-size", "1kB"]);
    assert!(stderr.contains("2 of 2 files, 5 tensors"), "{stderr}");
    let many = folder(&fixture, "many");
    assert_eq!(
        many.keys().map(String::as_str).collect::<Vec<_>>(),
        [
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json"
        ]
    );
    let index: serde_json::Value = serde_json::from_slice(&many["model.safetensors.index.json"]).unwrap();
    assert_eq!(index["metadata"]["total_size"], 300 * 70 * 4 + 3 * 2 + 60 * 2 + 8);
    let one = fixture.bytes("one.safetensors");
    let one = SafeTensors::deserialize(&one).unwrap();
    let mut seen = 0;
    for (name, file) in index["weight_map"].as_object().unwrap() {
        let shard = SafeTensors::deserialize(&many[file.as_str().unwrap()]).unwrap();
        assert_eq!(shard.tensor(name).unwrap().data(), one.tensor(name).unwrap().data(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, one.len());
    // `verify` and `diff` can read a checkpoint that consists of several files.
    fixture.good(&["verify", "many", "--recipe", "r.toml", "--seed", "7"]);
    fixture.good(&["diff", "many", "one.safetensors"]);
    // If the whole checkpoint fits in one file, this file is named model.safetensors.
    init(&fixture, &["-o", "few", "--max-shard-size", "1MB"]);
    assert_eq!(folder(&fixture, "few").keys().collect::<Vec<_>>(), ["model.safetensors"]);
    assert_eq!(fixture.bytes("few/model.safetensors"), fixture.bytes("one.safetensors"));
}

#[test]
fn several_processes_write_the_same_files_as_one_process() {
    let fixture = Fixture::new();
    let spec = |stream: &str| {
        // Each tensor is in a separate file. On the torch stream, a process must advance the generator past the tensors
        // of the other processes. Therefore each distribution is tested.
        let distributions = [
            "normal",
            "uniform",
            "trunc_normal",
            "orthogonal",
            "sparse(sparsity=0.5)",
            "kaiming_normal(a=1)",
        ];
        let mut recipe = "[init]\n".to_owned();
        let mut manifest = String::new();
        for (number, distribution) in distributions.iter().enumerate() {
            recipe.push_str(&format!("\"t{number}.*\" = \"{distribution}\"\n"));
            let dtype = ["F32", "BF16", "F64"][number % 3];
            manifest.push_str(&format!("\"t{number}.w\": {{\"dtype\": \"{dtype}\", \"shape\": [33, 17]}}, "));
            manifest.push_str(&format!("\"t{number}.v\": {{\"dtype\": \"F32\", \"shape\": [2, 3]}}, "));
        }
        std::fs::write(fixture.path("distributions.toml"), recipe).unwrap();
        std::fs::write(
            fixture.path("distributions.json"),
            format!("{{{}}}", manifest.trim_end_matches(", ")),
        )
        .unwrap();
        [
            "init",
            "distributions.toml",
            "--like",
            "distributions.json",
            "--stream",
            stream,
            "--max-shard-size",
            "100",
            "-o",
        ]
        .map(str::to_owned)
    };
    for stream in ["native", "torch"] {
        let run = |out: &str, shard: Option<&str>| {
            let mut arguments = spec(stream).to_vec();
            arguments.push(out.to_owned());
            arguments.extend(shard.into_iter().flat_map(|shard| ["--part".to_owned(), shard.to_owned()]));
            fixture.good(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        };
        let (one, many) = (format!("{stream}-one"), format!("{stream}-many"));
        run(&one, None);
        let whole = folder(&fixture, &one);
        assert_eq!(whole.len(), 13, "{:?}", whole.keys());
        for part in ["3/5", "1/5", "5/5", "2/5"] {
            run(&many, Some(part));
            assert!(
                folder(&fixture, &many).contains_key("model.safetensors.index.json"),
                "every process writes the index"
            );
        }
        assert_eq!(folder(&fixture, &many).len(), 11, "the fourth process writes two of the twelve files");
        run(&many, Some("4/5"));
        assert!(folder(&fixture, &many) == whole, "{stream}");
        // If there are more processes than files, some processes do not write a file.
        for part in ["13/13", "1/13"] {
            run(&format!("{stream}-13"), Some(part));
        }
        assert_eq!(folder(&fixture, &format!("{stream}-13")).len(), 2);
    }
}

#[test]
fn resume_keeps_correct_files_and_reports_an_error_for_all_others() {
    let fixture = Fixture::new();
    let shards = ["-o", "out", "--max-shard-size", "10", "--resume"];
    init(&fixture, &shards);
    let whole = folder(&fixture, "out");
    assert_eq!(whole.len(), 5);
    let modified =
        || fixture.path("out/model-00001-of-00004.safetensors").metadata().unwrap().modified().unwrap();
    let before = modified();
    std::fs::remove_file(fixture.path("out/model-00003-of-00004.safetensors")).unwrap();
    std::fs::remove_file(fixture.path("out/model.safetensors.index.json")).unwrap();
    let stderr = init(&fixture, &shards);
    assert!(stderr.contains("4 of 4 files, 3 already complete, kept"), "{stderr}");
    assert!(folder(&fixture, "out") == whole);
    assert_eq!(modified(), before, "a correct file is not written again");
    // Flips a bit of the first file, in byte `at`. If `at` is 0, flips a bit in the last byte.
    let corrupt = |at: usize| {
        let mut bytes = whole["model-00001-of-00004.safetensors"].clone();
        let at = if at == 0 { bytes.len() - 1 } else { at };
        bytes[at] ^= 1;
        std::fs::write(fixture.path("out/model-00001-of-00004.safetensors"), bytes).unwrap();
    };
    corrupt(0);
    refused(&fixture, &shards, &["model-00001-of-00004", "its values differ, first at byte", "--force"]);
    let stderr = init(&fixture, &[&shards[..], &["--force"]].concat());
    assert!(stderr.contains("3 already complete") && folder(&fixture, "out") == whole, "{stderr}");
    // An existing file with a wrong header or a wrong size is an error. `--force` replaces the file.
    corrupt(20);
    refused(&fixture, &shards, &["model-00001-of-00004", "header", "--force"]);
    let short = &whole["model-00001-of-00004.safetensors"];
    std::fs::write(fixture.path("out/model-00001-of-00004.safetensors"), &short[..short.len() - 1]).unwrap();
    refused(&fixture, &shards, &["another size"]);
    init(&fixture, &[&shards[..], &["--force"]].concat());
    assert!(folder(&fixture, "out") == whole);
    // `--resume` also keeps a checkpoint that is a single file.
    init(&fixture, &["-o", "o.safetensors", "--resume"]);
    let stderr = init(&fixture, &["-o", "o.safetensors", "--resume"]);
    assert!(stderr.contains("1 already complete"), "{stderr}");
    fixture.refused(
        &["init", "r.toml", "--like", "m.json", "--seed", "8", "-o", "o.safetensors", "--resume"],
        &["differs from what would be written", "another seed"],
    );
}

#[test]
fn a_folder_with_files_of_another_checkpoint_is_an_error() {
    let fixture = Fixture::new();
    let shards = ["-o", "out", "--max-shard-size", "10"];
    init(&fixture, &shards);
    refused(
        &fixture,
        &shards,
        &["model-00001-of-00004.safetensors", "exists already", "--force", "--resume"],
    );
    init(&fixture, &[&shards[..], &["--force"]].concat());
    refused(&fixture, &["-o", "out", "--max-shard-size", "1kB", "--force"], &["-of-00004", "remove them"]);
    refused(&fixture, &["-o", "out", "--force"], &["readers would mix with this one"]);
    init(&fixture, &["-o", "plain/"]);
    refused(
        &fixture,
        &["-o", "plain", "--max-shard-size", "10"],
        &["another checkpoint (model.safetensors)"],
    );
    refused(
        &fixture,
        &["-o", "x.safetensors", "--max-shard-size", "10"],
        &["must be written to a folder", "--output DIR"],
    );
    refused(&fixture, &["-o", "r.toml", "--max-shard-size", "10"], &["must be written to a folder"]);
    refused(&fixture, &["-o", "no/such", "--part", "1/2"], &["no such folder"]);
    refused(&fixture, &["-o", "new", "--max-shard-size", "10", "--part", "0/2"], &["counted from 1"]);
    refused(&fixture, &["-o", "new", "--max-shard-size", "5G"], &["5GB"]);
    // An index of another checkpoint in the folder is an error.
    std::fs::create_dir(fixture.path("new")).unwrap();
    std::fs::write(fixture.path("new/model.safetensors.index.json"), "{}").unwrap();
    refused(
        &fixture,
        &["-o", "new", "--max-shard-size", "10"],
        &["model.safetensors.index.json", "exists already"],
    );
    refused(&fixture, &["-o", "new", "--max-shard-size", "10", "--part", "1/2"], &["another checkpoint"]);
}
