import { useCallback, useState } from "preact/hooks";
import { useClient } from "../../data/context.ts";
import { formatPlural } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Button } from "../../parts/button.tsx";
import { CallView } from "../../parts/states.tsx";
import { Timeline } from "../../parts/timeline.tsx";
import { hrefOf } from "../../shell/route.ts";
import type { AuditLine, FamilyEvent } from "./family-events.ts";
import { familyEvents } from "./family-events.ts";
import { Actor, ShortKeyLink } from "./key-parts.tsx";

const KEYS = 200;
const SHOWN = 10;

export interface KeyFamilyProps {
  readonly family: string;
  readonly keyId: string;
  /** Changes when the family may have changed. */
  readonly version: string;
  /** Of the family. */
  readonly audit: readonly AuditLine[];
}

/** The family of a key as a timeline, newest first. */
export function KeyFamily({ family, keyId, version, audit }: KeyFamilyProps) {
  const client = useClient();
  const keys = useCall(
    useCallback(() => client.keys.list({ family, limit: KEYS }), [client, family, version]),
  );
  return (
    <section>
      <h2>Family</h2>
      <CallView call={keys} what="the family">
        {({ keys: found, next_cursor: more }) => (
          <>
            <p class="muted">
              <a href={hrefOf(["keys"], { text: family })}>
                {formatPlural(found.length, "key")}
                {more !== null && " and more"}
              </a>{" "}
              of one registration.
            </p>
            <Steps keyId={keyId} events={familyEvents(found, audit)} />
          </>
        )}
      </CallView>
    </section>
  );
}

interface StepsProps {
  readonly keyId: string;
  readonly events: readonly FamilyEvent[];
}

function Steps({ keyId, events }: StepsProps) {
  const [isWhole, setWhole] = useState(false);
  const shown = isWhole ? events : events.slice(0, SHOWN);
  return (
    <>
      <Timeline
        events={shown.map(({ id, at, tone, title, keyId: of, actor }) => ({
          id,
          at,
          tone,
          title,
          detail: <Detail of={of} keyId={keyId} actor={actor} />,
        }))}
      />
      {events.length > shown.length && (
        <div>
          <Button onClick={() => setWhole(true)}>Show all {formatPlural(events.length, "step")}</Button>
        </div>
      )}
    </>
  );
}

function Detail({
  of,
  keyId,
  actor,
}: {
  readonly of: string | null;
  readonly keyId: string;
  readonly actor: string | null;
}) {
  return (
    <>
      {of !== null && (of === keyId ? "this key" : <ShortKeyLink keyId={of} />)}
      {of !== null && actor !== null && ", "}
      {actor !== null && (
        <>
          by <Actor actor={actor} />
        </>
      )}
    </>
  );
}
