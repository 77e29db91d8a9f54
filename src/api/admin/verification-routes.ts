import { z } from "zod";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { timestamp } from "../keys/schemas.ts";

/** How the API verifies the audit log of this instance. Times are milliseconds since 1970. */
export interface VerificationPort {
  /** Starts a run, unless one is running. */
  start(): VerificationView;
  state(): VerificationView;
}

export type VerificationView =
  | { readonly kind: "off" | "never" }
  | (Progress & { readonly kind: "running" })
  | (Progress & { readonly kind: "failed"; readonly endedMs: number; readonly problem: string })
  | (Progress & { readonly kind: "done"; readonly endedMs: number; readonly verified: Verified });

interface Progress {
  readonly startedMs: number;
  readonly files: number;
  readonly bytesRead: number;
  readonly bytesTotal: number;
}

type Verified =
  | { readonly ok: true; readonly lines: number; readonly chains: readonly Chain[] }
  | { readonly ok: false; readonly file?: string; readonly line?: number; readonly problem: string };

type Chain = {
  readonly instance: string;
  readonly first: number;
  readonly last: number;
  readonly hmac: string;
};

const STATES = {
  off: "this instance writes no file",
  never: "nothing was verified since the start of this instance",
  running: "a run reads the files",
  intact: "no line was changed, and none is missing",
  broken: "a line was changed or is missing",
  failed: "the files could not be read",
} as const;

/** A log has a chain for each start that did not find its state. */
const MAX_CHAINS = 100;

export const verificationResponse = z
  .object({
    state: z.enum(["off", "never", "running", "intact", "broken", "failed"]).meta({
      description: Object.entries(STATES)
        .map(([state, meaning]) => `\`${state}\`: ${meaning}`)
        .join("; "),
    }),
    started_at: timestamp.nullable(),
    ended_at: timestamp.nullable(),
    files: z.int(),
    bytes_read: z.int(),
    bytes_total: z.int(),
    lines: z.int().nullable().meta({ description: "Of an intact log." }),
    chains: z
      .array(z.object({ instance: z.string(), first: z.int(), last: z.int(), hmac: z.string() }))
      .meta({
        description: `The chains of an intact log, with the HMAC of the last line. At most ${MAX_CHAINS}.`,
      }),
    problem: z.string().nullable().meta({ description: "The problem of the line, or of the run." }),
    file: z.string().nullable().meta({ description: "The name of the file that has the line." }),
    line: z.int().nullable(),
  })
  .meta({ title: "AuditVerification" });

type Body = z.output<typeof verificationResponse>;

export function verificationRoutes(ports: ApiPorts, port: VerificationPort): readonly Endpoint[] {
  const common = {
    path: "/api/admin/audit/verification",
    access: operators(ports, "audit:read"),
    writes: false,
    response: { status: 200, description: "The verification.", schema: verificationResponse },
  } as const;
  return [
    endpoint({
      ...common,
      method: "GET",
      summary: "Show the verification of the audit log",
      description: "The present or last run of this instance.",
      handle: async ({ reply }) =>
        reply.header("cache-control", "no-store").send(verificationBody(port.state())),
    }),
    endpoint({
      ...common,
      method: "POST",
      summary: "Verify the audit log",
      description:
        "Verifies the chain of the files that this instance writes, in a thread of its own, and returns at once. The end of this instance's chain is compared with its memory. One run at a time: a second call returns the state of the first one.",
      handle: async ({ reply }) =>
        reply.header("cache-control", "no-store").send(verificationBody(port.start())),
    }),
  ];
}

const NOTHING: Omit<Body, "state"> = {
  started_at: null,
  ended_at: null,
  files: 0,
  bytes_read: 0,
  bytes_total: 0,
  lines: null,
  chains: [],
  problem: null,
  file: null,
  line: null,
};

function verificationBody(view: VerificationView): Body {
  if (!("startedMs" in view)) return { ...NOTHING, state: view.kind };
  const run = {
    ...NOTHING,
    started_at: new Date(view.startedMs).toISOString(),
    ended_at: "endedMs" in view ? new Date(view.endedMs).toISOString() : null,
    files: view.files,
    bytes_read: view.bytesRead,
    bytes_total: view.bytesTotal,
  };
  if (view.kind === "running") return { ...run, state: "running" };
  if (view.kind === "failed") return { ...run, state: "failed", problem: view.problem };
  const { verified } = view;
  if (!verified.ok) {
    const { problem, file = null, line = null } = verified;
    return { ...run, state: "broken", problem, file, line };
  }
  const chains = verified.chains.slice(0, MAX_CHAINS).map((chain) => ({ ...chain }));
  return { ...run, state: "intact", lines: verified.lines, chains };
}
