// Predicts @TARGET@ in Node and in browsers. Made by retrograd.
//
//   import { load } from "./@FILE@.mjs";
//   const model = await load();
//   model.predict([{ ... }]);  // -> [{ value, probabilities }]
//
// Cells are numbers, texts, booleans or dates (Date, or ISO text); null where missing.

export const about = @ABOUT@;

const DAY = 86400e6; // microseconds
const LARGEST = 1e6; // standard deviations
const MISSING = new Set(@MISSING@);
const TRUE = new Set(["true", "yes", "y", "t", "on", "1"]);
const FALSE = new Set(["false", "no", "n", "f", "off", "0"]);
const NUMBER = /^[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/;
const INFINITY = /^[+-]?inf(?:inity)?$/i;
const MOMENT =
  /^(\d{4})([-/])(\d{2})\2(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

const isMissing = (cell) =>
  cell === null || cell === undefined || Number.isNaN(cell) ||
  (typeof cell === "string" && MISSING.has(cell.trim()));

function refuse(column, cell, kind) {
  throw new TypeError(
    `reading column ${JSON.stringify(column)}: ${JSON.stringify(cell)} is no ${kind}, and the ` +
    `network was trained with ${kind}s; correct the cell, or give null`,
  );
}

// A number as Python writes it: categories may be numbers.
function textOf(cell) {
  if (typeof cell !== "number") return String(cell);
  const size = Math.abs(cell);
  if (Number.isInteger(cell) && size <= 2 ** 53) return String(cell);
  if (!Number.isFinite(cell)) return cell > 0 ? "inf" : "-inf";
  if (size >= 1e-4 && size < 1e16) return String(cell);
  return cell.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
}

// Halves, so that the difference of two huge numbers is finite.
function scaled(value, { shift, scale }) {
  return Math.min(Math.max(((value * 0.5 - shift * 0.5) / scale) * 2, -LARGEST), LARGEST);
}

function numberOf(cell, encoding) {
  if (isMissing(cell)) return null;
  if (typeof cell === "bigint") cell = Number(cell);
  if (typeof cell === "string") {
    const text = cell.trim();
    if (INFINITY.test(text)) return null;
    if (NUMBER.test(text)) cell = Number(text);
  }
  if (typeof cell !== "number") {
    if (encoding.lenient) return null;
    refuse(encoding.column, cell, "number");
  }
  return Number.isFinite(cell) ? cell : null;
}

function writeNumber(encoding, cell, out, start) {
  const found = numberOf(cell, encoding);
  const value = found === null ? encoding.fill : found;
  out[start] = scaled(Math.min(Math.max(value, encoding.low), encoding.high), encoding);
  if (encoding.indicator) out[start + 1] = found === null ? 1 : 0;
  return start + 1 + encoding.indicator;
}

function writeBoolean(encoding, cell, out, start) {
  const text = isMissing(cell) ? "" : textOf(cell).trim().toLowerCase();
  const found = TRUE.has(text) ? 1 : FALSE.has(text) ? 0 : null;
  out[start] = found === null ? encoding.fill : found;
  if (encoding.indicator) out[start + 1] = found === null ? 1 : 0;
  return start + 1 + encoding.indicator;
}

function writeCategory(encoding, cell, out, start) {
  const size = encoding.categories.length;
  let place = encoding.missing ? size + encoding.other : -1;
  if (!isMissing(cell)) {
    place = encoding.categories.indexOf(textOf(cell));
    if (place < 0) place = encoding.other ? size : -1;
  }
  const end = start + size + encoding.other + encoding.missing;
  out.fill(0, start, end);
  if (place >= 0) out[start + place] = 1;
  return end;
}

// Microseconds since 1970 in UTC, or null.
function momentOf(cell, column) {
  if (isMissing(cell)) return null;
  if (cell instanceof Date) return Number.isNaN(cell.getTime()) ? null : cell.getTime() * 1000;
  const found = typeof cell === "string" ? MOMENT.exec(cell.trim()) : null;
  if (!found) refuse(column, cell, "date");
  const [year, month, day, hour, minute, second] = [1, 3, 4, 5, 6, 7].map((i) => Number(found[i] ?? 0));
  const moment = new Date(0);
  moment.setUTCFullYear(year, month - 1, day);
  const exists = moment.getUTCMonth() === month - 1 && moment.getUTCDate() === day && year > 0;
  if (!exists || hour > 23 || minute > 59 || second > 59) refuse(column, cell, "date");
  moment.setUTCHours(hour, minute, second);
  let shift = 0;
  if (found[9] && found[9] !== "Z") {
    const digits = found[9].replace(":", "");
    shift = (digits[0] === "-" ? -60 : 60) * (Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3)));
  }
  return (moment.getTime() - shift * 1000) * 1000 + Number((found[8] ?? "").padEnd(6, "0"));
}

function datePart(stamp, name, origin) {
  if (name === "days") return (stamp - origin) / DAY;
  const day = Math.floor(stamp / DAY);
  const calendar = new Date(day * 86400e3);
  if (name === "year") return calendar.getUTCFullYear();
  const [unit, wave] = name.split(" ");
  const turn =
    unit === "month" ? calendar.getUTCMonth() / 12
    : unit === "weekday" ? ((((day + 3) % 7) + 7) % 7) / 7
    : (stamp - day * DAY) / DAY;
  return (wave === "sin" ? Math.sin : Math.cos)(2 * Math.PI * turn);
}

function writeDate(encoding, cell, out, start) {
  const stamp = momentOf(cell, encoding.column);
  const origin = Number(encoding.origin);
  encoding.parts.forEach((part, i) => {
    out[start + i] = stamp === null ? 0 : scaled(datePart(stamp, part.name, origin), part);
  });
  const end = start + encoding.parts.length;
  if (encoding.indicator) out[end] = stamp === null ? 1 : 0;
  return end + encoding.indicator;
}

const WRITERS = { number: writeNumber, boolean: writeBoolean, category: writeCategory, date: writeDate };

/** The features of rows: a Float32Array of rows * about.features numbers. */
export function features(rows) {
  const out = new Float32Array(rows.length * about.features);
  rows.forEach((row, i) => {
    let place = i * about.features;
    for (const encoding of about.preprocessing.encodings) {
      const cell = row[encoding.column];
      if (cell === undefined) {
        throw new TypeError(
          `preparing row ${i}: column ${JSON.stringify(encoding.column)} is missing; give it, or null`,
        );
      }
      place = WRITERS[encoding.kind](encoding, cell, out, place);
    }
  });
  return out;
}

async function bytesOf(source) {
  if (source instanceof URL && source.protocol === "file:") {
    return (await import("node:fs/promises")).readFile(source);
  }
  if (source instanceof URL || typeof source === "string") return (await fetch(source)).arrayBuffer();
  return source;
}

/** Load the module: from beside this file, or from a URL or bytes. */
export async function load(source = new URL("@FILE@.wasm", import.meta.url)) {
  const { instance } = await WebAssembly.instantiate(await bytesOf(source));
  const { memory, __heap_base: heap, @NAME@_run: run, @NAME@_layers: layers } = instance.exports;
  const AT_ONCE = 256; // rows, so that memory does not grow with them
  const inputs = heap.value + about.scratch;
  const outputs = inputs + 4 * AT_ONCE * about.features;
  const end = outputs + 4 * AT_ONCE * Math.max(about.outputs, about.layers);
  const lacking = Math.ceil((end - memory.buffer.byteLength) / 65536);
  if (lacking > 0) memory.grow(lacking);
  const given = new Float32Array(memory.buffer, inputs, AT_ONCE * about.features);

  function call(program, width, x) {
    const rows = x.length / about.features;
    const found = new Float32Array(rows * width);
    for (let first = 0; first < rows; first += AT_ONCE) {
      const count = Math.min(AT_ONCE, rows - first);
      given.set(x.subarray(first * about.features, (first + count) * about.features));
      const wrong = program(inputs, count, outputs, heap.value);
      if (wrong) throw new Error(`the network answers ${wrong}: an index that it does not know`);
      found.set(new Float32Array(memory.buffer, outputs, count * width), first * width);
    }
    return found;
  }

  function answer(y) {
    if (!about.classes.length) return { value: y[0] };
    const best = y.indexOf(Math.max(...y));
    const pairs = about.classes.map((name, i) => [name, y[i]]);
    return { value: about.classes[best], probabilities: Object.fromEntries(pairs) };
  }

  return {
    about,
    features,
    /** Outputs of features: a Float32Array of rows * about.outputs numbers. */
    run: (x) => call(run, about.outputs, x),
    /** What every layer gives, side by side: rows * about.layers numbers. */
    layers: (x) => call(layers, about.layers, x),
    /** What is predicted for rows, objects with the columns of training. */
    predict(rows) {
      const y = call(run, about.outputs, features(rows));
      return rows.map((_, i) => answer(y.subarray(i * about.outputs, (i + 1) * about.outputs)));
    },
  };
}
