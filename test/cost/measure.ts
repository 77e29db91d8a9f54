import { setImmediate as nextTurn } from "node:timers/promises";
import { fileCounts, instrumentSources } from "../support/instrumented.ts";

/**
 * Prints what each attack costs the server, as JSON. `node --expose-gc measure.ts`.
 * The work is the number of statements that are executed in `src/`, so that no figure depends on the speed of the machine.
 */
instrumentSources();
const { ATTACKS } = await import("./attacks.ts");
const { OPENING } = await import("../support/http2-frames.ts");
const { memoryServer } = await import("../support/memory-server.ts");
type Attack = (typeof ATTACKS)[number];

/** What a packet carries. */
const READ_BYTES = 1460;
const results = [];
for (const attack of ATTACKS) results.push(await costOf(attack));
console.log(JSON.stringify(results));

async function costOf(attack: Attack) {
  const { opening = [], repeated, times } = attack;
  const first = Math.max(opening.length, 1);
  const input = Buffer.concat([
    OPENING,
    ...opening,
    ...Array.from({ length: times }, (_, index) => repeated(2 * (first + index) + 1)),
  ]);
  const { keptBytes: during, ...cost } = await attackCost(attack, input);
  // What is kept after the connection is closed and forgotten, such as the input, is not its doing.
  const heldBytes = Math.max(0, during - (await keptBytes()));
  const receivedBytes = Math.min(cost.receivedBytes, input.length);
  return { name: attack.name, ...cost, receivedBytes, heldBytes };
}

async function attackCost({ readBytes = READ_BYTES, readsNothing = false }: Attack, input: Buffer) {
  const server = memoryServer({ check: echo });
  let sentBytes = 0;
  const onSent = ({ length }: Buffer) => {
    sentBytes += length;
  };
  const client = server.connect({ onSent, readsNothing });
  statements();
  let at = 0;
  for (; at < input.length && client.deliver(input.subarray(at, at + readBytes)); at += readBytes)
    await nextTurn();
  const steps = statements();
  // What waits in a real socket is kept as well.
  const kept = (await keptBytes()) + client.socket.writableLength;
  const isEnded = client.connection.isClosed;
  client.close();
  return { receivedBytes: at, steps, sentBytes, isEnded, keptBytes: kept };
}

/** Messages that begin with "later" are answered in a later turn, as a decision that needs the store is. */
async function answerLater(message: Uint8Array): Promise<Uint8Array> {
  await nextTurn();
  return message;
}

function echo(message: Uint8Array | undefined): Uint8Array | Promise<Uint8Array> {
  if (message === undefined) return Buffer.from("denied");
  // A copy, because the message is a view of what the server has read.
  const response = Buffer.from(message);
  return response.toString("latin1", 0, 5) === "later" ? answerLater(response) : response;
}

/** What is reachable. The second collection waits until the first has freed the memory outside of the heap. */
async function keptBytes(): Promise<number> {
  globalThis.gc?.();
  await nextTurn();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** The statements since the last call. */
function statements(): number {
  let total = 0;
  for (const { s } of fileCounts().values())
    for (const [at, count] of Object.entries(s)) {
      total += count;
      s[Number(at)] = 0;
    }
  return total;
}
