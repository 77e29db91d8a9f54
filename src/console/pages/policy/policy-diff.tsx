import { useMemo } from "preact/hooks";
import type { DiffLine } from "../../data/diff.ts";
import { diffLines, hunksOf } from "../../data/diff.ts";
import { formatPlural } from "../../data/format.ts";
import { visibleText } from "../../data/visible-text.ts";

/** More lines would make the page slow. */
const MAX_LINES = 1000;

export interface PolicyDiffProps {
  /** The policy in force. */
  readonly before: string;
  readonly after: string;
  readonly hash: string;
}

/** How a policy differs from the one in force. */
export function PolicyDiff({ before, after, hash }: PolicyDiffProps) {
  const lines = useMemo(() => diffLines(before, after), [before, after]);
  const hunks = useMemo(() => hunksOf(lines), [lines]);
  const count = (kind: DiffLine["kind"]) => lines.filter((line) => line.kind === kind).length;
  const [added, removed] = [count("added"), count("removed")];
  const shown = hunks.flatMap((hunk, at) => hunk.lines.map((line) => ({ line, hunk: at })));
  return (
    <section>
      <h2>
        Difference to <code>{hash}</code>
      </h2>
      {hunks.length === 0 ? (
        <p class="muted">No line differs from the policy in force.</p>
      ) : (
        <>
          <p class="muted">
            {formatPlural(added, "line")} added, {formatPlural(removed, "line")} removed
          </p>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: The keyboard must be able to scroll it. */}
          <section class="scroll diff" tabIndex={0} aria-label="Difference to the policy in force">
            <table>
              <caption class="visually-hidden">Difference to the policy in force</caption>
              <thead class="visually-hidden">
                <tr>
                  <th scope="col">Line in force</th>
                  <th scope="col">Line here</th>
                  <th scope="col">Text</th>
                </tr>
              </thead>
              <tbody>
                {shown.slice(0, MAX_LINES).map(({ line, hunk }, at) => (
                  <Line key={at} line={line} isFirst={at > 0 && shown[at - 1]?.hunk !== hunk} />
                ))}
              </tbody>
            </table>
          </section>
          {shown.length > MAX_LINES && (
            <p class="muted">{formatPlural(shown.length - MAX_LINES, "more line")}</p>
          )}
        </>
      )}
    </section>
  );
}

const SIGNS = { kept: " ", removed: "−", added: "+" } as const;
const NAMES = { kept: "", removed: "removed: ", added: "added: " } as const;

function Line({ line, isFirst }: { readonly line: DiffLine; readonly isFirst: boolean }) {
  const { kind, text, oldNumber, newNumber } = line;
  return (
    <tr class={isFirst ? `${kind} gap` : kind}>
      <td class="number">{oldNumber}</td>
      <td class="number">{newNumber}</td>
      <td>
        <span class="visually-hidden">{NAMES[kind]}</span>
        <span class="sign" aria-hidden="true">
          {SIGNS[kind]}
        </span>
        <code>{visibleText(text)}</code>
      </td>
    </tr>
  );
}
