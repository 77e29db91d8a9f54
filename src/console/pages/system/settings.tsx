import { useCallback, useState } from "preact/hooks";
import type { Setting } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { visibleText } from "../../data/visible-text.ts";
import { Badge } from "../../parts/badge.tsx";
import { CallView, Empty } from "../../parts/states.tsx";
import type { Column } from "../../parts/table.tsx";
import { Table } from "../../parts/table.tsx";

/** The settings in force. A secret is never among them. */
export function SettingsView() {
  const client = useClient();
  const settings = useCall(useCallback(() => client.settings(), [client]));
  return (
    <CallView call={settings} what="the settings">
      {(value) => <SettingsList settings={value.settings} />}
    </CallView>
  );
}

function SettingsList({ settings }: { readonly settings: readonly Setting[] }) {
  const [search, setSearch] = useState("");
  const [onlySet, setOnlySet] = useState(false);
  const found = settings.filter((setting) => matches(setting, search) && (!onlySet || isSet(setting)));
  const groups = Map.groupBy(found, ({ group }) => group);
  return (
    <>
      <div class="row filters">
        <div class="field">
          <label for="setting-search">Search</label>
          <input
            id="setting-search"
            type="search"
            value={search}
            placeholder="Name, value or meaning"
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </div>
        <label class="choice">
          <input
            type="checkbox"
            checked={onlySet}
            onChange={(event) => setOnlySet(event.currentTarget.checked)}
          />{" "}
          Only settings that were set
        </label>
        <span class="muted number" role="status">
          {formatCount(found.length)} of {formatCount(settings.length)}
        </span>
      </div>
      {found.length === 0 && <Empty>No setting matches.</Empty>}
      {[...groups].map(([group, ofGroup]) => (
        <section key={group} class="settings">
          <h2>{group}</h2>
          <Table caption={group} columns={COLUMNS} rows={ofGroup} keyOf={({ name }) => name} />
        </section>
      ))}
    </>
  );
}

function matches({ name, value, meaning }: Setting, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  return [name, value ?? "", meaning].some((text) => text.toLowerCase().includes(wanted));
}

function isSet({ source }: Setting): boolean {
  return source === "environment" || source === "file";
}

const SOURCES = {
  environment: { text: "environment", tone: "good" },
  file: { text: "file", tone: "good" },
  default: { text: "default", tone: "neutral" },
  derived: { text: "derived", tone: "neutral" },
  generated: { text: "generated", tone: "warn" },
  unset: { text: "not set", tone: "neutral" },
} as const;

const COLUMNS: readonly Column<Setting>[] = [
  {
    title: "Setting",
    cell: ({ name, meaning }) => (
      <details class="setting">
        <summary>
          <code>{name}</code>
        </summary>
        <p>{meaning.replaceAll("`", "")}</p>
      </details>
    ),
  },
  { title: "Value", cell: (setting) => <Value setting={setting} /> },
  {
    title: "Source",
    cell: ({ source }) => <Badge tone={SOURCES[source].tone}>{SOURCES[source].text}</Badge>,
  },
  {
    title: "Default",
    cell: ({ default: byDefault }) =>
      byDefault === null ? <span class="muted">none</span> : <code>{byDefault}</code>,
  },
];

function Value({ setting: { value, secret, source, file } }: { readonly setting: Setting }) {
  if (value !== null) return <code>{visibleText(value)}</code>;
  if (!secret || source === "unset") return <span class="muted">none</span>;
  return (
    <span class="muted">
      secret
      {file !== null && (
        <>
          , from <code>{visibleText(file)}</code>
        </>
      )}
      {source === "generated" && ", kept in the store"}
    </span>
  );
}
