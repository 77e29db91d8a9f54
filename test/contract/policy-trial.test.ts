import { expect, test } from "vitest";
import { z } from "zod";
import { createPolicyTrial } from "../../src/server/policy-trial/trial.ts";

const SOURCE = { text: "{}", fileName: "policy" };
const FACTS = { activeHash: "", mayReplay: false, overridesByPlan: new Map([["gold", 2]]) };
const POLICY = `roles:
  basic: { scopes: [a], ttl: 1d, refresh_window: 1h }
routes: [{ path: /one, scopes: [a] }]
`;

const trial = createPolicyTrial({ source: SOURCE, auditFile: undefined });
const checked = z.looseObject({
  ok: z.boolean(),
  problems: z.array(z.object({ line: z.int(), detail: z.string() })),
  lacking_plans: z.array(z.unknown()),
});

async function check(body: object, using = trial) {
  const outcome = await using.run(JSON.stringify(body), FACTS);
  return checked.parse(outcome.kind === "done" ? JSON.parse(outcome.text) : outcome);
}

test("one trial runs, two wait, a further one gets busy, and later ones are served", async () => {
  const outcomes = [1, 2, 3, 4].map(() => trial.run(JSON.stringify({ text: POLICY }), FACTS));
  const kinds = (await Promise.all(outcomes)).map(({ kind }) => kind);
  expect(kinds).toEqual(["done", "done", "done", "busy"]);
  expect(await check({ text: POLICY })).toMatchObject({
    ok: true,
    summary: { roles: 1, plans: 0, routes: 1, mode: "enforce", active: false },
    lacking_plans: [{ name: "gold", overrides: 2 }],
    cases: null,
    replay: null,
  });
});

test.each([
  ["aliases that multiply", aliasBomb()],
  ["deep nesting", `roles: ${"[".repeat(20_000)}`],
  ["an alias within its anchor", "roles: &a [*a]"],
  ["many unknown fields", Array.from({ length: 5000 }, (_, at) => `f${at}: 1`).join("\n")],
  ["a name of a megabyte", `${"x".repeat(1_000_000)}: 1`],
  ["another thing than a policy", "<script>alert(1)</script>"],
])("a policy with %s is a problem of a line, in a small response", async (_, text) => {
  const { ok, problems } = await check({ text });
  expect(ok).toBe(false);
  expect(problems.length).toBeGreaterThan(0);
  expect(problems[0]?.detail).not.toContain("cannot be checked");
  expect(problems.length).toBeLessThanOrEqual(200);
  expect(Math.max(...problems.map(({ detail }) => detail.length))).toBeLessThan(600);
});

function aliasBomb(): string {
  const levels = Array.from({ length: 12 }, (_, at) => {
    const items = Array(9).fill(at === 0 ? "x" : `*l${at - 1}`);
    return `l${at}: &l${at} [${items.join(", ")}]`;
  });
  return levels.join("\n");
}

test("a trial that takes too long is ended, and the next one is served", async () => {
  const short = createPolicyTrial({ source: SOURCE, auditFile: undefined, maxMs: 1 });
  const { problems } = await check({ text: POLICY }, short);
  expect(problems).toEqual([{ line: 1, detail: "the policy cannot be checked: it takes longer than 1 ms" }]);
  expect((await check({ text: POLICY })).ok).toBe(true);
});

test.each([
  ["", "the body is empty"],
  ["[", "the body is not JSON"],
  ['{"text":"","text":""}', "the body has a member twice"],
  [`{"text":${"[".repeat(100)}${"]".repeat(100)}}`, "the body nests too deeply"],
])("the body %j is rejected", async (body, detail) => {
  expect(await trial.run(body, FACTS)).toEqual({ kind: "invalid", errors: [{ pointer: "#", detail }] });
});

test("a body without a text, with an unknown member or with a replay that is not permitted is rejected", async () => {
  expect(await trial.run("{}", FACTS)).toMatchObject({ kind: "invalid", errors: [{ pointer: "#/text" }] });
  expect(await trial.run('{"text":"","apply":true}', FACTS)).toMatchObject({
    kind: "invalid",
    errors: [{ pointer: "#/apply" }],
  });
  expect(await trial.run('{"text":"","replay":true}', FACTS)).toEqual({ kind: "replay_denied" });
});
