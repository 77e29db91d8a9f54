import { describe, expect, test } from "vitest";
import { admin, NOW, scriptedRegistry } from "../../../test/support/scripted-registry.ts";
import { encodeFreeze, freezeRegistry, frozenUntil, MAX_FREEZE_SECONDS, thawRegistry } from "./freeze.ts";

describe("a stored freeze", () => {
  const text = encodeFreeze({ from: NOW, until: NOW + 60 });

  test("applies from two seconds before its start, to the second before its end", () => {
    const applies = [NOW - 3, NOW - 2, NOW, NOW + 59, NOW + 60].map((at) => frozenUntil(text, at));
    expect(applies).toEqual([undefined, NOW + 60, NOW + 60, NOW + 60, undefined]);
  });

  test.each([
    undefined,
    "",
    "1",
    "x 9999999999",
    "1 x",
    " 1 9999999999",
    "1 9999999999 ",
    "1  9999999999",
    "1-9999999999",
  ])("does not apply if it is damaged or absent: %j", (damaged) =>
    expect(frozenUntil(damaged, NOW)).toBeUndefined(),
  );
});

test("a freeze lasts ten minutes at most, and its audit event says how long", async () => {
  for (const [seconds, lasts] of [
    [60, 60],
    [MAX_FREEZE_SECONDS + 1, MAX_FREEZE_SECONDS],
  ] as const) {
    const { registry, asked } = scriptedRegistry();
    expect(await freezeRegistry(registry, seconds, admin)).toBe(NOW + lasts);
    expect(asked).toMatchObject([
      {
        put: [],
        freeze: { from: NOW, until: NOW + lasts },
        audit: [{ event: "registry_frozen", outcome: "done", actor: "admin:ops", reason: `${lasts}s` }],
      },
    ]);
  }
});

test("a freeze that is decided again by the store's clock lasts from then", async () => {
  const { registry } = scriptedRegistry({}, [{ kind: "clock", nowMs: (NOW + 90) * 1000 }]);
  expect(await freezeRegistry(registry, 60, admin)).toBe(NOW + 150);
});

test("a thaw writes only if the registry is frozen", async () => {
  const frozen = scriptedRegistry({ frozenUntil: NOW + 9 });
  await thawRegistry(frozen.registry, admin);
  expect(frozen.asked).toMatchObject([{ put: [], freeze: "thaw", audit: [{ event: "registry_thawed" }] }]);
  const other = scriptedRegistry();
  await thawRegistry(other.registry, admin);
  expect(other.asked).toEqual([]);
});
