import type { ComponentChildren } from "preact";

export interface Column<Row> {
  readonly title: string;
  /** `number` aligns right, with digits of one width. */
  readonly kind?: "text" | "number";
  readonly cell: (row: Row) => ComponentChildren;
}

export interface TableProps<Row> {
  /** Says what the rows are. Shown to screen readers only. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** Whether the first cell of a row names the row. */
  readonly hasRowHeads?: boolean;
}

/** A table that scrolls sideways on a narrow screen. */
export function Table<Row>({ caption, columns, rows, keyOf, hasRowHeads = true }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: The keyboard must be able to scroll it.
    <section class="scroll" tabIndex={0} aria-label={caption}>
      <table>
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, kind }) => (
              <th key={title} scope="col" class={kind}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map(({ title, kind, cell }, at) =>
                at === 0 && hasRowHeads ? (
                  <th key={title} scope="row" class={kind}>
                    {cell(row)}
                  </th>
                ) : (
                  <td key={title} class={kind}>
                    {cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
