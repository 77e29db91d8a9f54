import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { EnvoyProcess } from "../../scripts/envoy-process.ts";
import type { LatchkeyClient } from "../../src/client/client.ts";
import { createClient } from "../../src/client/client.ts";
import { admits } from "./admitted.ts";
import type { Checked } from "./checks.ts";
import { check, underLoad, within } from "./checks.ts";
import { startExample } from "./envoy.ts";
import { newSecret } from "./keys.ts";
import type { TestedLatchkey } from "./latchkey.ts";
import { startLatchkey } from "./latchkey.ts";
import { expectBound } from "./limit-bound.ts";
import { readMetrics } from "./metrics.ts";
import type { TestedRedis } from "./redis.ts";
import type { Upstream } from "./upstream.ts";
import { startUpstream } from "./upstream.ts";

const INSTANCES = 3;
const LIMIT = { capacity: 30, refillPerSecond: 10 };
/** Keys that are revoked during one failover. */
const REVOKED = 40;
const REVOKE_EVERY_MS = 100;
/** Load before the failover, and after everything works again. */
const QUIET_MS = 1500;
/** Limits are asked for again once a probe of the breaker has succeeded. */
const LIMITS_WITHIN_MS = 1000;
/** Of a failover that takes longer the test says nothing. */
const WITHIN = { timeout: 60_000, interval: 20 };

/** How servers fail over, and how the test knows it. */
export interface FailoverTopology {
  readonly name: "sentinel" | "cluster";
  readonly url: string;
  /** Replicas that must have a change before it is acknowledged. */
  readonly waitReplicas: number;
  readonly epochKey: string;
  /** The server that holds the registry. */
  registry(): Promise<TestedRedis>;
  /** The server that fails over next: that of the registry, or another one. */
  next(): Promise<{ readonly server: TestedRedis; readonly holdsRegistry: boolean }>;
  /** Each makes another node the primary instead of this one. */
  readonly kinds: Readonly<Record<string, (primary: TestedRedis) => Promise<unknown>>>;
  /** Resolves once a majority names another primary instead of this one. */
  failedOver(from: TestedRedis, timeoutMs: number): Promise<unknown>;
  /** The number of failovers so far. */
  failovers(): Promise<number>;
  /** Makes a former primary a replica that has acknowledged all writes. */
  rejoin(port: number): Promise<void>;
  stop(): Promise<void>;
}

const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), ADMIN_TOKEN: newSecret() };
/** With `deny` an outage denies by `limits_unavailable`; with `local` each instance serves its share. */
const policyOf = (limits: "deny" | "local") => `
roles:
  basic:
    { scopes: [a], ttl: 1d, refresh_window: 1h, rate_limits: [{ name: n, per: key, capacity: 100000, refill: 10000/s }] }
  contributor:
    scopes: [a]
    ttl: 1d
    refresh_window: 1h
    rate_limits: [{ name: n, per: key, capacity: ${LIMIT.capacity}, refill: ${LIMIT.refillPerSecond}/s }]
routes: [{ path: /a/**, scopes: [a] }]
guards: { failures: 100000/s, open_calls: 100000/s }
faults: { limits: ${limits}, local_max: 1m, revocations: { max_staleness: 30s, then: deny } }
`;

let setup: FailoverTopology;
let upstream: Upstream;
let envoy: EnvoyProcess;
let instances: readonly TestedLatchkey[];
let operators: readonly LatchkeyClient[];
let keys: { readonly known: readonly string[]; readonly limited: string; readonly revoked: string };
/** Keys by what their revocation was answered. */
const revocations = { acknowledged: new Set<string>(), failed: new Set<string>() };
/** How Checks of the limited key were answered. Of the last kind, Latchkey may have admitted some. */
const limited = { admitted: 0, denied: 0, unknown: 0 };

const start = () =>
  startLatchkey(
    // WAIT has most of the time of a command. A command that times out on a busy machine would be an outage of its own.
    {
      ...env,
      REDIS_URL: setup.url,
      REDIS_WAIT_REPLICAS: String(setup.waitReplicas),
      REDIS_COMMAND_TIMEOUT_MS: "1500",
    },
    { policy: policyOf("local") },
  );

async function startAll(startTopology: () => Promise<FailoverTopology>): Promise<void> {
  [setup, upstream] = await Promise.all([startTopology(), startUpstream()]);
  // The store is older than local_max, as it is in a fleet that has been running for a while.
  await (await setup.registry()).cli("SET", setup.epochKey, `epoch ${Date.now() - 3_600_000}`);
  instances = await Promise.all(Array.from({ length: INSTANCES }, start));
  operators = instances.map(({ operator }) =>
    createClient({ url: `http://${operator}`, token: env.ADMIN_TOKEN }),
  );
  envoy = await startExample("sidecar", {
    clusters: { latchkey: instances.map(({ grpc }) => grpc), upstream: [`127.0.0.1:${upstream.port}`] },
  });
  const [known, limited, revoked] = [await register(20), await register(1, "contributor"), await register(1)];
  keys = {
    known: known.map(({ api_key }) => api_key),
    limited: limited[0]?.api_key ?? "",
    revoked: revoked[0]?.api_key ?? "",
  };
  await operators[0]?.keys.revoke(revoked[0]?.key_id ?? "");
  await vi.waitFor(async () => expect(await verdicts(keys.revoked)).toEqual(["key-revoked"]), WITHIN);
}

async function stopAll(): Promise<void> {
  await Promise.all([envoy, ...(instances ?? [])].map((one) => one?.stop()));
  await Promise.all([setup?.stop(), upstream?.stop()]);
}

/** With a few at a time, each acknowledged by both replicas. */
async function register(count: number, key_type = "basic") {
  const client = operators[0];
  if (client === undefined) throw new Error("no instance");
  const made = [];
  for (let at = 0; at < count; at++)
    made.push(await vi.waitFor(() => client.register({ name: "n", key_type }), WITHIN));
  return made;
}

/** The different verdicts of the instances on a key. */
async function verdicts(key: string, on: readonly TestedLatchkey[] = instances): Promise<readonly unknown[]> {
  return [...new Set(await Promise.all(on.map((instance) => admits(instance, key))))];
}

/** A failover may be given up, or be refused so soon after another one. It is then begun again. */
const GIVEN_UP_AFTER_MS = 10_000;
/** A Sentinel that a busy machine has stopped for two seconds fails nothing over for the next thirty (its TILT mode). */
const BEGUN_WITHIN_MS = 120_000;

/** Resolves with the time at which the failover that succeeded was begun. */
async function beginFailover(kind: string, from: TestedRedis): Promise<number> {
  return vi.waitFor(
    async () => {
      const beginMs = performance.now();
      await setup.kinds[kind]?.(from);
      await setup.failedOver(from, GIVEN_UP_AFTER_MS);
      return beginMs;
    },
    { timeout: BEGUN_WITHIN_MS, interval: 500 },
  );
}

/** From the failover until all instances receive the feed of the new primary. */
interface Outage {
  readonly beginMs: number;
  readonly endMs: number;
}

async function failOver(kind: string): Promise<Outage> {
  const { server: from, holdsRegistry } = await setup.next();
  const recovered = holdsRegistry ? await feedOnAnother(from.port) : async () => undefined;
  const beginMs = await beginFailover(kind, from);
  const failedOverMs = performance.now();
  await vi.waitFor(() => recovered(failedOverMs), WITHIN);
  await vi.waitFor(everyKeyAdmitted, WITHIN);
  const endMs = performance.now();
  await setup.rejoin(from.port);
  await vi.waitFor(async () => {
    const { port } = await setup.registry();
    for (const { ops } of instances) expect((await readMetrics(ops)).get(primaryInfo(port))).toBe(1);
  }, WITHIN);
  return { beginMs, endMs };
}

/** Returns a check that all instances have received the feed of another primary than this since a time. */
async function feedOnAnother(from: number): Promise<(sinceMs: number) => Promise<void>> {
  const counts = () =>
    Promise.all(
      instances.map(async ({ ops }) => {
        const metrics = await readMetrics(ops);
        return {
          failovers: metrics.get("latchkey_redis_failovers_total") ?? 0,
          isOnOld: metrics.has(primaryInfo(from)),
          staleness: metrics.get("latchkey_revocation_staleness_seconds") ?? Number.POSITIVE_INFINITY,
        };
      }),
    );
  const before = await counts();
  return async (sinceMs) => {
    const sinceSeconds = (performance.now() - sinceMs) / 1000;
    for (const [at, { failovers, isOnOld, staleness }] of (await counts()).entries()) {
      expect(isOnOld).toBe(false);
      expect(failovers).toBeGreaterThan(before[at]?.failovers ?? 0);
      expect(staleness).toBeLessThan(sinceSeconds);
    }
  };
}

/** Each instance is asked for each key at least once, as Envoy takes one after the other. */
async function everyKeyAdmitted(): Promise<void> {
  for (const key of instances.flatMap(() => keys.known))
    expect((await check(envoy, "/a/x", key)).status).toBe(200);
}

const primaryInfo = (port: number) =>
  `latchkey_redis_primary_info{topology="${setup.name}",address="127.0.0.1:${port}"}`;

/** Revokes a key every moment, at one instance after the other, until all are revoked. */
async function revokeAll(toRevoke: Awaited<ReturnType<typeof register>>): Promise<void> {
  for (const [at, { api_key, key_id }] of toRevoke.entries()) {
    const outcome = await (operators[at % INSTANCES]?.keys.revoke(key_id) ?? Promise.reject()).then(
      () => revocations.acknowledged,
      () => revocations.failed,
    );
    outcome.add(api_key);
    await pause(REVOKE_EVERY_MS);
  }
}

/** A Check, and when it was answered. */
interface Answer extends Checked {
  readonly atMs: number;
}

/** Denials outside an outage and within it, as `status reason`. */
function denials(answers: readonly Answer[] = [], { beginMs, endMs }: Outage) {
  expect(answers.length).toBeGreaterThan(20);
  const denied = answers.filter(({ status }) => status !== 200);
  const within = ({ atMs, ms }: Answer) => atMs > beginMs && atMs - ms < endMs + LIMITS_WITHIN_MS;
  const textsOf = (list: readonly Answer[]) => [
    ...new Set(list.map(({ status, reason }) => `${status} ${reason}`)),
  ];
  return {
    outside: textsOf(denied.filter((answer) => !within(answer))),
    within: textsOf(denied.filter(within)),
  };
}

const UNAVAILABLE = "503 limits_unavailable";
/** The share of an instance starts empty (`faults.limits: local`). */
const EMPTY = "429 rate_limited";

async function setPolicy(limits: "deny" | "local"): Promise<void> {
  for (const { cwd } of instances) await writeFile(join(cwd, "latchkey.yaml"), policyOf(limits));
  for (const operator of operators) await operator.policy.reload();
}

async function oneFailover(kind: string, limits: "deny" | "local"): Promise<string> {
  await setPolicy(limits);
  const toRevoke = await register(REVOKED);
  const answers = { known: [] as Answer[], revoked: [] as Answer[], limited: [] as Answer[] };
  const ask = async (of: keyof typeof answers, key = "") => {
    const checked = await check(envoy, "/a/x", key);
    answers[of].push({ ...checked, atMs: performance.now() });
    return checked;
  };
  let at = 0;
  const known = () => ask("known", keys.known[at++ % keys.known.length]);
  let outage: Outage = { beginMs: 0, endMs: 0 };
  const failovers = await setup.failovers();
  const sinceMs = performance.now();
  const revoked = () => ask("revoked", keys.revoked);
  await underLoad(
    { known, others: known, revoked, limited: () => ask("limited", keys.limited) },
    async () => {
      const revoking = revokeAll(toRevoke);
      await pause(QUIET_MS);
      outage = await failOver(kind);
      await revoking;
      await pause(QUIET_MS);
    },
  );
  const seconds = (performance.now() - sinceMs) / 1000;
  // On a machine that does much else the new primary may be taken for down as well.
  if ((await setup.failovers()) > failovers + 1) outage = { ...outage, endMs: performance.now() };
  const ofKnown = denials(answers.known, outage);
  expect(ofKnown.outside).toEqual([]);
  const permitted = limits === "deny" ? [UNAVAILABLE] : [EMPTY, UNAVAILABLE];
  expect(permitted).toEqual(expect.arrayContaining(ofKnown.within));
  const ofLimited = denials(answers.limited, outage);
  expect([EMPTY]).toEqual(expect.arrayContaining(ofLimited.outside));
  expect([EMPTY, UNAVAILABLE]).toEqual(expect.arrayContaining(ofLimited.within));
  const ofRevoked = denials(answers.revoked, outage);
  expect(new Set([...ofRevoked.outside, ...ofRevoked.within])).toEqual(new Set(["401 key_revoked"]));
  expect(answers.revoked.filter(({ status }) => status === 200)).toEqual([]);
  countLimited(answers.limited);
  expectLimited(answers.limited, outage);
  await expectRevocations(toRevoke.map(({ api_key }) => api_key));
  const denied = answers.known.filter(({ status }) => status !== 200).length;
  const ofValid = `${denied} of ${answers.known.length} Checks of valid keys denied`;
  return `${describeFigures(Object.values(answers).flat(), seconds, outage)}; ${ofValid} (limits: ${limits})`;
}

function countLimited(answers: readonly Answer[]): void {
  for (const { status, reason } of answers)
    if (status === 200) limited.admitted++;
    else if (`${status} ${reason}` === EMPTY || `${status} ${reason}` === UNAVAILABLE) limited.denied++;
    else limited.unknown++;
}

/** No failover loses usage of instances that live, and none counts it twice. */
async function expectUsage(): Promise<void> {
  const { usage } = (await operators[0]?.ownUsage(keys.limited)) ?? { usage: [] };
  const counted = usage.reduce((sum, { allowed }) => sum + allowed, 0);
  expect(counted).toBeGreaterThanOrEqual(limited.admitted);
  expect(counted).toBeLessThanOrEqual(limited.admitted + limited.unknown);
}

function expectLimited(answers: readonly Answer[], { beginMs, endMs }: Outage): void {
  const admitted = answers.filter(({ status }) => status === 200).map(({ atMs }) => atMs);
  // A lease that the old primary has granted last may be missing on the new one: one of C/10 for each instance.
  const lost = (INSTANCES * LIMIT.capacity) / 10;
  expectBound(admitted, { ...LIMIT, outageSeconds: (endMs + LIMITS_WITHIN_MS - beginMs) / 1000, lost });
}

function describeFigures(all: readonly Answer[], seconds: number, { beginMs, endMs }: Outage): string {
  const times = [0.5, 0.99, 1].map((share) => within(share, all).toFixed(0)).join("/");
  const load = `${all.length} Checks, ${(all.length / seconds).toFixed(0)}/s, 50/99/100 % within ${times} ms`;
  const acknowledged = `${revocations.acknowledged.size} of ${revocations.acknowledged.size + revocations.failed.size}`;
  return `feed received after ${(endMs - beginMs).toFixed(0)} ms; ${load}; ${acknowledged} revocations acknowledged so far`;
}

/** What was acknowledged is denied everywhere, and so is what one instance knows of. */
async function expectRevocations(ofFailover: readonly string[]): Promise<void> {
  for (const key of ofFailover)
    if (revocations.acknowledged.has(key)) expect(await verdicts(key)).toEqual(["key-revoked"]);
    else await vi.waitFor(async () => expect(await verdicts(key)).toHaveLength(1), WITHIN);
}

/** @param failovers of all kinds together */
export function failoverSuite(
  startTopology: () => Promise<FailoverTopology>,
  kinds: readonly string[],
  failovers: number,
): void {
  beforeAll(() => startAll(startTopology));
  afterAll(stopAll);

  test.each(kinds)(
    "%s: no wrong allow, no denial but limits_unavailable, no acknowledged revocation lost",
    { timeout: 60_000 * failovers },
    async (kind) => {
      for (let count = 0; count < failovers / kinds.length; count++) {
        const figures = await oneFailover(kind, count % 2 === 0 ? "deny" : "local");
        console.log(`${kind} ${count + 1}: ${figures}`);
      }
    },
  );

  test("usage counts what was admitted, and nothing twice", { timeout: 120_000 }, async () => {
    expect(limited.admitted).toBeGreaterThan(0);
    await vi.waitFor(expectUsage, { timeout: 60_000, interval: 1000 });
    console.log(`usage is exact; Checks of the limited key: ${JSON.stringify(limited)}`);
  });

  test("an instance that starts after all of them knows every key and every revocation that was acknowledged", {
    timeout: 10_000 * failovers,
  }, async () => {
    const late = await start();
    expect(revocations.acknowledged.size).toBeGreaterThan(REVOKED);
    for (const key of [...revocations.acknowledged, keys.revoked])
      expect(await verdicts(key, [late, ...instances])).toEqual(["key-revoked"]);
    for (const key of keys.known) expect(await verdicts(key, [late, ...instances])).toEqual([true]);
    const client = createClient({ url: `http://${late.operator}`, token: env.ADMIN_TOKEN });
    const listed = new Set<string>();
    for await (const { key_id } of client.keys.all()) listed.add(key_id);
    expect(listed.size).toBeGreaterThanOrEqual(keys.known.length + revocations.acknowledged.size);
    await late.stop();
    for (const { output } of instances)
      expect(output()).toContain("Redis has another primary, or was restarted");
  });
}
