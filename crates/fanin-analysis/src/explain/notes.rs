//! Writes the remarks of an explanation.

use std::cmp::Ordering;

use fanin::init::Init;
use fanin::{AxisLayout, Distribution, Plan};
use fanin_recipe::text::short;

use super::layer::LayerShape;
use super::steps;

/// Returns the remarks on a plan. `layer` is `None` for scalars and vectors. `spec_layout` is the axis layout in the
/// spec.
pub(super) fn notes(
    init: &Init,
    plan: &Plan,
    layer: Option<&LayerShape>,
    spec_layout: Option<AxisLayout>,
    random: bool,
) -> Vec<String> {
    let Some(layer) = layer else {
        let note = "A vector or a scalar has no fans: it is a bias, the scale of a norm, or an embedding.";
        return vec![note.to_owned()];
    };
    let mut notes = Vec::new();
    notes.extend(different_fans(init, plan, layer, spec_layout));
    if layer.layout == AxisLayout::InOut && !layer.kernel.is_empty() {
        notes.push(
            "In a transposed convolution with stride s, only 1/s of the kernel positions along each axis feed an output. \
             Its fan_in is smaller by this factor, and so is the forward variance."
                .to_owned(),
        );
    }
    notes.extend(on_distribution(init, plan, layer, random));
    if matches!(init, Init::Kaiming(_)) {
        if steps::slope(&init.to_string()).abs() > 1.0 {
            notes.push(
                "No leaky_relu has a slope above 1: the argument a only changes the gain. a = sqrt(5), the default of torch's \
                 Linear and Conv, makes the bound 1/sqrt(fan_in) and the variance 1/(3 fan_in), so the sums have a third of \
                 the mean square of the inputs."
                    .to_owned(),
            );
        }
        let fans = layer.fans();
        if fans.fan_in != fans.fan_out {
            notes.push(
                "The two fans differ: mode=fan_in keeps the forward variance, mode=fan_out the backward variance, and \
                 neither keeps both."
                    .to_owned(),
            );
        }
    }
    notes
}

/// Returns a remark if the fans in the formula differ from the fans of the layer.
fn different_fans(
    init: &Init,
    plan: &Plan,
    layer: &LayerShape,
    spec_layout: Option<AxisLayout>,
) -> Option<String> {
    let fans = layer.fans();
    let formula_fans = plan.fans().filter(|formula_fans| *formula_fans != fans)?;
    let mut reasons = Vec::new();
    if let Some(spec_layout) = spec_layout.filter(|spec_layout| *spec_layout != layer.layout) {
        reasons.push(format!("the spec has layout={spec_layout}, but the layer has {}", layer.layout));
    }
    if layer.groups > 1 {
        let groups = layer.groups;
        reasons.push(match steps::with_argument(init, "groups", &groups) {
            Some(_) => {
                format!("the spec ignores the {groups} groups; groups={groups} takes them into account")
            }
            None => format!("the scheme ignores the {groups} groups"),
        });
    }
    let reason = if reasons.is_empty() { "the axes differ".to_owned() } else { reasons.join(", and ") };
    Some(format!(
        "The formula uses fan_in {} and fan_out {}, but the layer has {} and {}: {reason}.",
        formula_fans.fan_in, formula_fans.fan_out, fans.fan_in, fans.fan_out
    ))
}

/// Returns a remark on how a layer with this distribution changes a signal.
fn on_distribution(init: &Init, plan: &Plan, layer: &LayerShape, random: bool) -> Option<String> {
    let fans = layer.fans();
    let note = match plan.distribution() {
        Distribution::Constant { value: 0.0 } => {
            "Zeros pass no signal on, and no gradient to the layers before."
        }
        Distribution::Constant { .. } => {
            "All outputs of the layer are equal at the start. They stay equal if the next layer treats them alike."
        }
        Distribution::Eye | Distribution::Dirac { .. } => {
            "The layer passes its input on unchanged, if it has as many outputs as inputs."
        }
        _ if matches!(init, Init::Blocks(_)) => {
            "A fused parameter: each block is a layer with its own fans. To see what a block does to a signal, explain it alone."
        }
        _ if random && plan.mean().abs() > 1e-9 * plan.std() => {
            return Some(format!(
                "The mean {} is not 0: summed over {} inputs, it dominates the signal.",
                short(plan.mean()),
                fans.fan_in
            ));
        }
        _ if matches!(init, Init::DeltaOrthogonal(_)) => {
            "All singular values of the matrix at the centre of the kernel are the gain, and so are those of the convolution."
        }
        Distribution::Orthogonal { .. } if !layer.kernel.is_empty() => {
            "All singular values of the matrix [out, in * kernel] are the gain, but not those of the convolution, which keeps \
             norms only on average. delta_orthogonal keeps them exactly."
        }
        Distribution::Orthogonal { gain } => {
            let kept = if gain.abs() == 1.0 {
                "kept".to_owned()
            } else {
                format!("multiplied by {}", short(gain.abs()))
            };
            return Some(match fans.fan_in.cmp(&fans.fan_out) {
                Ordering::Equal => {
                    format!(
                        "Every singular value is the gain: norms are {kept} exactly, not only on average."
                    )
                }
                Ordering::Less => format!(
                    "Every singular value is the gain: the norm of a signal is {kept} (spread over more outputs). Of a \
                     gradient, only the part in fan_in directions is {kept}."
                ),
                Ordering::Greater => format!(
                    "Every singular value is the gain: the norm of a gradient is {kept} (spread over more inputs). Of a \
                     signal, only the part in fan_out directions is {kept}."
                ),
            });
        }
        _ => return None,
    };
    Some(note.to_owned())
}
