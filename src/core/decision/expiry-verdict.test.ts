import { expect, test } from "vitest";
import { HOLDER } from "../../../test/support/decided.ts";
import { expiryVerdict } from "./expiry-verdict.ts";

const END_MS = HOLDER.expiresAt * 1000;
const valid = { ok: true, principal: HOLDER };
const expired = { ok: false, reason: "key_expired", principal: HOLDER };

test("a key is valid until the last millisecond before its exp, and its holder is known also afterwards", () => {
  expect(expiryVerdict(HOLDER, END_MS - 1)).toEqual(valid);
  expect(expiryVerdict(HOLDER, END_MS)).toEqual(expired);
});

test("a token of an issuer whose clock may differ is valid for that many seconds longer", () => {
  expect(expiryVerdict(HOLDER, END_MS + 29_999, 30)).toEqual(valid);
  expect(expiryVerdict(HOLDER, END_MS + 30_000, 30)).toEqual(expired);
});
