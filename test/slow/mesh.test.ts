import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { meshConfigProto } from "../../scripts/checkers.ts";
import { EXT_AUTHZ, readExample } from "../../scripts/envoy-process.ts";
import { readResources } from "../support/chart.ts";
import { customProblems } from "../support/manifests.ts";

const read = (path: string) =>
  readFileSync(fileURLToPath(new URL(`../../deploy/${path}`, import.meta.url)), "utf8");

describe.each(["istio/authorization.yaml", "envoy-gateway/latchkey.yaml"])("deploy/%s", (path) => {
  test("the resource satisfies its CRD, and has no unknown member", () => {
    // The models are older than this field. test/platforms/built checks it against the CRD and in a real Envoy Gateway.
    const text = read(path).replace(/^ *statusOnError: .*\n/m, "");
    expect(customProblems(readResources(text))).toEqual([]);
  });
});

describe("deploy/istio/mesh.yaml", () => {
  test("the mesh configuration has only fields and values of Istio's MeshConfig", async () => {
    const { root } = protobuf.parse(readFileSync(await meshConfigProto(), "utf8"));
    const type = root.lookupType("istio.mesh.v1alpha1.MeshConfig");
    const { meshConfig } = parse(read("istio/mesh.yaml"));
    expect(unknownFields(type, meshConfig)).toEqual([]);
    const wrong = { extensionProviders: [{ name: "x", envoyExtAuthzGrpc: { servise: "x", port: "9191" } }] };
    expect(unknownFields(type, wrong)).toEqual(["servise", "port: 9191"]);
    expect(unknownFields(type, { pathNormalization: { normalization: "ALL" } })).toEqual([
      "normalization: ALL",
    ]);
  });

  test("its provider fails closed as the filter of envoy/sidecar.yaml does, and sends no body", async () => {
    const sidecar = await readExample("sidecar");
    const filter = (...path: readonly string[]) => sidecar.getIn([...EXT_AUTHZ, ...path]);
    const [provider] = parse(read("istio/mesh.yaml")).meshConfig.extensionProviders;
    expect(provider.envoyExtAuthzGrpc).toEqual({
      service: "latchkey.latchkey.svc.cluster.local",
      port: 9191,
      timeout: filter("grpc_service", "timeout"),
      failOpen: filter("failure_mode_allow"),
      statusOnError: { ServiceUnavailable: "503" }[String(filter("status_on_error", "code"))],
    });
  });

  test("the mesh configuration names the provider that the AuthorizationPolicy uses", () => {
    const [policy] = readResources(read("istio/authorization.yaml"));
    const provider = { name: parse(read("istio/mesh.yaml")).meshConfig.extensionProviders[0].name };
    expect(policy).toMatchObject({ spec: { action: "CUSTOM", provider } });
  });
});

/** Finds members that the message does not have, at every depth, and values of the wrong type. */
function unknownFields(type: protobuf.Type, value: object): string[] {
  return Object.entries(value).flatMap(([name, member]) => {
    const field = type.fields[name];
    if (field === undefined) return [name];
    const items: readonly unknown[] = Array.isArray(member) ? member : [member];
    return items.flatMap((item) => unknownIn(field, item));
  });
}

function unknownIn(field: protobuf.Field, item: unknown): string[] {
  const inner = field.parent?.lookup(field.type);
  if (inner instanceof protobuf.Type && typeof item === "object" && item !== null)
    return unknownFields(inner, item);
  const isRight =
    inner instanceof protobuf.Enum
      ? Object.hasOwn(inner.values, String(item))
      : typeof item === ({ bool: "boolean", uint32: "number" }[field.type] ?? "string");
  return isRight ? [] : [`${field.name}: ${String(item)}`];
}
