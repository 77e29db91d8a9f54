import assert from "node:assert/strict";
import type { CredentialSource, Presentable, Presented } from "../../../src/core/decision/credential.ts";
import { presentedCredential } from "../../../src/core/decision/credential.ts";
import {
  canStripCookies,
  credentialHeaders,
  credentialRemoval,
} from "../../../src/ext-authz/credential-removal.ts";
import { createReceivedHeaders } from "../../../src/ext-authz/request-headers.ts";
import type { Target } from "../target.ts";

const SOURCES: readonly CredentialSource[] = ["authorization", "x-api-key", "cookie:key", "query:key"];
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

type Line = readonly [name: string, value: string];

/**
 * The first line of the input is the query, the others are headers; NUL as the first byte joins lines of one name, as Envoy may. A key is
 * a token that the request contains. A second key makes every request ambiguous. What is removed before the upstream leaves no key.
 */
function run(input: Buffer): void {
  const isJoined = input[0] === 0;
  const [query = "", ...rest] = input.toString("latin1", isJoined ? 1 : 0).split("\n");
  const lines = rest.map((line): Line => {
    const colon = line.indexOf(":");
    return colon === -1 ? ["cookie", line] : [line.slice(0, colon).toLowerCase(), line.slice(colon + 1)];
  });
  const presented = present(query, lines, isJoined);
  if (presented.kind === "one") {
    assert.match(presented.token, TOKEN);
    assert.ok(SOURCES.includes(presented.source));
    if (!query.includes("%"))
      assert.ok(input.toString("latin1").includes(presented.token), "the request contains it");
    expectRemoved(query, lines, isJoined);
  }
  if (presented.kind !== "none")
    for (const extra of ["x-api-key", "authorization"]) {
      const both = present(query, [...lines, [extra, "Bearer-second"]], isJoined);
      const value = extra === "authorization" ? "Bearer second" : "second";
      assert.equal(
        present(query, [...lines, [extra, value]], isJoined).kind,
        "ambiguous",
        "two keys are ambiguous",
      );
      assert.notEqual(both.kind, "none");
    }
}

function requestOf(query: string, lines: readonly Line[], isJoined: boolean): Presentable {
  const headers = createReceivedHeaders();
  headers.joined = isJoined;
  for (const [name, value] of lines) headers.add(name, value);
  return { headers, path: { query } };
}

function present(query: string, lines: readonly Line[], isJoined: boolean): Presented {
  return presentedCredential(requestOf(query, lines, isJoined), SOURCES);
}

/** Removes what Envoy is asked to remove. */
function expectRemoved(query: string, lines: readonly Line[], isJoined: boolean): void {
  const request = {
    ...requestOf(query, lines, isJoined),
    path: { query, path: "/", segments: [] },
    method: "GET",
    host: "",
    scheme: "http",
    peerAddress: "",
    certificate: () => undefined,
    extensions: new Map<string, string>(),
    grpc: false,
  };
  // Such a request is denied.
  if (!canStripCookies(request, SOURCES)) return;
  const { cookieHeader, cookies, parameters } = credentialRemoval(request, SOURCES);
  const removed = new Set(credentialHeaders(SOURCES));
  if (cookieHeader || cookies !== "") removed.add("cookie");
  const kept: Line[] = [
    ...lines.filter(([name]) => !removed.has(name)),
    ...(cookies === "" ? [] : [["cookie", cookies] as const]),
  ];
  const parts = query.split("&").filter((part) => !parameters.includes(part.split("=")[0] ?? ""));
  assert.equal(present(parts.join("&"), kept, isJoined).kind, "none", "the upstream gets no key");
}

export const target: Target = {
  run,
  files: ["core/decision/credential.ts", "core/decision/cookies.ts", "ext-authz/credential-removal.ts"],
  maxBytes: 200,
  stepsPerByte: 200,
  runs: 40_000,
};
