import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
// Imported for its side effect: it adds google/protobuf/descriptor.proto to protobufjs, which Envoy's annotations import.
import "@grpc/proto-loader";
import protobuf from "protobufjs";
import { expect, test } from "vitest";

const ours = load(
  ["ext_authz.proto", "health.proto"],
  [fileURLToPath(new URL("../../proto", import.meta.url))],
);
const deps = fileURLToPath(new URL("../../node_modules/@grpc/grpc-js-xds/deps", import.meta.url));
const official = load(
  ["envoy/service/auth/v3/external_auth.proto"],
  ["envoy-api", "googleapis", "protoc-gen-validate", "xds"].map((name) => `${deps}/${name}`),
);

/** Envoy's full names of messages that are in our one package. All other messages have the same full name. */
const OFFICIAL_NAMES: Readonly<Record<string, string>> = {
  Address: "envoy.config.core.v3.Address",
  SocketAddress: "envoy.config.core.v3.SocketAddress",
  Pipe: "envoy.config.core.v3.Pipe",
  Metadata: "envoy.config.core.v3.Metadata",
  HeaderMap: "envoy.config.core.v3.HeaderMap",
  HeaderValue: "envoy.config.core.v3.HeaderValue",
  HeaderValueOption: "envoy.config.core.v3.HeaderValueOption",
  QueryParameter: "envoy.config.core.v3.QueryParameter",
  HttpStatus: "envoy.type.v3.HttpStatus",
  Status: "google.rpc.Status",
};

/** Enums of Envoy that we declare as int32, which has the same encoding. */
const ENUMS_AS_INT32 = ["SocketAddress.protocol", "HttpStatus.code"];

/** Fields that are newer than this official copy (from `go-control-plane/envoy` 1.40.0). */
const NEWER = {
  "CheckResponse.error_response": "5 DeniedHttpResponse, singular, in http_response",
} as const;

const PACKAGE = "envoy.service.auth.v3.";
const messages = messagesOf(ours.lookup("envoy.service.auth.v3"));

test("the messages are those of the API", () => {
  expect(messages.map(shortName).toSorted()).toEqual(
    [
      ...Object.keys(OFFICIAL_NAMES),
      ...["CheckRequest", "CheckResponse", "DeniedHttpResponse", "OkHttpResponse", "AttributeContext"],
      ...["Peer", "Request", "HttpRequest", "TLSSession"].map((name) => `AttributeContext.${name}`),
    ].toSorted(),
  );
});

test.each(messages.map((message) => [shortName(message), message] as const))(
  "every field of %s has Envoy's name, number, type, label and oneof",
  (name, message) => {
    const theirs = official.lookupType(OFFICIAL_NAMES[name] ?? PACKAGE + name);
    expect(message.fieldsArray.length).toBeGreaterThan(0);
    for (const field of message.fieldsArray) {
      const fieldName = `${name}.${field.name}`;
      if (Object.hasOwn(NEWER, fieldName)) {
        expect(theirs.fields).not.toHaveProperty(field.name);
        continue;
      }
      const counterpart = theirs.fields[field.name];
      if (counterpart === undefined) throw new Error(`Envoy has no ${fieldName}`);
      expect(describeField(field), fieldName).toBe(describeField(counterpart));
    }
  },
);

test("the fields that the official copy lacks are those of Envoy 1.40", () => {
  const field = messages
    .flatMap((message) => message.fieldsArray)
    .find((each) => each.name === "error_response");
  expect(field && describeField(field)).toBe(NEWER["CheckResponse.error_response"]);
});

test("the messages that are not trimmed have every field", () => {
  const trimmed = ["Address"];
  for (const message of messages.filter((each) => !trimmed.includes(shortName(each)))) {
    const theirs = official.lookupType(OFFICIAL_NAMES[shortName(message)] ?? PACKAGE + shortName(message));
    expect(Object.keys(message.fields), message.fullName).toEqual(
      expect.arrayContaining(Object.keys(theirs.fields)),
    );
  }
});

test("append_action has Envoy's numbers", () => {
  const name = "HeaderValueOption.HeaderAppendAction";
  const theirs = official.lookupEnum(`envoy.config.core.v3.${name}`);
  expect(ours.lookupEnum(PACKAGE + name).values).toEqual(theirs.values);
});

test("the service has Envoy's name and method", () => {
  const ourService = ours.lookupService(`${PACKAGE}Authorization`);
  expect(serviceOf(ourService)).toEqual(serviceOf(official.lookupService(`${PACKAGE}Authorization`)));
  expect(serviceOf(ourService)).toEqual(["Check(CheckRequest) CheckResponse"]);
});

// No package here contains the official health.proto, so the expected values are written out from
// https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto.
test("the health protocol is that of gRPC", () => {
  expect(serviceOf(ours.lookupService("grpc.health.v1.Health"))).toEqual([
    "Check(HealthCheckRequest) HealthCheckResponse",
    "Watch(HealthCheckRequest) stream HealthCheckResponse",
  ]);
  const [request, response] = messagesOf(ours.lookup("grpc.health.v1"));
  expect(request?.fieldsArray.map((field) => `${field.name} ${describeField(field)}`)).toEqual([
    "service 1 string, singular",
  ]);
  expect(response?.fieldsArray.map((field) => `${field.name} ${describeField(field)}`)).toEqual([
    "status 1 enum ServingStatus, singular",
  ]);
  expect(ours.lookupEnum("grpc.health.v1.HealthCheckResponse.ServingStatus").values).toEqual({
    UNKNOWN: 0,
    SERVING: 1,
    NOT_SERVING: 2,
    SERVICE_UNKNOWN: 3,
  });
});

function load(files: readonly string[], folders: readonly string[]): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) =>
    folders.map((folder) => `${folder}/${target}`).find((path) => existsSync(path)) ?? target;
  const loaded = root.loadSync([...files], { keepCase: true });
  loaded.resolveAll();
  return loaded;
}

function messagesOf(space: protobuf.ReflectionObject | null): protobuf.Type[] {
  if (!(space instanceof protobuf.Namespace)) return [];
  const inner = space.nestedArray.flatMap(messagesOf);
  return space instanceof protobuf.Type ? [space, ...inner] : inner;
}

function shortName(message: protobuf.ReflectionObject): string {
  return message.fullName.slice(1).replace(PACKAGE, "");
}

/** Everything that the encoding or generated code depends on, with the last part of type names. */
function describeField(field: protobuf.Field): string {
  const label = field.repeated ? "repeated" : "singular";
  const keys = field instanceof protobuf.MapField ? `map from ${field.keyType} to ` : "";
  const member = field.partOf === null ? "" : `, in ${field.partOf.name}`;
  return `${field.id} ${keys}${typeOf(field)}, ${label}${member}`;
}

function typeOf(field: protobuf.Field): string {
  const resolved = field.resolvedType;
  const owner = field.parent?.name ?? "";
  if (resolved instanceof protobuf.Enum) {
    return ENUMS_AS_INT32.includes(`${owner}.${field.name}`) ? "int32" : `enum ${resolved.name}`;
  }
  return resolved?.name ?? field.type;
}

function serviceOf(service: protobuf.Service): string[] {
  const stream = (streams: boolean | undefined) => (streams ? "stream " : "");
  return service.methodsArray.map(
    (method) =>
      `${method.name}(${stream(method.requestStream)}${method.requestType.split(".").at(-1)}) ` +
      `${stream(method.responseStream)}${method.responseType.split(".").at(-1)}`,
  );
}
