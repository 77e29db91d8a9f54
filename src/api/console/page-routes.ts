import type { FastifyReply, FastifyRequest } from "fastify";
import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import type { Asset, Assets } from "./assets.ts";

/** Nothing but the console's own files and calls. Text becomes markup nowhere (Trusted Types), and no site can frame it. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const PAGE_HEADERS = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "x-frame-options": "DENY",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
} as const;

const YEAR_SECONDS = 31_536_000;

/** A page that is one bundled script. */
export interface BundledPage {
  /** Where it is served. */
  readonly path: string;
  /** The entry in `src/console/`. */
  readonly entry: string;
  readonly title: string;
  /** Whether people can sign in by OpenID Connect. The page offers it if so. */
  readonly signsIn?: boolean;
}

/** Serves a bundled page and its files. */
export function bundledPageRoutes(page: BundledPage, assets: () => Promise<Assets>): readonly Endpoint[] {
  const get = { method: "GET", access: ANYONE } as const;
  const problems = ["console_not_built"] as const;
  return [
    openEndpoint({
      ...get,
      path: page.path,
      summary: page.title,
      response: { status: 200, description: "A page." },
      problems,
      async handle({ reply }) {
        const files = await assets();
        if (files === undefined) return sendProblem(reply, "console_not_built");
        return reply
          .headers({ ...PAGE_HEADERS, "cache-control": "no-cache" })
          .type("text/html; charset=utf-8")
          .send(htmlOf(page, [...files.keys()]));
      },
    }),
    openEndpoint({
      ...get,
      path: `${page.path}/assets/{name}`,
      summary: `A file of ${page.path}`,
      response: { status: 200, description: "A script or a style sheet." },
      problems: [...problems, "not_found"],
      async handle({ request, reply, param }) {
        const files = await assets();
        if (files === undefined) return sendProblem(reply, "console_not_built");
        const asset = files.get(param("name"));
        return asset === undefined ? sendProblem(reply, "not_found") : sendAsset(request, reply, asset);
      },
    }),
  ];
}

/** The name of a file changes with its content, so a browser never asks again. */
function sendAsset(request: FastifyRequest, reply: FastifyReply, { type, encodings }: Asset): FastifyReply {
  const accepted = String(request.headers["accept-encoding"] ?? "").split(/[,;\s]+/);
  const encoding = (["br", "gzip"] as const).find((name) => accepted.includes(name)) ?? "identity";
  return reply
    .headers({
      "cache-control": `public, max-age=${YEAR_SECONDS}, immutable`,
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
      vary: "accept-encoding",
      ...(encoding !== "identity" && { "content-encoding": encoding }),
    })
    .type(type)
    .send(encodings[encoding]);
}

function htmlOf({ path, entry, title, signsIn = false }: BundledPage, names: readonly string[]): string {
  const own = names.filter((name) => name.startsWith(`${entry}-`));
  const styles = own.filter((name) => name.endsWith(".css"));
  const scripts = own.filter((name) => name.endsWith(".js"));
  const shared = names.filter((name) => name.startsWith("shared-"));
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    ...(signsIn ? ['<meta name="latchkey-sign-in" content="oidc">'] : []),
    `<title>${title}</title>`,
    ...styles.map((name) => `<link rel="stylesheet" href="${path}/assets/${name}">`),
    ...shared.map((name) => `<link rel="modulepreload" href="${path}/assets/${name}">`),
    ...scripts.map((name) => `<script type="module" src="${path}/assets/${name}"></script>`),
    '</head><body><div id="app"><p class="state">Loading…</p></div><noscript>This page needs JavaScript.</noscript></body></html>',
  ].join("\n");
}
