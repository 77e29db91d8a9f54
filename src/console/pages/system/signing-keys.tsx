import { useCallback } from "preact/hooks";
import type { SigningKey, SigningKeys } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatSeconds } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { useNow } from "../../data/use-now.ts";
import { visibleText } from "../../data/visible-text.ts";
import { Badge } from "../../parts/badge.tsx";
import { CallView } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { RotationSteps } from "./rotation-steps.tsx";

const EVERY_MS = 5000;
const DAY_SECONDS = 86_400;
/** docs/guides/rotation.md. */
const ROTATE_EVERY_DAYS = 90;

/** The keys that sign and verify, and the rotation as it stands now. */
export function SigningKeysView() {
  const client = useClient();
  const keys = useCall(
    useCallback(() => client.signingKeys(), [client]),
    EVERY_MS,
  );
  return (
    <CallView call={keys} what="the signing keys">
      {(value) => (
        <>
          <section>
            <h2>Keys</h2>
            <Table
              caption="Signing keys"
              columns={columnsFor(value)}
              rows={value.keys}
              keyOf={({ kid }) => kid}
            />
            <Due keys={value.keys} />
          </section>
          <section>
            <h2>Rotation</h2>
            <p class="muted">
              Each step must be on every instance before the next one. The commands run where the settings
              are.
            </p>
            <RotationSteps signing={value} />
          </section>
        </>
      )}
    </CallView>
  );
}

function Due({ keys: [signer] }: Pick<SigningKeys, "keys">) {
  const nowMs = useNow();
  if (signer?.added_at == null) return null;
  const leftSeconds = ROTATE_EVERY_DAYS * DAY_SECONDS - (nowMs - Date.parse(signer.added_at)) / 1000;
  return (
    <p class="muted">
      {leftSeconds > 0
        ? `A rotation is due every ${ROTATE_EVERY_DAYS} days: the next one in ${formatSeconds(leftSeconds)}.`
        : `A rotation is due: the signing key is older than ${ROTATE_EVERY_DAYS} days.`}
    </p>
  );
}

const STATES = {
  signs: { text: "signs", tone: "good" },
  waits: { text: "next", tone: "warn" },
  signed: { text: "former", tone: "neutral" },
  verifies: { text: "verifies", tone: "neutral" },
} as const;

function columnsFor({ instances }: SigningKeys): readonly Column<SigningKey>[] {
  const of = (count: number) => `${formatCount(count)} of ${formatCount(instances)}`;
  return [
    { title: "kid", cell: ({ kid }) => <code>{visibleText(kid)}</code> },
    { title: "State", cell: ({ state }) => <Badge tone={STATES[state].tone}>{STATES[state].text}</Badge> },
    { title: "Algorithm", cell: ({ alg }) => alg },
    { title: "From", cell: ({ origin }) => (origin === "generated" ? "generated" : <code>{origin}</code>) },
    { title: "Added", cell: ({ added_at }) => <Time at={added_at} otherwise="not known" /> },
    { title: "Signs since", cell: ({ signs_from }) => <Time at={signs_from} otherwise="not recorded" /> },
    { title: "Signed until", cell: ({ signed_until }) => <Time at={signed_until} otherwise="–" /> },
    { title: "Accepted by", kind: "number", cell: ({ accepted_by }) => of(accepted_by) },
    { title: "Signed by", kind: "number", cell: ({ signed_by }) => of(signed_by) },
  ];
}
