import { expect, test } from "vitest";
import { headWith, MALFORMED_ANYWHERE, malformedHeads, VALID_HEADS } from "../../test/support/head-cases.ts";
import type { Fields } from "../../test/support/http2-frames.ts";
import type { HeaderValidator, RequestHead } from "./request-head.ts";
import {
  addField,
  createHeaderValidator,
  createSingleFields,
  finishHead,
  hasPseudoField,
  resetValidator,
  trailersFault,
} from "./request-head.ts";

/** As the gRPC server has them: the fields that it reads. */
function grpcValidator(maxBytes = 65_536): HeaderValidator {
  return createHeaderValidator(maxBytes, createSingleFields(["content-type", "grpc-timeout"]));
}

const SHORT_HEAD: Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/"],
];
const SHORT_HEAD_BYTES = 7 + 4 + 32 + 7 + 4 + 32 + 5 + 1 + 32;

function addAll(validator: HeaderValidator, fields: Fields): HeaderValidator {
  resetValidator(validator);
  for (const [name, value] of fields) addField(validator, name, value, value.length);
  return validator;
}

function headOf(fields: Fields, validator = grpcValidator()): RequestHead {
  return finishHead(addAll(validator, fields));
}

test.each([...malformedHeads({}), ...MALFORMED_ANYWHERE])(
  "a malformed head has a fault: %s",
  (what, fields) => {
    const fault = what === "a head that is too large" ? "too_large" : "malformed";
    const validator = grpcValidator();
    expect(headOf(fields, validator).fault).toBe(fault);
    // Names and paths that were found valid are cached, but never those of a malformed head.
    expect(headOf(headWith({}), validator).fault).toBeUndefined();
    expect(headOf(fields, validator).fault).toBe(fault);
  },
);

test.each(VALID_HEADS)("a head is valid with %s", (_what, fields) => {
  const validator = grpcValidator();
  for (let times = 0; times < 2; times++) expect(headOf(fields, validator).fault).toBeUndefined();
});

test("a head has its method, path, content-length and the values that the server reads", () => {
  expect(headOf(headWith({ ":method": "GET", "content-length": "10", "grpc-timeout": "1S" }))).toEqual({
    method: "GET",
    path: "/envoy.service.auth.v3.Authorization/Check",
    contentLength: 10,
    fields: ["application/grpc", "1S"],
    fault: undefined,
  });
});

test.each([
  ["15 digits", "999999999999999", undefined],
  ["16 digits, which a number cannot count exactly", "1000000000000000", "malformed"],
  ["an exponent", "1e3", "malformed"],
  ["a hexadecimal number", "0x10", "malformed"],
])("§8.1.1: a content-length of %s", (_what, length, fault) => {
  expect(headOf(headWith({ "content-length": length })).fault).toBe(fault);
});

test.each([
  ["GET", undefined],
  ["custom-method", undefined],
  ["CONNECTED", undefined],
  ["RECONNECT", undefined],
  ["connect", undefined],
  ["CONNECT", "malformed"],
  ["", "malformed"],
])("§8.5: a head with the method %j", (method, fault) => {
  expect(headOf(headWith({ ":method": method })).fault).toBe(fault);
});

test.each(["/", "/?", "*"])("§8.3.1: the path %s is valid", (path) => {
  expect(headOf(headWith({ ":path": path }))).toMatchObject({ path, fault: undefined });
});

test("§8.3: a pseudo-header after a field that the server reads, or after content-length, is malformed", () => {
  for (const name of ["content-type", "content-length", "x-other"])
    expect(headOf([[name, "1"], ...SHORT_HEAD]).fault).toBe("malformed");
});

test("§8.2.2: te may be only trailers, also after it was valid once", () => {
  const validator = grpcValidator();
  expect(headOf(headWith({ te: "trailers" }), validator).fault).toBeUndefined();
  expect(headOf(headWith({ te: "gzip" }), validator).fault).toBe("malformed");
});

test("each of twenty single fields has its own value, and may not be repeated", () => {
  const names = Array.from({ length: 20 }, (_, index) => `x-${index}`);
  const validator = createHeaderValidator(8192, createSingleFields(names));
  const all = names.map((name, index) => [name, String(index)] as const);
  expect(headOf([...SHORT_HEAD, ...all], validator)).toMatchObject({
    fields: names.map((_, index) => String(index)),
    fault: undefined,
  });
  for (const one of all)
    expect(headOf([...SHORT_HEAD, one], validator).fields.filter((value) => value !== undefined)).toEqual([
      one[1],
    ]);
  for (const one of all) expect(headOf([...SHORT_HEAD, ...all, one], validator).fault).toBe("malformed");
  expect(validator.head.fields).toHaveLength(20);
});

test("§6.5.2: a field counts its name, the bytes of its value and 32 more, and a block may have exactly the maximum", () => {
  expect(headOf(SHORT_HEAD, grpcValidator(SHORT_HEAD_BYTES)).fault).toBeUndefined();
  expect(headOf(SHORT_HEAD, grpcValidator(SHORT_HEAD_BYTES - 1)).fault).toBe("too_large");
  const longer = grpcValidator(SHORT_HEAD_BYTES + 34);
  addAll(longer, SHORT_HEAD);
  // The value has two bytes in UTF-8.
  addField(longer, "x", "", 2);
  expect(finishHead(longer).fault).toBe("too_large");
});

test("a name is validated in a block of exactly the maximum, and a block that is too large is so even if it is malformed", () => {
  const malformed: Fields = [...SHORT_HEAD, ["X", ""]];
  const bytes = SHORT_HEAD_BYTES + 1 + 32;
  expect(headOf(malformed, grpcValidator(bytes)).fault).toBe("malformed");
  expect(headOf([...malformed, ["x", ""]], grpcValidator(bytes)).fault).toBe("too_large");
});

test("a block that is valid follows one that is not", () => {
  const validator = grpcValidator(1000);
  expect(headOf([["x", "v".repeat(1000)]], validator).fault).toBe("too_large");
  expect(headOf([["connection", "close"]], validator).fault).toBe("malformed");
  expect(headOf(headWith({}), validator).fault).toBeUndefined();
});

test("a field that is repeated or in the wrong place does not change the head", () => {
  expect(
    headOf([
      [":path", "/first"],
      [":path", "/second"],
    ]),
  ).toMatchObject({ path: "/first", fault: "malformed" });
  expect(
    headOf([
      ["x", "1"],
      [":path", "/late"],
    ]),
  ).toMatchObject({ path: "", fault: "malformed" });
  expect(
    headOf([
      ["content-type", "a"],
      ["content-type", "b"],
    ]).fields[0],
  ).toBe("a");
});

test.each<[what: string, fields: Fields, fault: string | undefined, isHead: boolean]>([
  ["no fields", [], undefined, false],
  ["a field", [["grpc-status", "0"]], undefined, false],
  ["a pseudo-header field", [[":path", "/"]], "malformed", true],
  ["a connection-specific field", [["connection", "close"]], "malformed", false],
  ["a field that is too large", [["x", "v".repeat(100)]], "too_large", false],
])("§8.1: trailers with %s", (_what, fields, fault, isHead) => {
  const validator = addAll(grpcValidator(100), fields);
  expect([trailersFault(validator), hasPseudoField(validator)]).toEqual([fault, isHead]);
});

test("each pseudo-header field shows that a block is a head", () => {
  for (const name of [":method", ":path", ":scheme", ":authority"])
    expect(hasPseudoField(addAll(grpcValidator(), [[name, "x"]]))).toBe(true);
  expect(
    hasPseudoField(
      addAll(
        grpcValidator(),
        headWith({}).filter(([name]) => !name.startsWith(":")),
      ),
    ),
  ).toBe(false);
});

test("names of at most 64 bytes are cached, and not more than 256 of them", () => {
  const validator = createHeaderValidator(1000, createSingleFields([]));
  const [cached, long] = ["x".repeat(64), "x".repeat(65)];
  expect(
    headOf(
      [
        [cached, ""],
        [long, ""],
      ],
      validator,
    ).fault,
  ).toBe("malformed");
  expect([...validator.validNames]).toEqual([cached]);
  for (let i = 0; i < 1000; i++) addAll(validator, [[`x-${i}`, ""]]);
  expect(validator.validNames.size).toBe(256);
});

test("names are not validated in a head that is too large, because a byte of it can stand for kilobytes", () => {
  const validator = createHeaderValidator(1000, createSingleFields([]));
  addField(validator, ":path", "/before", 7);
  addField(validator, "x-large", "", 1000);
  addField(validator, "x-behind", "1", 1);
  expect(validator.validNames.size).toBe(0);
  expect(finishHead(validator)).toMatchObject({ path: "/before", fault: "too_large" });
});

test("a head never has a value of the request before it", () => {
  const validator = createHeaderValidator(1000, createSingleFields(["x-first", "x-second"]));
  const whole = [":method", ":path", ":scheme", "x-first", "x-second"] as const;
  for (const name of whole) addField(validator, name, "old", 3);
  addField(validator, "content-length", "3", 1);
  expect(finishHead(validator)).toMatchObject({ path: "old", contentLength: 3, fields: ["old", "old"] });
  resetValidator(validator);
  addField(validator, "x-second", "new", 3);
  expect(finishHead(validator)).toEqual({
    method: "",
    path: "",
    contentLength: undefined,
    fields: [undefined, "new"],
    fault: "malformed",
  });
});
