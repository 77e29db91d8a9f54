import { fileURLToPath } from "node:url";
// Imported for its side effect: it adds google/protobuf/descriptor.proto to protobufjs, which Envoy's annotations import.
import "@grpc/proto-loader";
import { existsSync } from "node:fs";
import protobuf from "protobufjs";
import { expect, test } from "vitest";

const deps = fileURLToPath(new URL("../../node_modules/@grpc/grpc-js-xds/deps", import.meta.url));
const ours = load("ratelimit.proto", [fileURLToPath(new URL("../../proto", import.meta.url))]);
const official = load(
  "envoy/service/ratelimit/v3/rls.proto",
  ["envoy-api", "googleapis", "protoc-gen-validate", "xds"].map((name) => `${deps}/${name}`),
);

function load(file: string, folders: readonly string[]): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    folders.map((folder) => `${folder}/${target}`).find((path) => existsSync(path)) ?? target;
  root.loadSync(file, { keepCase: true }).resolveAll();
  return root;
}

const PACKAGE = "envoy.service.ratelimit.v3.";
/** Messages of ours, by Envoy's names. */
const MESSAGES: Readonly<Record<string, string>> = {
  RateLimitRequest: `${PACKAGE}RateLimitRequest`,
  RateLimitDescriptor: "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor",
  "RateLimitDescriptor.Entry": "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor.Entry",
  RateLimitResponse: `${PACKAGE}RateLimitResponse`,
  "RateLimitResponse.RateLimit": `${PACKAGE}RateLimitResponse.RateLimit`,
  "RateLimitResponse.DescriptorStatus": `${PACKAGE}RateLimitResponse.DescriptorStatus`,
};
/** Newer than this official copy (go-control-plane/envoy 1.40.0). */
const NEWER = ["RateLimitDescriptor.hits_addend", "RateLimitDescriptor.is_negative_hits"];
const NEWER_UNITS = { WEEK: 7 };

const describeField = ({ id, repeated, resolvedType, type }: protobuf.Field) =>
  `${id} ${repeated ? "repeated " : ""}${resolvedType?.name ?? type}`;

test.each(Object.entries(MESSAGES))("every field of %s has Envoy's name, number and type", (name, theirs) => {
  const fields = ours.lookupType(PACKAGE + name).fieldsArray;
  expect(fields.length).toBeGreaterThan(0);
  for (const field of fields.filter((each) => !NEWER.includes(`${name}.${each.name}`))) {
    const counterpart = official.lookupType(theirs).fields[field.name];
    expect(describeField(field)).toBe(counterpart && describeField(counterpart));
  }
});

test("the enums have Envoy's numbers, and the service its name and method", () => {
  for (const [name, newer] of [
    ["RateLimitResponse.Code", {}],
    ["RateLimitResponse.RateLimit.Unit", NEWER_UNITS],
  ] as const)
    expect({ ...official.lookupEnum(PACKAGE + name).values, ...newer }).toMatchObject(
      ours.lookupEnum(PACKAGE + name).values,
    );
  for (const root of [ours, official]) {
    const [method] = root.lookupService(`${PACKAGE}RateLimitService`).methodsArray;
    expect([
      method?.name,
      method?.requestType.split(".").at(-1),
      method?.responseType.split(".").at(-1),
    ]).toEqual(["ShouldRateLimit", "RateLimitRequest", "RateLimitResponse"]);
  }
});
