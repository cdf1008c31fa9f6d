// One line in, one line out: a record of the control topic and requests, and what the router in JavaScript does with them.

import { createInterface } from 'node:readline';

import { Router } from '../../examples/router-js/router.js';

const clock = { nowMs: () => 0, monotonicMs: () => 0 };

for await (const line of createInterface({ input: process.stdin })) {
  const { record, requests } = JSON.parse(line);
  const router = new Router({ service: 'chat', fallback: 'none', clock });
  const outcome = router.receive(null, Buffer.from(record, 'base64'));
  const choices = requests.map(({ unit, ...options }) => {
    const { version, epoch, bucket, segment, forced, shadow } = router.route(unit, options);
    return [version, epoch, bucket, segment, forced, shadow];
  });
  process.stdout.write(`${JSON.stringify({ outcome, choices })}\n`);
}
