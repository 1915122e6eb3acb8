//! Tests of replay files. Values must equal those of torch's generator. An error must name the position of the mistake.

use std::path::Path;

use fanin::{Stream as _, TensorMut, Torch, init};
use fanin_checkpoint::{CheckpointPlan, Draw, Partitioning, StreamKind, replay_differences};
use fanin_recipe::Replay;

/// Parses a replay with the given lines of the table `[tensors]`.
fn replay(tensors: &str) -> Result<Replay, fanin_recipe::Error> {
    let text = format!(
        "[replay]\nversion = 1\nseed = 5\ntorch = \"2\"\n[temporary]\nt = {{ shape = [4], fill = \"uniform\", at = 2 }}\n[tensors]\n{tensors}\n"
    );
    Replay::parse(&text, Path::new("r.toml"))
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Returns whether a replay gives the tensor `w` the bytes `expected`. `table` is the entry of `w` in the replay.
fn gives(table: &str, expected: &[u8]) -> bool {
    let replay = replay(&format!("w = {table}")).unwrap();
    replay_differences(&replay, &[("w".to_owned(), expected)]).unwrap().is_empty()
}

#[test]
fn fills_begin_at_the_given_position_in_the_stream() {
    let mut torch = Torch::new(5);
    let mut values = [0f32; 6];
    init::uniform(0.0, 1.0).fill(&mut values, &[6], &mut torch).unwrap();
    assert!(gives("{ shape = [6], fill = \"uniform\", at = 0 }", &bytes(&values)));
    assert!(gives("{ shape = [2, 2], fill = \"uniform\", at = 2 }", &bytes(&values[2..])));
    assert!(gives("{ shape = [4], copy = \"t\" }", &bytes(&values[2..])));
    assert!(!gives("{ shape = [4], fill = \"uniform\", at = 1 }", &bytes(&values[2..])));
    assert!(!gives("{ shape = [4], fill = \"uniform\", at = 2, seed = 6 }", &bytes(&values[2..])));
}

#[test]
fn a_stored_normal_value_is_found_by_the_position_of_its_pair() {
    let mut torch = Torch::new(5);
    let (mut first, mut words, mut second) = ([0f32; 1], [0f32; 3], [0f32; 2]);
    init::normal(0.0, 1.0).fill(&mut first, &[1], &mut torch).unwrap();
    init::uniform(0.0, 1.0).fill(&mut words, &[3], &mut torch).unwrap();
    init::normal(0.0, 1.0).fill(&mut second, &[2], &mut torch).unwrap();
    assert!(gives("{ shape = [2], fill = \"normal\", at = 7, pair = 0 }", &bytes(&second)));
    assert!(!gives("{ shape = [2], fill = \"normal\", at = 7 }", &bytes(&second)));
}

#[test]
fn steps_write_views_in_order_and_change_values_of_earlier_steps() {
    let mut torch = Torch::new(5);
    let mut values = [0f32; 6];
    let columns = TensorMut::strided(&mut values, &[3, 2], &[1, 3], 0).unwrap();
    let plan = fanin::Initializer::resolve(&init::normal(0.0, 1.0), &[3, 2], fanin::DType::F32).unwrap();
    torch.fill(&plan, columns).unwrap();
    values.iter_mut().for_each(|value| *value = *value * 0.1 + 3.0);
    values[4] = 7.0;
    let steps = "{ shape = [2, 3], steps = [{ fill = \"normal\", at = 0, view = { shape = [3, 2], strides = [1, 3] } }, \
                 { mul = 0.1 }, { add = 3 }, { fill = \"constant(7)\", view = { offset = 4, shape = [] } }] }";
    assert!(gives(steps, &bytes(&values)));
    let transposed: Vec<f32> = [0, 3, 1, 4, 2, 5].map(|index| values[index]).to_vec();
    let steps = steps.replace("shape = [2, 3], steps", "shape = [3, 2], strides = [1, 3], steps");
    assert!(gives(&steps, &bytes(&transposed)));
}

#[test]
fn integers_and_lists_are_written() {
    let whole = |values: &[i64]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    assert!(gives("{ shape = [2, 2], dtype = \"I64\", fill = \"arange\" }", &whole(&[0, 1, 0, 1])));
    assert!(gives("{ shape = [2], dtype = \"I64\", values = [-3, 9] }", &whole(&[-3, 9])));
    assert!(gives("{ shape = [2], dtype = \"BOOL\", values = [true, false] }", &[1, 0]));
    assert!(gives("{ shape = [2], dtype = \"I64\", fill = \"ones\" }", &whole(&[1, 1])));
    assert!(gives("{ shape = [2], dtype = \"C64\", fill = \"zeros\" }", &[0; 16]));
    let two_rows: Vec<u8> = (0..=255).chain(0..=255).collect();
    assert!(gives("{ shape = [2, 256], dtype = \"U8\", fill = \"arange\" }", &two_rows));
    assert!(gives("{ shape = [2], values = [0.5, -inf] }", &bytes(&[0.5, f32::NEG_INFINITY])));
}

#[test]
fn every_mistake_has_a_position_and_a_remedy() {
    for (table, needle) in [
        ("{ shape = [2], fill = \"normal\" }", "write at = 0"),
        ("{ shape = [2], fil = \"zeros\" }", "did you mean fill?"),
        ("{ shape = [2] }", "must have one of fill, copy"),
        ("{ fill = \"zeros\" }", "no shape"),
        ("{ shape = [2], copy = \"w\" }", "no tensor before this one is named \"w\""),
        ("{ shape = [3], copy = \"t\" }", "gives 4 values, but the step writes 3"),
        ("{ shape = [2], values = [1] }", "1 values are given, but the step writes 2"),
        ("{ shape = [2], dtype = \"F31\", fill = \"zeros\" }", "unknown dtype \"F31\""),
        ("{ shape = [2], dtype = \"U8\", values = [256, 0] }", "256 cannot be written as U8"),
        ("{ shape = [2], dtype = \"I64\", fill = \"normal\" }", "cannot be written as I64"),
        ("{ shape = [2], mul = 2 }", "no step has written"),
        ("{ shape = [2], fill = \"zeros\", view = { shape = [1] } }", "do not write all elements"),
        ("{ shape = [2], fill = \"zeros\", view = { offset = 1, shape = [2] } }", "not inside the tensor"),
        ("{ shape = [2], fill = \"nrmal\", at = 0 }", "did you mean normal?"),
        ("{ shape = [2], fill = \"normal\", at = 3, pair = 0 }", "must end before at = 3"),
        ("{ shape = [-1], fill = \"zeros\" }", "-1 must be at least 0"),
        ("{ shape = [9223372036854775807, 9], fill = \"zeros\" }", "too many elements"),
        ("{ shape = [2], steps = 3 }", "must be an array of tables"),
        ("{ shape = [2], steps = [{ fill = \"zeros\", veiw = { shape = [1] } }] }", "did you mean view?"),
        ("{ shape = [2], at = 0, steps = [{ fill = \"zeros\" }] }", "unknown key \"at\""),
        ("{ shape = [2], values = [1, 2], at = 0 }", "at has no effect in a step with values"),
        ("{ shape = [2], dtype = \"U8\", fill = \"constant(300)\" }", "write a constant from 0 to 255"),
        ("{ shape = [300], dtype = \"U8\", fill = \"arange\" }", "arange cannot be written as U8"),
        ("{ shape = [2], dtype = \"C64\", fill = \"arange\" }", "arange cannot be written as C64"),
        ("{ shape = [2], dtype = \"C64\", fill = \"ones\" }", "ones cannot be written as C64"),
    ] {
        let error = replay(&format!("w = {table}")).unwrap_err().to_string();
        assert!(error.starts_with("r.toml:8:") && error.contains(needle), "{table}: {error}");
    }
    let error = replay("").unwrap_err().to_string();
    assert!(error.contains("no tensors"), "{error}");
    let error = Replay::parse("[replay]\nversion = 2", Path::new("r.toml")).unwrap_err().to_string();
    assert!(error.contains("unknown version 2"), "{error}");
}

#[test]
fn a_replay_is_not_a_recipe_and_requires_the_torch_stream() {
    let replay = replay("w = { shape = [2], fill = \"zeros\" }").unwrap();
    let draw = Draw { stream: StreamKind::Native, seed: 0, threads: None };
    let error = CheckpointPlan::of_replay(replay, draw, Partitioning::default()).unwrap_err().to_string();
    assert!(error.contains("torch stream"), "{error}");
    assert!(Replay::find("gpt2").unwrap().is_none() && Replay::find("no.toml").unwrap().is_none());
}
