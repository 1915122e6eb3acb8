// The table of tensors. A page of rows is in the document at a time, and the details of a row are created when it is opened.

const ROWS = 250;

// Returns a name as elements, with a possible line break after each dot.
const breakable = (name) => html("bdi", {}, name.split(/(?<=\.)/).flatMap((part, n) => n ? [html("wbr", {}), part] : [part]));
const dash = (value, text) => value === null || value === undefined ? "–" : text(value);
const bound = (n, value) => (data.lanczos[n] && value !== Infinity ? "≥ " : "") + short(value);
const offText = (n, value) => {
  const error = plan(n).error, text = value.toFixed(2).replace(/^-(?=0\.00$)/, "");
  return `${value > 0 && text !== "0.00" ? "+" : ""}${text}${error ? ` ± ${(error * 100).toFixed(2)}` : ""}`;
};

// A column: its heading, its tooltip, the key by which it sorts, and the text or element of a cell. Only columns with numbers
// have `number`.
const planned = data.plans.length > 0, spectra = data.norm.some((norm) => norm !== null);
const numbers = (name, title, key, text = (n, value) => short(value)) =>
  ({ name, title, key, number: true, cell: (n) => dash(key(n), (value) => text(n, value)) });
const columns = [
  { name: "tensor", title: "Name", key: (n) => names[n], cell: (n) => [
    html("button", { class: "name", type: "button", "aria-expanded": open.has(n) }, breakable(names[n])),
    warningsOf(n).length ? html("span", { class: "mark", title: "has warnings" }, `⚠ ${warningsOf(n).length}`) : "",
  ] },
  { name: "dtype", title: "Type of the values", key: (n) => kind(n).dtype, cell: (n) => kind(n).dtype },
  { name: "shape", title: "Shape; sorts by the number of values", number: true, key: (n) => kind(n).values, cell: (n) => kind(n).shape },
  { name: "histogram", class: "h", cell: smallHistogram },
  planned && { name: "scheme", title: "Initialization scheme of the recipe", class: "scheme", key: (n) => plan(n)?.scheme ?? "", cell: (n) => plan(n)?.scheme ?? "" },
  planned && numbers("planned std", "Standard deviation by the recipe", (n) => plan(n)?.std ?? null),
  numbers("std", "Standard deviation of the finite values", (n) => data.std[n]),
  planned && numbers("off, %", "Difference between measured and planned std in percent, and the standard error of the std", off, offText),
  numbers("mean", "Mean of the finite values", (n) => data.mean[n]),
  numbers("min", "Smallest finite value", (n) => data.min[n]),
  numbers("max", "Largest finite value", (n) => data.max[n]),
  spectra && numbers("norm", "Spectral norm: the largest singular value; ≥ marks a lower bound", (n) => data.norm[n], bound),
  spectra && numbers("condition", "Largest over smallest singular value; ≥ marks a lower bound", condition, bound),
].filter(Boolean);

const open = new Set();
let order = names.map((_, n) => n), shown = order, first = 0;

// Returns the entries of the list in the details of a tensor.
const facts = (n) => {
  const { values, size, matrix } = kind(n), its = plan(n), found = [["values", `${count(values)}, ${size}`]];
  if (its) {
    found.push(["rule", html("code", {}, html("bdi", {}, its.rule))], ["scheme", html("code", {}, its.spec ?? its.scheme)]);
    if (its.distribution) found.push(["distribution", its.distribution]);
    found.push(["planned mean, std", `${long(its.mean)}, ${long(its.std)}`]);
    if (its.error) found.push(["standard error of the std", `${short(its.error * its.std)} (${short(its.error * 100)} %)`]);
  }
  for (const name of ["mean", "std", "min", "max"]) found.push([name, dash(data[name][n], long)]);
  const [nans, infinite] = data.nonFinite[n] ?? [0, 0];
  found.push(["zeros", dash(data.zeros[n], count)], ["NaN, infinite", data.zeros[n] === null ? "–, –" : `${count(nans)}, ${count(infinite)}`]);
  const outliers = data.outliers[n];
  if (outliers) {
    const item = ([index, value]) => html("li", {}, `${long(value)} at ${index}, ${short((value - data.mean[n]) / data.std[n], 3)} std from the mean`);
    found.push(["outliers", html("ul", {}, outliers.map(item))]);
  }
  if (data.norm[n] !== null) {
    const lanczos = data.lanczos[n], atLeast = lanczos ? "at least " : "", ratio = condition(n);
    found.push(["matrix shape", matrix], ["spectral norm", atLeast + long(data.norm[n])]);
    if (data.least[n] !== null) found.push(["smallest singular value", (lanczos ? "at most " : "") + long(data.least[n])]);
    if (ratio !== null) found.push(["condition number", ratio === Infinity ? "∞: not of full rank" : atLeast + long(ratio)]);
    if (lanczos) found.push(["computed by", lanczos]);
  }
  return found.flatMap(([term, fact]) => [html("dt", {}, term), html("dd", {}, fact)]);
};

const details = (n) => html("tr", { class: "more" }, html("td", { colspan: columns.length },
  html("div", { class: "cols" }, largeHistogram(n), html("dl", {}, facts(n))),
  warningsOf(n).length ? html("ul", { class: "warnings" }, warningsOf(n).map((warning) => html("li", {}, data.warnings[warning]))) : ""));

const rowOf = (n, place) => {
  const cell = ({ name, number, class: css, cell }, column) => column === 0
    ? html("th", { scope: "row" }, cell(n))
    : html("td", { class: number ? "n" : css ?? null, "data-l": name === "histogram" ? null : name }, cell(n));
  return html("tbody", { id: `t${n}` }, html("tr", { "aria-rowindex": place + 2 }, columns.map(cell)), open.has(n) ? details(n) : "");
};

const table = get("tensors");
const render = () => {
  for (const body of [...table.tBodies]) body.remove();
  table.setAttribute("aria-rowcount", shown.length + 1);
  table.append(...shown.slice(first, first + ROWS).map((n, k) => rowOf(n, first + k)));
  get("shown").textContent = `${count(shown.length)} of ${count(names.length)}`;
  get("close").hidden = open.size === 0;
  for (const pager of document.querySelectorAll(".pager")) {
    pager.hidden = shown.length <= ROWS;
    pager.querySelector("span").textContent = `rows ${count(first + 1)} to ${count(Math.min(first + ROWS, shown.length))} of ${count(shown.length)}`;
    for (const button of pager.querySelectorAll("[data-step]")) {
      button.disabled = button.dataset.step < 0 ? first === 0 : first + ROWS >= shown.length;
    }
  }
};

// Filtering: every word of the filter must occur in name, type, shape or scheme.
const searchTexts = names.map((name, n) => `${name} ${kind(n).dtype} ${kind(n).shape} ${plan(n)?.scheme ?? ""}`.toLowerCase());
const filter = () => {
  const words = get("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const warned = get("warned").value;
  const matches = (n) => words.every((word) => searchTexts[n].includes(word))
    && (warned === "" || (warned === "any" ? warningsOf(n).length > 0 : warningsOf(n).includes(Number(warned))));
  shown = words.length || warned ? order.filter(matches) : order;
  first = 0;
  render();
};
get("filter").addEventListener("input", filter);
get("warned").addEventListener("change", filter);

// Sorting: ascending, descending, and back to file order. Cells without a number come last in both directions.
const collator = new Intl.Collator("en", { numeric: true });
const sort = (column, direction) => {
  order = names.map((_, n) => n);
  if (direction) {
    const keys = order.map(columns[column].key);
    order.sort((a, b) => {
      if (keys[a] === null || keys[b] === null) return (keys[a] === null) - (keys[b] === null) || a - b;
      const difference = columns[column].number ? (keys[a] > keys[b]) - (keys[a] < keys[b]) : collator.compare(keys[a], keys[b]);
      return difference * direction || a - b;
    });
  }
  [...table.tHead.rows[0].cells].forEach((head, n) => {
    if (direction && n === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
  get("sort").value = direction ? column * 2 + (direction < 0 ? 1 : 0) : -1;
  filter();
};
table.tHead.rows[0].append(...columns.map(({ name, title, number, key }, column) => {
  const head = html("th", { scope: "col", class: number ? "n" : null }, key ? html("button", { type: "button", title }, name) : name);
  if (!key) return head;
  head.firstChild.addEventListener("click", () => {
    const current = head.getAttribute("aria-sort");
    sort(column, current === "ascending" ? -1 : current === "descending" ? 0 : 1);
  });
  for (const [n, arrow] of ["▲", "▼"].entries()) get("sort").add(new Option(`${name} ${arrow}`, column * 2 + n));
  return head;
}));
get("sort").addEventListener("change", (event) => {
  const chosen = Number(event.target.value);
  if (chosen < 0) sort(0, 0);
  else sort(chosen >> 1, chosen % 2 ? -1 : 1);
});

// Pages of rows.
for (const button of document.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => {
    first = Math.min(Math.max(first + button.dataset.step * ROWS, 0), Math.floor((shown.length - 1) / ROWS) * ROWS);
    render();
    get("table").scrollIntoView();
    document.querySelector(".scroll").scrollTop = 0;
  });
}

// Details that open below a row.
const setOpen = (n, isOpen) => {
  if (isOpen) open.add(n);
  else open.delete(n);
  const body = get(`t${n}`);
  if (!body) return;
  body.querySelector(".more")?.remove();
  if (isOpen) body.append(details(n));
  body.querySelector(".name").setAttribute("aria-expanded", isOpen);
  get("close").hidden = open.size === 0;
};
table.addEventListener("click", (event) => {
  const n = Number(event.target.closest(".name")?.closest("tbody").id.slice(1) ?? NaN);
  if (!Number.isNaN(n)) setOpen(n, !open.has(n));
});
get("close").addEventListener("click", () => [...open].forEach((n) => setOpen(n, false)));

// Links of the warnings to tensors.
const openLinkedTensor = () => {
  const n = Number(/^#t(\d+)$/.exec(location.hash)?.[1] ?? NaN);
  if (!(n < names.length)) return;
  if (!shown.includes(n)) {
    get("filter").value = "";
    get("warned").value = "";
    filter();
  }
  const place = shown.indexOf(n);
  if (place < first || place >= first + ROWS) {
    first = place - place % ROWS;
    render();
  }
  setOpen(n, true);
  get(`t${n}`).scrollIntoView({ block: "center" });
  get(`t${n}`).querySelector(".name").focus({ preventScroll: true });
};
document.addEventListener("click", (event) => {
  // Clicking the link of the current hash fires no hashchange event.
  if (event.target.closest(".links a")) setTimeout(openLinkedTensor);
  const warning = event.target.closest("[data-warning]")?.dataset.warning;
  if (warning === undefined) return;
  get("filter").value = "";
  get("warned").value = warning;
  filter();
  get("table").scrollIntoView();
  get("warned").focus({ preventScroll: true });
});
addEventListener("hashchange", openLinkedTensor);

data.warnings.slice(0, data.listed).forEach((text, n) => get("warned").add(new Option(text.length > 90 ? `${text.slice(0, 89)}…` : text, n)));
get("warned").parentElement.hidden = data.warnings.length === 0;
for (const section of document.querySelectorAll("[data-script]")) section.hidden = false;
// Browsers keep the text of the filter over a reload.
filter();
openLinkedTensor();
