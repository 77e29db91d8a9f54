import { setTimeout as pause } from "node:timers/promises";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";

/** The result of one request through Envoy. */
export interface Checked {
  readonly status: number;
  /** Latchkey's reason of a denial; empty for allowed requests and for denials by Envoy. */
  readonly reason: string;
  readonly ms: number;
}

export async function check(envoy: EnvoyProcess, path: string, key?: string): Promise<Checked> {
  const sentMs = performance.now();
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(`http://127.0.0.1:${envoy.port}${path}`, { headers });
  await response.arrayBuffer();
  const reason = response.headers.get("x-latchkey-reason") ?? "";
  return { status: response.status, reason, ms: performance.now() - sentMs };
}

/** Repeats each kind of request sequentially until `during` has ended. Returns the results of each kind. */
export async function underLoad<Kind extends string>(
  kinds: Readonly<Record<Kind, () => Promise<Checked>>>,
  during: () => Promise<unknown>,
): Promise<ReadonlyMap<string, readonly Checked[]>> {
  let going = true;
  const clients = Object.entries<() => Promise<Checked>>(kinds).map(async ([kind, ask]) => {
    const answers: Checked[] = [];
    while (going) {
      answers.push(await ask());
      await pause(EVERY_MS);
    }
    return [kind, answers] as const;
  });
  try {
    await during();
  } finally {
    going = false;
  }
  return new Map(await Promise.all(clients));
}

const EVERY_MS = 15;

/** The time within which this share of the requests got a response. */
export function within(share: number, answers: readonly Checked[]): number {
  const sorted = answers.map(({ ms }) => ms).sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
}
