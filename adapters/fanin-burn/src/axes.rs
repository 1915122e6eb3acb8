//! Burn's axes and torch's.

/// In which axes parameters are planned, drawn and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Axes {
    /// torch's: the weight of burn's `Linear`, `[in, out]`, is seen as `[out, in]`. Specs and recipes made for torch are
    /// right as they stand, and torch's stream gives torch's weights.
    #[default]
    Torch,
    /// Burn's, as they are. A spec for a `Linear` must say `layout=in_out`, or its fans are swapped.
    Burn,
}

impl Axes {
    /// Whether a parameter, the field `name` of a struct of this type, is seen transposed. The type is told by burn's
    /// derive as `Struct:Linear`.
    pub(crate) fn transpose(self, name: &str, container: &str, axes: usize) -> bool {
        self == Axes::Torch && axes == 2 && name == "weight" && container == "Struct:Linear"
    }
}

/// The transpose of a row-major matrix.
pub(crate) fn transposed<E: Copy>(from: &[E], rows: usize, columns: usize) -> Vec<E> {
    // Blocks of lines that stay in the cache while they are read across.
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
    fn every_entry_changes_its_indices() {
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
    fn only_linear_layers_are_turned() {
        assert!(Axes::Torch.transpose("weight", "Struct:Linear", 2));
        assert!(!Axes::Torch.transpose("weight", "Struct:Embedding", 2));
        assert!(!Axes::Torch.transpose("bias", "Struct:Linear", 1));
        assert!(!Axes::Burn.transpose("weight", "Struct:Linear", 2));
    }
}
