//! Tests of files in other formats than safetensors, and of shards that have outdated copies of tensors.

mod fixture;

use fixture::Fixture;

#[test]
fn the_error_for_a_file_in_another_format_names_the_format() {
    let fixture = Fixture::new();
    let zip = |name: &str| {
        [b"PK\x03\x04", &[0; 22][..], &[name.len() as u8, 0, 0, 0], name.as_bytes(), &[0; 99]].concat()
    };
    for (name, bytes, needles) in [
        (
            "lfs.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 548105171\n".to_vec(),
            ["Git LFS pointer", "git lfs pull"],
        ),
        ("page.safetensors", b"<!DOCTYPE html><html><body>404</body></html>".to_vec(), ["HTML", "download"]),
        ("model.bin", zip("archive/data.pkl"), ["PyTorch file", "safetensors.torch.save_file"]),
        ("old.pt", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M".to_vec(), ["pickle", "torch.load"]),
        ("a.npz", zip("arr_0.npy"), ["NumPy archive", "numpy.load"]),
        ("m.gguf", b"GGUF\x03\0\0\0\x23\x01\0\0\0\0\0\0".to_vec(), ["GGUF", "safetensors"]),
        ("m.h5", b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), ["HDF5", "h5py"]),
        (
            "m.json",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n".to_vec(),
            ["Git LFS pointer", "git lfs pull"],
        ),
        ("empty.safetensors", Vec::new(), ["empty", "interrupted"]),
    ] {
        std::fs::write(fixture.path(name), bytes).unwrap();
        for command in
            [&["inspect", name][..], &["audit", name], &["init", "r.toml", "--like", name, "--dry-run"]]
        {
            if name != "m.json" || command[0] == "init" {
                fixture.refused(command, &[name, needles[0], needles[1]]);
            }
        }
    }
    std::fs::create_dir(fixture.path("torch")).unwrap();
    std::fs::write(fixture.path("torch/pytorch_model.bin"), zip("pytorch_model/data.pkl")).unwrap();
    fixture.refused(
        &["inspect", "torch"],
        &["no safetensors file in this folder", "pytorch_model.bin is a PyTorch file"],
    );
}

/// Writes a checkpoint of f32 scalars to the file `name`.
fn save(fixture: &Fixture, name: &str, tensors: &[(&str, f32)]) {
    let header: Vec<String> = tensors
        .iter()
        .enumerate()
        .map(|(k, (name, _))| {
            format!(r#""{name}":{{"dtype":"F32","shape":[],"data_offsets":[{},{}]}}"#, 4 * k, 4 * k + 4)
        })
        .collect();
    let header = format!(r#"{{"__metadata__":null,{}}}"#, header.join(","));
    let values = tensors.iter().flat_map(|(_, x)| x.to_le_bytes());
    let bytes = (header.len() as u64)
        .to_le_bytes()
        .into_iter()
        .chain(header.bytes())
        .chain(values)
        .collect::<Vec<_>>();
    std::fs::write(fixture.path(name), bytes).unwrap();
}

#[test]
fn only_the_copy_of_a_tensor_that_the_index_names_is_read_and_other_copies_are_reported() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("m")).unwrap();
    save(&fixture, "m/model-00001-of-00002.safetensors", &[("a", 1.0), ("b", -7.0)]);
    save(&fixture, "m/model-00002-of-00002.safetensors", &[("b", 2.0), ("c", 3.0)]);
    let index = r#"{"metadata": {"total_size": 12}, "weight_map": {"a": "model-00001-of-00002.safetensors",
        "b": "model-00002-of-00002.safetensors", "c": "model-00002-of-00002.safetensors"}}"#;
    std::fs::write(fixture.path("m/model.safetensors.index.json"), index).unwrap();
    let ran = fixture.good(&["inspect", "m", "--json"]);
    assert!(
        ran.stderr.contains("model-00001-of-00002.safetensors has another copy of \"b\""),
        "{}",
        ran.stderr
    );
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let means: Vec<f64> = report["tensors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tensor| tensor["measured"]["mean"].as_f64().unwrap())
        .collect();
    assert_eq!(means, [1.0, 2.0, 3.0]);
    // Without an index, two tensors with the same name are an error.
    std::fs::remove_file(fixture.path("m/model.safetensors.index.json")).unwrap();
    fixture.refused(&["inspect", "m"], &["also has a tensor \"b\""]);
}
