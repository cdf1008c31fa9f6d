// To which named segment a request belongs, by its attributes: docs/splitting.md, section 5.

const TEXT_MAX = 256;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;
const WHOLE = '(?:0|[1-9][0-9]*)';
const IDENTIFIER = `(?:${WHOLE}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)`;
const VERSION = new RegExp(
  `^(${WHOLE})(?:\\.(${WHOLE})(?:\\.(${WHOLE}))?)?(?:-(${IDENTIFIER}(?:\\.${IDENTIFIER})*))?` +
    '(?:\\+[0-9a-zA-Z-]+(?:\\.[0-9a-zA-Z-]+)*)?$',
);

/** The first segment all of whose conditions hold, or '' when there is none. */
export function segmentOf(segments, attributes) {
  return segments.find(({ when }) => when.every((condition) => holds(condition, attributes)))?.name ?? '';
}

/** Each question that a condition may ask; a route with any other is refused, not guessed at. */
export const QUESTIONS = {
  equals: (asked, found) => textOf(found) === asked,
  in: (asked, found) => asked.includes(textOf(found)),
  prefix: (asked, found) => textOf(found)?.startsWith(asked) ?? false,
  version: ({ from, below }, found) => {
    const version = parseVersion(found);
    if (version === null) return false;
    return !(from != null && compare(version, parseVersion(from)) < 0) && !(below != null && compare(version, parseVersion(below)) >= 0);
  },
  number: ({ from, below }, found) => {
    const number = numberOf(found);
    if (number === null) return false;
    return !(from != null && number < from) && !(below != null && number >= below);
  },
};

function holds(condition, attributes) {
  const found = Object.hasOwn(attributes, condition.attribute) ? attributes[condition.attribute] : null;
  if (found === null || found === undefined) return false;
  return QUESTIONS[condition.question](condition.asked, found);
}

/** How many characters a text has; `length` counts those beyond U+FFFF twice. */
export function lengthOf(text) {
  return text.length <= TEXT_MAX ? [...text].length : [...text.slice(0, 2 * TEXT_MAX + 1)].length;
}

/** Fractions have no one way to be written, so they are no text. */
function textOf(found) {
  if (typeof found === 'string') return found;
  if (typeof found === 'boolean' || typeof found === 'bigint') return String(found);
  // Not String(): it writes 1e+21.
  return Number.isInteger(found) ? BigInt(found).toString() : null;
}

function numberOf(found) {
  if (typeof found === 'string' && !(lengthOf(found) <= TEXT_MAX && NUMBER.test(found))) return null;
  if (!['string', 'number', 'bigint'].includes(typeof found)) return null;
  const number = Number(found);
  return Number.isFinite(number) ? number : null;
}

/** Major, minor, patch and the identifiers of a pre-release, or null; build metadata does not count. */
export function parseVersion(found) {
  const parts = typeof found === 'string' && lengthOf(found) <= TEXT_MAX ? VERSION.exec(found) : null;
  if (parts === null) return null;
  const [, major, minor = '0', patch = '0', before] = parts;
  return { numbers: [major, minor, patch], before: before?.split('.') ?? [] };
}

/** By item 11 of semver.org 2.0.0: negative, 0 or positive. */
export function compare(a, b) {
  for (const [index, number] of a.numbers.entries()) {
    const order = compareWhole(number, b.numbers[index]);
    if (order) return order;
  }
  if (!a.before.length || !b.before.length) return b.before.length - a.before.length;
  for (let index = 0; index < Math.min(a.before.length, b.before.length); index += 1) {
    const order = compareIdentifiers(a.before[index], b.before[index]);
    if (order) return order;
  }
  return a.before.length - b.before.length;
}

function compareIdentifiers(a, b) {
  const [aIsNumber, bIsNumber] = [/^[0-9]+$/.test(a), /^[0-9]+$/.test(b)];
  if (aIsNumber && bIsNumber) return compareWhole(a, b);
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  return a < b ? -1 : Number(a > b);
}

/** They may be longer than a number is exact; without leading zeros the longer one is larger. */
function compareWhole(a, b) {
  return a.length - b.length || (a < b ? -1 : Number(a > b));
}
