//! The order of a parameter's axes. Burn and torch store the axes of the weight of a `Linear` in different orders.

/// The order of the axes of parameters: torch's order or burn's order. The order applies to plans, to drawn values, and
/// to the results of [`manifest`](crate::manifest) and [`tensors`](crate::tensors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Axes {
    /// The order of torch. The weight of a `Linear` is planned and drawn as `[out, in]`, and stored as `[in, out]`.
    /// Specs and recipes for torch can be used without changes, and the torch stream gives the weights of PyTorch.
    #[default]
    Torch,
    /// The order of burn. A spec for the weight of a `Linear` must contain the argument `layout=in_out`. Without this
    /// argument, fan_in and fan_out are swapped.
    Burn,
}

impl Axes {
    /// Returns true if burn's order of a parameter's axes differs from the order `self`. Only the weight of a `Linear`
    /// has another order in burn than in torch.
    ///
    /// `name` is the name of the parameter's field. `container` is the type of the struct that has the field. Burn's
    /// derive macro gives a `Linear` the type name `Struct:Linear`. `rank` is the number of axes.
    pub(crate) fn transposes(self, name: &str, container: &str, rank: usize) -> bool {
        self == Axes::Torch && rank == 2 && name == "weight" && container == "Struct:Linear"
    }
}

/// Returns the transpose of a row-major matrix.
pub(crate) fn transposed<E: Copy>(from: &[E], rows: usize, columns: usize) -> Vec<E> {
    // The source values and the target values of a square block fit in the cache together.
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
    fn transposed_swaps_the_two_indices_of_every_entry() {
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
    fn only_the_weights_of_linear_layers_are_transposed() {
        assert!(Axes::Torch.transposes("weight", "Struct:Linear", 2));
        assert!(!Axes::Torch.transposes("weight", "Struct:Embedding", 2));
        assert!(!Axes::Torch.transposes("bias", "Struct:Linear", 1));
        assert!(!Axes::Burn.transposes("weight", "Struct:Linear", 2));
    }
}
