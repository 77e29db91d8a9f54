import { expect, test } from "vitest";
import { phaseEffects } from "./phase-effect.ts";

const NOW = 1_800_000_000;
const PLAN = { phase: "silent", overlapSeconds: 600, sunset: NOW + 9000, migrateUntil: NOW + 9999 } as const;
const SILENT = { phase: "silent", chosen: false, version: 1 } as const;
const USES = [
  { keys: 10, used: [3, 5, 8], unmigrated: { keys: 6, used: [1, 2, 4] } },
  { keys: 5, used: [1, 1, 1], unmigrated: { keys: 5, used: [1, 1, 1] } },
];

const effectOf = (name: string, deprecatedAt?: number) =>
  phaseEffects(USES, { ...SILENT, ...(deprecatedAt !== undefined && { deprecatedAt }) }, PLAN, NOW).find(
    ({ phase }) => phase === name,
  );

test("every V1 key is valid before deprecated, ends with an overlap from then on, and is denied in removed", () => {
  const none = { ending: 0, endsFrom: undefined, denied: 0, deniedUsed: [0, 0, 0] };
  expect(effectOf("silent")).toMatchObject({ ...none, valid: 15, announces: false, issues: "v1" });
  expect(effectOf("gradual")).toMatchObject({ ...none, valid: 15, announces: false, issues: "negotiated" });
  expect(effectOf("active")).toMatchObject({ ...none, valid: 15, announces: true, issues: "negotiated" });
  const ending = { ending: 4, endsFrom: NOW + 600 };
  expect(effectOf("deprecated")).toMatchObject({ ...none, ...ending, valid: 11, announces: true });
  expect(effectOf("removed")).toMatchObject({
    ...ending,
    valid: 0,
    denied: 11,
    deniedUsed: [2, 3, 5],
    issues: "none",
  });
});

test("the overlap counts from the entry into deprecated, which may be long ago", () => {
  expect(effectOf("removed", NOW - 500)?.endsFrom).toBe(NOW + 100);
});

test("without V1 keys no phase affects any", () => {
  const effects = phaseEffects([], SILENT, PLAN, NOW);
  expect(effects.map(({ valid, ending, denied }) => [valid, ending, denied])).toEqual(
    effects.map(() => [0, 0, 0]),
  );
});
