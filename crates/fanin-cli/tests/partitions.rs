//! Tests of a single file that several processes write, and of the layout of `torch.distributed.checkpoint`.

mod fixture;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use fixture::Fixture;
use safetensors::SafeTensors;

/// A recipe with many distributions. The partitions split some of the tensors.
const RECIPE: &str = "[init]\n\"n.*\" = \"normal\"\n\"o.*\" = \"orthogonal\"\n\"s.*\" = \"sparse(0.3)\"\n\
                      \"d.*\" = \"dirac\"\n\"t.*\" = \"trunc_normal(std=0.5)\"\n\"i\" = \"constant(3)\"\n\"*\" = \"zeros\"\n";
const MANIFEST: &str = r#"{"n.w": {"dtype": "F32", "shape": [300, 70]}, "o.w": {"dtype": "BF16", "shape": [90, 40]},
    "s.w": {"dtype": "F64", "shape": [300, 31]}, "d.w": {"dtype": "F32", "shape": [16, 8, 3]},
    "i": {"dtype": "I64", "shape": [1000]}, "t.w": {"dtype": "F16", "shape": [7, 9, 11]},
    "e": {"dtype": "F32", "shape": [0, 4]}, "b": {"dtype": "F32", "shape": []}}"#;

/// Returns a folder with the recipe and the manifest of these tests.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("distributions.toml"), RECIPE).unwrap();
    std::fs::write(fixture.path("distributions.json"), MANIFEST).unwrap();
    fixture
}

/// Returns the arguments of `init` with the output `out` and the further arguments `more`.
fn distributions<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["init", "distributions.toml", "--like", "distributions.json", "--seed", "7", "-o", out], more].concat()
}

/// Returns the number of folders in which partitions leave their marker files.
fn folders(fixture: &Fixture) -> usize {
    fixture.files().iter().filter(|(path, _)| path.to_string_lossy().ends_with(".parts")).count()
}

#[test]
fn partitions_in_any_order_give_the_same_file_as_one_process() {
    let fixture = fixture();
    for stream in ["native", "torch"] {
        let one = format!("{stream}.safetensors");
        fixture.good(&distributions(&one, &["--stream", stream]));
        for order in [&[1][..], &[2, 1], &[3, 1, 2], &[4, 2, 5, 1, 3]] {
            let out = format!("{stream}-{}.safetensors", order.len());
            for (at, part) in order.iter().enumerate() {
                assert!(!fixture.path(&out).exists(), "the last partition renames the file");
                let ran = fixture.good(&distributions(
                    &out,
                    &["--stream", stream, "--part", &format!("{part}/{}", order.len())],
                ));
                let missing = order.len() - at - 1;
                assert_eq!(ran.stderr.contains("not complete yet"), missing > 0, "{}", ran.stderr);
            }
            assert!(fixture.bytes(&out) == fixture.bytes(&one), "{stream} {order:?}");
            assert_eq!(folders(&fixture), 0);
            // If the file is complete, writing a partition again only compares its values with the file.
            let again = fixture
                .good(&distributions(&out, &["--stream", stream, "--part", &format!("1/{}", order.len())]));
            assert!(again.stderr.contains("already complete, kept"), "{}", again.stderr);
        }
        // If the output is a folder, the file is named model.safetensors. Some of the 40 partitions have no values.
        std::fs::create_dir(fixture.path(stream)).unwrap();
        for part in 1..=40 {
            fixture.good(&distributions(stream, &["--stream", stream, "--part", &format!("{part}/40")]));
        }
        assert!(fixture.bytes(&format!("{stream}/model.safetensors")) == fixture.bytes(&one));
    }
}

#[test]
fn writing_a_partition_again_repairs_damaged_values() {
    let fixture = fixture();
    fixture.good(&distributions("one.safetensors", &[]));
    fixture.good(&distributions("x.safetensors", &["--part", "1/2"]));
    fixture.good(&distributions("x.safetensors", &["--part=1/2"]));
    let ran = fixture.good(&distributions("x.safetensors", &["--part", "1/2", "--resume"]));
    assert!(ran.stderr.contains("kept"), "{}", ran.stderr);
    // Simulates a killed process: some values are written, but the marker file of the partition does not exist.
    let folder =
        fixture.files().into_iter().find(|(path, _)| path.to_string_lossy().ends_with(".parts")).unwrap().0;
    let values = folder.join("values");
    let mut bytes = std::fs::read(&values).unwrap();
    let end = bytes.len();
    bytes[end - 9000..].fill(0xA5);
    std::fs::write(&values, bytes).unwrap();
    fixture.good(&distributions("x.safetensors", &["--part", "2/2"]));
    assert!(fixture.bytes("x.safetensors") == fixture.bytes("one.safetensors"));
    // A wrong value in a complete file is an error. With --force, the value is corrected in place.
    let mut bytes = fixture.bytes("x.safetensors");
    let last = bytes.len() - 1;
    bytes[last - 2000] ^= 1;
    std::fs::write(fixture.path("x.safetensors"), bytes).unwrap();
    fixture.good(&distributions("x.safetensors", &["--part", "1/2"]));
    fixture.refused(
        &distributions("x.safetensors", &["--part", "2/2"]),
        &["values differ, first at byte", "--force"],
    );
    fixture.good(&distributions("x.safetensors", &["--part", "2/2", "--force"]));
    assert!(fixture.bytes("x.safetensors") == fixture.bytes("one.safetensors"));
    // An existing file that was written with another seed is an error.
    fixture.refused(
        &[
            "init",
            "distributions.toml",
            "--like",
            "distributions.json",
            "--seed",
            "8",
            "-o",
            "x.safetensors",
            "--part",
            "1/2",
        ],
        &["exists already", "another seed", "--force"],
    );
}

#[test]
fn processes_that_run_at_the_same_time_complete_the_file_although_one_was_killed() {
    let fixture = fixture();
    let big =
        r#"{"n.w": {"dtype": "F32", "shape": [4000, 3000]}, "s.w": {"dtype": "F32", "shape": [3000, 1000]}}"#;
    std::fs::write(fixture.path("distributions.json"), big).unwrap();
    std::fs::write(
        fixture.path("distributions.toml"),
        "[init]\n\"n.*\" = \"normal\"\n\"s.*\" = \"sparse(0.3)\"\n",
    )
    .unwrap();
    fixture.good(&distributions("one.safetensors", &[]));
    let start = |part: &str| {
        let mut command = Command::new(Fixture::program());
        command
            .current_dir(fixture.path(""))
            .args(distributions("x.safetensors", &["--threads", "1", "--part", part]));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut killed = start("2/3");
    let mut others = [start("1/3"), start("3/3"), start("3/3")];
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(others.iter_mut().all(|other| other.wait().unwrap().success()));
    if !fixture.path("x.safetensors").exists() {
        fixture.good(&distributions("x.safetensors", &["--part", "2/3"]));
    }
    assert!(fixture.bytes("x.safetensors") == fixture.bytes("one.safetensors"));
    assert_eq!(folders(&fixture), 0);
}

#[test]
fn part_auto_reads_the_partition_from_the_environment_variables_of_a_launcher() {
    let fixture = fixture();
    fixture.good(&distributions("one.safetensors", &[]));
    let run = |variables: &[(&str, &str)], part: &str| {
        let mut command = Command::new(Fixture::program());
        command.current_dir(fixture.path("")).args(distributions("x.safetensors", &["--part", part]));
        command.env_clear().envs(variables.iter().copied()).output().unwrap()
    };
    assert!(run(&[("RANK", "1"), ("WORLD_SIZE", "2")], "auto").status.success());
    assert!(run(&[("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "2")], "auto").status.success());
    assert!(fixture.bytes("x.safetensors") == fixture.bytes("one.safetensors"));
    let refused = run(&[("JOB_COMPLETION_INDEX", "0")], "auto");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--part auto/n"));
    assert!(
        run(&[("JOB_COMPLETION_INDEX", "0")], "auto/2").status.success(),
        "the partition is compared and kept"
    );
    assert_eq!(run(&[], "auto").status.code(), Some(2));
}

#[test]
fn files_in_the_dcp_layout_contain_rows_and_their_offsets() {
    let fixture = fixture();
    fixture.good(&distributions("one.safetensors", &[]));
    let whole = fixture.bytes("one.safetensors");
    let whole = SafeTensors::deserialize(&whole).unwrap();
    let read = |folder: &str| {
        let mut found: BTreeMap<String, (Vec<Vec<u8>>, usize)> = BTreeMap::new();
        let mut names: Vec<_> =
            std::fs::read_dir(fixture.path(folder)).unwrap().map(|one| one.unwrap().path()).collect();
        names.sort();
        for path in &names {
            let bytes = std::fs::read(path).unwrap();
            let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
            let metadata = header.metadata().as_ref().unwrap();
            assert_eq!(metadata["DCP_VERSION"], "1.0");
            let offsets: serde_json::Value = serde_json::from_str(&metadata["DCP_SHARDING_INFO"]).unwrap();
            for (name, tensor) in SafeTensors::deserialize(&bytes).unwrap().tensors() {
                let part = found.entry(name.clone()).or_default();
                let start = offsets[&name]["saved_offsets"].as_array().unwrap();
                assert_eq!(start.len(), tensor.shape().len(), "{name}");
                assert_eq!(start.first().map_or(0, |row| row.as_u64().unwrap() as usize), part.1, "{name}");
                part.1 += tensor.shape().first().copied().unwrap_or(0);
                part.0.push(tensor.data().to_vec());
            }
        }
        for (name, tensor) in whole.tensors() {
            assert!(found[&name].0.concat() == tensor.data(), "{folder} {name}");
        }
        (names.len(), found.values().filter(|part| part.0.len() > 1).count())
    };
    fixture.good(&distributions("all", &["--layout", "dcp"]));
    assert_eq!(read("all"), (1, 0));
    fixture.good(&distributions("size", &["--layout", "dcp", "--max-shard-size", "20kB"]));
    let (files, split) = read("size");
    assert!(files > 6 && split >= 2, "{files} {split}");
    for part in ["2/3", "3/3", "1/3"] {
        fixture.good(&distributions("parts", &["--layout", "dcp", "--part", part]));
    }
    assert_eq!(read("parts").0, 3);
    for part in ["2/2", "1/2"] {
        fixture
            .good(&distributions("shared", &["--layout", "dcp", "--max-shard-size", "20kB", "--part", part]));
    }
    assert_eq!(read("shared"), (files, split));
    let kept =
        fixture.good(&distributions("shared", &["--layout", "dcp", "--max-shard-size", "20kB", "--resume"]));
    assert!(kept.stderr.contains(&format!("{files} already complete")), "{}", kept.stderr);
    fixture.refused(&distributions("x.safetensors", &["--layout", "dcp"]), &["must be written to a folder"]);
    fixture.refused(&distributions(".", &["--layout", "dcp"]), &["one.safetensors", "another checkpoint"]);
}
