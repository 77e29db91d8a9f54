import { setTimeout as pause } from "node:timers/promises";

const REPEAT_EVERY_MS = 500;

/** Repeats a call until its count has ended. */
export async function whenComplete<Counted extends { readonly complete: boolean }>(
  read: () => Promise<Counted>,
): Promise<Counted> {
  for (;;) {
    const counted = await read();
    if (counted.complete) return counted;
    await pause(REPEAT_EVERY_MS);
  }
}
