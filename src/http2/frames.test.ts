import { expect, test } from "vitest";
import type { ErrorCode } from "./frames.ts";
import {
  contentOf,
  ERROR_CODE,
  encodeFrame,
  encodeUint32s,
  FLAG,
  FRAME,
  settingsPayload,
  writeFrameHead,
} from "./frames.ts";

const { FRAME_SIZE_ERROR, PROTOCOL_ERROR } = ERROR_CODE;
const FIELDS_OF_PRIORITY = 5;

test.each<
  [what: string, flags: number, prefixBytes: number, payload: number[], content: number[] | ErrorCode]
>([
  ["has no padding without the flag", 0, 0, [9, 8, 7], [9, 8, 7]],
  ["has no padding with all other flags", 0xff & ~FLAG.PADDED, 0, [2, 8, 7], [2, 8, 7]],
  ["may be empty", 0, 0, [], []],
  ["may have padding of no bytes", FLAG.PADDED, 0, [0, 8, 7], [8, 7]],
  ["ends before its padding", FLAG.PADDED, 0, [2, 8, 7, 0, 0], [8, 7]],
  ["may be padding only", FLAG.PADDED, 0, [2, 0, 0], []],
  ["is invalid with longer padding", FLAG.PADDED, 0, [3, 0, 0], PROTOCOL_ERROR],
  ["is too short for a pad length", FLAG.PADDED, 0, [], FRAME_SIZE_ERROR],
  ["follows its fields", 0, FIELDS_OF_PRIORITY, [0, 0, 0, 1, 16, 8, 7], [8, 7]],
  ["may be its fields only", 0, FIELDS_OF_PRIORITY, [0, 0, 0, 1, 16], []],
  ["is too short for its fields", 0, FIELDS_OF_PRIORITY, [0, 0, 0, 1], FRAME_SIZE_ERROR],
  ["follows its pad length and fields", FLAG.PADDED, FIELDS_OF_PRIORITY, [1, 0, 0, 0, 1, 16, 8, 0], [8]],
  ["may be fields and padding only", FLAG.PADDED, FIELDS_OF_PRIORITY, [1, 0, 0, 0, 1, 16, 0], []],
  [
    "is invalid if padding covers a field",
    FLAG.PADDED,
    FIELDS_OF_PRIORITY,
    [1, 0, 0, 0, 1, 16],
    PROTOCOL_ERROR,
  ],
  [
    "is too short for pad length and fields",
    FLAG.PADDED,
    FIELDS_OF_PRIORITY,
    [0, 0, 0, 0, 1],
    FRAME_SIZE_ERROR,
  ],
])("§6.1, §6.2: the content of a frame %s", (_what, flags, prefixBytes, payload, content) => {
  const [before, after] = [3, 4];
  const bytes = Buffer.from([...Array(before).fill(1), ...payload, ...Array(after).fill(1)]);
  const found = contentOf(
    { flags, streamId: 1, bytes, from: before, to: before + payload.length },
    prefixBytes,
  );
  expect(typeof found === "number" ? found : [...bytes.subarray(found.from, found.to)]).toEqual(content);
});

test("§4.1: a frame has the length of its payload in 24 bits, its type, its flags, its stream id in 31 bits, and its payload", () => {
  expect(encodeFrame(FRAME.DATA, FLAG.END_STREAM, 0x0102_0304, Buffer.of(7, 8, 9))).toEqual(
    Buffer.from("000003" + "00" + "01" + "01020304" + "070809", "hex"),
  );
  expect(encodeFrame(0xfe, 0xff, 2 ** 31 - 1, Buffer.alloc(0))).toEqual(
    Buffer.from("000000" + "fe" + "ff" + "7fffffff", "hex"),
  );
});

test("§4.1: the head of a frame changes no other byte of its buffer", () => {
  const buffer = Buffer.alloc(13, 0xaa);
  writeFrameHead(buffer, 2, 2 ** 24 - 1, FRAME.CONTINUATION, FLAG.END_HEADERS, 5);
  expect(buffer).toEqual(Buffer.from("aaaa" + "ffffff" + "09" + "04" + "00000005" + "aaaa", "hex"));
});

test("§6.5.1: SETTINGS have an identifier of 16 bits and a value of 32 bits each", () => {
  const settings = [
    [3, 1],
    [0xfafa, 2 ** 32 - 1],
  ] as const;
  expect(settingsPayload(settings)).toEqual(Buffer.from("0003" + "00000001" + "fafa" + "ffffffff", "hex"));
  expect(settingsPayload([])).toEqual(Buffer.alloc(0));
});

test("a payload of numbers has 32 bits for each", () => {
  expect(encodeUint32s(1, 2 ** 32 - 1, 0)).toEqual(Buffer.from("00000001" + "ffffffff" + "00000000", "hex"));
});
