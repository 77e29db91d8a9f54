import { expect, test } from "vitest";
import { decodeCheckResponse } from "../../scripts/protobuf.ts";
import { encodeCheckResponse } from "./check-response-encoder.ts";
import type { AllowResponse, DenyResponse } from "./messages.ts";
import { APPEND_ACTION } from "./messages.ts";
import { toStruct } from "./struct.ts";

test("an allow can be decoded unchanged", () => {
  const option = (key: string, value: string) => ({
    header: { key, value },
    append: { value: false },
    append_action: APPEND_ACTION.OVERWRITE_IF_EXISTS_OR_ADD,
  });
  const allow: AllowResponse = {
    status: { code: 0 },
    ok_response: {
      headers: [option("x-latchkey-role", "basic"), option("x-latchkey-name", "")],
      headers_to_remove: ["authorization", "x_latchkey_role"],
      response_headers_to_add: [option("ratelimit", '"per-key";r=59;t=1')],
      query_parameters_to_set: [{ key: "a", value: "b" }],
      query_parameters_to_remove: ["api_key"],
    },
    dynamic_metadata: toStruct({ key_id: "basic_1_a", scopes: ["chat:read"], remaining: 59 }),
  };
  expect(decodeCheckResponse(encodeCheckResponse(allow))).toMatchObject(allow);
});

test("a denial can be decoded unchanged, and never has the status code of an allow", () => {
  const denial: DenyResponse = {
    status: { code: 16, message: "credential_missing" },
    denied_response: {
      status: { code: 401 },
      headers: [{ header: { key: "www-authenticate", value: "Bearer" }, append_action: 2 }],
      body: "{}",
    },
  };
  const decoded = decodeCheckResponse(encodeCheckResponse(denial));
  expect(decoded).toMatchObject(denial);
  expect(decoded).not.toHaveProperty("ok_response");
  // @ts-expect-error a denial with the status code of an allow does not compile
  const open: DenyResponse = { ...denial, status: { code: 0 } };
  expect(open.status.code).toBe(0);
});

test("append: false is encoded, although false is the default", () => {
  const bytes = encodeCheckResponse({
    status: { code: 0 },
    ok_response: { headers: [{ header: { key: "a", value: "b" }, append: { value: false } }] },
  });
  expect(bytes.includes(Buffer.from([0x12, 0x02, 0x08, 0x00]))).toBe(true);
});
