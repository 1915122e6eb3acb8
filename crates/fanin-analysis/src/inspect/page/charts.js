// The charts, as SVG: histograms with the planned distribution, and standard deviations by depth.

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
  element.append(...children.flat());
  return element;
};
const html = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const at = (x) => Math.round(x * 10) / 10;

// Returns the paths of a histogram: the counts as bars, and the planned counts as a line.
const histogramPaths = (n) => {
  const bars = heights(data.bars[n]);
  // A bar that is not empty is at least 2 % high, so that it is visible.
  const y = (height) => at(100 - (height && Math.max(height / HIGHEST * 100, 2)));
  const path = bars.length === 1 ? "M.47 100V0h.06V100z" : `M0 100${bars.map((bar) => `V${y(bar)}h1`).join("")}V100z`;
  const paths = [svg("path", { class: "bars", d: path })];
  if (data.planned[n]) {
    const line = heights(data.planned[n]).map((height, bar) => `${bar ? "L" : "M"}${bar}.5 ${at(100 - height / HIGHEST * 100)}`);
    paths.push(svg("path", { class: "plan", d: line.join("") }));
  }
  return paths;
};

const smallHistogram = (n) => !data.bars[n] ? "" : svg("svg",
  { class: "small", viewBox: `0 0 ${data.bars[n].length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" }, histogramPaths(n));

// Returns the axes of a chart: grid lines, ticks with labels, and titles. `x` and `y` have coordinates with labels.
const axes = ({ left, right, top, bottom }, x, y, titles) => [
  y.map(([place, label]) => [
    svg("path", { class: "grid", d: `M${left} ${at(place)}H${right}` }),
    svg("text", { class: "y", x: left - 6, y: at(place + 4) }, label),
  ]),
  svg("path", { class: "axis", d: `M${left} ${bottom}H${right}` }),
  x.map(([place, label]) => [
    svg("path", { class: "axis", d: `M${at(place)} ${bottom}v5` }),
    svg("text", { class: "x", x: at(place), y: bottom + 19 }, label),
  ]),
  svg("text", { class: "x", x: (left + right) / 2, y: bottom + 38 }, titles[0]),
  svg("text", { class: "title", x: left, y: top - 10 }, titles[1]),
].flat(2);

const largeHistogram = (n) => {
  const bars = data.bars[n].length, low = data.min[n], high = data.max[n];
  if (!bars) return html("p", {}, "There are no finite values to show.");
  const frame = { left: 62, right: 412, top: 28, bottom: 188 };
  const width = frame.right - frame.left, height = frame.bottom - frame.top;
  // The ends are halved before they are subtracted, because their difference may overflow.
  const x = (x) => low === high ? frame.left + width / 2 : frame.left + (x / 2 - low / 2) / (high / 2 - low / 2) * width;
  const ticks = low === high ? [[low, short(low)]] : linearTicks(low, high, 6);
  const y = linearTicks(0, data.top[n], 4).map(([value, label]) => [frame.bottom - value / data.top[n] * height, label]);
  const barWidth = high / bars - low / bars;
  const title = bars > 1 ? `values in each bar of width ${short(barWidth)}` : "values";
  const chart = svg("svg", { class: "chart", viewBox: "0 0 440 232", role: "img", "aria-label": `Histogram of ${names[n]}` },
    axes(frame, ticks.map(([value, label]) => [x(value), label]), y, ["value", title]),
    svg("g", { transform: `translate(${frame.left} ${frame.top}) scale(${width / bars} ${height / 100})` }, histogramPaths(n)));
  const key = [html("span", { class: "bars" }), " found ", html("span", { class: "plan" }), " planned"];
  return html("figure", {}, chart, data.planned[n] ? html("p", { class: "key" }, key) : "");
};

// Above this number of points, a series is drawn without dots.
const MOST_DOTS = 400;

// Returns the line through the points of a series, and a band if several points have the same x. The line then has the mean
// of these points, and the band their range.
const depthPaths = (points) => {
  const groups = new Map();
  for (const { x, y } of points) {
    const place = points.length > MOST_DOTS ? Math.round(x) : x;
    const group = groups.get(place) ?? { sum: 0, count: 0, top: y, bottom: y };
    groups.set(place, { sum: group.sum + y, count: group.count + 1, top: Math.min(group.top, y), bottom: Math.max(group.bottom, y) });
  }
  const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${at(x)} ${at(y)}`).join("");
  const all = [...groups];
  const line = svg("path", { d: path(all.map(([x, { sum, count }]) => [x, sum / count])) });
  if (all.length === points.length) return [line];
  const border = [...all.map(([x, { top }]) => [x, top]), ...all.map(([x, { bottom }]) => [x, bottom]).reverse()];
  return [svg("path", { class: "band", d: `${path(border)}Z` }), line];
};

// One of eight colours and one of three dash patterns. The dash pattern changes after every eight series.
const seriesStyle = (number) => `c${number % 8} d${Math.floor(number / 8) % 3}`;

const depthChart = (depth) => {
  const series = depth.series.map(({ role, position, tensor }) => {
    const positions = sums(position);
    return { role, points: sums(tensor).map((n, k) => ({ n, position: positions[k], std: data.std[n], planned: plan(n)?.std })) };
  });
  let smallest = Infinity, largest = 0;
  for (const { points } of series) {
    for (const std of points.flatMap((point) => point.planned > 0 ? [point.std, point.planned] : [point.std])) {
      smallest = Math.min(smallest, std);
      largest = Math.max(largest, std);
    }
  }
  const frame = { left: 70, right: 740, top: 32, bottom: 282 };
  const logarithmic = largest / smallest > 5;
  const margin = Math.max((largest - smallest) * 0.1, largest * 0.05);
  const [low, high] = logarithmic ? [smallest / 1.25, largest * 1.25] : [Math.max(smallest - margin, 0), largest + margin];
  const fraction = (std) => logarithmic ? Math.log(std / low) / Math.log(high / low) : (std - low) / (high - low);
  const y = (std) => frame.bottom - fraction(std) * (frame.bottom - frame.top);
  const x = (position) => frame.left + 14 + position / (depth.positions - 1) * (frame.right - frame.left - 28);
  const rows = logarithmic ? logarithmicTicks(low, high) : linearTicks(low, high, 6);
  const lines = series.map(({ points }, number) => {
    const placed = points.map((point) => ({ ...point, x: x(point.position), y: y(point.std) }));
    const paths = depthPaths(placed);
    const dots = placed.length > MOST_DOTS ? [] : placed.map((point) => {
      const planned = point.planned > 0;
      const title = `${names[point.n]}: std ${short(point.std)}${planned ? `, planned ${short(point.planned)}` : ""}`;
      return [
        planned ? svg("circle", { class: "ring", cx: at(point.x), cy: at(y(point.planned)), r: 6 }) : "",
        svg("circle", { cx: at(point.x), cy: at(point.y), r: 3.5 }, svg("title", {}, title)),
      ];
    });
    return svg("g", { id: `s${number}`, class: `series ${seriesStyle(number)}` }, paths, dots.flat());
  });
  const chart = svg("svg", { class: "chart depth", viewBox: "0 0 760 326", role: "img", "aria-label": "Standard deviation of each matrix by depth" },
    axes(frame, depth.labels.map(([position, label]) => [x(position), label]), rows.map(([std, label]) => [y(std), label]),
      ["depth: the numbers in the names", logarithmic ? "std, logarithmic" : "std"]),
    lines);
  const key = series.map(({ role }, number) => html("li", {}, html("button", { type: "button", "data-s": number, "aria-pressed": "false" },
    svg("svg", { class: "swatch", viewBox: "0 0 24 10", "aria-hidden": "true" }, svg("path", { class: seriesStyle(number), d: "M1 5H23" })),
    html("bdi", {}, role))));
  const many = series.some(({ points }) => points.length > MOST_DOTS);
  const text = (many ? "A line has the mean std of the tensors of one kind, a band their range." : "A line has one kind of tensor. A dot is the std of a tensor, a ring the planned std.")
    + (depth.others ? ` ${counted(depth.others, "matrix", "matrices")} without a position in the depth: see the table.` : "");
  get("depth").append(
    html("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Chart of stds by depth" }, chart),
    html("ul", { class: "key" }, key), html("p", { class: "note" }, text));

  // Series that are hovered or selected are highlighted.
  const buttons = [...document.querySelectorAll("[data-s]")];
  const highlight = (hovered) => {
    let anyOn = false;
    for (const button of buttons) {
      const on = button === hovered || button.getAttribute("aria-pressed") === "true";
      get("s" + button.dataset.s).classList.toggle("on", on);
      anyOn ||= on;
    }
    chart.classList.toggle("lit", anyOn);
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      highlight(null);
    });
    button.addEventListener("pointerenter", () => highlight(button));
    button.addEventListener("pointerleave", () => highlight(null));
  }
};
if (data.depth) depthChart(data.depth);
