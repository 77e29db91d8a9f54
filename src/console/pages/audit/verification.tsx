import { useCallback } from "preact/hooks";
import type { AuditVerification } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatBytes, formatCount, formatPlural } from "../../data/format.ts";
import { useAction } from "../../data/use-action.ts";
import { useCall } from "../../data/use-call.ts";
import { Badge } from "../../parts/badge.tsx";
import { Button } from "../../parts/button.tsx";
import { Meter } from "../../parts/meter.tsx";
import type { Tone } from "../../parts/notice.tsx";
import { CallView, ProblemNotice } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";

const RUNNING_EVERY_MS = 700;

/** The chain of the log that this instance writes. */
export function Verification() {
  const client = useClient();
  const shown = useCall(
    useCallback(() => client.auditVerification.show(), [client]),
    RUNNING_EVERY_MS,
  );
  const start = useAction(async () => {
    await client.auditVerification.start();
    shown.reload();
  });
  return (
    <section class="panel" aria-labelledby="verification">
      <h2 id="verification">Chain of this instance's log</h2>
      <CallView call={shown} what="the verification">
        {(state) => (
          <>
            <div class="verification">
              <div role="status">
                <StateView state={state} />
              </div>
              {state.state !== "off" && (
                <Button
                  isRunning={start.isRunning || state.state === "running"}
                  onClick={() => void start.run()}
                >
                  {state.state === "running" ? "Verifying…" : "Verify the chain"}
                </Button>
              )}
            </div>
            {start.problem !== undefined && <ProblemNotice problem={start.problem} />}
          </>
        )}
      </CallView>
    </section>
  );
}

const BADGES = {
  off: ["neutral", "no file"],
  never: ["neutral", "not verified"],
  running: ["neutral", "verifying"],
  intact: ["good", "intact"],
  broken: ["bad", "broken"],
  failed: ["warn", "not readable"],
} as const satisfies Readonly<Record<AuditVerification["state"], readonly [Tone, string]>>;

function StateView({ state }: { readonly state: AuditVerification }) {
  const [tone, word] = BADGES[state.state];
  return (
    <>
      <p>
        <Badge tone={tone}>{word}</Badge> <Sentence of={state} />
      </p>
      {state.state === "running" && state.bytes_total > 0 && (
        <Meter percent={(100 * state.bytes_read) / state.bytes_total} />
      )}
      {state.state === "intact" && state.chains.length > 0 && <Chains chains={state.chains} />}
    </>
  );
}

function Sentence({ of: state }: { readonly of: AuditVerification }) {
  const { bytes_read: read, bytes_total: total, files, lines } = state;
  switch (state.state) {
    case "off":
      return (
        <>
          This instance writes its audit lines to standard output only. Verify what was collected with{" "}
          <code>latchkey audit verify</code>.
        </>
      );
    case "never":
      return (
        <>A verification reads all files of the log, and shows whether a line was changed or is missing.</>
      );
    case "running":
      return (
        <span class="number">
          {formatBytes(read)} of {formatBytes(total)} in {formatPlural(files, "file")}
        </span>
      );
    case "intact":
      return (
        <>
          {formatPlural(lines ?? 0, "line")} in {formatPlural(files, "file")} ({formatBytes(total)}): none was
          changed, none is missing. Verified <Time at={state.ended_at} />.
        </>
      );
    case "broken":
      return (
        <>
          <strong>
            {state.file !== null && (
              <code>
                {state.file}:{state.line === null ? "" : formatCount(state.line)}
              </code>
            )}{" "}
            {state.problem}.
          </strong>{" "}
          Keep the files, and compare them with your copies. Verified <Time at={state.ended_at} />.
        </>
      );
    case "failed":
      return (
        <>
          {state.problem}. <Time at={state.ended_at} />
        </>
      );
  }
}

/** The HMAC of the last line is what a checkpoint in the log output names. */
function Chains({ chains }: Pick<AuditVerification, "chains">) {
  return (
    <details>
      <summary>{formatPlural(chains.length, "chain")}</summary>
      <ul class="chains">
        {chains.map(({ instance, first, last, hmac }) => (
          <li key={`${instance} ${first}`}>
            <code>{instance}</code>: lines {formatCount(first)} to {formatCount(last)}, last HMAC{" "}
            <code>{hmac}</code>
          </li>
        ))}
      </ul>
    </details>
  );
}
