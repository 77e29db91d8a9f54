import { expect, test } from "vitest";
import { decodeEvent } from "./audit-event-codec.ts";

const event = { eventId: "e", atMs: 1, event: "key_revoked", outcome: "done", actor: "admin:a" };

test("a stored event is returned with all its members, also with those of a later version", () => {
  const stored = { ...event, keyId: "k", later: { member: 1 } };
  expect(decodeEvent(JSON.stringify(stored))).toEqual(stored);
});

test.each([
  ["no JSON", '{"eventId":'],
  ["a text", '"e"'],
  ["a number", "1"],
  ["null", "null"],
  ["an empty object", "{}"],
  ...["eventId", "atMs", "event"].flatMap((name) => [
    [`an event without ${name}`, JSON.stringify({ ...event, [name]: undefined })],
    [`an event whose ${name} is a list`, JSON.stringify({ ...event, [name]: [] })],
  ]),
])("%s is returned as damaged, not skipped", (_, text = "") => {
  expect(decodeEvent(text)).toEqual({
    ...{ eventId: "damaged", event: "damaged", atMs: 0, outcome: "refused", actor: "unknown" },
  });
});
