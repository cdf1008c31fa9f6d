// Which version answers this request, now: docs/splitting.md, sections 4 to 9.

import { decodeRoute, rangesOf } from './route.js';
import { segmentOf } from './segments.js';
import { BUCKETS, bucketOf, ownerOf } from './splitter.js';

const CLOCK_SKEW_MS = 5_000;
const ACTIVE_STATES = new Set(['scheduled', 'ramping', 'holding', 'paused']);
const CLOCK = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };

/**
 * Splits the requests of one service by its newest route while the lease holds; otherwise every one goes to the fallback.
 *
 * `route` and `choose` do no I/O, wait for nothing and never throw.
 */
export class Router {
  #service;
  #fallback;
  #clock;
  #random;
  #newest = null;
  #inForce;

  /** Records by what became of them. */
  counts = { applied: 0, stale: 0, invalid: 0, other_service: 0, tombstone: 0 };
  lastError = '';

  /**
   * @param {object} options
   * @param {string} options.service whose requests are split
   * @param {string} options.fallback who answers while there is no route
   * @param {{nowMs: () => number, monotonicMs: () => number}} [options.clock]
   * @param {() => number} [options.random] for requests without a unit, in [0, 1)
   */
  constructor({ service, fallback, clock = CLOCK, random = Math.random }) {
    for (const [name, value] of Object.entries({ service, fallback })) {
      if (typeof value !== 'string' || value === '') throw new TypeError(`${name}: expected a name`);
    }
    this.#service = service;
    this.#fallback = fallback;
    this.#clock = clock;
    this.#random = random;
    this.#inForce = closed(fallback);
  }

  /**
   * Takes one record of `canary.control`. A record opens traffic only if it is a valid route of this service and newer
   * than every one before it.
   *
   * @param {Uint8Array | null} key as on the topic; null if the record is known to be this service's
   * @param {Uint8Array | null} record null takes the route back
   * @returns {'applied' | 'stale' | 'invalid' | 'other_service' | 'tombstone'}
   */
  receive(key, record) {
    const outcome = this.#receive(key, record);
    this.counts[outcome] += 1;
    return outcome;
  }

  #receive(key, record) {
    if (key !== null && Buffer.compare(Buffer.from(key), Buffer.from(this.#service)) !== 0) return 'other_service';
    if (record === null) {
      // Forgetting the route must not forget the fence: an older route stays older.
      this.#inForce = closed(this.#fallback);
      return 'tombstone';
    }
    let route;
    try {
      route = decodeRoute(record);
    } catch (error) {
      this.lastError = error.message;
      return 'invalid';
    }
    if (route.service !== this.#service) return 'other_service';
    if (this.#newest !== null && !isNewer(route, this.#newest)) return 'stale';
    this.#newest = route;
    this.#inForce = {
      fallback: route.fallback,
      route,
      ...rangesOf(route),
      validUntilMonotonicMs: this.#clock.monotonicMs() + route.leaseMs,
      validUntilMs: route.issuedAtMs + route.leaseMs + CLOCK_SKEW_MS,
    };
    return 'applied';
  }

  /** Only the version of `route`. */
  choose(unit, options) {
    return this.route(unit, options).version;
  }

  /**
   * The version that answers this request, and what its event should carry: see `eventFields`. `shadow` is a version
   * that gets a copy, whose answer must not be used, or null.
   *
   * @param {string} [unit] the same unit gets the same version; none or '' is drawn at random
   * @param {object} [options]
   * @param {string} [options.segment] where the service knows it
   * @param {Record<string, string | number | boolean>} [options.attributes] otherwise the plan's segments name it by these
   * @param {string} [options.forced] the version that a tester asks for, by a header that the service trusts
   */
  route(unit, options) {
    const now = this.#inForce;
    try {
      const { attributes, forced } = options ?? {};
      let segment = options?.segment ?? '';
      if (!segment && attributes && now.route) segment = segmentOf(now.route.segments, attributes);
      if (this.#clock.monotonicMs() >= now.validUntilMonotonicMs || this.#clock.nowMs() >= now.validUntilMs) {
        return { version: now.fallback, epoch: null, bucket: null, segment, forced: false, shadow: null };
      }
      const { epoch, salt, state, weights } = now.route;
      if (typeof forced === 'string' && weights.has(forced) && ACTIVE_STATES.has(state)) {
        return { version: forced, epoch, bucket: null, segment, forced: true, shadow: null };
      }
      const bucket = unit ? bucketOf(salt, unit) : Math.floor(this.#random() * BUCKETS);
      const version = ownerOf(now.bySegment.get(segment) ?? now.others, bucket);
      const copied = now.copies === null ? now.fallback : ownerOf(now.copies, bucket);
      const shadow = copied === version || copied === now.fallback ? null : copied;
      return { version, epoch, bucket, segment, forced: false, shadow };
    } catch (error) {
      this.lastError = error.message;
      return { version: now.fallback, epoch: null, bucket: null, segment: '', forced: false, shadow: null };
    }
  }

  /** What a health page shows. */
  state() {
    const { route, fallback, validUntilMonotonicMs, validUntilMs } = this.#inForce;
    const leaseMs = Math.min(validUntilMonotonicMs - this.#clock.monotonicMs(), validUntilMs - this.#clock.nowMs());
    return {
      service: this.#service,
      fallback,
      onFallback: leaseMs <= 0,
      epoch: route?.epoch ?? null,
      weights: Object.fromEntries(route?.weights ?? []),
      leaseRemainingMs: Math.max(0, leaseMs),
      records: { ...this.counts },
      lastError: this.lastError,
    };
  }
}

/** The same of the event of a copy: it is no part of the split. */
export function shadowFields({ shadow, segment }) {
  return { version: shadow, ...(segment && { segment }) };
}

/** The fields of a request's event that its choice decides; what was forced is counted apart. */
export function eventFields({ version, epoch, bucket, segment, forced }) {
  return {
    version: forced ? `${version}:forced` : version,
    ...(segment && { segment }),
    ...(epoch !== null && { epoch }),
    ...(bucket !== null && { bucket }),
  };
}

function closed(fallback) {
  return { fallback, route: null, validUntilMonotonicMs: -Infinity, validUntilMs: -Infinity };
}

function isNewer(route, than) {
  return route.epoch > than.epoch || (route.epoch === than.epoch && route.issuedAtMs > than.issuedAtMs);
}
