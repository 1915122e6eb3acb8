//! Computes the ticks of an axis, at round numbers.

use fanin_recipe::text::short;

/// A tick of an axis: a number and its label.
pub(super) type Tick = (f64, String);

/// Returns ticks at about `count` round numbers from `low` to `high`. The labels have as many digits as are needed to
/// distinguish them.
pub(super) fn linear(low: f64, high: f64, count: f64) -> Vec<Tick> {
    // `low` and `high` are divided before they are subtracted, because their difference may overflow.
    let rough = high / count - low / count;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![(low, short(low))];
    }
    let power = 10f64.powi(rough.log10().floor() as i32);
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
    let Some(step) = step.filter(|step| step.is_normal()) else { return vec![(low, short(low))] };
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    // At more than 1e12 steps from zero, f64 cannot represent the ticks precisely enough. Only the lower end then has a
    // tick.
    if first.abs().max(last.abs()) > 1e12 {
        return vec![(low, format!("{low:e}"))];
    }
    (first as i64..=last as i64).map(|k| (k as f64 * step, label(k, step))).collect()
}

/// Returns the label of the number `k * step`, rounded to the digit of the step.
fn label(k: i64, step: f64) -> String {
    let x = k as f64 * step;
    // The step has one significant digit. `step_exponent` is the power of ten of this digit.
    let step_exponent = step.log10().floor() as i32;
    if x == 0.0 {
        return "0".to_owned();
    }
    let exponent = x.abs().log10().floor() as i32;
    let text = if (-4..6).contains(&exponent) {
        format!("{x:.*}", (-step_exponent).max(0) as usize)
    } else {
        format!("{x:.*e}", (exponent - step_exponent).max(0) as usize)
    };
    let (mantissa, exponent) = text.split_once('e').map_or((text.as_str(), ""), |(m, e)| (m, e));
    let short =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    if exponent.is_empty() { short.to_owned() } else { format!("{short}e{exponent}") }
}

/// Returns ticks from `low` to `high` for a logarithmic axis. Both ends must be above 0. The ticks are at 1, 2 and 5
/// times powers of ten. In a range of more than three powers of ten, they are at powers of ten only.
pub(super) fn logarithmic(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let every = ((last - first) / 8).max(1) as usize;
    let factors: &[f64] = if last - first > 3 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    (first..=last)
        .step_by(every)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .filter(|x| (low..=high).contains(x))
        .map(|x| (x, short(x)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&linear(-0.09, 0.1, 4.0)), ["-0.05", "0", "0.05", "0.1"]);
        assert_eq!(labels(&linear(0.0, 21_000.0, 4.0)), ["0", "10000", "20000"]);
        assert_eq!(labels(&linear(0.0, 3e7, 3.0)), ["0", "1e7", "2e7", "3e7"]);
        assert_eq!(labels(&linear(999.97, 1000.03, 3.0)), ["999.98", "1000", "1000.02"]);
        assert_eq!(labels(&linear(-2.3e-9, 1e-9, 3.0)), ["-2e-9", "0"]);
        assert_eq!(labels(&logarithmic(0.004, 0.11)), ["0.005", "0.01", "0.02", "0.05", "0.1"]);
        assert_eq!(labels(&logarithmic(1e-7, 20.0)).len(), 9);
    }

    #[test]
    fn any_range_of_f64_has_ticks() {
        for (low, high) in [
            (-f64::MAX, f64::MAX),
            (0.0, f64::MIN_POSITIVE / 4.0),
            (1.0, 1.0),
            (1e300, 1e300 * (1.0 + 1e-15)),
            (f64::NAN, 1.0),
            (-1e-320, f64::MAX),
        ] {
            let ticks = linear(low, high, 4.0);
            assert!((1..=10).contains(&ticks.len()), "{low} {high} {ticks:?}");
        }
    }
}
