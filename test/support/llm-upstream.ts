import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { createServer } from "node:http";

/** How the upstream answers: the query of the request says it. */
export interface LlmAnswer {
  readonly as: "header" | "json" | "stream" | "silence" | "reset";
  /** What it reports; absent: nothing. Sent as it is, so it need not be a number. */
  readonly tokens?: string;
  readonly status?: number;
  /** Characters of text in the answer. */
  readonly text?: number;
}

export interface LlmUpstream {
  readonly port: number;
  /** The number of requests so far. */
  requests(): number;
  /** Ends the answers that `silence` holds. */
  release(tokens: string): void;
  /** The number of answers that are held. */
  held(): number;
  stop(): Promise<void>;
}

/** Answers like the API of a language model, or as such an API should not. */
export async function startLlmUpstream(): Promise<LlmUpstream> {
  const held = new Set<ServerResponse>();
  let requests = 0;
  // Envoy ends idle connections. If this service did, a request that Envoy has just sent would get 503.
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    requests++;
    request.resume();
    const { searchParams } = new URL(request.url ?? "/", "http://upstream");
    const as = searchParams.get("as") ?? "json";
    const tokens = searchParams.get("tokens") ?? undefined;
    const text = "x".repeat(Number(searchParams.get("text") ?? 10));
    response.statusCode = Number(searchParams.get("status") ?? 200);
    if (as === "header") {
      if (tokens !== undefined) response.setHeader("x-usage-tokens", tokens);
      response.setHeader("content-type", "text/plain").end(text);
    } else if (as === "json") {
      response.setHeader("content-type", "application/json").end(jsonBody(text, tokens));
    } else {
      response.writeHead(response.statusCode, { "content-type": "text/event-stream" });
      response.write(eventOf(text));
      if (as === "stream") endStream(response, tokens);
      else if (as === "reset") setTimeout(() => response.destroy(), 50);
      else {
        held.add(response);
        response.on("close", () => held.delete(response));
      }
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    requests: () => requests,
    release(tokens) {
      for (const response of held) endStream(response, tokens);
    },
    held: () => held.size,
    async stop() {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

function jsonBody(text: string, tokens: string | undefined): string {
  return `{"choices": [{"text": ${JSON.stringify(text)}}]${tokens === undefined ? "" : `, "usage": {"total_tokens": ${tokens}}`}}`;
}

function eventOf(text: string): string {
  return `data: {"choices": [{"delta": {"content": ${JSON.stringify(text)}}}], "usage": null}\n\n`;
}

/** Like real APIs: an event with the usage, after one with a smaller number, and then the end mark. */
function endStream(response: ServerResponse, tokens: string | undefined): void {
  if (tokens !== undefined) {
    response.write('data: {"choices": [], "usage": {"total_tokens": 1}}\n\n');
    response.write(`data: {"choices": [], "usage": {"total_tokens": ${tokens}}}\n\n`);
  }
  response.end("data: [DONE]\n\n");
}
