import { expect, test } from "vitest";
import { decodeCheckResponse } from "../../scripts/protobuf.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import { toStruct } from "./struct.ts";

test("toStruct converts every kind of value, also empty ones, and no name sets a prototype", () => {
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
  const bytes = encodeCheckResponse({ status: { code: 0 }, ok_response: {}, dynamic_metadata: metadata });
  expect(decodeCheckResponse(bytes).dynamic_metadata).toEqual(metadata);
});
