// Numbers as text, and the ticks of axes.

const trimmed = (text) => text.includes(".") ? text.replace(/\.?0+$/, "") : text;

// Returns a number with this many significant digits and without trailing zeros.
const short = (x, digits = 4) => {
  if (x === 0 || !Number.isFinite(x) || (Number.isInteger(x) && Math.abs(x) < 1e6)) return String(x).replace("Infinity", "∞");
  const exponent = Math.floor(Math.log10(Math.abs(x)));
  if (exponent >= -4 && exponent < 6) return trimmed(x.toFixed(Math.max(digits - 1 - exponent, 0)));
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  return `${trimmed(mantissa)}e${Number(power)}`;
};
const long = (x) => short(x, 7);
const count = (n) => n.toLocaleString("en-US");
const counted = (n, noun, plural = noun + "s") => `${count(n)} ${n === 1 ? noun : plural}`;

// Returns the label of the number `k * step`, rounded to the digit of the step.
const tickLabel = (k, step) => {
  const x = k * step;
  if (k === 0) return "0";
  const stepExponent = Math.floor(Math.log10(step) + 1e-9);
  const exponent = Math.floor(Math.log10(Math.abs(x)) + 1e-9);
  if (exponent >= -4 && exponent < 6) return trimmed(x.toFixed(Math.min(Math.max(-stepExponent, 0), 100)));
  const [mantissa, power] = x.toExponential(Math.min(Math.max(exponent - stepExponent, 0), 100)).split("e");
  return `${trimmed(mantissa)}e${Number(power)}`;
};

// Returns ticks, each a number and its label, at about `ticks` round numbers from `low` to `high`.
const linearTicks = (low, high, ticks) => {
  const only = [[low, short(low)]];
  // Both ends are divided before they are subtracted, because their difference may overflow.
  const rough = high / ticks - low / ticks;
  if (!(Number.isFinite(rough) && rough > 0)) return only;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.999);
  if (!(step > 1e-307)) return only;
  const first = Math.ceil(low / step), last = Math.floor(high / step);
  // So far from zero, numbers are too coarse for the ticks.
  if (Math.max(Math.abs(first), Math.abs(last)) > 1e12) return only;
  return Array.from({ length: last - first + 1 }, (_, n) => [(first + n) * step, tickLabel(first + n, step)]);
};

// Returns ticks at 1, 2 and 5 times powers of ten from `low` to `high`. For a wide range, the ticks are at powers of ten.
const logarithmicTicks = (low, high) => {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const ticks = [];
  for (let power = first; power <= last; power += Math.max(Math.trunc((last - first) / 8), 1)) {
    for (const factor of last - first > 3 ? [1] : [1, 2, 5]) ticks.push(factor * 10 ** power);
  }
  return ticks.filter((x) => x >= low && x <= high).map((x) => [x, short(x)]);
};
