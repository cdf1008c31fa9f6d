// When a route may be used, forced versions, and what is no route.

import assert from 'node:assert/strict';
import test from 'node:test';

import { Router, eventFields, shadowFields } from '../router.js';
import { compare, parseVersion } from '../segments.js';
import { byUtf8, murmur3, utf8 } from '../splitter.js';

const CHAT = Buffer.from('chat');
const ROUTE = {
  type: 'route',
  service: 'chat',
  epoch: 4,
  state: 'ramping',
  weights_ppm: { v1: 0, v2: 1_000_000 },
  fallback: 'v1',
  salt: 's',
  issued_at_ms: 1_000_000,
  lease_ms: 30_000,
};

function encoded(changes = {}) {
  return Buffer.from(JSON.stringify({ ...ROUTE, ...changes }));
}

function routerAt(clock, random) {
  const times = { nowMs: () => clock.nowMs, monotonicMs: () => clock.monotonicMs };
  return new Router({ service: 'chat', fallback: 'v0', clock: times, random });
}

function started(changes) {
  const clock = { nowMs: 1_000_000, monotonicMs: 50 };
  const router = routerAt(clock, () => 0.25);
  assert.equal(router.receive(CHAT, encoded(changes)), 'applied');
  return { router, clock };
}

test('before a route everybody has the configured fallback', () => {
  const router = routerAt({ nowMs: 0, monotonicMs: 0 });
  assert.deepEqual(router.route('u'), { version: 'v0', epoch: null, bucket: null, segment: '', forced: false, shadow: null });
  assert.equal(router.state().onFallback, true);
});

test('a lease ends by the monotonic clock', () => {
  const { router, clock } = started();
  clock.monotonicMs = 50 + 29_999;
  assert.equal(router.choose('u'), 'v2');
  clock.monotonicMs = 50 + 30_000;
  assert.deepEqual(router.route('u'), { version: 'v1', epoch: null, bucket: null, segment: '', forced: false, shadow: null });
});

test('a lease ends by the wall clock, five seconds later', () => {
  const { router, clock } = started();
  clock.nowMs = 1_000_000 + 34_999;
  assert.equal(router.choose('u'), 'v2');
  clock.nowMs = 1_000_000 + 35_000;
  assert.equal(router.choose('u'), 'v1');
});

test('an old route that is read late opens nothing', () => {
  const clock = { nowMs: 1_035_000, monotonicMs: 0 };
  const router = routerAt(clock);
  assert.equal(router.receive(CHAT, encoded()), 'applied');
  assert.equal(router.choose('u'), 'v1');
});

test('only what is newer counts, and a renewal is', () => {
  const { router } = started();
  assert.equal(router.receive(CHAT, encoded()), 'stale');
  assert.equal(router.receive(CHAT, encoded({ epoch: 3, issued_at_ms: 2_000_000 })), 'stale');
  assert.equal(router.receive(CHAT, encoded({ issued_at_ms: 1_000_001 })), 'applied');
  assert.equal(router.receive(CHAT, encoded({ epoch: 5, issued_at_ms: 0 })), 'applied');
});

test('a tombstone takes the route back and keeps the fence', () => {
  const { router } = started();
  assert.equal(router.receive(CHAT, null), 'tombstone');
  assert.equal(router.choose('u'), 'v0');
  assert.equal(router.receive(CHAT, encoded()), 'stale');
  assert.equal(router.choose('u'), 'v0');
});

test('routes of others are not ours, by key or by name', () => {
  const { router } = started();
  assert.equal(router.receive(Buffer.from('code'), null), 'other_service');
  assert.equal(router.receive(CHAT, encoded({ service: 'code', epoch: 9 })), 'other_service');
  assert.equal(router.choose('u'), 'v2');
});

test('a forced version answers while its release goes on', () => {
  const { router, clock } = started({ weights_ppm: { v1: 1_000_000, v2: 0 } });
  const choice = router.route('u', { forced: 'v2', segment: 'eu' });
  assert.deepEqual(choice, { version: 'v2', epoch: 4, bucket: null, segment: 'eu', forced: true, shadow: null });
  assert.deepEqual(eventFields(choice), { version: 'v2:forced', segment: 'eu', epoch: 4 });
  assert.equal(router.choose('u', { forced: 'v9' }), 'v1');
  assert.equal(router.choose('u', { forced: 'toString' }), 'v1');
  router.receive(CHAT, encoded({ epoch: 5, state: 'rolled_back', weights_ppm: { v1: 1_000_000, v2: 0 } }));
  assert.equal(router.choose('u', { forced: 'v2' }), 'v1');
  clock.monotonicMs += 60_000;
  assert.equal(router.choose('u', { forced: 'v2' }), 'v1');
});

test('a request without a unit draws, and one with a unit does not', () => {
  const { router } = started({ weights_ppm: { v1: 750_000, v2: 250_000 } });
  for (const unit of [undefined, null, '']) assert.equal(router.route(unit).bucket, 250_000);
  assert.deepEqual(eventFields(router.route('u')), { version: 'v1', epoch: 4, bucket: 532_875 });
});

test('a copy goes to a version that neither answers nor is the fallback', () => {
  const copies = { weights_ppm: { v1: 500_000, v2: 500_000 }, shadow_ppm: { v2: 900_000 } };
  const { router } = started(copies);
  assert.equal(router.route('').shadow, null, 'bucket 250,000 is answered by v2');
  const choice = router.route('u', { segment: 'eu' });
  assert.deepEqual([choice.version, choice.bucket, choice.shadow], ['v1', 532_875, 'v2']);
  assert.deepEqual(shadowFields(choice), { version: 'v2', segment: 'eu' });
  assert.equal(router.route('u', { forced: 'v1' }).shadow, null);
  assert.equal(started({ ...copies, shadow_ppm: { v2: 500_000 } }).router.route('u').shadow, null);
});

test('attributes name the segment unless the service does', () => {
  const segments = [{ name: 'long', when: [{ attribute: 'tokens', number: { from: 8_000 } }] }];
  const rules = [{ segments: ['long'], weights_ppm: { v2: 1_000_000 } }];
  const { router } = started({ weights_ppm: { v1: 1_000_000, v2: 0 }, segments, rules });
  assert.equal(router.route('u', { attributes: { tokens: 9_000 } }).version, 'v2');
  assert.equal(router.route('u', { attributes: { tokens: 9_000 }, segment: 'eu' }).version, 'v1');
  assert.equal(router.route('u', { attributes: Object.create({ tokens: 9_000 }) }).version, 'v1');
});

test('whatever the arguments are, a request is answered', () => {
  const { router } = started();
  const circular = {};
  circular.toString = () => circular;
  for (const unit of [circular, Symbol('u')]) assert.equal(router.route(unit).version, 'v1');
  assert.equal(router.route('u', null).version, 'v2');
  assert.equal(router.route('u', { attributes: 7 }).version, 'v2');
});

const BROKEN = {
  'no JSON': Buffer.from('{'),
  'no UTF-8': Buffer.from([0x22, 0xff, 0x22]),
  'an array': Buffer.from('[]'),
  'too long': Buffer.from(JSON.stringify({ ...ROUTE, reason: 'x'.repeat(66_000) })),
  'another type': encoded({ type: 'decision' }),
  'a sum below': encoded({ weights_ppm: { v1: 999_999 } }),
  'a sum above': encoded({ weights_ppm: { v1: 1, v2: 1_000_000 } }),
  'a negative weight': encoded({ weights_ppm: { v1: 1_000_001, v2: -1 } }),
  'a fraction': encoded({ weights_ppm: { v1: 999_999.5, v2: 0.5 } }),
  'a text for a weight': encoded({ weights_ppm: { v1: '1000000' } }),
  'weights in a list': encoded({ weights_ppm: [1_000_000] }),
  'a version without a name': encoded({ weights_ppm: { '': 1_000_000 } }),
  'no fallback': encoded({ fallback: undefined }),
  'an empty fallback': encoded({ fallback: '' }),
  'no salt': encoded({ salt: null }),
  'a negative epoch': encoded({ epoch: -1 }),
  'an epoch that is not exact': encoded({ epoch: 2 ** 53 }),
  'no lease': encoded({ lease_ms: 0 }),
  'a lease of more than a day': encoded({ lease_ms: 86_400_001 }),
  'copies above': encoded({ shadow_ppm: { v1: 600_000, v2: 600_000 } }),
  'null for the rules': encoded({ rules: null }),
  'a rule above': encoded({ rules: [{ segments: ['a'], weights_ppm: { v1: 600_000, v2: 600_000 } }] }),
  'a rule without segments': encoded({ rules: [{ weights_ppm: { v2: 1 } }] }),
  'a question of the future': encoded({ segments: [{ name: 'a', when: [{ attribute: 'b', regex: '.*' }] }] }),
  'two questions': encoded({ segments: [{ name: 'a', when: [{ attribute: 'b', equals: 'c', prefix: 'c' }] }] }),
  'no question': encoded({ segments: [{ name: 'a', when: [] }] }),
  'a bound that is no version': encoded({ segments: [{ name: 'a', when: [{ attribute: 'b', version: { from: 'v1' } }] }] }),
};

for (const [what, record] of Object.entries(BROKEN)) {
  test(`no route: ${what}`, () => {
    const { router } = started({ weights_ppm: { v1: 1_000_000 }, epoch: 1 });
    assert.equal(router.receive(CHAT, record), 'invalid');
    assert.notEqual(router.lastError, '');
    assert.equal(router.state().epoch, 1, 'the route before it stays in force');
  });
}

test('unknown fields are ignored', () => {
  started({ colour: 'blue', rules: [{ segments: ['a'], weights_ppm: {}, note: null }] });
});

test('murmur3 for every length of the tail', () => {
  // mmh3 5.3.1: mmh3.hash(text, signed=False)
  const known = { '': 0, a: 1_009_084_850, ab: 2_613_040_991, abc: 3_017_643_002, abcd: 1_139_631_978, abcde: 3_902_511_862 };
  for (const [text, hash] of Object.entries(known)) assert.equal(murmur3(utf8(text)), hash, text);
});

test('texts are bytes, also where UTF-16 sorts and encodes otherwise', () => {
  assert.deepEqual(byUtf8(['\u{1f426}', '\uff5e', 'z', 'é']), ['z', 'é', '\uff5e', '\u{1f426}']);
  assert.deepEqual([...utf8('\ud800a')], [0xed, 0xa0, 0x80, 0x61]);
  assert.deepEqual([...utf8('é日\u{1f426}')], [...Buffer.from('é日\u{1f426}')]);
});

test('versions are ordered as in item 11 of semver.org', () => {
  const ascending = '1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.2 1.0.10';
  const versions = ascending.split(' ').map(parseVersion);
  for (const [i, a] of versions.entries()) {
    for (const [j, b] of versions.entries()) assert.equal(Math.sign(compare(a, b)), Math.sign(i - j), `${i} ${j}`);
  }
});

test('names are counted in characters, not in UTF-16 units', () => {
  started({ weights_ppm: { ['\u{1f426}'.repeat(256)]: 1_000_000 } });
  const { router } = started();
  const longer = { ['\u{1f426}'.repeat(257)]: 1_000_000 };
  assert.equal(router.receive(CHAT, encoded({ epoch: 9, weights_ppm: longer })), 'invalid');
});
