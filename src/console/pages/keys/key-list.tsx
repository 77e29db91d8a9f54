import { useCallback } from "preact/hooks";
import type { Key } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { formatCount, formatPlural } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Button } from "../../parts/button.tsx";
import { Empty, ErrorState } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";
import { Time } from "../../parts/time.tsx";
import { hrefOf } from "../../shell/route.ts";
import { ClientText, keyHref, StatusBadge } from "./key-parts.tsx";
import type { Search } from "./key-search.ts";
import { isEmptySearch } from "./key-search.ts";
import { OwnerActions } from "./owner-actions.tsx";
import { SearchForm } from "./search-form.tsx";
import type { KeySearch } from "./use-key-search.ts";
import { useKeySearch } from "./use-key-search.ts";

/** Finds keys. The search is in the URL, so that it can be shared and survives a reload. */
export function KeyList({ search }: { readonly search: Search }) {
  const found = useKeySearch(search);
  const mayWrite = useMissingScope("keys:write") === undefined;
  return (
    <>
      <div class="head">
        <h1>Keys</h1>
        {mayWrite && (
          <a class="button primary" href={hrefOf(["keys", "new"])}>
            Register a key
          </a>
        )}
      </div>
      <SearchForm search={search} />
      {search.owner !== "" && mayWrite && found.keys.length > 0 && (
        <OwnerActions owner={search.owner.trim()} onDone={found.restart} />
      )}
      <section aria-label="Results">
        <Progress found={found} />
        <Results found={found} search={search} />
      </section>
    </>
  );
}

/** How far the search is. A screen reader reads the result, not every step. */
function Progress({ found }: { readonly found: KeySearch }) {
  const client = useClient();
  const status = useCall(useCallback(() => client.status(), [client]));
  const all = status.value?.capacity.keys;
  const { keys, examined, isRunning, cursor } = found;
  const count = `${formatPlural(keys.length, "key")}${cursor === null ? "" : " so far"}`;
  return (
    <div class="progress">
      <p role="status">{isRunning ? "Searching…" : count}</p>
      {isRunning && (
        <>
          <p class="muted number" aria-hidden="true">
            {count}, read {formatCount(examined)}
            {all != null && all > 2000 && ` of about ${formatCount(all)}`} records
          </p>
          <Button kind="quiet" onClick={found.stop}>
            Stop
          </Button>
        </>
      )}
    </div>
  );
}

function Results({ found, search }: { readonly found: KeySearch; readonly search: Search }) {
  const { keys, isRunning, problem, cursor } = found;
  return (
    <>
      {keys.length > 0 && (
        <Table caption="Keys" columns={COLUMNS} rows={keys} keyOf={({ key_id }) => key_id} />
      )}
      {problem !== undefined && <ErrorState problem={problem} onRetry={found.more} />}
      {!isRunning && problem === undefined && keys.length === 0 && cursor === null && (
        <Empty>
          {isEmptySearch(search) ? (
            <p>
              No keys yet. <a href={hrefOf(["keys", "new"])}>Register the first one.</a>
            </p>
          ) : (
            <p>
              No key matches. <a href={hrefOf(["keys"])}>Show all keys.</a>
            </p>
          )}
        </Empty>
      )}
      {!isRunning && problem === undefined && cursor !== null && (
        <div>
          <Button onClick={found.more}>Look for more</Button>
        </div>
      )}
    </>
  );
}

const COLUMNS: readonly Column<Key>[] = [
  {
    title: "Name",
    cell: ({ key_id: keyId, name }) => (
      <a class="key-link" href={keyHref(keyId)}>
        <ClientText>{name}</ClientText>
      </a>
    ),
  },
  { title: "Status", cell: ({ status }) => <StatusBadge status={status} /> },
  {
    title: "Owner",
    cell: ({ owner }) =>
      owner === null ? <span class="muted">itself</span> : <ClientText>{owner}</ClientText>,
  },
  {
    title: "Role",
    cell: ({ role, plan }) => <span class="role">{plan === null ? role : `${role} (${plan})`}</span>,
  },
  { title: "Last used", cell: ({ last_used_at }) => <Time at={last_used_at} /> },
  { title: "Expires", cell: ({ expires_at }) => <Time at={expires_at} /> },
  { title: "Issued", cell: ({ issued_at }) => <Time at={issued_at} /> },
  { title: "Key id", cell: ({ key_id }) => <code class="key-id">{key_id}</code> },
];
