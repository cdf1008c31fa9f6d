// Which version answers which unit: docs/splitting.md, sections 1 to 3. Pure arithmetic, the same in every language.

export const BUCKETS = 1_000_000;

/** UTF-8, with a lone surrogate as the three bytes that it would use; TextEncoder writes U+FFFD for every one of them. */
export function utf8(text) {
  const bytes = [];
  for (const character of text) {
    const code = character.codePointAt(0);
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 0x3f));
    else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 0x3f), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}

/** MurmurHash3_x86_32 with seed 0 (Appleby 2011), unsigned. */
export function murmur3(bytes) {
  const blocks = bytes.length & ~3;
  let hash = 0;
  for (let at = 0; at < blocks; at += 4) {
    hash ^= scrambled(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  let tail = 0;
  for (let at = bytes.length - 1; at >= blocks; at -= 1) tail = (tail << 8) | bytes[at];
  // A tail of no bytes scrambles to 0.
  hash ^= scrambled(tail) ^ bytes.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function scrambled(block) {
  const product = Math.imul(block, 0xcc9e2d51);
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593);
}

/** The bucket of a unit under a salt. The product is below 2^53 and the divisor a power of two: the floor is exact. */
export function bucketOf(salt, unit) {
  return Math.floor((murmur3(utf8(`${salt}:${unit}`)) * BUCKETS) / 2 ** 32);
}

/** In the order of the bytes of UTF-8. JavaScript sorts by UTF-16 units, in which U+1F426 comes before U+FF5E. */
export function byUtf8(names) {
  return [...names].sort((a, b) => Buffer.compare(utf8(a), utf8(b)));
}

/**
 * Lays the canaries' shares over the buckets; what no canary owns belongs to the fallback.
 *
 * @param {Map<string, number>} weights share of each version in ppm; a missing one is 0, the fallback's is not looked at
 * @param {string} fallback
 * @param {string[]} canaries all of the release, in the order of `byUtf8`, those at 0 too
 * @returns {{low: number, high: number, version: string}[]} ranges that cover all buckets, ascending
 */
export function split(weights, fallback, canaries) {
  const shares = canaries.map((canary, index) => ({
    version: canary,
    share: weights.get(canary) ?? 0,
    down: index % 2 === 1,
    low: Math.floor((index * BUCKETS) / canaries.length),
    high: Math.floor(((index + 1) * BUCKETS) / canaries.length),
  }));
  const owned = shares.map(({ version, share, down, low, high }) => {
    const inside = Math.min(share, high - low);
    return down ? { low: high - inside, high, version } : { low, high: low + inside, version };
  });
  for (const { version, share, down, low, high } of shares) {
    const beyond = share - (high - low);
    if (beyond > 0) owned.push(...overflow(gaps(owned), down ? low : high, down, beyond, version));
  }
  const pieces = owned.filter((piece) => piece.high > piece.low);
  pieces.push(...gaps(pieces).map(({ low, high }) => ({ low, high, version: fallback })));
  return merged(pieces.sort((a, b) => a.low - b.low));
}

/** The version that owns a bucket. */
export function ownerOf(ranges, bucket) {
  return ranges.find(({ high }) => bucket < high).version;
}

function gaps(owned) {
  const found = [];
  let position = 0;
  for (const { low, high } of [...owned].sort((a, b) => a.low - b.low || a.high - b.high)) {
    if (low > position) found.push({ low: position, high: low });
    position = Math.max(position, high);
  }
  if (position < BUCKETS) found.push({ low: position, high: BUCKETS });
  return found;
}

/** Free buckets from `start` on in one direction and round the end. No gap lies across `start`: the home ends there. */
function overflow(free, start, down, share, version) {
  const walk = down
    ? [...free.filter((gap) => gap.high <= start).reverse(), ...free.filter((gap) => gap.high > start).reverse()]
    : [...free.filter((gap) => gap.low >= start), ...free.filter((gap) => gap.low < start)];
  const taken = [];
  let left = share;
  for (const { low, high } of walk) {
    const part = Math.min(left, high - low);
    if (part > 0) taken.push(down ? { low: high - part, high, version } : { low, high: low + part, version });
    left -= part;
  }
  return taken;
}

function merged(pieces) {
  const found = [];
  for (const piece of pieces) {
    const last = found.at(-1);
    if (last?.version === piece.version) last.high = piece.high;
    else found.push({ ...piece });
  }
  return found;
}
