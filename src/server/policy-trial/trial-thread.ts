import { parentPort, workerData } from "node:worker_threads";
import type { TrialOutcome } from "../../api/admin/policy-check-route.ts";
import { policyCheckBody } from "../../api/admin/policy-check-schemas.ts";
import { parsePart } from "../../api/http/endpoint.ts";
import { InvalidBody, parseJsonBody } from "../../api/http/json-body.ts";
import { checkedPolicy } from "./checked-policy.ts";
import type { TrialData } from "./trial.ts";

// Entry of a worker thread that checks one policy for an operator, and ends.
parentPort?.postMessage(await outcomeOf(workerData));

async function outcomeOf(data: TrialData): Promise<TrialOutcome> {
  const body = parseBody(data.body);
  if (!body.ok || body.value === undefined) return { kind: "invalid", errors: body.ok ? [] : body.errors };
  if (body.value.replay === true && !data.mayReplay) return { kind: "replay_denied" };
  return { kind: "done", text: JSON.stringify(await checkedPolicy(body.value, data)) };
}

function parseBody(text: string) {
  try {
    return parsePart(policyCheckBody, parseJsonBody(text), "");
  } catch (error) {
    if (!(error instanceof InvalidBody)) throw error;
    return { ok: false as const, errors: [{ pointer: "#", detail: error.message }] };
  }
}
