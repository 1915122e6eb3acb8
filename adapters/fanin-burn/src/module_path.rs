//! [`ModulePath`]: the path of the parameter that a visitor is visiting.

use crate::Axes;

/// The path from a module to the field that a [`ModuleVisitor`](burn_core::module::ModuleVisitor) or a
/// [`ModuleMapper`](burn_core::module::ModuleMapper) is visiting.
pub(crate) struct ModulePath {
    axes: Axes,
    /// The levels of the path. A level is the name of a field and the type of the struct that contains the field.
    levels: Vec<(String, String)>,
}

impl ModulePath {
    pub(crate) fn new(axes: Axes) -> Self {
        Self { axes, levels: Vec::new() }
    }

    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.levels.push((name.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.levels.pop();
    }

    /// Returns the name of the current parameter, for example `layers.0.weight`.
    pub(crate) fn name(&self) -> String {
        self.levels.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(".")
    }

    /// Returns the type of the struct that contains the current parameter, for example `Struct:Linear`.
    pub(crate) fn container(&self) -> &str {
        self.levels.last().map_or("", |(_, container)| container)
    }

    /// Returns true if burn's order of axes differs from the order `self.axes` for the current parameter. `rank` is the
    /// number of axes of the parameter.
    pub(crate) fn is_transposed(&self, rank: usize) -> bool {
        self.levels.last().is_some_and(|(name, container)| self.axes.transposes(name, container, rank))
    }
}
