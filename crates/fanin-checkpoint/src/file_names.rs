//! The names of the files of a checkpoint in a folder.

/// The file name of a checkpoint that consists of one file.
pub(crate) const SINGLE_FILE: &str = "model.safetensors";

/// The file name of the index in the `hf` layout.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// Returns the name of the file with this `number` (from 1 to `count`) in the `hf` layout.
pub(crate) fn hf_file(number: usize, count: usize) -> String {
    if count == 1 { SINGLE_FILE.to_owned() } else { format!("model-{number:05}-of-{count:05}.safetensors") }
}

/// Returns the name of the file with this `number` (from 1) in the `dcp` layout.
pub(crate) fn dcp_file(number: usize) -> String {
    format!("shard-{number:05}-model-00001-of-00001.safetensors")
}

/// Returns true if `name` is a file name of the `hf` layout, such as `model-00001-of-00002.safetensors`.
pub(crate) fn is_hf_name(name: &str) -> bool {
    name == SINGLE_FILE
        || name == INDEX
        || name
            .strip_prefix("model-")
            .and_then(|rest| rest.strip_suffix(".safetensors"))
            .and_then(|rest| rest.split_once("-of-"))
            .is_some_and(|(number, count)| {
                let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                digits(number) && digits(count)
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hf_layout_are_recognized() {
        for name in [&hf_file(1, 2), &hf_file(2, 2), &hf_file(1, 1), INDEX, SINGLE_FILE] {
            assert!(is_hf_name(name), "{name}");
        }
        for name in
            ["model-a-of-b.safetensors", "model-1.safetensors", "x.safetensors", "model--of-.safetensors"]
        {
            assert!(!is_hf_name(name), "{name}");
        }
    }
}
