//! Derives the shape of a layer (its numbers of channels and its kernel) from the shape of the layer's weight.

use std::borrow::Cow;

use fanin::{AxisLayout, AxisRole, Fans, element_count};

use crate::error::{Error, Result};

/// The shape of the layer that a weight belongs to: its numbers of input and output channels, and its kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerShape {
    /// The axis layout of the weight.
    pub layout: AxisLayout,
    /// The number of groups of the convolution; 1 for other layers.
    pub groups: usize,
    /// The number of input channels that one output depends on. In a grouped convolution, these are the input channels
    /// of one group.
    pub inputs: usize,
    /// The number of output channels that depend on one input. In a grouped convolution, these are the output channels
    /// of one group.
    pub outputs: usize,
    /// The sizes of the kernel axes; empty for a matrix.
    pub kernel: Vec<usize>,
}

impl LayerShape {
    /// Returns the `LayerShape` for a weight of the shape `shape`, or `None` for scalars and vectors.
    ///
    /// The weight of a grouped convolution has the input channels of one group and the output channels of all groups. A
    /// transposed convolution ([`AxisLayout::InOut`]) is different: its weight has the input channels of all groups and
    /// the output channels of one group.
    ///
    /// # Errors
    /// Returns an error in these cases:
    ///
    /// * `groups` is 0 or does not divide the number of channels of all groups.
    /// * An explicit layout ([`AxisLayout::Axes`]) does not have as many axes as the shape.
    /// * `groups` is not 1, and the order of explicit axes does not determine which axis has the channels of all groups
    ///   (see [`AxisLayout::grouped_fans`]).
    /// * The number of elements or a fan does not fit a `usize`.
    pub fn of(shape: &[usize], layout: AxisLayout, groups: usize) -> Result<Option<Self>> {
        element_count(shape)?;
        if shape.len() < 2 {
            return Ok(None);
        }
        let roles = layout.roles(shape.len());
        let sizes = |role: AxisRole| {
            shape.iter().zip(&roles).filter(move |(_, of)| **of == role).map(|(size, _)| *size)
        };
        if !matches!(layout, AxisLayout::Axes(_)) {
            let (all_groups, channels) = match layout {
                AxisLayout::InOut => (AxisRole::In, "input"),
                _ => (AxisRole::Out, "output"),
            };
            let count = sizes(all_groups).product::<usize>();
            if groups == 0 || !count.is_multiple_of(groups) {
                return Err(Error::Request(format!(
                    "groups = {groups}: the {count} {channels} channels of the shape {shape:?} cannot be split into {groups} \
                     equal groups"
                )));
            }
        }
        let Fans { fan_in, fan_out } = layout.grouped_fans(shape, groups)?;
        let size = sizes(AxisRole::Kernel).product::<usize>();
        // A kernel without positions has no inputs and no outputs.
        let channels = |fan: usize| fan.checked_div(size).unwrap_or(0);
        let (inputs, outputs) = (channels(fan_in), channels(fan_out));
        Ok(Some(Self { layout, groups, inputs, outputs, kernel: sizes(AxisRole::Kernel).collect() }))
    }

    /// Returns the receptive field size, which is the number of kernel positions. It is 1 for a matrix.
    pub fn receptive_field_size(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Returns the fans. fan_in is the number of inputs that one output depends on. fan_out is the number of outputs
    /// that depend on one input, at a stride of 1.
    pub fn fans(&self) -> Fans {
        let size = self.receptive_field_size();
        Fans { fan_in: self.inputs * size, fan_out: self.outputs * size }
    }

    /// Returns a description of the axes of the weight, such as `[out, in], as torch's Linear`.
    pub fn axes(&self) -> Cow<'static, str> {
        let description = match (self.layout, self.kernel.is_empty(), self.groups > 1) {
            (AxisLayout::Axes(axes), ..) => {
                let names = axes.roles().iter().map(|role| match role {
                    AxisRole::Out => "out",
                    AxisRole::In => "in",
                    AxisRole::Kernel => "kernel",
                    AxisRole::Batch => "batch",
                });
                return format!("[{}]", names.collect::<Vec<_>>().join(", ")).into();
            }
            (AxisLayout::InOut, true, _) => "[in, out]",
            (AxisLayout::InOut, false, false) => "[in, out, kernel...], as torch's transposed convolutions",
            (AxisLayout::InOut, false, true) => {
                "[in, out / groups, kernel...], as torch's transposed convolutions"
            }
            (AxisLayout::KernelInOut, true, _) => "[in, out], as Keras and JAX",
            (AxisLayout::KernelInOut, false, false) => "[kernel..., in, out], as Keras and JAX",
            (AxisLayout::KernelInOut, false, true) => "[kernel..., in / groups, out], as Keras and JAX",
            (_, true, _) => "[out, in], as torch's Linear",
            (_, false, false) => "[out, in, kernel...], as torch's convolutions",
            (_, false, true) => "[out, in / groups, kernel...], as torch's convolutions",
        };
        description.into()
    }

    /// Returns a fan as a product in words, such as `3 input channels * 7 * 7 kernel positions`. `channels` is the
    /// number of channels, and `direction` is "input" or "output".
    pub fn fan_factors(&self, channels: usize, direction: &str) -> String {
        if self.kernel.is_empty() {
            return format!("{channels} {direction}s");
        }
        let kernel: Vec<String> = self.kernel.iter().map(ToString::to_string).collect();
        let group = if self.groups > 1 { " of a group" } else { "" };
        format!("{channels} {direction} channels{group} * {} kernel positions", kernel.join(" * "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_agree_with_the_layer_for_each_axis_layout_and_number_of_groups() {
        for (shape, layout, groups, fan_in, fan_out) in [
            (&[64, 3, 7, 7][..], AxisLayout::OutIn, 1, 147, 3136),
            (&[10, 20], AxisLayout::OutIn, 1, 20, 10),
            (&[10, 20], AxisLayout::InOut, 1, 10, 20),
            (&[10, 20], AxisLayout::KernelInOut, 1, 10, 20),
            (&[7, 7, 3, 64], AxisLayout::KernelInOut, 1, 147, 3136),
            // Conv2d(64, 128, 3, groups=4): a group has 16 input channels and 32 output channels.
            (&[128, 16, 3, 3], AxisLayout::OutIn, 4, 144, 288),
            // In a depthwise convolution, a group has 1 input and 1 output channel.
            (&[64, 1, 3, 3], AxisLayout::OutIn, 64, 9, 9),
            // ConvTranspose2d(64, 32, 4, groups=2): a group has 32 input channels and 16 output channels.
            (&[64, 16, 4, 4], AxisLayout::InOut, 2, 512, 256),
            (&[3, 3, 16, 128], AxisLayout::KernelInOut, 4, 144, 288),
            // The same ConvTranspose2d, with explicit axes.
            (&[64, 16, 4, 4], "iokk".parse().unwrap(), 2, 512, 256),
        ] {
            let layer = LayerShape::of(shape, layout, groups).unwrap().unwrap();
            assert_eq!(layer.fans(), Fans { fan_in, fan_out }, "{shape:?} {layout} {groups}");
            if groups == 1 {
                assert_eq!(layer.fans(), layout.fans(shape).unwrap());
            }
        }
        let experts = LayerShape::of(&[8, 256, 64], "eoi".parse().unwrap(), 1).unwrap().unwrap();
        assert_eq!(
            (experts.fans(), &*experts.axes()),
            (Fans { fan_in: 64, fan_out: 256 }, "[batch, out, in]")
        );
        assert!(LayerShape::of(&[8, 256], "eoi".parse().unwrap(), 1).is_err());
        assert_eq!(LayerShape::of(&[5], AxisLayout::OutIn, 1).unwrap(), None);
        for groups in [0, 3] {
            assert!(LayerShape::of(&[64, 3, 3, 3], AxisLayout::OutIn, groups).is_err());
        }
        assert!(LayerShape::of(&[usize::MAX, 2, 2], AxisLayout::OutIn, 1).is_err());
    }
}
