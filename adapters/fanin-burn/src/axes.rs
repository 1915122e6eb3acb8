//! The order of axes: burn's and torch's.

/// The order of axes in which parameters are planned, drawn and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Axes {
    /// torch's axes: the weight of burn's `Linear`, which is stored as `[in, out]`, is treated as `[out, in]`. Specs and
    /// recipes for torch can be used unchanged, and the torch stream gives PyTorch's weights.
    #[default]
    Torch,
    /// Burn's axes. A spec for the weight of a `Linear` must have `layout=in_out`, or its fans are swapped.
    Burn,
}

impl Axes {
    /// Whether a parameter of `rank` axes is transposed between burn and these axes. It is the field `name` of a struct of
    /// the type `container`, which burn's derive macro names `Struct:Linear` for a `Linear`.
    pub(crate) fn transposes(self, name: &str, container: &str, rank: usize) -> bool {
        self == Axes::Torch && rank == 2 && name == "weight" && container == "Struct:Linear"
    }
}

/// Returns the transpose of a row-major matrix.
pub(crate) fn transposed<E: Copy>(from: &[E], rows: usize, columns: usize) -> Vec<E> {
    // Square blocks whose rows and columns both stay in the cache.
    const BLOCK: usize = 32;
    let mut to = Vec::with_capacity(from.len());
    to.extend_from_slice(from);
    for first_row in (0..rows).step_by(BLOCK) {
        for first_column in (0..columns).step_by(BLOCK) {
            for row in first_row..rows.min(first_row + BLOCK) {
                for column in first_column..columns.min(first_column + BLOCK) {
                    to[column * rows + row] = from[row * columns + column];
                }
            }
        }
    }
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indices_of_every_entry_are_swapped() {
        for (rows, columns) in [(1, 5), (33, 70), (64, 32), (0, 3)] {
            let from: Vec<usize> = (0..rows * columns).collect();
            let to = transposed(&from, rows, columns);
            for row in 0..rows {
                for column in 0..columns {
                    assert_eq!(to[column * rows + row], row * columns + column);
                }
            }
        }
    }

    #[test]
    fn only_weights_of_linear_layers_are_transposed() {
        assert!(Axes::Torch.transposes("weight", "Struct:Linear", 2));
        assert!(!Axes::Torch.transposes("weight", "Struct:Embedding", 2));
        assert!(!Axes::Torch.transposes("bias", "Struct:Linear", 1));
        assert!(!Axes::Burn.transposes("weight", "Struct:Linear", 2));
    }
}
