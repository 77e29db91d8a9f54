import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { z } from "zod";
import { rawFrameCases } from "./cases.ts";
import type { Conversation } from "./conversation.ts";
import { outcomeOf } from "./conversation.ts";
import { recordedCases } from "./mutations.ts";
import { PEERS } from "./peers.ts";
import { VECTORS } from "./vectors.ts";

/** All byte streams that every server receives. */
export const CONVERSATIONS: readonly Conversation[] = [...rawFrameCases(), ...VECTORS, ...recordedCases()];

const CONNECTIONS_AT_ONCE = 8;

/** The outcome of each conversation at one server, by the name of the conversation. */
export async function outcomesAt(port: number): Promise<ReadonlyMap<string, string>> {
  const outcomes = new Map<string, string>();
  const waiting = CONVERSATIONS.values();
  await Promise.all(
    Array.from({ length: CONNECTIONS_AT_ONCE }, async () => {
      // The iterator is shared, so each conversation is played once.
      for (const conversation of waiting)
        outcomes.set(conversation.name, await outcomeOf(port, conversation));
    }),
  );
  return outcomes;
}

const ACCEPTED = z.array(
  z.strictObject({
    why: z.string(),
    /** The paragraph of the RFC that leaves this open, or that one side does not follow. */
    paragraph: z.string().regex(/^RFC (9113|7541|9110) §/),
    /** Whether the RFC permits both, or who departs from it. A limit is one that the RFC leaves to each implementation. */
    class: z.enum(["both permitted", "limit", "peer deviates", "we deviate"]),
    found: z.array(
      z.strictObject({
        peer: z.enum(PEERS),
        ours: z.string(),
        theirs: z.string(),
        cases: z.array(z.string()).min(1),
      }),
    ),
  }),
);

/** test/peers/differences.yaml. */
export const DIFFERENCES = ACCEPTED.parse(
  parse(readFileSync(new URL("differences.yaml", import.meta.url), "utf8")),
);

/** The accepted differences from a peer, each in one line. */
export function acceptedFrom(peer: string): readonly string[] {
  return DIFFERENCES.flatMap(({ found }) =>
    found
      .filter((group) => group.peer === peer)
      .flatMap(({ ours, theirs, cases }) => cases.map((name) => lineOf(name, ours, theirs))),
  ).toSorted();
}

/** The differences between two servers, each in one line. Parts of an outcome that are equal are omitted. */
export function differences(
  ours: ReadonlyMap<string, string>,
  theirs: ReadonlyMap<string, string>,
): readonly string[] {
  return CONVERSATIONS.flatMap(({ name }) => {
    const [one, other] = [partsOf(ours.get(name)), partsOf(theirs.get(name))];
    const rest = (parts: readonly string[], equal: readonly string[]) =>
      parts.filter((part) => !equal.includes(part)).join("; ");
    const [left, right] = [rest(one, other), rest(other, one)];
    return left === right ? [] : [lineOf(name, left, right)];
  }).toSorted();
}

function partsOf(outcome = ""): readonly string[] {
  return outcome.split("; ");
}

function lineOf(name: string, ours: string, theirs: string): string {
  return `${name} | ours: ${ours} | theirs: ${theirs}`;
}
