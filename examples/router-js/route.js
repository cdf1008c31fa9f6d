// A route as a router sees it: decoded strictly, because a wrong route must never open traffic.

import { QUESTIONS, lengthOf, parseVersion } from './segments.js';
import { BUCKETS, byUtf8, split } from './splitter.js';

const MAX_RECORD_BYTES = 65_536;
const MAX_LEASE_MS = 86_400_000;
const NAME_MAX = 256;

/** A record is not a route; the message says what was found where. */
export class InvalidRoute extends Error {}

/**
 * Decodes one value of `canary.control`. Unknown fields are ignored: the writer may be newer than the reader.
 *
 * @param {Uint8Array} record JSON, at most 64 KiB
 * @throws {InvalidRoute}
 */
export function decodeRoute(record) {
  if (record.length > MAX_RECORD_BYTES) fail(`the record has ${record.length} bytes, allowed: <= ${MAX_RECORD_BYTES}`);
  let found;
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(record));
  } catch (error) {
    fail(error.message);
  }
  const route = object(found, '$');
  if ((route.type ?? 'route') !== 'route') fail("$.type: expected 'route'");
  const weights = weightsOf(route.weights_ppm, '$.weights_ppm');
  if (total(weights) !== BUCKETS) fail(`$.weights_ppm sum to ${total(weights)}, allowed: exactly ${BUCKETS}`);
  const shadows = weightsOf(given(route.shadow_ppm, {}), '$.shadow_ppm');
  if (total(shadows) > BUCKETS) fail(`$.shadow_ppm sum to ${total(shadows)}, allowed: <= ${BUCKETS}`);
  return {
    service: text(route.service, '$.service', 1),
    // Beyond 2^53 two numbers may be told for one, and an old route for a new one. No worker counts so far.
    epoch: whole(route.epoch, '$.epoch', 0, Number.MAX_SAFE_INTEGER),
    weights,
    shadows,
    fallback: text(route.fallback, '$.fallback', 1),
    salt: text(route.salt, '$.salt', 0, Infinity),
    issuedAtMs: whole(route.issued_at_ms, '$.issued_at_ms', 0, Number.MAX_SAFE_INTEGER),
    leaseMs: whole(route.lease_ms, '$.lease_ms', 1, MAX_LEASE_MS),
    state: text(given(route.state, ''), '$.state', 0, Infinity),
    rules: array(given(route.rules, []), '$.rules').map((rule, index) => ruleOf(rule, `$.rules[${index}]`)),
    segments: array(given(route.segments, []), '$.segments').map((it, index) => segmentOf(it, `$.segments[${index}]`)),
  };
}

/** The ranges of the segments that have a rule, those of all others, and those of the copies: null when nobody gets any. */
export function rangesOf(route) {
  const all = [route.weights, route.shadows, ...route.rules.map((rule) => rule.weights)];
  const named = new Set(all.flatMap((weights) => [...weights.keys()]));
  named.delete(route.fallback);
  const canaries = byUtf8(named);
  const copies = total(route.shadows) ? split(route.shadows, route.fallback, canaries) : null;
  const bySegment = new Map();
  for (const rule of route.rules) {
    const ranges = split(rule.weights, route.fallback, canaries);
    for (const segment of rule.segments) if (!bySegment.has(segment)) bySegment.set(segment, ranges);
    if (rule.segments.includes('*')) return { bySegment, others: ranges, copies };
  }
  return { bySegment, copies, others: split(route.weights, route.fallback, canaries) };
}

function ruleOf(found, path) {
  const rule = object(found, path);
  const weights = weightsOf(rule.weights_ppm, `${path}.weights_ppm`);
  if (total(weights) > BUCKETS) fail(`${path}.weights_ppm sum to ${total(weights)}, allowed: <= ${BUCKETS}`);
  return { segments: texts(rule.segments, `${path}.segments`), weights };
}

function segmentOf(found, path) {
  const segment = object(found, path);
  const when = array(segment.when, `${path}.when`);
  if (when.length === 0) fail(`${path}.when: expected at least one condition`);
  return {
    name: text(segment.name, `${path}.name`, 1),
    when: when.map((condition, index) => conditionOf(condition, `${path}.when[${index}]`)),
  };
}

function conditionOf(found, path) {
  const condition = object(found, path);
  const asked = Object.keys(QUESTIONS).filter((name) => condition[name] !== undefined && condition[name] !== null);
  if (asked.length !== 1) fail(`${path}: a condition asks ${asked.length} known questions, allowed: exactly 1`);
  const [question] = asked;
  const check = { in: texts, version: versionRange, number: numberRange }[question] ?? text;
  return {
    attribute: text(condition.attribute, `${path}.attribute`),
    question,
    asked: check(condition[question], `${path}.${question}`),
  };
}

function versionRange(found, path) {
  return range(found, path, (bound, where) => {
    if (parseVersion(text(bound, where)) === null) fail(`${where}: ${bound} is no semantic version`);
  });
}

function numberRange(found, path) {
  return range(found, path, (bound, where) => {
    if (!Number.isFinite(bound)) fail(`${where}: expected a number`);
  });
}

function range(found, path, check) {
  const { from, below } = object(found, path);
  for (const [name, bound] of Object.entries({ from, below })) if (bound != null) check(bound, `${path}.${name}`);
  return { from, below };
}

function weightsOf(found, path) {
  const entries = Object.entries(object(found, path));
  return new Map(entries.map(([name, weight]) => [text(name, path, 1), whole(weight, `${path}.${name}`, 0, BUCKETS)]));
}

function total(weights) {
  return [...weights.values()].reduce((sum, weight) => sum + weight, 0);
}

/** A field that may be missing; null is not missing. */
function given(found, otherwise) {
  return found === undefined ? otherwise : found;
}

function object(found, path) {
  if (typeof found !== 'object' || found === null || Array.isArray(found)) fail(`${path}: expected an object`);
  return found;
}

function array(found, path) {
  if (!Array.isArray(found)) fail(`${path}: expected an array`);
  return found;
}

function text(found, path, min = 0, max = NAME_MAX) {
  if (typeof found !== 'string' || !found.isWellFormed()) fail(`${path}: expected a text`);
  if (found.length < min || (max !== Infinity && lengthOf(found) > max)) fail(`${path}: expected ${min} to ${max} characters`);
  return found;
}

function texts(found, path) {
  return array(found, path).map((it, index) => text(it, `${path}[${index}]`));
}

function whole(found, path, min, max) {
  if (!Number.isSafeInteger(found) || found < min || found > max) fail(`${path}: expected a whole number from ${min} to ${max}`);
  return found;
}

function fail(message) {
  throw new InvalidRoute(message);
}
