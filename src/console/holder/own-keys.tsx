import { useCallback, useEffect, useState } from "preact/hooks";
import type { LatchkeyClient } from "../../client/client.ts";
import type { Key, OwnerSession, OwnKeyList } from "../../client/types.ts";
import { formatCount, formatPlural } from "../data/format.ts";
import { useCall } from "../data/use-call.ts";
import { Button } from "../parts/button.tsx";
import { CallView, Empty } from "../parts/states.tsx";
import type { Column } from "../parts/table.tsx";
import { Table } from "../parts/table.tsx";
import { Time } from "../parts/time.tsx";
import { hrefOf, useRoute } from "../shell/route.ts";
import { CreateKey } from "./create-key.tsx";
import { isLive, KeyStatusBadge } from "./key-status.tsx";
import { OwnKey } from "./own-key.tsx";
import { PasteForm } from "./welcome.tsx";

export interface OwnKeysProps {
  readonly client: LatchkeyClient;
  readonly session: OwnerSession;
  onPaste(key: string): void;
}

/** At most this many pages are loaded before the person asks for more. */
const PAGES = 5;
const PAGE = 250;

/** The keys of the signed-in person's owner. */
export function OwnKeys({ client, session, onPaste }: OwnKeysProps) {
  const list = useCall(useCallback(() => loadKeys(client), [client]));
  const [isCreating, setCreating] = useState(false);
  const canCreate = session.roles.length > 0;
  const isFull = list.value !== undefined && list.value.counted_keys >= list.value.max_keys;
  const [keyId] = useRoute().segments;
  useEffect(() => {
    document.title = keyId === undefined ? "Your keys · Latchkey" : `${keyId} · Latchkey`;
    scrollTo(0, 0);
  }, [keyId]);
  return (
    <>
      {keyId === undefined && (
        <div class="page-head">
          <div>
            <h1>Your keys</h1>
            <p class="muted">
              Keys of the owner <code>{session.owner}</code>
              {canCreate && list.value !== undefined && <Remaining list={list.value} />}
            </p>
          </div>
          <Button kind="primary" isDisabled={!canCreate || isFull} onClick={() => setCreating(true)}>
            Create a key
          </Button>
        </div>
      )}
      <CallView call={list} what="your keys">
        {({ keys, next_cursor }) =>
          keyId === undefined ? (
            <KeyTable keys={keys} isIncomplete={next_cursor !== null} canCreate={canCreate} />
          ) : (
            <OwnKey
              client={client}
              session={session}
              keyId={keyId}
              found={keys.find((key) => key.key_id === keyId)}
              onChange={list.reload}
            />
          )
        }
      </CallView>
      {keyId === undefined && (
        <details class="panel">
          <summary>Look at a key by pasting it</summary>
          <PasteForm onPaste={onPaste} isFocused={false} />
        </details>
      )}
      {isCreating && (
        <CreateKey
          client={client}
          roles={session.roles}
          onCreated={list.reload}
          onClose={() => setCreating(false)}
        />
      )}
    </>
  );
}

/** How many keys can still be created, or why none. */
function Remaining({ list: { counted_keys: counted, max_keys: max } }: { readonly list: OwnKeyList }) {
  return (
    <>
      .{" "}
      {counted >= max
        ? `They are ${formatCount(counted)}, and ${formatCount(max)} is the maximum: to create another one, revoke one.`
        : `${formatCount(counted)} of at most ${formatCount(max)}: you can create ${formatCount(max - counted)} more.`}
    </>
  );
}

async function loadKeys(client: LatchkeyClient): Promise<OwnKeyList> {
  const keys: Key[] = [];
  let found = await client.owner.list({ limit: PAGE });
  keys.push(...found.keys);
  for (let page = 1; page < PAGES && found.next_cursor !== null; page++) {
    found = await client.owner.list({ limit: PAGE, cursor: found.next_cursor });
    keys.push(...found.keys);
  }
  // The newest first: it is the one that the person has just made.
  return { ...found, keys: keys.reverse() };
}

interface KeyTableProps {
  readonly keys: readonly Key[];
  readonly isIncomplete: boolean;
  readonly canCreate: boolean;
}

function KeyTable({ keys, isIncomplete, canCreate }: KeyTableProps) {
  const [text, setText] = useState("");
  const [showsEnded, setShowsEnded] = useState(false);
  if (keys.length === 0)
    return (
      <Empty>
        <p>
          {canCreate
            ? "No keys yet. Create the first one."
            : "No keys yet, and the policy lets you create none. Ask the operator of this service."}
        </p>
      </Empty>
    );
  const ended = keys.filter((key) => !isLive(key)).length;
  const wanted = text.trim().toLowerCase();
  const shown = keys.filter(
    (key) =>
      (showsEnded || isLive(key)) &&
      [key.name, key.key_id, key.role].some((value) => value.toLowerCase().includes(wanted)),
  );
  return (
    <div class="stack">
      <div class="row">
        <input
          type="search"
          class="search"
          aria-label="Search your keys"
          placeholder="Search by name, id or role"
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        {ended > 0 && (
          <label class="check">
            <input
              type="checkbox"
              checked={showsEnded}
              onChange={(event) => setShowsEnded(event.currentTarget.checked)}
            />
            Show {formatPlural(ended, "ended key")}
          </label>
        )}
      </div>
      {shown.length === 0 ? (
        <Empty>No key matches.</Empty>
      ) : (
        <Table caption="Your keys" columns={COLUMNS} rows={shown} keyOf={({ key_id }) => key_id} />
      )}
      {isIncomplete && (
        <p class="muted">There are more keys than this page shows. Use the API for the others.</p>
      )}
    </div>
  );
}

const COLUMNS: readonly Column<Key>[] = [
  {
    title: "Name",
    cell: ({ key_id, name }) => (
      <a class="key-name" href={hrefOf([key_id])}>
        <bdi>{name}</bdi>
      </a>
    ),
  },
  { title: "Status", cell: (key) => <KeyStatusBadge value={key} /> },
  { title: "Role", cell: ({ role }) => role },
  { title: "Last used", cell: ({ last_used_at }) => <Time at={last_used_at} /> },
  { title: "Expires", cell: ({ expires_at }) => <Time at={expires_at} /> },
  { title: "Key id", cell: ({ key_id }) => <code class="key-id">{key_id}</code> },
];
