//! The fans of a layer as it is wired: by layout and groups.

use std::borrow::Cow;

use fanin::{Axis, AxisLayout, Fans, element_count};

use crate::error::{Error, Result};

/// How a weight's axes are inputs, outputs and taps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wiring {
    /// Which axis is which.
    pub layout: AxisLayout,
    /// Groups that the channels are parted into.
    pub groups: usize,
    /// Input channels that one output sees.
    pub inputs: usize,
    /// Output channels that one input reaches.
    pub outputs: usize,
    /// The kernel's sizes.
    pub kernel: Vec<usize>,
}

impl Wiring {
    /// The wiring of a weight of this shape; none for scalars and vectors.
    ///
    /// A grouped layer's weight has the channels of one group on its input axis (on its output axis, where
    /// [`AxisLayout::InOut`] is a transposed convolution), and all channels on the other.
    ///
    /// # Errors
    /// Groups that do not divide the channels, or with explicit axes, which do not say where they are; axes that are not as
    /// many as the shape's; fans that do not fit.
    pub fn of(shape: &[usize], layout: AxisLayout, groups: usize) -> Result<Option<Self>> {
        element_count(shape)?;
        if let (AxisLayout::Axes(axes), [_, _, ..]) = (layout, shape) {
            // Whatever is wrong with these axes is told.
            layout.grouped_fans(shape, groups)?;
            let of = |role: Axis| {
                let sizes = shape.iter().zip(axes.roles()).filter(move |(_, axis)| **axis == role);
                sizes.map(|(size, _)| *size)
            };
            let (inputs, outputs) = (of(Axis::In).product(), of(Axis::Out).product());
            return Ok(Some(Self { layout, groups, inputs, outputs, kernel: of(Axis::Kernel).collect() }));
        }
        let (inputs, outputs, kernel) = match (layout, shape) {
            (_, [] | [_]) => return Ok(None),
            (AxisLayout::InOut, [inputs, outputs, kernel @ ..]) => (*inputs, *outputs, kernel),
            (AxisLayout::KernelInOut, [kernel @ .., inputs, outputs]) => (*inputs, *outputs, kernel),
            (_, [outputs, inputs, kernel @ ..]) => (*inputs, *outputs, kernel),
        };
        let parted = if layout == AxisLayout::InOut { inputs } else { outputs };
        if groups == 0 || !parted.is_multiple_of(groups) {
            let what = if layout == AxisLayout::InOut { "input" } else { "output" };
            return Err(Error::Request(format!(
                "--groups {groups}: the {parted} {what} channels of the shape {shape:?} are not so many groups alike"
            )));
        }
        let (inputs, outputs) = match layout {
            AxisLayout::InOut => (inputs / groups, outputs),
            _ => (inputs, outputs / groups),
        };
        let wiring = Self { layout, groups, inputs, outputs, kernel: kernel.to_vec() };
        let fits = |channels: usize| kernel.iter().try_fold(channels, |fan, &taps| fan.checked_mul(taps));
        if fits(inputs).is_none() || fits(outputs).is_none() {
            return Err(fanin::Error::ShapeOverflow { shape: shape.to_vec() }.into());
        }
        Ok(Some(wiring))
    }

    /// Taps of the kernel; 1 for a matrix.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Inputs that feed one output, and outputs that one input reaches, at stride 1.
    pub fn fans(&self) -> Fans {
        Fans { fan_in: self.inputs * self.taps(), fan_out: self.outputs * self.taps() }
    }

    /// How the axes are called: `[out, in, taps]`.
    pub fn axes(&self) -> Cow<'static, str> {
        let told = match (self.layout, self.kernel.is_empty(), self.groups > 1) {
            (AxisLayout::Axes(axes), ..) => {
                let names = axes.roles().iter().map(|axis| match axis {
                    Axis::Out => "out",
                    Axis::In => "in",
                    Axis::Kernel => "taps",
                    Axis::Each => "each",
                });
                return format!("[{}]", names.collect::<Vec<_>>().join(", ")).into();
            }
            (AxisLayout::InOut, true, _) => "[in, out]",
            (AxisLayout::InOut, false, false) => "[in, out, taps...], as torch's transposed convolutions",
            (AxisLayout::InOut, false, true) => {
                "[in, out / groups, taps...], as torch's transposed convolutions"
            }
            (AxisLayout::KernelInOut, true, _) => "[in, out], as Keras and JAX",
            (AxisLayout::KernelInOut, false, false) => "[taps..., in, out], as Keras and JAX",
            (AxisLayout::KernelInOut, false, true) => "[taps..., in / groups, out], as Keras and JAX",
            (_, true, _) => "[out, in], as torch's Linear",
            (_, false, false) => "[out, in, taps...], as torch's convolutions",
            (_, false, true) => "[out, in / groups, taps...], as torch's convolutions",
        };
        told.into()
    }

    /// `3 input channels x 7 x 7 taps`.
    pub fn told(&self, channels: usize, what: &str) -> String {
        if self.kernel.is_empty() {
            return format!("{channels} {what}s");
        }
        let taps: Vec<String> = self.kernel.iter().map(ToString::to_string).collect();
        let group = if self.groups > 1 { " of a group" } else { "" };
        format!("{channels} {what} channels{group} * {} taps", taps.join(" * "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fans_are_those_of_the_wiring() {
        for (shape, layout, groups, fan_in, fan_out) in [
            (&[64, 3, 7, 7][..], AxisLayout::OutIn, 1, 147, 3136),
            (&[10, 20], AxisLayout::OutIn, 1, 20, 10),
            (&[10, 20], AxisLayout::InOut, 1, 10, 20),
            (&[10, 20], AxisLayout::KernelInOut, 1, 10, 20),
            (&[7, 7, 3, 64], AxisLayout::KernelInOut, 1, 147, 3136),
            // Conv2d(64, 128, 3, groups=4) has [128, 16, 3, 3]: 16 inputs, and each input reaches 32 outputs.
            (&[128, 16, 3, 3], AxisLayout::OutIn, 4, 144, 288),
            // Depthwise: one in, one out.
            (&[64, 1, 3, 3], AxisLayout::OutIn, 64, 9, 9),
            // ConvTranspose2d(64, 32, 4, groups=2) has [64, 16, 4, 4]: 32 inputs of a group, 16 outputs of it.
            (&[64, 16, 4, 4], AxisLayout::InOut, 2, 512, 256),
            (&[3, 3, 16, 128], AxisLayout::KernelInOut, 4, 144, 288),
        ] {
            let wiring = Wiring::of(shape, layout, groups).unwrap().unwrap();
            assert_eq!(wiring.fans(), Fans { fan_in, fan_out }, "{shape:?} {layout} {groups}");
            if groups == 1 {
                assert_eq!(wiring.fans(), layout.fans(shape).unwrap());
            }
        }
        let experts = Wiring::of(&[8, 256, 64], "eoi".parse().unwrap(), 1).unwrap().unwrap();
        assert_eq!(
            (experts.fans(), &*experts.axes()),
            (Fans { fan_in: 64, fan_out: 256 }, "[each, out, in]")
        );
        assert!(Wiring::of(&[8, 256], "eoi".parse().unwrap(), 1).is_err());
        assert_eq!(Wiring::of(&[5], AxisLayout::OutIn, 1).unwrap(), None);
        for groups in [0, 3] {
            assert!(Wiring::of(&[64, 3, 3, 3], AxisLayout::OutIn, groups).is_err());
        }
        assert!(Wiring::of(&[usize::MAX, 2, 2], AxisLayout::OutIn, 1).is_err());
    }
}
