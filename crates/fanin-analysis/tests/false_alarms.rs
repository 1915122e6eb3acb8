//! Counts false alarms of `verify` and `audit` in correct files. The files cover many schemes, every element type and
//! both streams. The smallest tensors have one value, the largest four million.

mod common;

use common::{File, Tensor, deviations};
use fanin::DType;
use fanin_analysis::check::Kind;

/// The tested specs, each with the smallest and the largest number of axes of its random shapes.
const SPECS: &[(&str, usize, usize)] = &[
    ("normal(std=0.02)", 0, 5),
    ("normal(mean=1, std=0.1)", 0, 5),
    ("uniform(-0.1, 0.3)", 0, 5),
    ("trunc_normal(std=0.02, a=-0.04, b=0.04)", 0, 5),
    ("trunc_normal(std=1, a=0.5, b=9)", 0, 5),
    ("constant(0.3)", 0, 5),
    ("xavier_uniform", 2, 5),
    ("xavier_normal(gain=2)", 2, 5),
    ("kaiming_uniform(a=sqrt(5))", 2, 5),
    ("kaiming_normal(mode=fan_out)", 2, 5),
    ("lecun_normal", 2, 5),
    ("variance_scaling(scale=2, mode=fan_avg, distribution=truncated_normal)", 2, 5),
    ("orthogonal(gain=1.4)", 2, 4),
    ("sparse(0.4, std=0.5)", 2, 2),
    ("eye", 2, 2),
    ("dirac", 3, 5),
    ("blocks(normal(std=0.02), normal(std=0.05), axis=0)", 2, 4),
    ("stacked(kaiming_normal)", 3, 4),
    ("stacked(orthogonal)", 3, 3),
];

/// A sequence of pseudo-random numbers.
struct Random(u64);

impl Random {
    /// Returns a number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % n as u64) as usize
    }

    /// Returns a random shape with `least` to `most` axes, and at most 2^`bits` values.
    fn shape(&mut self, least: usize, most: usize, bits: usize) -> Vec<usize> {
        let axes = least + self.below(most - least + 1);
        let mut left = self.below(bits + 1);
        let mut shape = Vec::new();
        for axis in 0..axes {
            let bits = if axis + 1 == axes { left } else { self.below(left + 1) };
            left -= bits;
            // Most sizes are not powers of two.
            shape.push((1usize << bits) - self.below(1usize << bits).min((1 << bits) / 3));
        }
        shape
    }
}

/// The results of checking correct files.
#[derive(Debug, Default)]
struct Counts {
    /// The number of files.
    files: usize,
    /// The number of tensors in all files.
    tensors: usize,
    /// The number of values in all files.
    values: usize,
    /// For each file in which `verify` fails: the failed tests, followed by the tensors in which they failed.
    verify: Vec<String>,
    /// The tensors in which `audit` finds problems.
    problems: Vec<String>,
    /// The tensors that `audit` classifies as trained, and in which `audit` finds no problems.
    trained: Vec<String>,
}

/// Writes correct files, and checks each file with `verify` and `audit`. The argument `files` is the number of files.
/// Each file has six tensors of at most 2^`bits` values. The seeds of file `n` are derived from `first + n`.
fn count(files: usize, bits: usize, first: u64) -> Counts {
    let mut counts = Counts::default();
    for number in 0..files as u64 {
        let mut random = Random((first + number).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let (mut tensors, mut rules) = (Vec::new(), String::new());
        while tensors.len() < 6 {
            let (spec, least, most) = SPECS[random.below(SPECS.len())];
            let dtype = DType::ALL[random.below(DType::ALL.len())];
            let torch = random.below(3) == 0 && matches!(dtype, DType::F32 | DType::F64);
            let matrix = spec.contains("orthogonal") || spec.contains("sparse") || spec.contains("eye");
            let shape = random.shape(least, most, if matrix { bits.min(17) } else { bits });
            let name = format!("layer{}.kernel", tensors.len());
            let seed = first + number;
            let drawn = if torch { Tensor::try_drawn_by_torch } else { Tensor::try_drawn };
            let Ok(tensor) = drawn(&name, spec, dtype, &shape, seed + 1000 * tensors.len() as u64) else {
                continue;
            };
            rules += &format!("\"{name}\" = \"{spec}\"\n");
            tensors.push((tensor, spec));
        }
        let (tensors, specs): (Vec<Tensor>, Vec<&str>) = tensors.into_iter().unzip();
        counts.files += 1;
        counts.tensors += tensors.len();
        counts.values += tensors.iter().map(|tensor| tensor.values.len()).sum::<usize>();
        let file = File::new(&tensors);
        let name =
            |n: usize| format!("file {number}: {} {} {:?}", specs[n], tensors[n].dtype, tensors[n].shape);
        let found = file.verify(&rules);
        if !found.is_ok() {
            counts.verify.push(format!("{} {:?}", name(0), deviations(&found)));
            let wrong = (0..specs.len()).filter(|n| !found.tensors[*n].deviations.is_empty());
            counts.verify.extend(wrong.map(name));
        }
        for (n, tensor) in file.audit().tensors.iter().enumerate() {
            let found = &tensor.classification;
            if !found.problems.is_empty() {
                counts.problems.push(format!("{}: {:?}", name(n), found.problems));
            } else if found.kind == Kind::Other && !specs[n].contains("b=9") {
                // `audit` cannot recognize a distribution that is truncated on one side only, as with `b=9`.
                counts.trained.push(format!("{}: {:?}", name(n), found.notes));
            }
        }
    }
    counts
}

#[test]
fn correct_files_pass_verify_and_have_no_problems_in_audit() {
    let counts = count(60, 13, 1);
    assert!(counts.verify.is_empty() && counts.problems.is_empty(), "{counts:#?}");
}

#[test]
fn stacks_of_orthogonal_2_by_2_matrices_have_no_problems_in_audit() {
    for seed in 0..20 {
        let stack = Tensor::try_drawn("stack", "stacked(orthogonal)", DType::F16, &[30, 2, 2], seed).unwrap();
        let audited = File::new(&[stack]).audit();
        let problems = &audited.tensors[0].classification.problems;
        assert!(problems.is_empty(), "{seed}: {problems:?}");
    }
}

#[test]
fn an_orthogonal_convolution_is_not_a_stack_of_blocks() {
    for shape in [&[64, 32, 3, 3][..], &[64, 32, 7], &[40, 6, 2], &[16, 2, 2, 2]] {
        let weight = Tensor::drawn("conv.weight", "orthogonal(gain=2)", DType::F32, shape, 5);
        let audited = File::new(&[weight]).audit();
        assert_eq!(audited.tensors[0].distribution(), "orthogonal(gain=2)", "{shape:?}");
    }
}

/// Prints the false alarms, and the numbers of files, tensors and values. The environment variable `FILES` sets the
/// number of files. `BITS` limits the size of a tensor to 2^`BITS` values.
#[test]
#[ignore = "takes minutes"]
fn a_thousand_correct_files_pass() {
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
    };
    let counts = count(number("FILES", 1000), number("BITS", 22), 10_000);
    println!("{counts:#?}");
    // At an alpha of 0.001, at most one of 1000 files fails on average. A failed file adds one text to
    // `counts.verify`, and one more for each failed tensor. The probability of more than 4 failed files is 0.4 %.
    assert!(counts.verify.len() <= 8 && counts.problems.is_empty(), "{} files", counts.files);
}
