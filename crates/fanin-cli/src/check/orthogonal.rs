//! Whether a matrix is orthogonal, without its Gram matrix: Q Q^T v = gain^2 v for random v.
//!
//! With entries +-1 in v the expected squared length of (Q Q^T - gain^2) v is the squared Frobenius norm of that matrix,
//! so nothing that is not orthogonal hides from a few of them. Two passes over the values, memory for some vectors.

use fanin::DType;

use crate::checkpoint::set::Checkpoints;
use crate::error::Result;
use crate::survey::spectrum::sign;

/// How many vectors are tried.
const VECTORS: usize = 4;

/// The greatest departure from orthogonality that rounding to the type explains, with room to spare.
pub fn tolerance(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-10,
        DType::F16 => 4e-3,
        DType::BF16 => 2e-2,
        // Of three bits or two little can be said, and small entries are none: the multiple of bf16's is as coarse as they.
        DType::F8E4M3 => 0.6,
        DType::F8E5M2 => 0.9,
        _ => 1e-4,
    }
}

/// |(Q Q^T - gain^2) v| / (gain^2 |v|), the greatest of a few random v; of a tall matrix that of its transpose.
///
/// # Errors
/// If the file cannot be read.
pub fn departure(checkpoint: &mut Checkpoints, number: usize, gain: f64) -> Result<f64> {
    let shape = &checkpoint.manifest.entries[number].shape;
    let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
    let (short, long) = (rows.min(columns), rows.max(columns));
    let v: Vec<[f64; VECTORS]> =
        (0..short).map(|n| std::array::from_fn(|k| sign((k * short + n) as u64))).collect();
    let mut product = |from: &[[f64; VECTORS]], size: usize, down: bool| -> Result<Vec<[f64; VECTORS]>> {
        let mut to = vec![[0.0; VECTORS]; size];
        let (mut row, mut column) = (0, 0);
        checkpoint.values(number, |values| {
            for &x in values {
                let (source, target) = if down { (row, column) } else { (column, row) };
                for k in 0..VECTORS {
                    to[target][k] += from[source][k] * x;
                }
                column += 1;
                if column == columns {
                    (row, column) = (row + 1, 0);
                }
            }
        })?;
        Ok(to)
    };
    let wide = rows <= columns;
    let there = product(&v, long, wide)?;
    let back = product(&there, short, !wide)?;
    let square = gain * gain;
    let departure = |k: usize| {
        let squares: f64 = back.iter().zip(&v).map(|(u, v)| (u[k] / square - v[k]).powi(2)).sum();
        (squares / short as f64).sqrt()
    };
    // A NaN must not be lost in a maximum.
    Ok((0..VECTORS).map(departure).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a }))
}
