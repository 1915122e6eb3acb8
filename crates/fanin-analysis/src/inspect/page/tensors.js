// The tensors, decoded from the data of the page (page/data.rs describes the format).

const get = (id) => document.getElementById(id);
const data = JSON.parse(get("data").textContent);

// Each name starts with some characters of the name before it.
const names = [];
data.names.forEach((rest, n) => names.push((names[n - 1] ?? "").slice(0, data.kept[n]) + rest));

// Returns the numbers of which `differences` has the differences.
const sums = (differences) => {
  let sum = 0;
  return differences.map((difference) => (sum += difference));
};

const kind = (n) => data.kinds[data.kind[n]];
const plan = (n) => data.plans[data.plan[n]];
const warningsOf = (n) => data.warned[n] ?? [];
const singular = new Set(data.singular);

// The difference between the measured and the planned std, and the standard error of the std, in percent.
const off = (n) => {
  const std = plan(n)?.std;
  return std > 0 && data.std[n] !== null ? (data.std[n] / std - 1) * 100 : null;
};
const condition = (n) => singular.has(n) ? Infinity : data.least[n] ? data.norm[n] / data.least[n] : null;

// A bar or planned count of a histogram is a character. Its code, from `#`, is a height from 0 to 91.
const HIGHEST = 91;
const heights = (text) => [...text].map((character) => character.charCodeAt(0) - 35);
