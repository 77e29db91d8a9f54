import { expect, test } from "vitest";
import { decodeCheckResponse } from "../../scripts/protobuf.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import { toStruct } from "./struct.ts";

test("toStruct keeps every kind of value, empty ones too, and no name becomes a prototype", () => {
  const plain = { a: null, b: false, c: 0, d: "", e: [1, "x", [null]], f: { g: {} }, h: undefined };
  expect(toStruct(plain)).toEqual({
    fields: {
      a: { nullValue: 0 },
      b: { boolValue: false },
      c: { numberValue: 0 },
      d: { stringValue: "" },
      e: {
        listValue: {
          values: [{ numberValue: 1 }, { stringValue: "x" }, { listValue: { values: [{ nullValue: 0 }] } }],
        },
      },
      f: { structValue: { fields: { g: { structValue: { fields: {} } } } } },
    },
  });
  const metadata = toStruct(JSON.parse('{"__proto__":"p","constructor":"c","x":{"__proto__":[]}}'));
  expect(Object.keys(metadata.fields)).toEqual(["__proto__", "constructor", "x"]);
  const answer = encodeCheckResponse({ status: { code: 0 }, ok_response: {}, dynamic_metadata: metadata });
  expect(decodeCheckResponse(answer).dynamic_metadata).toEqual(metadata);
});
