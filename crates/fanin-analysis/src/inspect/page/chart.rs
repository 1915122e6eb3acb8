//! The charts of the page, as inline SVG: histograms against their plans, and stds by depth.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::axis::{self, Tick};
use crate::inspect::depth::{Depth, Point, Series};
use crate::inspect::{Bars, Inspection, Row};
use fanin_recipe::text::{self as numbers, escaped as shown};

/// The height that the highest bar, or the plan, has.
const HIGH: f64 = 100.0;

/// Of a tensor's histogram the greatest number of values in a bar: found, or planned.
fn most(bars: &Bars) -> f64 {
    let planned = bars.planned.iter().flatten().copied();
    bars.counts.iter().map(|&count| count as f64).chain(planned).fold(1.0, f64::max)
}

/// A coordinate: one digit behind the point is a tenth of a pixel or less.
fn place(x: f64) -> String {
    let text = format!("{x:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// The histogram of the tensor of that number, small: bars, and the plan as a line. The large one draws the same paths.
pub(super) fn small(number: usize, bars: &Bars) -> Markup {
    if bars.counts.is_empty() {
        return html! {};
    }
    let (count, most) = (bars.counts.len(), most(bars));
    let height = |values: f64| place(HIGH - values / most * HIGH);
    let mut path = String::new();
    if count == 1 {
        path.push_str("M.47 100V0h.06V100z");
    } else {
        path.push_str("M0 100");
        for &values in &bars.counts {
            // What is not empty is seen: two hundredths at least.
            let least = if values == 0 { 0.0 } else { most / 50.0 };
            _ = write!(path, "V{}h1", height((values as f64).max(least)));
        }
        path.push_str("V100z");
    }
    let plan = bars.planned.as_ref().map(|planned| {
        let mut line = String::new();
        for (bar, &values) in planned.iter().enumerate() {
            _ = write!(line, "{}{bar}.5 {}", if bar == 0 { 'M' } else { 'L' }, height(values));
        }
        line
    });
    html! {
        svg.small viewBox={ "0 0 " (count) " 100" } preserveAspectRatio="none" aria-hidden="true" {
            path.bars id={ "b" (number) } d=(path) {}
            @if let Some(line) = plan { path.plan id={ "p" (number) } d=(line) {} }
        }
    }
}

/// A chart's frame: where its first and last values lie in it.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    /// Lines and labels; both axes with ticks at these places.
    fn axes(&self, x: &[(f64, String)], y: &[(f64, String)], titles: [&str; 2]) -> Markup {
        let Frame { left, right, top, bottom } = *self;
        html! {
            @for (at, label) in y {
                path.grid d={ "M" (left) " " (place(*at)) "H" (right) } {}
                text.y x=(left - 6.0) y=(place(*at + 4.0)) { (label) }
            }
            path.axis d={ "M" (left) " " (bottom) "H" (right) } {}
            @for (at, label) in x {
                path.axis d={ "M" (place(*at)) " " (bottom) "v5" } {}
                text.x x=(place(*at)) y=(bottom + 19.0) { (label) }
            }
            text.x x=((left + right) / 2.0) y=(bottom + 38.0) { (titles[0]) }
            text.title x=(left) y=(top - 10.0) { (titles[1]) }
        }
    }
}

/// The histogram with axes.
pub(super) fn large(number: usize, row: &Row) -> Markup {
    let bars = &row.bars;
    let (Some(&low), Some(&high)) = (bars.edges.first(), bars.edges.last()) else {
        return html! { p { "No value is finite: there is nothing to draw." } };
    };
    let frame = Frame { left: 62.0, right: 412.0, top: 28.0, bottom: 188.0 };
    let (wide, most, count) = (frame.right - frame.left, most(bars), bars.counts.len());
    let x = |x: f64| {
        if low == high {
            return frame.left + wide / 2.0;
        }
        let half = high / 2.0 - low / 2.0;
        frame.left + (x / 2.0 - low / 2.0) / half * wide
    };
    let ticks = if low == high { vec![(low, numbers::short(low))] } else { axis::linear(low, high, 4.0) };
    let x: Vec<Tick> = ticks.into_iter().map(|(at, label)| (x(at), label)).collect();
    let y = axis::linear(0.0, most, 4.0).into_iter();
    let y: Vec<Tick> =
        y.map(|(at, label)| (frame.bottom - at / most * (frame.bottom - frame.top), label)).collect();
    let scale = format!(
        "translate({} {}) scale({} {})",
        frame.left,
        frame.top,
        place_exactly(wide / count as f64),
        (frame.bottom - frame.top) / HIGH
    );
    let width = if count > 1 { high / count as f64 - low / count as f64 } else { 0.0 };
    let each = if width > 0.0 {
        format!("values, {} wide each bar", numbers::short(width))
    } else {
        "values".into()
    };
    html! {
        svg.chart viewBox="0 0 440 232" role="img" aria-label={ "Histogram of " (shown(&row.entry.name)) } {
            (frame.axes(&x, &y, ["value", &each]))
            g transform=(scale) {
                use href={ "#b" (number) } {}
                @if bars.planned.is_some() { use href={ "#p" (number) } {} }
            }
        }
        @if bars.planned.is_some() {
            p.key { span.bars {} " found " span.plan {} " planned" }
        }
    }
}

fn place_exactly(x: f64) -> String {
    format!("{x:.4}")
}

/// The stds of the matrices by depth, with a list of the kinds that there are.
pub(super) fn depth(inspection: &Inspection, depth: &Depth) -> Markup {
    let points = || depth.series.iter().flat_map(|series| &series.points);
    let both = |point: &Point| [Some(point.std), point.planned];
    let (least, greatest) = points()
        .flat_map(both)
        .flatten()
        .fold((f64::INFINITY, 0f64), |(least, greatest), std| (least.min(std), greatest.max(std)));
    let frame = Frame { left: 70.0, right: 740.0, top: 32.0, bottom: 282.0 };
    let logarithmic = greatest / least > 5.0;
    let (low, high) = if logarithmic {
        (least / 1.25, greatest * 1.25)
    } else {
        let room = ((greatest - least) * 0.1).max(greatest * 0.05);
        ((least - room).max(0.0), greatest + room)
    };
    let y = |std: f64| {
        let part =
            if logarithmic { (std / low).ln() / (high / low).ln() } else { (std - low) / (high - low) };
        frame.bottom - part * (frame.bottom - frame.top)
    };
    let last = depth.places.len() - 1;
    let x = |place: usize| frame.left + 14.0 + place as f64 / last as f64 * (frame.right - frame.left - 28.0);
    let ticks = if logarithmic { axis::logarithmic(low, high) } else { axis::linear(low, high, 6.0) };
    let rows: Vec<Tick> = ticks.into_iter().map(|(at, label)| (y(at), label)).collect();
    let names: Vec<String> = labels(&depth.places);
    let longest = names.iter().map(String::len).max().unwrap_or(1);
    let every = (names.len() * (longest * 8 + 10)).div_ceil(640);
    let columns: Vec<Tick> =
        names.into_iter().enumerate().step_by(every).map(|(place, name)| (x(place), name)).collect();
    let title = if logarithmic { "std, logarithmic" } else { "std" };
    html! {
        div.wide tabindex="0" role="region" aria-label="Chart of stds by depth" {
            svg.chart.depth viewBox="0 0 760 326" role="img" aria-label="Standard deviation of each matrix by depth" {
                (frame.axes(&columns, &rows, ["depth: the numbers in the names", title]))
                @for (number, series) in depth.series.iter().enumerate() {
                    (one(inspection, number, series, |point: &Point| (x(point.place), y(point.std), point.planned.map(&y))))
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
                        bdi { (shown(&series.role)) }
                    }
                }
            }
        }
        p.note {
            "A dot is a tensor, a ring its planned std."
            @if depth.others > 0 {
                " " (numbers::counted(depth.others as u64, "matrix").replace("matrixs", "matrices"))
                " without a place in the depth: see the table."
            }
        }
    }
}

/// What tells a series from the others: one of eight colours, and of dashes beyond.
fn style(number: usize) -> String {
    format!("c{} d{}", number % 8, number / 8 % 3)
}

fn one(
    inspection: &Inspection,
    number: usize,
    series: &Series,
    at: impl Fn(&Point) -> (f64, f64, Option<f64>),
) -> Markup {
    let mut line = String::new();
    let mut before = None;
    for point in &series.points {
        let (x, y, _) = at(point);
        // Several tensors in one place are dots without a line between them.
        let step = if before == Some(point.place) || before.is_none() { 'M' } else { 'L' };
        _ = write!(line, "{step}{} {}", place(x), place(y));
        before = Some(point.place);
    }
    html! {
        g id={ "s" (number) } class={ "series " (style(number)) } {
            path d=(line) {}
            @for point in &series.points {
                @let (x, y, planned) = at(point);
                @if let Some(planned) = planned { circle.ring cx=(place(x)) cy=(place(planned)) r="6" {} }
                circle cx=(place(x)) cy=(place(y)) r="3.5" {
                    title {
                        (shown(&inspection.rows[point.tensor].entry.name)) ": std " (numbers::short(point.std))
                        @if let Some(planned) = point.planned { ", planned " (numbers::short(planned)) }
                    }
                }
            }
        }
    }
}

/// The places as text, without the numbers that are the same in all.
fn labels(places: &[Vec<u64>]) -> Vec<String> {
    let length = places.iter().map(Vec::len).min().unwrap_or(0);
    let same = (0..length).take_while(|&k| places.iter().all(|place| place[k] == places[0][k])).count();
    let text = |place: &Vec<u64>| place[same..].iter().map(u64::to_string).collect::<Vec<_>>().join(".");
    places.iter().map(text).collect()
}
