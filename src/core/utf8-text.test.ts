import { expect, test } from "vitest";
import { decodeUtf8 } from "./utf8-text.ts";

test("UTF-8 is decoded, without its byte order mark", () => {
  expect(decodeUtf8(Buffer.from('\ufeff{"a":"ü"}'))).toBe('{"a":"ü"}');
});

test("invalid UTF-8 is no text, and is not repaired", () => {
  expect(decodeUtf8(Buffer.from([0x61, 0xff]))).toBeUndefined();
  // A character in more bytes than necessary.
  expect(decodeUtf8(Buffer.from([0xc0, 0xaf]))).toBeUndefined();
});
