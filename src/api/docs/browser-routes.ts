import { readFileSync } from "node:fs";
import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";

const SCRIPT = readFileSync(new URL("../../browser/api-auth-migration.js", import.meta.url), "utf8");
/** For pages that do not call the client. It needs its own script tag, so only the classic script contains it. */
const DROP_IN = readFileSync(new URL("../../browser/drop-in.js", import.meta.url), "utf8");
const MODULE = `${SCRIPT}\nexport const { create, ApiAuth } = globalThis.ApiAuthMigration;\n`;

/** Serves the browser client as a classic script and as an ES module. */
export function browserRoutes(): readonly Endpoint[] {
  return [
    script("/api-auth-migration.js", `${SCRIPT}\n${DROP_IN}`),
    script("/api-auth-migration.mjs", MODULE),
  ];
}

function script(path: string, text: string): Endpoint {
  return openEndpoint({
    method: "GET",
    path,
    summary: path.endsWith(".mjs") ? "The browser client, as an ES module" : "The browser client",
    access: ANYONE,
    response: { status: 200, description: "A script." },
    handle: async ({ reply }) =>
      reply
        .type("text/javascript; charset=utf-8")
        .header("cache-control", "public, max-age=300")
        .header("access-control-allow-origin", "*")
        .header("cross-origin-resource-policy", "cross-origin")
        .send(text),
  });
}
