import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import type { Phase } from "../../src/client/types.ts";
import type { Deployment, Instance } from "../support/deployment.ts";
import { startDeployment } from "../support/deployment.ts";
import { runHere } from "../support/program.ts";

const policyWith = (migration: string) => `
roles:
  basic: { scopes: [a], ttl: 7d, refresh_window: 1d, self_service: true }
  other: { scopes: [b], ttl: 7d, refresh_window: 1d }
routes: [{ path: /a/**, scopes: [a] }, { path: /b/**, scopes: [b] }]
migration: { ${migration} }
guards: { open_calls: 100000/s, failures: 100000/s }
`;
const POLICY = policyWith("overlap: 30d");

/** The expected results in each phase. The exchanged V1 keys were exchanged before the phase began. */
const PHASES: Readonly<Record<Phase, Readonly<Record<string, string>>>> = {
  silent: {
    "a V1 key": "allowed",
    "a V1 key that was exchanged": "allowed",
    "the same, past its overlap": "allowed",
    "a V2 key": "allowed",
    "a registration": "201 V1",
    "a registration that asks for V2": "201 V1",
    "an exchange": "201 V2",
    "an exchange after migrate_until": "201 V2",
    "notice in responses": "",
  },
  gradual: {
    "a V1 key": "allowed",
    "a V1 key that was exchanged": "allowed",
    "the same, past its overlap": "allowed",
    "a V2 key": "allowed",
    "a registration": "201 V1",
    "a registration that asks for V2": "201 V2",
    "an exchange": "201 V2",
    "an exchange after migrate_until": "201 V2",
    "notice in responses": "",
  },
  active: {
    "a V1 key": "allowed",
    "a V1 key that was exchanged": "allowed",
    "the same, past its overlap": "allowed",
    "a V2 key": "allowed",
    "a registration": "201 V1",
    "a registration that asks for V2": "201 V2",
    "an exchange": "201 V2",
    "an exchange after migrate_until": "201 V2",
    "notice in responses": "link x-latchkey-upgrade",
  },
  deprecated: {
    "a V1 key": "allowed",
    "a V1 key that was exchanged": "allowed",
    "the same, past its overlap": "key_superseded",
    "a V2 key": "allowed",
    "a registration": "201 V1",
    "a registration that asks for V2": "201 V2",
    "an exchange": "201 V2",
    "an exchange after migrate_until": "201 V2",
    "notice in responses": "deprecation link sunset x-latchkey-upgrade",
  },
  removed: {
    "a V1 key": "legacy_key_removed, link",
    "a V1 key that was exchanged": "allowed",
    "the same, past its overlap": "key_superseded",
    "a V2 key": "allowed",
    "a registration": "410",
    "a registration that asks for V2": "410",
    "an exchange": "201 V2",
    "an exchange after migrate_until": "410",
    "notice in responses": "",
  },
};
const NOTICE = ["deprecation", "link", "sunset", "x-latchkey-upgrade"];
const isPhase = (name: string): name is Phase => Object.hasOwn(PHASES, name);
const names = Object.keys(PHASES).filter(isPhase);

describe.each(["embedded", "redis"] as const)("the migration on the %s store", (store) => {
  let deployment: Deployment;
  let first: Instance;
  /** Another instance, if there is one. */
  let other: Instance;

  beforeAll(async () => {
    deployment = await startDeployment(store, POLICY);
    first = deployment.instances[0];
    other = deployment.instances[1] ?? first;
  });
  afterAll(() => deployment?.stop());

  /** Sets the phase on the first instance, and waits until every instance has it. */
  const enter = async (phase: Phase) => {
    await first.client.migration.set(phase);
    for (const { client } of deployment.instances)
      await expect.poll(async () => (await client.migration.show()).phase).toBe(phase);
  };
  const register = async () => (await first.client.registerLegacy({ name: "v1", key_type: "basic" })).api_key;
  const registerAs = (version: string) => post("/api/auth/register_api_key", version);
  const exchange = (legacy_key: string) => post("/api/auth/v2/migrate", "", { legacy_key });
  const post = async (path: string, version: string, body: object = { name: "n", key_type: "basic" }) => {
    const response = await fetch(`http://${other.latchkey.http}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(version && { "accept-key-version": version }) },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    const kind = /"api_key":"(?:(eyJ)|lk1_)/.exec(text);
    return `${response.status}${kind === null ? "" : kind[1] ? " V2" : " V1"}`;
  };
  const noticeOn = async (key: string, path = "/a/x") => {
    const { headers } = await other.ask(key, "x-api-key", path);
    return NOTICE.filter((name) => headers.has(name)).join(" ");
  };
  const reasonOf = async (key: string) => {
    const reason = await other.reasonOf(key);
    if (reason !== "legacy_key_removed") return reason;
    return `${reason}, ${await noticeOn(key)}`;
  };

  test.each(names)(
    "in %s every client gets the expected result, and in silent again its earlier result",
    async (phase) => {
      const [v1, exchanged, late, later] = [
        await register(),
        await register(),
        await register(),
        await register(),
      ];
      const v2 = (await first.client.migrate(exchanged)).api_key;
      await enter(phase);
      const before = {
        "a V1 key": await reasonOf(v1),
        "a V1 key that was exchanged": await reasonOf(exchanged),
        "a V2 key": await reasonOf(v2),
        "a registration": await registerAs(""),
        "a registration that asks for V2": await registerAs("2"),
        "notice in responses": phase === "removed" ? await noticeOn(v2) : await noticeOn(v1),
        "an exchange": await exchange(late),
      };
      await deployment.setPolicy(policyWith("overlap: 1s, sunset: 2020-01-01, migrate_until: 2020-01-02"));
      if (phase === "deprecated" || phase === "removed")
        await expect.poll(() => reasonOf(exchanged)).not.toBe("allowed");
      const after = {
        "the same, past its overlap": await reasonOf(exchanged),
        "an exchange after migrate_until": await exchange(later),
      };
      // A key that one machine has exchanged can still be exchanged by another machine with a copy of it.
      if (phase === "deprecated") expect(await exchange(exchanged)).toBe("201 V2");
      await deployment.setPolicy(POLICY);
      expect({ ...before, ...after }).toEqual(PHASES[phase]);
      await enter("silent");
      for (const key of [v1, exchanged, v2, late, later]) expect(await reasonOf(key)).toBe("allowed");
    },
  );

  test("notices have the dates of their standards, also on denials and by validate, and the audit log has a warning", async () => {
    const { api_key: v1, key_id } = await first.client.registerLegacy({ name: "v1", key_type: "basic" });
    const before = Math.floor(Date.now() / 1000);
    await enter("deprecated");
    const validated = await fetch(`http://${other.latchkey.http}/api/auth/v2/validate`, {
      headers: { "x-api-key": v1 },
    });
    for (const { headers } of [await other.ask(v1), validated]) {
      // RFC 9745: a structured date; RFC 8594: an HTTP date.
      const [, since] = /^@(\d+)$/.exec(headers.get("deprecation") ?? "") ?? [];
      expect(Math.abs(Number(since) - before)).toBeLessThan(60);
      expect(headers.get("sunset")).toBe("Mon, 01 Mar 2027 00:00:00 GMT");
      expect(headers.get("link")).toBe('</api/auth/v2/migrate>; rel="successor-version"');
      expect(headers.get("x-latchkey-upgrade")).toBe("v2");
    }
    expect(await noticeOn(v1, "/b/x")).toBe(NOTICE.join(" "));
    const warnings = () =>
      readFileSync(join(other.latchkey.cwd, "logs/api.log"), "utf8")
        .split("\n")
        .filter((line) => line.includes('"warning":"legacy_key_deprecated"') && line.includes(key_id));
    await expect.poll(() => warnings().length).toBe(1);
    await enter("silent");
  });

  test("forward and back through all phases under traffic, only requests that the phase denies are denied", async () => {
    const phases = createPhaseLog("silent");
    const [v1, exchanged] = [await register(), await register()];
    const v2 = (await first.client.migrate(exchanged)).api_key;
    const clients: Readonly<Record<string, () => Promise<string>>> = {
      "a V1 key": () => other.reasonOf(v1),
      "a V1 key in the other header": () => first.reasonOf(v1, "x-api-key"),
      "an exchanged V1 key": () => other.reasonOf(exchanged),
      "a V2 key": () => other.reasonOf(v2),
      "an exchange": () => exchange(v1),
      "a registration": () => registerAs(""),
      "a registration that asks for V2": () => registerAs("2"),
    };
    const running = Object.entries(clients).map(([name, step]) => startClient(name, step, phases));
    for (const phase of [
      ...names,
      "deprecated",
      "active",
      "gradual",
      "silent",
      "removed",
      "silent",
    ] as const) {
      phases.begins(phase);
      await enter(phase);
      phases.ends(phase);
      await Promise.all(running.map((client) => client.more(3)));
    }
    await Promise.all(running.map((client) => client.end()));
    expect(running.flatMap(({ wrong }) => wrong)).toEqual([]);
  });

  if (store === "redis")
    test("a Redis that has lost its data gets the phase again, and V1 keys in use stay valid", async () => {
      const v1 = await register();
      await enter("gradual");
      for (const { reasonOf: reason } of deployment.instances) expect(await reason(v1)).toBe("allowed");
      await deployment.redis?.cli("FLUSHALL");
      await expect.poll(() => deployment.redis?.cli("GET", "latchkey:migration")).toContain("gradual");
      for (const { reasonOf: reason, client } of deployment.instances) {
        expect(await reason(v1)).toBe("allowed");
        expect((await client.migration.show()).phase).toBe("gradual");
      }
    });
});

/** Tracks the phases that an instance may have at each moment. */
function createPhaseLog(first: Phase) {
  let possible = new Set<Phase>([first]);
  const begun: Phase[] = [];
  return {
    begins(phase: Phase) {
      possible.add(phase);
      begun.push(phase);
    },
    /** Every instance has this phase now. */
    ends(phase: Phase) {
      possible = new Set([phase]);
    },
    /** Returns a function that returns all phases that were possible since this call. */
    watch(): () => ReadonlySet<Phase> {
      const [before, at] = [possible, begun.length];
      return () => new Set([...before, ...begun.slice(at)]);
    },
  };
}

/** A client that sends requests without a pause and checks each result. */
function startClient(name: string, step: () => Promise<string>, phases: ReturnType<typeof createPhaseLog>) {
  let [isRunning, done] = [true, 0];
  const wrong: string[] = [];
  const isExpected = (result: string, possible: ReadonlySet<Phase>): boolean => {
    if (result === "legacy_key_removed") return possible.has("removed") && name.startsWith("a V1 key");
    if (result === "410") return possible.has("removed") && name.startsWith("a registration");
    return result === "allowed" || result.startsWith("201");
  };
  const loop = (async () => {
    while (isRunning) {
      const watched = phases.watch();
      const result = await step();
      if (!isExpected(result, watched())) wrong.push(`${name}: ${result} in ${[...watched()].join(" or ")}`);
      done++;
    }
  })();
  return {
    wrong,
    async more(count: number) {
      const wanted = done + count;
      await expect.poll(() => done, { interval: 10 }).toBeGreaterThanOrEqual(wanted);
    },
    async end() {
      isRunning = false;
      await loop;
    },
  };
}

test("the command line shows how many V1 keys there are, and the effect of each phase on them", async () => {
  const deployment = await startDeployment("embedded", POLICY);
  const [{ client, latchkey, ask }] = deployment.instances;
  const cli = { LATCHKEY_URL: `http://${latchkey.operator}`, LATCHKEY_TOKEN: deployment.token };
  const keys: string[] = [];
  for (let made = 0; made < 3; made++)
    keys.push((await client.registerLegacy({ name: "n", key_type: "basic" })).api_key);
  const [one = "", two = ""] = keys;
  await client.migrate(one);
  for (const key of [one, two]) expect((await ask(key)).status).toBe(200);
  const used = { used_last_day: 2, used_last_week: 2, used_last_month: 2 };
  const left = { used_last_day: 1, used_last_week: 1, used_last_month: 1 };
  await expect
    .poll(async () => (await client.migration.show()).roles)
    .toEqual([{ role: "basic", keys: 3, ...used, unmigrated: { keys: 2, ...left } }]);
  const { stdout } = await runHere(["migration", "status"], cli);
  expect(stdout.replaceAll(/\d{4}-\d\d-\d\d/g, "DATE")).toBe(`phase silent (from the policy)
deprecated since never, sunset DATET00:00:00Z, exchange until DATET00:00:00Z

ROLE   V1 KEYS  USED IN 24 H  7 DAYS  30 DAYS  NOT EXCHANGED
basic  3        2             2       2        2

Effect of each phase on them now:
→ silent      3 V1 keys valid; a V1 registration issues a V1 key
  gradual     3 V1 keys valid; a V1 registration issues a V2 key to clients that send Accept-Key-Version: 2
  active      3 V1 keys valid; responses announce V2 (2 used in 30 days)
  deprecated  2 V1 keys valid; responses announce their end; 1 exchanged V1 key ends on DATE, or after its own overlap
  removed     2 V1 keys denied at once (used: 1 in 24 h, 1 in 7 days, 1 in 30 days); 1 exchanged V1 key ends on DATE, or after its own overlap; no V1 key is issued
`);
  expect(JSON.parse((await runHere(["migration", "status", "--json"], cli)).stdout)).toMatchObject({
    phase: "silent",
  });
  expect((await runHere(["migration", "set", "nowhere"], cli)).status).toBe(2);
  expect((await runHere(["migration", "set", "active"], cli)).stdout).toContain(
    "phase active (set by an operator; the policy says silent)",
  );
  // A phase that an operator has set survives a restart, and overrides the policy until --from-policy.
  await deployment.restart(0, {});
  const again = deployment.instances[0].latchkey;
  const restarted = { ...cli, LATCHKEY_URL: `http://${again.operator}` };
  expect((await runHere(["migration", "status"], restarted)).stdout).toContain(
    "phase active (set by an operator",
  );
  expect((await runHere(["migration", "set", "--from-policy"], restarted)).stdout).toContain(
    "phase silent (from the policy)",
  );
  const error = await createClient({ url: restarted.LATCHKEY_URL })
    .migration.show()
    .catch((caught: unknown) => caught);
  expect(error).toMatchObject({ status: 401 });
  await deployment.stop();
});
