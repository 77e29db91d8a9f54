import { Command } from "commander";
import type { RateLimit } from "../src/core/policy/policy.ts";
import type { FleetOptions, FleetResult } from "./fleet-run.ts";
import { createRandom, runFleet } from "./fleet-run.ts";
import type { QuotaRunOptions, QuotaRunResult } from "./quota-run.ts";
import { runQuotas } from "./quota-run.ts";

/** The bucket of the built-in role `contributor`. */
const LIMIT: RateLimit = { name: "per-key", per: "key", capacity: 600, refillPerSecond: 10, leased: true };

interface Scenario {
  readonly name: string;
  readonly change: Partial<FleetOptions>;
}

function scenarios({ instances, seconds }: FleetOptions): readonly Scenario[] {
  const middle = { from: seconds * 0.4, to: seconds * 0.7 };
  return [
    { name: "calm", change: {} },
    { name: "every instance sees every key", change: { spread: instances } },
    {
      name: "small buckets, over their rate",
      change: { limit: { ...LIMIT, capacity: 10, refillPerSecond: 1 } },
    },
    {
      name: "the same, lease: off",
      change: { limit: { ...LIMIT, capacity: 10, refillPerSecond: 1, leased: false } },
    },
    { name: "2% of instances crash each second", change: { crashes: 0.02 } },
    { name: "the store unavailable for 30%", change: { outage: middle } },
    { name: "the store loses everything once", change: { lossAt: seconds / 2 } },
  ];
}

const program = new Command("fleet")
  .description("simulate the leases of a fleet in virtual time, with the code that serves")
  .option("--instances <n>", "instances of the fleet", Number, 1000)
  .option("--keys <n>", "keys of the clients", Number, 10_000)
  .option("--seconds <n>", "virtual seconds", Number, 20)
  .option("--rate <n>", "requests per second of the whole fleet", Number, 20_000)
  .option("--spread <n>", "instances that the requests of one key reach", Number, 4)
  .option("--seed <n>", "seed of the random numbers", Number, 1)
  .option("--json", "print one line of JSON per scenario")
  .parse();

const { json, ...given } = program.opts<Omit<FleetOptions, "limit"> & { readonly json?: true }>();
const options: FleetOptions = { ...given, limit: LIMIT };
if (!json) {
  console.log(
    `${options.instances} instances, ${options.keys} keys, ${options.rate} requests/s for ${options.seconds} s\n`,
  );
  console.log("scenario                             admitted  of ideal  overshoot  stranded  commands");
}
for (const { name, change } of scenarios(options)) {
  const result = await runFleet({ ...options, ...change });
  console.log(json ? JSON.stringify({ name, ...result }) : row(name, result));
}

function row(name: string, result: FleetResult): string {
  return [
    name.padEnd(36),
    String(result.admitted).padStart(9),
    result.admittedOverIdeal.toFixed(3).padStart(9),
    result.overshoot.toFixed(2).padStart(10),
    result.strandedPerRequest.toFixed(4).padStart(9),
    result.commandsPerRequest.toFixed(3).padStart(9),
  ].join(" ");
}

/** Scenarios of quotas: each subject requests twice its limit per window, and a window ends in the middle. */
const QUOTA_SCENARIOS: readonly (readonly [name: string, change: Partial<QuotaRunOptions>])[] = [
  ["10 subjects, 4 instances", { instances: 4, subjects: 10 }],
  ["100 subjects, 100 instances", { instances: 100, subjects: 100 }],
  ["10% of instances crash each second", { instances: 100, subjects: 100, crashes: 0.1 }],
  ["the store unavailable for 30%", { instances: 100, subjects: 100, outage: { from: 4, to: 7 } }],
];

if (!json)
  console.log("\nquotas                               admitted  of ideal  overshoot   expired  commands");
for (const [name, change] of QUOTA_SCENARIOS) {
  const random = createRandom(options.seed);
  const base = { instances: 4, subjects: 10, seconds: 10, rate: 10_000, limit: 0, random };
  const run = { ...base, ...change };
  const result = await runQuotas({ ...run, limit: (run.rate * run.seconds) / run.subjects / 4 });
  console.log(json ? JSON.stringify({ name, ...result }) : quotaRow(name, result));
}

function quotaRow(name: string, result: QuotaRunResult): string {
  return [
    name.padEnd(36),
    String(result.admitted).padStart(9),
    result.ofIdeal.toFixed(4).padStart(9),
    String(result.overshoot).padStart(10),
    result.expiredPerUnit.toFixed(4).padStart(9),
    result.commandsPerRequest.toFixed(3).padStart(9),
  ].join(" ");
}
