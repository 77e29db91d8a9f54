import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";
import { PROBLEM_NAMES, PROBLEMS, problemType, sendProblem } from "../http/problem.ts";
import { openApiDocument } from "./openapi.ts";

/** The pages contain no script and load nothing from other origins. */
const CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/** The documentation of the API: the OpenAPI document, an HTML page, and one page for each problem type. */
export function pageRoutes(described: readonly Endpoint[], version: string): readonly Endpoint[] {
  const document = JSON.stringify(openApiDocument(described, version));
  const page = docsPage(described, version);
  const common = { method: "GET", access: ANYONE } as const;
  const html = "text/html; charset=utf-8";
  return [
    openEndpoint({
      ...common,
      path: "/openapi.json",
      summary: "OpenAPI 3.1 of this API",
      response: { status: 200, description: "The document." },
      handle: async ({ reply }) => reply.type("application/json").send(document),
    }),
    openEndpoint({
      ...common,
      path: "/docs",
      summary: "The documentation of this API as a page",
      response: { status: 200, description: "A page." },
      handle: async ({ reply }) =>
        reply.type(html).header("content-security-policy", CONTENT_SECURITY_POLICY).send(page),
    }),
    openEndpoint({
      ...common,
      path: "/problems/{name}",
      summary: "The documentation of a problem type",
      response: { status: 200, description: "A page." },
      problems: ["not_found"],
      async handle({ reply, param }) {
        const name = PROBLEM_NAMES.find((known) => problemType(known) === `/problems/${param("name")}`);
        if (name === undefined) return sendProblem(reply, "not_found");
        const { status, title } = PROBLEMS[name];
        const body = `<h1>${escapeHtml(title)}</h1><p>HTTP status ${status}, reason <code>${name}</code>.</p>`;
        return reply
          .type(html)
          .header("content-security-policy", CONTENT_SECURITY_POLICY)
          .send(htmlPage(title, body));
      },
    }),
  ];
}

function docsPage(described: readonly Endpoint[], version: string): string {
  const rows = described.map((call) => {
    const problems = [...new Set(call.problems)].map(
      (name) => `<a href="${problemType(name)}">${PROBLEMS[name].status} ${name.replaceAll("_", "-")}</a>`,
    );
    return `<section><h2><code>${call.method} ${escapeHtml(call.path)}</code></h2>
<p><b>${escapeHtml(call.summary)}.</b> ${escapeHtml(call.description ?? "")}</p>
<p>${CALLERS[call.security]} Success: ${call.response.status}. ${escapeHtml(call.response.description)}</p>
<p class="problems">${problems.join(" · ")}</p></section>`;
  });
  const heading = `<h1>Latchkey key API</h1><p>Version ${escapeHtml(version)}. Schemas: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>`;
  return htmlPage("Latchkey key API", heading + rows.join("\n"));
}

const CALLERS: Readonly<Record<Endpoint["security"], string>> = {
  none: "Requires no credential in a header.",
  key: "Requires a valid key.",
  operator: "Requires the credential of an operator.",
  session: "Requires a session of the console.",
  holder: "Requires a session of the page for holders.",
  optional: "A self-service role requires no credential; other roles require an operator.",
};

function htmlPage(title: string, body: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}h2{font-size:1.1rem;margin-top:2rem}.problems{font-size:.85rem}</style>
${body}</html>`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
