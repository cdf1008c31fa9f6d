// The vectors that every router passes: clients/python/testdata/make_splitter_vectors.py writes them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';

import { decodeRoute, rangesOf } from '../route.js';
import { Router } from '../router.js';
import { segmentOf } from '../segments.js';
import { bucketOf } from '../splitter.js';

const FILE = new URL('../../../clients/python/testdata/splitter_vectors.json', import.meta.url);
const vectors = JSON.parse(readFileSync(FILE, 'utf8'));
const AROUND = { service: 'chat', epoch: 1, issued_at_ms: 0, lease_ms: 30_000 };

function record(fields) {
  return Buffer.from(JSON.stringify({ ...AROUND, ...fields }));
}

function listed(ranges) {
  return ranges.map(({ low, high, version }) => [low, high, version]);
}

test('the vectors are those that this router is written for', () => {
  assert.equal(vectors.version, 2);
  assert.ok(vectors.buckets.length > 10 && vectors.routes.length > 10 && vectors.named.length > 30);
});

test('buckets', () => {
  for (const { salt, unit, bucket } of vectors.buckets) assert.equal(bucketOf(salt, unit), bucket, `${salt}:${unit}`);
});

test('ranges of every segment', () => {
  for (const { ranges_by_segment: asked, shadow_ranges: copied, choices, ...fields } of vectors.routes) {
    const { bySegment, others, copies } = rangesOf(decodeRoute(record(fields)));
    assert.deepEqual(copies && listed(copies), copied ?? null);
    for (const [segment, ranges] of Object.entries(asked)) {
      assert.deepEqual(listed(bySegment.get(segment) ?? others), ranges, JSON.stringify([fields, segment]));
    }
  }
});

test('choices', () => {
  for (const { ranges_by_segment: asked, choices, ...fields } of vectors.routes) {
    const router = new Router({ service: 'chat', fallback: 'none', clock: { nowMs: () => 0, monotonicMs: () => 0 } });
    assert.equal(router.receive(null, record(fields)), 'applied');
    for (const { unit, segment, version } of choices) assert.equal(router.choose(unit, { segment }), version);
  }
});

test('named segments', () => {
  const weights = { fallback: 'v1', weights_ppm: { v1: 1_000_000 }, salt: '' };
  const { segments } = decodeRoute(record({ ...weights, segments: vectors.named_segments }));
  for (const { attributes, segment } of vectors.named) {
    assert.equal(segmentOf(segments, attributes), segment, JSON.stringify(attributes));
  }
});
