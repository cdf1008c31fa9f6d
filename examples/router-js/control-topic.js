// Follows `canary.control` with kafkajs, from the beginning and for as long as the process lives.

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const RETRY_MS = 1_000;

/**
 * Hands every record to the router. Returns at once: until the first route has come, the router answers with its fallback.
 *
 * @param {import('kafkajs').Kafka} kafka
 * @param {import('./router.js').Router} router
 * @param {{topic?: string, warn?: (message: string) => void}} [options]
 * @returns {() => Promise<void>} ends it; the last route stays in force until its lease has run out
 */
export function follow(kafka, router, { topic = 'canary.control', warn = console.warn } = {}) {
  let stop;
  const stopped = new Promise((resolve) => {
    stop = () => resolve('stopped');
  });
  const done = keepFollowing(kafka, router, topic, warn, stopped);
  return async () => {
    stop();
    await done;
  };
}

async function keepFollowing(kafka, router, topic, warn, stopped) {
  let outcome = '';
  while (outcome !== 'stopped') {
    try {
      outcome = await followUntilItBreaks(kafka, router, topic, stopped);
    } catch (error) {
      warn(`${topic} is not followed, again in ${RETRY_MS} ms: ${error.message}`);
      outcome = await Promise.race([sleep(RETRY_MS), stopped]);
    }
  }
}

async function followUntilItBreaks(kafka, router, topic, stopped) {
  // kafkajs reads by a consumer group alone. Each process needs all records, so each has a group of its own, and a new one
  // at each start reads from the beginning.
  const consumer = kafka.consumer({ groupId: `serinus-router-${randomUUID()}` });
  const broken = new Promise((_, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || reject(payload.error));
  });
  broken.catch(() => {}); // it may break while `connect` still fails, when nobody waits for it
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ autoCommit: false, eachMessage: async ({ message }) => router.receive(message.key, message.value) });
    return await Promise.race([broken, stopped]);
  } finally {
    await consumer.disconnect().catch(() => {});
  }
}
