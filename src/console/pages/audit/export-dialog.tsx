import type { TargetedSubmitEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { AuditExportFilter } from "../../../client/audit-calls.ts";
import { useClient } from "../../data/context.ts";
import { formatBytes } from "../../data/format.ts";
import { useAction } from "../../data/use-action.ts";
import { Button } from "../../parts/button.tsx";
import { Dialog } from "../../parts/dialog.tsx";
import { Notice } from "../../parts/notice.tsx";
import { Select } from "../../parts/select.tsx";
import { ProblemNotice } from "../../parts/states.tsx";

type Format = "csv" | "ndjson";

const FORMATS = {
  csv: { text: "CSV, for spreadsheets", type: "text/csv", ending: "csv" },
  ndjson: { text: "JSON lines, for programs", type: "application/x-ndjson", ending: "jsonl" },
} as const;

/** The browser holds the file in memory until it is complete. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface ExportDialogProps {
  readonly filter: AuditExportFilter;
  onClose(): void;
}

/** Saves all events that match the filter as a file. */
export function ExportDialog({ filter, onClose }: ExportDialogProps) {
  const [format, setFormat] = useState<Format>("csv");
  const { action, bytes, result } = useExport(filter, format);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    void action.run();
  };
  return (
    <Dialog title="Export audit events" onClose={onClose}>
      <form class="stack" onSubmit={submit}>
        <Chosen filter={filter} />
        <Select<Format>
          label="Format"
          value={format}
          options={[
            ["csv", FORMATS.csv.text],
            ["ndjson", FORMATS.ndjson.text],
          ]}
          onChange={(chosen) => setFormat(chosen)}
        />
        {action.problem !== undefined && <ProblemNotice problem={action.problem} />}
        <div role="status">
          {action.isRunning && <p class="number">{formatBytes(bytes)} so far…</p>}
          {result === "complete" && <Notice tone="good">Saved {formatBytes(bytes)}.</Notice>}
          {result === "cut" && (
            <Notice tone="warn">
              The file ends after {formatBytes(bytes)}: older events are missing. Choose a shorter time, or
              use <code>latchkey audit export</code>.
            </Notice>
          )}
        </div>
        <div class="actions">
          <Button onClick={onClose}>{action.isRunning ? "Cancel" : "Close"}</Button>
          <Button kind="primary" type="submit" isRunning={action.isRunning}>
            Save the file
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** What the file will have. */
function Chosen({ filter }: Pick<ExportDialogProps, "filter">) {
  const filters = Object.entries(filter);
  if (filters.length === 0) return <p>All events of the store, newest first.</p>;
  return (
    <>
      <p>The events that match the filter, newest first:</p>
      <ul class="chains">
        {filters.map(([name, value]) => (
          <li key={name}>
            {name}: <code>{value}</code>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Loads the pages and saves them. Ends when the dialog closes. */
function useExport(filter: AuditExportFilter, format: Format) {
  const client = useClient();
  const [bytes, setBytes] = useState(0);
  const [result, setResult] = useState<"complete" | "cut" | undefined>(undefined);
  const isOpen = useRef(true);
  const close = () => {
    isOpen.current = false;
  };
  useEffect(() => close, []);
  const action = useAction(async () => {
    setResult(undefined);
    const pieces: string[] = [];
    let size = 0;
    for await (const piece of client.auditExport(filter, format)) {
      if (!isOpen.current) return;
      pieces.push(piece);
      size += piece.length;
      setBytes(size);
      if (size > MAX_BYTES) break;
    }
    download(pieces, format);
    setResult(size > MAX_BYTES ? "cut" : "complete");
  });
  return { action, bytes, result };
}

function download(pieces: readonly string[], format: Format): void {
  const { type, ending } = FORMATS[format];
  const url = URL.createObjectURL(new Blob([...pieces], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `latchkey-audit-${new Date().toISOString().replaceAll(":", "").slice(0, 17)}.${ending}`;
  link.click();
  URL.revokeObjectURL(url);
}
