import { isFamilyId } from "../../core/keys/key-record.ts";
import type { OverrideSubject } from "../../core/overrides/override.ts";
import { isInForce } from "../../core/overrides/override.ts";
import { clearOverride, setOverride } from "../../core/overrides/override-administration.ts";
import { isForeignId } from "../../core/policy/issuer.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Call, Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import { sendDenial } from "../keys/responses.ts";
import { isOwnerName } from "../keys/schemas.ts";
import { sendPathProblem } from "./operator-call.ts";
import { overrideListRoute } from "./override-list.ts";
import { overrideResponseBody } from "./override-response.ts";
import { overrideBody, overrideClearQuery, overrideResponse } from "./override-schemas.ts";

/** Lists, sets, shows and clears what an owner or a family gets instead of what its keys and roles say. */
export function overrideRoutes(ports: ApiPorts): readonly Endpoint[] {
  const ofSubjects = [OWNERS, FAMILIES].flatMap((subjects) => [
    showRoute(ports, subjects),
    setRoute(ports, subjects),
    clearRoute(ports, subjects),
  ]);
  return [overrideListRoute(ports), ...ofSubjects];
}

/** The subjects of one path. */
interface Subjects {
  readonly scope: OverrideSubject["scope"];
  readonly path: string;
  readonly noun: string;
  readonly isValid: (subject: string) => boolean;
  readonly fault: string;
}

const OWNERS: Subjects = {
  scope: "owner",
  path: "/api/admin/owners/{owner}/limits",
  noun: "an owner",
  isValid: isOwnerName,
  fault: "is not the name of an owner",
};

const FAMILIES: Subjects = {
  scope: "family",
  path: "/api/admin/families/{family}/limits",
  noun: "a family",
  isValid: (text) => isFamilyId(text) || isForeignId(text),
  fault: "is not a family id: it must look like fam_…, or ISSUER:ID for a family of another issuer",
};

const KEPT = "The subject need not exist. Its override applies to keys that are registered later.";

function showRoute(ports: ApiPorts, subjects: Subjects): Endpoint {
  return endpoint({
    method: "GET",
    path: subjects.path,
    summary: `Show the override of ${subjects.noun}`,
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The override.", schema: overrideResponse },
    problems: ["not_found", "request_invalid"],
    handle: (call) =>
      withSubject(call, subjects, async (subject) => {
        const stored = await ports.registry.store.findOverride(subject);
        if (stored === undefined || !isInForce(stored, ports.nowMs()))
          return sendProblem(call.reply, "not_found");
        return call.reply.send(overrideResponseBody(stored, ports));
      }),
  });
}

function setRoute(ports: ApiPorts, subjects: Subjects): Endpoint {
  return endpoint({
    method: "PUT",
    path: subjects.path,
    summary: `Give ${subjects.noun} another plan or other quotas`,
    description: `Replaces the former override. ${KEPT} The plan must be one that the caller may assign.`,
    access: operators(ports, "limits:write"),
    writes: true,
    body: overrideBody,
    response: { status: 204, description: "The override applies." },
    problems: ["plan_not_assignable", "too_many_overrides", "changed_meanwhile"],
    handle: (call) =>
      withSubject(call, subjects, async (subject) => {
        const { plan, quotas, note, expires_at: expiresAt, replaces: seen } = call.body;
        if (expiresAt !== undefined && expiresAt * 1000 <= ports.nowMs())
          return sendProblem(call.reply, "request_invalid", {
            errors: [{ pointer: "#/expires_at", detail: "must be in the future" }],
          });
        const content = {
          ...(plan !== undefined && { plan }),
          ...(quotas && { quotas: quotas.map(({ extra = 0, ...quota }) => ({ ...quota, extra })) }),
          ...(note !== undefined && { note }),
        };
        const requested = { content, ...(expiresAt !== undefined && { expiresAt }) };
        const result = await setOverride(ports.registry, subject, requested, call.caller, seen);
        if (result !== "done") return sendDenial(call.reply, result, "operator");
        return call.reply.code(204).send();
      }),
  });
}

function clearRoute(ports: ApiPorts, subjects: Subjects): Endpoint {
  return endpoint({
    method: "DELETE",
    path: subjects.path,
    summary: `Clear the override of ${subjects.noun}`,
    description: "The plans of keys and roles apply again. The call is idempotent.",
    access: operators(ports, "limits:write"),
    writes: true,
    query: overrideClearQuery,
    response: { status: 204, description: "No override applies." },
    problems: ["request_invalid", "plan_not_assignable", "too_many_overrides", "changed_meanwhile"],
    handle: (call) =>
      withSubject(call, subjects, async (subject) => {
        const result = await clearOverride(ports.registry, subject, call.caller, call.query.replaces);
        if (result !== "done") return sendDenial(call.reply, result, "operator");
        return call.reply.code(204).send();
      }),
  });
}

async function withSubject<B, Q, Identity>(
  call: Call<B, Q, Identity>,
  { scope, isValid, fault }: Subjects,
  next: (subject: OverrideSubject) => Promise<Call<B, Q>["reply"]>,
): Promise<Call<B, Q>["reply"]> {
  const subject = call.param(scope);
  return isValid(subject) ? next({ scope, subject }) : sendPathProblem(call, scope, fault);
}
