//! Compares the values of the native stream with the test vectors in `golden/native.tsv`. The vectors cover each spec
//! of `CATALOGUE` in each element type.
//!
//! `FANIN_GOLDEN=write cargo test -p fanin --test value_stability` replaces the vectors. For a released version of the
//! stream, a changed vector is a breaking change: it requires a new version of the stream.

mod common;

use common::{CATALOGUE, filled};
use fanin::{DType, Element, Native};
use sha2::{Digest, Sha256};

#[test]
fn the_values_of_every_code_path_equal_the_test_vectors() {
    let mut text = String::from(
        "# The native stream, version 1: seed 20260101, tensor \"golden.weight\".\n\
         # sha256   first 16 hex digits, of the row-major bytes, little endian\n\
         # first    the first three values, as f64\n\
         # spec\tdtype\tshape\tsha256\tfirst\n",
    );
    for (spec, shapes) in CATALOGUE {
        for shape in [shapes[0], shapes[shapes.len() - 1], shapes[shapes.len() / 2]] {
            for dtype in DType::ALL {
                let values = filled(spec, shape, dtype, &mut Native::new(20_260_101).tensor("golden.weight"));
                let hash: String =
                    Sha256::digest(values.bytes())[..8].iter().map(|b| format!("{b:02x}")).collect();
                let first: Vec<String> = each!(&values, values => values.iter().take(3).map(|v| format!("{:e}", v.to_f64())).collect());
                text += &format!("{spec}\t{dtype}\t{shape:?}\t{hash}\t{}\n", first.join(" "));
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/native.tsv");
    if std::env::var_os("FANIN_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (line, (found, expected)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", line + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count());
}
