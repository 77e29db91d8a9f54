import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { encodeCheckRequest } from "../scripts/protobuf.ts";
import { NO_OVERRIDES } from "../src/core/overrides/override-view.ts";
import {
  benchAttributes,
  benchCheck,
  benchPolicyWithPlan,
  benchRecord,
  createDecisionServices,
  overriddenOwners,
} from "./decision.ts";
import { describeMachine } from "./report.ts";

/**
 * The CPU time of a warm Check in a process that holds few or many cached keys, and few or many overrides. Each case is its own
 * process. They take turns, so that other load on the machine affects all of them.
 *
 *     node --disable-warning=ExperimentalWarning bench/held.ts --rounds 9
 */
const CASES = [
  { keys: 1000, overrides: false },
  { keys: 1_000_000, overrides: false },
  { keys: 1000, overrides: true },
] as const;
type Case = (typeof CASES)[number];

/** Keys that make requests in turn. In the large cache they lie far apart. */
const ACTIVE = 1000;
const CHECKS = 50_000;

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "9" }, case: { type: "string" } },
});
if (values.case === undefined) await compare(Number(values.rounds));
else await hold(CASES[Number(values.case)] ?? CASES[0]);

async function compare(rounds: number): Promise<void> {
  console.log(JSON.stringify(describeMachine()));
  const processes = CASES.map((_, at) =>
    fork(fileURLToPath(import.meta.url), ["--case", String(at)], { execArgv: process.execArgv }),
  );
  await Promise.all(processes.map((child) => once(child, "message")));
  const figures: number[][] = CASES.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [at, child] of processes.entries()) figures[at]?.push(await measureIn(child));
  for (const child of processes) child.disconnect();
  for (const [at, { keys, overrides }] of CASES.entries()) {
    const sorted = (figures[at] ?? []).toSorted((one, other) => one - other);
    const text = (index: number) => (sorted[index] ?? Number.NaN).toFixed(2);
    const held = `${keys.toLocaleString("en")} keys, ${overrides ? "100,000" : "no"} overrides`;
    console.log(
      `${held}: ${text(sorted.length >> 1)} CPU µs a Check (${text(0)} – ${text(sorted.length - 1)})`,
    );
  }
}

async function measureIn(child: ChildProcess): Promise<number> {
  child.send("measure");
  const [microseconds] = await once(child, "message");
  return Number(microseconds);
}

/** Fills the cache, and measures as often as the parent asks. */
async function hold({ keys, overrides }: Case): Promise<void> {
  const nowMs = Date.now();
  const view = overrides ? overriddenOwners(nowMs) : NO_OVERRIDES;
  const services = await createDecisionServices(benchPolicyWithPlan(), 1_000_000, view);
  const check = benchCheck(services, { nowMs: () => nowMs, monotonicNs: () => 0n });
  const active: Buffer[] = [];
  for (let key = 0; key < keys; key++) {
    const token = await services.signer.sign(benchRecord(key, nowMs));
    const message = encodeCheckRequest({ attributes: benchAttributes(token) });
    await check(message, 500);
    if (key % (keys / ACTIVE) === 0) active.push(message);
  }
  const checkActive = async () => {
    for (let at = 0; at < CHECKS; at++) await check(active[at % active.length] ?? Buffer.alloc(0), 500);
  };
  await checkActive();
  process.on("message", async () => {
    const before = process.cpuUsage();
    await checkActive();
    const { user, system } = process.cpuUsage(before);
    process.send?.((user + system) / CHECKS);
  });
  process.send?.("ready");
}
