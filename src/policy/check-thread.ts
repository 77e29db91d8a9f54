import { parentPort, workerData } from "node:worker_threads";
import { z } from "zod";
import { checkPolicy } from "./file.ts";
import type { Checked } from "./load.ts";

/** Routes per message. The deciding thread reads one message in about a millisecond. */
const ROUTES_PER_MESSAGE = 500;

const source = z.object({
  text: z.string(),
  fileName: z.string(),
  ttlSeconds: z.map(z.string(), z.number()).exactOptional(),
  ownIssuer: z.string().exactOptional(),
  requireComplete: z.boolean().exactOptional(),
});

// Entry of a worker thread that checks one policy file and then sends its routes in portions, one for each request.
const result = checkPolicy(source.parse(workerData));
if (result.ok) {
  const { routes, ...document } = result.document;
  let sent = 0;
  parentPort?.on("message", () => {
    parentPort?.postMessage(routes.slice(sent, sent + ROUTES_PER_MESSAGE));
    sent += ROUTES_PER_MESSAGE;
  });
  send({ ok: true, document, routes: routes.length });
} else send(result);

function send(checked: Checked): void {
  parentPort?.postMessage(checked);
}
