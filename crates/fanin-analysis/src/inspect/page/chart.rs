//! Renders the charts of the page as inline SVG: histograms with the planned distribution, and standard deviations by
//! depth.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axis::{self, Tick};
use crate::inspect::depth::{Point, Series, StdByDepth};
use crate::inspect::inspection::{Histogram, Inspection, TensorInspection};
use fanin_recipe::text::{self, escaped};

/// The height of a small histogram, in the coordinates of its SVG.
const HEIGHT: f64 = 100.0;

/// Returns the largest number of values in a bar, measured or planned, but at least 1.
fn max_count(histogram: &Histogram) -> f64 {
    let planned = histogram.planned.iter().flatten().copied();
    histogram.counts.iter().map(|&count| count as f64).chain(planned).fold(1.0, f64::max)
}

/// Returns a coordinate as text with at most one decimal. One decimal is a tenth of a pixel or less.
fn coordinate(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// Returns the small histogram of a tensor: the counts as bars, and the planned counts as a line. `index` is the index
/// of the tensor in the inspection. [`large`] draws the same paths by their identifiers.
pub(super) fn small(index: usize, histogram: &Histogram) -> Markup {
    if histogram.counts.is_empty() {
        return html! {};
    }
    let (count, highest) = (histogram.counts.len(), max_count(histogram));
    let height = |values: f64| coordinate(HEIGHT - values / highest * HEIGHT);
    let mut path = String::new();
    if count == 1 {
        path.push_str("M.47 100V0h.06V100z");
    } else {
        path.push_str("M0 100");
        for &values in &histogram.counts {
            // A bar that is not empty is at least 2 % high, so that it is visible.
            let least = if values == 0 { 0.0 } else { highest / 50.0 };
            _ = write!(path, "V{}h1", height((values as f64).max(least)));
        }
        path.push_str("V100z");
    }
    let plan = histogram.planned.as_ref().map(|planned| {
        let mut line = String::new();
        for (bar, &values) in planned.iter().enumerate() {
            _ = write!(line, "{}{bar}.5 {}", if bar == 0 { 'M' } else { 'L' }, height(values));
        }
        line
    });
    html! {
        svg.small viewBox={ "0 0 " (count) " 100" } preserveAspectRatio="none" aria-hidden="true" {
            path.bars id={ "b" (index) } d=(path) {}
            @if let Some(line) = plan { path.plan id={ "p" (index) } d=(line) {} }
        }
    }
}

/// The coordinates of the four sides of a chart's plot area.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    /// Returns both axes, the grid lines, and the titles of the axes. The ticks of `x` and `y` are in the coordinates
    /// of the SVG.
    fn axes(&self, x: &[Tick], y: &[Tick], titles: [&str; 2]) -> Markup {
        let Frame { left, right, top, bottom } = *self;
        html! {
            @for (at, label) in y {
                path.grid d={ "M" (left) " " (coordinate(*at)) "H" (right) } {}
                text.y x=(left - 6.0) y=(coordinate(*at + 4.0)) { (label) }
            }
            path.axis d={ "M" (left) " " (bottom) "H" (right) } {}
            @for (at, label) in x {
                path.axis d={ "M" (coordinate(*at)) " " (bottom) "v5" } {}
                text.x x=(coordinate(*at)) y=(bottom + 19.0) { (label) }
            }
            text.x x=((left + right) / 2.0) y=(bottom + 38.0) { (titles[0]) }
            text.title x=(left) y=(top - 10.0) { (titles[1]) }
        }
    }
}

/// Returns the large histogram of a tensor, with axes. `index` is the index of the tensor in the inspection.
pub(super) fn large(index: usize, tensor: &TensorInspection) -> Markup {
    let histogram = &tensor.histogram;
    let (Some(&low), Some(&high)) = (histogram.edges.first(), histogram.edges.last()) else {
        return html! { p { "There are no finite values to show." } };
    };
    let frame = Frame { left: 62.0, right: 412.0, top: 28.0, bottom: 188.0 };
    let (width, height) = (frame.right - frame.left, frame.bottom - frame.top);
    let (highest, count) = (max_count(histogram), histogram.counts.len());
    let x = |x: f64| {
        if low == high {
            return frame.left + width / 2.0;
        }
        // `low` and `high` are halved before they are subtracted, because their difference may overflow.
        let half = high / 2.0 - low / 2.0;
        frame.left + (x / 2.0 - low / 2.0) / half * width
    };
    let ticks = if low == high { vec![(low, text::short(low))] } else { axis::linear(low, high, 4.0) };
    let x: Vec<Tick> = ticks.into_iter().map(|(at, label)| (x(at), label)).collect();
    let y = axis::linear(0.0, highest, 4.0).into_iter();
    let y: Vec<Tick> = y.map(|(at, label)| (frame.bottom - at / highest * height, label)).collect();
    let scale = format!(
        "translate({} {}) scale({} {})",
        frame.left,
        frame.top,
        // This factor is multiplied by the number of bars, so it needs more decimals than a coordinate.
        format_args!("{:.4}", width / count as f64),
        height / HEIGHT
    );
    let bar_width = if count > 1 { high / count as f64 - low / count as f64 } else { 0.0 };
    let title = if bar_width > 0.0 {
        format!("values in each bar of width {}", text::short(bar_width))
    } else {
        "values".into()
    };
    html! {
        svg.chart viewBox="0 0 440 232" role="img" aria-label={ "Histogram of " (escaped(&tensor.entry.name)) } {
            (frame.axes(&x, &y, ["value", &title]))
            g transform=(scale) {
                use href={ "#b" (index) } {}
                @if histogram.planned.is_some() { use href={ "#p" (index) } {} }
            }
        }
        @if histogram.planned.is_some() {
            p.key { span.bars {} " found " span.plan {} " planned" }
        }
    }
}

/// Returns the chart of the standard deviations of the matrices by depth, with a key that lists the roles.
pub(super) fn depth(inspection: &Inspection, depth: &StdByDepth) -> Markup {
    let points = || depth.series.iter().flat_map(|series| &series.points);
    let both = |point: &Point| [Some(point.std), point.planned];
    let (smallest, largest) = points()
        .flat_map(both)
        .flatten()
        .fold((f64::INFINITY, 0f64), |(smallest, largest), std| (smallest.min(std), largest.max(std)));
    let frame = Frame { left: 70.0, right: 740.0, top: 32.0, bottom: 282.0 };
    let logarithmic = largest / smallest > 5.0;
    let (low, high) = if logarithmic {
        (smallest / 1.25, largest * 1.25)
    } else {
        let margin = ((largest - smallest) * 0.1).max(largest * 0.05);
        ((smallest - margin).max(0.0), largest + margin)
    };
    let y = |std: f64| {
        let fraction =
            if logarithmic { (std / low).ln() / (high / low).ln() } else { (std - low) / (high - low) };
        frame.bottom - fraction * (frame.bottom - frame.top)
    };
    let last = depth.positions.len() - 1;
    let x = |position: usize| {
        frame.left + 14.0 + position as f64 / last as f64 * (frame.right - frame.left - 28.0)
    };
    let ticks = if logarithmic { axis::logarithmic(low, high) } else { axis::linear(low, high, 6.0) };
    let rows: Vec<Tick> = ticks.into_iter().map(|(at, label)| (y(at), label)).collect();
    let names: Vec<String> = labels(&depth.positions);
    let longest = names.iter().map(String::len).max().unwrap_or(1);
    let every = (names.len() * (longest * 8 + 10)).div_ceil(640);
    let columns: Vec<Tick> =
        names.into_iter().enumerate().step_by(every).map(|(position, name)| (x(position), name)).collect();
    let title = if logarithmic { "std, logarithmic" } else { "std" };
    html! {
        div.wide tabindex="0" role="region" aria-label="Chart of stds by depth" {
            svg.chart.depth viewBox="0 0 760 326" role="img" aria-label="Standard deviation of each matrix by depth" {
                (frame.axes(&columns, &rows, ["depth: the numbers in the names", title]))
                @for (number, series) in depth.series.iter().enumerate() {
                    (series_of(inspection, number, series, |point: &Point| (x(point.position), y(point.std), point.planned.map(&y))))
                }
            }
        }
        ul.key {
            @for (number, series) in depth.series.iter().enumerate() {
                li {
                    button type="button" data-s=(number) aria-pressed="false" {
                        svg.swatch viewBox="0 0 24 10" aria-hidden="true" {
                            path class=(style(number)) d="M1 5H23" {}
                        }
                        bdi { (escaped(&series.role)) }
                    }
                }
            }
        }
        p.note {
            "A dot is the std of a tensor, a ring the planned std."
            @if depth.others > 0 {
                " " (text::counted(depth.others as u64, "matrix").replace("matrixs", "matrices"))
                " without a position in the depth: see the table."
            }
        }
    }
}

/// Returns the CSS classes of series number `number`: one of eight colours and one of three dash patterns. The dash
/// pattern changes after every eight series.
fn style(number: usize) -> String {
    format!("c{} d{}", number % 8, number / 8 % 3)
}

/// Returns the line and the dots of a series. `at` returns the x and y coordinates of a point, and the y coordinate of
/// its planned standard deviation if there is one.
fn series_of(
    inspection: &Inspection,
    number: usize,
    series: &Series,
    at: impl Fn(&Point) -> (f64, f64, Option<f64>),
) -> Markup {
    let mut line = String::new();
    let mut before = None;
    for point in &series.points {
        let (x, y, _) = at(point);
        // Two tensors at the same position are not connected by a line.
        let step = if before == Some(point.position) || before.is_none() { 'M' } else { 'L' };
        _ = write!(line, "{step}{} {}", coordinate(x), coordinate(y));
        before = Some(point.position);
    }
    html! {
        g id={ "s" (number) } class={ "series " (style(number)) } {
            path d=(line) {}
            @for point in &series.points {
                @let (x, y, planned) = at(point);
                @if let Some(planned) = planned { circle.ring cx=(coordinate(x)) cy=(coordinate(planned)) r="6" {} }
                circle cx=(coordinate(x)) cy=(coordinate(y)) r="3.5" {
                    title {
                        (escaped(&inspection.tensors[point.tensor].entry.name)) ": std " (text::short(point.std))
                        @if let Some(planned) = point.planned { ", planned " (text::short(planned)) }
                    }
                }
            }
        }
    }
}

/// Returns the labels of positions. The leading numbers that all positions have in common are left out.
fn labels(positions: &[Vec<u64>]) -> Vec<String> {
    let length = positions.iter().map(Vec::len).min().unwrap_or(0);
    let same =
        (0..length).take_while(|&k| positions.iter().all(|position| position[k] == positions[0][k])).count();
    let text =
        |position: &Vec<u64>| position[same..].iter().map(u64::to_string).collect::<Vec<_>>().join(".");
    positions.iter().map(text).collect()
}
