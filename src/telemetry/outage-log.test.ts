import { expect, test } from "vitest";
import { logTransitions, watchChanges } from "./outage-log.ts";

const MESSAGES = {
  failed: { event: "the store is unavailable", effect: "the command is retried", action: "the store" },
  healed: "the store responds again",
};

test("an outage is logged once when it starts and once when it ends", async () => {
  const lines: unknown[] = [];
  const log = {
    info: (_fields: object, message: string) => void lines.push(message),
    warn: (fields: object, { event }: { readonly event: string }) => void lines.push([event, fields]),
  };
  let isBroken = false;
  const [work, onFailure] = logTransitions(
    async () => {
      if (isBroken) throw new Error("refused");
    },
    log,
    MESSAGES,
  );
  const turn = () => work().catch(onFailure);
  await turn();
  isBroken = true;
  await turn();
  await turn();
  isBroken = false;
  await turn();
  await turn();
  const outage = [["the store is unavailable", { err: new Error("refused") }], "the store responds again"];
  expect(lines).toEqual(outage);
  isBroken = true;
  await turn();
  expect(lines).toHaveLength(3);
});

test("a change is reported when the value differs from the previous one, not from the first", () => {
  const changes: string[] = [];
  const onValue = watchChanges("a", (value) => changes.push(value));
  for (const value of ["a", "b", "b", "a", "a"]) onValue(value);
  expect(changes).toEqual(["b", "a"]);
});
