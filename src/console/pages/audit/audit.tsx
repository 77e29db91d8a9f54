import { useMemo, useState } from "preact/hooks";
import { formatPlural } from "../../data/format.ts";
import type { PageProps } from "../../page.ts";
import { Button } from "../../parts/button.tsx";
import { Empty, ErrorState, Loading, Stale } from "../../parts/states.tsx";
import { goTo, hrefOf } from "../../shell/route.ts";
import { EventTable } from "./event-table.tsx";
import { ExportDialog } from "./export-dialog.tsx";
import type { FilterValues } from "./filter.ts";
import { filterValues, isFiltered, toFilter } from "./filter.ts";
import { FilterForm } from "./filter-form.tsx";
import type { EventList } from "./use-events.ts";
import { useEvents } from "./use-events.ts";
import { Verification } from "./verification.tsx";

/** Who did what to which key. The filter is in the URL, so that a place can be shared. */
export function Audit({ route }: PageProps) {
  const text = route.query.toString();
  const values = useMemo(() => filterValues(new URLSearchParams(text)), [text]);
  const filter = useMemo(() => toFilter(values), [values]);
  const [isFollowing, setFollowing] = useState(true);
  const [isExporting, setExporting] = useState(false);
  const list = useEvents(filter, isFollowing);
  const apply = (next: FilterValues) => goTo(hrefOf(["audit"], next));
  return (
    <>
      <h1>Audit</h1>
      <FilterForm key={text} values={values} onApply={apply}>
        <span class="spring" />
        <label class="check">
          <input
            type="checkbox"
            checked={isFollowing}
            onChange={({ currentTarget }) => setFollowing(currentTarget.checked)}
          />
          Follow new events
        </label>
        <Button onClick={() => setExporting(true)}>Export…</Button>
      </FilterForm>
      {/* Before the events, so that the keyboard reaches it without passing every key. */}
      <Verification />
      <section aria-label="Events">
        <Events list={list} isFiltered={isFiltered(values)} />
      </section>
      {isExporting && <ExportDialog filter={filter} onClose={() => setExporting(false)} />}
    </>
  );
}

function Events({ list, isFiltered }: { readonly list: EventList; readonly isFiltered: boolean }) {
  const { events, fresh, hasEarlier, isLoading, problem, loadedMs, loadEarlier, reload } = list;
  if (events === undefined)
    return problem === undefined ? (
      <Loading what="the events" />
    ) : (
      <ErrorState problem={problem} onRetry={reload} />
    );
  return (
    <>
      {problem !== undefined && loadedMs !== undefined && (
        <Stale problem={problem} sinceMs={loadedMs} onRetry={reload} />
      )}
      <p class="visually-hidden" role="status">
        {fresh > 0 ? formatPlural(fresh, "new event") : ""}
      </p>
      {events.length > 0 ? (
        <EventTable events={events} />
      ) : (
        <Empty>
          {isFiltered
            ? hasEarlier
              ? "None of the newest events matches. Earlier ones may."
              : "No event matches the filter."
            : "No events yet. Register a key, and its event stands here."}
        </Empty>
      )}
      {hasEarlier && (
        <div class="center">
          <Button isRunning={isLoading} onClick={loadEarlier}>
            Show earlier events
          </Button>
        </div>
      )}
    </>
  );
}
