import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { z } from "zod";

const REQUEST = protobuf
  .loadSync(fileURLToPath(new URL("otlp.proto", import.meta.url)))
  .lookupType("ExportTraceServiceRequest");

const attributes = z
  .array(
    z.object({
      key: z.string(),
      value: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    }),
  )
  .default([])
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]])));

/** An id's bytes, in hex. */
const id = z.base64().transform((text) => Buffer.from(text, "base64").toString("hex"));

const span = z.object({
  traceId: id,
  spanId: id,
  parentSpanId: id.optional(),
  traceState: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.string().transform(BigInt),
  endTimeUnixNano: z.string().transform(BigInt),
  attributes,
  status: z.object({ code: z.number().default(0) }).optional(),
});

const request = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(span) })),
    }),
  ),
});

export type ReceivedSpan = z.output<typeof span> & {
  /** The resource's. */
  readonly resource: Readonly<Record<string, unknown>>;
};

export interface Receiver {
  readonly url: string;
  readonly spans: readonly ReceivedSpan[];
  /** Everything received, headers and bodies, to search it for secrets. */
  raw(): string;
  stop(): Promise<void>;
}

/** A collector for OTLP over HTTP in protobuf, at the only path for traces. */
export async function startReceiver(
  options: {
    /** The status of the response to a batch; 200 by default. */ readonly status?: () =>
      | number
      | Promise<number>;
  } = {},
): Promise<Receiver> {
  const spans: ReceivedSpan[] = [];
  const raw: Buffer[] = [];
  const server = createServer(async (call, answer) => {
    const body = await buffer(call);
    const fits = call.url === "/v1/traces" && call.headers["content-type"] === "application/x-protobuf";
    if (!fits) return answer.writeHead(404).end();
    const status = (await options.status?.()) ?? 200;
    if (status !== 200) return answer.writeHead(status).end();
    raw.push(Buffer.from(JSON.stringify(call.headers)), body);
    spans.push(...decode(body));
    return answer.writeHead(200, { "content-type": "application/x-protobuf" }).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // Bound to TCP, so it is not a pipe's name.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    raw: () => Buffer.concat(raw).toString("latin1"),
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function decode(body: Buffer): ReceivedSpan[] {
  const message = REQUEST.decode(body);
  return request
    .parse(REQUEST.toObject(message, { longs: String, bytes: String }))
    .resourceSpans.flatMap(({ resource, scopeSpans }) =>
      scopeSpans.flatMap(({ spans }) => spans.map((one) => ({ ...one, resource: resource.attributes }))),
    );
}
